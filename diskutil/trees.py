"""Long strings and large tables: put together from their pieces, and cut into pieces (SPEC 7, KIND_TREE).

Reading: `Tree.read` follows every piece once, checks levels, order and lengths, and costs what the pieces cost: an id
that comes twice is an error, so a tree cannot be larger than the image. Writing: `cut_table` and `cut_string` give the
new entries, in which pieces that are as they were keep their ids and are not written, and name the nodes that are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import constants as C

from . import codec, kinds
from .errors import KhorosError, ObjectError
from .kinds import EMPTY_PART, Part, StringTree, TableTree
from .reader import Store, StoredObject
from .values import Contents, key_order, normal_string

_HEAD_MAX = 5


class Piece(NamedTuple):
    """A leaf or node of a tree as it stands in the store. `mark` is what its successor is recognised by."""

    id: int
    payload: bytes
    mark: object


class Tree:
    """One tree that was read: what it holds, and its nodes for a writer that changes it."""

    def __init__(self, store: Store, stored: StoredObject) -> None:
        """Read all of it. ObjectError with the id of what is bad."""
        self._store = store
        self._root_id = stored.id
        self._seen: set[int] = {stored.id}
        self.nodes: list[Piece] = []
        self.contents: Contents | None = None
        self.text: str | bytes | None = None
        with _Blamed(store, stored):
            root = kinds.decode_tree(stored.payload)
        if isinstance(root, StringTree):
            self.text = self._string(stored, root)
        else:
            self.contents = self._table(stored, root)

    @property
    def node_ids(self) -> list[int]:
        """The ids of all nodes, the root not counted."""
        return [*self._seen - {self._root_id}]

    # -- walking ----------------------------------------------------------------------------------------------

    def _leaves(self, part: Part) -> Iterable[StoredObject]:
        """The leaves of a part in order."""
        return map(self._read, self._leaf_ids(part))

    def _leaf_ids(self, part: Part) -> Iterable[int]:
        """The ids of the leaves of a part in order. Nodes above them are noted in `nodes` on the way."""
        pending = [(child, part.levels) for child in reversed(part.children)]
        while pending:
            identity, level = pending.pop()
            self._meet(identity)
            if level == 1:
                yield identity
                continue
            node = self._read(identity)
            with _Blamed(self._store, node):
                children = kinds.decode_children(node.payload)
            self.nodes.append(Piece(identity, node.payload, ("above", level - 1, children[0])))
            pending += [(child, level - 1) for child in reversed(children)]

    def _meet(self, identity: int) -> None:
        if identity in self._seen:
            raise ObjectError(file=self._store.device.name, id=identity,
                              what="it stands twice in a tree")
        self._seen.add(identity)

    def _read(self, identity: int) -> StoredObject:
        return self._store.node(identity, C.KIND_TREE_NODE)

    def _string(self, stored: StoredObject, root: StringTree) -> str | bytes:
        pieces: list[bytes] = []
        length = 0
        for leaf in self._leaves(root.part):
            with _Blamed(self._store, leaf):
                pieces.append(kinds.decode_string_piece(leaf.payload))
            length += len(pieces[-1])
            if length > root.bytes:
                break
        self._check_length(stored, root, length)
        return normal_string(b"".join(pieces))

    def _check_length(self, stored: StoredObject, root: StringTree, length: int) -> None:
        if length != root.bytes:
            raise ObjectError(file=self._store.device.name, id=stored.id, what="bytes of a string",
                              expected=root.bytes, found=length)

    def _table(self, stored: StoredObject, root: TableTree) -> Contents:
        array: list[Any] = []
        for leaf in self._leaves(root.array):
            with _Blamed(self._store, leaf):
                values = kinds.decode_array_piece(leaf.payload)
            self.nodes.append(Piece(leaf.id, leaf.payload, ("array", len(array))))
            array += values
        pairs: list[tuple[Any, Any]] = []
        for leaf in self._leaves(root.map):
            with _Blamed(self._store, leaf):
                more = kinds.decode_map_piece(leaf.payload, len(array) + 1)
                if pairs and not key_order(pairs[-1][0]) < key_order(more[0][0]):
                    raise ObjectError(id=leaf.id, what="keys out of order over two pieces")
            self.nodes.append(Piece(leaf.id, leaf.payload, ("map", key_order(more[-1][0]))))
            pairs += more
        return Contents(array, pairs, root.metatable)


class TreeCheck(Tree):
    """A tree as `check` looks at it: of a string only the lengths of its pieces, each read once for all strings."""

    def __init__(self, store: Store, stored: StoredObject, lengths: dict[int, int]) -> None:
        """`lengths`: of the pieces that were looked at so far. ObjectError with the id of what is bad."""
        self._lengths = lengths
        super().__init__(store, stored)

    @property
    def own_ids(self) -> list[int]:
        """The ids of the nodes that can be part of no other tree: all but the pieces of a string."""
        return self.node_ids if self.text is None else [node.id for node in self.nodes]

    def _string(self, stored: StoredObject, root: StringTree) -> str:
        length = 0
        for identity in self._leaf_ids(root.part):
            if identity not in self._lengths:
                leaf = self._read(identity)
                with _Blamed(self._store, leaf):
                    self._lengths[identity] = len(kinds.decode_string_piece(leaf.payload))
            length += self._lengths[identity]
        self._check_length(stored, root, length)
        return ""


class _Blamed:
    """A context in which what a payload is refused for becomes an error of the object that has it."""

    def __init__(self, store: Store, stored: StoredObject) -> None:
        self._store, self._stored = store, stored

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KhorosError) and not isinstance(error, ObjectError):
            raise ObjectError(
                file=self._store.device.name, id=self._stored.id,
                offset=self._store.device.base + self._stored.pointer.offset,
                what=str(error)) from error


# -- cutting ----------------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """How a value comes to stand: payload of the KIND_TREE, (id, payload) of nodes to write, ids of nodes to delete."""

    payload: bytes
    written: list[tuple[int, bytes]]
    deleted: list[int]


class _Cutting:
    """One value being cut. Ids come from the old node with the same mark, or from `take`."""

    def __init__(self, old: Sequence[Piece], take: Callable[[], int]) -> None:
        self._old = {piece.mark: piece for piece in old}
        self._all = {piece.id for piece in old}
        self._take = take
        self.written: list[tuple[int, bytes]] = []
        self._kept: set[int] = set()

    def node(self, mark: object, payload: bytes) -> int:
        """The id of the node with that payload; it is written unless it stands there already."""
        before = self._old.pop(mark, None)
        if before is None:
            identity = self._take()
        else:
            identity = before.id
            self._kept.add(identity)
        if before is None or before.payload != payload:
            self.written.append((identity, payload))
        return identity

    def deleted(self) -> list[int]:
        """Old nodes that no new one took over."""
        return sorted(self._all - self._kept)

    def levels(self, leaves: list[tuple[int, int]]) -> Part:
        """The part above some leaves (id, low zero bits of their last key's hash, or -1 where only FANOUT counts)."""
        if not leaves:
            return EMPTY_PART
        level, row = 1, leaves
        while True:
            groups = _groups(row, (level + 1) * C.TREE_HASH_BITS)
            if len(groups) == 1:
                return Part(level, [identity for identity, _ in row])
            row = [(self.node(("above", level, group[0][0]),
                              kinds.encode_children([identity for identity, _ in group])), group[-1][1])
                   for group in groups]
            level += 1


def _groups(row: list[tuple[int, int]], zeros: int) -> list[list[tuple[int, int]]]:
    groups: list[list[tuple[int, int]]] = [[]]
    for child in row:
        if groups[-1] and (len(groups[-1]) == C.TREE_FANOUT or groups[-1][-1][1] >= zeros):
            groups.append([])
        groups[-1].append(child)
    return groups


def cut_string(text: str | bytes, take: Callable[[], int]) -> Cut:
    """A long string as a tree of new nodes."""
    data = text.encode("utf-8") if isinstance(text, str) else text
    cutting = _Cutting([], take)
    size = C.TREE_LEAF_BYTES
    leaves = [(cutting.node(("string", at), kinds.encode_string_piece(data[at : at + size])), -1)
              for at in range(0, len(data), size)]
    part = cutting.levels(leaves)
    return Cut(kinds.encode_tree(StringTree(len(data), part)), cutting.written, [])


def cut_table(array: list[Any], pairs: list[tuple[Any, Any]], metatable: Any, old: Sequence[Piece],
              take: Callable[[], int]) -> Cut:
    """A large table as a tree, in stored form; `old` are the nodes that it had."""
    cutting = _Cutting(old, take)
    leaves = [(cutting.node(("array", first), payload), -1) for first, payload in _array_pieces(array)]
    array_part = cutting.levels(leaves)
    leaves = [(cutting.node(("map", key_order(key)), payload), zeros)
              for key, zeros, payload in _map_pieces(pairs)]
    map_part = cutting.levels(leaves)
    payload = kinds.encode_tree(TableTree(metatable, array_part, map_part))
    return Cut(payload, cutting.written, cutting.deleted())


def _array_pieces(array: list[Any]) -> Iterable[tuple[int, bytes]]:
    """(index of the first from 0, payload) of each piece."""
    if not array:
        return
    size = 1 << (len(array) - 1).bit_length()
    pending = [(0, size)]
    while pending:
        first, size = pending.pop()
        values = array[first : first + size]
        if not values:
            continue
        payload = codec.encode_array(values)
        if len(payload) > C.TREE_LEAF_BYTES and size > 1:
            pending += [(first + size // 2, size // 2), (first, size // 2)]
        else:
            yield first, payload


def _map_pieces(pairs: list[tuple[Any, Any]]) -> Iterable[tuple[Any, int, bytes]]:
    """(last key, low zero bits of its hash, payload) of each piece."""
    held: list[tuple[Any, Any]] = []
    held_bytes = _HEAD_MAX
    zeros = 0
    for key, value in sorted(pairs, key=lambda pair: key_order(pair[0])):
        encoded = codec.encode_scalar(key)
        size = len(encoded) + len(codec.encode_scalar(value))
        if held and held_bytes + size > C.TREE_LEAF_BYTES:
            yield held[-1][0], zeros, codec.encode_map(held)
            held, held_bytes = [], _HEAD_MAX
        held.append((key, value))
        held_bytes += size
        zeros = _low_zeros(crc32c(encoded))
        if zeros >= C.TREE_HASH_BITS:
            yield key, zeros, codec.encode_map(held)
            held, held_bytes = [], _HEAD_MAX
    if held:
        yield held[-1][0], zeros, codec.encode_map(held)


def _low_zeros(value: int) -> int:
    return 32 if value == 0 else (value & -value).bit_length() - 1
