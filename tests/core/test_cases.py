"""The process core (kernel/*.c) as a Linux program under sanitizers: every case of tests/core/*_cases.lua.

A case runs in a program of its own. Rerun one by hand:
    make -C tests/core SANITIZE=1 && build/core/sanitized/host tests/core/process_cases.lua tests/core CASE
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.core import host as core_host

CASE_FILES = sorted(core_host.HERE.glob("*_cases.lua"))
run_host = core_host.run


def case_names(path: Path) -> list[str]:
    """The functions of `cases`, and the rows of the table ENDLESS, which are cases as well."""
    text = path.read_text()
    functions = re.findall(r"^function cases\.(\w+)\(\)", text, re.MULTILINE)
    table = re.search(r"^local ENDLESS <const> = \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^  (\w+) = ", table[1], re.MULTILINE) if table else []
    return functions + rows


@pytest.mark.parametrize(
    ("script", "case"), [(path.name, name) for path in CASE_FILES for name in case_names(path)]
)
def test_case(host: Path, script: str, case: str) -> None:
    run_host(host, f"tests/core/{script}", "tests/core", case)


FUZZ_CALLS = 1_000_000
FUZZ_RUNS = 4


@pytest.mark.parametrize("part", range(FUZZ_RUNS))
def test_random_calls(host: Path, rng: random.Random, part: int) -> None:
    """A million calls of the core's primitives in random programs, blocks, messages and arenas."""
    seed = rng.randrange(2**31) + part
    print(
        f"build/core/sanitized/host tests/core/fuzz.lua tests/core {seed} {FUZZ_CALLS // FUZZ_RUNS}"
    )
    run_host(host, "tests/core/fuzz.lua", "tests/core", str(seed), str(FUZZ_CALLS // FUZZ_RUNS))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
def test_many_random_calls(host: Path, rng: random.Random, part: int) -> None:
    """The same for hours: --full."""
    seed = rng.randrange(2**31) + part
    print(f"build/core/sanitized/host tests/core/fuzz.lua tests/core {seed} {5 * FUZZ_CALLS}")
    run_host(
        host, "tests/core/fuzz.lua", "tests/core", str(seed), str(5 * FUZZ_CALLS), seconds=1200
    )
