"""Ctrl-C at the prompt, for every kind of work that a process cannot leave at a Lua instruction: one press abandons the
evaluation or two bring a fresh shell; nothing keeps the prompt away, and the machine goes on.
"""

from __future__ import annotations

import pytest

from tests.support.guest import GuestSilence, plain

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

#: One press is enough: the work passes a Lua instruction of the evaluation where it can be left.
LEFT_AT_ONCE = {
    "loop": "while true do end",
    "pcall in a loop": "while true do pcall(function() while true do end end) end",
    "coroutines": "while true do coroutine.wrap(function() for i = 1, 1e6 do end end)() end",
    "short string.rep": "while true do local s = ('x'):rep(1000) end",
    "sleep": "sleep(1000)",
}
BUSY_IN_C = {
    "sort comparator": "table.sort({3, 1, 2}, function() while true do end end)",
    "gsub callback": "(('x'):rep(9)):gsub('x', function() while true do end end)",
    "hostile pattern": "(('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "string.rep": "while true do local s = ('x'):rep(2e7) end",
    "__gc": "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
    "__close": "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
    "collections": "t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end",
    "load": "s = ('x = 1 '):rep(200000) while true do load(s) end",
    "pcall in a comparator": "table.sort({2, 1}, function() while true do pcall(error) end end)",
}


def interrupted(machine, program: str, presses: int) -> None:
    """Enter a program that does not end, press until the prompt is back, and use it."""
    machine.send(program + "\r")
    machine.wait(0.4)
    for press in range(1, presses + 1):
        machine.send(b"\x03")
        try:
            machine.expect_prompt(timeout=3 if press < presses else 30)
            break
        except GuestSilence:
            if press == presses:
                raise
    assert machine.enter("20 + 22").splitlines()[-1] == "42"


def test_what_one_press_cannot_abandon_is_said_with_what_can_be_done(boot):
    machine = boot()
    machine.expect_prompt()
    machine.send(BUSY_IN_C["hostile pattern"] + "\r")
    machine.wait(0.4)
    machine.send(b"\x03")
    machine.expect(b"Ctrl-C again ends the shell")
    machine.send(b"\x03")
    machine.expect("the shell ended")
    machine.expect_prompt()
    assert machine.enter("20 + 22") == "42"


def test_one_press_abandons_what_passes_a_lua_instruction(boot):
    machine = boot()
    machine.expect_prompt()
    machine.enter("kept = 'kept'")
    for program in LEFT_AT_ONCE.values():
        interrupted(machine, program, presses=1)
        assert "kept" in machine.enter("kept")


@pytest.mark.parametrize("part", range(2))
def test_two_presses_are_enough_for_everything(boot, part: int):
    machine = boot()
    machine.expect_prompt()
    for place, (name, program) in enumerate(BUSY_IN_C.items()):
        if place % 2 == part:
            interrupted(machine, program, presses=2)
            print(name, plain(bytes(machine.output[-300:])))
