"""What lies where on an image: superblocks, segments and their states, live objects, index pages, what is old or free.

A byte of a written segment is live (entry of an object as it is now), index (page of a current index) or old: frame and
commit headers, padding, and versions of the past, which history keeps until their space is needed. Sizes are bytes,
places bytes from the start of the store. Promise: sums are exact as of the mount; work is linear in the objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from khoros.formats import POINTER, derive
from khoros.formats import constants as C

from . import entries, superblock
from .index import PAGE_BYTES, Index
from .reader import Store
from .records import Pointer
from .segments import parse as parse_segment
from .structures import SEGMENT_STATES

if TYPE_CHECKING:
    import numpy

_PAGE_ENTRY_BYTES = entries.size(PAGE_BYTES)


class Copy(NamedTuple):
    """A superblock copy: where, and its generation, or what is wrong with it (empty if nothing)."""

    offset: int
    generation: int
    problem: str


class Segment(NamedTuple):
    """A segment that is not free: `used_bytes` were written since it was opened."""

    number: int
    offset: int
    state: str
    sequence: int
    used_bytes: int
    live_bytes: int
    index_bytes: int

    @property
    def old_bytes(self) -> int:
        """What is neither live nor index of what was written."""
        return self.used_bytes - self.live_bytes - self.index_bytes


class Extents:
    """Disjoint byte ranges; answers how many of their bytes lie between places."""

    def __init__(self, starts: numpy.ndarray, sizes: numpy.ndarray) -> None:
        import numpy

        order = numpy.argsort(starts, kind="stable")
        self._starts, self._sizes = starts[order], sizes[order]
        self._before = numpy.concatenate([[0], numpy.cumsum(self._sizes)])

    def within(self, bounds: numpy.ndarray) -> numpy.ndarray:
        """For bounds b0 < b1 < …: bytes in [b0, b1), [b1, b2), …"""
        import numpy

        count = numpy.searchsorted(self._starts, bounds, side="right")
        last = numpy.maximum(count - 1, 0)
        if len(self._starts) == 0:
            return numpy.zeros(len(bounds) - 1, "i8")
        inside = numpy.minimum(bounds - self._starts[last], self._sizes[last])
        below = numpy.where(count > 0, self._before[last] + inside, 0)
        return numpy.diff(below)


class Cells(NamedTuple):
    """Bytes of each kind in equal pieces of the log, as arrays."""

    used: numpy.ndarray
    live: numpy.ndarray
    pages: numpy.ndarray


class Layout:
    """The layout of a mounted store. KhorosError when an index page cannot be read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.geometry = store.geometry
        self.copies = [_copy(slot) for slot in store.slots]
        self._live = Extents(*_object_extents(store))
        self._index = Extents(*_page_extents(store))
        self.log_end = store.replayed.position.lba * C.SECTOR_BYTES
        self.segments = self._segments()
        self._used = Extents(*_arrays((row.offset, row.used_bytes) for row in self.segments))

    @property
    def start(self) -> int:
        """First byte of segment 0."""
        return self.geometry.log_lba * C.SECTOR_BYTES

    def totals(self) -> dict[str, int]:
        """Bytes of the log by what they are."""
        total = self.geometry.segment_count * self.geometry.segment_bytes
        taken = len(self.segments) * self.geometry.segment_bytes
        sums = {name: sum(getattr(row, f"{name}_bytes") for row in self.segments)
                for name in ("live", "index", "old", "used")}
        return {"live": sums["live"], "index": sums["index"], "old": sums["old"],
                "unwritten": taken - sums["used"], "free": total - taken, "total": total}

    def cells(self, start: int, cell_bytes: int, count: int) -> Cells:
        """What lies in `count` pieces of `cell_bytes` from a place on."""
        import numpy

        bounds = start + numpy.arange(count + 1, dtype="i8") * cell_bytes
        return Cells(*(kind.within(bounds) for kind in (self._used, self._live, self._index)))

    def _segments(self) -> list[Segment]:
        geometry, rows = self.geometry, []
        states = segment_states(self.store)
        bounds = [geometry.segment_lba(n) * C.SECTOR_BYTES for n in sorted(states)]
        for number, offset in zip(sorted(states), bounds, strict=True):
            state, sequence = states[number]
            live, index = (int(kind.within(_bounds(offset, geometry.segment_bytes))[0])
                           for kind in (self._live, self._index))
            used = geometry.segment_bytes
            if offset < self.log_end <= offset + used or self.log_end == offset == self.start:
                used = self.log_end - offset
            rows.append(Segment(number, offset, state, sequence, used, live, index))
        return rows


