"""Trees and ordered maps on disks: the Python implementation reads what Lua wrote and the other way round, and power may fail."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import khoros
from khoros.diskutil import check, reader
from tests.fs.sessions import World
from tests.support import crash
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.disk import State

SECTORS = 64 + 64 * 256 + 24

# What stands in the image after `round` rounds: the same in Lua and in Python.
LUA_CONTENT = """
  function content(round)
    local t, list, pairs_of_map = {}, {}, {}
    for i = 1, 3000 + 500 * round do
      if i % 7 ~= round then t["key " .. i] = ("v"):rep(i % 40) .. round end
    end
    for i = 1, 6000 - 1000 * round do list[i] = i % (round + 2) == 0 and i or i * 100 end
    for i = 1, 2000 do
      if (i + round) % 5 > 0 then pairs_of_map["name " .. i] = i + round end
      if (i + round) % 3 > 0 then pairs_of_map[i] = ("m"):rep(i % 90) end
    end
    return t, list, pairs_of_map, ("text " .. round .. " "):rep(20000)
  end

  function write(s, round)
    local root = s.root
    root.t, root.list, root.m = root.t or {}, root.list or {}, root.m or s.map()
    local t, list, pairs_of_map, text = content(round)
    for key in next, root.t do if t[key] == nil then root.t[key] = nil end end
    for key, value in next, t do root.t[key] = value end
    for i = #root.list, #list + 1, -1 do root.list[i] = nil end
    for i, value in ipairs(list) do root.list[i] = value end
    for key in pairs(root.m) do if pairs_of_map[key] == nil then root.m:remove(key) end end
    for key, value in next, pairs_of_map do root.m:set(key, value) end
    root.text, root.round = text, round
    s.commit()
  end

  function verify(root, round)
    local t, list, pairs_of_map, text = content(round)
    same(root.t, t)
    same(root.list, list)
    assert(root.text == text)
    local n = 0
    for key, value in pairs(root.m) do
      assert(pairs_of_map[key] == value, key)
      n = n + 1
    end
    for _ in next, pairs_of_map do n = n - 1 end
    assert(n == 0)
  end
