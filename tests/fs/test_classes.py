"""Metatables by name, with versions: what was saved by an earlier program is changed by the class when it is read."""

from __future__ import annotations

import pytest

from tests.fs.sessions import KINDS, World

FIRST = """
      Ship = {__version = 1}
      s = open()
      s.register("Ship", Ship)
      s.root.a, s.root.b = setmetatable({name = "Ann Bee"}, Ship), setmetatable({name = "Cee Dee"}, Ship)
      s.commit() """
SECOND = """
      Newer = {__version = 3}
      function Newer:__migrate(from)
        assert(from == 1 and getmetatable(self) == Newer)
        self.first, self.last = self.name:match("(%w+) (%w+)")
        self.name = nil
      end
      function newer()
        local session = open()
        session.register("Ship", Newer)
        return session
      end """


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    world = World(request.param)
    world.run(FIRST + SECOND)
    return world


def test_what_migrate_changes_is_a_change_like_any_other(world: World):
    world.run("""
      local s <const> = newer()
      assert(s.root.a.first == "Ann" and s.root.a.name == nil)
      assert(#s.changes() == 3)
      s.commit()
      Newer.__migrate = function() error "once is enough" end
      assert(newer().root.a.last == "Bee") """)


def test_abort_leaves_the_object_migrated(world: World):
    world.run("""
      local s <const> = newer()
      s.root.a.first = "Other"
      s.abort()
      assert(s.root.a.first == "Ann" and s.root.a.name == nil) """)


def test_only_what_is_read_is_migrated(world: World):
    world.run("""
      local s <const> = newer()
      s.root.x = s.root.a.first
      s.commit()
      local old <const> = open()
      old.register("Ship", Ship)
      assert(old.root.b.name == "Cee Dee") """)


def test_the_version_is_written_though_nothing_else_changed(world: World):
    world.run("""
      Newer.__migrate = nil
      local s <const> = newer()
      assert(s.root.a.name == "Ann Bee" and s.root.b.name and s.commit().objects == 2)
      assert(newer().root.a.name == "Ann Bee")
      s.root.a.x = 1
      s.commit()
      local old <const> = open()
      old.register("Ship", Ship)
      refuses('cannot load root.a .*nothing is registered under the name "Ship:3"', function() return old.root.a.name end) """)


def test_a_migration_that_fails_is_tried_again(world: World):
    world.run("""
      local migrate <const> = Newer.__migrate
      Newer.__migrate = function(ship) ship.name = nil error "no" end
      local s <const> = newer()
      refuses("cannot load root.a .*__migrate from version 1: .*no", function() return s.root.a.first end)
      assert(#s.changes() == 0)
      Newer.__migrate = migrate
      assert(s.root.a.first == "Ann") """)


def test_migrations_may_read_other_objects(world: World):
    world.run("""
      s.root.a.friend, s.root.b.friend = s.root.b, s.root.a
      s.commit()
      function Newer:__migrate() self.friends_name = self.friend.name end
      local n <const> = newer()
      assert(n.root.a.friends_name == "Cee Dee" and n.root.b.friends_name == "Ann Bee") """)


def test_without_a_version_is_before_all_versions(world: World):
    world.run("""
      local Plain = {}
      local s <const> = open()
      s.register("Plain", Plain)
      s.root.plain = setmetatable({}, Plain)
      s.register("Ship", Ship)
      s.commit()
      local from
      local n <const> = open()
      n.register("Ship", Ship)
      n.register("Plain", {__version = 1, __migrate = function(_, version) from = version end})
      assert(n.root.plain and #n.root.plain == 0 and from == 0) """)


def test_what_an_older_program_commits_meanwhile_is_migrated_too(world: World):
    world.run("""
      local n <const> = newer()
      assert(n.root.a.first == "Ann")
      n.commit()
      local other <const> = open()
      other.register("Ship", {__version = 3})
      local old_class = {__version = 1}
      n.root.a.seen = true
      n.commit()
      other.root.a.seen = "other"
      other.commit()
      n.refresh()
      assert(n.root.a.seen == "other" and n.root.a.first == "Ann") """)


def test_names_and_versions_that_are_none(world: World):
    world.run("""
      refuses("does not end in a colon and a number", s.register, "Ship:4", {})
      refuses("the __version of a class is an integer", s.register, "Other", {__version = 1.5})
      refuses("the __version of a class is an integer", s.register, "Other", {__version = -1})
      refuses('the name "Ship" is registered for another value', s.register, "Ship", {__version = 1})
      Ship.__version = 2
      s.register("Ship", Ship)
      s.root.c = setmetatable({}, Ship)
      s.commit() """)


def test_weak_tables_are_refused_by_path(world: World):
    world.run("""
      s.root.cache = {deep = setmetatable({}, {__mode = "k"})}
      refuses("cannot save root.cache.deep: a weak table: what it holds can vanish at any moment", s.commit)
      getmetatable(s.root.cache.deep).__mode = nil
      s.commit() """)


def test_a_finalizer_runs_for_the_table_in_memory(world: World):
    world.run("""
      local class = load "return {__gc = function(t) _G.finalized = (_G.finalized or 0) + 1 end}"()
      s.root.list = {}
      for i = 1, 10 do s.root.list[i] = setmetatable({i}, class) end
      s.commit()
      class = nil
      s = open()
      s.register("Ship", Ship)
      for i = 1, 10 do assert(s.root.list[i][1] == i) end
      s = nil
      collectgarbage() collectgarbage()
      assert(finalized == 20, finalized) -- of both sessions' tables
      local again <const> = open()
      assert(again.root.list[10][1] == 10) """)
