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
