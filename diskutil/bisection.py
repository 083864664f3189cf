"""Finds the transaction that broke something: halves the history, asking a test about one state after the other.

    good … ? ? ? ? … bad     each answer moves one end to the middle; what cannot be judged is passed over

Pure: the test is a function. Promise: for n states it asks about log2 n, more only where states are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """What a test says of a state."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


class Found(NamedTuple):
    """The newest state that is good and the first that is bad; `between` are those that could not be judged."""

    last_good: int
    first_bad: int
    between: list[int]


def search(good: int, bad: int, ask: Callable[[int], Verdict]) -> Found:
    """Between a state that is known to be good and a later one that is known to be bad."""
    skipped: set[int] = set()
    while True:
        number = next((n for n in _from_the_middle(good, bad) if n not in skipped), None)
        if number is None:
            return Found(good, bad, sorted(n for n in skipped if good < n < bad))
        verdict = ask(number)
        if verdict is Verdict.SKIP:
            skipped.add(number)
        elif verdict is Verdict.GOOD:
            good = number
        else:
            bad = number


def _from_the_middle(good: int, bad: int) -> Iterator[int]:
    """The numbers strictly between, the middle first, then ever farther from it."""
    middle = (good + bad) // 2
    for distance in range(bad - good):
        for number in (middle - distance, middle + distance + 1):
            if good < number < bad:
                yield number
