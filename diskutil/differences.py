"""What is different between two states: of one image at two times, or of two images.

Two times of one image: an object keeps its id, so the indexes tell which objects changed, and only those are compared;
a walk from the root gives their paths. Two images: both graphs are walked together from their roots, and an object is
the same as the one that stands at the same path first; where sharing differs, that is a difference.

Promise: every difference that a Lua program could see is found, and nothing else: contents, types (1 and 1.0), identity,
metatables, functions by text and upvalues. Work is linear in what is reachable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from khoros.formats import constants as C

from . import paths
from .image import Image
from .index import Index, Slot, used_slots
from .places import OBJECTS, Places, members
from .reader import Store
from .records import Pointer

_NOTHING = object()


class Difference(NamedTuple):
    """One place: `added`, `removed` or `changed`; what was there before and what is there now (None for nothing)."""

    change: str
    path: str
    before: Any
    after: Any
    note: str = ""


def between_times(one: Image, other: Image) -> Iterator[Difference]:
    """Differences of one image at two times: `other` minus `one`."""
    places = Places(other, changed_ids(one.store, other.store))
    for identity in places.owners:
        if one.store.pointer(identity) is None and identity != C.ROOT_ID:
            continue  # new: it shows where it was put into something that existed
        yield from _SameIds().compare(one.object(identity), other.object(identity),
                                      places.path(identity))


def changed_owners(one: Image, other: Image) -> list[tuple[int, str]]:
    """(id, path) of the tables, maps and functions that both states of one image have and that differ in them."""
    changed = changed_ids(one.store, other.store)
    found: dict[int, str] = {}
    for image in (other, one):
        places = Places(image, changed)
        for identity in places.owners:
            if all(state.store.pointer(identity) is not None or identity == C.ROOT_ID
                   for state in (one, other)):
                found.setdefault(identity, places.path(identity))
    return list(found.items())


def between_images(one: Image, other: Image) -> Iterator[Difference]:
    """Differences of two images: `other` minus `one`."""
    yield from _Counterparts().run(one.root, other.root)


# -- which objects changed --------------------------------------------------------------------------------------


def changed_ids(one: Store, other: Store) -> set[int]:
    """Ids whose objects are not the same bytes in both states of one store."""
    suspects = _differing_slots(one.objects, other.objects)
    suspects |= set(one.replayed.objects) | set(other.replayed.objects)
    return {i for i in suspects if _content(one, i) != _content(other, i)}


def _content(store: Store, identity: int) -> tuple[int, int, bytes] | None:
    """What tells whether an object changed; a move to another place does not."""
    pointer = store.pointer(identity)
    if pointer is None:
        return None
    return pointer.kind, pointer.crc, store.read_at(identity, pointer).payload


def _differing_slots(one: Index, other: Index) -> set[int]:
    """Keys whose leaf slots differ. Pages with the same pointer in both are the same and are not read."""
    found: set[int] = set()
    top = max(one.levels, other.levels)
    pending = [(one.root, other.root, top - 1, 0)] if top else []
    while pending:
        left, right, level, number = pending.pop()
        rows = _slots(one, left, level, number), _slots(other, right, level, number)
        for slot in rows[0].keys() | rows[1].keys():
            a, b = rows[0].get(slot), rows[1].get(slot)
            if a == b:
                continue
            child = number * C.PAGE_FANOUT + slot
            if level == 0:
                found.add(child)
            else:
                pending.append((_pointer(a), _pointer(b), level - 1, child))
    return found


def _slots(index: Index, pointer: Pointer | None, level: int, number: int) -> dict[int, Slot]:
    """The used slots of a page; a level that the index does not have yet holds its root and nothing else."""
    if pointer is None:
        return {}
    if level >= index.levels:
        return {0: (pointer.tag, pointer.payload_bytes, pointer.crc)}
    return dict(used_slots(index.page(pointer, level, number)))


def _pointer(fields: Slot | None) -> Pointer | None:
    return Pointer.of(*fields) if fields else None


# -- comparing --------------------------------------------------------------------------------------------------


def _same_scalar(a: Any, b: Any) -> bool:
    """As Lua would tell them apart at most: types, signs of zero; NaN is NaN."""
    return type(a) is type(b) and repr(a) == repr(b)


class _Shallow:
    """Compares two containers member by member; what two objects are to each other is for `meet`."""

    def meet(self, before: Any, after: Any, path: str) -> Difference | None:
        """The difference between two objects at one place, if they are not each other's counterpart."""
        raise NotImplementedError

    def compare(self, before: Any, after: Any, path: str) -> Iterator[Difference]:
        """Differences between two containers, what they hold not included."""
        if type(before) is not type(after):
            yield Difference("changed", path, before, after)
            return
        old = {name: (where, value) for name, where, value in members(before, path)}
        for name, where, value in members(after, path):
            _, was = old.pop(name, ("", _NOTHING))
            if was is _NOTHING:
                yield Difference("added", where, None, value)
            elif isinstance(was, OBJECTS) and isinstance(value, OBJECTS):
                found = self.meet(was, value, where)
                if found is not None:
                    yield found
            elif not _same_scalar(was, value):
                yield Difference("changed", where, was, value)
        for where, value in old.values():
            yield Difference("removed", where, value, None)


class _SameIds(_Shallow):
    """Two states of one store: an object is itself."""

    def meet(self, before: Any, after: Any, path: str) -> Difference | None:
        return None if before.id == after.id else Difference("changed", path, before, after)


class _Counterparts(_Shallow):
    """Two graphs: objects that meet at one place are counterparts from then on."""

    def __init__(self) -> None:
        self._partner: dict[int, tuple[int, str]] = {}
        self._back: dict[int, tuple[int, str]] = {}
        self._pending: list[tuple[Any, Any, str]] = []

    def run(self, before: Any, after: Any) -> Iterator[Difference]:
        """All differences below two roots, in the order of a walk."""
        self.meet(before, after, paths.ROOT)
        while self._pending:
            first = len(self._pending)
            yield from self.compare(*self._pending.pop())
            # What this pair led to comes next, in its own order.
            self._pending[first - 1 :] = self._pending[first - 1 :][::-1]

    def meet(self, before: Any, after: Any, path: str) -> Difference | None:
        a, b = before.id, after.id
        known, back = self._partner.get(a), self._back.get(b)
        if known is None and back is None:
            self._partner[a], self._back[b] = (b, path), (a, path)
            self._pending.append((before, after, path))
            return None
        if known is not None and known[0] == b:
            return None
        was = f"the one at {known[1]}" if known else "another"
        now = f"the one at {back[1]}" if back else "another"
        return Difference("changed", path, before, after, f"{was} -> {now}")
