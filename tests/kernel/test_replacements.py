"""Other code for a running service: what is kept, what is taken back, and what happens to services that fail meanwhile."""

from __future__ import annotations

import pytest

from tests.shell.terminal import new_lua

WORLD = b"""
local asks = ...
local waiting, log, starts = {}, {}, 0
local replacements
local answer
local function after(seconds, action) waiting[#waiting + 1] = {at = seconds, action = action} end
replacements = require("kernel.replacements").new{after = after, log = function(text) log[#log + 1] = text end}
replacements.declare("disk", {
  module = "services.disk", asks = asks, restart = function() starts = starts + 1 end,
  alive = function(on_answer) answer = on_answer end,
})
local world = {}
function world.propose(module, text, sure) return replacements.propose("disk", module, text, sure) end
function world.answers(alive) answer(alive) end
function world.pass(seconds)
  local due = waiting
  waiting = {}
  for _, each in ipairs(due) do
    if each.at <= seconds then each.action() else after(each.at - seconds, each.action) end
  end
end
function world.runs() return replacements.texts("disk")["services.disk"] end
function world.starts() return starts end
function world.status(field) return replacements.status("disk")[field] end
function world.log() return table.concat(log, "\\n") end
for _, name in ipairs{"accept", "restore", "ended", "take_back"} do
  world[name] = function(...) return replacements[name]("disk", ...) end
end
world.other = replacements
return world
"""


class World:
    """A service whose starts are counted, and time that passes when it is told to."""

    def __init__(self, asks: bool = False) -> None:
        self.lua = new_lua().execute(WORLD, asks)

    def __getattr__(self, name: str):
        return self.lua[name.encode()]


OLD, NEW = b"return 'old'", b"return 'new'"


def test_code_that_answers_and_lives_is_kept() -> None:
    world = World()
    assert world.propose(None, NEW) is True
    assert (world.starts(), world.runs(), world.status(b"trial")) == (1, NEW, b"starting")
    world.answers(True)
    assert world.status(b"trial") == b"answers"
    world.lua[b"pass"](6)
    assert (world.runs(), world.status(b"trial"), world.starts()) == (NEW, None, 1)
    # An end after that is the service's usual business.
    assert world.ended(b"crashed") is False
    assert world.runs() == NEW
    assert world.restore() is True
    assert (world.runs(), world.starts()) == (None, 2)


@pytest.mark.parametrize("answered", [False, True])
def test_code_that_ends_on_trial_makes_room_for_the_code_before(answered: bool) -> None:
    world = World()
    assert world.propose(None, OLD) is True
    world.answers(True)
    world.lua[b"pass"](6)
    assert world.propose(None, NEW) is True
    if answered:
        world.answers(True)
    assert world.ended(b"it broke") is True
    assert world.runs() == OLD
    assert b"it broke" in world.status(b"failure")
    # What was planned for the trial that is over does nothing to what runs now.
    starts = world.starts()
    world.answers(True)
    world.lua[b"pass"](100)
    assert (world.runs(), world.starts(), world.status(b"trial")) == (OLD, starts, None)


def test_code_that_does_not_answer_is_taken_back() -> None:
    world = World()
    assert world.propose(None, NEW) is True
    world.answers(False)
    world.lua[b"pass"](15)
    assert (world.runs(), world.starts()) == (None, 2)
    assert b"has not answered" in world.log()


def test_where_a_person_must_say_so_silence_takes_it_back() -> None:
    world = World(asks=True)
    assert world.propose(None, NEW) is True
    world.answers(True)
    world.lua[b"pass"](59)
    assert world.runs() == NEW
    world.lua[b"pass"](1)
    assert (world.runs(), world.starts()) == (None, 2)
    assert world.accept()[0] is None

    assert world.propose(None, NEW) is True
    world.answers(True)
    assert world.accept() is True
    world.lua[b"pass"](100)
    assert world.runs() == NEW

    assert world.propose(None, OLD) is True
    assert world.take_back(b"no") is True
    assert world.runs() == NEW

    # What was accepted at an earlier start is not asked for again.
    assert world.propose(None, OLD, True) is True
    world.answers(True)
    world.lua[b"pass"](6)
    assert (world.runs(), world.status(b"trial")) == (OLD, None)


def test_what_does_not_compile_or_is_no_text_changes_nothing() -> None:
    world = World()
    for module, text, said in (
        (None, b"x = = 1", b"lua/services/disk.lua:1:"),
        (None, 5, b"Lua text"),
        (None, b"x" * ((1 << 20) + 1), b"1 MiB"),
        (b"../x", NEW, b"named like"),
        (7, NEW, b"named like"),
        (None, b"\x1bLua", b""),
    ):
        done, why = world.propose(module, text)
        assert done is None
        assert said in why
    assert (world.starts(), world.runs()) == (0, None)
    done, why = world.other[b"propose"](b"nobody", None, NEW)
    assert done is None
    assert b"no such service" in why


def test_a_second_proposal_stands_on_the_first() -> None:
    world = World()
    assert world.propose(b"drivers.ata", NEW) is True
    assert world.propose(None, NEW) is True
    assert list(world.status(b"replaced").values()) == [b"drivers.ata", b"services.disk"]
    assert world.ended(b"broken") is True
    assert list(world.status(b"replaced").values()) == []
