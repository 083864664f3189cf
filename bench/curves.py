"""How cost grows from 10^3 to 10^6 objects: `./khoros bench cost_curves`, or `curves.measure(folder)` for who draws them.

One store grows in a native Lua with the codec in C (bench/native/curves.lua); at each size it is opened, read, written and listed.
CPU time, so that neither the disk nor who else uses the machine counts. From FLAT_FROM on, what is in FLAT should stay
within FLAT_LIMIT of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import hosts
import images

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FLAT, FLAT_FROM, FLAT_LIMIT = ("open", "get", "commit", "ls"), 10_000, 1.5
NAMES = ("cost_curves",)
IMAGE = "1G"


class Point(NamedTuple):
    """One measurement."""

    size: int
    what: str
    value: float
    unit: str


def curves(folder: Path, sizes: tuple[int, ...] = SIZES) -> list[Point]:
    """All points, in the order in which the store grows."""
    hosts.build()
    image = folder / "curves.img"
    hosts.make_image(image, IMAGE)
    points = []
    for there, size in pairwise((0, *sizes)):
        shown = hosts.run(hosts.NATIVE, hosts.HERE / "native" / "curves.lua", hosts.LUA, image, there, size)
        for line in shown.splitlines():
            what, value, unit = line.split("\t")
            points.append(Point(size, what, float(value), unit))
        points.append(Point(size, "ls", 1e6 * images.best(lambda: images.run("ls", image)[0]), "us"))
    image.unlink()
    return points


def growth(points: list[Point]) -> Iterator[tuple[str, float]]:
    """Of each that should stay flat: the largest of its values from FLAT_FROM on by the first of them."""
    for what in FLAT:
        values = [point.value for point in points if point.what == what and point.size >= FLAT_FROM]
        if len(values) > 1:
            yield what, max(values) / values[0]


def measure(wanted: set[str], folder: Path) -> Iterator[tuple[str, float, str]]:
    """As figures of the bench."""
    if "cost_curves" not in wanted:
        return
    points = curves(folder)
    for point in points:
        yield f"{point.what} with {point.size} objects", point.value, point.unit
    for what, ratio in growth(points):
        yield f"growth of {what} from {FLAT_FROM} objects on (at most {FLAT_LIMIT})", ratio, "x"
