"""What can be read off a schema: flat fields with offsets, struct and string.pack formats, dtypes.

The schemas stay the truth and serve cold paths; hot paths use what is derived here. Only the few
construct classes that the schemas use are understood; anything else raises at once, so that a
schema can never be derived half.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from construct import Array, Bytes, Const, Construct, FormatField, Renamed, Struct

if TYPE_CHECKING:
    import numpy

_PACK_CODES = {"B": "B", "H": "I2", "L": "I4", "Q": "I8"}


class Field(NamedTuple):
    """One field of a structure. `offset` and `size` in bytes; `code` for struct, `pack` for Lua.

    `constant` is the value that the field must have, or None. Nested structures appear as their
    fields, named `outer_inner`.
    """

    name: str
    offset: int
    size: int
    code: str
    pack: str
    constant: int | bytes | None
    meaning: str


@cache
def fields(schema: Construct) -> tuple[Field, ...]:
    """The fields of a structure, in order, without gaps. TypeError for what is not understood."""
    return tuple(_walk(schema, "", 0))


def bare(member: Construct) -> Construct:
    """A field's own construct, without the wrappers that carry its name and its docs."""
    while isinstance(member, Renamed):
        member = member.subcon
    return member


def _walk(schema: Struct, prefix: str, offset: int) -> list[Field]:
    rows: list[Field] = []
    for member in schema.subcons:
        if not isinstance(member, Renamed):
            raise TypeError(f"a field of {schema} has no name")
        name, inner = prefix + member.name, bare(member)
        if isinstance(inner, Struct):
            rows += _walk(inner, name + "_", offset)
        elif isinstance(inner, Array):
            raise TypeError(f"{name}: arrays are read by their element")
        else:
            rows.append(_leaf(name, inner, offset, str(member.docs or "")))
        offset += inner.sizeof()
    return rows


def _leaf(name: str, inner: Construct, offset: int, meaning: str) -> Field:
    constant = None
    if isinstance(inner, Const):
        constant, inner = inner.value, inner.subcon
    if isinstance(inner, FormatField):
        byte_order, letter = inner.fmtstr[0], inner.fmtstr[1]
        if byte_order != "<":
            raise TypeError(f"{name}: not little-endian")
        return Field(name, offset, inner.length, letter.replace("L", "I"), _PACK_CODES[letter],
                     constant, meaning)
    if isinstance(inner, Bytes):
        size = inner.sizeof()
        return Field(name, offset, size, f"{size}s", f"c{size}", constant, meaning)
    raise TypeError(f"{name}: {type(inner).__name__} is not understood")


@cache
def packer(schema: Construct) -> struct.Struct:
    """The structure as a compiled `struct.Struct`; its size is checked against the schema's."""
    result = struct.Struct("<" + "".join(field.code for field in fields(schema)))
    if result.size != schema.sizeof():
        raise TypeError(f"derived size {result.size}, schema {schema.sizeof()}")
    return result


@cache
def names(schema: Construct) -> tuple[str, ...]:
    """The field names in the order of `packer`'s values."""
    return tuple(field.name for field in fields(schema))


def unpack(schema: Construct, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
    """The fields of the structure that starts at `offset` (bytes), by name.

    Values only: constants and checksums are for the caller to judge. struct.error when data is short.
    """
    return dict(zip(names(schema), packer(schema).unpack_from(data, offset), strict=True))


def pack(schema: Construct, values: dict[str, Any]) -> bytes:
    """The structure's bytes; constants may be left out of `values`. KeyError for a missing field."""
    return packer(schema).pack(*(
        field.constant if field.constant is not None and field.name not in values
        else values[field.name] for field in fields(schema)))


@cache
def dtype(schema: Construct) -> numpy.dtype:
    """The structure as a packed numpy dtype, for gathering many at once."""
    import numpy

    result = numpy.dtype({
        "names": [field.name for field in fields(schema)],
        "formats": [_numpy_code(field) for field in fields(schema)],
        "offsets": [field.offset for field in fields(schema)],
        "itemsize": schema.sizeof(),
    })
    return result


def _numpy_code(field: Field) -> str:
    return f"V{field.size}" if field.code.endswith("s") else f"<u{field.size}"


def lua_format(schema: Construct) -> str:
    """The structure as a format of Lua's string.pack."""
    return "<" + "".join(field.pack for field in fields(schema))


def offset_of(schema: Construct, name: str) -> int:
    """Byte offset of a field."""
    return next(field.offset for field in fields(schema) if field.name == name)
