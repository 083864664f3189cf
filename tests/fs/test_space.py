"""Space: a store that is full takes no harm, gives back what is let go of, and keeps snapshots whatever happens to the rest.

The sizes of CI are small; with --full a disk of 1 GiB is filled, half emptied and filled again, ten times over.
"""

from __future__ import annotations

import pytest

from khoros.diskutil.torture import filling
from khoros.diskutil.torture.filling import Work
from tests.support.store import Store, StoreError

MIB = 1 << 20


@pytest.mark.timeout(0)
def test_filled_half_emptied_and_filled_again_ten_times(request: pytest.FixtureRequest):
    full = bool(request.config.getoption("--full"))
    work = Work(1023, 2048, 40, 30_000) if full else Work(96, 256, 40, 8_000)
    amounts = []
    for turn in range(11):
        work.fill(None)
        info = work.store.info()
        amounts.append(info["live_bytes"])
        print(f"turn {turn}: {work.count} objects, {info['live_bytes'] / info['log_bytes']:.1%} of the log, "
              f"write amplification {info['write_amplification']:.2f}, {info['segments_cleaned']} segments cleaned")
        work.verify()
        if turn < 10:
            work.drop_half()
    # Less fits in the end than in the beginning, but not by garbage: ids are never used again, so the index keeps a page for every 256
    # of which a single one is left, here half of a half of a half. They cost their place, and a larger reserve; in segments of
    # 128 KiB more than in those of 1 MiB.
    assert amounts[-1] > (0.83 if full else 0.68) * amounts[0]
    assert amounts[0] > 0.75 * work.store.info()["log_bytes"]
    # Once all is let go of, as much fits as in the beginning.
    work.drop_all()
    work.verify()
    work.fill(None)
    print(f"after all was let go of: {work.store.info()['live_bytes'] / work.store.info()['log_bytes']:.1%} of the log")
    assert work.store.info()["live_bytes"] > 0.97 * amounts[0]
    work.verify()
    work.check_image()


@pytest.mark.timeout(0)
def test_a_snapshot_taken_first_stays_equal_while_everything_is_overwritten_ten_times(request: pytest.FixtureRequest):
    full = bool(request.config.getoption("--full"))
    work = Work(1023, 2048, 40, 30_000) if full else Work(96, 256, 40, 8_000)
    store = work.store
    # Snapshot and present, which will have no object in common, are to take nine tenths of what the store takes.
    takes = (0.86 if full else 0.75) * store.info()["log_bytes"]
    work.fill(0.45 * takes)
    store.call("snapshot", "first")
    kept = work.remember()
    refused = 0
    for turn in range(10):
        refused += work.overwrite()
        info = store.info()
        print(f"turn {turn}: {(info['live_bytes'] + info['snapshot_bytes']) / info['log_bytes']:.1%} of the log, "
              f"write amplification {info['write_amplification']:.2f}, {info['segments_cleaned']} segments cleaned")
        work.verify(kept, store.view("first"))
    assert refused == 0
    assert (info["live_bytes"] + info["snapshot_bytes"]) / takes > 0.87
    work.verify()
    work.check_image()
    again = Store(store.disk)
    view = again.view("first")
    assert len(again.records(*list(kept.keys())[:1000], view=view)) == min(1000, len(list(kept.keys())))


@pytest.mark.parametrize("segments", [8, 9, 12, 20])
@pytest.mark.parametrize("largest", [200, 3_000, 30_000])
def test_at_every_size_of_store_something_can_be_let_go_of(segments: int, largest: int):
    """Filled to the last byte, also with a snapshot of it, each small change that frees something works."""
    work = Work(segments, 256, 30, largest)
    filling.fill_and_free(work, largest)
    work.check_image()


def test_a_snapshot_can_be_taken_and_dropped_in_a_full_store():
    work = Work(10, 256, 30, 5_000)
    work.fill(None)
    for turn in range(200):
        work.store.call("snapshot", f"s{turn}")
        if turn >= 3:
            work.store.call("delete_snapshot", f"s{turn - 3}")
    work.verify()
    work.drop_half()
    work.verify()


def test_one_reference_can_be_removed_from_a_full_store_with_a_snapshot():
    """Though the object that had it takes as much room without it: entries are rounded up."""
    work = Work(8, 256, 30, 30_000)
    work.fill(None)
    work.store.call("snapshot", "full")
    with pytest.raises(StoreError, match=r"^no_space"):
        work.store.commit({work.store.allocate(): b"\xff" * 30_000})
    alike = [work.drop_one() for _ in range(12)]
    assert alike.count(True) >= 3
    work.verify()
    work.check_image()


def test_history_and_snapshots_are_told_apart_in_what_they_hold():
    work = Work(64, 256, 2_000, 2_001)
    store = work.store
    work.fill(MIB)
    assert store.info()["snapshot_bytes"] == 0
    store.call("snapshot", "s")
    work.overwrite()
    store.checkpoint()
    info = store.info()
    assert 0.8 * MIB < info["snapshot_bytes"] < 1.3 * MIB
    # Nothing is history's alone yet but what was superseded before: the snapshot has the rest.
    assert info["history_bytes"] < 0.5 * MIB
    work.overwrite()
    work.overwrite()
    store.checkpoint()
    assert store.info()["history_bytes"] > 0.8 * MIB
    store.call("delete_snapshot", "s")
    assert store.info()["snapshot_bytes"] == 0
    assert store.info()["history_bytes"] > 1.6 * MIB
