"""The workloads of the torture, each known by a row and a number, and which of their steps are done.

`record(name)` runs one on the real store. A name is all that a run depends on besides the sources of the store:

    1-42            row 1, number 42
    1-42-0.3.7      of its steps only these: what is left when a failing sequence has been made as short as it gets
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from . import crash, mounted, runtime
from .crash import Links, Operation, Run, Value

STEPS, LARGEST = 14, 3000
KEEPING_LARGEST = 1500
# Which share of the numbers is of which kind.
KINDS = ("plain", "keeping", "plain", "remains", "plain", "keeping", "plain", "full")
FULL_STEPS, FULL_LARGEST = 200, 7000
# So many numbers of row 5 share one image, each with its part of the damages.
DAMAGE_PARTS = 8

Step = Callable[[Any], None]


class Name(NamedTuple):
    """What a workload is known by. `steps`: the numbers of those that are done; None: all."""

    row: int
    number: int
    steps: tuple[int, ...] | None = None

    def __str__(self) -> str:
        steps = "" if self.steps is None else "-" + (".".join(map(str, self.steps)) or "none")
        return f"{self.row}-{self.number}{steps}"


def parse(text: str) -> tuple[Name, str]:
    """(workload, state or "") of a case: NAME or NAME:STATE. UsageError if it is none."""
    found = re.fullmatch(r"(\d{1,2})-(\d{1,18})(?:-(none|\d+(?:\.\d+)*))?(?::([\w./-]+))?", text)
    if not found:
        raise UsageError(what=f"no case: {text}", advice="a case looks like 1-42 or 1-42-0.3:17.2.half")
    row, number, steps, state = found.groups()
    kept = None if steps is None else () if steps == "none" else tuple(map(int, steps.split(".")))
    return Name(int(row), int(number), kept), state or ""


class Subject(NamedTuple):
    """The store that is tortured: where its Lua sources are, and what of them is broken on purpose."""

    sources: Path = runtime.LUA
    edits: dict[str, tuple[str, str]] | None = None


def kind_of(name: Name) -> str:
    """What the workload with that name does."""
    if name.row in (3, 4):
        return "short"
    return "damage" if name.row == 5 else KINDS[name.number % len(KINDS)]


def steps_of(name: Name) -> list[Step]:
    """All its steps."""
    kind = kind_of(name)
    if kind == "short":
        return [SHORT[symbol] for symbol in sequence(name.number)]
    if kind == "keeping":
        return crash.keeping_operations(name.number, STEPS, KEEPING_LARGEST)
    if kind == "full":
        return crash.keeping_operations(name.number, FULL_STEPS, FULL_LARGEST, 60)
    if kind == "damage":
        return [*crash.keeping_operations(name.number, STEPS, 400, 12), *ENDING]
    return crash.seeded_operations(name.number, STEPS, LARGEST)


def record(name: Name, subject: Subject) -> Run:
    """Runs it. StoreError or LuaError if the store fails on a disk without fault."""
    kind = kind_of(name)
    image = remains(name.number) if kind == "remains" else mounted.format_disk()
    run = Run(image, name.number, subject.edits, collecting=kind in ("keeping", "full", "short", "damage"),
              sources=subject.sources)
    steps = steps_of(name)
    for number in range(len(steps)) if name.steps is None else name.steps:
        if number >= len(steps):
            raise UsageError(what=f"{name} has no step {number}")
        steps[number](run)
    return run


def remains(seed: int) -> bytearray:
    """A new store on a disk full of valid frames of another epoch, at the very places where its own are expected."""
    image = crash.record(seed % 16, 60).image_at()
    fresh = mounted.format_disk(epoch=mounted.EPOCH + 1)
    for lba in (8, 16, len(image) // 512 - 24, len(image) // 512 - 16):
        image[lba * 512:lba * 512 + 512] = fresh[lba * 512:lba * 512 + 512]
    return image


# --- Short sequences --------------------------------------------------------------------------------------------------


def _living(run: Any) -> tuple[int, ...]:
    root = run.model.now[1]
    return root.ids if isinstance(root, Links) else ()


def _put(run: Any, objects: dict[int, Value | None]) -> None:
    run.step(Operation("commit", tuple(objects.items()), "short"))


def _new(run: Any, size: int, count: int = 1) -> None:
    first = run.store.allocate(count)
    new = tuple(range(first, first + count))
    data = random.Random(first).randbytes(size)
    _put(run, {1: Links(b"root", (*_living(run), *new)), **dict.fromkeys(new, data)})


def _change(run: Any) -> None:
    old = _living(run)[:1] or (1,)
    _put(run, {number: Links(b"changed", _living(run)) if number == 1 else b"changed" * 9 for number in old})


def _let_go(run: Any) -> None:
    _put(run, {1: Links(b"less", _living(run)[1:])})


def _delete(run: Any) -> None:
    gone = _living(run)[-1:]
    _put(run, {1: Links(b"deleted", _living(run)[:-1]), **dict.fromkeys(gone)})


def _snapshot(run: Any) -> None:
    if len(run.snapshots()[0]) < 4:
        run.step(Operation("snapshot", message=f"s{len(run.kept)}"))


def _drop(run: Any) -> None:
    for name in sorted(run.snapshots()[0])[:1]:
        run.step(Operation("drop", message=name))


SHORT: tuple[Step, ...] = (
    lambda run: _new(run, 60),
    lambda run: _new(run, 700, 12),
    lambda run: _new(run, 70_000),
    _change, _let_go, _delete, _snapshot, _drop,
    lambda run: run.step(Operation("gc", number=1000)),
    lambda run: run.step(Operation("keep", number=1)),
    lambda run: run.step(Operation("checkpoint")),
    lambda run: run.step(Operation("remount")),
    lambda run: run.step(Operation("crash")),
)
ENDING: tuple[Step, ...] = (SHORT[10], SHORT[0], SHORT[11], SHORT[1], SHORT[6], SHORT[3], SHORT[0], SHORT[3])


def sequences(longest: int) -> int:
    """How many sequences of up to so many steps there are."""
    return sum(len(SHORT) ** length for length in range(1, longest + 1))


def sequence(number: int) -> tuple[int, ...]:
    """The symbols of the sequence with that number: all of one step first, then all of two, and so on."""
    length = 1
    while number >= len(SHORT) ** length:
        number -= len(SHORT) ** length
        length += 1
    symbols = []
    for _ in range(length):
        number, symbol = divmod(number, len(SHORT))
        symbols.append(symbol)
    return tuple(symbols)
