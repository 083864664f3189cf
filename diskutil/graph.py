"""The objects of a store as a graph: who refers to whom, read from payloads without making Python objects of them.

Promise: each object is visited once and memory is a bit or a few machine words an object, so that a store with millions
of them, or a hostile one, ends. Objects that cannot be read are given to the caller's `bad` and lead nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from khoros.formats import constants as C

from . import bulk, entries, kinds
from .errors import KhorosError
from .reader import Store

# So many objects are read together; fewer than the least are not worth it.
_PIECE, _MANY = 1024, 8
# Ids up to this are marked in a bitmap; a store with larger ones uses a set.
_BITMAP_IDS = 1 << 27
Bad = Callable[[int, KhorosError], None]


class Marks:
    """A set of object ids, dense ones cheaply."""

    def __init__(self, next_id: int) -> None:
        self._bits = bytearray(next_id // 8 + 1) if next_id <= _BITMAP_IDS else None
        self._ids: set[int] = set()

    def add(self, identity: int) -> bool:
        """Whether it was new."""
        if self._bits is None or identity >= 8 * len(self._bits):
            before = len(self._ids)
            self._ids.add(identity)
            return len(self._ids) > before
        at, bit = identity >> 3, 1 << (identity & 7)
        new = not self._bits[at] & bit
        self._bits[at] |= bit
        return new

    def __contains__(self, identity: int) -> bool:
        if self._bits is None or identity >= 8 * len(self._bits):
            return identity in self._ids
        return bool(self._bits[identity >> 3] & 1 << (identity & 7))


class Visit(NamedTuple):
    """An object met on a walk: bytes of its entry, the objects that it mentions, and by whom it was found (0: a start)."""

    id: int
    kind: int
    entry_bytes: int
    references: list[int]
    parent: int


def walk(store: Store, starts: Iterable[int], seen: Marks, bad: Bad | None = None) -> Iterator[Visit]:
    """Everything that the starts reach and `seen` does not hold yet, breadth first; `seen` takes it in.

    Without `bad` an unreadable object raises its KhorosError.
    """
    level = [(identity, 0) for identity in starts if seen.add(identity)]
    while level:
        following: list[tuple[int, int]] = []
        for first in range(0, len(level), _PIECE):
            for visit in _visits(store, level[first : first + _PIECE], bad):
                yield visit
                if visit.references:
                    identity = visit.id
                    following += [(child, identity) for child in visit.references if seen.add(child)]
        level = following


def _visits(store: Store, level: list[tuple[int, int]], bad: Bad | None) -> Iterator[Visit]:
    """(id, found by) of some objects in their order: plain tables from bulk reads, everything else one by one."""
    payloads = store.tables([identity for identity, _ in level]) if len(level) >= _MANY else [None] * len(level)
    found = iter(bulk.table_references([payload for payload in payloads if payload is not None]))
    for (identity, parent), payload in zip(level, payloads, strict=True):
        references = None if payload is None else next(found)
        if payload is not None and references is not None:
            yield Visit(identity, C.KIND_TABLE, entries.size(len(payload)), references, parent)
            continue
        try:
            stored = store.read(identity)
            references = kinds.references(stored.kind, stored.payload)
        except KhorosError as error:
            if bad is None:
                raise error.in_file(store.device.name) from error.__cause__
            bad(identity, error)
            continue
        size = entries.size(len(stored.payload)) if stored.pointer.kind else 0
        yield Visit(identity, stored.kind, size, references, parent)
