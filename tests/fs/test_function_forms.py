"""The payloads of functions, chunks and upvalues: the same bytes and verdicts as the host's code, which was written from SPEC."""

from __future__ import annotations

import random
from typing import Any

import pytest

from khoros.diskutil import codec, kinds
from khoros.diskutil.errors import ValueFormatError
from khoros.diskutil.values import FunctionReference, LongString, Permanent, Reference
from khoros.formats import constants
from tests.support import lua as lua_support

LUA = lua_support.runtime()
FORMS = lua_support.require(LUA, "fs.function_forms")

_GLUE = b"""
local forms <const>, codec <const> = require "fs.function_forms", require "fs.codec"
local names, objects, functions, permanents = {}, {}, {}, {}
local function known(list, make)
  return function(name)
    if list[name] == nil then
      list[name] = make()
      names[list[name]] = name
    end
    return list[name]
  end
end
local links = {
  objects = objects, make = known(objects, function() return {} end),
  callable = known(functions, function() local here = {} return function() return here end end),
  string = function(id) return ("%d "):format(id) .. ("."):rep(65537) end,
  permanents = setmetatable({}, { __index = function(_, name)
    return known(permanents, function() local here = {} return function() return here end end)(name)
  end }),
}
local function miss(v)
  return type(v) == "string" and math.tointeger(v:match "^%d+") or nil
end
local again = {}
function again.chunk(payload)
  local name, text = forms.decode_chunk(payload, links)
  if not name then return nil, text end
  return forms.encode_chunk(name, require "fs.value_encoder".value(text, names, miss))
end
function again.fn(payload)
  local f, err = forms.decode_function(payload)
  if not f then return nil, err end
  return forms.encode_function(f)
end
function again.cell(payload)
  local ok, value = forms.decode_cell(payload, links)
  if not ok then return nil, value end
  return forms.encode_cell(value, names, miss)
end
return again
"""
AGAIN = LUA.execute(_GLUE)
DECODE = {"chunk": kinds.decode_chunk, "fn": kinds.decode_function, "cell": kinds.decode_cell}


def scalar(value: Any) -> bytes:
    return codec.encode_scalar(value)


def array(*values: Any) -> bytes:
    return codec.head(len(values), "array") + b"".join(map(scalar, values))


GOOD = {
    "chunk": [array("=x", "return 1"), array("", ""), array("=\xff", "--\n" * 300), array("x", LongString(9)),
              array(b"\xff", b"\xfe")],
    "fn": [array(Reference(3), 1, 200, 7, "Lua 5.5"), array(Reference(1 << 40), 0, 0, 0xFFFFFFFF, "", Reference(4)),
           array(Reference(3), 70_000, 1 << 33, 0, "Lua 5.5", *map(Reference, range(1, 256)))],
    "cell": [b"\xc0", *map(scalar, [True, False, 0, -1, 1.5, "x", b"\xff", Reference(3), FunctionReference(3),
                                    Permanent("print"), LongString(5), 1 << 62])],
}
BAD = {
    "chunk": [array("=x"), array("=x", "y", 1), array(1, "x"), array("x", 1), array("x", Reference(3)),
              array(LongString(4), "x"), array("x", Permanent("print")), b"", b"\x92", b"\x92\xa1x", b"\xdc\x00\x02\xa0\xa0",
              b"\xdd\xff\xff\xff\xff\xa0", array("x", "y") + b"\xc0"],
    "fn": [array(Reference(3), 1, 200, 7), array(FunctionReference(3), 1, 2, 7, "x"), array(Permanent("a"), 1, 2, 7, "x"),
           array(3, 1, 200, 7, "x"), array(Reference(3), -1, 200, 7, "x"), array(Reference(3), 1.0, 200, 7, "x"),
           array(Reference(3), 1, -2, 7, "x"), array(Reference(3), 1, 2, 1 << 32, "x"), array(Reference(3), 1, 2, -1, "x"),
           array(Reference(3), 1, 2, 7, 5), array(Reference(3), 1, 2, 7, LongString(3)),
           array(Reference(3), 1, 2, 7, "x", 4), array(Reference(3), 1, 2, 7, "x", FunctionReference(4)),
           array(Reference(3), 1, 2, 7, "x", Reference(4))[:-1], array(Reference(3), 1, 2, 7, "x") + b"\x00",
           b"", b"\x95", b"\xdd\x00\x10\x00\x00\xd4\x01\x03", array(Reference(3), True, 2, 7, "x")],
    "cell": [b"", b"\xc0\xc0", b"\x90", b"\x80", b"\xd9\x01a", b"\xcc\x01", scalar(1) + scalar(1), b"\xd4\x09\x01"],
}


def lua_accepts(what: str, payload: bytes) -> bool:
    """Whether Lua reads it, and then writes the same bytes again."""
    result = AGAIN[what.encode()](payload)
    if isinstance(result, tuple):
        assert result[0] is None and result[1][b"code"] == b"malformed", result
        return False
    assert result == payload
    return True


def python_accepts(what: str, payload: bytes) -> bool:
    try:
        DECODE[what](payload)
    except ValueFormatError:
        return False
    return True


@pytest.mark.parametrize("what", list(GOOD))
def test_what_is_canonical_is_read_and_written_alike(what: str) -> None:
    for payload in GOOD[what]:
        assert python_accepts(what, payload), payload
        assert lua_accepts(what, payload), payload


@pytest.mark.parametrize("what", list(BAD))
def test_anything_else_is_refused(what: str) -> None:
    for payload in BAD[what]:
        assert not python_accepts(what, payload), payload
        assert not lua_accepts(what, payload), payload


@pytest.mark.parametrize("what", list(GOOD))
def test_verdicts_on_changed_payloads_agree(what: str, rng: random.Random) -> None:
    for _ in range(3000):
        payload = bytearray(rng.choice(GOOD[what]))
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(payload) + 1)
            if rng.random() < 0.5:
                payload[place:place] = rng.randbytes(1)
            else:
                del payload[place:place + rng.randrange(1, 3)]
            if not payload:
                break
        assert lua_accepts(what, bytes(payload)) == python_accepts(what, bytes(payload)), bytes(payload)


def test_a_text_that_is_longer_is_an_object_of_its_own() -> None:
    text = "x" * (constants.CHUNK_BYTES + 1)
    payload = codec.head(2, "array") + scalar("=x") + b"\xdb" + len(text).to_bytes(4, "big") + text.encode()
    assert not python_accepts("chunk", payload)
    assert not lua_accepts("chunk", payload)
