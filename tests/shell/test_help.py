"""Help: every command has its text, every text its command, and every example runs."""

from __future__ import annotations

import pytest

from tests.shell.terminal import Shell, new_lua
from tests.shell.test_session import WITH_SYSTEM, results, rows

LUA = new_lua()
ENTRIES = [
    {key.decode(): value for key, value in entry.items()}
    for entry in LUA.execute(b'return require("shell.help").entries()').values()
]
EXAMPLES = [entry for entry in ENTRIES if entry.get("example")]


def test_each_command_has_help_and_each_help_a_command() -> None:
    shell = Shell(setup=WITH_SYSTEM)
    shell.enter("x = 1")
    missing = shell.eval(
        """
        local missing = {}
        local texts = require "shell.help_texts"
        local known = {}
        for _, entry in ipairs(texts.entries) do known[entry.name] = true end
        local installed = require("shell.commands").install{environment = {}, objects = options_of_test.objects,
          system = options_of_test.system, print = print}
        for _, name in ipairs(installed) do if not known[name] then missing[#missing + 1] = name end end
        for _, entry in ipairs(texts.entries) do
          local value = options_of_test.environment
          for part in entry.name:gmatch("[^.]+") do value = type(value) == "table" and value[part] or nil end
          if value == nil and not entry.topic then missing[#missing + 1] = entry.name end
        end
        return table.concat(missing, " ")
        """
    )
    assert missing == b""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"].decode())
def test_texts_are_complete_and_fit_the_screen(entry: dict) -> None:
    for field in ("name", "group", "usage", "summary"):
        assert entry[field]
    assert len(entry["usage"]) <= 48
    name = entry["name"].decode()
    shown = rows(Shell(rows=60, setup=WITH_SYSTEM), f'help "{name}"')
    assert all(len(row) < 80 for row in shown)
    assert shown[1].startswith(entry["usage"].decode())


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry["name"].decode())
def test_every_example_runs(entry: dict) -> None:
    shell = Shell(rows=200, setup=WITH_SYSTEM)
    shell.eval(
        "failures = {} local s = session_of_test s.show_error = function(_, r) failures[#failures + 1] = r end"
    )
    for row in entry["example"].decode().split("\n"):
        shell.enter(row)
    assert shell.eval("return #failures") == 0
    assert shell.screen[-1] == ">"


def test_help_by_value_and_for_what_there_is_not() -> None:
    assert results("help(commit)", setup=WITH_SYSTEM)[0] == "commit(message)"
    assert results("help(string.format)")[0] == "string.format(format, ...)"
    assert results("help(root)", setup=WITH_SYSTEM)[0] == "root"
    assert results('help "comit"')[0] == 'no help for "comit". help() lists what there is'
    assert "there is string.format" in results('help "form"')[0]
    assert results("help(undefined)")[0].startswith("nil: the name is not set")
    assert results("help(5)")[0].startswith("5: an integer")
    assert "a table:" in results("help({1})")[0]
    assert any("string: byte" in row for row in results("help(string)"))


def test_overview_lists_only_what_exists() -> None:
    with_system = "\n".join(results("help()", setup=WITH_SYSTEM))
    assert "poweroff()" in with_system
    assert "spawn(" in with_system
    without = "\n".join(results("help()"))
    assert "poweroff()" not in without
    assert "spawn(" not in without
    assert all(len(row) < 80 for row in with_system.split("\n"))
    assert len(with_system.split("\n")) <= 23  # with the entry and the prompt: a screen of 25 rows
    assert "forget(" not in with_system
    assert "forget(" in "\n".join(results('help "all"', setup=WITH_SYSTEM))
