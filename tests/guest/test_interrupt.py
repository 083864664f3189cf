"""Ctrl-C at the prompt: one press abandons whatever is evaluated, where it passes a Lua instruction and where it does not,
and keeps what the session had; two bring a fresh shell with `root` as it was last committed.
"""

from __future__ import annotations

import pytest

from khoros.diskutil.writer import mkfs
from tests.kernel import faulty

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

PROGRAMS = {
    "loop": "while true do end",
    "pcall in a loop": "while true do pcall(function() while true do end end) end",
    "coroutines": "while true do coroutine.wrap(function() for i = 1, 1e6 do end end)() end",
    "short string.rep": "while true do local s = ('x'):rep(1000) end",
    "long string.rep": "while true do local s = ('x'):rep(2e7) end",
    "sleep": "sleep(1000)",
    "sleep in a comparator": "table.sort({3, 1, 2}, function() while true do sleep(1) end end)",
    "comparator": "table.sort({3, 1, 2}, function() while true do end end)",
    "pcall in a comparator": "table.sort({2, 1}, function() while true do pcall(error) end end)",
    "gsub callback": "(('x'):rep(9)):gsub('x', function() while true do end end)",
    "hostile pattern": "(('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "finalizer": "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
    "closing": "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
    "collections": "t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end",
    "compiling": "s = ('x = 1 '):rep(200000) while true do load(s) end",
    "a move without end": "table.move(setmetatable({}, {__newindex = function() end}), 1, 1 << 60, 2)",
    "an error that does not say": "error(setmetatable({}, {__tostring = function() while true do end end}))",
    "a value that does not show": "setmetatable({}, {__tostring = function() while true do end end})",
    "a service that is slow": "require 'system'.call(spawn 'require(\"system\").sleep(1000)', 1)",
}
PARTS = 3


def sits_at_its_prompt(machine) -> None:
    assert machine.enter("20 + 22").splitlines()[-1] == "42"


@pytest.mark.parametrize("part", range(PARTS))
def test_one_press_abandons_whatever_is_evaluated_and_keeps_the_session(boot, part: int):
    machine = boot()
    machine.expect_prompt()
    machine.enter("kept = 'kept'")
    for program in list(PROGRAMS.values())[part::PARTS]:
        machine.send(program + "\r")
        machine.wait(0.4)
        machine.send(b"\x03")
        machine.expect_prompt()
        sits_at_its_prompt(machine)
        assert "kept" in machine.enter("kept"), program


def test_two_presses_end_the_process_and_bring_what_was_committed(boot, tmp_path):
    """The shell itself hangs, outside of any evaluation (faulty.py): nothing is there to abandon."""
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    machine = boot(disks=[image], boot=faulty.image())
    machine.expect_prompt()
    machine.enter("root.list = {1}; commit()")
    machine.enter("root.list[2] = 'lost'; root.lost = true; global = 'lost'")
    machine.send("hang = true\r")
    machine.wait(0.4)
    machine.send(b"\x03")
    machine.expect(b"Ctrl-C again ends the shell")
    machine.send(b"\x03")
    machine.expect("the shell ended: the process was killed")
    machine.expect_prompt()
    sits_at_its_prompt(machine)
    assert machine.enter("#root.list, root.list[1], root.lost, global").split() == ["1", "1", "nil", "nil"]
    assert "no panic and no service that ended" in machine.enter("crashes()")
