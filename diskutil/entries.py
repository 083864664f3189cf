"""Entries: the records inside frames, and what a pointer promises about one (SPEC 3).

Pure: bytes in, tuples or an EntryError out. `walk` reads the headers of a payload without looking at what they carry;
`verify` checks one entry against its own CRC; `follow` checks it against a pointer and the id that was looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from google_crc32c import extend as crc32c_extend
from google_crc32c import value as crc32c

from khoros.formats import ENTRY_HEADER, derive
from khoros.formats import constants as C

from .errors import EntryError
from .records import Pointer

if TYPE_CHECKING:
    import numpy

HEADER = derive.packer(ENTRY_HEADER)
HEADER_BYTES = HEADER.size
CRC_OFFSET = derive.offset_of(ENTRY_HEADER, "crc")
_TAG_MAX = (1 << 63) - 1
_UNIT = C.PLACE_UNIT_BYTES
_LENGTH_OFFSET = derive.offset_of(ENTRY_HEADER, "payload_bytes")
_ROUND = HEADER_BYTES + _UNIT - 1

OBJECT_KINDS = frozenset((C.KIND_TABLE, C.KIND_FUNCTION, C.KIND_CHUNK, C.KIND_CELL, C.KIND_TREE,
                          C.KIND_TREE_NODE, C.KIND_MAP, C.KIND_MAP_NODE))
PAGE_KINDS = frozenset((C.KIND_OBJECT_PAGE, C.KIND_SEGMENT_PAGE, C.KIND_TRANSACTION_PAGE))
KIND_NAMES = {
    C.KIND_TABLE: "table", C.KIND_FUNCTION: "function", C.KIND_CHUNK: "chunk", C.KIND_CELL: "cell",
    C.KIND_TREE: "tree", C.KIND_TREE_NODE: "tree node", C.KIND_MAP: "map",
    C.KIND_MAP_NODE: "map node", C.KIND_DELETE: "delete", C.KIND_COMMIT: "commit",
    C.KIND_CHECKPOINT: "checkpoint", C.KIND_OBJECT_PAGE: "object page",
    C.KIND_SEGMENT_PAGE: "segment page", C.KIND_TRANSACTION_PAGE: "transaction page",
}


class Entry(NamedTuple):
    """One entry. `offset` is that of its header, in bytes from where the walked bytes begin."""

    offset: int
    kind: int
    id: int
    payload_bytes: int
    crc: int


# What a NamedTuple's own constructor makes, in half the time.
_entry = partial(tuple.__new__, Entry)


def size(payload_bytes: int) -> int:
    """Bytes that an entry with that payload occupies, header and padding included."""
    return (payload_bytes + _ROUND) & ~(_UNIT - 1)


def extents(slots: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Offset in the store and `size`, in bytes, of the entries that these pointers (columns of POINTER) name."""
    import numpy

    starts = (slots["tag"] & numpy.uint64(C.ID_MASK)).astype(numpy.int64) * _UNIT
    return starts, (slots["payload_bytes"].astype(numpy.int64) + _ROUND) & ~(_UNIT - 1)


def encode(kind: int, identity: int, payload: bytes) -> tuple[bytes, int]:
    """The entry's bytes with padding, and its crc."""
    tag = kind << C.ID_BITS | identity
    covered = HEADER.pack(tag, len(payload), 0)[:CRC_OFFSET]
    crc = crc32c_extend(crc32c(covered), payload)
    return HEADER.pack(tag, len(payload), crc) + payload + bytes(-len(payload) % 8), crc


def walk(payload: bytes, count: int) -> Iterator[Entry]:
    """The `count` entries that fill a payload exactly. EntryError when they do not."""
    at, end = 0, len(payload)
    for _ in range(count):
        if at + HEADER_BYTES > end:
            raise EntryError(what="the entries overrun the payload", offset=at,
                             expected=f"{count} entries", found="fewer")
        tag, payload_bytes, crc = HEADER.unpack_from(payload, at)
        after = at + ((HEADER_BYTES + payload_bytes + 7) & ~7)
        if after > end or tag > _TAG_MAX:
            raise EntryError(what="an entry overruns the payload", offset=at,
                             expected=f"at most {end - at - HEADER_BYTES} bytes",
                             found=payload_bytes if tag <= _TAG_MAX else f"tag {tag:#x}")
        yield _entry((at, tag >> C.ID_BITS, tag & C.ID_MASK, payload_bytes, crc))
        at = after
    if at != end:
        raise EntryError(what="the entries do not fill the payload", offset=at,
                         expected=f"{end} bytes", found=at)


