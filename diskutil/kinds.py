"""What the objects that are no plain tables hold (SPEC 7): trees, ordered maps, functions, their sources and upvalues.

Pure: payload bytes in, named tuples out, and back. Promise: only the canonical form is accepted, anything else is a
ValueFormatError with the byte offset; work and memory are linear in the payload. Objects are mentioned by id; what
they are is for those to check who read them (trees.py, ordered.py, functions.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from khoros.formats import constants as C

from . import codec
from .errors import ValueFormatError
from .values import LongString, Permanent, Reference

NIL = b"\xc0"


class Part(NamedTuple):
    """The root of a tree's part: how many levels stand below, and the ids of its children."""

    levels: int
    children: list[int]


EMPTY_PART = Part(0, [])


class StringTree(NamedTuple):
    """A long string: how many bytes it has, and where they are."""

    bytes: int
    part: Part


class TableTree(NamedTuple):
    """A large table: its metatable, and where its array part and its map part are."""

    metatable: Reference | Permanent | None
    array: Part
    map: Part


class MapRoot(NamedTuple):
    """An ordered map: how many pairs, how many levels, the id of the root node (None when it is empty)."""

    pairs: int
    levels: int
    root: int | None


class MapNode(NamedTuple):
    """A node of an ordered map above the leaves: `keys[i]` stands between `children[i]` and `children[i + 1]`."""

    children: list[int]
    keys: list[Any]


class Chunk(NamedTuple):
    """A chunk: its name as `load` took it, and its source text."""

    name: str | bytes
    text: str | bytes | LongString


class Function(NamedTuple):
    """A function: which of a chunk's it is, what its compiled form was like, and its upvalues, by id."""

    chunk: int
    prototype: int
    dump_bytes: int
    dump_crc: int
    release: str | bytes
    cells: list[int]


def _bad(at: int, what: str, expected: object, found: object) -> NoReturn:
    raise ValueFormatError(what=what, offset=at, expected=expected, found=found)


