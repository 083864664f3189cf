"""Isolation: a session reads one state of the store until it moves on, and all that it has loaded moves together."""

from __future__ import annotations

import random

import pytest

from tests.fs.sessions import KINDS, World


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture
def memory() -> World:
    return World("memory")


@pytest.fixture
def disk() -> World:
    return World("disk")


ACCOUNTS = """
  a, b = open(), open()
  a.root.left, a.root.right, a.root.map = {n = 50}, {n = 50}, a.map()
  for i = 1, 100 do a.root.map:set(i, 0) end
  a.commit()
  function transfer(n)
    b.root.left.n, b.root.right.n = b.root.left.n - n, b.root.right.n + n
    b.root.map:set(n, n)
    b.commit()
  end
"""


def test_what_is_loaded_later_is_of_the_same_state(world: World):
    world.run(ACCOUNTS + """
      local c = open()
      assert(c.root.left.n == 50)
      transfer(10)
      assert(c.root.right.n == 50 and c.root.map:get(10) == 0)
      c.refresh()
      assert(c.root.left.n == 40 and c.root.right.n == 60 and c.root.map:get(10) == 10) """)


def test_a_session_stands_at_its_own_commit(world: World):
    world.run(ACCOUNTS + """
      a.root.mine = 1
      a.commit()
      transfer(10)
      assert(a.root.left.n + a.root.right.n == 100 and a.root.map:get(10) == 0)
      a.root.mine = 2
      a.commit()
      assert(a.root.left.n == 40 and a.root.right.n == 60 and a.root.map:get(10) == 10) """)


def test_a_commit_takes_over_what_others_did_to_loaded_tables(world: World):
    world.run(ACCOUNTS + """
      local left, right <const> = a.root.left, a.root.right
      assert(left.n + right.n == 100)
      transfer(1) transfer(2)
      a.root.x = 1
      a.commit()
      assert(a.root.left == left and left.n == 47 and right.n == 53)
      assert(#a.changes() == 0) """)


def test_abort_moves_on(world: World):
    world.run(ACCOUNTS + """
      a.root.left.n = 0
      transfer(5)
      a.abort()
      assert(a.root.left.n == 45 and a.root.right.n == 55) """)


def test_a_conflict_leaves_the_session_where_it_was(world: World):
    world.run(ACCOUNTS + """
      local c = open()
      c.root.left.n = 1
      transfer(10)
      refuses("conflict: root%.left%.n changed both", c.commit)
      assert(c.root.left.n == 1 and c.root.right.n == 50 and c.root.map:get(10) == 0)
      assert(#c.changes() == 1)
      c.refresh()
      assert(c.root.left.n == 1 and c.root.right.n == 60)
      c.commit()
      assert(open().root.left.n == 1) """)


def test_a_loop_goes_on_over_a_commit(world: World):
    world.run("""
      a, b = open(), open()
      a.root.list = {}
      for i = 1, 200 do a.root.list["key" .. i] = {n = i} end
      a.commit()
      local seen, count = {}, 0
      for key, item in pairs(a.root.list) do
        assert(not seen[key])
        seen[key], count = true, count + 1
        item.n = -item.n
        b.root.list["key" .. count].other = count
        b.commit()
        a.commit()
      end
      assert(count == 200)
      for i = 1, 200 do
        local item = a.root.list["key" .. i]
        assert(item.n == -i and item.other == i)
      end """)


def test_two_sessions_add_a_thousand_names_each(world: World):
    world.run("""
      a, b = open(), open()
      for i = 1, 1000 do
        a.root["a" .. i] = {i}
        b.root["b" .. i] = {i}
        if i % 10 == 0 then a.commit() end
        if i % 15 == 0 then b.commit() end
      end
      a.commit() b.commit()
      local count = 0
      for key, value in pairs(open().root) do
        assert(value[1] == tonumber(key:sub(2)))
        count = count + 1
      end
      assert(count == 2000)
      a.root.same, b.root.same = 1, 2
      a.commit()
      refuses("conflict: root%.same changed both", b.commit) """)


def test_a_state_that_had_to_make_room_says_so(memory: World):
    memory.run(ACCOUNTS + """
      local c = open()
      assert(c.root.left.n == 50)
      transfer(10)
      store.kept_from = 2
      refuses("cannot read root%.map.*view too old: what transaction t1 left had to make room; refresh%(%)", function()
        return c.root.map:get(10)
      end)
      c.refresh()
      assert(c.root.right.n == 60) """)


def test_views_that_the_store_has_given_up_are_opened_again(memory: World):
    memory.run(ACCOUNTS + """
      local c = open()
      assert(c.root.left.n == 50)
      transfer(10)
      store.views = {}
      assert(c.root.right.n == 50)
      store.views = {}
      assert(c.root.map:get(10) == 0) """)


