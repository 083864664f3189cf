"""Takes any structure apart into named parts: which bytes mean what. For `dump --hex` and `dump @OFFSET`.

Pure, and never fails: bytes that do not parse are parts called by what is wrong with them. Fixed structures are taken
apart by their schemas, payloads of objects value by value.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from construct import Construct

from khoros.formats import (
    CHECKPOINT,
    COMMIT,
    ENTRY_HEADER,
    FRAME_HEADER,
    POINTER,
    SEGMENT_RECORD,
    SNAPSHOT,
    SUPERBLOCK,
    derive,
)
from khoros.formats import constants as C

from . import codec, entries, kinds, paths
from .errors import ValueFormatError, one_line
from .records import Pointer
from .segments import parse as parse_segment
from .values import LongString, Reference

SEGMENT_STATES = {C.SEGMENT_FREE: "free", C.SEGMENT_OPEN: "open", C.SEGMENT_FULL: "full",
                   C.SEGMENT_PENDING: "pending", C.SEGMENT_BAD: "bad"}


class Part(NamedTuple):
    """Bytes `offset` to `offset + length` of a structure: what they are and what they say."""

    offset: int
    length: int
    name: str
    text: str


def _fields(schema: Construct, data: bytes, base: int = 0, prefix: str = "") -> list[Part]:
    rows = []
    for field in derive.fields(schema):
        raw = data[base + field.offset : base + field.offset + field.size]
        if len(raw) < field.size:
            rows.append(Part(base + field.offset, len(raw), prefix + field.name, "cut off"))
            break
        rows.append(Part(base + field.offset, field.size, prefix + field.name,
                         _field_text(field.name, field.code, raw)))
    return rows


def _field_text(name: str, code: str, raw: bytes) -> str:
    if code.endswith("s"):
        return _bytes_text(name, raw)
    value = int.from_bytes(raw, "little")
    if name == "crc" or name.endswith("_crc") or name == "epoch" or name.startswith("features"):
        return f"{value:#010x}"
    if name == "tag" or name.endswith("_tag"):
        kind, low = value >> C.ID_BITS, value & C.ID_MASK
        return f"{entries.kind_name(kind)} {low}" if value else "0"
    return str(value)


def _bytes_text(name: str, raw: bytes) -> str:
    if name == "uuid":
        return str(uuid.UUID(bytes=raw))
    if name in ("label", "name", "magic"):
        return one_line(raw.rstrip(b"\0").decode("utf-8", "backslashreplace")) or "empty"
    return "zeros" if not any(raw) else raw.hex()


def superblock(data: bytes) -> list[Part]:
    """A superblock's sector."""
    return _fields(SUPERBLOCK, data)


def frame_header(data: bytes) -> list[Part]:
    """A frame's header."""
    return _fields(FRAME_HEADER, data)


def entry(kind: int, data: bytes) -> list[Part]:
    """An entry: header, payload, padding. Offsets from the entry's start."""
    head = _fields(ENTRY_HEADER, data)
    length = entries.HEADER.unpack_from(data)[1] if len(data) >= entries.HEADER_BYTES else 0
    start = entries.HEADER_BYTES
    body = data[start : start + length]
    rows = [Part(start + row.offset, *row[1:]) for row in payload(kind, body)]
    end = start + len(body)
    padding = entries.size(len(body)) - end
    if padding and end < len(data):
        rows.append(Part(end, padding, "padding", _bytes_text("", data[end : end + padding])))
    return head + rows


def payload(kind: int, data: bytes) -> list[Part]:
    """The payload of an entry of that kind."""
    if kind == C.KIND_TABLE:
        return _table(data)
    if kind == C.KIND_COMMIT:
        return _fields(COMMIT, data) + _rest(data, COMMIT.sizeof(), "message")
    if kind == C.KIND_CHECKPOINT:
        return _checkpoint(data)
    if kind in (C.KIND_OBJECT_PAGE, C.KIND_TRANSACTION_PAGE, C.KIND_SEGMENT_PAGE):
        return _page(kind, data)
    if kind in _ELEMENTS:
        return _elements(kind, data)
    return [Part(0, len(data), "payload", f"{len(data)} bytes")] if data else []


def _rest(data: bytes, start: int, name: str) -> list[Part]:
    rest = data[start:]
    return [Part(start, len(rest), name, one_line(rest.decode("utf-8", "backslashreplace")))] if (
        rest) else []


def _checkpoint(data: bytes) -> list[Part]:
    rows = _fields(CHECKPOINT, data)
    at, number = CHECKPOINT.sizeof(), 1
    while at + SNAPSHOT.sizeof() <= len(data):
        rows += _fields(SNAPSHOT, data, at, f"snapshot {number} ")
        at, number = at + SNAPSHOT.sizeof(), number + 1
    return rows + _rest(data, at, "more bytes")


