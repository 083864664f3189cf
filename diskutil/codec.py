"""The value codec of SPEC 7: contents of objects as canonical MessagePack, and back.

Promise: `decode_table` accepts exactly the canonical form (so `encode_table(decode_table(b)) == b`, and equal contents
give equal bytes) and raises ValueFormatError with the byte offset otherwise. Nothing nests, so there is no depth; no
length is believed before it is compared with the bytes that are there, so work and memory are linear in the payload.
Strings are `str` when valid UTF-8, else `bytes`; other objects appear as `Reference`, functions as
`FunctionReference`, strings that are objects of their own as `LongString`. What the other kinds of objects hold is in
kinds.py, which is built from the parts here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import lru_cache, partial
from itertools import chain
from operator import lt
from typing import Any, NoReturn

import msgpack

from khoros.formats import constants as C

from .errors import CannotStore, ValueFormatError
from .values import (
    Contents,
    FunctionReference,
    LongString,
    Permanent,
    Reference,
    key_order,
    normal_key,
)

EMPTY_TABLE = b"\x90\x80"

_CANONICAL_NAN = bytes.fromhex("7ff8000000000000")
_PACKED = {
    C.PACKED_I8: ("b", 1),
    C.PACKED_I16: ("h", 2),
    C.PACKED_I32: ("i", 4),
    C.PACKED_I64: ("q", 8),
    C.PACKED_F64: ("d", 8),
}
_INTEGER_LIMITS = [(C.PACKED_I8, 1 << 7), (C.PACKED_I16, 1 << 15), (C.PACKED_I32, 1 << 31),
                   (C.PACKED_I64, 1 << 63)]

# -- encoding ---------------------------------------------------------------------------------------------------


def encode_table(array: list[Any], pairs: Iterable[tuple[Any, Any]],
                 metatable: Reference | Permanent | None = None) -> bytes:
    """The payload of a table. Keys need not be in order; CannotStore for what no table can hold."""
    parts = [encode_array(array), encode_map(pairs)]
    if metatable is not None:
        _encode(metatable, parts)
    return b"".join(parts)


def encode_array(array: list[Any]) -> bytes:
    """An array part, or a piece of one."""
    parts: list[bytes] = []
    _encode_array(array, parts)
    return b"".join(parts)


def encode_map(pairs: Iterable[tuple[Any, Any]]) -> bytes:
    """A map part, or a piece of one; the pairs need not be in order."""
    ordered = sorted(pairs, key=lambda pair: key_order(pair[0]))
    parts = [head(len(ordered), "map")]
    for key, value in ordered:
        _encode(normal_key(key), parts)
        _encode_value(value, parts)
    return b"".join(parts)


def encode_scalar(value: Any) -> bytes:
    """One value that is not a table: what a key or a value in a payload looks like."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def head(length: int, form: str) -> bytes:
    """The bytes before the elements of an `array` or the pairs of a `map`."""
    if form == "array":
        return _head(length, 0x90, 15, (None, 0xDC, 0xDD))
    return _head(length, 0x80, 15, (None, 0xDE, 0xDF))


def _encode_array(array: list[Any], parts: list[bytes]) -> None:
    packed = _pack_numbers(array) if len(array) >= C.PACKED_MIN else None
    if packed is not None:
        parts.append(_extension(C.EXT_PACKED, packed))
        return
    parts.append(head(len(array), "array"))
    for value in array:
        _encode_value(value, parts)


def _encode_value(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, str | bytes) and string_bytes(value) > C.CHUNK_BYTES:
        raise CannotStore(path="value", what="a string of that length is an object of its own")
    _encode(value, parts)


def string_bytes(value: str | bytes) -> int:
    """How many bytes Lua sees in a string."""
    return len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode("utf-8"))


def _pack_numbers(array: list[Any]) -> bytes | None:
    """The packed form of an array of only integers or only floats; None for any other."""
    kind = type(array[0])
    if kind not in (int, float) or any(type(value) is not kind for value in array):
        return None
    if kind is float:
        data = struct.pack(f"<{len(array)}d", *array)
        if any(value != value for value in array):
            data = b"".join(
                _CANONICAL_NAN[::-1] if v != v else struct.pack("<d", v) for v in array)
        return bytes([C.PACKED_F64]) + data
    low, high = min(array), max(array)
    for code, limit in _INTEGER_LIMITS:
        if -limit <= low and high < limit:
            return bytes([code]) + struct.pack(f"<{len(array)}{_PACKED[code][0]}", *array)
    raise CannotStore(path="value", what="an integer larger than 64 bits")


