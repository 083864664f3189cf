"""Each kind of fault of the simulated disk finds the bug that it is there for, and a toy without the bug passes it.

The toy keeps one value: in a home sector, and before that in a log sector from which recovery takes it. A bug is one thing left out
of it. For each kind of fault one bug is planted that this kind finds; with the kind left out, or the bug, all is well.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.disk import SECTOR, Fault, SimulatedDisk, Trace

LOG, HOME, SPARE = 8, 16, 24
VALUE_AT = SECTOR - 8


class Bugs(NamedTuple):
    """What is left out."""

    no_log: bool = False           # the value is written home at once
    no_crc: bool = False           # whatever has the magic is believed
    no_address: bool = False       # a record is believed wherever it stands
    beside: int = LOG              # where the log lies: beside home it shares a physical sector with it
    unreadable_is_fatal: bool = False
    errors_ignored: bool = False   # of writes and flushes
    no_read_back: bool = False     # after a flush, to see whether the drive did what it said


def record(value: int, lba: int) -> bytes:
    # The value stands at the end, where a sector that was half written has other bytes.
    body = (b"TOY!" + bytes([lba])).ljust(VALUE_AT, b"\0") + value.to_bytes(4, "little")
    return body + zlib.crc32(body).to_bytes(4, "little")


def value_of(data: Any, lba: int, bugs: Bugs) -> int | None:
    """None for what is no record. IOError if that cannot be told."""
    if not isinstance(data, bytes):
        if bugs.unreadable_is_fatal:
            raise OSError("unreadable")
        return None
    right = bugs.no_crc or zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    if data[:4] != b"TOY!" or not right or (not bugs.no_address and data[4] != lba):
        return None
    return int.from_bytes(data[VALUE_AT:VALUE_AT + 4], "little")


class Toy:
    """set(n) → whether n is acknowledged; values only grow."""

    def __init__(self, disk: SimulatedDisk, bugs: Bugs) -> None:
        self.disk, self.bugs, self.log = disk, bugs, bugs.beside

    def _put(self, lba: int, value: int) -> bool:
        done = self.disk.write(lba, record(value, lba)) is True
        flushed = self.disk.flush() is True
        if self.bugs.errors_ignored:
            return True
        if not done or not flushed:
            return False
        return self.bugs.no_read_back or value_of(self.disk.read(lba, 1), lba, self.bugs) == value

    def set(self, value: int) -> bool:
        return (self.bugs.no_log or self._put(self.log, value)) and self._put(HOME, value)

    def get(self) -> int | None:
        """The largest value that stands anywhere."""
        found = [value_of(self.disk.read(lba, 1), lba, self.bugs) for lba in (HOME, self.log)]
        return max((value for value in found if value is not None), default=None)


def holds(disk: SimulatedDisk, bugs: Bugs, least: int, most: int) -> bool:
    try:
        found = Toy(disk, bugs).get()
    except OSError:
        return False
    return found is not None and least <= found <= most


# --- Each kind: does the toy with these bugs pass it? -----------------------------------------------------------------


def prepared(bugs: Bugs) -> tuple[SimulatedDisk, Toy]:
    """A disk on which 1 is acknowledged."""
    disk = SimulatedDisk(32)
    toy = Toy(disk, bugs)
    assert toy.set(1)
    return disk, toy


def states(bugs: Bugs) -> Iterator[tuple[Any, dict[int, bytes]]]:
    """Each state of setting 2, and what stands below it. Any order of writes: test_simulated_disk.py, whose toy has two homes."""
    disk, toy = prepared(bugs)
    before, first = dict(disk.view), len(disk.events)
    toy.set(2)
    for state in Trace(disk.events[first:], 5).prefixes():
        base = dict(before)
        for event in disk.events[first:first + state.event]:
            if hasattr(event, "lba"):
                base[event.lba] = event.data
        yield state, base


def passes_states(kind: str) -> Callable[[Bugs], bool]:
    def passes(bugs: Bugs) -> bool:
        for state, base in states(bugs):
            if not state.name.endswith(f".{kind}"):
                continue
            disk = SimulatedDisk(32, base | {lba: data for lba, data in state.sectors.items() if data is not None})
            disk.unreadable = {lba for lba, data in state.sectors.items() if data is None}
            if not holds(disk, bugs, 1, 2):
                return False
        return True

    return passes


def passes_call(fault: Fault, call: int) -> Callable[[Bugs], bool]:
    """What is acknowledged in spite of the fault is there after a cut, and nothing that never was."""
    def passes(bugs: Bugs) -> bool:
        disk, toy = prepared(bugs)
        disk.fail(call, fault)
        acknowledged = toy.set(2)
        return holds(disk.survivors(lambda write, at: False), bugs, 2 if acknowledged else 1, 2)

    return passes


def passes_rot(bugs: Bugs) -> bool:
    disk, _ = prepared(bugs)
    for lba in (HOME, bugs.beside):
        for bit in range(8 * VALUE_AT, 8 * VALUE_AT + 32):
            disk.rot(lba, bit)
            right = holds(disk, bugs, 1, 1)
            disk.rot(lba, bit)
            if not right:
                return False
    return True


def passes_stray_record(bugs: Bugs) -> bool:
    """A write of 7, meant for another place, goes to the log's: it is no value of ours."""
    disk, toy = prepared(bugs)
    disk.fail(0, Fault("misdirect", lba=toy.log))
    disk.write(SPARE, record(7, SPARE))
    disk.flush()
    return holds(disk, bugs, 1, 1)


def passes_garbled_read(bugs: Bugs) -> bool:
    """A read that gives other bytes once: there is a second place."""
    disk, _ = prepared(bugs)
    disk.fail(0, Fault("garble"))
    return holds(disk, bugs, 1, 1)


# kind of fault → does the toy pass, the bug that it finds
KINDS: dict[str, tuple[Callable[[Bugs], bool], Bugs]] = {
    "half a sector": (passes_states("half"), Bugs(no_crc=True)),
    "garbage": (passes_states("garbage"), Bugs(no_log=True)),
    "unreadable": (passes_states("unreadable"), Bugs(unreadable_is_fatal=True)),
    "neighbours": (passes_states("neighbour"), Bugs(beside=HOME + 1)),
    "write error": (passes_call(Fault("error"), 0), Bugs(errors_ignored=True, no_log=True)),
    "flush error": (passes_call(Fault("error"), 1), Bugs(errors_ignored=True, no_log=True)),
    "cut": (passes_call(Fault("cut"), 0), Bugs(errors_ignored=True, no_log=True)),
    "lost write": (passes_call(Fault("lose"), 0), Bugs(no_read_back=True, no_log=True)),
    "misdirected write": (passes_call(Fault("misdirect", lba=SPARE), 0), Bugs(no_read_back=True, no_log=True)),
    "another's record": (passes_stray_record, Bugs(no_address=True)),
    "rot": (passes_rot, Bugs(no_crc=True)),
    "garbled read": (passes_garbled_read, Bugs(no_log=True)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bug_is_found_and_nothing_else(kind: str):
    passes, bugs = KINDS[kind]
    assert passes(Bugs()), "the toy without a bug does not pass"
    assert not passes(bugs), "the planted bug is not found"
