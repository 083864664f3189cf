"""Makes a whole store of salvaged objects: nothing refers to what is not there, and what was found is somewhere.

    a large table, ordered map or long string that lacks a piece ──▶ the same object made of the pieces that are left
    an object that is referred to and lost                       ──▶ a table that says so, under its id
    an upvalue that is lost                                      ──▶ nil;  a function without its source ──▶ such a table
    objects that only lost ones led to                           ──▶ root["lost+found"], by id

All other objects are given as they are, byte for byte. Promise: every reference of the result leads to an object, every
intact object is in it, and each change is named in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from khoros.formats import constants as C

from . import codec, composites, kinds, ordered, reader, trees
from .errors import KhorosError, NotFound, ObjectError
from .graph import Marks, walk
from .reader import StoredObject
from .records import Pointer
from .salvage import Salvage
from .values import LongString, Permanent, Reference, key_order
from .writer import Item

LOST_AND_FOUND = "lost+found"
_PARTS = frozenset((C.KIND_TREE_NODE, C.KIND_MAP_NODE, C.KIND_CHUNK, C.KIND_CELL))
_GAP = b"\n[a part of this string is lost]\n"
_Pairs = list[tuple[Any, Any]]


class Objects(reader.Store):
    """The salvaged objects and what replaces some of them, for everything that reads a store's objects."""

    def __init__(self, found: Salvage) -> None:
        self.device = found.device
        self._found = found
        self._changed: dict[int, tuple[int, bytes] | None] = {}
        self._next_id = found.next_id

    @property
    def next_id(self) -> int:
        """The next object id."""
        return self._next_id

    def take(self) -> int:
        """A new id."""
        self._next_id += 1
        return self._next_id - 1

    def reserve(self, ids: list[int]) -> None:
        """No new object gets one of these ids."""
        self._next_id = max([self._next_id, *(identity + 1 for identity in ids)])

    def put(self, identity: int, kind: int, payload: bytes) -> None:
        """The object with that id is this from now on."""
        self._changed[identity] = kind, payload

    def drop(self, identity: int) -> None:
        """There is no object with that id any more."""
        self._changed[identity] = None

    def pointer(self, identity: int) -> Pointer | None:
        """Kind and length; the place means something only for what was salvaged."""
        if identity in self._changed:
            new = self._changed[identity]
            return None if new is None else Pointer(0, new[0], len(new[1]), 0)
        return self._found.pointers.get(identity)

    def read(self, identity: int) -> StoredObject:
        """An object; NotFound if there is none."""
        new = self._changed.get(identity)
        pointer = self.pointer(identity)
        if pointer is None:
            raise NotFound(file=self.device.name, name=f"object {identity}")
        if new is not None:
            return StoredObject(identity, new[0], new[1], pointer)
        return self._found.read(identity)

    def tables(self, ids: list[int]) -> list[bytes | None]:
        """Each is to be read by itself."""
        return [None] * len(ids)

    def read_at(self, identity: int, pointer: Pointer) -> StoredObject:
        """An object, by its id alone."""
        return self.read(identity)

    def identities(self) -> list[int]:
        """All ids, ascending."""
        return sorted(i for i in self._found.pointers.keys() | self._changed.keys()
                      if self.pointer(i) is not None)

    def __contains__(self, identity: int) -> bool:
        return self.pointer(identity) is not None


