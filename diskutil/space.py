"""How much a store takes, and what a commit must leave free (the rules of lua/fs/space.lua, which explains them).

The guest's cleaner must always gain more than its checkpoints write, so that deleting is always possible. So what is
stored may grow to a share of the segments that depends on how many index pages there are, and a reserve of segments
stays free. Both sides of the format keep the same limits; a store that one of them filled can be used by the other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from khoros.formats import constants as C

from . import entries
from .index import PAGE_BYTES
from .reader import Store

_RESERVE_MIN, _FILL_MAX = 3, 0.92
_LEAVE_SAME, _LEAVE_SHRINKING = 2, 1
# Pages that come with every checkpoint, besides those of the object index: a few of the other trees, the record.
_FIXED_PAGES = 12
PAGE_ENTRY_BYTES = entries.size(PAGE_BYTES)


class Terms(NamedTuple):
    """Free segments that a commit must leave behind it, and the most bytes of entries that may be stored."""

    reserve: int
    most_bytes: int


def terms(store: Store, growth: int, next_id: int) -> Terms:
    """What holds for a commit that makes the store grow by `growth` bytes of entries."""
    segment_bytes, count = store.geometry.segment_bytes, store.geometry.segment_count
    pages = _object_pages(next_id) + _FIXED_PAGES
    overhead = pages * PAGE_ENTRY_BYTES / segment_bytes
    reserve = max(_RESERVE_MIN, 1 + math.ceil(math.sqrt(overhead * count)))
    fill = min(_FILL_MAX, 1 - overhead / (reserve - 1))
    most = math.floor(fill * (count - reserve - 1) * segment_bytes) - pages * PAGE_ENTRY_BYTES
    if growth > 0:
        return Terms(reserve, most)
    return Terms(_LEAVE_SAME if growth == 0 else _LEAVE_SHRINKING, 1 << 62)


def _object_pages(next_id: int) -> int:
    """At most how many pages the object index has."""
    width = -(-next_id // C.PAGE_FANOUT)
    total = width
    while width > 1:
        width = -(-width // C.PAGE_FANOUT)
        total += width
    return total


def stored_bytes(store: Store) -> int:
    """Bytes of the entries of all objects, what the log says since the checkpoint included."""
    total: int = store.checkpoint.object_bytes if store.checkpoint else 0
    for identity, pointer in store.replayed.objects.items():
        before = store.objects.pointer(identity)
        total += entries.size(pointer.payload_bytes) if pointer else 0
        total -= entries.size(before.payload_bytes) if before else 0
    return total