class _Reading:
    """A payload that is read element by element."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def count(self, expected: int | None = None) -> int:
        """The head of an array; of that many elements, if that is known."""
        start = self.at
        count, self.at = codec.decode_count(self.data, start)
        if expected is not None and count != expected:
            _bad(start, "length of an array", expected, count)
        return count

    def value(self) -> Any:
        value, self.at = codec.decode_value(self.data, self.at)
        return value

    def nil(self) -> bool:
        """Whether nil stands here; if so it is passed over."""
        if self.data[self.at : self.at + 1] != NIL:
            return False
        self.at += 1
        return True

    def integer(self, what: str, least: int, most: int = (1 << 63) - 1) -> int:
        start, value = self.at, self.value()
        if type(value) is not int or not least <= value <= most:
            _bad(start, what, f"an integer from {least} to {most}", repr(value)[:40])
        return value

    def text(self, what: str) -> str | bytes:
        start, value = self.at, self.value()
        if not isinstance(value, str | bytes):
            _bad(start, what, "a string", type(value).__name__)
        return value

    def reference(self, what: str) -> int:
        start, value = self.at, self.value()
        if type(value) is not Reference:
            _bad(start, what, "a reference", type(value).__name__)
        return value.id

    def references(self, what: str, count: int) -> list[int]:
        if 3 * count > len(self.data) - self.at:
            _bad(self.at, f"{what} end early", f"{count} references", f"{len(self.data) - self.at} bytes")
        return [self.reference(what) for _ in range(count)]

    def end(self) -> None:
        if self.at != len(self.data):
            _bad(self.at, "bytes after the value", "the end", f"{len(self.data) - self.at} more bytes")


# -- trees ------------------------------------------------------------------------------------------------------


def decode_tree(data: bytes) -> StringTree | TableTree:
    """The payload of a KIND_TREE."""
    reading = _Reading(data)
    count = reading.count()
    kind = reading.integer("sort of a tree", C.TREE_STRING, C.TREE_TABLE)
    if count != (4 if kind == C.TREE_STRING else 6):
        _bad(0, "length of a tree", "4 for a string, 6 for a table", count)
    found: StringTree | TableTree
    if kind == C.TREE_STRING:
        length = reading.integer("bytes of a string", 1)
        found = StringTree(length, _part(reading))
        if not found.part.levels:
            _bad(0, "a string tree", "children", "none")
    else:
        found = TableTree(_metatable(reading), _part(reading), _part(reading))
    reading.end()
    return found


def _metatable(reading: _Reading) -> Reference | Permanent | None:
    if reading.nil():
        return None
    start, value = reading.at, reading.value()
    if type(value) is not Reference and type(value) is not Permanent:
        _bad(start, "the metatable", "a reference, a permanent or nil", type(value).__name__)
    return value


def _part(reading: _Reading) -> Part:
    start = reading.at
    levels = reading.integer("levels of a tree", 0, C.LEVELS_MAX)
    count = reading.count()
    if (levels == 0) != (count == 0):
        _bad(start, "a part of a tree", "children, or neither levels nor children",
             f"{levels} levels, {count} children")
    return Part(levels, reading.references("children of a tree", count))


def encode_tree(tree: StringTree | TableTree) -> bytes:
    """The payload of a KIND_TREE."""
    if isinstance(tree, StringTree):
        return b"".join([codec.head(4, "array"), codec.encode_scalar(C.TREE_STRING),
                         codec.encode_scalar(tree.bytes), _encode_part(tree.part)])
    metatable = NIL if tree.metatable is None else codec.encode_scalar(tree.metatable)
    return b"".join([codec.head(6, "array"), codec.encode_scalar(C.TREE_TABLE), metatable,
                     _encode_part(tree.array), _encode_part(tree.map)])


def _encode_part(part: Part) -> bytes:
    return codec.encode_scalar(part.levels) + encode_children(part.children)


def decode_children(data: bytes) -> list[int]:
    """The payload of a KIND_TREE_NODE above the leaves."""
    reading = _Reading(data)
    count = reading.count()
    if not count:
        _bad(0, "a node of a tree", "children", "none")
    children = reading.references("children of a node", count)
    reading.end()
    return children


def encode_children(children: list[int]) -> bytes:
    """References in an array, which is never packed."""
    return codec.head(len(children), "array") + b"".join(
        codec.encode_scalar(Reference(child)) for child in children)


def decode_string_piece(data: bytes) -> bytes:
    """A piece of a string: a bin, whatever its bytes."""
    codes = {0xC4: (1, 1), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16)}
    size, least = codes.get(data[0] if data else 0, (0, 0))
    length = int.from_bytes(data[1 : 1 + size], "big")
    if not size or length < least or len(data) != 1 + size + length:
        _bad(0, "a piece of a string", "a bin in its shortest form, not empty", data[:8].hex())
    return data[1 + size :]


def encode_string_piece(data: bytes) -> bytes:
    """The form that `decode_string_piece` reads."""
    size = 1 if len(data) < 1 << 8 else 2 if len(data) < 1 << 16 else 4
    return bytes([{1: 0xC4, 2: 0xC5, 4: 0xC6}[size]]) + len(data).to_bytes(size, "big") + data


def decode_array_piece(data: bytes) -> list[Any]:
    """A piece of an array part."""
    array, end = codec.decode_array(data)
    if end != len(data) or not array:
        _bad(end, "a piece of an array part", "values and the end", f"{len(data) - end} more bytes")
    return array


def decode_map_piece(data: bytes, forbidden: int) -> list[tuple[Any, Any]]:
    """A piece of a map part; no integer key from 1 to `forbidden`. Also a leaf of an ordered map (`forbidden` 0)."""
    pairs, end = codec.decode_map(data, 0, forbidden)
    if end != len(data) or not pairs:
        _bad(end, "a piece of a map part", "pairs and the end", f"{len(data) - end} more bytes")
    return pairs


# -- ordered maps -----------------------------------------------------------------------------------------------


def decode_map_root(data: bytes) -> MapRoot:
    """The payload of a KIND_MAP."""
    reading = _Reading(data)
    reading.count(3)
    count = reading.integer("count of a map", 0)
    levels = reading.integer("levels of a map", 0, C.MAP_LEVELS_MAX)
    root = None if reading.nil() else reading.reference("root of a map")
    reading.end()
    if (count == 0) != (root is None) or (levels == 0) != (root is None):
        _bad(0, "an ordered map", "a root if it has pairs, levels if it has a root",
             f"{count} pairs, {levels} levels")
    return MapRoot(count, levels, root)


def encode_map_root(root: MapRoot) -> bytes:
    """The payload of a KIND_MAP."""
    return b"".join([codec.head(3, "array"), codec.encode_scalar(root.pairs),
                     codec.encode_scalar(root.levels),
                     NIL if root.root is None else codec.encode_scalar(Reference(root.root))])


def decode_map_node(data: bytes) -> MapNode:
    """The payload of a KIND_MAP_NODE above the leaves."""
    reading = _Reading(data)
    count = reading.count()
    if not count & 1:
        _bad(0, "a node of a map", "one more child than keys", f"{count} elements")
    node = MapNode([reading.reference("child of a map")], [])
    for _ in range(count // 2):
        start, key = reading.at, reading.value()
        node.keys.append(_map_key(key, start))
        node.children.append(reading.reference("child of a map"))
    reading.end()
    return node


def _map_key(key: Any, at: int) -> Any:
    if not isinstance(key, bool | int | float | str | bytes):
        _bad(at, "key of a map", "a boolean, a number or a string", type(key).__name__)
    if type(key) is float and (key != key or codec.normal_key(key) != key):
        _bad(at, "key of a map", "no NaN", key)
    return key


def check_map_keys(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A leaf's pairs, if an ordered map can have their keys."""
    for key, _ in pairs:
        _map_key(key, 0)
    return pairs


