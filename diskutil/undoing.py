"""Takes one transaction back, as changes of the present: a three-way merge, key by key.

    before = the state that the transaction found, after = the one that it left, now = the present
    a place that it changed and that is still as it left it  →  becomes as it found it
    a place that was changed again since                     →  a conflict, by path; then nothing is changed at all

An array part is one place, because what stands in it shifts. Objects that the transaction removed and that have been taken
away as garbage since come back as copies, with new ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import paths
from .differences import changed_owners
from .errors import CannotUndo
from .ordered import LuaMap
from .values import LuaObject, LuaTable, key_order

if TYPE_CHECKING:
    from .image import Image

_NOTHING = object()


class _Place:
    """A place in a table that is no key."""

    def __init__(self, name: str) -> None:
        self.name = name


_ARRAY, _METATABLE = _Place("array part"), _Place("metatable")


class Undoing:
    """One transaction being taken back in an image without uncommitted changes."""

    def __init__(self, now: Image, before: Image, after: Image) -> None:
        self._now, self._before, self._after = now, before, after
        self._copies: dict[int, Any] = {}
        self._unfilled: list[LuaTable | LuaMap] = []
        self._changes: list[tuple[LuaTable | LuaMap, Any, Any]] = []
        self._conflicts: list[str] = []

    def run(self) -> bool:
        """Change the present's tables; whether anything was changed. CannotUndo by path, and nothing is."""
        for identity, path in changed_owners(self._before, self._after):
            if self._now.store.pointer(identity) is not None:
                self._compare(identity, path)
        self._fill_copies()
        if self._conflicts:
            raise CannotUndo(path=self._conflicts[0], what="it was changed again since",
                             found=f"{len(self._conflicts)} such places")
        for container, place, value in self._changes:
            _put(container, place, value)
        return bool(self._changes)

    def _compare(self, identity: int, path: str) -> None:
        now, before, after = (image.object(identity) for image in
                              (self._now, self._before, self._after))
        if not isinstance(now, LuaTable | LuaMap):
            raise CannotUndo(path=path, what="an upvalue of a function was changed",
                             advice="undo it in the guest")
        old, new, current = _places(before), _places(after), _places(now)
        for place in old.keys() | new.keys():
            was, became = old.get(place, _NOTHING), new.get(place, _NOTHING)
            if _same(was, became):
                continue
            current_value = current.get(place, _NOTHING)
            if _same(current_value, was):
                continue
            if not _same(current_value, became):
                self._conflicts.append(_text(path, (new if place in new else old)[place][0]))
                continue
            key = (old if place in old else new)[place][0]
            self._changes.append((now, key, self._graft(was)))

    # -- bringing values of the past here -----------------------------------------------------------------------

    def _graft(self, held: Any) -> Any:
        if held is _NOTHING:
            return _NOTHING
        key, value = held
        return [self._value(item) for item in value] if key is _ARRAY else self._value(value)

    def _value(self, value: Any) -> Any:
        """The present's object with the same id; a copy of one that is gone, which `_fill_copies` fills."""
        if not isinstance(value, LuaTable | LuaMap | LuaObject) or value.id is None:
            return value
        if self._now.store.pointer(value.id) is not None:
            return self._now.object(value.id)
        if isinstance(value, LuaObject):
            raise CannotUndo(path=f"object {value.id}", what="a function that is gone",
                             advice="undo it in the guest")
        if value.id not in self._copies:
            self._copies[value.id] = type(value)()
            self._unfilled.append(value)
        return self._copies[value.id]

    def _fill_copies(self) -> None:
        while self._unfilled:
            gone = self._unfilled.pop()
            copy = self._copies[gone.identity]
            for key, value in gone.items():
                copy[self._value(key)] = self._value(value)
            if isinstance(gone, LuaTable) and gone.metatable is not None:
                copy.metatable = self._value(gone.metatable)


def _places(container: Any) -> dict[Any, tuple[Any, Any]]:
    """place → (key, value); the array part is one place, the metatable another."""
    if isinstance(container, LuaMap):
        return {key_order(key): (key, value) for key, value in container.items()}
    length = len(container.array)
    found: dict[Any, tuple[Any, Any]] = {
        key_order(key): (key, value) for key, value in container.items()
        if not (type(key) is int and 1 <= key <= length)}
    if length:
        found[_ARRAY] = _ARRAY, list(container.array)
    if container.metatable is not None:
        found[_METATABLE] = _METATABLE, container.metatable
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two held pairs are the same for a program: objects by id, numbers by type."""
    if one is _NOTHING or other is _NOTHING:
        return one is other
    return _same_value(one[1], other[1])


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same_value, a, b))
    if isinstance(a, LuaTable | LuaMap | LuaObject) or isinstance(b, LuaTable | LuaMap | LuaObject):
        return getattr(a, "id", None) == getattr(b, "id", _NOTHING)
    return type(a) is type(b) and repr(a) == repr(b)


def _text(path: str, key: Any) -> str:
    return f"{key.name} of {path}" if isinstance(key, _Place) else paths.text(path, key)


def _put(container: LuaTable | LuaMap, key: Any, value: Any) -> None:
    if key is _ARRAY and isinstance(container, LuaTable):
        for number in range(len(container.array), 0, -1):
            del container[number]
        for item in [] if value is _NOTHING else value:
            container.array.append(item)
    elif key is _METATABLE and isinstance(container, LuaTable):
        container.metatable = None if value is _NOTHING else value
    elif value is _NOTHING:
        del container[key]
    else:
        container[key] = value
