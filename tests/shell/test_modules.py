"""What holds for every file of lua/shell: it loads, sets no global, and requires only its own house."""

import re

import pytest

from tests.shell.terminal import LUA, new_lua

MODULES = sorted(path.stem for path in (LUA / "shell").glob("*.lua"))


@pytest.mark.parametrize("name", MODULES)
def test_loads_and_sets_no_global(name: str) -> None:
    lua = new_lua()
    loaded = lua.execute(
        b"""
        local name = ...
        setmetatable(_G, {__newindex = function(_, key) error("sets the global " .. tostring(key), 2) end,
                          __index = function(_, key) error("reads the global " .. tostring(key), 2) end})
        return type(require("shell." .. name))
        """,
        name.encode(),
    )
    assert loaded == b"table"


@pytest.mark.parametrize("name", MODULES)
def test_requires_only_the_shell(name: str) -> None:
    text = (LUA / "shell" / f"{name}.lua").read_text()
    for required in re.findall(r"require[ (]+\"([^\"]+)\"", text):
        assert required.startswith("shell."), required


@pytest.mark.parametrize("name", MODULES)
def test_names_no_undeclared_global(name: str) -> None:
    """Compiled under Lua 5.5's `global` declaration of what the standard libraries give."""
    declaration = (
        "global<const> assert, collectgarbage, error, getmetatable, ipairs, load, next, pairs, pcall, rawequal, "
        "rawget, rawlen, rawset, require, select, setmetatable, tonumber, tostring, type, xpcall, _VERSION, "
        "coroutine, debug, math, string, table, utf8 "
    )
    text = (LUA / "shell" / f"{name}.lua").read_text()
    lua = new_lua()
    result = lua.execute(b"return load(...)", (declaration + text).encode(), f"={name}".encode())
    assert not isinstance(result, tuple), result


def test_the_prompt_loads_only_what_it_needs() -> None:
    lua = new_lua()
    lua.execute(b'require "shell.session"')
    loaded = {name.decode() for name in lua.eval(b"package.loaded") if name.startswith(b"shell.")}
    for lazy in [
        "completion",
        "search",
        "help",
        "help_texts",
        "help_lua",
        "printer",
        "raw",
        "views",
    ]:
        assert f"shell.{lazy}" not in loaded
