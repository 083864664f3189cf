"""Objects that are made of several: whether a tree, an ordered map or a function holds together. For `check`.

Each returns the ids of the nodes that belong to it alone, or raises a KhorosError that says what is wrong. Only pieces of
strings may belong to several.
"""

from __future__ import annotations

from khoros.formats import constants as C

from . import kinds, trees
from .errors import ObjectError
from .ordered import walk
from .reader import Store

KINDS = frozenset((C.KIND_TREE, C.KIND_MAP, C.KIND_FUNCTION))


def check(store: Store, identity: int, pieces: dict[int, int]) -> list[int]:
    """The nodes of the object with that id, which is of one of KINDS. `pieces`: lengths of pieces of strings, kept here."""
    stored = store.read(identity)
    if stored.kind == C.KIND_TREE:
        return trees.TreeCheck(store, stored, pieces).own_ids
    if stored.kind == C.KIND_MAP:
        return _map(store, identity)
    function = kinds.decode_function(stored.payload)
    store.node(function.chunk, C.KIND_CHUNK)
    for cell in function.cells:
        store.node(cell, C.KIND_CELL)
    return []


def _map(store: Store, identity: int) -> list[int]:
    root = kinds.decode_map_root(store.read(identity).payload)
    nodes: list[int] = []
    count = sum(len(pairs) for pairs in walk(store, root, nodes))
    if count != root.pairs:
        raise ObjectError(id=identity, what="count of a map", expected=root.pairs, found=count)
    return nodes
