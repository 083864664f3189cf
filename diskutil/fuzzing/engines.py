"""Where recipes come from, and the loop that judges them.

    guided    atheris: libFuzzer, led by the branches that the Python reader takes
    mutate    mutations led by what comes of them: which kind of structure, changed how, is taken for what; needs nothing but Python

Both judge until the time is over or `stop()`. Findings of one kind are one finding.
"""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from . import bases, corpus, recipes, verdicts
from .verdicts import Finding, Lua


@dataclass
class Found:
    """What a run came to. `compared`: images that both readers judged; `outcomes`: how many were taken for what."""

    images: int = 0
    compared: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    findings: dict[str, tuple[bytes, Finding]] = field(default_factory=dict)
    new: list[bytes] = field(default_factory=list)
    stopped: bool = False


def available() -> str:
    """The best engine that is installed: "atheris" or "mutation"."""
    return "atheris" if importlib.util.find_spec("atheris") else "mutation"


def judge(data: bytes, lua: Lua | None, found: Found) -> str:
    """One recipe. Its outcome, which is also counted."""
    image = recipes.image(data)
    verdict, finding = verdicts.of_python(image, found.images % verdicts.CHECK_EVERY == 0)
    found.images += 1
    if verdict is not None and lua is not None:
        finding = finding or verdicts.difference(image, verdict, lua)
        found.compared += 1
    if finding is not None:
        found.findings.setdefault(finding.kind, (data, finding))
    outcome = "finding" if verdict is None else verdict.code or verdict.verdict
    found.outcomes[outcome] = found.outcomes.get(outcome, 0) + 1
    return outcome


def replay(seeds: list[bytes], lua: Lua | None, seen: Callable[[Found, int], None], stop: Callable[[], bool]) -> Found:
    """The corpus itself."""
    found, started = Found(), time.monotonic()
    for number, seed in enumerate(seeds, 1):
        if stop():
            found.stopped = True
            break
        judge(seed, lua, found)
        seen(found, number)
    found.seconds = time.monotonic() - started
    return found


def mutate(seeds: list[bytes], seed: int, lua: Lua | None, seconds: float, seen: Callable[[Found, int], None],
           stop: Callable[[], bool]) -> Found:
    """New recipes for so long. What is taken for something, or differs in a way, that was not seen before joins the corpus."""
    found, started, source = Found(), time.monotonic(), random.Random(seed)
    pool, features = list(seeds) or [b"\0"], set[str]()
    for data in fresh(pool, source):
        if stop() or time.monotonic() - started > seconds:
            found.stopped = stop()
            break
        feature = f"{judge(data, lua, found)} {shape(data)}"
        if feature not in features:
            features.add(feature)
            pool.append(data)
            found.new.append(data)
        seen(found, 0)
    found.seconds = time.monotonic() - started
    return found


def shape(data: bytes) -> str:
    """Which kind of structure a recipe changes, and how: what makes it new together with its outcome."""
    number, mend, changes = recipes.parse(data)
    base = bases.base(number)
    return f"{number} {mend} " + " ".join(
        f"{base.structures[change.structure % len(base.structures)].name}.{change.operation % len(recipes.OPERATIONS)}"
        for change in changes[:2])


def fresh(pool: list[bytes], source: random.Random) -> Iterator[bytes]:
    """Recipes without end: new ones, and changed ones of the pool."""
    while True:
        yield _change(source.choice(pool), source) if source.random() < 0.6 else new(source)


def new(source: random.Random) -> bytes:
    """A recipe of one change or a few."""
    count = source.choice([1, 1, 1, 2, 2, 3])
    first = source.randrange(recipes.BASES + 1) | (recipes.STAY_WRONG if source.random() < 0.05 else 0)
    return bytes([first]) + b"".join(_random_change(source) for _ in range(count))


def _random_change(source: random.Random) -> bytes:
    value = source.choice([source.randrange(64), source.randrange(1 << 64)])
    return recipes.Change(source.randrange(1 << 16), source.randrange(256), source.randrange(256), value).packed()


def _change(data: bytes, source: random.Random) -> bytes:
    """Another recipe of the same making: a byte changed, a change added or taken away."""
    step = source.randrange(4)
    if step == 0 or len(data) < 1 + recipes.CHANGE.size:
        return (data + _random_change(source))[-corpus.BYTES_MOST:]
    if step == 1:
        return data[:-recipes.CHANGE.size] or b"\0"
    at = source.randrange(len(data))
    return data[:at] + bytes([source.randrange(256)]) + data[at + 1:]


def guided(seeds: list[bytes], seed: int, lua: Lua | None, seconds: float, place: Path, seen: Callable[[Found, int], None],
           stop: Callable[[], bool]) -> Found:
    """As `mutate`, by atheris in a process of its own, below `place`; its findings, and what is new to its corpus, are judged here again,
    by both readers."""
    place = place.resolve()
    known, findings = place / "corpus", place / "guided-findings"
    known.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        corpus.add(known, data)
    before, started = {path.name for path in known.iterdir()}, time.monotonic()
    command = [sys.executable, "-m", "khoros.diskutil.fuzzing.guided", str(known), str(findings), str(seconds), str(seed)]
    with tempfile.TemporaryFile(dir=place) as output:
        # A session of its own: Ctrl-C is for us, and we end it.
        running = subprocess.Popen(command, cwd=place, stdout=output, stderr=output, start_new_session=True)
        while running.poll() is None and not stop():
            time.sleep(0.2)
            seen(Found(seconds=time.monotonic() - started), 0)
        running.terminate()
        running.wait()
        output.seek(0)
        log = output.read().decode(errors="replace")
    if running.returncode not in (0, -15) and "Done" not in log:
        raise UsageError(what=f"atheris ended with {running.returncode}: {log.strip().splitlines()[-1] if log.strip() else 'silence'}")
    grown = [path.read_bytes() for path in sorted(known.iterdir()) if path.name not in before]
    found = replay([*corpus.load(findings), *grown], lua, seen, stop)
    found.new, found.seconds = grown, time.monotonic() - started
    counted = re.search(r"number_of_executed_units:\s*(\d+)", log) or re.search(r"Done (\d+) runs", log)
    found.images += int(counted[1]) if counted else 0
    return found
