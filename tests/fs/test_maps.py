"""Ordered maps: what programs see of them, how little a change reads and writes, what two sessions and hostile disks do to them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fs.sessions import KINDS, World
from tests.fs.test_trees import COUNTING, LARGE_DISK

CHECKING = """
  local map_nodes, order = require "fs.map_nodes", require "fs.order"

  -- Walks through the tree of the map with that id as it stands in the store: raises where it is not as it should be.
  -- Gives levels, nodes, the least and the most bytes of a leaf, children of the node that has fewest.
  function shape(id)
    local root = assert(map_nodes.decode_root(store.read({ id })[1].payload))
    local found = { levels = root.levels, count = root.count, nodes = 0, least = math.huge, most = 0, fewest = math.huge }
    local pairs_met = 0
    local function visit(id, level, low, high)
      local record = store.read({ id })[1]
      assert(record.kind == 8, "not a node")
      found.nodes = found.nodes + 1
      local node = assert((level == 1 and map_nodes.decode_leaf or map_nodes.decode_node)(record.payload))
      assert(map_nodes.lies_between(node.keys, low, high))
      assert(#record.payload <= 4096 or level == 1 and #node.keys == 1 or level > 1 and #node.children <= 3,
        #record.payload)
      if level == 1 then
        pairs_met = pairs_met + #node.keys
        found.least, found.most = math.min(found.least, #record.payload), math.max(found.most, #record.payload)
        return
      end
      found.fewest = math.min(found.fewest, #node.children)
      for i, child in ipairs(node.children) do
        local a, b = low, high
        if i > 1 then a = node.keys[i - 1] end
        if i <= #node.keys then b = node.keys[i] end
        visit(child, level - 1, a, b)
      end
    end
    if root.root then visit(root.root, root.levels) end
    assert(pairs_met == root.count, "count")
    return found
  end

  -- Every pair of a map, as "key=value …", walked in either direction.
  function text_of(m, from, to, options)
    local parts = {}
    for key, value in m:range(from, to, options) do parts[#parts + 1] = tostring(key) .. "=" .. tostring(value) end
    return table.concat(parts, " ")
  end
"""


def new_world(kind: str = "memory") -> World:
    world = World(kind, sectors=LARGE_DISK)
    world.run(COUNTING)
    world.run(CHECKING)
    return world


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    return new_world(request.param)


@pytest.fixture
def memory() -> World:
    return new_world()


# -- what programs see -----------------------------------------------------------------------------------------------


def test_first_page(world: World) -> None:
    world.run("""
      local s = open()
      local m = s.map()
      s.root.people = m
      m:set("ann", 31)
      m:set("bob", { age = 7 })
      m:set("zoe", ("long "):rep(20000))
      assert(tostring(m) == "map of 3 pairs" and #m == 3 and m:count() == 3)
      assert(s.commit "people".objects == 7 + 1)  -- root, map, leaf, bob, the string's tree of 7 pieces, its root
    """ if False else """
      local s = open()
      local m = s.map()
      s.root.people = m
      m:set("ann", 31)
      m:set("bob", { age = 7 })
      m:set("zoe", ("long "):rep(20000))
      assert(tostring(m) == "map of 3 pairs" and #m == 3 and m:count() == 3)
      assert(s.commit "people".objects == 12)  -- root, map, leaf, bob, a string of 7 pieces
      assert(m:get "ann" == 31 and m:get "bob".age == 7 and m:get "eve" == nil)
      m:set("ann", nil)
      m:remove "eve"
      assert(tostring(m) == "map of 2 pairs" and m:first() == "bob" and m:last() == "zoe")
      assert(select(2, m:last()) == ("long "):rep(20000))
      s.commit()
      local r = open()
      local people = r.root.people
      assert(people == r.root.people and #people == 2 and people:get "bob" == people:get "bob")
      for name, value in pairs(people) do assert(value == people:get(name)) end
      assert(#r.changes() == 0 and r.commit().objects == 0)
      people:get "bob".age = 8
      assert(r.commit().objects == 1 and open().root.people:get "bob".age == 8)
    """)


def test_keys_come_in_the_order_of_the_format(world: World) -> None:
    world.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      local keys = { false, true, math.mininteger, -5, 0, 1, 2, 300, math.maxinteger, -math.huge, -0.5, 0.5, 2.5, 1e300,
        math.huge, "", "\\0", "B", "a", "ab", "b", "é", "\\xff" }
      local shuffled = table.move(keys, 1, #keys, 1, {})
      math.randomseed(5)
      for i = #shuffled, 2, -1 do
        local j = math.random(i)
        shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
      end
      local function check(m)
        local at = 0
        for key, value in pairs(m) do
          at = at + 1
          assert(rawequal(key, keys[at]) and math.type(key) == math.type(keys[at]) and value == at, tostring(key))
        end
        assert(at == #keys and #m == at)
        for key, value in m:range(nil, nil, { reverse = true }) do
          assert(rawequal(key, keys[at]) and value == at)
          at = at - 1
        end
        assert(at == 0)
        for i = 1, #keys do
          assert(m:get(keys[i]) == i)
          for j = i - 1, #keys do
            local n = 0
            for _ in m:range(keys[i], keys[j]) do n = n + 1 end
            assert(n == j - i + 1 or j == 0, n)
          end
        end
      end
      for _, key in ipairs(shuffled) do
        for i, k in ipairs(keys) do if rawequal(k, key) then m:set(key, i) end end
      end
      check(m)
      s.commit()
      check(m)
      check(open().root.m)
    """)


def test_a_float_with_an_integer_s_value_is_that_integer(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.m = s.map()
      local m = s.root.m
      m:set(1.0, "one") m:set(-0.0, "zero") m:set(2^53, "big") m:set(2^63, "float")
      m:set(1, "one again")
      s.commit()
      m = open().root.m
      assert(#m == 4 and m:get(1) == "one again" and m:get(1.0) == "one again" and m:get(0) == "zero" and m:get(2^63) == "float")
      assert(math.type(m:first()) == "integer" and math.type((m:last())) == "float")
    """)


def test_wrong_use_is_told_where_it_happens(memory: World) -> None:
    memory.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      refuses("^[^:]+:%d+: set: a key of a map is a boolean, a number or a string, not nil", function() m:set(nil, 1) end)
      refuses("set: a key of a map .* not NaN", function() m:set(0/0, 1) end)
      refuses("get: a key of a map .* not a table", function() m:get({}) end)
      refuses("range: a key of a map .* not a function", function() m:range(print) end)
      refuses("range: the options", function() m:range(1, 2, 3) end)
      refuses("range: limit is a number, not a string", function() m:range(1, 2, { limit = "3" }) end)
      refuses("range: reverse is a boolean", function() m:range(1, 2, { reverse = 1 }) end)
      refuses("get is called on a map: m:get", function() m.get("x") end)
      refuses('a map has no fields: m:set%("x", value%)', function() m.x = 1 end)
      refuses("protected metatable", function() setmetatable(m, {}) end)
      assert(m.x == nil and #m == 0 and m:first() == nil and next(m) == nil)
      m:set("x", coroutine.create(print))
      refuses('cannot save root%.m%["x"%]: coroutine', s.commit)
      m:set("x", { inner = { io.stdout } })
      refuses('cannot save root%.m%["x"%]%.inner%[1%]: userdata', s.commit)
      m:set("x", nil)
      s.commit()
    """)


def test_maps_inside_maps_and_shared(world: World) -> None:
    world.run("""
      local s = open()
      local outer, inner = s.map(), s.map()
      inner:set("me", inner)
      inner:set("up", outer)
      local t = { inner }
      outer:set("inner", inner)
      outer:set("t", t)
      s.root.outer, s.root.inner = outer, inner
      s.root.keyed = { [outer] = "as a key" }
      s.commit()
      local r = open().root
      assert(r.outer:get "inner" == r.inner and r.inner:get "me" == r.inner and r.inner:get "up" == r.outer)
      assert(r.outer:get "t"[1] == r.inner and r.keyed[r.outer] == "as a key")
    """)


def test_iterating_while_changing(world: World) -> None:
    """What is set ahead is met, what is removed ahead is not, what happens behind does not matter; a commit changes nothing."""
    world.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      for i = 1, 2000 do m:set(i * 10, i) end
      s.commit()
      local met = {}
      for key in pairs(m) do
        met[#met + 1] = key
        if key == 100 then
          m:set(105, "ahead") m:set(95, "behind") m:remove(110) m:remove(90) m:remove(100)
        elseif key == 5000 then
          for k in m:range(5001, 15000) do m:remove(k) end
          s.commit()
        elseif key == 16000 then
          m:set(16005, 1)
          s.abort()
        elseif key == 17000 then
          m:set(17005, 1)
          s.commit()
          for i = 17001, 17004 do m:set(i, 1) end
        elseif key == 19000 then
          m:clear()
        end
      end
      local text = " " .. table.concat(met, " ") .. " "
      assert(text:find " 100 105 120 " and text:find " 5000 15010 15020 " and text:find " 16000 16010 "
        and text:find " 17000 17001 17002 17003 17004 17005 17010 " and text:find " 19000 $" and not text:find " 95 ")
      s.abort()
      met = {}
      for key in m:range(nil, 18000, { reverse = true }) do
        met[#met + 1] = key
        if key == 17000 then m:set(16999, 1) m:set(17001, 1) m:remove(16990) end
      end
      text = " " .. table.concat(met, " ") .. " "
      assert(text:find " 17010 17005 17000 16999 16980 " and met[1] == 18000 and met[#met] == 10)
    """)


def test_abort_changes_forget(world: World) -> None:
    world.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      for i = 1, 500 do m:set("key " .. i, { n = i }) end
      s.commit()
      local seven = m:get "key 7"
      m:set("key 7", "changed") m:set("new", true) m:remove "key 8" m:set("key 9", m:get "key 9") m:set("gone", 1) m:remove "gone"
      local list = s.changes()
      assert(#list == 3, #list)
      assert(list[1].kind == "~" and list[1].path == 'root.m["key 7"]' and list[1].old == seven and list[1].new == "changed")
      assert(list[2].kind == "-" and list[2].path == 'root.m["key 8"]' and list[3].kind == "+" and list[3].new == true)
      refuses("root%.m has changes", s.forget, m)
      s.abort()
      assert(m:get "key 7" == seven and m:get "key 8".n == 8 and m:get "new" == nil and #m == 500 and s.commit().objects == 0)
      assert(s.path(seven) == 'root.m["key 7"]')
      m:set("key 9", m:get "key 9")
      assert(#s.changes() == 0 and s.commit().objects == 0)
      s.forget(m)
      assert(s.root.m == m and #m == 500 and m:get "key 7" == seven)
      m:clear()
      assert(#m == 0 and m:get "key 7" == nil and m:first() == nil and #s.changes() == 1 and s.changes()[1].path == "root.m[…]")
      m:set("only", 1)
      assert(#m == 1 and #s.changes() == 2 and text_of(m) == "only=1")
      s.abort()
      assert(#m == 500)
      m:clear()
      m:set("only", 1)
      s.commit()
      assert(shape(2).count == 1)
      assert(text_of(open().root.m) == "only=1")
      m:clear()
      s.commit()
      assert(shape(2).levels == 0 and #open().root.m == 0 and m:first() == nil)
      m:set("again", 1)
      s.commit()
      assert(text_of(open().root.m) == "again=1")
    """)


# -- how much is read and written --------------------------------------------------------------------------------------

MANY = """
  session = open()
  m = session.map()
  session.root.m = m
  local count, order = ...
  local keys = {}
  for i = 1, count do keys[i] = ("key %07d"):format(i * 10) end
  if order == "random" then
    for i = count, 2, -1 do
      local j = math.random(i)
      keys[i], keys[j] = keys[j], keys[i]
    end
  end
  for i, key in ipairs(keys) do
    m:set(key, "value of " .. key)
    if i % 5000 == 0 then session.commit() end
  end
  session.commit()
"""


@pytest.mark.parametrize("order", [b"ascending", b"random"])
def test_a_change_writes_a_leaf_and_little_more(memory: World, order: bytes, rng: random.Random) -> None:
    count = 30_000
    memory.run("math.randomseed(...)", rng.randrange(2**31))
    memory.run(MANY, count, order)
    found = memory.run("return shape(2)")
    assert found[b"count"] == count
    bytes_a_pair = 1 + 11 + 2 + 20
    filled = count * bytes_a_pair / 4096 / found[b"nodes"]
    print(f"{found[b'levels']} levels, {found[b'nodes']} nodes, {filled:.0%} filled")
    assert filled > (0.9 if order == b"ascending" else 0.6)
    most = 0
    for place in [1, 2, count // 2, count, *(rng.randrange(1, count + 1) for _ in range(60))]:
        key, near = f"key {place * 10:07d}".encode(), f"key {place * 10 + 5:07d}".encode()
        for what, value in [(key, b"x"), (key, b"longer" * 60), (near, b"new"), (near, None), (key, None), (key, b"back")]:
            found = memory.run("""
              local key, value = ...
              m:set(key, value)
              return written(session.commit)
            """, what, value)
            most = max(most, found[b"total"])
            assert found[b"total"] <= 6
            assert found[b"bytes"] <= 3 * 4096 + 100
    print(f"at most {most} entries")
    memory.run("assert(shape(2).count == ...)", count)


def test_only_the_nodes_that_are_needed_are_read(memory: World) -> None:
    memory.run(MANY, 30_000, b"ascending")
    memory.run("""
      local levels = shape(2).levels
      assert(levels == 3)
      local r = open()
      local m = r.root.m
      local _ = #m
      assert(count_reads(function() assert(m:get "key 0150000" == "value of key 0150000") end) == levels)
      assert(count_reads(function() assert(m:get "key 0150001" == nil) end) == 0)
      assert(count_reads(function() assert(m:get "key 0000010") end) <= 2)
      assert(count_reads(function() assert(m:last() == "key 0300000") end) <= 2)
      -- A walk through a tenth of it reads several leaves at a time, and none far beyond.
      local ids = 0
      local read = store.read
      store.read = function(list) ids = ids + #list - 1 return read(list) end
      local n
      local reads = count_reads(function() n = select(2, text_of(m, "key 0100000", "key 0130000"):gsub("=", "")) end)
      local leaves = 3001 * 34 // 4096
      assert(n == 3001 and reads <= leaves / 8 + 8 and ids <= leaves + 4, reads .. " " .. ids)
      ids = 0
      for key in m:range("key 0200000", nil, { limit = 5 }) do assert(key) end
      assert(ids <= 3, ids)
      store.read = read
    """)


def test_cutting_leaves_no_crumbs(memory: World, rng: random.Random) -> None:
    """Whatever the sizes, no node is much smaller than half of one (roundings added up to a node of one pair)."""
    memory.run("""
      local cutting, largest = require "fs.map_cutting", 4096
      math.randomseed(...)
      for round = 1, 300 do
        local size, varied = math.random(2, 300), math.random(0, 1) * 40
        local row, total = { keys = {}, parts = {} }, 0
        for i = 1, (2 + round % 6) * largest // size + round % 3 do
          row.keys[i], row.parts[i] = i, ("x"):rep(size + math.random(0, varied))
          total = total + #row.parts[i]
        end
        local text, parts = "", 0
        for _, part in ipairs(cutting.cut(row, 1)) do
          local bytes = cutting.size(part, 1)
          assert(bytes <= largest and (bytes >= largest / 2 - size - varied or total < largest), bytes .. " of " .. total)
          parts = parts + #part.parts
          text = text .. table.concat(part.parts)
        end
        assert(parts == #row.parts and #text == total)
      end
    """, rng.randrange(2**31))


def test_no_node_of_long_keys_is_larger_than_it_may_be(memory: World, rng: random.Random) -> None:
    """Of children with keys that hardly fit, a node has three at most, or fits."""
    memory.run("""
      local cutting = require "fs.map_cutting"
      math.randomseed(...)
      for round = 1, 2000 do
        local row <const> = { keys = {}, parts = {} }
        for i = 1, math.random(3, 12) do
          row.keys[i], row.parts[i] = ("k"):rep(math.random(round % 2 == 0 and 900 or 0, 2500)), ("x"):rep(5)
        end
        local count = 0
        for _, part in ipairs(cutting.cut(row, 2)) do
          local bytes <const> = cutting.size(part, 2)
          assert(bytes <= 4096 or #part.parts <= 3, bytes .. " with " .. #part.parts)
          count = count + #part.parts
        end
        assert(count == #row.parts)
      end
    """, rng.randrange(2**31))


def test_nodes_are_joined_when_pairs_go(memory: World, rng: random.Random) -> None:
    """Down to nothing, in any order: never an empty node, few small ones, every level in its time."""
    memory.run("math.randomseed(...)", rng.randrange(2**31))
    memory.run(MANY, 20_000, b"random")
    memory.run("""
      local keys = {}
      for key in pairs(m) do keys[#keys + 1] = key end
      for i = #keys, 2, -1 do
        local j = math.random(i)
        keys[i], keys[j] = keys[j], keys[i]
      end
      local before = session.info().objects
      while #keys > 0 do
        for _ = 1, math.min(#keys, math.random(1500)) do m:remove(table.remove(keys)) end
        session.commit()
        local found = shape(2)
        assert(found.count == #keys)
        assert(found.levels <= 1 or found.least >= 700 and found.fewest >= 2, found.least)
        assert(session.info().objects == 2 + found.nodes, "nodes were left behind")
      end
      assert(shape(2).levels == 0)
    """)


def test_runs_of_keys_vanish_and_come_back(memory: World, rng: random.Random) -> None:
    memory.run("math.randomseed(...)", rng.randrange(2**31))
    memory.run(MANY, 20_000, b"ascending")
    memory.run("""
      local model = {}
      for key, value in pairs(m) do model[key] = value end
      for round = 1, 25 do
        local first = math.random(200000)
        local last = first + math.random(100000)
        for i = first // 10 + 1, last // 10 do
          local key = ("key %07d"):format(i * 10)
          local value = round % 2 == 0 and ("v"):rep(math.random(60)) or nil
          m:set(key, value)
          model[key] = value
        end
        session.commit()
        local found = shape(2)
        local n = 0
        for key, value in pairs(m) do
          assert(model[key] == value)
          n = n + 1
        end
        for _ in next, model do n = n - 1 end
        assert(n == 0 and session.info().objects == 2 + found.nodes)
      end
    """)


@pytest.mark.parametrize("size", [1000, 5000, 20_000])
def test_long_keys_and_values(world: World, size: int) -> None:
    world.run("""
      local size = ...
      local s = open()
      local m = s.map()
      s.root.m = m
      local function key(i) return ("%04d"):format(i) .. ("k"):rep(size) end
      for i = 1, 60 do m:set(key(i), ("v"):rep(size * (i % 3))) end
      s.commit()
      assert(shape(2).levels <= 8, shape(2).levels)
      local n = 0
      for k, v in pairs(open().root.m) do
        n = n + 1
        assert(k == key(n) and #v == size * (n % 3))
      end
      assert(n == 60)
      for i = 1, 60 do
        if i % 4 > 0 then m:remove(key(i)) end
        if i % 10 == 0 then
          s.commit()
          assert(shape(2).count == #m)
        end
      end
      assert(#open().root.m == 15)
    """, size)


class Proxy:
    """A store in a state of its own, so that the memory of the client's alone can be bounded."""

    def __init__(self, store: Any, lua: Any) -> None:
        self.store, self.lua = store, lua

    def call(self, name: bytes, *arguments: Any) -> Any:
        result = self.store[name](*(copy(self.store_lua, argument) for argument in arguments))
        if isinstance(result, tuple):
            return tuple(copy(self.lua, item) for item in result)
        return copy(self.lua, result)

    @property
    def store_lua(self) -> Any:
        return self._store_lua

    @store_lua.setter
    def store_lua(self, lua: Any) -> None:
        self._store_lua = lua


def copy(lua: Any, value: Any) -> Any:
    """A Lua value of one state in another."""
    if hasattr(value, "items"):
        return lua.table_from({key: copy(lua, item) for key, item in value.items()})
    return value


def test_a_map_of_many_pairs_in_little_memory() -> None:
    """Client code, session and all: 2 MB, for a map that is ten times as large."""
    from tests.fs.sessions import _GLUE, HERE
    from tests.support import lua as lua_support

    server = World("memory")
    client = lua_support.runtime()
    proxy = Proxy(server.lua.globals()[b"store"], client)
    proxy.store_lua = server.lua
    names = [b"allocate", b"read", b"commit", b"view", b"close_view", b"log", b"info", b"missing"]
    handle = client.table_from({name: (lambda *a, name=name: proxy.call(name, *a)) for name in names})
    client.execute(_GLUE, (HERE / "memory_store.lua").read_bytes(), handle)
    peak = client.execute(b"""
      local peak = 0
      local function measure()
        collectgarbage()
        peak = math.max(peak, collectgarbage "count")
      end
      local s = open()
      local m = s.map()
      s.root.m = m
      for i = 1, 100000 do
        m:set(("key %07d"):format(i * 7919 % 100000), ("value %d"):format(i) .. ("."):rep(180))
        if i % 1000 == 0 then
          s.commit()
          if i % 10000 == 0 then measure() end
        end
      end
      local n, bytes = 0, 0
      for key, value in pairs(m) do
        n, bytes = n + 1, bytes + #key + #value
        if n % 10000 == 0 then measure() end
      end
      assert(n == 100000 and bytes > 20000000)
      for i = 1, 300 do
        m:set(("key %07d"):format(i * 331), { "a table" })
        m:get(("key %07d"):format(i * 17))
        s.commit()
      end
      measure()
      return peak
    """)
    print(f"{peak:.0f} KB at most")
    assert peak < 2048


# -- two sessions ------------------------------------------------------------------------------------------------------


def test_different_keys_merge_and_one_key_is_one_conflict(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.people = a.map()
      for i = 1, 1000 do a.root.people:set("name " .. i, i) end
      a.commit()
      b.refresh()
      local x, y = a.root.people, b.root.people
      assert(y:get "name 500" == 500)
      for i = 1, 100 do
        x:set("of a " .. i, i)
        y:set("of b " .. i, i)
        y:remove("name " .. 2 * i)
      end
      x:set("name 999", "a") y:set("name 998", "b")
      x:set("both", "same") y:set("both", "same")
      a.commit()
      b.commit()
      assert(#y == 1000 + 200 - 100 + 1 and y:get "of a 7" == 7 and y:get "name 999" == "a")
      a.refresh()
      assert(text_of(x) == text_of(y) and text_of(open().root.people) == text_of(y))
      assert(shape(2).count == #y)

      x:set("ann", 1)
      y:set("ann", 2)
      y:set("other", 3)
      a.commit()
      refuses('^conflict: root%.people%["ann"%] changed both here and in the store', b.commit)
      assert(y:get "ann" == 2 and y:get "other" == 3)
      refuses('^conflict: root%.people%["ann"%] ', b.commit)
      local conflicts = b.refresh()
      assert(#conflicts == 1 and conflicts[1] == 'root.people["ann"]')
      assert(y:get "ann" == 2)
      b.commit()
      a.refresh()
      assert(x:get "ann" == 2 and x:get "other" == 3)
      x:remove "ann"
      y:set("ann", 4)
      a.commit()
      refuses('root%.people%["ann"%]', b.commit)
      b.abort()
      assert(y:get "ann" == nil and b.commit().objects == 0)
      x:remove "other" y:remove "other"
      a.commit() b.commit()
      assert(y:get "other" == nil and #y == #x)
    """)


def test_clear_conflicts_with_any_change(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.m = a.map()
      for i = 1, 300 do a.root.m:set(i, i) end
      a.commit()
      b.refresh()
      local x, y = a.root.m, b.root.m
      y:clear()
      y:set(1, "fresh")
      x:set(1000, 1)
      a.commit()
      refuses("conflict: root%.m%[…%] changed", b.commit)
      assert(#y == 1)
      local conflicts = b.refresh()
      assert(#conflicts == 1 and #y == 1)
      b.commit()
      a.refresh()
      assert(text_of(x) == "1=fresh")
      x:clear()
      a.commit()
      y:set(2, 2)
      refuses("conflict", b.commit)
    """.replace('refuses("conflict", b.commit)', 'b.commit() a.refresh() assert(text_of(x) == "2=2")'))


def test_a_walk_meets_one_state_until_its_session_moves_on(world: World, rng: random.Random) -> None:
    """Whatever others commit meanwhile; after refresh, commit or abort in the middle of a walk, the rest is of the new state."""
    world.run("""
      math.randomseed(...)
      local a, b = open(), open()
      a.root.m = a.map()
      for i = 1, 3000 do a.root.m:set(i * 10, i) end
      a.commit()
      b.refresh()
      local x = a.root.m
      local function change()
        for _ = 1, 100 do
          local k = math.random(30000)
          x:set(k, x:get(k) == nil and k or nil)
        end
        a.commit()
      end
      local function content(m)
        local all = {}
        for key, value in pairs(m) do all[key] = value end
        return all
      end
      local moving = { "refresh", "commit", "abort", false }
      for round = 1, 12 do
        local session, expected = open(), content(x)
        local y, count = session.root.m, #x
        local move = moving[round % 4 + 1]
        local n, moved, last = 0, false, -1
        for key, value in pairs(y) do
          assert(key > last and value == expected[key], key)
          last, n = key, n + 1
          if math.random(count // 4) == 1 then
            change()
            assert(#y == count and y:get(key) == value)
          end
          if move and not moved and key > 15000 then
            change()
            if move == "commit" then session.root.round = round end
            session[move]()
            expected, moved, count = content(x), true, #x
          end
        end
        if not moved then assert(n == count) end
        session.refresh()
        for key in x:range() do assert(y:get(key) == x:get(key)) end
        assert(#y == #x)
        b.root.m:set(30000 + round, round)
        b.commit()
        a.refresh()
        assert(shape(2).count == #x)
      end
    """, rng.randrange(2**31))


def test_others_may_change_a_map_between_two_reads(memory: World) -> None:
    """A node that was read belongs to the state of the root that was read with it, or the search begins again."""
    memory.run("""
      local a = open()
      local x = a.map()
      a.root.m = x
      for i = 1, 3000 do x:set(i, ("v"):rep(30)) end
      a.commit()
      local read, inside = store.read, false
      local n = 3000
      store.read = function(ids)
        local records, err = read(ids)
        if not inside then
          inside = true
          -- Whatever was just read is old by the time it arrives.
          for i = 1, 40 do x:set(n + i, ("v"):rep(30)) x:remove(n - 3000 + i) end
          n = n + 40
          if n < 3400 then a.commit() else a.abort() n = n - 40 end
          inside = false
        end
        return records, err
      end
      local b = open()
      local count = 0
      local y = b.root.m
      local lowest, highest = y:first(), y:last()
      for key in pairs(y) do count = count + 1 end
      assert(count == 3000 and y:get(n) and not y:get(n - 3000), count)
      assert(lowest == y:first() or lowest < y:first())
    """)


def test_a_failed_commit_leaves_the_edits(memory: World) -> None:
    memory.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      for i = 1, 500 do m:set(i, { i }) end
      store.fail_commit = { code = "no_space", message = "no space" }
      refuses("no space", s.commit)
      assert(#m == 500 and m:get(7)[1] == 7)
      local used = store.next_id
      s.commit()
      assert(store.next_id == used and shape(2).count == 500)
      m:set(3, "x") m:clear() m:set(4, "y")
      store.fail_commit = { code = "no_space", message = "no space" }
      refuses("no space", s.commit)
      assert(text_of(m) == "4=y")
      s.commit()
      assert(text_of(open().root.m) == "4=y")
    """)


def test_a_map_of_another_session_is_not_taken(memory: World) -> None:
    memory.run("""
      local a, b = open(), open()
      local m = a.map()
      a.root.x = { m }
      b.root.y = { m }
      a.commit()
      refuses("cannot save root%.y%[1%]: a map of another session", b.commit)
      b.root.y = nil
      b.commit()
    """)


def test_tables_that_came_out_of_a_map_are_let_go(memory: World) -> None:
    """A walk through more tables than fit: they are not held, but what was changed in them is not lost."""
    memory.run("""
      local s = open()
      local m = s.map()
      s.root.m = m
      for i = 1, 6000 do m:set(i, { n = i, text = ("x"):rep(200) }) end
      s.commit()
      local r = open()
      collectgarbage() collectgarbage()
      local before, most = collectgarbage "count", 0
      for i, t in pairs(r.root.m) do
        assert(t.n == i)
        if i % 100 == 0 then t.changed = true end
        if i % 1000 == 0 then
          r.changes()
          collectgarbage() collectgarbage()
          r.changes()
          most = math.max(most, collectgarbage "count" - before)
        end
      end
      assert(r.commit().objects == 60)
      assert(most < 4000, most)
      local n = 0
      for i, t in pairs(open().root.m) do if t.changed then n = n + 1 end end
      assert(n == 60)
    """)


# -- hostile maps --------------------------------------------------------------------------------------------------------

HOSTILE = """
  local values = require "fs.value_encoder"
  local nodes = require "fs.map_nodes"
  function leaf(...)
    local parts = {}
    local list = table.pack(...)
    for i = 1, list.n, 2 do parts[#parts + 1] = values.key(list[i]) .. values.value(list[i + 1], {}) end
    return nodes.encode_leaf(parts)
  end
  function node(...)
    local children, keys = {}, {}
    for i, v in ipairs { ... } do
      if i % 2 == 1 then children[#children + 1] = v else keys[#keys + 1] = v end
    end
    return nodes.encode_node(children, keys)
  end
  function load_map(root, payloads, kind)
    local all = {}
    for id in pairs(store.objects) do all[#all + 1] = id end
    for _, id in ipairs(all) do if id > 1 then store.objects[id] = nil end end
    store.objects[2] = { id = 2, kind = 7, payload = root, version = 1 }
    for i, payload in ipairs(payloads) do
      store.objects[9 + i] = { id = 9 + i, kind = kind or 8, payload = payload, version = 1 }
    end
    return open().root.m
  end
  local s = open()
  s.root.m = s.map()
  s.commit()
"""


@pytest.mark.parametrize(("code", "message"), [
    ("nodes.encode_root(0, 0, 10), {}", "cannot load root%.m %(object 2%): .*a root if there are pairs"),
    ("nodes.encode_root(5, 1, nil), {}", "a root if there are pairs"),
    ("nodes.encode_root(5, 0, 10), {}", "a root if there are pairs"),
    ('nodes.encode_root(1, 1, 10) .. "\\0", {}', "1 more bytes"),
    ('"\\x93\\xff\\0\\xc0", {}', "how many pairs"),
    ('"\\x93\\0\\xd4\\x01\\x05\\xc0", {}', "how many levels"),
    ('"\\x92\\0\\0", {}', "of 3 elements"),
    ('"\\x93\\0\\0\\x05", {}', "the reference of a node"),
    ("nodes.encode_root(1, 256, 10), {}", "at most 255 levels"),
    ("nodes.encode_root(1, 1 << 60, 10), {}", "at most 255 levels"),
    ('nodes.encode_root(2, 1, 10), {leaf("a", 1)}', "cannot read root%.m %(object 2%): object 10, .*1 pairs, the map 2"),
    ('nodes.encode_root(1, 1, 10), {leaf("b", 1, "a", 1)}', "object 10, .*ascending"),
    ('nodes.encode_root(2, 1, 10), {leaf("a", 1, "a", 1)}', "object 10, .*ascending"),
    ("nodes.encode_root(1, 1, 10), {leaf()}", "object 10, .*expected pairs"),
    ('nodes.encode_root(1, 1, 10), {leaf("a", 1) .. "\\0"}', "object 10, .*1 more bytes"),
    ('nodes.encode_root(1, 1, 10), {leaf("a", 1):sub(1, -2)}', "object 10, "),
    ('nodes.encode_root(1, 1, 10), {"\\x81\\xd4\\x01\\x05\\x01"}', "object 10, .*extension"),
    ('nodes.encode_root(1, 1, 10), {"\\x81\\xcb\\x3f\\xf0\\0\\0\\0\\0\\0\\0\\x01"}', "object 10, .*float key"),
    ('nodes.encode_root(1, 1, 10), {"\\xdf\\x7f\\xff\\xff\\xff\\xa1a\\x01"}', "object 10, "),
    ('nodes.encode_root(1, 1, 10), {"\\x81\\xa1a\\xd4\\x04"}', "object 10, "),
    ("nodes.encode_root(1, 2, 10), {node(10)}", "object 10, .*a leaf"),
    ("nodes.encode_root(1, 255, 10), {node(10)}", "object 10, .*a leaf"),
    ('nodes.encode_root(9, 2, 10), {node(11, "m", 11), leaf("a", 1)}', "object 11, .*do not lie between"),
    ('nodes.encode_root(9, 2, 10), {node(11, "m", 12), leaf("z", 1), leaf("n", 1)}', "object 11, .*do not lie"),
    ('nodes.encode_root(9, 2, 10), {node(11, "m", 12, "c", 13), leaf("a", 1), leaf("n", 1), leaf("o", 1)}', "object 10, .*ascending"),
    ('nodes.encode_root(9, 3, 10), {node(11, "m", 12), node(13, "q", 14), node(13), leaf("a", 1), leaf("b", 1)}',
     "object 11, .*do not lie"),
    ('nodes.encode_root(9, 2, 10), {leaf("a", 1)}', "object 10, .*a node of a map"),
    ('nodes.encode_root(9, 1, 10), {node(11, "m", 12)}', "object 10, .*a leaf"),
    ('nodes.encode_root(9, 2, 10), {"\\x92\\xd4\\x01\\x05\\xa1a"}', "object 10, .*one child more"),
    ('nodes.encode_root(9, 2, 10), {"\\x90"}', "object 10, .*one child more"),
    ('nodes.encode_root(9, 2, 10), {"\\x91\\xc0"}', "object 10, .*reference"),
    ('nodes.encode_root(9, 2, 10), {node(11, "m", 12), leaf("a", 1), leaf("n", 1)}', "it has 2 pairs, its root says 9"),
    ("nodes.encode_root(9, 1, 99), {}", "no object 99"),
    ("nodes.encode_root(9, 1, 1), {}", "object 1, .*kind 1"),
    ("nodes.encode_root(9, 1, 2), {}", "object 2, .*kind 7"),
])
def test_hostile_maps(memory: World, code: str, message: str) -> None:
    memory.run(HOSTILE + f"""
      local m = load_map({code})
      local function walk_all()
        for _ in pairs(m) do end
      end
      refuses("{message}", walk_all)
      refuses("cannot", walk_all)
      m = load_map({code})
      refuses("cannot", function() for _ in m:range(nil, nil, {{ reverse = true }}) do end assert(#m == 2, "cannot") end)
    """)


def test_any_way_of_cutting_is_read(memory: World) -> None:
    memory.run(HOSTILE + """
      local m = load_map(nodes.encode_root(4, 3, 10), { node(11, "m", 12), node(13), node(14, "q", 15), leaf("a", 1),
        leaf("n", 1, "o", 2), leaf("r", 1) })
      assert(text_of(m) == "a=1 n=1 o=2 r=1" and text_of(m, nil, nil, { reverse = true }) == "r=1 o=2 n=1 a=1")
      m:set("b", 2) m:remove "n" m:remove "o"
    """)


def test_one_bad_leaf_hurts_its_own_pairs_only(memory: World) -> None:
    memory.run(MANY, 5000, b"ascending")
    memory.run("""
      local bad
      for id, object in pairs(store.objects) do
        if object.kind == 8 and object.payload:find("key 0025000", 1, true) and object.payload:byte() == 0xde then bad = id end
      end
      store.bad[bad] = { code = "corrupt", id = bad, message = ("object %d at LBA 77: crc"):format(bad) }
      local r = open()
      refuses(("cannot read root%%.m %%(object 2%%): object %d at LBA 77: crc"):format(bad), function()
        return r.root.m:get "key 0025000" end)
      assert(r.root.m:get "key 0000010" and r.root.m:get "key 0050000")
      r.root.m:set("key 0000010", "changed")
      r.commit()
      refuses("LBA 77", function() for _ in pairs(r.root.m) do end end)
      refuses("LBA 77", function() r.root.m:set("key 0025000", 1) end)
    """)


# -- against a model -----------------------------------------------------------------------------------------------------

map_keys = st.one_of(st.integers(-3, 900), st.sampled_from([0.5, 1.5, True, False, b"", b"key"]),
                     st.integers(0, 900).map(lambda n: b"key %d" % n))
map_values = st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40),
                       st.integers(0, 1200).map(lambda n: b"v" * n), st.just(b"w" * 70000))
steps = st.lists(st.one_of(
    st.tuples(st.just(b"set"), map_keys, map_values),
    st.tuples(st.just(b"set"), map_keys, map_values),
    st.tuples(st.just(b"run"), st.integers(0, 900), st.integers(0, 400), st.integers(0, 300)),
    st.tuples(st.just(b"drop"), st.integers(0, 900), st.integers(0, 400)),
    st.tuples(st.just(b"range"), map_keys, map_keys, st.booleans()),
    st.tuples(st.sampled_from([b"commit", b"commit", b"abort", b"forget", b"clear", b"other", b"reopen"])),
), min_size=1, max_size=25)

MODEL = """
  local order = require "fs.order"
  local function copy(t)
    local c = {}
    for key, value in next, t do c[key] = value end
    return c
  end
  session, other = open(), open()
  m = session.map()
  session.root.m = m
  session.commit()
  now, committed = {}, {}
  local function sorted_keys(from, to)
    local keys = {}
    for key in next, now do
      if not (from ~= nil and order.before(key, from)) and not (to ~= nil and order.before(to, key)) then keys[#keys + 1] = key end
    end
    table.sort(keys, order.before)
    return keys
  end
  local function compare(from, to, reverse)
    local keys = sorted_keys(from, to)
    local n = 0
    for key, value in m:range(from, to, { reverse = reverse }) do
      n = n + 1
      local expected = keys[reverse and #keys + 1 - n or n]
      assert(rawequal(key, expected) and value == now[key], tostring(key))
    end
    assert(n == #keys, n .. " of " .. #keys)
  end
  local function set(key, value)
    if type(key) == "number" then key = math.tointeger(key) or key end
    m:set(key, value)
    now[key] = value
    assert(m:get(key) == value)
  end
  local doing = {
    set = set,
    run = function(first, count, size) for i = first, first + count do set("key " .. i, ("r"):rep((i * 7 + size) % 300)) end end,
    drop = function(first, count) for i = first, first + count do set("key " .. i, nil) end end,
    range = compare,
    commit = function() session.commit() committed = copy(now) end,
    abort = function() session.abort() now = copy(committed) end,
    forget = function() session.commit() committed = copy(now) session.forget(m) end,
    clear = function() m:clear() now = {} end,
    reopen = function()
      session.commit()
      committed = copy(now)
      session = open()
      m = session.root.m
    end,
    other = function()
      -- Somebody else changes one key; ours must not be lost, nor theirs.
      session.commit()
      other.refresh()
      local n = (other.root.m:get "theirs" or 0) + 1
      other.root.m:set("theirs", n)
      other.commit()
      now.theirs = n
      m:set("ours", n)
      now.ours = n
      session.commit()
      committed = copy(now)
    end,
  }
  function step(what, ...)
    doing[what](...)
    assert(#m == #sorted_keys())
    if what ~= "set" then compare(nil, nil, false) end
  end
  function finish()
    compare(nil, nil, true)
    session.abort()
    now = copy(committed)
    session = open()
    m = session.root.m
    compare(nil, nil, false)
    shape(2)
  end
"""


@given(steps)
@settings(max_examples=60)
def test_any_operations_against_a_dictionary(plan: Any) -> None:
    world = new_world()
    world.run(MODEL)
    step = world.lua.globals()[b"step"]
    for operation in plan:
        step(*operation)
    world.run("finish()")
