"""Small tables by id, many at once: pointers and headers as columns, bytes in large reads, in the order in which they stand.

    ids → leaves of the index → pointers → runs of neighbours in the log → headers that are what the pointers say → checksums

What `Store.read` would give comes out, or nothing: an object that is anything but a good small table is left to `Store.read`,
which knows what it is, or says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy

from khoros.formats import POINTER, derive
from khoros.formats import constants as C

from . import entries
from .bulk import TOGETHER_BYTES
from .errors import KhorosError

if TYPE_CHECKING:
    from .reader import Store

_SLOT = derive.dtype(POINTER)
# What is read at a time, and what may lie between two tables that are read together.
_RUN_BYTES, _GAP_BYTES = 1 << 18, 1 << 13


def tables(store: Store, ids: list[int]) -> list[bytes | None]:
    """The payloads of those of the objects that are tables of at most TOGETHER_BYTES; None for all others."""
    payloads: list[bytes | None] = [None] * len(ids)
    wanted = numpy.array(ids, numpy.int64)
    slots = _slots(store, wanted)
    starts, sizes = entries.extents(slots)
    ends = starts + sizes
    small = (slots["tag"] >> C.ID_BITS == C.KIND_TABLE) & (slots["payload_bytes"] <= TOGETHER_BYTES)
    candidates = numpy.flatnonzero(small & store.geometry.holds_each(starts, sizes))
    order = candidates[numpy.argsort(starts[candidates], kind="stable")]
    for run in _runs(order, starts, ends):
        first = int(starts[run[0]])
        try:
            data = store.device.read(first, int(ends[run].max()) - first)
        except KhorosError:
            continue
        places = starts[run] - first
        found = entries.headers_at(data, places)
        tags = numpy.uint64(C.KIND_TABLE << C.ID_BITS) | wanted[run].astype(numpy.uint64)
        same = (found["tag"] == tags) & (found["payload_bytes"] == slots["payload_bytes"][run]) & (found["crc"] == slots["crc"][run])
        run, found = run[same], found[same]
        bodies, computed = entries.summed(data, places[same].tolist(), found)
        for place, payload, crc, expected in zip(run.tolist(), bodies, computed, found["crc"].tolist(), strict=True):
            if crc == expected:
                payloads[place] = payload
    return payloads


def _slots(store: Store, ids: numpy.ndarray) -> numpy.ndarray:
    """Their pointers; zeros where there is none, or none that can be read."""
    slots = numpy.zeros(len(ids), _SLOT)
    leaves = ids // C.PAGE_FANOUT
    for number in numpy.unique(leaves).tolist():
        try:
            page = store.objects.leaf(number)
        except KhorosError:
            continue
        if page is not None:
            here = leaves == number
            slots[here] = numpy.frombuffer(page, _SLOT)[ids[here] % C.PAGE_FANOUT]
    changed = store.replayed.objects
    for place, identity in enumerate(ids.tolist() if changed else ()):
        if identity in changed:
            pointer = changed[identity]
            slots[place] = (pointer.tag, pointer.payload_bytes, pointer.crc) if pointer else (0, 0, 0)
    return slots


def _runs(order: numpy.ndarray, starts: numpy.ndarray, ends: numpy.ndarray) -> Iterator[numpy.ndarray]:
    """Pieces of the order, which is that of the log, in which one stands close to the next."""
    if not len(order):
        return
    begin, end = starts[order], ends[order]
    apart = (begin[1:] - end[:-1] > _GAP_BYTES) | (begin[1:] // _RUN_BYTES != begin[:-1] // _RUN_BYTES)
    yield from numpy.split(order, numpy.flatnonzero(apart) + 1)