def _page(kind: int, data: bytes) -> list[Part]:
    """The used slots of an index page, and what is unused between them.

    A segment page above the leaves is shown as pointers would be.
    """
    slot_bytes = POINTER.sizeof()
    rows: list[Part] = []
    unused = 0
    count = len(data) // slot_bytes
    for number in range(count + 1):
        raw = data[number * slot_bytes : (number + 1) * slot_bytes]
        if number < count and not any(raw):
            unused += 1
            continue
        if unused:
            first = number - unused
            rows.append(Part(first * slot_bytes, unused * slot_bytes,
                             f"slots {first} to {number - 1}", "unused"))
            unused = 0
        if number < count:
            rows.append(Part(number * slot_bytes, slot_bytes, f"slot {number}", _slot(kind, raw)))
    return rows


def _slot(kind: int, raw: bytes) -> str:
    fields = derive.packer(POINTER).unpack(raw)
    pointer = Pointer.of(*fields)
    assert pointer is not None
    if kind == C.KIND_SEGMENT_PAGE and pointer.kind != C.KIND_SEGMENT_PAGE:
        row = parse_segment(derive.packer(SEGMENT_RECORD).unpack(raw))
        return (f"{SEGMENT_STATES.get(row.state, row.state)}, sequence {row.sequence}, "
                f"{row.live_bytes} live bytes, age {row.age}")
    return (f"{entries.kind_name(pointer.kind)} at byte {pointer.offset}, {pointer.payload_bytes} "
            f"bytes, crc {pointer.crc:#010x}")


# kind -> what the elements of its array are called, in order; the last name goes on for all that follow.
_ELEMENTS = {
    C.KIND_FUNCTION: ["chunk", "prototype", "dump_bytes", "dump_crc", "release", "cell"],
    C.KIND_CHUNK: ["name", "text"],
    C.KIND_CELL: ["value"],
    C.KIND_TABLE: ["element"],
    C.KIND_TREE: ["element"],
    C.KIND_TREE_NODE: ["element"],
    C.KIND_MAP: ["pairs", "levels", "root"],
    C.KIND_MAP_NODE: ["element"],
}


def _elements(kind: int, data: bytes) -> list[Part]:
    """A payload of arrays, element by element; a piece of a string as a whole."""
    if kind == C.KIND_TREE_NODE and data[:1] in (b"\xc4", b"\xc5", b"\xc6"):
        return [Part(0, len(data), "piece of a string", f"{len(data)} bytes with their head")]
    names = _ELEMENTS[kind]
    rows: list[Part] = []
    at = number = 0
    try:
        while at < len(data):
            name, text, end = _element(data, at)
            if not name:
                name, number = names[min(number, len(names) - 1)], number + 1
            rows.append(Part(at, end - at, name, text))
            at = end
    except ValueFormatError as error:
        rows.append(Part(at, len(data) - at, "payload", f"not canonical: {one_line(str(error))}"))
    return rows


def _element(data: bytes, at: int) -> tuple[str, str, int]:
    """(name of a head, or empty for a value; text; end) of what stands at `at`."""
    code = data[at]
    if 0x90 <= code <= 0x9F or code in (0xDC, 0xDD):
        count, end = codec.decode_count(data, at)
        return "array", f"{count} elements", end
    if 0x80 <= code <= 0x8F or code in (0xDE, 0xDF):
        size = {0xDE: 2, 0xDF: 4}.get(code, 0)
        count = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else code & 15
        return "map", f"{count} pairs", at + 1 + size
    if data[at : at + 1] == kinds.NIL:
        return "", "nil", at + 1
    value, end = codec.decode_value(data, at)
    return "", _show(value), end


def _show(value: Any) -> str:
    from .render import scalar_text

    if isinstance(value, LongString):
        return f"string {value.id}"
    if isinstance(value, Reference):
        return f"object {value.id}"
    return one_line(scalar_text(value), 80)


def _table(data: bytes) -> list[Part]:
    """A table's payload: heads, values of the array part, keys and values, metatable."""
    rows: list[Part] = []
    try:
        contents = codec.decode_table(data)
        spans = codec.spans(data)
    except ValueFormatError as error:
        return [Part(0, 0, "table", f"not canonical: {one_line(str(error))}"), *_elements(C.KIND_TABLE, data)]
    texts = _table_texts(contents)
    for (start, end), (name, text) in zip(spans, texts, strict=True):
        rows.append(Part(start, end - start, name, text))
    return rows


def _table_texts(contents: Any) -> list[tuple[str, str]]:
    """(name, text) of each span of `codec.spans`, in its order."""
    packed = codec.is_packed(contents.array)
    rows = [("array part", f"{len(contents.array)} values{', packed' if packed else ''}")]
    if not packed:
        rows += [(f"[{n}]", _show(value)) for n, value in enumerate(contents.array, 1)]
    rows.append(("map part", f"{len(contents.pairs)} pairs"))
    for key, value in contents.pairs:
        label = f"[object {key.id}]" if hasattr(key, "id") else paths.text("", key).lstrip(".")
        rows += [(f"key {label}", _show(key)), (f"value of {label}", _show(value))]
    if contents.metatable is not None:
        rows.append(("metatable", _show(contents.metatable)))
    return rows
