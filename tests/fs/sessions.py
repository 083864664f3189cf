"""Sessions of fs.objects inside tests: over a store in memory (memory_store.lua) or over the real one on a simulated disk.

`World.run(code)` runs Lua in the session's state, whose globals are wrapped as a process's are. It finds `store`,
`open(options)` → a further session over the same store, and `same(a, b)`: are both graphs alike in content, identity and
cycles (this loads everything)?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support import lua as lua_support
from tests.support.store import Disk, Store, format_disk

HERE = Path(__file__).parent
KINDS = ["memory", "disk"]

_GLUE = b"""
local memory_store_text <const>, handle <const> = ...
local objects <const> = require "fs.objects"
objects.wrap(_G)
store = handle or load(memory_store_text, "=memory_store")().new()

function open(options)
  local all = { store = store, environment = _G }
  for name, value in pairs(options or {}) do all[name] = value end
  return objects.open(all)
end

-- Raises where the graphs differ. Tables as keys are matched only when there is at most one in a table.
function same(a, b)
  local partner, back, stack = {}, {}, {}
  local function meet(x, y, where)
    if type(x) == "table" and type(y) == "table" then
      if partner[x] == nil and back[y] == nil then
        partner[x], back[y] = y, x
        stack[#stack + 1] = { x, y, where }
      elseif partner[x] ~= y or back[y] ~= x then
        error("identity differs at " .. where)
      end
    elseif math.type(x) ~= math.type(y) or not (rawequal(x, y) or x ~= x and y ~= y)
        or x == 0 and 1 / x ~= 1 / y then
      error(("%s: %s and %s"):format(where, tostring(x), tostring(y)))
    end
  end
  meet(a, b, "root")
  while #stack > 0 do
    local x, y, where = table.unpack(table.remove(stack))
    local other, count = nil, 0
    for key in next, y do
      count = count + 1
      if type(key) == "table" then other = key end
    end
    for key, value in next, x do
      count = count - 1
      if type(key) == "table" then
        meet(key, other, where .. "{key}")
        meet(value, rawget(y, other), where .. "{value}")
      else
        meet(value, rawget(y, key), where .. "." .. tostring(key))
      end
    end
    if count ~= 0 then error(where .. ": more keys") end
    meet(getmetatable(x), getmetatable(y), where .. "{metatable}")
  end
  return true
end

function count_reads(f)
  local before = store.reads
  f()
  return store.reads - before
end

function refuses(pattern, f, ...)
  local ok, message = pcall(f, ...)
  if ok then error("it did not fail", 2) end
  if not tostring(message):find(pattern) then error(tostring(message), 2) end
end
"""


class World:
    """A Lua state with a store; on kind "disk", `image` is what survives, and `reboot` makes a new state over it."""

    def __init__(self, kind: str = "memory", image: bytearray | None = None, sectors: int = 64 + 64 * 256 + 24,
                 max_memory: int | None = None) -> None:
        self.kind = kind
        self.sectors = sectors
        self.lua = lua_support.runtime(max_memory)
        self.image = image
        handle = None
        if kind == "disk":
            self.image = image if image is not None else format_disk(sectors)
            self.store = Store(Disk(self.image), self.lua)
            handle = self.store.handle
        self.lua.execute(_GLUE, (HERE / "memory_store.lua").read_bytes(), handle)

    def run(self, code: str, *arguments: Any) -> Any:
        return self.lua.execute(code.encode(), *arguments)

    def reboot(self) -> World:
        """Another machine over the same disk, as after a power cut."""
        assert self.image is not None
        return World("disk", bytearray(self.image), self.sectors)
