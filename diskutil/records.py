"""A structure's fields by name, and the pointer that several structures contain.

`Record` is what `khoros.formats.derive.unpack` gives, with attribute access; names are the schema's. Checks that
every structure needs stand here: constants, integers within 2^63-1, zero where SPEC says zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from construct import Construct

from khoros.formats import constants as C
from khoros.formats import derive

from .errors import FormatError

INTEGER_MAX = (1 << 63) - 1


class Pointer(NamedTuple):
    """Where an entry stands and what it must look like. `place` in units of 8 bytes from the store's start."""

    place: int
    kind: int
    payload_bytes: int
    crc: int

    @property
    def offset(self) -> int:
        """First byte of the entry's header, from the start of the store."""
        return self.place * C.PLACE_UNIT_BYTES

    @property
    def tag(self) -> int:
        """Kind and place as they stand in the bytes."""
        return self.kind << C.ID_BITS | self.place

    @classmethod
    def of(cls, tag: int, payload_bytes: int, crc: int) -> Pointer | None:
        """From the three fields; None for sixteen zero bytes, which point to nothing."""
        if not (tag or payload_bytes or crc):
            return None
        return cls(tag & C.ID_MASK, tag >> C.ID_BITS, payload_bytes, crc)


class Record(dict[str, Any]):
    """Fields by name, as items and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def pointer(self, name: str) -> Pointer | None:
        """The pointer that the schema calls `name`."""
        return Pointer.of(self[f"{name}_tag"], self[f"{name}_payload_bytes"], self[f"{name}_crc"])

    def replace(self, **changes: Any) -> Record:
        """A copy with some fields changed. KeyError for a field that the structure does not have."""
        for name in changes:
            if name not in self:
                raise KeyError(name)
        return Record({**self, **changes})


def pointer_fields(name: str, pointer: Pointer | None) -> dict[str, int]:
    """The three fields of a pointer called `name`, ready to pack."""
    tag, size, crc = (pointer.tag, pointer.payload_bytes, pointer.crc) if pointer else (0, 0, 0)
    return {f"{name}_tag": tag, f"{name}_payload_bytes": size, f"{name}_crc": crc}


def check_constants(schema: Construct, record: Record, error: type[FormatError]) -> None:
    """Raise unless every field that the schema fixes has its value (magic, reserved zeros)."""
    for field in derive.fields(schema):
        if field.constant is not None and record[field.name] != field.constant:
            raise error(what=field.name, expected=_short(field.constant),
                        found=_short(record[field.name]))


def check_integers(record: Record, error: type[FormatError]) -> None:
    """Raise when an integer is above 2^63-1: Lua's integers are signed (SPEC 1)."""
    for name, value in record.items():
        if isinstance(value, int) and value > INTEGER_MAX:
            raise error(what=name, expected="at most 2^63-1", found=value)


def _short(value: object) -> object:
    if isinstance(value, bytes) and len(value) > 16:
        return "zeros" if not any(value) else "other bytes"
    return value