def test_views_do_not_pile_up(world: World):
    world.run("""
      local opened, closed = 0, 0
      local view, close = store.view, store.close_view
      store.view = function(which, since, old)
        opened, closed = opened + 1, closed + (old and 1 or 0)
        return view(which, since, old)
      end
      store.close_view = function(id) closed = closed + 1 return close(id) end
      local a, b = open(), open()
      a.root.list = {{}, {}, {}}
      a.commit()
      for i = 1, 100 do
        a.root.list[i % 3 + 1].n = i
        a.commit()
        if i % 7 == 0 then b.refresh() end
        if i % 5 == 0 then b.abort() end
        assert(b.root.list[2] ~= 0 and opened - closed < 6, opened - closed)
        if i % 11 == 0 then a.forget(a.root.list) end
      end """)


def test_nothing_is_read_while_others_changes_are_missing(memory: World):
    memory.run(ACCOUNTS + """
      local other <const> = open()
      other.root.spare = {1}
      other.commit()
      a.refresh()
      assert(a.root.left.n == 50)
      local id = nil
      for number, record in pairs(store.objects) do
        if record.payload:find("n\\x32", 1, true) and not id then id = number end
      end
      transfer(10)
      store.bad = {[2] = {code = "io", message = "LBA 7: no sector", id = 2}, [3] = {code = "io", message = "LBA 7: no sector"}}
      a.root.x = 1
      a.commit() -- it is durable, whatever comes after
      refuses("what others committed cannot be taken over.*LBA 7.*refresh%(%) tries again", function() return a.root.spare[1] end)
      refuses("what others committed cannot be taken over", a.commit)
      refuses("LBA 7", a.refresh)
      store.bad = {}
      a.refresh()
      assert(a.root.left.n == 40 and a.root.right.n == 60 and a.root.spare[1] == 1 and a.root.x == 1) """)


@pytest.mark.parametrize("kind", KINDS)
def test_many_sessions_keep_the_sum(kind: str, rng: random.Random):
    """Transfers between accounts by sessions that commit, are refused, abort and refresh: each always sees a whole state.

    No two transfers are of the same amount: two changes of one field to the same are no conflict.
    """
    world = World(kind)
    world.run("""
      sessions = {}
      local first = open()
      first.root.accounts = {}
      for i = 1, 12 do first.root.accounts["n" .. i] = {n = 100} end
      first.commit()
      for i = 1, 4 do sessions[i] = open() end
      function total(s)
        local sum = 0
        for i = 1, 12 do sum = sum + s.root.accounts["n" .. i].n end
        return sum
      end
      function move(s, from, to, n)
        local accounts = s.root.accounts
        accounts["n" .. from].n, accounts["n" .. to].n = accounts["n" .. from].n - n, accounts["n" .. to].n + n
      end """)
    for _ in range(300):
        number, kind_of_step = rng.randint(1, 4), rng.random()
        step = f"local s = sessions[{number}] "
        if kind_of_step < 0.5:
            one, other = rng.sample(range(1, 13), 2)
            step += f"move(s, {one}, {other}, {rng.randint(1, 1 << 40)})"
        elif kind_of_step < 0.8:
            step += "if not pcall(s.commit) then s.abort() end"
        elif kind_of_step < 0.9:
            step += "s.abort()"
        else:
            step += f"if #s.changes() == 0 then s.forget(s.root.accounts.n{rng.randint(1, 12)}) end"
        world.run(step + " assert(total(s) == 1200, total(s))")
    world.run("assert(total(open()) == 1200)")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["refresh", "abort", "commit"])
def test_errors_raised_anywhere_while_a_session_moves_leave_it_in_one_state(kind: str, how: str):
    """The n-th call of the store raises, as memory that runs out does, for every n; afterwards the session can go on."""
    world = World(kind)
    world.run(ACCOUNTS + f"""
      local how <const> = "{how}" """ + """
      local names <const> = {"read", "view", "close_view", "missing", "commit", "allocate"}
      local original, fail_at, count = {}, nil, 0
      for _, name in ipairs(names) do original[name] = store[name] end
      local function fail(n)
        fail_at, count = n, 0
        for _, name in ipairs(names) do
          store[name] = function(...)
            count = count + 1
            if count == fail_at then error("not enough memory", 0) end
            return original[name](...)
          end
        end
      end
      local function heal()
        for _, name in ipairs(names) do store[name] = original[name] end
      end
      local reached = 0
      for n = 1, 100 do
        local c <const> = open()
        assert(c.root.left.n + c.root.right.n == 100)
        c.root.mine = {n}
        transfer(n)
        b.root.left.other = {n}
        b.commit()
        fail(n)
        pcall(c[how])
        heal()
        local whole <const>, problem = pcall(function()
          local is_moved <const> = c.root.left.n == 50 - n * (n + 1) // 2
          assert(c.root.left.n + c.root.right.n == 100)
          assert((c.root.map:get(n) == n) == is_moved and (c.root.left.other and c.root.left.other[1] == n or false) == is_moved)
        end)
        assert(whole or tostring(problem):find("what others committed cannot be taken over: not enough memory", 1, true), problem)
        c.abort()
        assert(c.root.left.n == b.root.left.n and c.root.right.n == b.root.right.n and c.root.left.other[1] == n)
        c.root.mine = {-n}
        c.commit()
        assert(open().root.mine[1] == -n)
        b.refresh()
        if count < n then break end
        reached = n
      end
      assert(reached >= 3 and reached < 100, reached) """)
