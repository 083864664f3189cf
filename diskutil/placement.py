"""Where the next entries of a transaction come to stand: arithmetic only, so that a plan made beforehand is exact.

An entry goes into the open frame while the frame stays within FRAME_TARGET_BYTES and its segment; else the frame is
closed and the next starts behind it, up to the append boundary, or, if the entry does not fit before the end of the
segment, at the start of the segment that the log named as the next one. `next_segment` is only ever followed as
frames or the superblock state it, since a reader looks nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from khoros.formats import constants as C

from . import frames
from .errors import NoSpace
from .geometry import Geometry
from .replay import Position

# choose(segment, taken) -> the free segment that follows it, itself when there is none.
Choose = Callable[[int, set[int]], int]

_TARGET_BYTES = C.FRAME_TARGET_BYTES - frames.HEADER_BYTES


class Frame(NamedTuple):
    """A frame to be written: where, and which entries (first, how many, bytes of payload)."""

    lba: int
    segment_sequence: int
    next_segment: int
    first: int
    entry_count: int
    payload_bytes: int


class Plan(NamedTuple):
    """A transaction's frames, the byte offset of each entry, the log's position after it, segments opened."""

    frames: list[Frame]
    offsets: list[int]
    end: Position
    opened: list[tuple[int, int]]


def largest_entry(geometry: Geometry) -> int:
    """Bytes of the largest entry, header and padding included, that a segment takes."""
    return geometry.segment_bytes - frames.HEADER_BYTES


def segments_for(geometry: Geometry, sizes: list[int]) -> int:
    """How many segments entries of these sizes open, however the log stands; not too few."""
    start = Position(geometry.end_lba, geometry.segment_count - 1, 0, 0, 0)
    fresh = geometry._replace(segment_count=1 << 30)
    placing = _Placing(fresh, start._replace(lba=fresh.segment_lba(geometry.segment_count)),
                       lambda segment, taken: max(taken) + 1)
    for size in sizes:
        placing.put(size)
    return len(placing.opened)


class _Placing:
    """A plan in the making."""

    def __init__(self, geometry: Geometry, position: Position, choose: Choose) -> None:
        self.geometry = geometry
        self.at = position
        self.choose = choose
        self.taken = {position.segment, position.next_segment}
        self.frames: list[Frame] = []
        self.offsets: list[int] = []
        self.opened: list[tuple[int, int]] = []
        self.first = self.used = 0
        self.limit = -1

    def put(self, size: int) -> None:
        if self.limit < 0 or self.used + size > self.limit:
            self.close()
            self.open(size)
        start = self.at.lba * C.SECTOR_BYTES + frames.HEADER_BYTES
        self.offsets.append(start + self.used)
        self.used += size

    def room(self) -> int:
        return self.geometry.room(self.at.segment, self.at.lba) - frames.HEADER_BYTES

    def open(self, size: int) -> None:
        if self.room() < size:
            self.roll(size)
        if self.at.next_segment == self.at.segment:
            self.at = self.at._replace(next_segment=self.pick(self.at.segment))
        self.limit = max(size, min(self.room(), _TARGET_BYTES))

    def roll(self, size: int) -> None:
        segment = self.at.next_segment
        if segment == self.at.segment or size > largest_entry(self.geometry):
            raise NoSpace(what="every segment of the store is in use")
        sequence = self.at.segment_sequence + 1
        self.opened.append((segment, sequence))
        self.at = Position(self.geometry.segment_lba(segment), segment, sequence,
                           self.pick(segment), self.at.lsn)

    def pick(self, segment: int) -> int:
        chosen = self.choose(segment, self.taken)
        self.taken.add(chosen)
        return chosen

    def close(self) -> None:
        if self.limit < 0:
            return
        count = len(self.offsets) - self.first
        self.frames.append(Frame(self.at.lba, self.at.segment_sequence, self.at.next_segment,
                                 self.first, count, self.used))
        sectors = frames.span(self.used, self.geometry.append_sectors) // C.SECTOR_BYTES
        self.at = self.at._replace(lba=self.at.lba + sectors, lsn=self.at.lsn + 1)
        self.first, self.used, self.limit = len(self.offsets), 0, -1


def plan(geometry: Geometry, position: Position, sizes: list[int], choose: Choose) -> Plan:
    """Place entries of these sizes (bytes, header and padding included). NoSpace when they do not fit."""
    placing = _Placing(geometry, position, choose)
    for size in sizes:
        placing.put(size)
    placing.close()
    return Plan(placing.frames, placing.offsets, placing.at, placing.opened)
