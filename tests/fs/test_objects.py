"""Objects: what a Lua programmer sees of the store, over a store in memory and over the real one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fs.sessions import KINDS, World


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture
def memory() -> World:
    return World("memory")


# -- the promises of the first page --------------------------------------------------------------------------------


def test_first_ship(world: World) -> None:
    world.run("""
      local s = open()
      local root = s.root
      root.ship = { name = "Argo", fuel = 7, crew = { "Jason", "Orpheus" } }
      root.crew = root.ship.crew
      local t = s.commit "first ship"
      assert(t.id == "t1" and t.objects == 3 and tostring(t) == ("t1: 3 objects, %d bytes"):format(t.bytes))
      root.ship.fuel = 5
      root.crew[3] = "Medea"
      local changes = s.changes()
      assert(#changes == 2)
      assert(changes[1].kind == "+" and changes[1].path == "root.crew[3]" and changes[1].new == "Medea")
      assert(changes[2].kind == "~" and changes[2].path == "root.ship.fuel"
        and changes[2].old == 7 and changes[2].new == 5)
      t = s.commit()
      assert(t.id == "t2" and t.objects == 2)
      assert(#s.changes() == 0)

      local other = open().root
      assert(other.crew == other.ship.crew and #other.crew == 3 and other.ship.fuel == 5)
      assert(math.type(other.ship.fuel) == "integer")
    """)


def test_after_a_reboot() -> None:
    world = World("disk")
    world.run("""
      local s = open()
      s.root.ship = { crew = { "Jason", "Orpheus" }, mass = 1.0 }
      s.root.ship.me = s.root.ship
      s.commit "first" """)
    world.reboot().run("""
      local root = open().root
      assert(root.ship.crew[2] == "Orpheus" and root.ship.me == root.ship and math.type(root.ship.mass) == "float")
    """)


def test_a_commit_without_changes_writes_nothing(world: World) -> None:
    world.run("""
      local s = open()
      local t = s.commit "nothing"
      assert(t.id == "t0" and t.objects == 0 and #s.log() == 0)
      s.save("x", { 1 })
      t = s.commit "again"
      assert(t.id == "t1" and t.objects == 0 and tostring(t) == "t1: nothing changed" and #s.log() == 1)
    """)


def test_save_fetch_log_info(world: World) -> None:
    world.run("""
      local s = open()
      assert(s.save("n", 3).id == "t1" and s.fetch "n" == 3 and s.fetch "m" == nil)
      s.root.m = "M"
      s.commit "with a message"
      local log = s.log()
      assert(#log == 2 and log[1].id == "t1" and log[2].message == "with a message" and #s.log(1) == 1)
      assert(s.info().objects == 1)
    """)


def test_values_keep_their_kinds(world: World) -> None:
    world.run("""
      local s = open()
      local v = {
        1, 1.0, -0.0, 0.0, math.huge, -math.huge, 0/0, math.maxinteger, math.mininteger, true, false, "", "\\0\\xff",
        ("x"):rep(70000), "\\u{10FFFF}", [100] = "sparse", [-1] = "below", [1.5] = "half", [true] = 1, [false] = 0,
        [math.huge] = "inf", [2^63] = "big", ["\\xfe"] = "odd",
      }
      s.root.v = v
      s.commit()
      same(v, open().root.v)
      local w = open().root.v
      assert(math.type(w[1]) == "integer" and math.type(w[2]) == "float" and 1 / w[3] == -math.huge)
    """)


def test_nested_edits_are_never_lost(world: World) -> None:
    """What shelve, and ZODB with plain dicts, silently lose."""
    world.run("""
      local s = open()
      s.root.a = { b = { c = { list = {} } } }
      s.commit()
      local r = open()
      table.insert(r.root.a.b.c.list, "x")
      r.root.a.b.c.n = (r.root.a.b.c.n or 0) + 1
      assert(r.commit().objects == 2)
      local t = open().root
      assert(t.a.b.c.list[1] == "x" and t.a.b.c.n == 1)
    """)


def test_table_functions_on_persistent_tables(world: World) -> None:
    world.run("""
      local s = open()
      s.root.l = { 5, 3, 9, 1 }
      s.commit()
      local r = open()
      local l = r.root.l
      table.sort(l)
      table.insert(l, 1, 0)
      table.remove(l)
      table.move({ 7, 8 }, 1, 2, #l + 1, l)
      r.commit()
      assert(table.concat(open().root.l, " ") == "0 1 3 5 7 8")
      while #l > 0 do table.remove(l) end
      r.commit()
      assert(#open().root.l == 0)
    """)


def test_moves_between_parts_of_a_table(world: World) -> None:
    """A hole in an array, a filled gap, a key that moves from the map part to the array part."""
    world.run("""
      local s = open()
      local t = { 1, 2, 3, 4, 5, x = 1 }
      s.root.t = t
      s.commit()
      for _, step in ipairs { { 3, nil }, { 5, nil }, { 3, "c" }, { 7, "g" }, { 5, "e" }, { 6, "f" }, { 1, nil },
          { "x", nil }, { 1, "a" } } do
        t[step[1]] = step[2]
        s.commit()
        same(t, open().root.t)
      end
    """)


def test_removed_and_shared_objects(world: World) -> None:
    world.run("""
      local s = open()
      local shared = { n = 1 }
      s.root.a, s.root.b = { shared }, { shared, [shared] = "as a key" }
      s.commit()
      s.root.a = nil
      shared.n = 2
      assert(s.commit().objects == 2)
      local r = open().root
      assert(r.a == nil and r.b[1].n == 2 and r.b[r.b[1]] == "as a key")
    """)


# -- what cannot be saved ------------------------------------------------------------------------------------------


def test_refusals_name_the_path_and_write_nothing(world: World) -> None:
    world.run("""
      local s = open()
      s.root.ship = { crew = { "Jason" } }
      s.commit()
      local ship = s.root.ship
      local function refuse(path, what)
        refuses("cannot save " .. path .. ": " .. what, s.commit)
        assert(#s.log() == 1)
      end
      ship.new = { deep = { onclick = string.gmatch("a", "b") } }
      refuse("root%.ship%.new%.deep%.onclick", "C function")
      ship.new = { { coroutine.create(print) } }
      refuse("root%.ship%.new%[1%]%[1%]", "coroutine")
      ship.new = function() end
      refuse("root%.ship%.new", "its source text is not known")
      ship.new = io.stdout
      refuse("root%.ship%.new", "userdata")
      ship.new = { [io.stdout] = 1 }
      refuse("a key of root%.ship%.new", "userdata")
      ship.new = nil
      ship.crew["odd key"] = { [true] = { [0.5] = { ["end"] = print, [math.huge] = io.stdout } } }
      refuse('root%.ship%.crew%["odd key"%]%[true%]%[0%.5%]%[math%.huge%]', "userdata")
      ship.crew["odd key"] = setmetatable({}, { __index = function() end })
      refuse('getmetatable%(root%.ship%.crew%["odd key"%]%)%.__index', "its source text is not known")
      ship.crew["odd key"] = nil
      ship.ok = 1
      assert(s.commit().objects == 1)
    """)


def test_hidden_metatables_are_refused_without_the_debug_library(memory: World) -> None:
    memory.run("""
      debug = nil
      local s = open()
      s.root.x = { setmetatable({}, { __metatable = "locked" }) }
      refuses("cannot save root%.x%[1%]: its metatable is hidden", s.commit)
      s.root.x = coroutine.wrap(print)
      refuses("cannot save root%.x: function", s.commit)
    """)


def test_hidden_metatables_with_the_debug_library(world: World) -> None:
    world.run("""
      local s = open()
      local class = { __metatable = "locked", __index = { kind = "ship" } }
      s.root.x = setmetatable({ 1 }, class)
      s.commit()
      local r = open()
      assert(r.root.x.kind == "ship" and getmetatable(r.root.x) == "locked")
      r.root.x[1] = 2
      r.abort()
      assert(r.root.x[1] == 1 and r.root.x.kind == "ship")
    """)


def test_a_failed_commit_changes_nothing_and_leaks_no_ids(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.a = { {}, {}, {} }
      store.fail_commit = { code = "io", message = "the disk is gone" }
      refuses("the disk is gone", s.commit)
      store.fail_commit = { code = "no_space", message = "no space" }
      s.root.b = {}
      refuses("no space", s.commit)
      assert(s.commit().objects == 6 and store.next_id == 7)
      same(s.root, open().root)
      s.root.c = { coroutine.create(print) }
      refuses("coroutine", s.commit)
      s.root.c = { {} }
      assert(s.commit().objects == 3 and store.next_id == 9)
    """)


# -- permanents and metatables -------------------------------------------------------------------------------------


def test_permanents(world: World) -> None:
    world.run("""
      local s = open()
      local file = io.stdout
      s.register("console", file)
      s.root.p = { print, string.format, _G, string, math, next = next, console = file, [table] = table.concat,
        raw_next = pairs({}) }
      s.commit()
      local r = open { permanents = { console = file } }
      local p = r.root.p
      assert(p[1] == print and p[2] == string.format and p[3] == _G and p[4] == string and p[5] == math)
      assert(p.next == next and p.console == file and p[table] == table.concat and p.raw_next == next)
      assert(r.commit().objects == 0)
      local without = open()
      refuses('cannot load root%.p %(object 2%): .*nothing is registered under the name "console"',
        function() return #without.root.p end)
      without.register("console", file)
      assert(#without.root.p == 5)
      refuses("registered for another value", without.register, "console", print)
      refuses("not a string", without.register, "text", "x")
    """)


def test_metatables(world: World) -> None:
    world.run("""
      local s = open()
      local class = { name = "class" }
      class.__index = class
      setmetatable(class, class)
      local a = setmetatable({ n = 1 }, class)
      s.root.a, s.root.b = a, setmetatable({}, { __index = { deep = "yes" } })
      s.root.c = setmetatable({}, math)
      s.commit()
      local r = open()
      assert(rawlen(r.root.a) == 0 and r.root.a.name == "class" and r.root.b.deep == "yes")
      assert(getmetatable(r.root.a) == getmetatable(r.root.a).__index and getmetatable(r.root.c) == math)
      setmetatable(r.root.a, nil)
      local changes = r.changes()
      assert(#changes == 1 and changes[1].path == "getmetatable(root.a)" and changes[1].kind == "-")
      r.abort()
      assert(r.root.a.name == "class")
      getmetatable(r.root.a).name = "other"
      assert(r.commit().objects == 1 and open().root.a.name == "other")
    """)


def test_a_metatable_loads_with_its_table(world: World) -> None:
    """Lua reads metatables raw, so one that was not loaded would do nothing."""
    world.run("""
      local s = open()
      local meta = { __add = print, __len = math.type }
      s.root.chain = setmetatable({}, setmetatable({ __concat = select }, setmetatable({ __call = rawequal }, meta)))
      s.root.sum = setmetatable({}, meta)
      s.commit()
      local root = open().root
      local chain = root.chain
      assert(getmetatable(chain).__concat == select)
      assert(getmetatable(chain)(1) == true or true)
      assert(#root.sum == nil)
    """)


def test_a_metatable_that_cannot_be_read(memory: World) -> None:
    """Nothing of the table is shown without it; a later touch tries again."""
    memory.run("""
      local s = open()
      s.root.t = setmetatable({ 1 }, setmetatable({ __index = math }, { __index = string }))
      s.commit()
      local r = open()
      for _, bad in ipairs { 3, 4 } do
        store.bad[bad] = { code = "corrupt", message = "crc" }
        refuses(("cannot load object %d: crc"):format(bad), function() return r.root.t[1] end)
        refuses("crc", function() return #r.root.t end)
        assert(r.commit().objects == 0)
        store.bad[bad] = nil
      end
      assert(r.root.t[1] == 1 and r.root.t.pi == math.pi and getmetatable(r.root.t).rep == string.rep)
    """)


def test_a_metatable_of_a_new_table_is_not_forgotten(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.class = { __index = { kind = "class" } }
      s.commit()
      local new = setmetatable({}, s.root.class)
      refuses("in use as a metatable", s.forget, s.root.class)
      assert(new.kind == "class")
    """)


# -- abort, refresh, conflicts -------------------------------------------------------------------------------------


def test_abort_puts_contents_back_in_place(world: World) -> None:
    world.run("""
      local s = open()
      local list = {}
      for i = 1, 200 do list[i] = { n = i, tags = { "a", "b" } } end
      s.root.list = list
      s.commit()
      local first = list[1]
      for i = 1, 200 do
        list[i].n = -i
        table.remove(list[i].tags)
        list[i].extra = { list }
      end
      table.sort(list, function(a, b) return a.n < b.n end)
      s.root.other = {}
      setmetatable(s.root, {})
      s.abort()
      assert(s.root.list == list and list[1] == first and s.root.other == nil and getmetatable(s.root) == nil)
      same(s.root, open().root)
      assert(#s.changes() == 0 and s.commit().objects == 0)
    """)


def test_two_sessions_add_different_names(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.x, b.root.y = { 1 }, { 2 }
      a.commit()
      b.commit()
      assert(b.root.x[1] == 1 and b.root.y[1] == 2)
      a.root.z = 1
      a.commit()
      same(a.root, b.refresh() and b.root)
      same(a.root, open().root)
    """)


def test_conflicts_are_named_by_path_and_the_session_stays_usable(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.ship = { fuel = 7, crew = { "Jason" } }
      a.commit()
      assert(b.refresh()[1] == nil and b.root.ship.fuel == 7)
      local _ = #b.root.ship.crew
      a.root.ship.fuel, b.root.ship.fuel = 6, 5
      table.insert(a.root.ship.crew, "Orpheus")
      table.insert(b.root.ship.crew, "Medea")
      b.root.ship.other, b.root.new = "kept", {}
      a.commit()
      refuses("conflict: root%.ship%.crew%[…%], root%.ship%.fuel changed both here and in the store", b.commit)
      assert(b.root.ship.fuel == 5 and #b.log() == 2)
      local conflicts = b.refresh()
      assert(#conflicts == 2)
      assert(b.root.ship.fuel == 5 and b.root.ship.crew[2] == "Medea")
      b.root.ship.fuel = 4
      b.commit()
      local r = open().root
      assert(r.ship.fuel == 4 and r.ship.other == "kept" and r.new and r.ship.crew[2] == "Medea")
      a.root.ship.fuel = 3
      refuses("conflict: root%.ship%.fuel ", a.commit)
      a.abort()
      a.refresh()
      same(a.root, r)
    """)


def test_removals_and_additions_merge(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.t = { x = 1, y = 2, list = false }
      a.commit()
      b.refresh()
      a.root.t.x = nil
      setmetatable(a.root.t, { __index = { shared = 1 } })
      b.root.t.z = 3
      b.root.t.list = { 1 }
      a.commit()
      b.commit()
      for _, root in ipairs { b.root, open().root } do
        assert(root.t.x == nil and root.t.y == 2 and root.t.z == 3 and root.t.list[1] == 1 and root.t.shared == 1)
      end
    """)


def test_false_survives_a_merge(world: World) -> None:
    world.run("""
      local a, b = open(), open()
      a.root.t = { x = 1, y = 1, z = 1 }
      a.commit()
      b.refresh()
      a.root.t.x = false
      b.root.t.y = false
      b.root.t.z = nil
      a.commit()
      b.commit()
      for _, root in ipairs { b.root, open().root } do
        assert(root.t.x == false and root.t.y == false and root.t.z == nil)
      end
    """)


# -- loading -------------------------------------------------------------------------------------------------------


def test_neighbours_are_read_together(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.list = {}
      for i = 1, 1000 do s.root.list[i] = { n = i } end
      s.commit()
      local r = open()
      local reads = count_reads(function()
        for i, item in ipairs(r.root.list) do assert(item.n == i) end
      end)
      assert(reads <= 6 + 1000 // 32, reads)
      assert(count_reads(function() for _, item in ipairs(r.root.list) do assert(item.n) end end) == 0)
    """)


def test_ids_that_do_not_exist_are_in_nobody_s_way(memory: World) -> None:
    """Read ahead guesses ids; where one is missing, everything is still read, and seldom in two calls."""
    memory.run("""
      local s = open()
      s.root.list = {}
      for i = 1, 1000 do s.root.list[i] = { inner = { i } } end
      s.commit()
      for i = 1, 1000, 3 do s.root.list[i].inner = nil end
      s.commit()
      for i = 1, 1000, 3 do store.objects[1002 + i] = nil end  -- as the store's garbage collection does
      local r = open()
      local reads = count_reads(function()
        for i, item in ipairs(r.root.list) do
          assert(i % 3 == 1 and item.inner == nil or item.inner[1] == i)
        end
      end)
      assert(reads < 800, reads)
    """)


def test_large_neighbours_are_not_read_together(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.list = {}
      for i = 1, 100 do s.root.list[i] = { ("x"):rep(60000), n = i } end
      s.commit()
      local r, largest = open(), 0
      local read = store.read
      store.read = function(ids) largest = math.max(largest, #ids) return read(ids) end
      for i, item in ipairs(r.root.list) do assert(item.n == i) end
      assert(largest <= 16, largest)
    """)


def test_a_bad_object_names_itself_and_hurts_no_other(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.list = { { "a" }, { "b" }, { "c" } }
      s.commit()
      local b = 4
      store.bad[b] = { code = "corrupt", id = b, lba = 77, message = "object 4 at LBA 77: crc" }
      local r = open()
      assert(r.root.list[1][1] == "a" and r.root.list[3][1] == "c")
      for _, touch in ipairs { function(t) return t[1] end, function(t) t[1] = 2 end, function(t) return #t end,
          function(t) return next(t) end, function(t) return rawget(t, 1) end, function(t) return pairs(t) end,
          function(t) return setmetatable(t, nil) end, function(t) return tostring(t) end, table.unpack } do
        refuses("cannot load root%.list%[2%] %(object 4%): object 4 at LBA 77: crc", touch, r.root.list[2])
      end
      for _, operation in ipairs { "return x[1]", "x[1] = 2", "return #x", "return x + 1", "return x < x", "x()" } do
        local x_is = load("local x = ... " .. operation, "=program")
        refuses("^program:1: cannot load root%.list%[2%]", function() x_is(r.root.list[2]) end)
      end
      assert(r.commit().objects == 0)
      store.bad[b] = nil
      assert(r.root.list[2][1] == "b")
      store.objects[5].payload = "\\x91\\xc0\\x80"
      r = open()
      refuses("cannot load root%.list%[3%] %(object 5%): offset 1: expected a value, found nil",
        function() return r.root.list[3][1] end)
      store.objects[5].kind = 9
      refuses("kind 9", function() return r.root.list[3][1] end)
    """)


def test_a_stub_that_no_path_leads_to(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.x = { {} }
      s.commit()
      local r = open()
      local stub = r.root.x[1]
      r.root.x[1] = nil
      store.bad[3] = { code = "corrupt", message = "bad" }
      refuses("cannot load object 3: bad", function() return #stub end)
    """)


# -- memory --------------------------------------------------------------------------------------------------------


def test_what_was_committed_is_not_held_beside_the_tables(memory: World) -> None:
    memory.run("""
      local s = open()
      local requests = setmetatable({}, { __mode = "k" })
      local commit = store.commit
      store.commit = function(request)
        requests[request.payloads] = true
        return commit(request)
      end
      for _, fails in ipairs { false, true } do
        s.root.t, s.root.m = { 1, 2 }, s.map()
        s.root.m:set("key", { 3 })
        store.fail_commit = fails and { code = "no_space", message = "no space" } or nil
        pcall(s.commit)
        assert(next(requests))
        store.last_entries = nil
        collectgarbage() collectgarbage()
        assert(not next(requests), "the session holds all that a commit wrote")
      end
    """)


def test_dropped_tables_are_collected(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.big = { {}, {} }
      s.commit()
      local r = open()
      local probe = setmetatable({ new = {}, stub = r.root.big[2] }, { __mode = "v" })
      s.root.fresh = probe.new or {}
      probe.new = s.root.fresh
      s.root.fresh = nil
      r.root.big[2] = nil
      collectgarbage()
      assert(probe.new == nil and probe.stub == nil)
      r.abort()
      assert(#r.root.big[2] == 0)
    """)


def test_a_change_is_not_lost_with_the_last_reference(memory: World) -> None:
    """The changed table is reachable only through an object that is not loaded (any more)."""
    memory.run("""
      local s = open()
      local shared = { n = 1 }
      s.root.a, s.root.b = { shared }, { shared }
      s.commit()
      local r = open()
      r.root.a[1].n = 2            -- root.b was never loaded
      r.root.a = nil
      collectgarbage() collectgarbage()
      assert(r.root.b[1].n == 2)
      r.commit()
      assert(open().root.b[1].n == 2)

      r = open()
      r.root.b[1].n = 3
      r.forget(r.root.b)
      collectgarbage() collectgarbage()
      assert(r.root.b[1].n == 3 and #r.changes() == 1)
      r.commit()
      assert(open().root.b[1].n == 3)
    """)


def test_what_was_removed_is_let_go(memory: World) -> None:
    """A session that adds and removes all day holds what there is, not what there was."""
    memory.run("""
      local s = open()
      s.root.queue = {}
      local sizes = {}
      for round = 1, 40 do
        for i = 1, 300 do s.root.queue[i] = { text = ("x"):rep(1000) .. round .. "." .. i } end
        s.commit()
        s.root.queue = {}
        s.commit()
        collectgarbage()
        sizes[round] = collectgarbage "count"
      end
      store.objects, store.states = {}, {}  -- the store keeps everything; what remains is the session's
      collectgarbage() collectgarbage()
      assert(collectgarbage "count" < 8000, collectgarbage "count")
    """)


DETACH = """
  -- 3000 tables that root leads to no more, and of which the session has let go.
  local s, kept = open(), {}
  s.root.a, s.root.b = {}, {}
  for i = 1, 3000 do
    local t = { n = i }
    s.root.a[i], s.root.b[i] = t, t
  end
  s.commit()
  local r = open()
  for i, t in ipairs(r.root.a) do assert(t.n == i) kept[i] = t end
  r.root.a = nil
  r.root.x = {}
  for i = 1, 3100 do r.root.x[i] = {} end
  r.commit()  -- root.b is not loaded: nothing in memory leads to the 3000
"""


@pytest.mark.parametrize("how", ["held", "dropped", "dropped, found again at once", "dropped unchanged"])
def test_what_was_let_go_keeps_its_changes(memory: World, how: str) -> None:
    memory.run(DETACH + """
      local how = ...
      if how ~= "dropped unchanged" then
        for i = 1, 3000 do kept[i].n = -i end
      end
      local probe = setmetatable({ kept[7] }, { __mode = "k" })
      if how ~= "held" then
        kept = nil
        if how == "dropped, found again at once" then
          -- The collector has found them; not every finalizer has run.
          collectgarbage "step"
          for i = 1, 200 do collectgarbage("step", 1) if i % 10 == 0 then local _ = r.root.b[i].n end end
        else
          collectgarbage() collectgarbage()
        end
      end
      local sign = how == "dropped unchanged" and 1 or -1
      if how ~= "dropped, found again at once" then
        local n = r.commit().objects
        assert(n == (sign < 0 and 3000 or 0), n)
      end
      for i, t in ipairs(r.root.b) do
        assert(t.n == sign * i, i)
        assert(not kept or kept[i] == t)
      end
      r.commit()
      for i, t in ipairs(open().root.b) do assert(t.n == sign * i, i) end
    """, how.encode())


def test_what_was_let_go_and_read_ahead_is_not_read_as_it_was(memory: World) -> None:
    memory.run("""
      local s, tables = open(), {}
      s.root.list = {}
      for i = 1, 600 do s.root.list[i] = { n = i } end
      s.commit()
      local r = open()
      for i, t in ipairs(r.root.list) do tables[i] = t end
      r.forget(r.root.list)
      for i = 1, 600, 2 do assert(tables[i].n == i) end
      r.refresh()
      assert(tables[2].n == 2)      -- now every second table is let go of
      assert(tables[200].n == 200)  -- those near this one are read with it
      local reads = store.reads
      tables[201].n = "changed"
      assert(store.reads == reads)
      r.commit()
      r.forget(tables[201])
      assert(tables[201].n == "changed", tables[201].n)
    """)


def test_a_let_go_table_is_met_before_its_finalizer_has_run(memory: World) -> None:
    """A finalizer that was set later runs earlier: the collector has found the tables, their guards have not spoken."""
    memory.run(DETACH + """
      for i = 1, 3000 do kept[i].n = -i end
      kept = nil
      local met
      setmetatable({}, { __gc = function() met = r.root.b[7].n end })
      collectgarbage()
      assert(met == -7)
      assert(r.commit().objects == 3000)
      for i, t in ipairs(open().root.b) do assert(t.n == -i, i) end
    """)


def test_what_was_given_back_waits_for_what_is_on_its_way(memory: World) -> None:
    """One table's finalizer has run, that of the table which refers to it has not: neither may be dropped."""
    memory.run("""
      local identity, detached = require "fs.identity", require "fs.detached"
      local function limbo(returned)
        local map = identity.new(print)
        detached.prepare(map)
        local inner = {}
        local outer = { inner }
        for id, t in pairs { [5] = inner, [6] = outer } do
          map.names[t] = id
          map.detached[id] = { payload = "", version = 1, list = map.objects }
        end
        map.returned = returned(inner, outer)
        detached.take_back(map, getmetatable, function() return true end)
        assert(next(map.detached) == nil)
        return map, inner, outer
      end
      local map, inner, outer = limbo(function(inner) return { inner } end)
      assert(map.loaded[5] == inner and map.loaded[6] == outer and map.objects[6] == outer and map.names[inner] == 5)
      map, inner, outer = limbo(function(inner, outer) return { inner, outer, inner } end)
      assert(next(map.loaded) == nil and map.names[inner] == nil and map.names[outer] == nil)
    """)


def test_refresh_reaches_what_was_let_go(memory: World) -> None:
    memory.run(DETACH + """
      s.root.b[5].n = "theirs"
      s.commit()
      r.refresh()
      assert(kept[5].n == "theirs" and kept[6].n == 6)
    """)


def test_forget_takes_back_what_was_let_go(memory: World) -> None:
    memory.run(DETACH + """
      kept[3].n = "changed"
      refuses("has changes", r.forget, kept[3])
      r.forget(kept[4])
      assert(kept[4].n == 4 and r.root.b[4] == kept[4])
      local changes = r.changes()
      assert(#changes == 1 and changes[1].path == "root.b[3].n" and changes[1].new == "changed")
    """)


def test_an_object_that_is_too_large_is_named(world: World) -> None:
    if world.kind == "memory":
        world.run("""
          local commit = store.commit
          store.commit = function(request)
            for i, payload in ipairs(request.payloads) do
              if #payload > 100000 then
                return nil, { code = "too_large", id = request.ids[i], message = "object has many bytes" }
              end
            end
            return commit(request)
          end """)
    world.run("""
      local s = open()
      s.root.a = { { [("x"):rep(1 << 20)] = 1 } }
      refuses("cannot save root%.a%[1%]: object .* bytes", s.commit)
      s.root.a[1] = { "small" }
      assert(s.commit().objects == 3)
    """)


def test_forget(world: World) -> None:
    world.run("""
      local s = open()
      s.root.t = { 1, 2, { "x" }, k = "v" }
      s.root.o = setmetatable({ 1 }, { __index = { f = 5 } })
      local t, o = s.root.t, s.root.o
      refuses("not an object", s.forget, t)
      s.commit()
      s.forget(t)
      s.forget(t)
      s.forget(o)
      assert(t == s.root.t and #t == 3 and t.k == "v" and t[3][1] == "x" and o.f == 5)
      t.k = "w"
      refuses("root%.t has changes", s.forget, t)
      refuses("in use as a metatable", s.forget, getmetatable(o))
      refuses("not an object", s.forget, {})
      s.commit()
      s.forget(s.root)
      assert(s.root.t == t and t.k == "w")
    """)


def test_tables_of_another_session_are_copied(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.a = { { "deep" } }
      s.commit()
      local view = open()
      s.root.copy = view.root.a
      assert(s.commit().objects == 3)
      local r = open().root
      assert(r.copy ~= r.a and r.copy[1] ~= r.a[1] and r.copy[1][1] == "deep")
    """)


# -- graphs --------------------------------------------------------------------------------------------------------

GRAPH = """
  local seed, count = ...
  math.randomseed(seed)
  local nodes = {}
  for i = 1, count do nodes[i] = { id = i, name = "node " .. i } end
  local function any() return nodes[math.random(count)] end
  for i = 1, count do
    local node = nodes[i]
    if i > 1 then table.insert(nodes[math.random(i - 1)], node) end  -- reachable
    for _ = 1, math.random(0, 3) do node["link" .. math.random(4)] = any() end
    if math.random(10) == 1 then node[any()] = any() end
    if math.random(20) == 1 then setmetatable(node, any()) end
  end
  return nodes
"""


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_tables(kind: str, rng: random.Random) -> None:
    world = World(kind)
    world.run("""
      local seed, graph = ...
      nodes = load(graph)(seed, 10000)
      session = open()
      session.root.graph = nodes[1]
      assert(session.commit().objects == 10001)
      assert(session.commit().objects == 0)
      same(session.root, open().root)
      for _ = 1, 300 do nodes[math.random(#nodes)].other = nodes[math.random(#nodes)] end
      session.commit()
      same(session.root, open().root)
    """, rng.randrange(2**31), GRAPH.encode())


def test_ten_thousand_tables_after_a_reboot(rng: random.Random) -> None:
    seed = rng.randrange(2**31)
    world = World("disk")
    world.run("""
      local seed, graph = ...
      local s = open()
      s.root.graph = load(graph)(seed, 10000)[1]
      s.commit()
    """, seed, GRAPH.encode())
    world.reboot().run("""
      local seed, graph = ...
      same(load(graph)(seed, 10000)[1], open().root.graph)
    """, seed, GRAPH.encode())


names = st.sampled_from(["a", "b", "c", "odd key", "\xe9", 1, 2, 3, 4, 17, -1, 0.5, True, False])
scalars = st.one_of(st.booleans(), st.integers(-5, 300), st.floats(allow_nan=True), st.binary(max_size=3),
                    st.sampled_from([0.0, -0.0, 1, 1.0]))
# table, key, what: "new" table, "link" to one, or a value (None removes)
edits = st.lists(st.tuples(st.integers(0, 9), names, st.one_of(
    st.just(b"new"), st.integers(0, 9).map(lambda n: (b"link", n)), scalars.map(lambda v: (b"value", v)), st.none(),
)), max_size=25)
sessions_of_edits = st.lists(edits, min_size=1, max_size=4)

EDITOR = """
  -- Edits of the graph at root; tables are numbered by when they are first met, depth first, in the order of keys.
  local order = require "fs.order"
  function tables_of(root)
    local list, seen = {}, {}
    local function visit(t)
      if seen[t] then return end
      seen[t] = true
      list[#list + 1] = t
      local keys = {}
      for key in next, t do keys[#keys + 1] = key end
      for _, key in ipairs(order.sorted(keys)) do
        if type(t[key]) == "table" then visit(t[key]) end
      end
    end
    visit(root)
    return list
  end

  function edit(root, number, key, what, value)
    local list = tables_of(root)
    local t = list[number % #list + 1]
    if what == "new" then t[key] = {}
    elseif what == "link" then t[key] = list[value % #list + 1]
    else t[key] = value end
  end

  -- A copy with the same sharing and cycles.
  function clone(root)
    local copies = {}
    local function copy(t)
      if type(t) ~= "table" then return t end
      if copies[t] then return copies[t] end
      local c = {}
      copies[t] = c
      for key, value in next, t do c[key] = copy(value) end
      return c
    end
    return copy(root), copies
  end
"""


def apply(world: World, steps: list) -> None:
    edit = world.lua.globals()[b"edit"]
    root = world.lua.globals()[b"root"]
    for number, key, what in steps:
        key = key.encode("latin-1") if isinstance(key, str) else key
        if what == b"new":
            edit(root, number, key, b"new", None)
        elif what is None:
            edit(root, number, key, b"value", None)
        else:
            edit(root, number, key, *what)


@given(sessions_of_edits, st.booleans())
@settings(max_examples=60)
def test_random_edits_come_back(rounds: list, keep_session: bool) -> None:
    """After every commit another session sees exactly what is here; abort gives exactly what was committed."""
    world = World()
    world.run(EDITOR + "session = open(); root = session.root")
    for steps in rounds:
        apply(world, steps)
        world.run("""
          local here = clone(root)
          session.commit()
          same(here, open().root)
          committed = here
        """)
        if not keep_session:
            world.run("session = open(); root = session.root")
    apply(world, rounds[0])
    world.run("session.abort(); same(committed, root)")


NAIVE_DIFF = """
  -- Old and new state as independent copies, objects paired by identity: what differs, per object and key.
  local changes = require "fs.changes"
  function snapshot()
    local copy, copies = clone(root)
    old_content = {}
    for t, c in next, copies do
      old_content[t] = {}
      for key, value in next, t do old_content[t][key] = value end
    end
  end

  function differences()
    local found = {}
    for _, t in ipairs(tables_of(root)) do
      local old = old_content[t]
      if old then
        local path = session.path(t)
        local keys = {}
        for key in next, t do keys[key] = true end
        for key in next, old do keys[key] = true end
        for key in next, keys do
          local a, b = old[key], t[key]
          local alike = rawequal(a, b) and math.type(a) == math.type(b) and not (a == 0 and 1 / a ~= 1 / b)
            or a ~= a and b ~= b
          if not alike then
            found[#found + 1] = ("%s %s%s %s -> %s"):format(a == nil and "+" or b == nil and "-" or "~",
              path, type(key) == "string" and "." .. key or ("[%s]"):format(tostring(key)), tostring(a), tostring(b))
          end
        end
      end
    end
    table.sort(found)
    return table.concat(found, "\\n")
  end

  function told()
    local found = {}
    for _, c in ipairs(session.changes()) do
      if c.path:sub(1, 1) ~= "(" then
        local path = c.path:gsub('%["odd key"%]$', ".odd key"):gsub('%["\\\\xe9"%]$', ".\\xe9")
        found[#found + 1] = ("%s %s %s -> %s"):format(c.kind, path, tostring(c.old), tostring(c.new))
      end
    end
    table.sort(found)
    return table.concat(found, "\\n")
  end
"""


@given(edits, edits)
@settings(max_examples=80)
def test_changes_are_exact(first: list, second: list) -> None:
    world = World()
    world.run(EDITOR + NAIVE_DIFF + "session = open(); root = session.root")
    apply(world, first)
    world.run("session.commit(); snapshot()")
    apply(world, second)
    naive, told = world.run("return differences(), told()")
    assert told == naive
    world.run("session.commit(); assert(#session.changes() == 0)")


def test_changes_tell_numbers_apart_as_the_store_does(memory: World) -> None:
    memory.run("""
      local s = open()
      s.root.t = { zero = 0.0, int = 1, nan = 0/0, same = 2.5, neg = -0.0 }
      s.commit()
      local t = s.root.t
      t.zero, t.int, t.nan, t.same, t.neg, t.new = -0.0, 1.0, -(0/0), 5 / 2, -0.0, 1
      local found = {}
      for i, c in ipairs(s.changes()) do found[i] = c.kind .. c.path end
      assert(table.concat(found, " ") == "~root.t.int +root.t.new ~root.t.zero", table.concat(found, " "))
    """)


# -- paths ---------------------------------------------------------------------------------------------------------


def test_paths_are_written_as_lua_would(memory: World) -> None:
    memory.run("""
      local s = open()
      local r = s.root
      r.ship = { crew = { {}, {}, {} } }
      r["odd key"], r["end"], r[""], r["\\n\\xff"], r["größe"] = {}, {}, {}, {}, {}
      r[true], r[0.5], r[-3], r[1e300], r[math.mininteger] = {}, {}, {}, {}, {}
      r.loop = r
      local key = {}
      r.key, r[key] = key, {}
      for path, t in next, {
        ["root.ship.crew[3]"] = r.ship.crew[3], ['root["odd key"]'] = r["odd key"], ['root["end"]'] = r["end"],
        ['root[""]'] = r[""], ['root["\\\\n\\\\xff"]'] = r["\\n\\xff"], ['root["größe"]'] = r["größe"],
        ["root[true]"] = r[true], ["root[0.5]"] = r[0.5], ["root[-3]"] = r[-3], ["root[1e+300]"] = r[1e300],
        ["root[-9223372036854775808]"] = r[math.mininteger], ["root"] = r, ["root[root.key]"] = r[key],
        ["(a new table)"] = {},
      } do
        assert(s.path(t) == path, s.path(t))
      end
    """)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_runs_out_anywhere_in_a_commit_leaves_the_session_whole(kind: str):
    """The n-th encoding, allocation or commit raises, for every n: nothing is written, and the next commit writes all of it."""
    world = World(kind)
    world.run("""
      local codec, fail_at, count = require "fs.codec", nil, 0
      local function step()
        count = count + 1
        if count == fail_at then error("not enough memory", 0) end
      end
      local counted = setmetatable({encode = function(...) step() return codec.encode(...) end}, {__index = codec})
      local allocate, commit <const> = store.allocate, store.commit
      store.allocate = function(...) step() return allocate(...) end
      store.commit = function(...) step() return commit(...) end
      local function build(s, n)
        s.root.list = s.root.list or {}
        local shared <const> = {n, ("long"):rep(30000)}
        s.root.list[n] = {{shared, deep = {n}}, shared, map = s.map()}
        s.root.list[n].map:set(n, shared)
        s.root.f = load("local n = ... return function() return n end")(n)
        s.root.wide = s.root.wide or {}
        for i = 1, 9000 do s.root.wide["key " .. i] = i + n end
      end
      for n = 1, 1000 do
        local s <const> = open {codec = counted}
        build(s, n)
        local before <const> = #s.log()
        count, fail_at = 0, n
        local ok <const>, message <const> = pcall(s.commit)
        fail_at = nil
        if ok then break end
        assert(message == "not enough memory" and #s.log() == before)
        assert(s.commit().objects > 0 and #s.changes() == 0)
        assert(same(s.root.list, open().root.list) and open().root.f() == n and open().root.wide["key 9000"] == 9000 + n)
        assert(open().root.list[n].map:get(n)[2] == ("long"):rep(30000))
        reached = n
      end
      assert(reached > 5, reached) """)