class Mending:
    """One store being put together."""

    def __init__(self, found: Salvage) -> None:
        self.notes: list[str] = []
        self.in_lost_and_found = 0
        self._objects = Objects(found)
        self._composites: list[int] = []
        self._pieces: dict[int, int] = {}
        self._strings: list[str | bytes] = []
        self._drop_malformed()
        for identity in self._composites:
            self._mend(identity)
        self._fill_holes()
        complete = found.base is not None and not found.base.unknown and C.ROOT_ID in self._objects
        if not complete or found.lost or found.older or self.notes:
            self._gather()

    @property
    def next_id(self) -> int:
        """No object of the result has this id or a larger one."""
        return self._objects.next_id

    def items(self) -> Iterator[Item]:
        """The objects of the result, ascending by id."""
        for identity in self._objects.identities():
            stored = self._objects.read(identity)
            yield Item(identity, stored.kind, stored.payload)

    def _note(self, identity: int, text: str) -> None:
        self.notes.append(f"object {identity}: {text}")

    def _drop_malformed(self) -> None:
        """Bytes that are as they were written and are no value: a writer's fault. Also finds the composites, and ids that
        are mentioned: what has them may be lost, and nothing else may get them.
        """
        for identity in self._objects.identities():
            stored = self._objects.read(identity)
            try:
                self._objects.reserve(kinds.references(stored.kind, stored.payload))
            except KhorosError as error:
                self._note(identity, f"left out, it is no value ({error})")
                self._objects.drop(identity)
                continue
            if stored.kind in composites.KINDS:
                self._composites.append(identity)

    # -- objects made of several ------------------------------------------------------------------------------

    def _mend(self, identity: int) -> None:
        try:
            composites.check(self._objects, identity, self._pieces)
            return
        except KhorosError as error:
            reason = str(error)
        stored = self._objects.read(identity)
        if stored.kind == C.KIND_MAP:
            self._mend_map(stored, reason)
        elif stored.kind == C.KIND_FUNCTION:
            self._mend_function(stored)
        else:
            tree = kinds.decode_tree(stored.payload)
            if isinstance(tree, kinds.StringTree):
                self._mend_string(identity, tree)
            else:
                self._mend_table(identity, tree)

    def _leaves(self, levels: int, children: list[int], kind: int) -> Iterator[StoredObject | None]:
        """The leaves below some nodes, in order; None where one or more are lost. What is met is dropped."""
        pending = [(child, levels) for child in reversed(children)]
        while pending:
            identity, level = pending.pop()
            pointer = self._objects.pointer(identity)
            if pointer is None or pointer.kind != kind:
                yield None
                continue
            node = self._objects.read(identity)
            self._objects.drop(identity)
            if level <= 1:
                yield node
                continue
            try:
                below = kinds.decode_children(node.payload) if kind == C.KIND_TREE_NODE else (
                    kinds.decode_map_node(node.payload).children)
            except KhorosError:
                yield None  # an older version: a leaf where a node should be
                continue
            pending += [(child, level - 1) for child in reversed(below)]

    def _mend_string(self, identity: int, tree: kinds.StringTree) -> None:
        pieces = []
        for leaf in self._leaves(tree.part.levels, tree.part.children, C.KIND_TREE_NODE):
            try:
                pieces.append(kinds.decode_string_piece(leaf.payload) if leaf else _GAP)
            except KhorosError:
                pieces.append(_GAP)
        self._put_string(identity, b"".join(pieces) or _GAP)
        self._note(identity, f"a string of {tree.bytes} bytes that lacks a part")

    def _put_string(self, identity: int, text: bytes) -> None:
        cut = trees.cut_string(text, self._objects.take)
        self._objects.put(identity, C.KIND_TREE, cut.payload)
        self._put_nodes(cut.written, C.KIND_TREE_NODE)

    def _put_nodes(self, written: Iterable[tuple[int, bytes]], kind: int) -> None:
        for node, payload in written:
            self._objects.put(node, kind, payload)

    def _mend_table(self, identity: int, tree: kinds.TableTree) -> None:
        """The array part up to the first gap, and all pairs that are left; what follows a gap goes to lost+found."""
        array: list[Any] = []
        gap = False
        for leaf in self._leaves(tree.array.levels, tree.array.children, C.KIND_TREE_NODE):
            values = _array_of(leaf)
            gap = gap or values is None
            if values is not None and gap:
                self._put_table(self._objects.take(), values, [], None)
            elif values is not None:
                array += values
        pairs = [pair for leaf in self._leaves(tree.map.levels, tree.map.children, C.KIND_TREE_NODE)
                 for pair in _pairs_of(leaf)]
        self._put_table(identity, array, pairs, tree.metatable)
        self._note(identity, f"a large table that lacks a part; {len(array) + len(pairs)} values are left")

    def _put_table(self, identity: int, array: list[Any], pairs: _Pairs,
                   metatable: Reference | Permanent | None) -> None:
        array, pairs = _normal(array, pairs)
        whole = codec.encode_table(array, pairs)
        if len(whole) <= C.CHUNK_BYTES:
            self._objects.put(identity, C.KIND_TABLE, codec.encode_table(array, pairs, metatable))
            return
        cut = trees.cut_table(array, pairs, metatable, [], self._objects.take)
        self._objects.put(identity, C.KIND_TREE, cut.payload)
        self._put_nodes(cut.written, C.KIND_TREE_NODE)

    def _mend_map(self, stored: StoredObject, reason: str) -> None:
        root = kinds.decode_map_root(stored.payload)
        children = [] if root.root is None else [root.root]
        pairs = [pair for leaf in self._leaves(root.levels, children, C.KIND_MAP_NODE)
                 for pair in _pairs_of(leaf)]
        cut = ordered.cut_map(pairs, self._objects.take)
        self._objects.put(stored.id, C.KIND_MAP, cut.payload)
        self._put_nodes(cut.written, C.KIND_MAP_NODE)
        self._note(stored.id, f"an ordered map of {root.pairs} pairs that lacks a part ({reason})")

    def _mend_function(self, stored: StoredObject) -> None:
        function = kinds.decode_function(stored.payload)
        chunk = self._objects.pointer(function.chunk)
        if chunk is None or chunk.kind != C.KIND_CHUNK:
            self._put_placeholder(stored.id, "a function whose source is lost")
            return
        for cell in function.cells:
            pointer = self._objects.pointer(cell)
            if pointer is None or pointer.kind != C.KIND_CELL:
                self._objects.put(cell, C.KIND_CELL, kinds.NIL)
                self._note(stored.id, f"upvalue {cell} of this function is lost and now nil")

    # -- references to nothing --------------------------------------------------------------------------------

    def _put_placeholder(self, identity: int, what: str) -> None:
        self._put_table(identity, [], [("lost", f"object {identity}: {what}")], None)
        self._note(identity, f"{what}; a table that says so stands in its place")

    def _fill_holes(self) -> None:
        """What is referred to and not there: a string of a few words where a string was, else a table."""
        for identity in self._objects.identities():
            stored = self._objects.read(identity)
            missing = [child for child in kinds.references(stored.kind, stored.payload)
                       if child not in self._objects]
            if not missing:
                continue
            strings = _long_strings(stored)
            for child in missing:
                if child in strings:
                    self._put_string(child, f"[object {child}: a long string that is lost]".encode())
                    self._note(child, "a long string that is lost; words that say so stand in its place")
                elif child not in self._objects:
                    self._put_placeholder(child, "it is lost")

    # -- what nothing leads to --------------------------------------------------------------------------------

    def _gather(self) -> None:
        """Everything intact that the root does not lead to goes to lost+found: each by the object that leads to it."""
        objects = self._objects
        if C.ROOT_ID not in objects:
            self._put_table(C.ROOT_ID, [], [], None)
            self._note(C.ROOT_ID, "the root is lost; all objects are in lost+found")
        seen = Marks(objects.next_id)
        for _ in walk(objects, [C.ROOT_ID], seen):
            pass
        pairs: _Pairs = []
        for identity in self._tops([i for i in objects.identities() if i not in seen]):
            value = None if identity in seen else self._as_value(identity)
            if value is not None:
                pairs.append((identity, value))
                for _ in walk(objects, [identity], seen):
                    pass
        if pairs:
            self.in_lost_and_found = len(pairs)
            self._add_to_root(pairs)

    def _tops(self, ids: list[int]) -> list[int]:
        """The ids, those that no other of them refers to first; the parts of others last."""
        referred: set[int] = set()
        for identity in ids:
            stored = self._objects.read(identity)
            referred.update(kinds.references(stored.kind, stored.payload))
        return sorted(ids, key=lambda i: (self._objects.read(i).kind in _PARTS, i in referred, i))

    def _as_value(self, identity: int) -> Any:
        """What lost+found holds for an object: it itself; the contents of a part of another; None for an inner node."""
        stored = self._objects.read(identity)
        if stored.kind not in _PARTS:
            return Reference(identity)
        self._objects.drop(identity)
        if stored.kind == C.KIND_TREE_NODE and 0xC4 <= stored.payload[0] <= 0xC6:
            self._put_string(identity, kinds.decode_string_piece(stored.payload))
            return LongString(identity)
        array, pairs = _contents_of_part(stored)
        if not array and not pairs:
            return None
        self._put_table(identity, array, pairs, None)
        return Reference(identity)

    def _add_to_root(self, pairs: _Pairs) -> None:
        objects = self._objects
        table = objects.take()
        self._put_table(table, [], pairs, None)
        root = objects.read(C.ROOT_ID)
        if root.kind == C.KIND_TABLE:
            contents, nodes = codec.decode_table(root.payload), []
        else:
            tree = trees.Tree(objects, root)
            if tree.contents is None:
                raise ObjectError(file=objects.device.name, id=C.ROOT_ID, what="not a table")
            contents, nodes = tree.contents, tree.node_ids
        names = {key for key, _ in contents.pairs if isinstance(key, str)}
        name = LOST_AND_FOUND
        while name in names:
            name += "+"
        for node in nodes:
            objects.drop(node)
        self._put_table(C.ROOT_ID, contents.array, [*contents.pairs, (name, Reference(table))],
                        contents.metatable)


