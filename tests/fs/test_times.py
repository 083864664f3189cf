"""Other times: at, undo and snapshots, as a Lua programmer meets them."""

from __future__ import annotations

import random

import pytest

from tests.fs.sessions import World


@pytest.fixture
def world() -> World:
    world = World("disk")
    world.run("""
      s = open()
      root = s.root """)
    return world


def test_the_past_answers_by_any_name_of_it(world: World):
    world.run("""
      root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}}
      local first <const> = s.commit "first"
      root.ship.fuel = 5
      root.ship.crew[3] = "Medea"
      s.commit()
      assert(s.at("t1").ship.fuel == 7 and #s.at("t1").ship.crew == 2)
      assert(s.at(1) == s.at("t1") and s.at(first) == s.at("t1") and s.at(s.log()[1]) == s.at(1))
      assert(s.at("t2").ship.crew[3] == "Medea" and root.ship.fuel == 5)
      refuses("at: there is no transaction 3", s.at, "t3")
      refuses('at: there is no snapshot "T1"', s.at, "T1")
      refuses('at: a transaction is meant, like "t4", not nil', s.at)
      refuses('at: a transaction is meant, like "t4", not a boolean', s.at, true) """)


def test_the_past_stays_while_everything_goes_on(world: World):
    world.run("""
      for i = 1, 60 do
        root[i] = {i, {i}}
        root[i // 2] = nil
        s.commit()
        if i % 20 == 0 then s.gc() end
        past = past or {}
        past[i] = s.at(i)
      end
      for i = 60, 60 do
        assert(past[i][60][2][1] == 60)
      end """)


def test_what_is_not_kept_says_so(world: World):
    world.run("""
      for i = 1, 20 do root.n = i s.commit() end
      s.keep(3)
      assert(s.at("t18").n == 18 and s.at("t20").n == 20)
      refuses("transaction 17 is no longer kept", s.at, "t17")
      refuses("transaction 2 is no longer kept", s.undo, "t2") """)


def test_changes_of_the_past_go_nowhere_and_copies_come_back(world: World):
    world.run("""
      root.ship = {name = "Argo", crew = {"Jason"}}
      s.commit()
      root.ship = nil
      s.commit()
      local then_ <const> = s.at "t1"
      then_.ship.name = "other"
      assert(#s.changes() == 0)
      root.again = s.at("t1").ship
      s.commit()
      assert(open().root.again.crew[1] == "Jason") """)


def test_functions_and_maps_of_the_past(world: World):
    world.run("""
      root.count = load "local n = 0 return function() n = n + 1 return n end"()
      root.map = s.map()
      for i = 1, 500 do root.map:set(i, {i}) end
      s.commit()
      root.count() root.count()
      root.map:clear()
      s.commit()
      assert(s.at("t1").count() == 1 and s.at("t1").count() == 2 and root.count() == 3)
      assert(#s.at("t1").map == 500 and s.at("t1").map:get(77)[1] == 77 and #root.map == 0)
      refuses("a map of another session or view", function() root.old = s.at("t1").map s.commit() end) """)


def test_undo_takes_one_transaction_back_and_leaves_the_others(world: World):
    world.run("""
      root.ship = {name = "Argo", fuel = 7, crew = {"Jason"}}
      s.commit()
      root.ship.fuel = 5
      s.commit()
      root.ship.name, root.other = "Swan", {1}
      s.commit()
      local done <const> = s.undo "t2"
      assert(done.id == "t4" and done.objects == 1 and s.log(1)[1].message == "undo t2")
      assert(root.ship.fuel == 7 and root.ship.name == "Swan" and root.other[1] == 1)
      s.undo(done)
      assert(root.ship.fuel == 5)
      assert(s.undo("t2").objects == 1 and s.undo("t2").objects == 0) """)


def test_undo_of_what_was_changed_again_names_it(world: World):
    world.run("""
      root.fleet = {{name = "Argo", tags = {"old"}}}
      s.commit()
      root.fleet[1].name, root.fleet[1].tags[2], root.x = "Swan", "fast", 1
      s.commit()
      root.fleet[1].name, root.fleet[1].tags[3] = "Dove", "small"
      s.commit()
      local fresh <const> = open()
      for _, session in ipairs {s, fresh} do
        refuses("t2 cannot be undone: root.fleet%[1%].name, root.fleet%[1%].tags%[…%] were changed again since", session.undo, 2)
        assert(#session.changes() == 0 and session.root.x == 1)
      end
      assert(s.info().transactions == 3 or #s.log() == 3) """)


def test_undo_needs_a_session_without_changes(world: World):
    world.run("""
      root.a = 1
      s.commit()
      root.b = 1
      refuses("undo: there are changes that are not committed; commit or abort them first", s.undo, "t1")
      refuses("there is no transaction 9", function() s.abort() s.undo "t9" end)
      refuses('undo: a transaction is meant, like "t4", not "x"', s.undo, "x")
      assert(root.a == 1 and root.b == nil) """)


