"""Tab: globals, fields, methods, what is in root, names of help; nothing of the user's is run."""

from __future__ import annotations

import pytest

from tests.shell.terminal import Shell
from tests.shell.test_session import WITH_OBJECTS

PREPARED = (
    "root.ship = {name = 'Argo', names = 2, crew = {{role = 'captain'}}, ['odd name'] = 1, sail = function() end}",
    "hostile = setmetatable({}, {__index = function() touched = true end, __pairs = function() touched = true end})",
    "child = setmetatable({}, {__index = {inherited = 1, method = function() end}})",
    "text = 'abc'",
)


@pytest.fixture(scope="module")
def shell() -> Shell:
    shell = Shell(setup=WITH_OBJECTS)
    for row in PREPARED:
        shell.enter(row)
    return shell


def complete(shell: Shell, typed: str) -> str:
    shell.type_bytes(b"\x03")
    shell.type_bytes(typed + "\t")
    text = shell.eval("return session_of_test.editor.line.text").decode()
    shell.type_bytes(b"\x03")
    return text


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("hosti", "hostile"),
        ("string.for", "string.format"),
        ("root.sh", "root.ship"),
        ("print(root.ship.cr", "print(root.ship.crew"),
        ("root.ship.crew[1].ro", "root.ship.crew[1].role"),
        ('root["ship"].cr', 'root["ship"].crew'),
        ("root.ship.na", "root.ship.name"),
        ("root.ship:", "root.ship:sail"),
        ("child:", "child:method"),
        ("child.inh", "child.inherited"),
        ("text:up", "text:upper"),
        ("('x'):up", "('x'):upper"),
        ("hostile.x", "hostile.x"),
        ('help "comm', 'help "commit'),
        ('help("string.forma', 'help("string.format'),
        ("x = 1 .. str", "x = 1 .. string"),
        ("whi", "while"),
        ("no.such.th", "no.such.th"),
        ("5.5.", "5.5."),
        ("", "  "),
    ],
)
def test_completes(shell: Shell, typed: str, text: str) -> None:
    assert complete(shell, typed) == text


def test_nothing_of_the_users_runs(shell: Shell) -> None:
    complete(shell, "hostile.a")
    complete(shell, "hostile:a")
    complete(shell, "hostile.a.b.c")
    assert shell.eval("return options_of_test.environment.touched") is None


def test_several_are_listed_below_and_the_line_comes_back(shell: Shell) -> None:
    shell.type_bytes(b"\x03\x0c")
    shell.type_bytes("root.ship.\t")
    assert shell.screen == ["> root.ship.", "crew   name   names  sail", "> root.ship."]
    shell.type_bytes("na\t\t")
    assert shell.screen[-2:] == ["name   names", "> root.ship.name"]
    shell.type_bytes(b"\x03")


def test_a_huge_table_is_listed_briefly(shell: Shell) -> None:
    shell.enter("big = {} for i = 1, 20000 do big['k' .. i] = i end")
    before = len(shell.written)
    shell.type_bytes("big.\t\t")
    assert len(shell.written) - before < 4000
    assert any("more" in row for row in shell.screen)
    shell.type_bytes(b"\x03")