def headers(payload: bytes, count: int) -> tuple[list[int], numpy.ndarray]:
    """What `walk` finds, many times as fast: the offsets of the `count` entries, and their headers as the schema's columns.

    Only the lengths are followed one by one; everything else is gathered at once, from wherever a header may stand. Raises
    as `walk` does.
    """
    import numpy

    if len(payload) % _UNIT == 0:
        words = numpy.frombuffer(payload, "<u4").astype("u4", copy=False).data
        offsets, at, end = [], 0, len(payload)
        try:
            for _ in range(count):
                offsets.append(at)
                at = (at + words[(at + _LENGTH_OFFSET) // 4] + _ROUND) & ~(_UNIT - 1)
        except IndexError:
            at = -1
        if at == end:
            found = headers_at(payload, numpy.array(offsets, numpy.int64))
            if not (found["tag"] > _TAG_MAX).any():
                return offsets, found
    for _ in walk(payload, count):
        pass
    raise AssertionError("walk takes what was refused here")


def headers_at(data: bytes, offsets: numpy.ndarray) -> numpy.ndarray:
    """The headers at those bytes of `data`, multiples of the unit of places, as the schema's columns."""
    import numpy

    everywhere = numpy.ndarray((max(len(data) - HEADER_BYTES, -_UNIT) // _UNIT + 1,), derive.dtype(ENTRY_HEADER), data,
                               strides=(_UNIT,))  # fmt: skip
    return everywhere[offsets // _UNIT]


def verify(data: bytes, entry: Entry) -> bytes:
    """The payload of an entry that `walk` found in `data`; EntryError for a wrong CRC or padding."""
    payload = checked(data, entry)
    end = entry.offset + HEADER_BYTES + entry.payload_bytes
    after = entry.offset + size(entry.payload_bytes)
    if any(data[end:after]):
        raise EntryError(what="padding", offset=end, expected="zeros", found=data[end:after].hex())
    return payload


def verified(data: bytes, offsets: list[int], found: numpy.ndarray) -> list[bytes]:
    """The payloads of the entries that `headers` found in `data`; EntryError, as `verify`, for the first wrong one."""
    payloads, computed = summed(data, offsets, found)
    if computed != found["crc"].tolist() or _is_padded_wrongly(data, offsets, found["payload_bytes"]):
        for at, length, crc in zip(offsets, found["payload_bytes"].tolist(), found["crc"].tolist(), strict=True):
            verify(data, Entry(at, 0, 0, length, crc))
    return payloads


def summed(data: bytes, offsets: list[int], found: numpy.ndarray) -> tuple[list[bytes], list[int]]:
    """The payloads of the entries whose headers stand at those places of `data`, and the checksum of each entry."""
    payloads = [data[at + HEADER_BYTES : at + HEADER_BYTES + length]
                for at, length in zip(offsets, found["payload_bytes"].tolist(), strict=True)]
    return payloads, list(map(crc32c_extend, _header_crcs(found), payloads))


@lru_cache(1)
def _header_tables() -> tuple[int, list[numpy.ndarray]]:
    """The CRC of a header of zeros, as far as it is covered, and what each of its bytes changes in that: a CRC is linear."""
    import numpy

    zeros = crc32c(bytes(CRC_OFFSET))
    return zeros, [numpy.array([crc32c(bytes(place) + bytes([byte]) + bytes(CRC_OFFSET - place - 1)) ^ zeros
                                for byte in range(256)], numpy.uint32) for place in range(CRC_OFFSET)]


def _header_crcs(found: numpy.ndarray) -> list[int]:
    """The CRC of what is covered of each header, all at once."""
    zeros, tables = _header_tables()
    columns = found.view("u1").reshape(len(found), HEADER_BYTES).T
    crcs = tables[0][columns[0]] ^ zeros
    for table, column in zip(tables[1:], columns[1:], strict=False):
        crcs ^= table[column]
    listed: list[int] = crcs.tolist()
    return listed


def _is_padded_wrongly(data: bytes, offsets: list[int], lengths: numpy.ndarray) -> bool:
    """Whether what stands behind a payload, up to the next entry, is not zero."""
    import numpy

    ends = numpy.array(offsets, numpy.int64) + HEADER_BYTES + lengths
    used = ends % _UNIT
    last_words = numpy.frombuffer(data, "<u8")[(ends - 1) // _UNIT]
    return bool(((used != 0) & (last_words >> (8 * used).astype(numpy.uint64) != 0)).any())


def checked(data: bytes, entry: Entry) -> bytes:
    """The payload of an entry that `walk` found; EntryError for a wrong CRC. The padding is not looked at."""
    start = entry.offset + HEADER_BYTES
    payload = data[start : start + entry.payload_bytes]
    computed = crc32c_extend(crc32c(data[entry.offset : entry.offset + CRC_OFFSET]), payload)
    if computed != entry.crc:
        raise EntryError(what="checksum", offset=entry.offset, expected=f"{entry.crc:#010x}",
                         found=f"{computed:#010x}")
    return payload


def follow(data: bytes, pointer: Pointer, identity: int) -> bytes:
    """The payload of the entry that `pointer` was followed to: kind, length, CRC and id must be as promised.

    The padding is left to `check`: wrong bytes there do not make the object unreadable.
    """
    if len(data) < HEADER_BYTES + pointer.payload_bytes:
        raise EntryError(what="short entry", expected=HEADER_BYTES + pointer.payload_bytes,
                         found=len(data))
    tag, payload_bytes, crc = HEADER.unpack_from(data)
    promised = (pointer.kind << C.ID_BITS | identity, pointer.payload_bytes, pointer.crc)
    for name, expected, found in zip(("tag", "payload_bytes", "crc"), promised,
                                     (tag, payload_bytes, crc), strict=True):
        if expected != found:
            raise EntryError(what=f"{name} is not what the pointer says",
                             expected=f"{expected:#x}", found=f"{found:#x}")
    return checked(data, Entry(0, pointer.kind, identity, payload_bytes, crc))


def kind_name(kind: int) -> str:
    """A kind for people."""
    return KIND_NAMES.get(kind, f"kind {kind}")
