"""A person at the shell, for tests: the real lua/shell in Lua 5.5, a fake console, and pyte as the terminal.

`Shell` runs a session as a Lua coroutine that stops wherever it reads the console, so a test can look at the screen
after every key. `type_bytes` gives input; `screen` is what a terminal shows; `written` is every byte sent so far.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyte
from lupa.lua55 import LuaRuntime

LUA = Path(__file__).resolve().parents[2] / "lua"


def new_lua() -> LuaRuntime:
    """A Lua 5.5 that finds the modules of lua/ and exchanges bytes, not text."""
    lua = LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
    lua.execute(b"package.path = ...", str(LUA / "?.lua").encode())
    lua.execute(b'python = nil; package.loaded["python"] = nil')
    return lua


# Sessions share compiled modules; each has its own globals.
SHARED = new_lua()


class Shell:
    """One session. `setup` is Lua code that returns a table merged into session.run's options."""

    def __init__(
        self,
        columns: int = 80,
        rows: int = 24,
        setup: str = "return {}",
        banner: str | None = None,
        watched: bool = True,
    ) -> None:
        self.columns, self.rows, self.watched = columns, rows, watched
        self.written = bytearray()
        self.terminal = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.terminal)
        self._resume, self._globals = SHARED.execute(
            b"""
            local write, size, setup, banner = ...
            local globals = setmetatable({}, {__index = _G})
            local options = load(setup, "=setup", "t", globals)()
            options.console = {
              write = function(bytes) write(bytes) end, size = size,
              read = function(seconds) return coroutine.yield(seconds) end,
            }
            options.environment = options.environment or setmetatable({}, {__index = nil})
            for name, value in pairs(_G) do
              if options.environment[name] == nil then options.environment[name] = value end
            end
            options.environment._G = options.environment
            options.banner = options.banner or banner
            local session = require("shell.session").new(options)
            globals.options_of_test, globals.session_of_test = options, session
            local thread = coroutine.create(function() session:loop() end)
            return function(...)
              local ok, result = coroutine.resume(thread, ...)
              if not ok then error(debug.traceback(thread, tostring(result)), 0) end
              return coroutine.status(thread) == "dead", result
            end, globals
            """,
            self._write,
            lambda: (self.columns, self.rows),
            setup.encode(),
            banner.encode() if banner else None,
        )
        self.closed, self.timeout = self._resume()

    def _write(self, data: bytes) -> None:
        self.written += data
        if self.watched:  # the terminal is slower than the shell: long input goes without it
            self.stream.feed(data)

    def type_bytes(self, data: bytes | str) -> None:
        """Input arrives at the console as one read."""
        if isinstance(data, str):
            data = data.encode()
        self.closed, self.timeout = self._resume(data)

    def time_passes(self) -> None:
        """The read the shell waits in runs into its timeout."""
        self.closed, self.timeout = self._resume(None, b"timeout")

    def close(self) -> None:
        self.closed, self.timeout = self._resume(None, b"closed")

    def enter(self, text: str) -> str:
        """Types a row and Enter; what the shell wrote since, without the echo's escape sequences."""
        before = len(self.written)
        self.type_bytes(text)
        self.type_bytes("\r")
        return bytes(self.written[before:]).decode("utf-8", "replace")

    def eval(self, code: str) -> Any:
        """Lua code with the globals of `setup`, session_of_test and options_of_test."""
        return SHARED.execute(
            b"local code, globals = ... return load(code, '=test', 't', globals)()",
            code.encode(),
            self._globals,
        )

    @property
    def screen(self) -> list[str]:
        """Rows of the screen, without trailing blanks and empty rows at the end."""
        rows = [row.rstrip() for row in self.terminal.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def cursor(self) -> tuple[int, int]:
        return self.terminal.cursor.y, self.terminal.cursor.x
