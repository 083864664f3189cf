"""The shortest sequence of steps that still fails, by leaving steps out (delta debugging: halves, quarters, … single ones)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import workloads
from .rows import Failure, Findings

# Rows whose workloads are long enough to be made shorter.
ROWS = (1, 2, 5)


def shortest(failure: Failure, examine: Callable[[workloads.Name], Findings], stop: Callable[[], bool]) -> Failure:
    """A failure of as few of its steps as could be found before `stop()`; itself at worst."""
    if failure.name.row not in ROWS:
        return failure
    steps = list(failure.name.steps or range(len(workloads.steps_of(base(failure.name)))))
    best, size = failure, max(1, len(steps) // 2)
    while size:
        shorter = _without_some(steps, size, failure.name, examine, stop)
        if shorter is not None:
            best, steps = shorter
        elif stop():
            return best
        else:
            size //= 2
    return best


def base(name: workloads.Name) -> workloads.Name:
    """The workload whose steps `name` counts."""
    return name._replace(number=name.number // workloads.DAMAGE_PARTS) if name.row == 5 else name


def _without_some(steps: list[int], size: int, name: workloads.Name, examine: Callable[[workloads.Name], Findings],
                  stop: Callable[[], bool]) -> tuple[Failure, list[Any]] | None:
    for start in range(0, len(steps), size):
        kept = steps[:start] + steps[start + size:]
        if stop() or len(kept) == len(steps):
            return None
        failure = examine(name._replace(steps=tuple(kept))).failure
        if failure is not None:
            return failure, kept
    return None
