"""The objects of a store in columns: where each stands, and who refers to whom. For `check` of millions of them.

    index pages → columns, ascending by id
    frames in the order of the log → `of_frame`: which of their entries are live objects, exactly as the pointers say
    references → `reach`: what the root leads to, and what leads nowhere

Promise: a few machine words an object, whatever the objects hold; no Python object is kept for any of them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy

from khoros.formats import POINTER, derive
from khoros.formats import constants as C

from . import entries
from .geometry import Geometry
from .records import Pointer

_SLOT = derive.dtype(POINTER)
# So many numbers are worked on at a time.
_PIECE = 1 << 16


def _used(number: int, data: bytes) -> tuple[Any, Any]:
    """Keys and slots of a leaf, as far as they are used."""
    slots = numpy.frombuffer(data, _SLOT)
    used = numpy.flatnonzero((slots["tag"] != 0) | (slots["payload_bytes"] != 0) | (slots["crc"] != 0))
    return used + number * C.PAGE_FANOUT, slots[used]


def _column(numbers: array[int]) -> numpy.ndarray:
    """The numbers where they are, as a column."""
    return numpy.frombuffer(numbers, numpy.int64) if numbers else numpy.zeros(0, numpy.int64)


def _narrow(most: int) -> type[numpy.signedinteger[Any]]:
    """The type of numbers up to `most`, and -1."""
    return numpy.int32 if most < 1 << 31 else numpy.int64


class Footprint(NamedTuple):
    """What objects take: how many, bytes by segment, and the ids of those that are outside the log."""

    objects: int
    sizes: dict[int, int]
    outside: list[int]


class Reached(NamedTuple):
    """What the root leads to: how many objects, and (id, id of no object) of those that refer to nothing."""

    objects: int
    dangling: list[tuple[int, int]]


class Live:
    """The columns. Add pages of the index and single pointers, then `arrange`, then ask."""

    def __init__(self) -> None:
        # Grown in place: arrays made of pieces would take twice the memory while they are put together.
        self._identities, self._pointers = array("q"), bytearray()
        self._sources, self._targets = array("q"), array("q")

    # -- gathering --------------------------------------------------------------------------------------------

    def add_page(self, number: int, data: bytes) -> None:
        """The used slots of a leaf of the object index."""
        self._add(*_used(number, data))

    def _add(self, ids: numpy.ndarray, slots: numpy.ndarray) -> None:
        self._identities.frombytes(ids.astype(numpy.int64).tobytes())
        self._pointers += slots.tobytes()

    def footprint(self, geometry: Geometry) -> Footprint:
        """Of all that was added so far."""
        ids, slots = self._columns()
        totals: Counter[int] = Counter()
        objects, outside = 0, numpy.zeros(0, numpy.int64)
        for start in range(0, len(ids), _PIECE):
            starts, sizes = entries.extents(slots[start : start + _PIECE])
            inside = geometry.holds_each(starts, sizes)
            in_log = starts[inside] - geometry.log_lba * C.SECTOR_BYTES
            segments, which = numpy.unique(in_log // geometry.segment_bytes, return_inverse=True)
            taken = numpy.bincount(which, sizes[inside], len(segments)).astype(numpy.int64)
            totals.update(dict(zip(segments.tolist(), taken.tolist(), strict=True)))
            objects += int(inside.sum())
            outside = numpy.concatenate((outside, ids[start : start + _PIECE][~inside]))
        return Footprint(objects, dict(totals), outside.tolist())

    def replace(self, changed: dict[int, Pointer | None]) -> None:
        """What the log says about objects after the checkpoint; instead of what the index says."""
        if not changed:
            return
        ids, slots = self._columns()
        kept = ~numpy.isin(ids, numpy.fromiter(changed, numpy.int64, len(changed)))
        ids, slots = ids[kept], slots[kept]
        self._identities, self._pointers = array("q"), bytearray()
        self._add(ids, slots)
        rows = [(identity, pointer) for identity, pointer in changed.items() if pointer is not None]
        more = numpy.zeros(len(rows), _SLOT)
        for place, (_, pointer) in enumerate(rows):
            more[place] = pointer.tag, pointer.payload_bytes, pointer.crc
        self._add(numpy.array([identity for identity, _ in rows], numpy.int64), more)

    def _columns(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        return numpy.frombuffer(self._identities, numpy.int64), numpy.frombuffer(self._pointers, _SLOT)

    def arrange(self) -> None:
        """Put the columns in order: by id, and by place."""
        ids, slots = self._columns()
        if (ids[1:] < ids[:-1]).any():
            order = numpy.argsort(ids, kind="stable")
            ids, slots = ids[order], slots[order]
        self.ids, self._slots = ids, slots
        places = self._slots["tag"] & numpy.uint64(C.ID_MASK)
        self._by_place = numpy.argsort(places, kind="stable").astype(numpy.uint32)
        self._places = places[self._by_place]
        self._sound = numpy.zeros(len(self.ids), bool)

    # -- asking -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.ids)

    def of_frame(self, start: int, offsets: list[int], headers: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Numbers among the offsets, and rows, of the entries of a frame's payload, which begins at byte `start` of the store,
        that are live objects: tag, length and CRC are what the pointer there says.
        """
        where = numpy.array(offsets, numpy.uint64) + numpy.uint64(start)
        where //= numpy.uint64(C.PLACE_UNIT_BYTES)
        first, last = numpy.searchsorted(self._places, (where[0], where[-1] + numpy.uint64(1)))
        rows = self._by_place[first:last]
        at = numpy.searchsorted(where, self._places[first:last])
        found, slots = headers[at], self._slots[rows]
        kinds = slots["tag"] >> numpy.uint64(C.ID_BITS)
        tags = kinds << numpy.uint64(C.ID_BITS) | self.ids[rows].astype(numpy.uint64)
        same = ((where[at] == self._places[first:last]) & (found["tag"] == tags)
                & (found["payload_bytes"] == slots["payload_bytes"]) & (found["crc"] == slots["crc"]))
        return at[same], rows[same]

    def sound(self, rows: int | numpy.ndarray) -> None:
        """The object or objects of those rows were read and are good."""
        self._sound[rows] = True

    def unsound(self) -> Iterator[tuple[int, Pointer]]:
        """(id, pointer) of the objects that were not called sound, ascending."""
        for row in numpy.flatnonzero(~self._sound).tolist():
            pointer = Pointer.of(*self._slots[row].tolist())
            if pointer is not None:
                yield int(self.ids[row]), pointer

    def not_sound(self, number: int, data: bytes) -> Iterator[tuple[int, Pointer]]:
        """(id, pointer) of the slots of a leaf, of whatever index, of which no entry was called sound."""
        ids, slots = _used(number, data)
        at = numpy.minimum(numpy.searchsorted(self.ids, ids), max(len(self.ids) - 1, 0))
        known = numpy.zeros(len(ids), bool)
        if len(self.ids):
            known = (self.ids[at] == ids) & self._sound[at] & (self._slots[at] == slots)
        for place in numpy.flatnonzero(~known).tolist():
            pointer = Pointer.of(*slots[place].tolist())
            if pointer is not None:
                yield int(ids[place]), pointer

    # -- references -------------------------------------------------------------------------------------------

    def refers(self, identity: int, targets: Iterable[int]) -> None:
        """An object mentions others, in that order."""
        before = len(self._targets)
        self._targets.extend(targets)
        self._sources.extend([identity] * (len(self._targets) - before))

    def reach(self, root: int) -> Reached:
        """Follow the references from the root."""
        sources, targets = _column(self._sources), _column(self._targets)
        if (sources[1:] < sources[:-1]).any():
            order = numpy.argsort(sources, kind="stable")
            sources, targets = sources[order], targets[order]
            del order
        rows, exists = self._rows(targets)
        start = numpy.empty(len(self.ids) + 1, _narrow(len(sources)))
        for first in range(0, len(self.ids), _PIECE):
            piece = self.ids[first : first + _PIECE]
            start[first : first + len(piece)] = numpy.searchsorted(sources, piece)
        start[-1] = len(sources)
        reached = self._follow(rows.data, start.data, root)
        dangling = [(identity, target) for identity, target in zip(
            sources[~exists].tolist(), targets[~exists].tolist(), strict=True)
            if reached[int(numpy.searchsorted(self.ids, identity))]]
        return Reached(reached.count(1), dangling)

    def _rows(self, ids: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The rows of some ids, -1 for none, and whether there is one. Piece by piece: what is made on the way is not kept."""
        rows, exists = numpy.full(len(ids), -1, _narrow(len(self.ids))), numpy.zeros(len(ids), bool)
        for first in range(0, len(ids) if len(self.ids) else 0, _PIECE):
            piece = ids[first : first + _PIECE]
            at = numpy.minimum(numpy.searchsorted(self.ids, piece), len(self.ids) - 1)
            found = self.ids[at] == piece
            rows[first : first + _PIECE] = numpy.where(found, at, -1)
            exists[first : first + _PIECE] = found
        return rows, exists

    def _follow(self, rows: memoryview, start: memoryview, root: int) -> bytearray:
        """A byte an object: 1 for what the root leads to."""
        reached = bytearray(len(self.ids))
        pending = [int(first) for first in self._rows(numpy.array([root]))[0] if first >= 0]
        for row in pending:
            reached[row] = 1
        while pending:
            row = pending.pop()
            for target in rows[start[row] : start[row + 1]]:
                if target >= 0 and not reached[target]:
                    reached[target] = 1
                    if start[target] != start[target + 1]:
                        pending.append(target)
        return reached
