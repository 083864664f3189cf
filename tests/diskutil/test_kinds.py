"""The payloads of objects that are no plain tables: round trips, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from khoros.diskutil import codec, kinds
from khoros.diskutil.errors import ValueFormatError
from khoros.diskutil.kinds import (
    EMPTY_PART,
    Chunk,
    Function,
    MapNode,
    MapRoot,
    Part,
    StringTree,
    TableTree,
)
from khoros.diskutil.values import LongString, Permanent, Reference
from khoros.formats import constants as C


@pytest.mark.parametrize("tree", [
    StringTree(70_000, Part(1, [5, 6, 300])),
    TableTree(None, Part(2, [7]), EMPTY_PART),
    TableTree(Reference(9), EMPTY_PART, Part(1, [1 << 40])),
    TableTree(Permanent("Ship:2"), Part(1, [3]), Part(1, [4])),
])
def test_trees_come_back(tree):
    assert kinds.decode_tree(kinds.encode_tree(tree)) == tree


def test_maps_come_back():
    for root in (MapRoot(0, 0, None), MapRoot(3, 1, 8), MapRoot(1 << 33, 5, 1 << 20)):
        assert kinds.decode_map_root(kinds.encode_map_root(root)) == root
    node = MapNode([1, 2, 3, 4, 5, 6], [False, -3, 1.5, "a", b"\xff"])
    assert kinds.decode_map_node(kinds.encode_map_node(node)) == node


@pytest.mark.parametrize("length", [1, 255, 256, 65_535, 65_536])
def test_string_pieces_come_back(length):
    assert kinds.decode_string_piece(kinds.encode_string_piece(b"a" * length)) == b"a" * length


def array(*parts: bytes) -> bytes:
    return codec.head(len(parts), "array") + b"".join(parts)


def scalars(*values: Any) -> list[bytes]:
    return [codec.encode_scalar(value) for value in values]


def test_functions_chunks_and_cells():
    function = array(*scalars(Reference(5), 1, 200, 0xFFFFFFFF, "Lua 5.5", Reference(6), Reference(7)))
    assert kinds.decode_function(function) == Function(5, 1, 200, 0xFFFFFFFF, "Lua 5.5", [6, 7])
    assert kinds.references(C.KIND_FUNCTION, function) == [5, 6, 7]
    assert kinds.decode_chunk(array(*scalars("=x", "return 1"))) == Chunk("=x", "return 1")
    assert kinds.references(C.KIND_CHUNK, array(*scalars("=x", LongString(9)))) == [9]
    assert kinds.decode_cell(b"\xc0") is None
    assert kinds.references(C.KIND_CELL, codec.encode_scalar(Reference(4))) == [4]


REF = codec.encode_scalar(Reference(5))
BAD = {
    "a tree of a third sort": (kinds.decode_tree, array(b"\x02", b"\x01", b"\x01", array(REF))),
    "a string of no bytes": (kinds.decode_tree, array(b"\x00", b"\x00", b"\x01", array(REF))),
    "a string without pieces": (kinds.decode_tree, array(b"\x00", b"\x05", b"\x00", array())),
    "levels without children": (kinds.decode_tree, array(b"\x01", b"\xc0", b"\x02", array(), b"\x00", array())),
    "a metatable that is a number": (kinds.decode_tree, array(b"\x01", b"\x05", b"\x00", array(), b"\x00", array())),
    "a child that is a number": (kinds.decode_tree, array(b"\x00", b"\x05", b"\x01", array(b"\x05"))),
    "more children than bytes": (kinds.decode_tree, b"\x94\x00\x05\x01\xdd\xff\xff\xff\xff" + REF),
    "bytes behind a tree": (kinds.decode_tree, array(b"\x00", b"\x05", b"\x01", array(REF)) + b"\x00"),
    "a node without children": (kinds.decode_children, b"\x90"),
    "a long head": (kinds.decode_children, b"\xdc\x00\x01" + REF),
    "an empty piece of a string": (kinds.decode_string_piece, b"\xc4\x00"),
    "a piece in a long form": (kinds.decode_string_piece, b"\xc5\x00\x01a"),
    "a piece that ends early": (kinds.decode_string_piece, b"\xc4\x05a"),
    "an empty piece of an array": (kinds.decode_array_piece, b"\x90"),
    "an empty piece of a map": (lambda data: kinds.decode_map_piece(data, 0), b"\x80"),
    "a root without pairs": (kinds.decode_map_root, array(b"\x00", b"\x01", REF)),
    "pairs without a root": (kinds.decode_map_root, array(b"\x05", b"\x00", b"\xc0")),
    "as many keys as children": (kinds.decode_map_node, array(REF, b"\x01")),
    "a table as a key of a map": (kinds.decode_map_node, array(REF, REF, REF)),
    "a chunk without a text": (kinds.decode_chunk, array(*scalars("=x", 5))),
    "a function without a chunk": (kinds.decode_function, array(*scalars(1, 1, 2, 3, "Lua 5.5"))),
    "a checksum of 33 bits": (kinds.decode_function, array(*scalars(Reference(1), 1, 2, 1 << 32, "x"))),
    "two values in a cell": (kinds.decode_cell, b"\x01\x01"),
    "nothing": (kinds.decode_tree, b""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name):
    decode, data = BAD[name]
    with pytest.raises(ValueFormatError):
        decode(data)


def test_every_beginning_of_a_payload_is_refused():
    whole = kinds.encode_tree(TableTree(Reference(9), Part(1, [5, 6]), Part(1, [7])))
    for length in range(len(whole)):
        with pytest.raises(ValueFormatError):
            kinds.decode_tree(whole[:length])
