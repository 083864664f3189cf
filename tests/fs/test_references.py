"""The scanner of references: it accepts what the codec accepts, finds the ids that the codec finds, kind by kind."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import codec as python_codec
from khoros.formats import constants as C
from tests.fs.test_codec import metatables, tables
from tests.support import lua as lua_support

_GLUE = b"""
local references <const>, codec <const> = require "fs.references", require "fs.codec"
local function scan(kind, payload)
  local found, err = references.scan(kind, payload, {count = 0})
  if not found then return nil, err end
  assert(found.count == #found)
  return found
end
local function decode(payload)
  local found = {}
  local function note(id)
    found[#found + 1] = id
    return {}
  end
  local function text(id)
    note(id)
    return ""
  end
  local function callable(id)
    note(id)
    return print
  end
  local permanents <const> = setmetatable({}, {__index = function() return note end})
  local links <const> = {objects = {}, make = note, string = text, callable = callable, permanents = permanents}
  local ok, err = codec.decode(payload, {}, links)
  if not ok then return nil, err end
  return found
end
return scan, decode
"""
SCAN, DECODE = lua_support.runtime().execute(_GLUE)


class Refused(Exception):
    """What the scanner said; `.offset`."""

    def __init__(self, err: Any) -> None:
        super().__init__(err[b"message"].decode(errors="replace"))
        self.offset: int = err[b"offset"]
        assert err[b"code"] == b"malformed"


def scan(kind: int, payload: bytes) -> list[int]:
    """The ids in the payload of an object of that kind."""
    result = SCAN(kind, payload)
    if isinstance(result, tuple):
        raise Refused(result[1])
    return [result[at] for at in range(1, result[b"count"] + 1)]


def agree(payload: bytes) -> bool:
    """Scanner and codec say the same of a table; whether they accept it."""
    ours, theirs = SCAN(C.KIND_TABLE, payload), DECODE(payload)
    accepted = not isinstance(theirs, tuple)
    assert accepted == (not isinstance(ours, tuple)), (payload, ours, theirs)
    if accepted:
        assert scan(C.KIND_TABLE, payload) == [theirs[at] for at in range(1, len(theirs) + 1)]
    elif b" elements in " not in ours[1][b"message"]:
        # A count beyond the end is refused before its elements are looked at, of which one may be wrong as well.
        assert ours[1][b"offset"] == theirs[1][b"offset"]
    return accepted


@given(tables(), metatables)
def test_tables_as_the_codec_sees_them(table: Any, metatable: Any):
    array, pairs = table
    assert agree(python_codec.encode_table(array, pairs, metatable))


def test_a_long_string_stands_in_full_as_a_key_only():
    long = b"\xdb" + (C.CHUNK_BYTES + 1).to_bytes(4, "big") + b"a" * (C.CHUNK_BYTES + 1)
    assert agree(b"\x90\x81" + long + b"\x01")
    assert not agree(b"\x90\x81\x01" + long)
    assert not agree(b"\x90\x81" + long[:-1])


@given(tables(), metatables, st.randoms(use_true_random=False))
def test_damaged_tables_are_refused_where_the_codec_refuses_them(table: Any, metatable: Any, source: random.Random):
    payload = bytearray(python_codec.encode_table(*table, metatable))
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(len(payload) + 1)
        change = source.randrange(3)
        if change == 0:
            payload[at:at + 1] = bytes([source.choice([0, 1, 0x7F, 0x80, 0xA1, 0xC0, 0xC7, 0xD4, 0xD5, 0xFF,
                                                       source.randrange(256)])])
        elif change == 1:
            del payload[at:at + source.randrange(3)]
        else:
            payload[at:at] = source.randbytes(source.randrange(1, 3))
    agree(bytes(payload))


REF, LONG, NAME, CODE = b"\xd4\1\7", b"\xd4\4\x08", b"\xc7\5\2print", b"\xd4\5\x09"
BIG = b"\xdb\0\1\0\1" + b"a" * 65_537
PACKED = b"\xc7\x11\3\1" + bytes(range(16))

ACCEPTED: list[tuple[int, bytes, list[int]]] = [
    (C.KIND_TABLE, b"\x91" + LONG + b"\x80", [8]),
    (C.KIND_TABLE, b"\x90\x81" + REF + LONG + REF, [7, 8, 7]),
    (C.KIND_TABLE, b"\x91" + CODE + b"\x82" + REF + CODE + CODE + REF, [9, 7, 9, 9, 7]),
    (C.KIND_TABLE, b"\x90\x81" + BIG + b"\1", []),
    (C.KIND_CELL, CODE, [9]),
    (C.KIND_TREE, b"\x94\0\xce\0\1\0\1\1\x92" + REF + REF, [7, 7]),
    (C.KIND_TREE, b"\x96\1\xc0\1\x91" + REF + b"\0\x90", [7]),
    (C.KIND_TREE, b"\x96\1" + NAME + b"\0\x90\2\x91" + REF, [7]),
    (C.KIND_TREE, b"\x96\1" + REF + b"\0\x90\0\x90", [7]),
    (C.KIND_TREE_NODE, b"\xc4\1a", []),
    (C.KIND_TREE_NODE, b"\xc4\1\xff", []),
    (C.KIND_TREE_NODE, PACKED, []),
    (C.KIND_TREE_NODE, b"\x92" + REF + b"\1", [7]),
    (C.KIND_TREE_NODE, b"\x82\xc2\1\5" + LONG, [8]),
    (C.KIND_TREE_NODE, b"\x81" + REF + REF, [7, 7]),
    (C.KIND_MAP, b"\x93\0\0\xc0", []),
    (C.KIND_MAP, b"\x93\5\1" + REF, [7]),
    (C.KIND_MAP_NODE, b"\x80", []),
    (C.KIND_MAP_NODE, b"\x82\1" + REF + b"\xa1a" + LONG, [7, 8]),
    (C.KIND_MAP_NODE, b"\x93" + REF + b"\5" + REF, [7, 7]),
    (C.KIND_MAP_NODE, b"\x91" + REF, [7]),
    (C.KIND_CHUNK, b"\x92\xa2=x\xa8return 1", []),
    (C.KIND_CHUNK, b"\x92\xc4\1\xff" + LONG, [8]),
    (C.KIND_FUNCTION, b"\x95" + REF + b"\0\x20\xce\xff\xff\xff\xff\xa7Lua 5.5", [7]),
    (C.KIND_FUNCTION, b"\x97" + REF + b"\1\x20\0\xa7Lua 5.5" + REF + REF, [7, 7, 7]),
    (C.KIND_CELL, b"\xc0", []),
    (C.KIND_CELL, REF, [7]),
    (C.KIND_CELL, LONG, [8]),
    (C.KIND_CELL, b"\xa1a", []),
]

REFUSED: list[tuple[int, bytes, int]] = [
    (C.KIND_TABLE, b"", 0),
    (C.KIND_TABLE, b"\x90", 1),
    (C.KIND_TABLE, b"\x90\x80" + LONG, 2),
    (C.KIND_TABLE, b"\x90\x80" + CODE, 2),
    (C.KIND_TABLE, b"\x91" + BIG + b"\x80", 1),
    (C.KIND_TREE, b"\x94\0\1\1\x91" + CODE, 5),
    (C.KIND_TABLE, b"\x90\x81" + LONG + b"\1", 2),
    (C.KIND_TABLE, b"\x91\xd4\4\0\x80", 1),
    (C.KIND_TABLE, b"\x91\xd5\4\0\1\x80", 1),
    (C.KIND_TABLE, b"\xdd\xff\xff\xff\xff\x80", 0),
    (C.KIND_TREE, b"\x94\0\1\1\x90", 4),
    (C.KIND_TREE, b"\x94\0\0\1\x91" + REF, 2),
    (C.KIND_TREE, b"\x94\0\1\0\x90", 3),
    (C.KIND_TREE, b"\x94\1\xc0\0\x90", 0),
    (C.KIND_TREE, b"\x96\1\xc0\0\x91" + REF + b"\0\x90", 4),
    (C.KIND_TREE, b"\x96\1\xc2\0\x90\0\x90", 2),
    (C.KIND_TREE, b"\x94\2\1\1\x91" + REF, 1),
    (C.KIND_TREE, b"\x94\0\1\1\x91\1", 5),
    (C.KIND_TREE, b"\x94\0\1\1\x91" + REF + b"\0", 8),
    (C.KIND_TREE_NODE, b"\xa1a", 0),
    (C.KIND_TREE_NODE, b"\xc4\0", 0),
    (C.KIND_TREE_NODE, b"\xc5\0\1a", 0),
    (C.KIND_TREE_NODE, b"\xc4\2a", 0),
    (C.KIND_TREE_NODE, b"\x90", 0),
    (C.KIND_TREE_NODE, b"\x80", 0),
    (C.KIND_TREE_NODE, b"\x91\xc0", 1),
    (C.KIND_TREE_NODE, b"\xdc\0\x10" + bytes(16), 0),
    (C.KIND_TREE_NODE, b"\x82\5\1\5\1", 3),
    (C.KIND_MAP, b"\x93\0\0" + REF, 3),
    (C.KIND_MAP, b"\x93\0\1\xc0", 2),
    (C.KIND_MAP, b"\x93\1\1\xc0", 3),
    (C.KIND_MAP, b"\x92\0\0", 0),
    (C.KIND_MAP_NODE, b"\x81" + REF + b"\1", 1),
    (C.KIND_MAP_NODE, b"\x81\xcb\x3f\xf0\0\0\0\0\0\0\1", 1),
    (C.KIND_MAP_NODE, b"\x92" + REF + b"\5", 0),
    (C.KIND_MAP_NODE, b"\x95" + REF + b"\5" + REF + b"\5" + REF, 8),
    (C.KIND_MAP_NODE, b"\x93" + REF + b"\5\5", 5),
    (C.KIND_CHUNK, b"\x92" + LONG + b"\xa0", 1),
    (C.KIND_CHUNK, b"\x92\xa0\1", 2),
    (C.KIND_CHUNK, b"\x92\xa0\xc2", 2),
    (C.KIND_FUNCTION, b"\x94" + REF + b"\0\0\0", 0),
    (C.KIND_FUNCTION, b"\x95\1\0\0\0\xa0", 1),
    (C.KIND_FUNCTION, b"\x95" + REF + b"\xff\0\0\xa0", 4),
    (C.KIND_FUNCTION, b"\x96" + REF + b"\0\0\0\xa0\1", 8),
    (C.KIND_CELL, b"", 0),
    (C.KIND_CELL, b"\xc0\xc0", 0),
    (C.KIND_CELL, b"\x90", 0),
    (C.KIND_CELL, b"\1\1", 1),
]


@pytest.mark.parametrize(("kind", "payload", "ids"), ACCEPTED)
def test_what_each_kind_may_be(kind: int, payload: bytes, ids: list[int]):
    assert scan(kind, payload) == ids


@pytest.mark.parametrize(("kind", "payload", "offset"), REFUSED)
def test_what_each_kind_may_not_be(kind: int, payload: bytes, offset: int):
    with pytest.raises(Refused) as caught:
        scan(kind, payload)
    assert caught.value.offset == offset, str(caught.value)


@pytest.mark.parametrize(("kind", "payload", "ids"), ACCEPTED)
def test_every_shorter_one_is_refused(kind: int, payload: bytes, ids: list[int]):
    for length in range(len(payload)):
        if (kind, payload[:length]) in ((C.KIND_TABLE, b"\x90\x80"), (C.KIND_TABLE, b"\x90\x81" + REF + LONG)):
            continue
        if length in (2, 100) or length > len(payload) - 20 or len(payload) < 300:
            with pytest.raises(Refused):
                scan(kind, payload[:length])
