"""Where objects are: the path by which the root leads to an object, and what stands at which path of a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from khoros.formats import constants as C

from . import kinds, paths
from .functions import LuaFunction
from .graph import Bad, Marks, walk
from .image import Image
from .ordered import LuaMap
from .values import LuaObject, LuaTable, key_order

OBJECTS = (LuaTable, LuaMap, LuaObject)
# Objects that are parts of others, and have no place of their own in a path.
_PARTS = frozenset((C.KIND_TREE_NODE, C.KIND_MAP_NODE, C.KIND_CHUNK, C.KIND_CELL))


class Places:
    """Paths of containers, from a walk that goes on until every id that is wanted was met."""

    def __init__(self, image: Image, wanted: set[int], bad: Bad | None = None) -> None:
        """`owners` are the containers that are in `wanted` or have a part in it, in the order of the walk."""
        self._image = image
        self._parents: dict[int, tuple[int, int]] = {}
        self._children: dict[int, dict[int, str]] = {}
        self.owners: dict[int, None] = {}
        left = set(wanted)
        for visit in walk(image.store, [C.ROOT_ID], Marks(image.store.next_id), bad) if left else ():
            self._parents[visit.id] = visit.parent, visit.kind
            if visit.id in left:
                left.discard(visit.id)
                self.owners[self._owner(visit.id)] = None
            if not left:
                break

    def owner(self, identity: int) -> int | None:
        """The container that an object is a part of: itself, or the nearest above; None if it was not met."""
        return self._owner(identity) if identity in self._parents else None

    def _owner(self, identity: int) -> int:
        """The container that an object is a part of: itself, or the nearest above."""
        parent, kind = self._parents[identity]
        while parent and (kind in _PARTS or (kind == C.KIND_TREE and self._is_string(identity))):
            identity = parent
            parent, kind = self._parents[identity]
        return identity

    def _is_string(self, identity: int) -> bool:
        return isinstance(kinds.decode_tree(self._image.store.read(identity).payload), kinds.StringTree)

    def path(self, identity: int) -> str:
        """`root.ship` for a container that was met."""
        chain = [identity]
        while self._parents[chain[-1]][0]:
            chain.append(self._owner(self._parents[chain[-1]][0]))
        path = paths.ROOT
        for owner, child in zip(chain[:0:-1], chain[-2::-1], strict=True):
            path = self._labels(owner, path).get(child, f"object {child}")
        return path

    def _labels(self, owner: int, path: str) -> dict[int, str]:
        """The paths of all objects that a container holds, first places first."""
        found = self._children.get(owner)
        if found is None:
            found = self._children[owner] = {}
            container = self._image.object(owner)
            for _, where, value in members(container, path):
                if isinstance(value, OBJECTS) and value.id is not None:
                    found.setdefault(value.id, where)
            for key in container if isinstance(container, LuaTable) else ():
                if isinstance(key, OBJECTS) and key.id is not None:
                    found.setdefault(key.id, f"a key of {path}")
        return found


def members(container: Any, path: str) -> Iterator[tuple[Any, str, Any]]:
    """Everything in a container: pairs and metatable, of a function its text and upvalues.

    (what tells the member from the others of its container, path, value)
    """
    if isinstance(container, LuaFunction):
        yield "text", f"text of {path}", container.text
        yield "prototype", f"prototype of {path}", container.prototype
        for number, value in enumerate(container.upvalues, 1):
            if value is not None:
                yield number, f"upvalue {number} of {path}", value
        return
    if not isinstance(container, LuaTable | LuaMap):
        return
    for key, value in container.items():
        yield key_order(key), paths.text(path, key), value
    if isinstance(container, LuaTable) and container.metatable is not None:
        yield "metatable", f"metatable of {path}", container.metatable