def encode_map_node(node: MapNode) -> bytes:
    """The payload of a KIND_MAP_NODE above the leaves."""
    parts = [codec.head(2 * len(node.keys) + 1, "array"),
             codec.encode_scalar(Reference(node.children[0]))]
    for key, child in zip(node.keys, node.children[1:], strict=True):
        parts += [codec.encode_scalar(key), codec.encode_scalar(Reference(child))]
    return b"".join(parts)


# -- functions --------------------------------------------------------------------------------------------------


def decode_chunk(data: bytes) -> Chunk:
    """The payload of a KIND_CHUNK."""
    reading = _Reading(data)
    reading.count(2)
    name = reading.text("name of a chunk")
    start, text = reading.at, reading.value()
    if not isinstance(text, str | bytes | LongString):
        _bad(start, "text of a chunk", "a string", type(text).__name__)
    reading.end()
    return Chunk(name, text)


def decode_function(data: bytes) -> Function:
    """The payload of a KIND_FUNCTION."""
    reading = _Reading(data)
    count = reading.count()
    if not 5 <= count <= 5 + 255:
        _bad(0, "length of a function", "5 to 260", count)
    found = Function(reading.reference("chunk of a function"), reading.integer("prototype", 0),
                     reading.integer("dump_bytes", 0), reading.integer("dump_crc", 0, 0xFFFFFFFF),
                     reading.text("release of a function"), [])
    found.cells.extend(reading.references("cells of a function", count - 5))
    reading.end()
    return found


def decode_cell(data: bytes) -> Any:
    """The payload of a KIND_CELL: the upvalue's value, None for nil."""
    reading = _Reading(data)
    value = None if reading.nil() else reading.value()
    reading.end()
    return value


# -- all kinds --------------------------------------------------------------------------------------------------


def references(kind: int, data: bytes) -> list[int]:
    """The ids that an object of that kind mentions, in order. ValueFormatError if it is not canonical."""
    if kind == C.KIND_TABLE:
        return codec.table_references(data)
    if kind == C.KIND_TREE:
        tree = decode_tree(data)
        if isinstance(tree, StringTree):
            return tree.part.children
        return codec.ids_of([tree.metatable]) + tree.array.children + tree.map.children
    if kind == C.KIND_TREE_NODE:
        return _tree_node_references(data)
    if kind == C.KIND_MAP:
        root = decode_map_root(data).root
        return [] if root is None else [root]
    if kind == C.KIND_MAP_NODE:
        return _map_node_references(data)
    if kind == C.KIND_CHUNK:
        return codec.ids_of(decode_chunk(data))
    if kind == C.KIND_FUNCTION:
        function = decode_function(data)
        return [function.chunk, *function.cells]
    return codec.ids_of([decode_cell(data)])


def _is_map(data: bytes) -> bool:
    return bool(data) and (0x80 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF))


def _tree_node_references(data: bytes) -> list[int]:
    if data and 0xC4 <= data[0] <= 0xC6:
        decode_string_piece(data)
        return []
    if _is_map(data):
        return [i for pair in decode_map_piece(data, 0) for i in codec.ids_of(pair)]
    return codec.ids_of(decode_array_piece(data))


def _map_node_references(data: bytes) -> list[int]:
    if _is_map(data):
        return [i for pair in check_map_keys(decode_map_piece(data, 0)) for i in codec.ids_of(pair)]
    return decode_map_node(data).children
