"""Which sector of a store belongs to what: pure arithmetic over the numbers of a superblock (SPEC 1).

LBAs count sectors, offsets bytes, places units of 8 bytes, all from the start of the store; segments count from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khoros.formats import constants as C

from .records import Record

if TYPE_CHECKING:
    import numpy


class Geometry(NamedTuple):
    """The shape of a store. Built from a superblock whose geometry was checked."""

    log_lba: int
    segment_sectors: int
    segment_count: int
    append_sectors: int

    @classmethod
    def of(cls, superblock: Record) -> Geometry:
        """The shape that a superblock states."""
        return cls(superblock.log_lba, superblock.segment_sectors, superblock.segment_count,
                   superblock.append_sectors)

    @property
    def segment_bytes(self) -> int:
        """Bytes of a segment."""
        return self.segment_sectors * C.SECTOR_BYTES

    @property
    def append_bytes(self) -> int:
        """Frames start on multiples of so many bytes."""
        return self.append_sectors * C.SECTOR_BYTES

    @property
    def end_lba(self) -> int:
        """First sector after the last segment."""
        return self.log_lba + self.segment_count * self.segment_sectors

    def segment_lba(self, segment: int) -> int:
        """First sector of a segment."""
        return self.log_lba + segment * self.segment_sectors

    def segment_of(self, lba: int) -> int:
        """The segment that a sector of the log lies in."""
        return (lba - self.log_lba) // self.segment_sectors

    def segment_of_offset(self, offset: int) -> int:
        """The segment that a byte of the log lies in."""
        return (offset // C.SECTOR_BYTES - self.log_lba) // self.segment_sectors

    def segment_of_position(self, lba: int) -> int:
        """The segment that a position of the log belongs to (SPEC 3): on a boundary, the one before it."""
        return 0 if lba == self.log_lba else (lba - 1 - self.log_lba) // self.segment_sectors

    def room(self, segment: int, lba: int) -> int:
        """Bytes from a sector to the end of its segment."""
        return (self.segment_lba(segment + 1) - lba) * C.SECTOR_BYTES

    def holds(self, offset: int, length: int) -> bool:
        """Whether those bytes lie within one segment of the log."""
        first = offset - self.log_lba * C.SECTOR_BYTES
        last = first + length - 1
        return (0 <= first <= last < self.segment_count * self.segment_bytes
                and first // self.segment_bytes == last // self.segment_bytes)

    def holds_each(self, offsets: numpy.ndarray, lengths: numpy.ndarray) -> numpy.ndarray:
        """`holds` of many at once; lengths of 1 at least."""
        first = offsets - self.log_lba * C.SECTOR_BYTES
        last = first + lengths - 1
        return ((first >= 0) & (last < self.segment_count * self.segment_bytes)
                & (first // self.segment_bytes == last // self.segment_bytes))
