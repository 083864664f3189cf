"""Every escape attempt is held, in the booted guest and in the host build, and succeeds once its guard is gone.

The table is attempts.py. All attempts run in one boot and in one host program, a process each, so a test here looks up a
line; a control is a host program of its own. By hand:
    KHOROS_GUARD_OFF='block range' build/escapes/sanitized/host --lua lua tests/escapes/host.lua ATTEMPTS.lua
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.escapes import guards
from tests.escapes.attempts import ATTEMPTS, IN_PROCESS, KILLED, UNSAFE, Attempt, Off
from tests.support import guest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DIRECTOR = (HERE / "director.lua").read_text()
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-ERMS",
    "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_sigfpe=0:use_sigaltstack=0",
}
LEAST_ATTEMPTS = 60


def lua(value: object) -> str:
    """A Lua expression for a string, a number, a boolean, nil or a table of them."""
    if isinstance(value, str):
        escaped = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03}" for c in value.encode())
        return f'"{escaped}"'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nil"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {lua(item)}" for key, item in value.items()) + "}"
    return repr(value)


def table(attempts: Sequence[Attempt]) -> str:
    """The list of attempts as the director takes it."""
    names = ("name", "source", "memory", "seconds", "ports", "engine", "block", "kill_after")
    return "{" + ",\n".join(lua({name: getattr(each, name) for name in names}) for each in attempts) + "}"


def outcomes(text: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)


@pytest.fixture(scope="session")
def host() -> Path:
    return guards.build_host()


def on_host(
    host: Path, folder: Path, attempts: Sequence[Attempt], control: str = "", lua_guard: str | None = None,
    **environment: str,
) -> tuple[dict[str, str], str]:
    """→ outcomes by name, and what the sanitizers say."""
    file = folder / "attempts.lua"
    file.write_text(f"return {lua(DIRECTOR)}, {table(attempts)}")
    tree = guards.lua_without(lua_guard, folder / "lua")
    done = subprocess.run(
        [host, "--lua", tree, HERE / "host.lua", file, control], cwd=ROOT, capture_output=True, text=True,
        errors="replace", timeout=250, env={**os.environ, **ENVIRONMENT, **environment},
    )  # fmt: skip
    return outcomes(done.stdout), done.stderr


@pytest.fixture(scope="module")
def held_on_host(host: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    return on_host(host, tmp_path_factory.mktemp("held"), ATTEMPTS)


@pytest.fixture(scope="module")
def held_in_guest(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    program = tmp_path_factory.mktemp("guest") / "attempts.lua"
    program.write_text(
        f"local director = load({lua(DIRECTOR)}, '=director')\n"
        f"director({{}}, {table([each for each in ATTEMPTS if not each.ports])}, false)\nprint('end\\tend')"
    )
    done = guest.run("--no-disk", program, timeout=280)
    found = outcomes(done.stdout.decode(errors="replace"))
    assert done.returncode == 0 and "end" in found, (found, done.stderr.decode(errors="replace")[-4000:])
    return found


def test_the_names_are_many_and_different() -> None:
    names = [attempt.name for attempt in ATTEMPTS]
    assert len(set(names)) == len(names) >= LEAST_ATTEMPTS


@pytest.mark.guest
@pytest.mark.parametrize("attempt", [each for each in ATTEMPTS if not each.ports], ids=lambda each: each.name)
def test_held_in_the_guest(held_in_guest: dict[str, str], attempt: Attempt) -> None:
    assert re.search(attempt.held, held_in_guest[attempt.name]), held_in_guest[attempt.name]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda each: each.name)
def test_held_on_the_host(held_on_host: tuple[dict[str, str], str], attempt: Attempt) -> None:
    found, talk = held_on_host
    assert attempt.name in found, talk[-3000:]
    assert re.search(attempt.held, found[attempt.name]), found[attempt.name]
    assert "strays" not in found


@pytest.mark.parametrize(
    "attempt", [each for each in ATTEMPTS if each not in KILLED], ids=lambda each: each.name
)
def test_succeeds_without_its_guard(host: Path, tmp_path: Path, attempt: Attempt) -> None:
    control, lua_guard, environment = "", None, {}
    if isinstance(attempt.control, str):
        assert attempt.control in (UNSAFE, IN_PROCESS)
        control = attempt.control
    elif attempt.control.guard.split("+")[0] in guards.C_GUARDS:
        environment = {"KHOROS_GUARD_OFF": attempt.control.guard}
    else:
        lua_guard = attempt.control.guard
    found, talk = on_host(host, tmp_path, [attempt], control, lua_guard, **environment)
    outcome = found.get(attempt.name, "") + found.get("strays", "") + " " + talk
    assert re.search(attempt.without, outcome), outcome[-3000:]


@pytest.mark.parametrize("attempt", KILLED, ids=lambda each: each.name)
def test_lives_on_unless_it_is_killed(host: Path, tmp_path: Path, attempt: Attempt) -> None:
    """The control of the attempts that are killed: left alone, none of them ends."""
    alive = Attempt(attempt.name, attempt.source, attempt.control, seconds=0.3)
    found, talk = on_host(host, tmp_path, [alive])
    assert found.get(attempt.name) == "hung", found.get(attempt.name, talk)


def test_every_guard_is_attacked() -> None:
    controls = [each.control for each in ATTEMPTS if isinstance(each.control, Off)]
    attacked = {guard for control in controls for guard in control.guard.split("+")}
    assert attacked == set(guards.C_GUARDS) | set(guards.LUA_GUARDS)
