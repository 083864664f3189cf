"""New pages of an index for a checkpoint: copy-on-write, leaves before parents (SPEC 5).

Done in two steps, because a page's bytes contain the places of its children: `TreeUpdate` first says which pages will
be written (a page without any used slot is not), and, once their places are known, makes their bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from khoros.formats import POINTER, derive
from khoros.formats import constants as C

from . import entries
from .index import PAGE_BYTES, Index, page_id
from .records import Pointer

_SLOT = derive.packer(POINTER)
_SLOT_BYTES = _SLOT.size
_NOTHING = bytes(_SLOT_BYTES)
_EMPTY = bytes(PAGE_BYTES)

# Changes of one level: page number -> slot -> the slot's 16 bytes, None while a child's place is not known.
_Changes = dict[int, dict[int, bytes | None]]


class Page(NamedTuple):
    """A page to be written."""

    level: int
    number: int


def slot_bytes(pointer: Pointer | None) -> bytes:
    """A pointer as a slot holds it; zeros for none."""
    if pointer is None:
        return _NOTHING
    return _SLOT.pack(pointer.tag, pointer.payload_bytes, pointer.crc)


class TreeUpdate:
    """The change of one index. `changes` maps keys to the 16 bytes of their leaf slots (zeros to remove)."""

    def __init__(self, index: Index, changes: dict[int, bytes],
                 touched: Collection[tuple[int, int]] = ()) -> None:
        """`touched`: (level, number) of stored pages that are written anew although nothing in them changes."""
        self._index = index
        self._touched = touched
        self.levels = self._levels_after(changes)
        self._leaves: _Changes = {}
        for key in sorted(changes):
            self._leaves.setdefault(key >> 8, {})[key & 0xFF] = changes[key]
        self._add_touched(self._leaves, 0)
        self._changes = bool(changes or touched) and self.levels > 0
        self.pages: list[Page] = self._present() if self._changes else []

    def _add_touched(self, changes: _Changes, level: int) -> None:
        for where, number in self._touched:
            if where == level:
                changes.setdefault(number, {})

    def _levels_after(self, changes: dict[int, bytes]) -> int:
        used = [key for key, data in changes.items() if data != _NOTHING]
        largest = max(used, default=-1)
        levels = self._index.levels
        while largest >= 0 and (levels == 0 or largest >= C.PAGE_FANOUT**levels):
            levels += 1
        return levels

    def _old(self, level: int, number: int) -> bytes:
        """A page as of the last checkpoint; zeros for one that is not stored. A new level holds the old root."""
        index = self._index
        if index.root is None or level > index.levels or (level == index.levels and number):
            return _EMPTY
        if level == index.levels:
            return slot_bytes(index.root) + _EMPTY[_SLOT_BYTES:]
        pointer: Pointer | None = index.root
        for above in range(index.levels - 1, level - 1, -1):
            at = number >> (8 * (above - level))
            if pointer is None or (above == index.levels - 1 and at):
                return _EMPTY
            page = index.page(pointer, above, at)
            if above == level:
                return page
            slot = number >> (8 * (above - 1 - level)) & 0xFF
            pointer = Pointer.of(*_SLOT.unpack_from(page, slot * _SLOT_BYTES))
        return _EMPTY

    def _present(self) -> list[Page]:
        """The pages that will be stored, leaves first; marks the slots of those that vanish."""
        rows: list[Page] = []
        changes = self._leaves
        for level in range(self.levels):
            above: _Changes = {}
            self._add_touched(changes, level)
            if level == self._index.levels and level and self._index.root is not None:
                changes.setdefault(0, {})
            for number in sorted(changes):
                present = self._stays(level, number, changes[number])
                if present:
                    rows.append(Page(level, number))
                above.setdefault(number >> 8, {})[number & 0xFF] = None if present else _NOTHING
            changes = above
        return rows

    def _stays(self, level: int, number: int, slots: dict[int, bytes | None]) -> bool:
        if any(data is None or data != _NOTHING for data in slots.values()):
            return True
        page = bytearray(self._old(level, number))
        for slot in slots:
            page[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES] = _NOTHING
        return any(page)

    def build(self, offsets: list[int]) -> tuple[list[bytes], Pointer | None]:
        """The entries of `pages`, which come to stand at `offsets` (bytes), and the root's pointer."""
        if not self._changes:
            return [], self._index.root
        stored = dict(zip(self.pages, offsets, strict=True))
        built: list[bytes] = []
        changes = self._leaves
        for level in range(self.levels):
            above: _Changes = {}
            self._add_touched(changes, level)
            if level == self._index.levels and level and self._index.root is not None:
                changes.setdefault(0, {})
            for number in sorted(changes):
                pointer = None
                if Page(level, number) in stored:
                    data, pointer = self._entry(level, number, changes[number],
                                                stored[Page(level, number)])
                    built.append(data)
                above.setdefault(number >> 8, {})[number & 0xFF] = slot_bytes(pointer)
            changes = above
        root = changes[0][0]
        assert root is not None
        return built, Pointer.of(*_SLOT.unpack(root))

    def _entry(self, level: int, number: int, slots: dict[int, bytes | None],
               offset: int) -> tuple[bytes, Pointer]:
        page = bytearray(self._old(level, number))
        for slot, data in slots.items():
            page[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES] = data or _NOTHING
        payload = bytes(page)
        data, crc = entries.encode(self._index.kind, page_id(level, number), payload)
        return data, Pointer(offset // C.PLACE_UNIT_BYTES, self._index.kind, PAGE_BYTES, crc)
