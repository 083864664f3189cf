"""The shell process's main chunk over a system and a console that are tables."""

from __future__ import annotations

from tests.shell.terminal import LUA, new_lua
from tests.shell.test_with_objects import MEMORY_STORE

RUN = """
local typed, with_store, break_store = ...
local memory_store = (function() %s
end)()
local store = memory_store.new()
local written, position = {}, 0
local console = {process = function() return 1 end}
local services = {
  [console] = {
    write = function(bytes) written[#written + 1] = bytes return true end,
    size = function() return 80, 24 end,
    read = function()
      position = position + 1
      if position > #typed then return nil, "dead" end
      return typed[position]
    end,
  },
  store = store,
}
system = { call = function(endpoint, operation, ...)
  if endpoint == "store" and break_store then return nil, "dead" end
  return services[endpoint][operation](...)
end, power = function() end, sleep = function() end }
local chunk = assert(loadfile(%r))
chunk({console = console, store = with_store and "store" or nil,
      banner = {version = "1", disk = with_store and "a disk" or nil, state = "clean"}},
  {adopt = function() end, keep_text = function() end})
return table.concat(written)
"""


def run(*typed: str, store: bool = True, broken: bool = False) -> str:
    lua = new_lua()
    code = RUN % (MEMORY_STORE, str(LUA / "services" / "shell.lua"))
    rows = lua.table_from([row.encode() + b"\r" for row in typed])
    return lua.execute(code.encode(), rows, store, broken).decode()


def test_a_session_over_the_store() -> None:
    text = run("root.a = {1}", "commit()", "_.id", "table = nil", "#root.a")
    assert "disk: a disk, 0 objects, clean" in text
    assert "t1: 2 objects" in text
    assert "lt1\r\n" in text
    assert "l1\r\n" in text


def test_without_a_store_and_with_a_dead_one() -> None:
    assert "no disk with a store: this session lives in memory" in run("1", store=False)
    text = run("root.a = 1", "commit()", "'still ' .. 'here'", broken=True)
    assert "the disk service has ended and does not come back" in text
    assert "still here" in text


def test_the_shell_survives_the_loss_of_every_global() -> None:
    text = run("for name in pairs(_G) do _G[name] = nil end", "'alive' .. 1")
    assert "alive1" in text
    assert "alive2" in run(
        "table.concat = nil; math.max = nil; utf8.len = nil", "'alive' .. 2", "{1}"
    )
