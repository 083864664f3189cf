"""Frames: what the log is made of, and the only way in which bytes of the log are believed (SPEC 3).

Pure: bytes in, a `Record` or a FrameError out. A header is believed after magic, header_crc and ranges; a frame is
accepted only if every identity field is the one that the reader expects at that place, since recycled segments and
earlier formats leave perfectly valid stale frames behind.
"""

from __future__ import annotations

from typing import NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import FRAME_HEADER, derive
from khoros.formats import constants as C
from khoros.formats.frame import MAGIC

from .errors import FrameError
from .records import INTEGER_MAX, Record

HEADER_BYTES = FRAME_HEADER.sizeof()
CRC_OFFSET = derive.offset_of(FRAME_HEADER, "header_crc")
_WIDE = tuple(f.name for f in derive.fields(FRAME_HEADER) if f.size == 8 and f.constant is None)
_IDENTITY = ("epoch", "lba", "lsn", "segment_sequence", "incarnation", "parent_crc", "sequence")


class Expected(NamedTuple):
    """What the next frame must say. `room` is the bytes from its start to the end of its segment."""

    epoch: int
    lba: int
    lsn: int
    segment_sequence: int
    incarnation: int
    parent_crc: int
    sequence: int
    generation: int
    segment_count: int
    room: int


def has_magic(data: bytes) -> bool:
    """Whether the bytes begin like a frame."""
    return data[: len(MAGIC)] == MAGIC


def header(data: bytes) -> Record:
    """A header valid in itself: magic, header_crc, reserved zeros, no integer above 2^63-1."""
    if len(data) < HEADER_BYTES:
        raise FrameError(what="short header", expected=HEADER_BYTES, found=len(data))
    if not has_magic(data):
        raise FrameError(what="magic", expected=MAGIC, found=bytes(data[: len(MAGIC)]))
    record = Record(derive.unpack(FRAME_HEADER, data))
    computed = crc32c(bytes(data[:CRC_OFFSET]))
    if computed != record.header_crc:
        raise FrameError(what="header checksum", expected=f"{record.header_crc:#010x}",
                         found=f"{computed:#010x}")
    if record.reserved:
        raise FrameError(what="reserved", expected=0, found=record.reserved)
    for name in _WIDE:
        if record[name] > INTEGER_MAX:
            raise FrameError(what=name, expected="at most 2^63-1", found=record[name])
    return record


def check_identity(record: Record, expected: Expected) -> None:
    """FrameError that names the first field of the header that is not what the reader expects."""
    for name in _IDENTITY:
        if record[name] != getattr(expected, name):
            raise FrameError(what=name, expected=getattr(expected, name), found=record[name])
    if record.generation > expected.generation:
        raise FrameError(what="generation", expected=f"at most {expected.generation}",
                         found=record.generation)
    if record.durable_lsn >= record.lsn:
        raise FrameError(what="durable_lsn", expected=f"less than {record.lsn}",
                         found=record.durable_lsn)
    if record.next_segment >= expected.segment_count:
        raise FrameError(what="next_segment", expected=f"less than {expected.segment_count}",
                         found=record.next_segment)
    if HEADER_BYTES + record.payload_bytes > expected.room:
        raise FrameError(what="payload_bytes", expected=f"at most {expected.room - HEADER_BYTES}",
                         found=record.payload_bytes)
    if record.entry_count == 0:
        raise FrameError(what="entry_count", expected="at least 1", found=0)


def body(record: Record, data: bytes) -> bytes:
    """The payload of a frame whose bytes up to the append boundary are `data`; checks CRC and padding."""
    end = HEADER_BYTES + record.payload_bytes
    payload = data[HEADER_BYTES:end]
    computed = crc32c(payload)
    if computed != record.payload_crc:
        raise FrameError(what="payload checksum", expected=f"{record.payload_crc:#010x}",
                         found=f"{computed:#010x}")
    if data.count(0, end) != len(data) - end:
        raise FrameError(what="padding", expected="zeros", found="other bytes")
    return payload


def span(payload_bytes: int, append_sectors: int) -> int:
    """Bytes that a frame occupies, up to its append boundary."""
    unit = append_sectors * C.SECTOR_BYTES
    return -(-(HEADER_BYTES + payload_bytes) // unit) * unit


def encode(identity: dict[str, int], payload: bytes, entry_count: int, append_sectors: int) -> bytes:
    """A frame's bytes with padding. `identity` has every field but the lengths and CRCs."""
    fields = {**identity, "payload_bytes": len(payload), "entry_count": entry_count,
              "payload_crc": crc32c(payload), "header_crc": 0}
    head = derive.pack(FRAME_HEADER, fields)[:CRC_OFFSET]
    frame = head + crc32c(head).to_bytes(4, "little") + payload
    return frame + bytes(span(len(payload), append_sectors) - len(frame))
