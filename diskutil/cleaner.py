"""Empties the lightest segments: their live objects are written anew, their index pages too, then they are free.

    choose victims → objects moved in a system transaction → checkpoint that releases the victims → one more → free

A move changes no value: same id, same content. What cannot be read is not moved, and its segment is left alone. Only
the present is kept: history that lay in the victims is gone, so retention (retention.py) is asked first.
"""

from __future__ import annotations

from typing import NamedTuple

from khoros.formats import constants as C

from . import entries, placement
from .errors import KhorosError
from .index import Index
from .reader import Store
from .records import Pointer
from .retention import pages_of_now
from .segments import Segments
from .space import PAGE_ENTRY_BYTES

# Name of the tree -> (level, number) of pages to be written anew.
Touched = dict[str, set[tuple[int, int]]]


class Victims(NamedTuple):
    """Segments to be emptied, what must be moved, and how many segments that gains."""

    segments: list[int]
    objects: list[tuple[int, Pointer]]
    pages: Touched
    gain: int


def choose(store: Store, segments: Segments, room_segments: int) -> Victims | None:
    """The lightest full segments whose content fits into `room_segments`; None if nothing would be gained."""
    try:
        pages = pages_of_now(store)
    except KhorosError:
        return None  # an index page is unreadable: nothing is moved or freed
    accounted = segments.with_changes_accounted(store)
    pinned = snapshot_segments(store)
    rows = sorted((accounted.get(n).live_bytes + pages[n] * PAGE_ENTRY_BYTES, n)
                  for n in accounted.in_state(C.SEGMENT_FULL) if n not in pinned)
    largest, chosen, cost, best = placement.largest_entry(store.geometry), [], 0, None
    for weight, number in rows:
        cost += weight
        if -(-cost // largest) + 1 > room_segments:
            break
        chosen.append(number)
        gain = len(chosen) - (-(-cost // largest))
        if best is None or gain > best[1]:
            best = len(chosen), gain
    if best is None or best[1] < 1:
        return None
    return _collect(store, set(chosen[: best[0]]), best[1])


def snapshot_segments(store: Store) -> set[int]:
    """Segments that a snapshot needs; they stay as they are."""
    needed: set[int] = set()
    for snapshot in store.snapshots:
        index = Index(snapshot.pointer("objects"), snapshot.object_levels, C.KIND_OBJECT_PAGE,
                      store.follow)
        table = Index(snapshot.pointer("segments"), snapshot.segment_levels, C.KIND_SEGMENT_PAGE,
                      store.follow)
        for tree in (index, table):
            needed |= {store.geometry.segment_of_offset(p.offset) for _, _, p, _ in tree.pages()}
        for _, fields in index.items():
            pointer = Pointer.of(*fields)
            if pointer is not None:
                needed.add(store.geometry.segment_of_offset(pointer.offset))
    return needed


def _collect(store: Store, segments: set[int], gain: int) -> Victims | None:
    """What lies in those segments. None when one of the objects cannot be read."""
    geometry = store.geometry
    objects = [(i, p) for i, p in store.ids() if geometry.segment_of_offset(p.offset) in segments]
    for identity, pointer in objects:
        try:
            store.read_at(identity, pointer)
        except KhorosError:
            bad = geometry.segment_of_offset(pointer.offset)
            rest = segments - {bad}
            return _collect(store, rest, gain - 1) if rest and gain > 1 else None
    touched: Touched = {}
    for name in ("objects", "segments", "transactions"):
        index: Index = getattr(store, name)
        touched[name] = {(level, number) for level, number, p, _ in index.pages()
                         if geometry.segment_of_offset(p.offset) in segments}
    return Victims(sorted(segments), objects, touched, gain)


def sizes(victims: Victims) -> list[int]:
    """Sizes of the entries of a move, in the order of `victims.objects`."""
    return [entries.size(pointer.payload_bytes) for _, pointer in victims.objects]

