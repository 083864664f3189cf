"""Lua states with the project's own Lua files, of khoros.diskutil.torture, under the name that tests know them by."""

from khoros.diskutil.torture.runtime import (
    LUA,
    ROOT,
    LuaError,
    crc32c,
    primitives,
    require,
    runtime,
    to_lua,
    to_python,
)

__all__ = [
    "LUA",
    "ROOT",
    "LuaError",
    "crc32c",
    "primitives",
    "require",
    "runtime",
    "to_lua",
    "to_python",
]
