"""Payloads of every kind of object, taken apart: each byte belongs to one part, whatever the bytes are."""

from __future__ import annotations

import random

import pytest

from khoros.diskutil import codec, kinds, structures
from khoros.diskutil.values import LongString, Reference
from khoros.formats import constants as C


def array(*parts: object) -> bytes:
    return codec.head(len(parts), "array") + b"".join(map(codec.encode_scalar, parts))


PAYLOADS = {
    C.KIND_FUNCTION: array(Reference(3), 1, 90, 7, "Lua 5.5", Reference(4), Reference(5)),
    C.KIND_CHUNK: array("=x", LongString(9)),
    C.KIND_CELL: b"\xc0",
    C.KIND_TREE: kinds.encode_tree(kinds.TableTree(None, kinds.Part(1, [5, 6]), kinds.EMPTY_PART)),
    C.KIND_TREE_NODE: kinds.encode_string_piece(b"abc"),
    C.KIND_MAP: kinds.encode_map_root(kinds.MapRoot(3, 1, 8)),
    C.KIND_MAP_NODE: kinds.encode_map_node(kinds.MapNode([1, 2], ["k"])),
    C.KIND_TABLE: codec.encode_table([1, "a"], [("k", 2.5)], Reference(7)),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_every_byte_is_in_one_part(kind):
    data = PAYLOADS[kind]
    at = 0
    for part in structures.payload(kind, data):
        assert part.offset == at and part.length > 0 and part.name and part.text
        at += part.length
    assert at == len(data)


def test_parts_say_what_they_are():
    names = [(p.name, p.text) for p in structures.payload(C.KIND_FUNCTION, PAYLOADS[C.KIND_FUNCTION])]
    assert names == [("array", "7 elements"), ("chunk", "object 3"), ("prototype", "1"), ("dump_bytes", "90"),
                     ("dump_crc", "7"), ("release", '"Lua 5.5"'), ("cell", "object 4"), ("cell", "object 5")]
    assert [p.text for p in structures.payload(C.KIND_CHUNK, PAYLOADS[C.KIND_CHUNK])] == [
        "2 elements", '"=x"', "string 9"]


@pytest.mark.parametrize("kind", PAYLOADS)
def test_other_bytes_are_parts_too(kind, rng: random.Random):
    for _ in range(200):
        data = rng.randbytes(rng.randrange(1, 40))
        assert sum(part.length for part in structures.payload(kind, data)) >= len(data)
