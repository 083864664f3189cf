"""How far back history goes, and which segments nobody needs any more (store.md "History"; as lua/fs/retention.lua).

History is the log itself: from the oldest checkpoint that is kept on (the horizon), all segments stay as they were
written. Nothing is thrown away until space is needed; then the horizon moves forward just far enough, at last to the
present. Snapshots never go by themselves.

    older than the horizon:  needed ⇔ live at the horizon, an index page of the horizon, of now, or of a snapshot
    younger:                 needed
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from khoros.formats import constants as C

from .errors import KhorosError
from .index import Index
from .reader import Store
from .records import Pointer, Record
from .segments import Segments
from .segments import parse as parse_segment

_CHAIN_MAX = 4096
_STEPS = 8


class Release(NamedTuple):
    """What a checkpoint lets go: segments, and every transaction before `oldest` (0: all of them)."""

    segments: list[int]
    oldest: int


def plan(store: Store, segments: Segments, wanted: int) -> Release:
    """The least history to let go so that `wanted` segments become free; all of it if that is not enough.

    KhorosError when an index page of now cannot be read: then nothing is freed.
    """
    segments = segments.with_changes_accounted(store)
    pages = pages_of_now(store)
    full = segments.in_state(C.SEGMENT_FULL)
    records = _chain(store)
    for record in _candidates(records):
        freed = _free_behind(store, segments, record, pages, full)
        if freed is not None and len(freed) >= wanted:
            return Release(freed, max(record.transaction + 1, store.oldest_transaction))
    dead = [n for n in full if segments.get(n).live_bytes == 0 and not pages[n]]
    return Release(dead, 0)


def pages_of_now(store: Store) -> Counter[int]:
    """How many pages of the current trees, and pages and objects of snapshots, lie in each segment."""
    found: Counter[int] = Counter()
    for index in (store.objects, store.transactions, store.segments):
        _count_pages(store, index, found)
    for snapshot in store.snapshots:
        index = Index(snapshot.pointer("objects"), snapshot.object_levels, C.KIND_OBJECT_PAGE,
                      store.follow)
        _count_pages(store, index, found)
        _count_pages(store, Index(snapshot.pointer("segments"), snapshot.segment_levels,
                                  C.KIND_SEGMENT_PAGE, store.follow), found)
        for _, fields in index.items():
            pointer = Pointer.of(*fields)
            if pointer is not None:
                found[store.geometry.segment_of_offset(pointer.offset)] += 1
    return found


def _count_pages(store: Store, index: Index, found: Counter[int]) -> None:
    for _, _, pointer, _ in index.pages():
        found[store.geometry.segment_of_offset(pointer.offset)] += 1


def _chain(store: Store) -> list[Record]:
    """The checkpoints that still answer, newest first, down to the horizon."""
    oldest = store.oldest_transaction
    records = [store.checkpoint] if store.checkpoint is not None and oldest else []
    while records and len(records) < _CHAIN_MAX:
        last = records[-1]
        pointer = last.pointer("previous")
        if pointer is None or last.transaction < oldest:
            break
        try:
            earlier, _ = store.checkpoint_at(pointer)
        except KhorosError:
            break  # what is behind it answers to nobody
        if earlier.sequence >= last.sequence:
            break
        records.append(earlier)
    return records


def _candidates(records: list[Record]) -> list[Record]:
    """Horizons to try: from the oldest towards now, in a few steps."""
    step = max(1, len(records) // _STEPS)
    return records[::-1][step::step]


def _free_behind(store: Store, segments: Segments, record: Record, pages: Counter[int],
                 full: list[int]) -> list[int] | None:
    """The full segments that a horizon at that checkpoint would free; None if it cannot be read."""
    past_pages: Counter[int] = Counter()
    try:
        objects = Index(record.pointer("objects"), record.object_levels, C.KIND_OBJECT_PAGE,
                        store.follow)
        _count_pages(store, objects, past_pages)
        table = Index(record.pointer("segments"), record.segment_levels, C.KIND_SEGMENT_PAGE,
                      store.follow)
        live = {n: parse_segment(fields).live_bytes for n, fields in table.items()}
    except KhorosError:
        return None
    geometry = store.geometry
    first = segments.get(geometry.segment_of(record.frame_lba)).sequence
    return [n for n in full if segments.get(n).sequence < first and not live.get(n)
            and not past_pages[n] and not pages[n] and not segments.get(n).live_bytes]
