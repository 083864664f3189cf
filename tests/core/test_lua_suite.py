"""Lua's own test suite in the process core on the host, under sanitizers, pre-empted a thousand times as often.

On the machine a tick comes every 1000 us and takes the CPU after five; natively Lua is ten times faster, and here each
tick, of a tenth of the time, takes it: what the suite does is interrupted at about every place there is.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.core import host as core_host
from tests.support import lua_suite

FILES = """
    attrib big bitwise calls closure constructs coroutine cstack db errors events files gc gengc goto literals locals math
    nextvar pm sort strings tpack utf8 vararg verybig
""".split()

#: Their long form takes minutes under sanitizers: it runs with --full, as part of the whole suite.
LONG = {"constructs.lua", "errors.lua"}


@pytest.fixture(scope="module", autouse=True)
def suite(kernel: Path) -> None:
    """The suite is there once the kernel has been built."""


def run(host: Path, folder: Path, text: bytes, microseconds: int, seconds: float = 280) -> str:
    (folder / "suite.lua").write_bytes(text)
    print(f"build/core/sanitized/host --lua {folder} tests/core/suite.lua tests/core {microseconds}")
    arguments = ("--lua", str(folder), "tests/core/suite.lua", "tests/core", str(microseconds))
    return core_host.run(host, *arguments, seconds=seconds)


@pytest.mark.parametrize("name", FILES)
def test_file(host: Path, tmp_path: Path, rng: random.Random, name: str) -> None:
    file = f"{name}.lua"
    output = run(host, tmp_path, lua_suite.program([file], soft=file in LONG), rng.randrange(40, 150))
    lua_suite.check(file, output)
    assert re.search(r"^stopped: ", output, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_all_in_one_process(host: Path, tmp_path: Path, rng: random.Random, part: int) -> None:
    text = lua_suite.program(["all.lua"])
    output = run(host, tmp_path, text, rng.randrange(30, 300), seconds=1200)
    assert "final OK !!!" in output
