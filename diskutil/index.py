"""Index pages: copy-on-write radix tables from keys to pointers or segment records (SPEC 5).

`Index` reads pages through a function that follows a pointer, keeps a bounded number of them, and answers single keys
and ordered walks. Promise: a walk visits each page once and goes `levels` deep, so a page that is its own child or is
shared cannot make it longer than its range of keys: a page's id is checked when it is followed, and the id says where
in the table it belongs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from khoros.formats import PAGE, POINTER, derive
from khoros.formats import constants as C

from .errors import PageError
from .records import Pointer

PAGE_BYTES = PAGE.sizeof()
_SLOT = derive.packer(POINTER)
_EMPTY_SLOT = bytes(_SLOT.size)
_PAGES_CACHED = 256

Slot = tuple[int, int, int]
Follow = Callable[[Pointer, int], bytes]


def page_id(level: int, number: int) -> int:
    """The id that the entry of a page carries: level, and number on that level."""
    return level << C.PAGE_LEVEL_SHIFT | number


class Index:
    """One radix table, read lazily. `kind` is the kind of its pages, `levels` how many it has."""

    def __init__(self, root: Pointer | None, levels: int, kind: int, follow: Follow) -> None:
        if levels > C.LEVELS_MAX or (root is None) != (levels == 0):
            raise PageError(what="levels", expected=f"0 to {C.LEVELS_MAX}, 0 only without a root",
                              found=levels)
        self.root = root
        self.levels = levels
        self.kind = kind
        self._follow = follow
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    @property
    def capacity(self) -> int:
        """The first key that is beyond the table."""
        return int(C.PAGE_FANOUT**self.levels) if self.levels else 0

    def slot(self, key: int) -> Slot | None:
        """The three fields of the key's slot; None if it is absent. Errors name the page."""
        if self.root is None or not 0 <= key < self.capacity:
            return None
        pointer: Pointer | None = self.root
        for level in range(self.levels - 1, -1, -1):
            if pointer is None:
                return None
            fields = self._slot_of(pointer, level, key)
            if level == 0:
                return fields if any(fields) else None
            pointer = Pointer.of(*fields)
        return None

    def pointer(self, key: int) -> Pointer | None:
        """The key's slot as a pointer."""
        fields = self.slot(key)
        return Pointer.of(*fields) if fields else None

    def leaf(self, number: int) -> bytes | None:
        """The page of a leaf; None if nothing in its range is used. Errors name the page."""
        key = number * C.PAGE_FANOUT
        pointer = self.root if key < self.capacity else None
        for level in range(self.levels - 1, 0, -1):
            if pointer is None:
                return None
            pointer = Pointer.of(*self._slot_of(pointer, level, key))
        return None if pointer is None else self.page(pointer, 0, number)

    def _slot_of(self, pointer: Pointer, level: int, key: int) -> Slot:
        number = key >> (8 * (level + 1))
        page = self.page(pointer, level, number)
        at = (key >> (8 * level) & (C.PAGE_FANOUT - 1)) * _SLOT.size
        fields: Slot = _SLOT.unpack_from(page, at)
        return fields

    def page(self, pointer: Pointer, level: int, number: int) -> bytes:
        """The bytes of a page, verified against its pointer and its id."""
        identity = page_id(level, number)
        cached = self._pages.get(identity)
        if cached is not None:
            self._pages.move_to_end(identity)
            return cached
        if pointer.kind != self.kind or pointer.payload_bytes != PAGE_BYTES:
            raise PageError(what="pointer to a page", expected=f"kind {self.kind}, {PAGE_BYTES}",
                              found=f"kind {pointer.kind}, {pointer.payload_bytes}")
        data = self._follow(pointer, identity)
        self._pages[identity] = data
        while len(self._pages) > _PAGES_CACHED:
            self._pages.popitem(last=False)
        return data

    def children(self, page: bytes, level: int, number: int) -> list[tuple[Pointer, int, int]]:
        """(pointer, level, number) of the pages below an interior page, last first, ready for a stack."""
        rows = [(Pointer.of(*fields), level - 1, number * C.PAGE_FANOUT + slot)
                for slot, fields in used_slots(page)]
        return [(pointer, below, child) for pointer, below, child in reversed(rows) if pointer]

    def leaf_items(self, page: bytes, number: int) -> Iterator[tuple[int, Slot]]:
        """(key, slot) of the used slots of a leaf."""
        for slot, fields in used_slots(page):
            yield number * C.PAGE_FANOUT + slot, fields

    def pages(self) -> Iterator[tuple[int, int, Pointer, bytes]]:
        """Every page as (level, number, pointer, bytes), parents before children."""
        pending: list[tuple[Pointer, int, int]] = []
        if self.root is not None:
            pending.append((self.root, self.levels - 1, 0))
        while pending:
            pointer, level, number = pending.pop()
            data = self.page(pointer, level, number)
            yield level, number, pointer, data
            if level:
                pending += self.children(data, level, number)

    def items(self) -> Iterator[tuple[int, Slot]]:
        """(key, slot) of every used leaf slot, ascending."""
        for level, number, _, data in self.pages():
            if level == 0:
                yield from self.leaf_items(data, number)


def used_slots(page: bytes) -> Iterator[tuple[int, Slot]]:
    """(number of the slot, fields) of the used slots of a page."""
    for number, fields in enumerate(_SLOT.iter_unpack(page)):
        if fields[0] or fields[1] or fields[2]:
            yield number, fields