def _normal(array: list[Any], pairs: _Pairs) -> tuple[list[Any], _Pairs]:
    """As a table holds them: keys once, those that continue the array part in it."""
    held = {key_order(key): (key, value) for key, value in pairs}
    array = list(array)
    for number in range(1, len(array) + 1):
        held.pop(key_order(number), None)
    while key_order(len(array) + 1) in held:
        array.append(held.pop(key_order(len(array) + 1))[1])
    return array, list(held.values())


def _array_of(leaf: StoredObject | None) -> list[Any] | None:
    try:
        return kinds.decode_array_piece(leaf.payload) if leaf else None
    except KhorosError:
        return None  # an older version of that id: something else


def _pairs_of(leaf: StoredObject | None) -> _Pairs:
    try:
        return kinds.decode_map_piece(leaf.payload, 0) if leaf else []
    except KhorosError:
        return []  # an older version of that id: something else


def _contents_of_part(stored: StoredObject) -> tuple[list[Any], _Pairs]:
    """The values in a part of another object; nothing for a node that only leads to others."""
    if stored.kind == C.KIND_CELL:
        value = kinds.decode_cell(stored.payload)
        return ([] if value is None else [value]), []
    if stored.kind == C.KIND_CHUNK:
        chunk = kinds.decode_chunk(stored.payload)
        return [], [("name", chunk.name), ("text", chunk.text)]
    pairs = _pairs_of(stored)
    if pairs or stored.kind == C.KIND_MAP_NODE:
        return [], pairs
    array = _array_of(stored) or []
    inner = all(isinstance(value, Reference) for value in array)
    return ([] if inner else array), []


def _long_strings(stored: StoredObject) -> set[int]:
    """The ids that an object mentions as long strings."""
    if stored.kind == C.KIND_TABLE:
        contents = codec.decode_table(stored.payload)
        values = [*contents.array, *(value for _, value in contents.pairs)]
    elif stored.kind in _PARTS:
        array, pairs = _contents_of_part(stored)
        values = [*array, *(value for _, value in pairs)]
    else:
        values = []
    return {value.id for value in values if isinstance(value, LongString)}
