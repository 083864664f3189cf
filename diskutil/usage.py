"""How much of an image each thing takes: what `khoros-disk du` shows.

A size is the bytes of the entries (header, payload, padding) of an object and of everything that it reaches. What is
shared counts once, for the place that comes first, as `du` counts hard links; so the rows of one level add up. What no
name leads to is counted apart.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

from . import entries, kinds
from .errors import KhorosError
from .graph import Marks, walk
from .image import Image
from .places import OBJECTS, members


class Use(NamedTuple):
    """One place: bytes and objects from there on, as far as no earlier place counted them."""

    path: str
    depth: int
    id: int
    bytes: int
    objects: int


class Large(NamedTuple):
    """One object by itself: the bytes of its entry."""

    id: int
    kind: int
    bytes: int


class Usage:
    """Measures an image. Objects that cannot be read count with their own entries, and are listed in `unreadable`."""

    def __init__(self, image: Image, progress: Callable[[int], None] | None = None) -> None:
        """`progress` is called with the number of objects met so far, now and then."""
        self._image = image
        self._met = 0
        self._progress = progress or (lambda met: None)
        self._seen = Marks(image.store.next_id)
        self._lost = 0
        self.unreadable: list[tuple[int, KhorosError]] = []

    def below(self, value: Any, path: str, depth: int) -> list[Use]:
        """The places from `value` on, at most `depth` levels down: each before what it holds, largest first."""
        if not isinstance(value, OBJECTS) or value.id is None:
            return []
        self._seen.add(value.id)
        use, rows = self._measure(value, path, 0, depth)
        return [use, *rows]

    def _measure(self, value: Any, path: str, level: int, depth: int) -> tuple[Use, list[Use]]:
        """A place whose id is marked already, and those below it. Recursion goes `depth` deep."""
        size, references = self._own(value.id)
        objects = 1 if size else 0
        groups: list[tuple[Use, list[Use]]] = []
        for where, item in self._held(value, path) if level < depth else ():
            if self._seen.add(item.id):
                groups.append(self._measure(item, where, level + 1, depth))
        # What else it mentions: nodes, keys, and from the last level on everything.
        self._lost = 0
        for visit in walk(self._image.store, references, self._seen, self._count_bad):
            size, objects = size + visit.entry_bytes, objects + 1
            if not objects & 1023:
                self._progress(self._met + objects)
        size += self._lost
        self._met += objects
        groups.sort(key=lambda group: -group[0].bytes)
        use = Use(path, level, value.id, size + sum(group[0].bytes for group in groups),
                  objects + sum(group[0].objects for group in groups))
        return use, [row for group in groups for row in (group[0], *group[1])]

    def _own(self, identity: int) -> tuple[int, list[int]]:
        """Bytes of an object's entry, and what it mentions."""
        store = self._image.store
        try:
            stored = store.read(identity)
            size = entries.size(len(stored.payload)) if stored.pointer.kind else 0
            return size, kinds.references(stored.kind, stored.payload)
        except KhorosError as error:
            self._lost = 0
            self._count_bad(identity, error)
            return self._lost, []

    def _count_bad(self, identity: int, error: KhorosError) -> None:
        pointer = self._image.store.pointer(identity)
        self.unreadable.append((identity, error))
        self._lost += entries.size(pointer.payload_bytes) if pointer is not None else 0

    def _held(self, value: Any, path: str) -> list[tuple[str, Any]]:
        """(path, object) of the objects that a container holds; nothing for one that cannot be read."""
        try:
            return [(where, item) for _, where, item in members(value, path)
                    if isinstance(item, OBJECTS) and item.id is not None]
        except KhorosError:
            return []  # `_own` has told


def largest(image: Image, count: int) -> list[Large]:
    """The objects with the largest entries, largest first; among equals the older ids."""
    rows = (Large(identity, pointer.kind, entries.size(pointer.payload_bytes))
            for identity, pointer in image.store.ids())
    return heapq.nsmallest(count, rows, key=lambda row: (-row.bytes, row.id))