def test_what_was_collected_since_comes_back_as_copies(world: World):
    world.run("""
      local shared <const> = {"shared"}
      root.kept = {1}
      root.gone = {shared = shared, also = {shared, root.kept}, map = s.map()}
      root.gone.me = root.gone
      root.gone.map:set("x", shared)
      setmetatable(root.gone.also, {__index = load "local _, key = ... return key"})
      s.commit()
      root.gone = nil
      s.commit()
      assert(s.gc().swept >= 5)
      s = open()
      root = s.root
      s.undo "t2"
      s = open()
      root = s.root
      local gone <const> = root.gone
      assert(gone.me == gone and gone.also[1] == gone.shared and gone.also[2] == root.kept and gone.shared[1] == "shared")
      assert(gone.map:get("x") == gone.shared and #gone.map == 1)
      assert(gone.also.absent == "absent") """)


def test_functions_go_back_with_what_they_share(world: World):
    world.run("""
      root.up, root.get = load("local n, t = 0, {} return function() n = n + 1 return n end, function() return n, t end")()
      s.commit()
      root.up() root.up()
      s.commit()
      root.up = nil
      s.commit()
      s.gc()
      s = open()
      root = s.root
      local _, t <const> = root.get()
      s.undo "t3"
      assert(root.up() == 3 and root.get() == 3)
      s.abort()
      s.undo "t2"
      assert(root.get() == 0 and root.up() == 1 and root.get() == 1 and select(2, root.get()) == t)
      s.commit() """)
    world.reboot().run("local root = open().root assert(root.up() == 2 and root.get() == 2)")


def test_undo_in_an_ordered_map_goes_key_by_key(world: World):
    world.run("""
      root.map, root.other = s.map(), s.map()
      for i = 1, 3000 do root.map:set(i, {i}) root.other:set(i, i) end
      s.commit()
      for i = 1, 3000, 3 do root.map:set(i, i) root.other:remove(i) end
      root.map:set("new", "new")
      s.commit()
      root.map:set(2, "later")
      root.map:remove(3000)
      s.commit()
      s.undo "t2"
      assert(#root.map == 2999 and #root.other == 3000)
      for i = 4, 2999 do
        local value = root.map:get(i)
        assert(type(value) == "table" and value[1] == i and root.other:get(i) == i)
      end
      assert(root.map:get(2) == "later" and root.map:get("new") == nil)
      root.map:set(4, "again")
      s.commit()
      s.undo(s.log(1)[1])
      root.map:set(7, "x")
      local x <const> = s.commit()
      root.map:set(7, "y")
      s.commit()
      refuses("^" .. x.id .. " cannot be undone: root%.map%[7%] was changed again since$", s.undo, x) """)


def test_snapshots_are_states_with_a_name(world: World):
    world.run("""
      root.ship = {fuel = 7}
      s.commit()
      local taken <const> = s.snapshot "before"
      assert(taken.name == "before" and taken.transaction == 1)
      root.ship.fuel = 5
      s.commit()
      refuses('there is a snapshot "before" already', s.snapshot, "before")
      assert(s.at("before").ship.fuel == 7 and #s.snapshots() == 1)
      s.delete_snapshot "before"
      assert(#s.snapshots() == 0)
      refuses("snapshot", s.delete_snapshot, "before") """)


@pytest.mark.parametrize("round_", range(6))
def test_random_transactions_are_undone(round_: int, rng: random.Random):
    """The last transaction taken back leaves what it found; taken back again, what it left; with garbage collected or not."""
    world = World("disk")
    world.run(f"""
      s = open()
      root = s.root
      local seed <const> = {rng.randrange(1 << 30)}
      math.randomseed(seed)
      local random <const> = math.random
      local function some(t)
        for _ = 1, random(0, 4) do
          local nexts = {{}}
          for _, v in pairs(t) do if type(v) == "table" and rawlen(v) ~= nil and getmetatable(v) == nil then nexts[#nexts + 1] = v end end
          if #nexts == 0 then break end
          t = nexts[random(#nexts)]
        end
        return t
      end
      local function value()
        local kind <const> = random(6)
        if kind == 1 then return {{random(9), name = "n" .. random(9)}}
        elseif kind == 2 then return some(root)
        elseif kind == 3 then return ("long"):rep(random(40000))
        elseif kind == 4 then return nil
        else return random(100) end
      end
      function change()
        for _ = 1, random(8) do
          local t <const> = some(root)
          if random(3) == 1 then t[#t + 1] = random(9) elseif random(6) == 1 and #t > 0 then table.remove(t)
          else t["k" .. random(5)] = value() end
        end
      end
      for _ = 1, 12 do
        change()
        local before <const> = s.log(1)[1]
        local done <const> = s.commit()
        if done.objects > 0 and before then
          if random(2) == 1 then s.gc() end
          local undone <const> = s.undo(done)
          assert(same(open().root, s.at(before)), "undo differs")
          if random(2) == 1 then s.gc() end
          s.undo(undone)
          assert(same(open().root, s.at(done)), "redo differs")
        end
      end
    """)
