"""How cost grows with the store, from a thousand objects to a million: the native host, and the host's tools.

Yields (what, objects, value, unit). One image a size; whole processes where a person waits for them. All in time of the CPU, since
others may use the machine too: what a commit waits for the disk does not depend on the size of the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hosts
import images

SIZES = {1000: "16M", 10_000: "32M", 100_000: "128M", 1_000_000: "1G"}
COMMITS, ROUNDS = 100, 3
#: What must stay flat from ten thousand to a million, and what may grow with the store.
FLAT = ("open and get", "get by path", "commit of one", "ls")
LINEAR = ("load all", "check")
Curve = tuple[str, int, float, str]


def measure(folder: Path, sizes: dict[int, str] | None = None) -> Iterator[Curve]:
    """All of them, size by size."""
    hosts.build()
    for count, size in (sizes or SIZES).items():
        image = folder / f"{count}.img"
        hosts.make_image(image, size)
        hosts.store("native", "commit_1000", image, count)
        yield from of(image, count)
        image.unlink()


def of(image: Path, count: int) -> Iterator[Curve]:
    def works(name: str, times: int = count) -> float:
        return hosts.store("native", name, image, times, "cpu")

    yield "open and get", count, images.best(lambda: works("open"), ROUNDS), "s"
    yield "get by path", count, images.best(lambda: works("get"), ROUNDS), "s"
    yield "ls", count, images.best(lambda: images.run("ls", image)[0], ROUNDS), "s"
    yield "load all", count, count / works("load_all"), "s"
    yield "check", count, images.run("check", image)[0], "s"
    yield "commit of one", count, images.best(lambda: 1 / works("commit_1", COMMITS), ROUNDS), "s"
