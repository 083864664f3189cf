"""The segment table as a writer changes it: states, live bytes, and which segment the log goes to next (SPEC 5).

    FREE → OPEN (the log opens it) → FULL (the log goes on) → PENDING (a checkpoint frees it) → FREE (the next one)

The table of the last checkpoint is read slot by slot when asked for; what happened since is held aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khoros.formats import SEGMENT_RECORD, derive
from khoros.formats import constants as C

from . import entries
from .errors import FormatError
from .geometry import Geometry
from .index import Index
from .records import Pointer

if TYPE_CHECKING:
    from .reader import Store

_RECORD = derive.packer(SEGMENT_RECORD)
_AGE_MASK = 0xFFFFFFFF


class Segment(NamedTuple):
    """What the table says of a segment."""

    state: int
    sequence: int
    live_bytes: int
    age: int

    def pack(self) -> bytes:
        """The record's bytes."""
        return _RECORD.pack(self.state << C.ID_BITS | self.sequence, self.live_bytes, self.age)


def parse(fields: tuple[int, int, int] | None) -> Segment:
    """From a slot of the table; an absent one is a free segment that was never used."""
    tag, live_bytes, age = fields or (0, 0, 0)
    return Segment(tag >> C.ID_BITS, tag & C.ID_MASK, live_bytes, age)


class Totals(NamedTuple):
    """Objects in the index, and the bytes of their entries."""

    objects: int
    size: int


class Segments:
    """The table with its changes. `changed` maps segment numbers to what a checkpoint will write."""

    def __init__(self, geometry: Geometry, index: Index) -> None:
        self.geometry = geometry
        self._index = index
        self.changed: dict[int, Segment] = {}

    def get(self, segment: int) -> Segment:
        """A segment as it stands now."""
        found = self.changed.get(segment)
        return found if found is not None else parse(self._index.slot(segment))

    def open(self, segment: int, sequence: int) -> None:
        """The log stands in this segment now."""
        self.changed[segment] = self.get(segment)._replace(state=C.SEGMENT_OPEN, sequence=sequence)

    def leave(self, segment: int, transaction: int) -> None:
        """The log has gone on from this segment."""
        self.changed[segment] = self.get(segment)._replace(
            state=C.SEGMENT_FULL, age=transaction & _AGE_MASK)

    def follow(self, segment: int, opened: list[tuple[int, int]], transaction: int) -> None:
        """The log went from `segment` through the opened ones."""
        for following, sequence in opened:
            self.leave(segment, transaction)
            self.open(following, sequence)
            segment = following

    def account(self, pointer: Pointer, size: int) -> None:
        """Live bytes of the segment that an object lies in grow or shrink by `size`."""
        segment = self.geometry.segment_of_offset(pointer.offset)
        record = self.get(segment)
        self.changed[segment] = record._replace(live_bytes=self._checked(segment, record.live_bytes + size))

    def check(self, segment: int) -> None:
        """FormatError when a segment's row says what cannot be: before a writer changes anything."""
        self._checked(segment, self.get(segment).live_bytes)

    def _checked(self, segment: int, live: int) -> int:
        if not 0 <= live <= self.geometry.segment_bytes:
            raise FormatError(what=f"live bytes of segment {segment} do not add up",
                              expected=f"0 to {self.geometry.segment_bytes}", found=live,
                              advice="run khoros-disk check")
        return live

    def account_changes(self, store: Store) -> Totals:
        """Move live bytes for every object that changed since the checkpoint; objects and their bytes in all."""
        base = store.checkpoint
        objects, size = (base.object_count, base.object_bytes) if base else (0, 0)
        for identity, pointer in store.replayed.objects.items():
            before = store.objects.pointer(identity)
            for old_or_new, sign in ((pointer, 1), (before, -1)):
                if old_or_new is not None:
                    length = sign * entries.size(old_or_new.payload_bytes)
                    objects, size = objects + sign, size + length
                    self.account(old_or_new, length)
        return Totals(objects, size)

    def with_changes_accounted(self, store: Store) -> Segments:
        """A copy in which live bytes include what the log says since the checkpoint."""
        copy = Segments(self.geometry, self._index)
        copy.changed = dict(self.changed)
        copy.account_changes(store)
        return copy

    def free_after(self, segment: int, taken: set[int]) -> int:
        """The free segment with the smallest number above, cyclically; itself when there is none."""
        count = self.geometry.segment_count
        for step in range(1, count):
            candidate = (segment + step) % count
            if candidate not in taken and self.get(candidate).state == C.SEGMENT_FREE:
                return candidate
        return segment

    def free_count(self, enough: int) -> int:
        """How many segments are free, counted up to `enough`."""
        free = 0
        for segment in range(self.geometry.segment_count):
            free += self.get(segment).state == C.SEGMENT_FREE
            if free >= enough:
                break
        return free

    def release(self, segment: int) -> None:
        """A checkpoint is being written that no longer needs this segment; the next one makes it free."""
        self.changed[segment] = self.get(segment)._replace(state=C.SEGMENT_PENDING)

    def in_state(self, state: int) -> list[int]:
        """The segments in a state other than free."""
        found = [n for n, fields in self._index.items()
                 if n not in self.changed and parse(fields).state == state]
        return found + [n for n, row in self.changed.items() if row.state == state]

    def promote_pending(self) -> None:
        """Segments that the last checkpoint freed are free in the next one's table."""
        for segment in self.in_state(C.SEGMENT_PENDING):
            self.changed[segment] = self.get(segment)._replace(state=C.SEGMENT_FREE)