def _encode(value: Any, parts: list[bytes]) -> None:
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8")
        parts += (_head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)), data)
    elif kind is int:
        parts.append(_integer(value))
    elif kind is bool:
        parts.append(b"\xc3" if value else b"\xc2")
    elif kind is float:
        parts.append(b"\xcb" + (struct.pack(">d", value) if value == value else _CANONICAL_NAN))
    elif kind is bytes:
        _encode_bytes(value, parts)
    elif kind is Reference:
        parts.append(_identity(C.EXT_REFERENCE, value.id))
    elif kind is FunctionReference:
        parts.append(_identity(C.EXT_FUNCTION, value.id))
    elif kind is LongString:
        parts.append(_identity(C.EXT_STRING, value.id))
    elif kind is Permanent:
        parts.append(_extension(C.EXT_PERMANENT, value.name.encode("utf-8")))
    else:
        raise CannotStore(path="value", what=f"a {kind.__name__} has no form in the store")


def _encode_bytes(value: bytes, parts: list[bytes]) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        parts += (_head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)), value)
    else:
        parts += (_head(len(value), 0xA0, 31, (0xD9, 0xDA, 0xDB)), value)


def _head(length: int, fixed: int, fixed_max: int, codes: tuple[int | None, int, int]) -> bytes:
    if length <= fixed_max:
        return bytes([fixed | length])
    if length < 1 << 8 and codes[0] is not None:
        return bytes([codes[0], length])
    if length < 1 << 16:
        return struct.pack(">BH", codes[1], length)
    if length < 1 << 32:
        return struct.pack(">BI", codes[2], length)
    raise CannotStore(path="value", what=f"{length} elements are too many")


def _integer(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return bytes([value & 0xFF])
    if value >= 0:
        for code, form, limit in ((0xCC, ">BB", 1 << 8), (0xCD, ">BH", 1 << 16),
                                  (0xCE, ">BI", 1 << 32), (0xCF, ">BQ", 1 << 63)):
            if value < limit:
                return struct.pack(form, code, value)
    else:
        for code, form, limit in ((0xD0, ">Bb", 1 << 7), (0xD1, ">Bh", 1 << 15),
                                  (0xD2, ">Bi", 1 << 31), (0xD3, ">Bq", 1 << 63)):
            if value >= -limit:
                return struct.pack(form, code, value)
    raise CannotStore(path="value", what=f"the integer {value} is larger than 64 bits")


def _identity(kind: int, identity: int) -> bytes:
    for size in (1, 2, 4, 8):
        if identity < 1 << (8 * size):
            return _extension(kind, identity.to_bytes(size, "big"))
    raise CannotStore(path="value", what=f"object id {identity} is too large")


_FIXED_EXTENSION = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}


def _extension(kind: int, data: bytes) -> bytes:
    fixed = _FIXED_EXTENSION.get(len(data))
    if fixed is not None:
        return bytes([fixed, kind]) + data
    return _head(len(data), 0, -1, (0xC7, 0xC8, 0xC9)) + bytes([kind]) + data


# -- decoding ---------------------------------------------------------------------------------------------------


def decode_table(data: bytes) -> Contents:
    """What a table's payload holds. ValueFormatError unless it is canonical to the last byte."""
    return (_plain_table(data) if len(data) <= PLAIN_BYTES else None) or _decode_table(data)


# Small tables of plain values are most of a store. msgpack reads them in C, and they are canonical if msgpack writes the same
# bytes again, but for what it takes and the store does not: looked for here, and by the types and the order of what was read.
PLAIN_BYTES = 1024
PLAIN_TYPES = frozenset((str, int, float, bool))
_pack = msgpack.Packer().pack
_NANS = (b"\xcb\x7f", b"\xcb\xff")  # how a NaN begins, or an infinity, a float beyond 2^769, other bytes that look like one
# What a NamedTuple's own constructor makes, in half the time.
contents_of, _reference = partial(tuple.__new__, Contents), partial(tuple.__new__, Reference)


