"""Power cuts: every state that one can leave is recovered to an acknowledged state, and goes on from there.

Seeded workloads on the smallest stores. Figures are counted, and asserted to be what the plan of proof asks of each CI
run; --full multiplies them. A failure names the state; the same test with the same seed meets it again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from khoros.diskutil import check
from tests.support import crash
from tests.support import store as store_support
from tests.support.disk import State, Trace, Write

# States and windows of a CI run, divided over the parts; --full does FULL times as many. Both sorts of states together are 30,000.
CUT_STATES, KEEPING_STATES = 22_000, 8_000
WINDOWS, FULL = 100, 100


def rerun(request: pytest.FixtureRequest) -> str:
    return f"python -m pytest --full '{request.node.nodeid}'"


def times(request: pytest.FixtureRequest) -> int:
    return FULL if request.config.getoption("--full") else 1


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(4))
def test_a_cut_at_every_sector_write(part: int, request: pytest.FixtureRequest):
    states, seed = 0, part
    while states < CUT_STATES * times(request) // 4:
        run = crash.record(seed, 14)
        states += run.explore(run.trace().prefixes(), f"{rerun(request)} (seed {seed})")
        seed += 4
    print(f"{states} states")


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_every_order_in_which_unflushed_writes_can_reach_the_disk(part: int, request: pytest.FixtureRequest):
    windows, states, seed = 0, 0, 1000 + part
    while windows < WINDOWS * times(request) // 2:
        run = crash.record(seed, 14)
        trace = run.trace()
        places = list(trace.windows())
        windows += len(places)
        states += run.explore((state for first, last in places for state in trace.reorderings(first, last)),
                              f"{rerun(request)} (seed {seed})")
        seed += 2
    print(f"{states} states of {windows} windows")


def sampled(trace: Trace, share: float, seed: int) -> Iterator[State]:
    """A share of all prefixes and reorderings, in the order of their events."""
    source = random.Random(seed)
    states = [state for state in trace.prefixes() if source.random() < share]
    for first, last in trace.windows():
        states += [state for state in trace.reorderings(first, last, all_up_to=6, samples=12)
                   if source.random() < share]
    return iter(sorted(states, key=lambda state: state.event))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_cuts_of_a_full_store_that_cleans_and_reuses_its_segments(part: int, request: pytest.FixtureRequest):
    states = 0
    for seed in range(part, 2 * times(request), 2):
        run = crash.record(2000 + seed, 220)
        segments = [write.lba for write in run.events() if isinstance(write, Write) and write.lba >= 64]
        assert max(segments.count(lba) for lba in set(segments)) > 1, "no segment was used twice"
        states += run.explore(sampled(run.trace(), 0.02, seed), f"{rerun(request)} (seed {2000 + seed})")
    assert states >= 500


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_cuts_while_snapshots_come_and_go_and_garbage_is_collected(part: int, request: pytest.FixtureRequest):
    """Every sector write of short runs, torn in every way; snapshots and the history that is kept are looked at each time."""
    states, seed = 0, 7000 + part
    while states < KEEPING_STATES * times(request) // 2:
        run = crash.record_keeping(seed, 14, 1500)
        states += run.explore(run.trace().prefixes(), f"{rerun(request)} (seed {seed})")
        seed += 2
    print(f"{states} states")


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_cuts_of_a_full_store_with_snapshots_that_are_moved(part: int, request: pytest.FixtureRequest):
    states = moved = 0
    for seed in range(part, 2 * times(request), 2):
        run = crash.record_keeping(8000 + seed, 200, 7000, 60)
        moved += run.cleaned + run.store.info()["segments_cleaned"]
        states += run.explore(sampled(run.trace(), 0.004, seed), f"{rerun(request)} (seed {8000 + seed})")
    print(f"{states} states, {moved} segments moved")
    assert states >= 150
    assert moved >= 10


@pytest.mark.timeout(0)
def test_cuts_over_the_remains_of_an_earlier_store(request: pytest.FixtureRequest):
    """The disk is full of valid frames of another epoch, at the very places where ours are expected."""
    for seed in range(2 * times(request)):
        before = crash.record(3000 + seed, 120)
        image = before.image_at()
        fresh = store_support.format_disk(epoch=store_support.EPOCH + 1)
        for lba in (8, 16, len(image) // 512 - 24, len(image) // 512 - 16):
            image[lba * 512:lba * 512 + 512] = fresh[lba * 512:lba * 512 + 512]
        run = crash.Run(image, seed)
        for operation in crash.seeded_operations(seed, 14):
            operation(run)
        run.explore(sampled(run.trace(), 0.2, seed), f"{rerun(request)} (seed {3000 + seed})")


@pytest.mark.timeout(0)
def test_a_cut_during_recovery(request: pytest.FixtureRequest):
    """The recovery of a cut store is itself cut at every sector write, and once more."""
    states = 0
    for seed in range(3 * times(request)):
        run = crash.record(4000 + seed, 10)
        source = random.Random(seed)
        first = [state for state in run.trace().prefixes(("whole", "garbage", "unreadable")) if source.random() < 0.03]
        for state in first:
            again = crash.Recovery(run, state)
            states += again.explore(again.trace().prefixes(("whole", "garbage", "unreadable")),
                                    f"{rerun(request)} (seed {4000 + seed}, after {state.name})")
    print(f"{states} states")
    assert states >= 500


def test_recovered_images_are_clean_for_the_python_reader(request: pytest.FixtureRequest):
    """The other implementation finds no error in what recovery leaves, and the same objects."""
    for seed in range(4 * times(request)):
        run = crash.record(5000 + seed, 40)
        source = random.Random(seed)
        for state in sampled(run.trace(), 0.004, seed):
            explorer = crash.Explorer(run)
            assert explorer.judge(state, leave=source.random() < 0.5) is None
            compare_with_python(explorer.image(), run, f"{rerun(request)} (seed {5000 + seed}, {state.name})")


def test_images_with_snapshots_and_garbage_are_clean_for_the_python_reader(request: pytest.FixtureRequest):
    """Also before any recovery, and when objects of snapshots were moved."""
    for seed in range(3 * times(request)):
        run = crash.record_keeping(9000 + seed, 120, 7000, 60)
        for state in sampled(run.trace(), 0.0006, seed):
            where = f"{rerun(request)} (seed {9000 + seed}, {state.name})"
            explorer = crash.Explorer(run)
            explorer.prepare(state)
            if not any(data is None for data in state.sectors.values()):
                compare_with_python(explorer.image(), run, where)
            assert explorer.judge_prepared(state) is None, where
            compare_with_python(explorer.image(), run, where)


def compare_with_python(image: bytearray, run: crash.Run, where: str) -> None:
    store = crash.python_store(image)
    report = check.check(store)
    # These workloads may write objects before they write a root.
    assert [finding for finding in report.findings if finding.error and "no root" not in finding.text] == [], where
    found = {identity: store_support.plain(store.read(identity).payload) for identity, _ in store.ids()}
    handle = store_support.Store(store_support.Disk(image))
    assert handle.call("transaction") == store.transaction, where
    assert found == {identity: handle.read(identity)[0] for identity in found}, where
    assert store.object_count() == handle.info()["objects"] == len(found), where
    assert [bytes(record.name).rstrip(b"\0") for record in store.snapshots] == [
        one["name"] for one in handle.call("snapshots") or []], where


def test_the_python_reader_and_the_store_see_the_same_states(request: pytest.FixtureRequest):
    """Before any recovery: the same verdict and the same objects from a disk as a cut left it."""
    for seed in range(4 * times(request)):
        run = crash.record(6000 + seed, 24)
        explorer = crash.Explorer(run)
        for state in sampled(run.trace(), 0.01, seed):
            if any(data is None for data in state.sectors.values()):
                continue
            explorer.prepare(state)
            image = explorer.image()
            handle = store_support.Store(store_support.Disk(image))
            store = crash.python_store(image)
            where = f"{rerun(request)} (seed {6000 + seed}, {state.name})"
            assert handle.info()["verdict"].decode() == store.verdict, where
            assert handle.call("transaction") == store.transaction, where
            for identity, _ in store.ids():
                assert handle.read(identity)[0] == store_support.plain(store.read(identity).payload), where
