"""How two things are measured side by side: in turns, in one run, medians with their spread.

A group of rows is a module with `measure(...)` that yields tuples (name, ours, peer, peer_name, unit); ours and peer are a
`Figure` or a number. In which units less is better decides which way round the ratio goes: above 1 is in our favour.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

ROUNDS = 5
LESS_IS_BETTER = {"s", "ms", "us", "ns", "bytes", "bytes/object", "MiB", "MB", "times the host's time"}


class Figure(NamedTuple):
    """The median of what was measured, and the extremes."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))


class Row(NamedTuple):
    """One comparison as it is printed and written."""

    name: str
    ours: Figure
    peer: Figure
    peer_name: str
    unit: str

    @property
    def ratio(self) -> float:
        ours, peer = self.ours.median, self.peer.median
        return peer / ours if self.unit in LESS_IS_BETTER else ours / peer

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "ours": rounded(self.ours.median), "peer": rounded(self.peer.median),
            "peer_name": self.peer_name, "unit": self.unit, "ratio": round(self.ratio, 3),
            "spread": {"ours": [rounded(self.ours.least), rounded(self.ours.greatest)],
                       "peer": [rounded(self.peer.least), rounded(self.peer.greatest)]},
        }  # fmt: skip

    def as_line(self) -> str:
        return (f"{self.name:44} {self.ratio:8.2f}   {figure(self.ours)} against {figure(self.peer)} {self.unit}"
                f" of {self.peer_name}")  # fmt: skip


def rounded(value: float) -> float:
    """Six digits are more than any of it is good for."""
    return float(f"{value:.6g}")


def figure(value: Figure) -> str:
    return f"{value.median:.4g} ({value.least:.3g} … {value.greatest:.3g})"


def row(name: str, ours: Figure | float, peer: Figure | float, peer_name: str, unit: str) -> Row:
    """From what a group yields; a bare number has no spread."""

    def spread(value: Figure | float) -> Figure:
        return value if isinstance(value, Figure) else Figure(value, value, value)

    return Row(name, spread(ours), spread(peer), peer_name, unit)


def in_turns(*works: Callable[[], float], rounds: int = ROUNDS) -> list[Figure]:
    """Each work's figures, one of each in every round; who begins changes, so that nobody always finds a warm machine."""
    figures: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        order = list(range(len(works)))
        for place in order if turn % 2 == 0 else reversed(order):
            figures[place].append(works[place]())
    return [Figure.of(values) for values in figures]


Measured = Iterator[tuple[str, Figure | float, Figure | float, str, str]]