def _plain_table(data: bytes) -> Contents | None:
    """What a table holds, if it has no metatable and only plain values; None when `_decode_table` has to find out."""
    pieces = b"\x92" + data
    try:
        array, pairs = found = msgpack.unpackb(pieces, strict_map_key=False, ext_hook=refuse_extension)
    except (ValueError, TypeError):
        return None
    if type(array) is not list or type(pairs) is not dict:
        return None
    if not PLAIN_TYPES.issuperset(map(type, pairs.values())) or not _known_names(tuple(pairs)):
        return None
    if array and not (len(array) < C.PACKED_MIN and PLAIN_TYPES.issuperset(map(type, array))):
        return None
    # 0xcf: an integer from 2^32 on, or any other byte.
    if b"\xcf" in data or _NANS[0] in data or _NANS[1] in data or _pack(found) != pieces:
        return None
    return contents_of((array, [*pairs.items()], None))


def refuse_extension(kind: int, data: bytes) -> NoReturn:
    """Ends msgpack's reading at the first extension, where only plain values are looked for."""
    raise ValueError(f"extension {kind}")


def _decode_table(data: bytes) -> Contents:
    array, at = decode_array(data)
    pairs, at = decode_map(data, at, len(array) + 1)
    metatable = None
    if at < len(data):
        start = at
        metatable, at = _decode(data, at)
        if type(metatable) is not Reference and type(metatable) is not Permanent:
            _bad(start, "the metatable", "a reference or a permanent", type(metatable).__name__)
    if at != len(data):
        _bad(at, "bytes after the table", "the end", f"{len(data) - at} more bytes")
    return Contents(array, pairs, metatable)


def table_references(data: bytes) -> list[int]:
    """The ids that a table's payload mentions, in order, with repetitions. ValueFormatError if it is not canonical."""
    if len(data) <= PLAIN_BYTES and _plain_table(data) is not None:
        return []
    return references(_decode_table(data))


def references(contents: Contents) -> list[int]:
    """The ids that a table's contents mention, in order, with repetitions."""
    return ids_of([*contents.array, *chain.from_iterable(contents.pairs), contents.metatable])


_WITH_ID = frozenset((Reference, FunctionReference, LongString))


def ids_of(values: Iterable[Any]) -> list[int]:
    """The ids of the objects among some decoded values."""
    return [value.id for value in values if type(value) in _WITH_ID]


def is_packed(array: list[Any]) -> bool:
    """Whether an array part with these values stands packed."""
    return len(array) >= C.PACKED_MIN and _pack_numbers(array) is not None


