"""Recipes: bytes that say how a base image is changed. Any bytes are a recipe, so whoever mutates bytes mutates structures.

    byte 0     base in bits 0-2 (modulo their number), bit 7: checksums stay wrong
    then, 12 bytes each, at most CHANGES_MOST times:
        2   which structure (modulo their number)
        1   which field of it (modulo its fields)
        1   what happens to it (OPERATIONS)
        8   with which value, little-endian

The checksums are then made right again (checksums.py), so that the change reaches what stands behind them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .. import checksums, device
from ..errors import KhorosError
from . import bases
from .bases import Base, Structure

CHANGE = struct.Struct("<HBBQ")
CHANGES_MOST = 6
STAY_WRONG = 0x80
BASES = 7
# Values at which readers go wrong, sizes in bytes and sectors among them.
INTERESTING = (
    0, 1, 2, 7, 8, 15, 16, 255, 256, 511, 512, 4095, 4096, 65535, 65536, 131072, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**47, 2**48 - 1, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip


class Change(NamedTuple):
    """One change, as a recipe says it."""

    structure: int
    field: int
    operation: int
    value: int

    def packed(self) -> bytes:
        return CHANGE.pack(*self)


def recipe(base: int, *changes: Change, mend: bool = True) -> bytes:
    """The bytes of a recipe."""
    return bytes([base | (0 if mend else STAY_WRONG)]) + b"".join(change.packed() for change in changes)


def parse(data: bytes) -> tuple[int, bool, list[Change]]:
    """(number of the base, whether checksums are made right, changes)."""
    first = data[0] if data else 0
    rest = data[1:1 + CHANGES_MOST * CHANGE.size]
    whole = len(rest) // CHANGE.size * CHANGE.size
    return (first & BASES) % len(bases.NAMES), not first & STAY_WRONG, [Change(*row) for row in CHANGE.iter_unpack(rest[:whole])]


def image(data: bytes) -> bytearray:
    """The image that a recipe makes."""
    number, mend, changes = parse(data)
    base = bases.base(number)
    result = bytearray(base.image)
    for change in changes:
        apply(result, base, change)
    if mend and changes:
        try:
            checksums.mend(device.MemoryDevice(result))
        except KhorosError:
            pass  # no superblock is left that says where anything lies: readers have to refuse that, too
    return result


def describe(data: bytes) -> str:
    """What a recipe does, for people."""
    number, mend, changes = parse(data)
    base, parts = bases.base(number), []
    for change in changes:
        target = base.structures[change.structure % len(base.structures)]
        at, size = field_of(target, change)
        parts.append(f"{target.name} at byte {target.offset}: {OPERATIONS[change.operation % len(OPERATIONS)].__name__[1:]}"
                     f" of {size} bytes at {at}, {change.value:#x}")
    return f"{base.name}: {'; '.join(parts) or 'unchanged'}{'' if mend else '; checksums stay wrong'}"


def field_of(target: Structure, change: Change) -> tuple[int, int]:
    """(place in the image, size) of the field that is changed."""
    fields = bases.fields(target)
    # So many bytes have more than 256 places: the value's upper half helps to choose.
    place, size = fields[(change.field + (change.value >> 40)) % len(fields)] if target.name == "bytes" else fields[
        change.field % len(fields)]
    return target.offset + place, size


def apply(result: bytearray, base: Base, change: Change) -> None:
    """Changes the image in place."""
    target = base.structures[change.structure % len(base.structures)]
    at, size = field_of(target, change)
    OPERATIONS[change.operation % len(OPERATIONS)](result, base, target, at, size, change.value)


# --- Operations: image, base, structure, place and size of the field, value -------------------------------------------


def _put(result: bytearray, at: int, size: int, value: int) -> None:
    result[at:at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")


def _get(result: bytearray, at: int, size: int) -> int:
    return int.from_bytes(result[at:at + size], "little")


def _interesting(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    _put(result, at, size, INTERESTING[value % len(INTERESTING)])


def _near(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    """A little more or less."""
    _put(result, at, size, _get(result, at, size) + value % 33 - 16)


def _flip(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    _put(result, at, size, _get(result, at, size) ^ 1 << value % (8 * size))


def _set(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    _put(result, at, size, value)


def _as_elsewhere(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    """What the same field of another structure of its kind holds: a valid value in the wrong place."""
    others = [other for other in base.structures if other.name == target.name]
    other = others[value % len(others)]
    source = other.offset + min(at - target.offset, other.size - size)
    result[at:at + size] = base.image[source:source + size]


def _whole_from_elsewhere(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    """All of another structure of its kind: two of one id, pages that share subtrees, frames twice."""
    others = [other for other in base.structures if other.name == target.name and other.size <= target.size]
    other = others[value % len(others)]
    result[target.offset:target.offset + other.size] = base.image[other.offset:other.offset + other.size]


def _zeros(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    result[target.offset:target.offset + target.size] = bytes(target.size)


def _bytes(result: bytearray, base: Base, target: Structure, at: int, size: int, value: int) -> None:
    """Up to eight bytes from the field on: tags and lengths inside a payload."""
    count = min(1 + value % 8, target.offset + target.size - at)
    result[at:at + count] = (value >> 3).to_bytes(8, "little")[:count]


OPERATIONS = (_interesting, _near, _flip, _set, _as_elsewhere, _whole_from_elsewhere, _zeros, _bytes)
