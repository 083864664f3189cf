"""bench/native/store.lua in lupa: `lupa_host.py SCRIPT ARGUMENT…`. The same Lua 5.5 and the same lua/fs as natively, but the
primitives are Python's: CRC32C by callback, a file by os.pread and os.pwrite, no codec in C.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import google_crc32c
from lupa import lua55

SECTOR_BYTES = 512


def device(lua: Any, path: bytes) -> Any:
    """The file as the block device of lua/fs."""
    number = os.open(path, os.O_RDWR)

    def write(lba: int, data: bytes) -> bool:
        return os.pwrite(number, data, lba * SECTOR_BYTES) == len(data)

    def flush() -> bool:
        os.fdatasync(number)
        return True

    return lua.table_from({
        b"sector_count": os.fstat(number).st_size // SECTOR_BYTES, b"description": path, b"write": write, b"flush": flush,
        b"read": lambda lba, count: os.pread(number, count * SECTOR_BYTES, lba * SECTOR_BYTES),
    })  # fmt: skip


def main(script: str, *arguments: str) -> None:
    lua = lua55.LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    native = lua.table_from({
        b"crc32c": lambda data, seed=None: google_crc32c.extend(seed or 0, data),
        b"clock": time.perf_counter_ns, b"now": lambda: time.time_ns() // 1000, b"random": os.urandom,
        b"device": lambda path: device(lua, path),
    })  # fmt: skip
    lua.execute(Path(script).read_bytes(), native, *(argument.encode() for argument in arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