def segment_states(store: Store) -> dict[int, tuple[str, int]]:
    """number -> (state, sequence) of the segments that are not free, with what was opened since the checkpoint."""
    found = {}
    for number, fields in store.segments.items():
        row = parse_segment(fields)
        if row.state != C.SEGMENT_FREE:
            found[number] = SEGMENT_STATES.get(row.state, f"state {row.state}"), row.sequence
    position, start = store.replayed.position, store.superblock
    first = store.geometry.segment_of_position(start.replay_lba)
    opened = [(first, start.replay_segment_sequence), *store.replayed.opened]
    for number, sequence in opened:
        found[number] = "full", sequence
    found[position.segment] = "open", position.segment_sequence
    return found


def _bounds(start: int, length: int) -> numpy.ndarray:
    import numpy

    return numpy.array([start, start + length], "i8")


def _copy(slot: superblock.Slot) -> Copy:
    offset = slot.lba * C.SECTOR_BYTES
    if slot.superblock is not None:
        return Copy(offset, slot.superblock.generation, "")
    if slot.data and not any(slot.data):
        return Copy(offset, 0, "never written")
    return Copy(offset, 0, slot.error.summary if slot.error else "absent")


# -- where entries stand ----------------------------------------------------------------------------------------


def _arrays(rows: Iterable[tuple[int, int]]) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy

    table = numpy.array([*rows], "i8").reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _object_extents(store: Store) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(starts, sizes) of the entries of all objects as they are now."""
    import numpy

    changed = store.replayed.objects
    replaced: dict[int, list[int]] = {}
    for key in changed:
        replaced.setdefault(key >> 8, []).append(key & 0xFF)
    starts, lengths = [], []
    for number, slots in _leaf_slots(store.objects):
        used = slots["tag"] != 0
        used[replaced.get(number, [])] = False
        starts.append(slots["tag"][used] & numpy.uint64(C.ID_MASK))
        lengths.append(slots["payload_bytes"][used])
    new = [(pointer.place, pointer.payload_bytes) for pointer in changed.values() if pointer]
    places, payloads = _arrays(new)
    starts.append(places)
    lengths.append(payloads)
    place = numpy.concatenate([part.astype("i8") for part in starts])
    payload = numpy.concatenate([part.astype("i8") for part in lengths])
    return place * C.PLACE_UNIT_BYTES, (payload + entries.HEADER_BYTES + 7) & ~7


def _leaf_slots(index: Index) -> Iterable[tuple[int, Any]]:
    """(page number, its slots as a numpy array) of every leaf page."""
    import numpy

    for level, number, _, data in index.pages():
        if level == 0:
            yield number, numpy.frombuffer(data, derive.dtype(POINTER))


def _page_extents(store: Store) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(starts, sizes) of the pages of the current indexes, and of the checkpoint record."""
    rows = [(pointer.offset, _PAGE_ENTRY_BYTES)
            for index in (store.objects, store.segments, store.transactions)
            for _, _, pointer, _ in index.pages()]
    pointer: Pointer | None = store.superblock.pointer("checkpoint")
    if pointer is not None:
        rows.append((pointer.offset, entries.size(pointer.payload_bytes)))
    return _arrays(rows)
