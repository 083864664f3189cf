"""The Lua codec as Python calls: values cross as the Python codec's own (Contents, Reference, FunctionReference, Permanent,
LongString).

Strings may be given as str or bytes and come back as `bytes`, whatever they hold; `as_bytes` makes both sides comparable.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from khoros.diskutil.values import Contents, FunctionReference, LongString, Permanent, Reference
from tests.support import lua as lua_support

_GLUE = b"""
local codec <const> = require "fs.codec"
-- References and permanents are stood for by tables and functions of this state, made when first named.
local objects, names, values = {}, setmetatable({}, { __mode = "k" }), {}
local function object(id)
  local t = objects[id]
  if not t then
    t = {}
    objects[id], names[t] = t, id
  end
  return t
end
local functions = {}
local function callable(id)
  local f = functions[id]
  if not f then
    f = function() return id end
    functions[id], names[f] = f, id
  end
  return f
end
local function permanent(name)
  local f = values[name]
  if not f then
    f = function() return name end
    values[name], names[f] = f, name
  end
  return f
end
-- A long string is stood for by one that begins with the id of its tree.
local function long(id)
  local head = ("%d "):format(id)
  return head .. ("."):rep(65537 - #head)
end
local function long_id(v)
  if type(v) == "string" and #v == 65537 then return math.tointeger(v:match("^(%d+) %.*$")) end
end
local links <const> = {
  objects = objects, make = object, string = long, callable = callable,
  permanents = setmetatable({}, { __index = function(_, name) return permanent(name) end }),
}
local function new() return {} end
local function set(t, key, value) rawset(t, key, value) end
local function encode(t, metatable) return codec.encode(t, names, metatable, long_id) end
local function decode(payload)
  local t = {}
  local ok, result = codec.decode(payload, t, links)
  if ok then return t, result end
  return nil, result
end
local function each(t)
  local list = {}
  for key, value in next, t do list[#list + 1] = { key, value } end
  return list
end
local function name_of(v) return names[v] end
return object, permanent, new, set, encode, decode, each, name_of, long, long_id, callable, type
"""


class LuaRefusal(Exception):
    """What the Lua decoder said: `.offset`, `.expected`, `.found`, `.code`."""

    def __init__(self, err: Any) -> None:
        super().__init__(err[b"message"].decode(errors="replace"))
        self.code: bytes = err[b"code"]
        self.offset: int = err[b"offset"]
        self.expected: bytes = err[b"expected"]
        self.found: bytes = err[b"found"]


class LuaCodec:
    """fs.codec in a state of its own."""

    def __init__(self) -> None:
        self.lua = lua_support.runtime()
        (self._object, self._permanent, self._new, self._set, self._encode, self._decode, self._each, self._name_of,
         self._long, self._long_id, self._callable, self._type) = self.lua.execute(_GLUE)

    def encode(self, pairs: list[tuple[Any, Any]], metatable: Any = None) -> bytes:
        """The payload of the table that these assignments, in this order, make; a value None removes."""
        table = self._new()
        for key, value in pairs:
            self._set(table, self.to_lua(key), self.to_lua(value))
        result = self._encode(table, self.to_lua(metatable))
        assert isinstance(result, bytes), result
        return result

    def decode(self, payload: bytes) -> Contents:
        """What Lua makes of a payload, array part and other pairs told apart again; LuaRefusal if it refuses."""
        table, extra = self._decode(payload)
        if table is None:
            raise LuaRefusal(extra)
        pairs = [(self.to_python(item[1]), self.to_python(item[2])) for item in self._each(table).values()]
        metatable = None if extra is None else self.to_python(extra)
        integers = {key: value for key, value in pairs if type(key) is int}
        count = 0
        while count + 1 in integers:
            count += 1
        others = [(k, v) for k, v in pairs if not (type(k) is int and 1 <= k <= count)]
        return Contents([integers[i] for i in range(1, count + 1)], others, metatable)

    def reencode(self, payload: bytes) -> bytes:
        """Decode and encode again inside Lua. LuaRefusal if it refuses."""
        table, extra = self._decode(payload)
        if table is None:
            raise LuaRefusal(extra)
        result: bytes = self._encode(table, extra)
        return result

    def to_lua(self, value: Any) -> Any:
        if isinstance(value, FunctionReference):
            return self._callable(value.id)
        if isinstance(value, Reference):
            return self._object(value.id)
        if isinstance(value, Permanent):
            return self._permanent(value.name.encode())
        if isinstance(value, LongString):
            return self._long(value.id)
        return value.encode() if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        name = None if isinstance(value, bool | int | float | bytes) else self._name_of(value)
        if isinstance(name, bytes):
            return Permanent(name.decode())
        if isinstance(name, int):
            return (FunctionReference if self._type(value) == b"function" else Reference)(name)
        if isinstance(value, bytes) and (identity := self._long_id(value)) is not None:
            return LongString(identity)
        return value


def as_bytes(value: Any) -> Any:
    """A value in a form in which == tells what the format tells apart: 1 and 1.0, 0.0 and -0.0, any NaN alike."""
    if isinstance(value, str):
        return ("string", value.encode())
    if isinstance(value, bytes):
        return ("string", value)
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else struct.pack(">d", value))
    return (type(value).__name__, value)


def contents_key(contents: Contents) -> Any:
    """Contents in a form that can be compared."""
    return (
        [as_bytes(value) for value in contents.array],
        sorted((repr(as_bytes(k)), as_bytes(v)) for k, v in contents.pairs),
        contents.metatable,
    )
