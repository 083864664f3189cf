"""Lines of Lua: which of a file can be executed, and which are, told by Lua's own line hook.

The hook makes code several times slower, so it looks in turns: at the first lines that a state executes, then, for as long as it runs,
at some lines after each rest. What is reported was executed; a line that only runs during a rest is missed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lupa import lua55

ROOT = Path(__file__).resolve().parents[2]

# Every function of a chunk says which of its lines hold code: lua/fs/prototypes.lua takes the chunk apart.
_EXECUTABLE = b"""
local prototypes <const>, text <const>, report <const> = ...
local reference <const> = prototypes.reference(string.dump, load, debug.getinfo)
local main <const> = assert(load(text, "=text", "t"))
local number = 0
while true do
  local f <const> = reference.function_at(main, number)
  if not f then break end
  local told <const> = debug.getinfo(f, "LS")
  for line in pairs(told.activelines) do
    -- The line of a function's own `end` is the return that every function has besides those written.
    if told.what == "main" or line ~= told.lastlinedefined or line == told.linedefined then report(line) end
  end
  number = number + 1
end
"""

_HOOK = b"""
local report <const>, first <const>, each <const>, rest <const> = ...
local getinfo <const>, sethook <const>, create <const>, wrap <const> = debug.getinfo, debug.sethook, coroutine.create, coroutine.wrap
local seen <const> = {}
local left = first

local look
local function wait() look() end
local function line(_, number)
  local source <const> = getinfo(2, "S").source
  local lines = seen[source]
  if not lines then
    lines = {}
    seen[source] = lines
  end
  if not lines[number] then
    lines[number] = true
    report(source, number)
  end
  left = left - 1
  if left == 0 and rest then sethook(wait, "", rest) end
end
function look()
  left = each
  sethook(line, "l")
end
sethook(line, "l")

-- A coroutine has its own hook.
function coroutine.create(f)
  local made <const> = create(f)
  sethook(made, line, "l")
  return made
end
function coroutine.wrap(f)
  local made <const> = coroutine.create(f)
  return function(...)
    local function finish(worked, ...)
      if not worked then error(..., 0) end
      return ...
    end
    return finish(coroutine.resume(made, ...))
  end
end
"""


def executable(text: str) -> set[int]:
    """The lines of a Lua text that hold code."""
    lua = lua55.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    prototypes = lua.execute((ROOT / "lua/fs/prototypes.lua").read_bytes(), name="@lua/fs/prototypes.lua")
    lines: set[int] = set()
    lua.execute(_EXECUTABLE, prototypes, text.encode(), lines.add)
    return lines


def watch(lua: Any, report: Callable[[str, int], None], first: int, each: int, rest: int | None) -> None:
    """From now on `report` gets the source ("@lua/fs/store.lua") and number of each line that this state executes, once. `first` lines
    are looked at, then `each` lines after every `rest` instructions; None: all."""
    def told(source: bytes, line: int) -> None:
        report(source.decode("utf-8", "replace"), line)

    lua.execute(_HOOK, told, first, each, rest)