"""


def content(number: int) -> tuple[dict[str, str], list[int], dict[Any, Any], str]:
    table = {f"key {i}": "v" * (i % 40) + str(number) for i in range(1, 3001 + 500 * number) if i % 7 != number}
    array = [i if i % (number + 2) == 0 else i * 100 for i in range(1, 6001 - 1000 * number)]
    pairs: dict[Any, Any] = {}
    for i in range(1, 2001):
        if (i + number) % 5 > 0:
            pairs[f"name {i}"] = i + number
        if (i + number) % 3 > 0:
            pairs[i] = "m" * (i % 90)
    return table, array, pairs, f"text {number} " * 20_000


def verify(path: Path, number: int) -> None:
    table, array, pairs, text = content(number)
    with khoros.open(path) as image:
        assert dict(image["t"].items()) == table
        assert list(image["list"].array) == array
        assert dict(image["m"].items()) == pairs
        assert list(image["m"]) == sorted(k for k in pairs if isinstance(k, int)) + sorted(
            k for k in pairs if isinstance(k, str))
        assert image["text"] == text
    store = reader.mount(path)
    try:
        assert [finding.text for finding in check.check(store).findings if finding.error] == []
    finally:
        store.close()


def write(path: Path, number: int) -> None:
    table, array, pairs, text = content(number)
    with khoros.open(path, "r+") as image:
        for old, new in ((image["t"], table), (image["m"], pairs)):
            for key in [key for key in old if key not in new]:
                del old[key]
            for key, value in new.items():
                old[key] = value
        image["list"].array[:] = array
        image["text"], image["round"] = text, number
        image.commit()


def test_python_and_lua_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    image = store_support.format_disk(SECTORS)
    for turn in range(2):
        world = World("disk", image, SECTORS)
        world.run(LUA_CONTENT)
        world.run("""
          local number = ...
          local s = open()
          if number > 0 then verify(s.root, number - 1) end
          write(s, number)
          store.close()
        """, 2 * turn)
        path.write_bytes(world.image)
        verify(path, 2 * turn)
        write(path, 2 * turn + 1)
        verify(path, 2 * turn + 1)
        image = bytearray(path.read_bytes())
    world = World("disk", image, SECTORS)
    world.run(LUA_CONTENT)
    world.run("verify(open().root, 3)")


class Workload:
    """A session on a recording disk: a large table, a map and a long string that change together, in step with a number."""

    CHANGE = """
      local s, number = ...
      local root = s.root
      root.t, root.m = root.t or {}, root.m or s.map()
      math.randomseed(number)
      for _ = 1, 40 do
        local key = "key " .. math.random(900)
        local value = math.random(3) > 1 and ("v"):rep(math.random(250)) or nil
        root.t[key], model[key] = value, value
        root.m:set(key, value)
      end
      if number % 9 == 8 then
        for i = 1, 900 do root.t["key " .. i], model["key " .. i] = nil, nil end
        root.m:clear()
      end
      root.text = ("%d "):format(number // 3):rep(30000 + number)
      root.number = number
      s.commit()
      local copy = {}
      for key, value in next, model do copy[key] = value end
      models[number] = copy
    """
    # Whatever state the disk is in: all of it is that of one number, one that may be.
    JUDGE = """
      local s, least, most = ...
      local root = s.root
      local number = root.number or 0
      if number < least or number > most then return ("it is at %d, not from %d to %d"):format(number, least, most) end
      local model = models[number] or {}
      local n = 0
      for key, value in next, root.t or {} do
        if model[key] ~= value then return "the table differs at " .. key end
        n = n + 1
      end
      local m = 0
      for key, value in pairs(root.m or {}) do
        if model[key] ~= value then return "the map differs at " .. key end
        m = m + 1
      end
      for _ in next, model do n, m = n - 1, m - 1 end
      if n ~= 0 or m ~= 0 then return "pairs are missing" end
      if number > 0 and root.text ~= ("%d "):format(number // 3):rep(30000 + number) then return "the string differs" end
      root.t, root.after = root.t or {}, number
      root.t.after = number
      if root.m then root.m:set("after", number) end
      s.commit()
    """

    def __init__(self, count: int, segments: int = 24) -> None:
        self.run = crash.Run(store_support.format_disk(64 + segments * 256 + 24), 1)
        lua = self.run.lua
        # The store's own code took its functions when it was loaded; what runs from here on meets stubs.
        lua.execute(b'models, model = {}, {} require "fs.objects".wrap(_G)')
        session = self.open(self.run.store.handle)
        change = lua.execute(b"return function(...) " + self.CHANGE.encode() + b" end")
        self.judge = lua.execute(b"return function(...) " + self.JUDGE.encode() + b" end")
        for number in range(1, count + 1):
            first = self.run.event_count()
            change(session, number)
            self.run.acks.append(crash.Ack(number, first, self.run.event_count()))

    def open(self, handle: Any) -> Any:
        module = lua_support.require(self.run.lua, "fs.objects")
        return module[b"open"](self.run.lua.table_from({b"store": handle, b"crc32c": lua_support.crc32c}))

    def verdict(self, explorer: crash.Explorer, state: State) -> str | None:
        explorer.prepare(state)
        store = store_support.Store(None, self.run.lua, device=explorer.disk[b"device"])
        why = self.judge(self.open(store.handle), *self.run.expected(state.event))
        return why if why is None else why.decode()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_a_power_cut_leaves_one_state_of_all_pieces(part: int, request: pytest.FixtureRequest) -> None:
    work = Workload(25)
    trace = work.run.trace()
    source = random.Random(part)
    states = [state for state in trace.prefixes() if source.random() < 0.06]
    for first, last in trace.windows():
        states += [state for state in trace.reorderings(first, last, all_up_to=4, samples=4) if source.random() < 0.3]
    times = 20 if request.config.getoption("--full") else 1
    states = source.sample(states, min(len(states), 150 * times))
    explorer = crash.Explorer(work.run)
    for state in sorted(states, key=lambda state: state.event):
        why = work.verdict(explorer, state)
        assert why is None, f"state {state.name}: {why}"
    assert len(states) >= 100
