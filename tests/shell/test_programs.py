"""Programs: those that come with the system, those under root, and how they are found, listed, installed and run."""

from __future__ import annotations

import re

from tests.shell.terminal import LUA, SHARED, Shell
from tests.shell.test_session import WITH_SYSTEM, results, rows
from tests.shell.test_with_objects import FIRST, OPEN, reboot

DELIVERED = sorted(path.stem for path in (LUA / "programs").glob("*.lua"))


def test_the_list_of_those_delivered_is_the_folder() -> None:
    listed = SHARED.execute(b'return table.concat(require("shell.programs").DELIVERED, " ")').decode()
    assert listed.split() == DELIVERED


def test_each_says_in_its_first_row_what_it_is_and_fits_the_screen() -> None:
    for name in DELIVERED:
        first = (LUA / "programs" / f"{name}.lua").read_text().split("\n", 1)[0]
        assert re.fullmatch(rf"-- {name}: .{{10,56}}", first)
    shown = results("programs()", setup=WITH_SYSTEM)
    assert [row.split()[0] for row in shown] == DELIVERED
    assert all("built in" in row and len(row) < 80 for row in shown)


def test_install_copies_and_never_overwrites() -> None:
    shell = Shell(rows=60, setup=WITH_SYSTEM)
    assert rows(shell, 'root.programs = {clock = "mine"}', "install()")[-1] == (
        "life, notes, snake: in root.programs now; commit() keeps them"
    )
    assert rows(shell, "root.programs.clock")[-1] == "mine"
    assert rows(shell, "install()")[-1] == "all of them are in root.programs already"
    assert "no such program comes with the system" in rows(shell, 'install "nope"')[-1]
    assert "no such program" in rows(shell, "install(5)")[-1]
    listed = rows(shell, "root.programs.life.text = '-- life: mine'", "programs()")[2:]
    assert [row.split()[1] for row in listed] == ["changed", "changed", "root.programs", "root.programs"]


def test_a_program_is_an_object_that_stays_and_runs_when_it_is_called() -> None:
    shell = Shell(setup=FIRST + OPEN)
    text = "local a, b = ... return (a or 1) + (b or 2)"
    rows(shell, "root.programs = {}", f"root.programs.sum = program('{text}', 'sum')", "commit()")
    again = reboot(shell)
    assert rows(again, "root.programs.sum(40, 2)")[-1] == "42"
    assert rows(again, 'run "sum"')[-1] == "3"
    assert rows(again, "root.programs.sum")[-1] == "program sum, 0 rows"
    # Strings and functions under root.programs run by their names as well.
    assert rows(again, "root.programs.two = 'return 2'", 'run "two"')[-1] == "2"
    assert rows(again, "root.programs.three = function() return 3 end", 'run "three"')[-1] == "3"


def test_what_is_no_program_is_told() -> None:
    for wrong in ("run()", "run(5)", "run({})"):
        assert 'what shall run? run "clock"' in results(wrong, setup=WITH_SYSTEM)[-1]
    assert 'there is no program "nope"' in results('run "nope"', setup=WITH_SYSTEM)[-1]
    assert "a program is made of Lua text" in results("program(5)", setup=WITH_SYSTEM)[0]
    shown = results("root.programs = {bad = 'x = = 1'}", 'run "bad"', setup=WITH_SYSTEM)
    assert shown[0].startswith("bad:1: unexpected symbol")
    assert shown[1] == "   1 | x = = 1"
    for odd in ("root.programs = 5", "root.programs = {[1] = 'x', t = {}}"):
        assert len(results(odd, "programs()", setup=WITH_SYSTEM)) == len(DELIVERED)


def test_autorun_runs_text_programs_and_functions_and_its_errors_leave_the_prompt() -> None:
    def first_screen(value: str) -> list[str]:
        setup = WITH_SYSTEM.replace("return {objects = fake(),", "local o = fake() return {objects = o, autorun = true,")
        setup = setup.replace("return {objects = o", f"o.root.autorun = {value} return {{objects = o")
        return Shell(setup=setup).screen

    assert first_screen("'print(6 * 7)'") == ["autorun: print(6 * 7)", "42", ">"]
    # `print` of the test's own Lua is not the session's.
    assert "attempt to perform arithmetic on a nil" in first_screen("function() return 1 + nothing end")[1]
    assert first_screen("nil") == [">"]
    assert "cannot be run" in first_screen("'x = = 1'")[-2]
    assert "attempt to call" in first_screen("5")[1]
    assert "deep" in first_screen("'error \"deep\"'")[1]
