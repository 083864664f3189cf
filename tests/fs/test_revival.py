"""Tables whose objects were collected while a session still held them are stored anew."""

from __future__ import annotations

import pytest

from tests.fs.sessions import World

# Another process takes root.x away, and everything that nothing leads to is collected.
COLLECT = """
    local other <const> = open()
    other.root.x = nil
    other.commit()
    assert(store.gc("run").swept == %d)
"""
PREPARE = """
    session = open()
    session.root.x = {name = "x", child = {deep = {value = 7}}, list = {{1}, {2}}}
    session.root.x.self = session.root.x
    session.root.x.child.parent = session.root.x
    session.commit()
"""
WHOLE = """
    local y <const> = open().root.y
    assert(y.name == "x" and y.self == y and y.child.parent == y and y.child.deep.value == 7)
    assert(y.list[1][1] == 1 and y.list[2][1] == 2)
"""


@pytest.fixture
def world() -> World:
    return World("disk")


def test_a_table_that_was_collected_is_stored_under_new_ids(world: World):
    world.run(PREPARE + "x = session.root.x" + COLLECT % 6 + """
        session.refresh()
        assert(session.root.x == nil and x.child.deep.value == 7)
        session.root.y = x
        assert(session.commit().objects == 7)
    """ + WHOLE)
    world.reboot().run(WHOLE)


def test_without_a_refresh_the_commit_finds_out_itself(world: World):
    world.run(PREPARE + "x = session.root.x" + COLLECT % 6 + """
        session.root.y = x
        x.name = "x"
        session.commit()
        assert(session.root.x == nil and session.root.y == x)
    """ + WHOLE)


def test_a_changed_table_that_was_collected_is_no_conflict(world: World):
    world.run(PREPARE + "x = session.root.x" + COLLECT % 6 + """
        x.child.deep.value = 7.5
        session.root.y = x
        session.commit()
        assert(open().root.y.child.deep.value == 7.5)
    """)


def test_what_was_removed_elsewhere_stays_removed_though_a_part_of_it_was_changed_here(world: World):
    """The new id of the part must not pass for a change of everything above it."""
    world.run(PREPARE + "x = session.root.x" + COLLECT % 6 + """
        x.child.deep.value = 8
        session.commit()
        assert(session.root.x == nil and x.child.deep.value == 8 and store.info().objects == 1)
    """)


def test_a_table_that_was_collected_and_is_not_wanted_any_more_is_forgotten(world: World):
    world.run(PREPARE + "x = session.root.x" + COLLECT % 6 + """
        x.name = "changed"
        session.root.z = 1
        session.commit()
        assert(store.info().objects == 1 and x.name == "changed")
    """)


def test_what_was_never_loaded_cannot_be_saved_and_nothing_is_written(world: World):
    world.run(PREPARE + """
        session = open()
        x = session.root.x
        assert(x.name == "x")
    """ + COLLECT % 6 + """
        session.root.y = x
        local ok <const>, message <const> = pcall(session.commit)
        assert(not ok and message:find "cannot save root%.y%.child: the object was removed", message)
        session.root.y = nil
        session.root.z = 1
        session.commit()
    """)


def test_a_long_string_that_was_collected_is_stored_anew(world: World):
    """Known by its text, or shared by a string that takes its place."""
    world.run("""
        session = open()
        text = ("text "):rep(20000)
        session.root.x = {text = text}
        session.root.keep = {}
        session.commit()
        x = session.root.x
    """ + COLLECT % 9 + """
        session.root.keep.text = text
        session.root.keep.longer = text .. "more"
        session.commit()
        local keep <const> = open().root.keep
        assert(keep.text == text and keep.longer == text .. "more")
        x.text = x.text .. "!"
        session.root.y = x
        session.commit()
        assert(open().root.y.text == text .. "!")
    """)


def test_a_large_table_that_was_collected_is_stored_anew(world: World):
    world.run("""
        session = open()
        session.root.x = {}
        for i = 1, 6000 do session.root.x["key " .. i] = i end
        session.commit()
        x = session.root.x
        local other <const> = open()
        other.root.x = nil
        other.commit()
        assert(store.gc("run").swept > 10)
        session.root.y = x
        x.more = 1
        session.commit()
        same(session.root, open().root)
    """)


def test_a_map_that_was_collected_is_lost_but_for_what_was_set(world: World):
    world.run("""
        session = open()
        session.root.x = session.map()
        session.root.empty = session.map()
        for i = 1, 3000 do session.root.x:set(i, i) end
        session.commit()
        x, empty = session.root.x, session.root.empty
        local other <const> = open()
        other.root.x, other.root.empty = nil, nil
        other.commit()
        assert(store.gc("run").swept > 3)
        session.refresh()
        assert(session.root.x == nil)
        refuses("others have removed it", function() return x:get(1) end)
        refuses("others have removed it", function() for _ in pairs(x) do end end)
        session.root.y = {x}
        refuses("cannot save root%.y%[1%]: the map was removed from the store", session.commit)
        session.root.y = {empty}
        empty:set("new", 1)
        session.commit()
        assert(open().root.y[1]:get "new" == 1 and #open().root.y[1] == 1)
        x:clear()
        x:set(1, "again")
        session.root.x = x
        session.commit()
        assert(open().root.x:get(1) == "again" and #open().root.x == 1)
    """)
