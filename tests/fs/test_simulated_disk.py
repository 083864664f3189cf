"""The simulated disk and the oracle are themselves tested: each kind of fault is seen, and planted bugs are caught.

A test that cannot fail proves nothing. So a toy log with one planted bug at a time runs on the disk first, then the real
store with one line of it broken: every bug must be found.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import crash
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.disk import SECTOR, Fault, SimulatedDisk, Trace


def sector(letter: str) -> bytes:
    return letter.encode() * SECTOR


def read(disk: SimulatedDisk, lba: int) -> Any:
    return disk.read(lba, 1)


# --- each fault ------------------------------------------------------------------------------------------------------


def test_it_remembers_what_was_written():
    disk = SimulatedDisk(16)
    assert disk.write(3, sector("a") + sector("b")) is True
    assert disk.flush() is True
    assert disk.read(2, 4) == bytes(SECTOR) + sector("a") + sector("b") + bytes(SECTOR)
    assert [type(event).__name__ for event in disk.events] == ["Write", "Flush"]


def test_a_cut_keeps_what_was_flushed_and_any_part_of_the_rest():
    disk = SimulatedDisk(16)
    disk.write(1, sector("a"))
    disk.flush()
    disk.write(1, sector("b"))
    disk.write(2, sector("c") + sector("d"))
    assert read(disk.survivors(lambda write, at: False), 1) == sector("a")
    some = disk.survivors(lambda write, at: (write, at) == (1, 1))
    assert some.read(1, 3) == sector("a") + bytes(SECTOR) + sector("d")
    assert disk.survivors().read(1, 3) == sector("b") + sector("c") + sector("d")


def test_power_goes_in_the_middle_of_a_write():
    disk = SimulatedDisk(16)
    disk.fail(0, Fault("cut", sectors=1))
    assert disk.write(1, sector("a") + sector("b")).code == "gone"
    assert read(disk, 1).code == "gone"
    assert disk.survivors().read(1, 2) == sector("a") + bytes(SECTOR)


@pytest.mark.parametrize("operation", ["read", "write", "flush"])
def test_an_error_at_one_call_and_for_ever(operation: str):
    disk = SimulatedDisk(16)
    call = {"read": lambda: read(disk, 1), "write": lambda: disk.write(1, sector("a")), "flush": disk.flush}[operation]
    disk.fail(1, Fault("error", code="fault"))
    assert [hasattr(result, "code") for result in (call(), call(), call())] == [False, True, False]
    disk.fail(1, Fault("error", code="fault", forever=True))
    assert [hasattr(result, "code") for result in (call(), call(), call())] == [False, True, True]


def test_a_lost_write_a_misdirected_write_and_a_lost_flush():
    disk = SimulatedDisk(16)
    disk.fail(0, Fault("lose"))
    disk.fail(1, Fault("misdirect", lba=9))
    assert disk.write(1, sector("a")) is True
    assert disk.write(2, sector("b")) is True
    assert disk.read(1, 2) == bytes(2 * SECTOR)
    assert read(disk, 9) == sector("b")
    disk.fail(0, Fault("lose"))
    assert disk.flush() is True
    assert read(disk.survivors(lambda write, at: False), 9) == bytes(SECTOR)


def test_rot_and_an_unreadable_sector_that_a_write_heals():
    disk = SimulatedDisk(16, {4: sector("a")})
    disk.rot(4, 8)
    assert read(disk, 4) == b"a" + bytes([ord("a") ^ 1]) + b"a" * (SECTOR - 2)
    disk.unreadable.add(4)
    assert disk.read(3, 3).code == "unc"
    disk.write(4, sector("c"))
    assert read(disk, 4) == sector("c")


def test_garbled_reads():
    disk = SimulatedDisk(16, {4: sector("a")})
    disk.fail(0, Fault("garble"))
    assert read(disk, 4) != sector("a")
    assert read(disk, 4) == sector("a")


# --- a toy with planted bugs -----------------------------------------------------------------------------------------

# Two values that must change together: written to a log sector, flushed, then to their places, flushed, log cleared.
HOME, LOG = (1, 2), 8


def toy_update(disk: SimulatedDisk, value: str, flush_log: bool = True, flush_home: bool = True) -> None:
    disk.write(LOG, sector(value))
    if flush_log:
        disk.flush()
    for lba in HOME:
        disk.write(lba, sector(value))
    if flush_home:
        disk.flush()
    disk.write(LOG, bytes(SECTOR))
    disk.flush()


def toy_holds(sectors: dict[int, bytes | None], before: dict[int, bytes]) -> bool:
    """Whether recovery gives two equal values."""
    view = {**before, **sectors}
    log = view.get(LOG, bytes(SECTOR))
    if log is not None and any(log) and log == log[:1] * SECTOR:
        return True  # redo from the log
    return view.get(1, bytes(SECTOR)) == view.get(2, bytes(SECTOR))


def toy_is_safe(**bug: bool) -> bool:
    disk = SimulatedDisk(16)
    toy_update(disk, "a", **bug)
    toy_update(disk, "b", **bug)
    trace = Trace(disk.events)
    for first, last in trace.windows():
        before: dict[int, bytes] = {}
        for event in disk.events[:first]:
            if hasattr(event, "lba"):
                before.update((event.lba + at, event.sector(at)) for at in range(event.count))
        if not all(toy_holds(state.sectors, before) for state in trace.reorderings(first, last)):
            return False
    return True


def test_the_toy_is_safe_and_each_missing_flush_is_found():
    assert toy_is_safe()
    assert not toy_is_safe(flush_log=False)
    assert not toy_is_safe(flush_home=False)


# --- the real store with one line broken -----------------------------------------------------------------------------

# Each is a bug that a power cut must uncover: file, the line as it is, the line broken.
PLANTED = {
    "acknowledged before the flush": (
        "fs/log.lua", "local done <const>, problem = self.log:flush()", "local done <const>, problem = true, nil"),
    "a frame's payload is not verified": (
        "fs/frame.lua", 'then return nil, "payload_crc" end', 'then local _ = "payload_crc" end'),
    "no flush before the superblock": (
        "fs/superblock.lua", "local done, err = flush(device, head)\n  if done then done, err = write_pair",
        "local done, err = true, nil\n  if done then done, err = write_pair"),
    "the tail copy is written over the generation before": (
        "fs/geometry.lua", "if generation % 2 == 0 then return layout.HEAD_LBA_EVEN, last - layout.TAIL_BACK_EVEN end",
        "if true then return layout.HEAD_LBA_EVEN, last - layout.TAIL_BACK_EVEN end"),
    "the log goes on behind the torn tail": (
        "fs/volume.lua", "  if clean then\n    self.log:done()", "  if true then\n    self.log:done()"),
    "segments are freed that hold live objects": (
        "fs/retention.lua", "== FULL and now.live[segment] == 0 and now.pages[segment] == 0", "== FULL and now.pages[segment] == 0"),
    "a checkpoint loses what was committed before it": (
        "fs/index.lua", "  self.root, self.levels = next_root.root, next_root.levels\n", "  self.levels = next_root.levels\n"),
}


def broken_run(bug: str, seed: int, count: int, largest: int) -> tuple[crash.Run, list[Any]]:
    file, good, bad = PLANTED[bug]
    run = crash.Run(store_support.format_disk(), seed, edits={file: (good, bad)})
    for operation in crash.seeded_operations(seed, count, largest):
        operation(run)
    trace = run.trace()
    states = list(trace.prefixes())
    for first, last in trace.windows():
        states += trace.reorderings(first, last, all_up_to=6, samples=20)
    return run, sorted(states, key=lambda state: state.event)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str):
    assert (lua_support.LUA / PLANTED[bug][0]).read_text(encoding="utf-8").count(PLANTED[bug][1]) == 1
    caught = None
    long = "segments" in bug
    for seed in range(6):
        try:
            run, states = broken_run(bug, seed, 200 if long else 14, 3000)
            run.explore(states[::40] if long else states, "")
        except (crash.Broken, store_support.StoreError, KeyError, lua_support.LuaError) as error:
            caught = error
            break
    assert caught is not None