def spans(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of what a canonical payload consists of: the array part's head (all of a packed one), each value,
    the map part's head, each key and each value, the metatable.
    """
    array, after = decode_array(data)
    pairs, end = decode_map(data, after, len(array) + 1)
    packed = is_packed(array)
    counts = [0 if packed else len(array), 2 * len(pairs)]
    rows: list[tuple[int, int]] = []
    at = 0
    for count, stop in zip(counts, (after, end), strict=True):
        scalars: list[tuple[int, int]] = []
        start = at
        body = stop if count == 0 else start + _head_bytes(data[start])
        rows.append((start, body))
        at = body
        for _ in range(count):
            _, following = _decode(data, at)
            scalars.append((at, following))
            at = following
        rows += scalars
    if at < len(data):
        rows.append((at, len(data)))
    return rows


def _head_bytes(code: int) -> int:
    return {0xDC: 3, 0xDE: 3, 0xDD: 5, 0xDF: 5}.get(code, 1)


def _bad(at: int, what: str, expected: object, found: object) -> NoReturn:
    raise ValueFormatError(what=what, offset=at, expected=expected, found=found)


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        _bad(at, "the value ends early", "another byte", "the end")
    return data[at]


def _take(data: bytes, at: int, size: int) -> bytes:
    if size > len(data) - at:
        _bad(at, "the value ends early", f"{size} bytes", len(data) - at)
    return data[at : at + size]


def _length(data: bytes, at: int, size: int, least: int) -> tuple[int, int]:
    """A big-endian length of `size` bytes after the code at `at`, not below `least` (else a shorter form exists)."""
    length = int.from_bytes(_take(data, at + 1, size), "big")
    if length < least:
        _bad(at, "not the shortest form of a length", f"at least {least}", length)
    return length, at + 1 + size


def decode_array(data: bytes) -> tuple[list[Any], int]:
    """The array part, or piece of one, that `data` begins with, and where it ends."""
    code = _byte(data, 0)
    if code != 0xDC and code != 0xDD and not 0x90 <= code <= 0x9F:
        return _decode_packed(data)
    count, at = decode_count(data, 0)
    array, at = _decode_many(data, at, count)
    if count >= C.PACKED_MIN:
        kind = type(array[0])
        if kind in (int, float) and all(type(value) is kind for value in array):
            _bad(0, "an array of numbers that is not packed", "a packed array", f"{count} values")
    return array, at


def decode_count(data: bytes, at: int) -> tuple[int, int]:
    """How many elements the array at `at` has (not a packed one), and where they begin."""
    code = _byte(data, at)
    if 0x90 <= code <= 0x9F:
        return code & 15, at + 1
    if code == 0xDC:
        return _length(data, at, 2, 16)
    if code == 0xDD:
        return _length(data, at, 4, 1 << 16)
    _bad(at, "not an array", "an array", f"{code:#04x}")


def _decode_many(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    if count > len(data) - at:
        _bad(at, "the array ends early", f"{count} values", f"{len(data) - at} bytes")
    found = _common(data, at, count)
    if found is not None:
        return found
    values = []
    for _ in range(count):
        value, at = decode_value(data, at)
        values.append(value)
    return values, at


_FLOAT = struct.Struct(">d").unpack_from
# Of a fixed extension: how many bytes, and the least id that needs them.
_REFERENCE_SIZES = {0xD4: (1, 1), 0xD5: (2, 1 << 8), 0xD6: (4, 1 << 16)}

# References of one size in a row, and how each is read.
_SEVERAL = 4
_ROWS = {
    size: (re.compile(rb"(?:%b[\0-\xff]{%d}){%d,}" % (bytes([code, C.EXT_REFERENCE]), size, _SEVERAL)).match,
           struct.Struct(form).iter_unpack)
    for code, size, form in ((0xD4, 1, ">2xB"), (0xD5, 2, ">2xH"), (0xD6, 4, ">2xI"))
}  # fmt: skip


def _many_references(data: bytes, at: int, size: int, most: int) -> list[tuple[int]]:
    """The ids of the references of that size that stand in a row from `at` on, if they are several."""
    match, rows = _ROWS[size]
    found = match(data, at, at + most * (2 + size)) if most >= _SEVERAL else None
    return list(rows(found.group())) if found else []


def _common(data: bytes, at: int, count: int) -> tuple[list[Any], int] | None:
    """As many scalars, and where they end: what `decode_value` finds, in a fifth of its time. None when it would refuse one.

    So nothing is judged here: who gets None decodes again with the functions that say what is wrong, and where.
    """
    values: list[Any] = []
    append = values.append
    try:
        while len(values) < count:
            code = data[at]
            if code < 0x80:
                append(code)
                at += 1
            elif 0xA0 <= code <= 0xBF:
                start = at + 1
                at = start + (code & 31)
                append(str(data[start:at], "utf-8"))
            elif code == 0xCB and (value := _FLOAT(data, at + 1)[0]) == value:
                append(value)
                at += 9
            elif code in _REFERENCE_SIZES and data[at + 1] == C.EXT_REFERENCE:
                size, least = _REFERENCE_SIZES[code]
                many = _many_references(data, at, size, count - len(values))
                if many:
                    if min(many)[0] < least:
                        return None
                    values += map(_reference, many)
                    at += len(many) * (2 + size)
                    continue
                start = at + 2
                at = start + size
                identity = int.from_bytes(data[start:at], "big")
                if identity < least:
                    return None
                append(Reference(identity))
            else:
                value, at = decode_value(data, at)
                append(value)
    except (IndexError, ValueError, struct.error, ValueFormatError):
        return None
    return (values, at) if at <= len(data) else None


def decode_value(data: bytes, at: int) -> tuple[Any, int]:
    """The value at `at`, as an array part, a map part or a cell holds it, and where it ends."""
    value, end = _decode(data, at)
    if end - at > C.CHUNK_BYTES and isinstance(value, str | bytes) and (
        string_bytes(value) > C.CHUNK_BYTES
    ):
        _bad(at, "a long string in a value", "an object of its own", f"{end - at} bytes")
    return value, end


def _decode_packed(data: bytes) -> tuple[list[Any], int]:
    kind, body, at = _decode_extension(data, 0)
    if kind != C.EXT_PACKED or not body or body[0] not in _PACKED:
        _bad(0, "the array part", "an array or a packed array", f"{data[:2].hex()}")
    form, size = _PACKED[body[0]]
    count, rest = divmod(len(body) - 1, size)
    if rest or count < C.PACKED_MIN:
        _bad(0, "a packed array", f"at least {C.PACKED_MIN} whole elements", f"{len(body) - 1} bytes")
    array = list(struct.unpack(f"<{count}{form}", body[1:]))
    if _pack_numbers(array) != body:
        _bad(0, "a packed array", "the narrowest elements and one NaN", f"element code {body[0]}")
    return array, at


def decode_map(data: bytes, at: int, forbidden: int) -> tuple[list[tuple[Any, Any]], int]:
    """The map part, or piece of one, at `at`, and where it ends. No integer key from 1 to `forbidden` may be in it."""
    code = _byte(data, at)
    if 0x80 <= code <= 0x8F:
        count, at = code & 15, at + 1
    elif code == 0xDE:
        count, at = _length(data, at, 2, 16)
    elif code == 0xDF:
        count, at = _length(data, at, 4, 1 << 16)
    else:
        _bad(at, "the map part", "a map", f"{code:#04x}")
    if 2 * count > len(data) - at:
        _bad(at, "the map ends early", f"{count} pairs", f"{len(data) - at} bytes")
    found = _common(data, at, 2 * count)
    if found is not None:
        keys = tuple(found[0][::2])
        few = found[1] - at <= _REMEMBERED_BYTES
        if (_known_names if few else are_ascending_names)(keys):
            return list(zip(keys, found[0][1::2], strict=True)), found[1]
    return _decode_pairs(data, at, count, forbidden)


# Tables of one kind have the same names: what was found out about those is remembered for maps of at most so many bytes.
_REMEMBERED_BYTES = 1024


def are_ascending_names(keys: tuple[Any, ...]) -> bool:
    """Whether the keys are strings in the order of the store: that of code points and that of UTF-8 are the same."""
    return {str}.issuperset(map(type, keys)) and all(map(lt, keys, keys[1:]))


# Keys of other types may be equal to each other (1 and true), but all of those give False.
_known_names = lru_cache(1024)(are_ascending_names)


def _decode_pairs(data: bytes, at: int, count: int, forbidden: int) -> tuple[list[tuple[Any, Any]], int]:
    pairs: list[tuple[Any, Any]] = []
    before: tuple[int, Any] | None = None
    for _ in range(count):
        start = at
        key, at = _decode(data, at)
        order = _checked_order(key, start, forbidden)
        if before is not None and not before < order:
            _bad(start, "keys out of order", "a larger key", repr(key)[:40])
        before = order
        value, at = decode_value(data, at)
        pairs.append((key, value))
    return pairs, at


def _checked_order(key: Any, start: int, forbidden: int) -> tuple[int, Any]:
    if type(key) is LongString:
        _bad(start, "a string key", "the string in full", "the reference of a long string")
    if type(key) is float and (key != key or type(normal_key(key)) is int):
        _bad(start, "a float key", "no NaN and no integer's value", key)
    if type(key) is int and 1 <= key <= forbidden:
        _bad(start, "an integer key of the array part", f"none from 1 to {forbidden}", key)
    return key_order(key)


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    """One scalar, reference or permanent; and where it ends."""
    code = _byte(data, at)
    if code < 0x80:
        return code, at + 1
    if 0xA0 <= code <= 0xBF:
        return _decode_text(data, at, at + 1, code & 31)
    if code >= 0xE0:
        return code - 256, at + 1
    if code in (0xC2, 0xC3):
        return code == 0xC3, at + 1
    if code == 0xCB:
        return _decode_float(data, at)
    if code in _INTEGERS:
        return _decode_integer(data, at, code)
    if code in _STRINGS:
        size, least = _STRINGS[code]
        length, start = _length(data, at, size, least)
        return _decode_text(data, at, start, length)
    if code in _BINARIES:
        size, least = _BINARIES[code]
        length, start = _length(data, at, size, least)
        return _decode_binary(data, at, start, length)
    if code in _EXTENSIONS or 0xD4 <= code <= 0xD8:
        return _decode_object(data, at)
    _bad(at, "not a value of a table", "a scalar, a reference or a permanent", f"{code:#04x}")


_STRINGS = {0xD9: (1, 32), 0xDA: (2, 1 << 8), 0xDB: (4, 1 << 16)}
_BINARIES = {0xC4: (1, 0), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16)}
_EXTENSIONS = {0xC7: (1, 0), 0xC8: (2, 1 << 8), 0xC9: (4, 1 << 16)}
# code -> (struct format, size, values that have a shorter form)
_INTEGERS = {
    0xCC: (">B", 1, range(128)),
    0xCD: (">H", 2, range(1 << 8)),
    0xCE: (">I", 4, range(1 << 16)),
    0xCF: (">Q", 8, range(1 << 32)),
    0xD0: (">b", 1, range(-32, 1 << 7)),
    0xD1: (">h", 2, range(-(1 << 7), 1 << 15)),
    0xD2: (">i", 4, range(-(1 << 15), 1 << 31)),
    0xD3: (">q", 8, range(-(1 << 31), 1 << 63)),
}


def _decode_integer(data: bytes, at: int, code: int) -> tuple[int, int]:
    form, size, shorter = _INTEGERS[code]
    value: int = struct.unpack(form, _take(data, at + 1, size))[0]
    if value in shorter:
        _bad(at, "not the shortest form of an integer", "fewer bytes", value)
    if value >= 1 << 63:
        _bad(at, "an integer above 2^63-1", "at most 2^63-1", value)
    return value, at + 1 + size


def _decode_float(data: bytes, at: int) -> tuple[float, int]:
    body = _take(data, at + 1, 8)
    value: float = struct.unpack(">d", body)[0]
    if value != value and body != _CANONICAL_NAN:
        _bad(at, "a NaN", _CANONICAL_NAN.hex(), body.hex())
    return value, at + 9


def _decode_text(data: bytes, at: int, start: int, length: int) -> tuple[str, int]:
    try:
        return _take(data, start, length).decode("utf-8"), start + length
    except UnicodeDecodeError as error:
        _bad(at, "a string that is not UTF-8", "the binary form", f"{error.reason} at {error.start}")


def _decode_binary(data: bytes, at: int, start: int, length: int) -> tuple[bytes, int]:
    body = _take(data, start, length)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body, start + length
    _bad(at, "valid UTF-8 in binary form", "the string form", f"{length} bytes")


def _decode_extension(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Type and data of the extension at `at`, and where it ends."""
    code = _byte(data, at)
    if 0xD4 <= code <= 0xD8:
        length, start = 1 << (code - 0xD4), at + 1
    elif code in _EXTENSIONS:
        size, least = _EXTENSIONS[code]
        length, start = _length(data, at, size, least)
        if length in _FIXED_EXTENSION:
            _bad(at, "not the shortest form of an extension", "a fixed one", length)
    else:
        _bad(at, "the array part", "an array or a packed array", f"{code:#04x}")
    kind = _byte(data, start)
    return kind, _take(data, start + 1, length), start + 1 + length


_REFERENCES: dict[int, type[Reference] | type[LongString]] = {
    C.EXT_REFERENCE: Reference, C.EXT_STRING: LongString, C.EXT_FUNCTION: FunctionReference,
}


def _decode_object(data: bytes, at: int) -> tuple[Reference | LongString | Permanent, int]:
    kind, body, end = _decode_extension(data, at)
    reference = _REFERENCES.get(kind)
    if reference is not None:
        identity = int.from_bytes(body, "big")
        if not 1 <= identity <= C.ID_MASK or _identity(kind, identity) != data[at:end]:
            _bad(at, "a reference", "an object id in the fewest bytes", body[:16].hex())
        return reference(identity), end
    if kind == C.EXT_PERMANENT:
        try:
            return Permanent(body.decode("utf-8")), end
        except UnicodeDecodeError:
            _bad(at, "the name of a permanent", "UTF-8", body[:16].hex())
    _bad(at, "an unknown extension type", "a reference or a permanent", kind)
