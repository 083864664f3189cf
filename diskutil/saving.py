"""What a commit of Python objects writes: new tables get ids, long strings and large tables become trees.

    changed objects → the new tables that they lead to, depth first → ids → one entry each, trees cut into pieces

Pure but for reading what stands in the store: nothing is remembered until the writer has made the entries durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from khoros.formats import constants as C

from . import codec, paths, trees
from .errors import CannotStore
from .functions import LuaFunction
from .ordered import LuaMap
from .values import FunctionReference, LongString, LuaObject, LuaTable, Reference
from .writer import Item

if TYPE_CHECKING:
    from .image import Session

Container = LuaTable | LuaMap


class Saving:
    """One commit being planned. `items` are its entries, `fresh` the new containers with their ids-to-be."""

    def __init__(self, session: Session, first_id: int, changed: Iterable[Container]) -> None:
        """CannotStore by path for what has no place in the store."""
        self._session = session
        self._changed = list(changed)
        self._where = self._find_fresh()
        self.next_id = first_id
        self.fresh = {id(value): (value, self.take()) for value in self._where}
        self._strings: dict[str | bytes, int] = {}
        # Tables that hold long strings in full: they are read again after the commit, as references.
        self.unload: list[Container] = []
        self.items: list[Item] = []
        self._deleted: list[int] = []
        for value in [*self._changed, *self._where]:
            self._add(value)
        self.items += [Item(identity, C.KIND_DELETE, b"") for identity in self._deleted]

    def take(self) -> int:
        """The next id."""
        self.next_id += 1
        return self.next_id - 1

    # -- what is new ------------------------------------------------------------------------------------------

    def _find_fresh(self) -> dict[Container, str]:
        """Containers that the changed ones reach and the store does not have yet, depth first, with their paths."""
        found: dict[Container, str] = {}
        for changed in self._changed:
            pending = list(_children(changed, self._path(changed)))[::-1]
            while pending:
                value, path = pending.pop()
                if value._session is self._session or value in found:
                    continue
                if value._session is not None:
                    raise CannotStore(path=path, what="a table of another image",
                                      advice="assign a copy")
                found[value] = path
                pending += list(_children(value, path))[::-1]
        return found

    def _path(self, value: Container) -> str:
        return paths.ROOT if value.id == C.ROOT_ID else f"object {value.id}"

    # -- entries ----------------------------------------------------------------------------------------------

    def _add(self, value: Container) -> None:
        path = self._where.get(value) or self._path(value)
        self._string_met = isinstance(value, LuaMap)
        identity = value.id if value.id is not None else self.fresh[id(value)][1]
        try:
            kind, payload = self._map(value) if isinstance(value, LuaMap) else self._table(value)
        except CannotStore as error:
            raise CannotStore(path=path, what=error.details.get("what", "")) from error
        if self._string_met:
            self.unload.append(value)
        if value.id is not None:
            before = self._session.store.read(identity)
            if before.payload == payload and before.kind == kind and before.pointer.kind:
                return
        self.items.append(Item(identity, kind, payload))

    def _map(self, value: LuaMap) -> tuple[int, bytes]:
        cut = value.plan(self._stored_form, self.take)
        self.items += [Item(node, C.KIND_MAP_NODE, payload) for node, payload in cut.written]
        self._deleted += cut.deleted
        return C.KIND_MAP, cut.payload

    def _table(self, value: LuaTable) -> tuple[int, bytes]:
        array, pairs, metatable = value.raw()
        array = [self._stored_form(item) for item in array]
        pairs = [(self._reference(key), self._stored_form(item)) for key, item in pairs]
        metatable = None if metatable is None else self._reference(metatable)
        old = self._old_nodes(value)
        whole = codec.encode_table(array, pairs)
        if len(whole) <= C.CHUNK_BYTES:
            self._deleted += [node.id for node in old]
            return C.KIND_TABLE, whole if metatable is None else whole + codec.encode_scalar(metatable)
        cut = trees.cut_table(array, pairs, metatable, old, self.take)
        self.items += [Item(node, C.KIND_TREE_NODE, payload) for node, payload in cut.written]
        self._deleted += cut.deleted
        return C.KIND_TREE, cut.payload

    def _old_nodes(self, value: LuaTable) -> list[trees.Piece]:
        pointer = None if value.id is None else self._session.store.pointer(value.id)
        if pointer is None or pointer.kind != C.KIND_TREE:
            return []
        assert value.id is not None
        return trees.Tree(self._session.store, self._session.store.read(value.id)).nodes

    # -- values -----------------------------------------------------------------------------------------------

    def _reference(self, value: Any) -> Any:
        """Tables and other objects as references; anything else as it is."""
        if isinstance(value, LuaFunction):
            assert value.id is not None
            return FunctionReference(value.id)
        if isinstance(value, LuaTable | LuaMap | LuaObject):
            return Reference(value.id if value.id is not None else self.fresh[id(value)][1])
        return value

    def _stored_form(self, value: Any) -> Any:
        """A value as a payload holds it: objects as references, long strings as trees."""
        if isinstance(value, str | bytes) and codec.string_bytes(value) > C.CHUNK_BYTES:
            self._string_met = True
            return LongString(self._string(value))
        return self._reference(value)

    def _string(self, text: str | bytes) -> int:
        found = self._strings.get(text)
        if found is None:
            found = self._strings[text] = self.take()
            cut = trees.cut_string(text, self.take)
            self.items.append(Item(found, C.KIND_TREE, cut.payload))
            self.items += [Item(node, C.KIND_TREE_NODE, payload) for node, payload in cut.written]
        return found


def _children(value: Container, path: str) -> Iterator[tuple[Container, str]]:
    if isinstance(value, LuaMap):
        for key, item in value.held_values():
            if isinstance(item, LuaTable | LuaMap):
                yield item, paths.text(path, key)
        return
    array, pairs, metatable = value.raw()
    for number, item in enumerate(array, 1):
        if isinstance(item, LuaTable | LuaMap):
            yield item, paths.text(path, number)
    for key, item in pairs:
        if isinstance(key, LuaTable | LuaMap):
            yield key, f"a key of {path}"
        if isinstance(item, LuaTable | LuaMap):
            yield item, paths.text(path, key)
    if isinstance(metatable, LuaTable):
        yield metatable, f"metatable of {path}"
