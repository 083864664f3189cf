"""The project's own Lua files inside this process: Lua 5.5 through lupa, nothing mocked but the hardware.

`runtime()` gives a LuaRuntime whose `require "fs.store"` loads `lua/fs/store.lua`. Strings cross as bytes in both
directions (encoding=None): a Lua string is a Python `bytes`, never a `str`. `primitives()` is the table that the
guest's kernel hands to lua/fs (crc32c, now, random), here deterministic. `to_lua` and `to_python` convert plain data.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import google_crc32c

from ..errors import UsageError

try:
    from lupa import lua55
except ImportError as error:
    raise UsageError(what="this needs Lua 5.5 in Python", advice="pip install lupa") from error

LuaError = lua55.LuaError
ROOT = Path(__file__).resolve().parents[2]
LUA = ROOT / "lua"


def runtime(max_memory: int | None = None, edits: dict[str, tuple[str, str]] | None = None,
            sources: Path = LUA) -> Any:
    """A fresh Lua 5.5 state that finds the modules under `sources` by their dotted names.

    `edits` breaks files on purpose: path under lua/ -> (text, what stands there instead). `max_memory` (bytes) limits
    the state; Lua then raises "not enough memory". Chunk names are the paths in the repository
    ("@lua/fs/store.lua"), as in the guest's tracebacks. UsageError if there is no store.
    """
    if not (sources / "fs" / "store.lua").is_file():
        raise UsageError(what=f"no Lua sources of the store in {sources}", advice="clone Khoros, or name them with --lua")
    lua = lua55.LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False,
                           register_builtins=False, max_memory=max_memory)
    changes = {path.encode(): lua.table_from([old.encode(), new.encode()]) for path, (old, new) in (edits or {}).items()}
    lua.execute(_SEARCHER, str(sources).encode(), lua.table_from(changes))
    return lua


_SEARCHER = b"""
local root <const>, edits <const> = ...
package.path, package.cpath = "", ""
table.insert(package.searchers, 2, function(name)
  local path <const> = "/" .. name:gsub("%.", "/") .. ".lua"
  local file <const>, message <const> = io.open(root .. path, "rb")
  if not file then return message end
  local text = file:read("a")
  file:close()
  local edit <const> = edits[path:sub(2)]
  if edit then
    local first <const>, last <const> = text:find(edit[1], 1, true)
    text = text:sub(1, first - 1) .. edit[2] .. text:sub(last + 1)
  end
  local chunk <const>, problem <const> = load(text, "@lua" .. path, "t")
  if not chunk then error(problem, 0) end
  return chunk, path
end)
"""


def require(lua: Any, name: str) -> Any:
    """The module `name` ("fs.store") of that state."""
    result = lua.globals()[b"require"](name.encode())
    return result[0] if isinstance(result, tuple) else result


def primitives(lua: Any, seed: int = 1, start_time: int = 1_700_000_000_000_000) -> Any:
    """The primitives table of lua/fs: CRC-32C in C, a clock that steps 1 ms a call, seeded random bytes."""
    source = random.Random(seed)
    time = [start_time]

    def now() -> int:
        time[0] += 1000
        return time[0]

    return lua.table_from({
        b"crc32c": crc32c,
        b"now": now,
        b"random": lambda count: source.randbytes(count),
    })


def crc32c(data: bytes, seed: int | None = None) -> int:
    """CRC-32C of `data`, going on from `seed` (the CRC of what stands before it)."""
    return google_crc32c.extend(seed or 0, data)


def to_lua(lua: Any, value: Any) -> Any:
    """Plain Python data as Lua data: dict and list become tables, str becomes UTF-8 bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return lua.table_from({to_lua(lua, key): to_lua(lua, item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return lua.table_from([to_lua(lua, item) for item in value])
    return value


def to_python(value: Any) -> Any:
    """A Lua value as Python data: a table with keys 1 … n becomes a list, any other a dict; strings stay bytes.

    For dicts with byte-string keys that are UTF-8 the keys become str, so that results read well in tests.
    """
    if lua55.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and sorted(key for key in keys if isinstance(key, int)) == list(range(1, len(keys) + 1)):
        return [to_python(value[position]) for position in range(1, len(keys) + 1)]
    return {_name(key): to_python(item) for key, item in value.items()}


def _name(key: Any) -> Any:
    if isinstance(key, bytes):
        try:
            return key.decode()
        except UnicodeDecodeError:
            return key
    return key
