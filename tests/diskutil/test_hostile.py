"""Hostile images: from every command, and from both readers, a named error or a right answer, within 2 s of CPU and 64 MB.

Both readers say the same about each. Besides, each image goes through all commands in a child of its own, which may not map more
than that; what runs out of memory there, or fails in a way that nobody named, is an internal error, and a failure here. Images
that cannot harm are few: see hostile.VALID.
"""

from __future__ import annotations

import filecmp
import importlib
import os
import pickle
import resource
import shutil
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from khoros.diskutil import cli
from khoros.diskutil.fuzzing import verdicts
from tests.diskutil import hostile, hostile_fields, images
from tests.diskutil.commandline import Result, invoke
from tests.diskutil.test_bad_input import COMMANDS, WRITING, arguments_of

MEMORY_BYTES, CPU_SECONDS = 64_000_000, 2.0
# A child that hangs is stopped by the kernel.
HANG_SECONDS = 60


class Outcome(NamedTuple):
    """What a command said, the CPU time that it took, and whether the image is what it was."""

    result: Result
    seconds: float
    unchanged: bool


def mapped_bytes() -> int:
    """How much address space this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def outcomes(path: Path) -> dict[str, Outcome]:
    """Every command on a copy of the image."""
    found = {}
    for command in sorted(COMMANDS):
        folder = path.parent / command
        folder.mkdir()
        copy = folder / "hostile.img"
        shutil.copy(path, copy)
        start = time.process_time()
        result = invoke(*arguments_of(command, copy, folder))
        found[command] = Outcome(result, time.process_time() - start, filecmp.cmp(path, copy, shallow=False))
        shutil.rmtree(folder)
    return found


def in_a_small_child(path: Path) -> dict[str, Outcome]:
    """`outcomes` in a child that is ended when it hangs; AssertionError when it was."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            resource.setrlimit(resource.RLIMIT_CPU, (HANG_SECONDS, HANG_SECONDS))
            limit = mapped_bytes() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            answer = pickle.dumps({name: tuple(outcome) for name, outcome in outcomes(path).items()})
            with os.fdopen(write_end, "wb") as stream:
                stream.write(answer)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    assert answer, "the child ended without an answer: out of time or memory"
    return {name: Outcome(Result(*outcome[0]), *outcome[1:]) for name, outcome in pickle.loads(answer).items()}


@pytest.fixture(scope="module", autouse=True)
def everything_is_loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Modules are no cost of an image: each command runs once on a good one before."""
    for module, _ in cli.COMMANDS.values():
        importlib.import_module(f"khoros.diskutil.commands.{module}")
    outcomes(images.ship(tmp_path_factory.mktemp("good") / "good.img"))


def faults(name: str, command: str, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome."""
    result = outcome.result
    said = result.err.decode("utf-8", "replace")
    wrong = []
    if result.code == cli.EXIT_INTERNAL or "Traceback" in said:
        wrong.append("not a named error")
    if outcome.seconds > CPU_SECONDS:
        wrong.append(f"{outcome.seconds:.1f} s")
    if not outcome.unchanged and (result.code != 0 or command not in (*WRITING, "fixsum")):
        wrong.append("the image was changed")
    if any(ord(letter) < 32 and letter != "\n" for letter in said) or (command != "bisect" and len(said.splitlines()) > 3):
        wrong.append("not one line, or control characters")
    if command == "check" and (result.code in (4, 8)) == (name in hostile.VALID | hostile.TORN):
        wrong.append("check finds nothing wrong, or something")
    if command == "check" and (b"not unmounted cleanly" in result.out) < (name in hostile.TORN):
        wrong.append("check does not say that the log was cut off")
    if command == "dump" and not result.out:
        wrong.append("dump shows nothing")
    if command not in ("cat", "export", "import") and b"\x1b" in result.out:
        wrong.append("control characters on stdout")
    return [f"{command}: {what} (exit {result.code}: {said[:200]!r})" for what in wrong]


@pytest.fixture(scope="module")
def lua() -> verdicts.Lua:
    return verdicts.Lua()


def test_there_are_enough():
    assert len(hostile.IMAGES) >= 150 and set(hostile.IMAGES) > hostile.VALID | hostile.TORN


def test_those_made_field_by_field_differ_and_most_are_refused_in_different_words():
    """A case that changes nothing that matters would be none: an error or damage, of the image or of an object."""
    made = {bytes(hostile_fields.image_of(edits)) for edits in hostile_fields.EDITS.values()}
    assert len(made) == len(hostile_fields.EDITS) and hostile_fields.BASE.image not in made
    found = Counter(map(outcome_of, made))
    assert found["clean"] + found["torn"] < len(made) / 3 and len(found) >= 6


def outcome_of(image: bytes) -> str:
    verdict = verdicts.python(bytearray(image))
    bad = [value for value in verdict.objects.values() if isinstance(value, str)]
    return verdict.code or (f"object {bad[0]}" if bad else verdict.verdict)


@pytest.mark.parametrize("name", hostile.IMAGES)
def test_both_readers_say_the_same_of_it(tmp_path: Path, lua: verdicts.Lua, name: str) -> None:
    path = tmp_path / "hostile.img"
    hostile.IMAGES[name](path)
    image = bytearray(path.read_bytes())
    start = time.process_time()
    tracemalloc.start()
    ours, finding = verdicts.of_python(image, thorough=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert finding is None and ours is not None, finding
    between = time.process_time()
    # The store's memory is limited by verdicts.Lua.
    difference = verdicts.difference(image, ours, lua)
    assert difference is None, difference
    assert max(between - start, time.process_time() - between) < CPU_SECONDS
    assert peak < MEMORY_BYTES


@pytest.mark.parametrize("name", hostile.IMAGES)
def test_a_hostile_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.img"
    hostile.IMAGES[name](path)
    found: list[Any] = []
    for command, outcome in in_a_small_child(path).items():
        found += faults(name, command, outcome)
    assert not found, "\n".join(found)


def test_the_child_is_held_to_its_limit(tmp_path, monkeypatch):
    """A planted waste of memory is noticed."""
    from khoros.diskutil import check

    def waste(*arguments: object) -> None:
        bytearray(200_000_000)

    monkeypatch.setattr(check, "check", waste)
    found = in_a_small_child(images.ship(tmp_path / "good.img"))
    assert found["check"].result.code == cli.EXIT_INTERNAL
    assert "MemoryError" in found["check"].result.err.decode()
