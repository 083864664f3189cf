"""Full stores: fills one to its last byte, lets go of half, fills it again; snapshots stay what they were.

`Work` is a workload (filling.lua) over a store in memory; `fill_and_free` is one turn of row 10 of the torture.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from .. import check
from . import crash
from .mounted import Disk, Store, StoreError, format_disk

HERE = Path(__file__).parent
SEGMENT_SECTORS = 256
OVERWRITES = 10


class Work:
    """filling.lua over a store on a disk of that many segments."""

    def __init__(self, segments: int, segment_sectors: int, smallest: int, largest: int, seed: int = 0, **options: Any) -> None:
        total = 64 + segments * segment_sectors + 24
        self.store = Store(Disk(format_disk(total_sectors=total, segment_sectors=segment_sectors)), **options)
        self.store.lua.execute(b"math.randomseed(...)", seed)
        module = self.store.lua.execute((HERE / "filling.lua").read_bytes(), name="@filling.lua")
        self.work = module[b"new"](self.store.handle, smallest, largest)

    def __getattr__(self, name: str) -> Any:
        return self.work[name.encode()]

    def verify(self, versions: Any = None, view: int | None = None) -> None:
        """Every object has its bytes; AssertionError says which has not."""
        count, wrong = self.work[b"verify"](versions, view)
        assert wrong is None, wrong.decode()
        expected = self.count if versions is None else len(list(versions.keys()))
        assert count == expected, f"{count} objects of {expected}"

    def check_image(self) -> None:
        """The other implementation finds nothing wrong, neither in the present nor in snapshots."""
        self.store.close()
        report = check.check(crash.python_store(self.store.disk.image))
        assert (found := [finding.text for finding in report.findings if finding.error]) == [], found


def fill_and_free(work: Work, largest: int) -> None:
    """Filled to the last byte, also with a snapshot of it, each change that frees something works. AssertionError, StoreError."""
    work.fill(None)
    work.store.call("snapshot", "full")
    work.drop_half()
    work.verify()
    _until_refused(work, largest)
    work.store.call("delete_snapshot", "full")
    before = work.count
    work.fill(None)
    assert work.count > before, "nothing was freed with the snapshot"
    work.verify()


def keep_and_overwrite(work: Work) -> None:
    """A snapshot stays what it was while everything is overwritten ten times, nine tenths of the log in use."""
    work.fill(0.4 * work.store.info()["log_bytes"])
    work.store.call("snapshot", "first")
    kept = work.remember()
    for _ in range(OVERWRITES):
        assert work.overwrite() == 0, "no room to overwrite"
        work.verify(kept, work.store.view("first"))
    work.verify()


def turn(seed: int, options: dict[str, Any]) -> Work:
    """One fill drawn from `seed`, judged; the work is returned for its image. AssertionError, StoreError."""
    source = random.Random(seed)
    segments, largest = source.randrange(8, 21), source.choice([200, 1_000, 3_000, 10_000, 30_000])
    work = Work(segments, SEGMENT_SECTORS, 30, largest, seed, **options)
    try:
        if source.random() < 0.3 and segments >= 16 and largest <= 3_000:
            keep_and_overwrite(work)
        else:
            fill_and_free(work, largest)
        work.check_image()
    except (AssertionError, StoreError) as error:
        raise Filled(work, str(error)) from error
    return work


class Filled(Exception):
    """A full store that broke a promise: the work, and why."""

    def __init__(self, work: Work, why: str) -> None:
        super().__init__(why)
        self.work = work


def _until_refused(work: Work, largest: int) -> None:
    """New objects are refused at last, and by the name of no_space."""
    for _ in range(100_000):
        number = work.store.allocate()
        try:
            work.store.commit({number: b"\xff" * largest})
        except StoreError as error:
            if error.code != "no_space":
                raise
            return
    raise AssertionError("a full store refuses nothing")
