"""A simulated disk that remembers every write and flush and can fail in every way a real one does.

    disk = SimulatedDisk(sector_count)             what reads see is `view`; `events` lists writes and flushes in order
    disk.device(lua)                               the device table of lua/fs
    disk.fail(call, Fault(...))                    what happens at the n-th call of read, write or flush (from 0)
    disk.fail(call, Fault(...), "write")           the same, counting calls of one operation only
    disk.unreadable.add(lba)                       reads of it answer "unc" until it is written
    disk.survivors(order)                          the medium after a power cut
    disk.survivors_by(rng)                         the same, drawn: reordered, and perhaps torn

`Trace` takes the events of a run apart: every prefix by sectors (with torn variants), every flush window and its
subsets.
Promise: a sector that was flushed is never lost by a cut; anything written since the last flush may or may not have
reached the medium, in any order, sector by sector.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

SECTOR = 512
ZERO = bytes(SECTOR)
UNREADABLE = None


@dataclass(frozen=True, slots=True)
class Write:
    """One write call: `data` is whole sectors from `lba` on."""

    lba: int
    data: bytes

    @property
    def count(self) -> int:
        return len(self.data) // SECTOR

    def sector(self, number: int) -> bytes:
        return self.data[number * SECTOR:(number + 1) * SECTOR]


class Flush(NamedTuple):
    """One flush call."""


class Fault(NamedTuple):
    """What one call does instead of its work.

    kind: "error" (answers `code`), "lose" (a write is acknowledged and forgotten; a flush flushes nothing),
    "misdirect" (a write goes to `lba`), "cut" (power goes: nothing answers any more), "garble" (a read gives other
    bytes), "raise" (the call raises, as when memory runs out in the driver). `sectors`: how many sectors of a write
    still reach the disk before the error or the cut. `forever`: this call and all later ones of the same operation.
    """

    kind: str = "error"
    code: str = "fault"
    sectors: int = 0
    lba: int = 0
    forever: bool = False


class DriverFailed(Exception):
    """What a call raises that is told to."""


class PowerIsOff(Exception):
    """The simulator was used wrongly: a disk without power was asked for its image before `survivors`."""


class SimulatedDisk:
    """See the module. `image` gives the first contents; every call after a cut answers "gone"."""

    def __init__(self, sector_count: int, image: bytes | bytearray | dict[int, bytes] | None = None) -> None:
        self.sector_count = sector_count
        self.view: dict[int, bytes] = dict(_sectors(image))
        self.stable: dict[int, bytes] = dict(self.view)
        self.unreadable: set[int] = set()
        self.events: list[Write | Flush] = []
        self.window: list[Write] = []
        self.faults: dict[int, Fault] = {}
        self.calls: list[str] = []
        self.powered = True
        self._lasting: dict[str, Fault] = {}
        self._armed: list[tuple[str, int, Fault]] = []
        self.fired: list[tuple[str, Fault]] = []

    # -- what tests set up ------------------------------------------------------------------------------------

    def fail(self, call: int, fault: Fault, operation: str | None = None) -> None:
        """Makes the `call`-th call (of `operation`) from now on (0 is the next) do `fault`; `fired` tells."""
        if operation is None:
            self.faults[len(self.calls) + call] = fault
        else:
            self._armed.append((operation, self.calls.count(operation) + call, fault))

    def heal(self) -> None:
        """From now on every call does its work, and the power is on."""
        self.faults, self._lasting, self._armed, self.powered = {}, {}, [], True

    def rot(self, lba: int, bit: int) -> None:
        """Flips one bit of a sector, on the medium and in what is read."""
        for store in (self.view, self.stable):
            data = bytearray(store.get(lba, ZERO))
            data[bit // 8] ^= 1 << bit % 8
            store[lba] = bytes(data)

    def image(self) -> bytearray:
        """The disk as one piece, as reads see it."""
        if not self.powered:
            raise PowerIsOff
        return assemble(self.view, self.sector_count)

    def survivors(self, choose: Callable[[int, int], bool] | None = None) -> SimulatedDisk:
        """The disk after power comes back: what was flushed, and of the writes since those sectors for which
        choose(number of the write, number of the sector in it) says so, in the order written. Default: all."""
        medium = dict(self.stable)
        for number, write in enumerate(self.window):
            for position in range(write.count):
                if choose is None or choose(number, position):
                    medium[write.lba + position] = write.sector(position)
        after = SimulatedDisk(self.sector_count, medium)
        after.unreadable = set(self.unreadable)
        return after

    def survivors_by(self, rng: random.Random) -> SimulatedDisk:
        """The disk after power comes back: of the sectors since the last flush all, none, the first so many, or any of
        them reached the medium; and every other time one of them is torn in one of the ways of `torn`."""
        written = [(number, at) for number, write in enumerate(self.window) for at in range(write.count)]
        share, first = rng.choice((0.0, 0.5, 0.9, 1.0)), rng.randrange(len(written) + 1)
        if rng.random() < 0.5:
            there = set(written[:first])
        else:
            there = {place for place in written if rng.random() < share}
        after = self.survivors(lambda number, at: (number, at) in there)
        if written and rng.random() < 0.5:
            # The one that was being written: the first that is missing from the beginning, or any.
            number, at = written[min(first, len(written) - 1)] if rng.random() < 0.5 else rng.choice(written)
            write = self.window[number]
            for lba, data in torn(write.lba + at, write.sector(at), rng.choice(TORN_KINDS), rng).items():
                if data is None:
                    after.unreadable.add(lba)
                else:
                    after.view[lba] = after.stable[lba] = data
        return after

    def copy(self) -> SimulatedDisk:
        """Another disk with the same contents."""
        after = SimulatedDisk(self.sector_count, self.view)
        after.unreadable = set(self.unreadable)
        return after

    # -- the device -------------------------------------------------------------------------------------------

    def device(self, lua: Any) -> Any:
        """The device table of lua/fs in that Lua state."""
        def answer(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                result = function(*arguments)
                if not isinstance(result, DeviceError):
                    return result
                return None, lua.table_from({
                    b"code": result.code.encode(), b"message": result.message.encode(), b"lba": result.lba})
            return call

        return lua.table_from({
            b"sector_count": self.sector_count, b"description": b"simulated disk",
            b"read": answer(self.read), b"write": answer(self.write), b"flush": answer(self.flush)})

    def read(self, lba: int, count: int) -> Any:
        fault = self._next("read")
        self._check_range(lba, count)
        if isinstance(fault, DeviceError):
            return fault
        bad = next((number for number in range(lba, lba + count) if number in self.unreadable), None)
        if bad is not None:
            return DeviceError("unc", bad)
        data = b"".join(self.view.get(number, ZERO) for number in range(lba, lba + count))
        if fault is not None and fault.kind == "garble":
            return bytes(byte ^ 0x5A for byte in data)
        return data

    def write(self, lba: int, data: bytes) -> Any:
        if len(data) % SECTOR or not data:
            raise ValueError(f"a write of {len(data)} bytes")
        fault = self._next("write")
        self._check_range(lba, len(data) // SECTOR)
        if isinstance(fault, DeviceError):
            return fault
        if fault is None:
            self._store(Write(lba, bytes(data)))
            return True
        if fault.kind == "lose":
            return True
        if fault.kind == "misdirect":
            self._store(Write(fault.lba, bytes(data)))
            return True
        return self._cut_short(Write(lba, bytes(data)), fault)

    def flush(self) -> Any:
        fault = self._next("flush")
        if isinstance(fault, DeviceError):
            return fault
        if fault is not None and fault.kind == "lose":
            return True
        for write in self.window:
            for number in range(write.count):
                self.stable[write.lba + number] = write.sector(number)
        self.window = []
        self.events.append(Flush())
        return True

    def _cut_short(self, write: Write, fault: Fault) -> Any:
        if fault.sectors:
            self._store(Write(write.lba, write.data[:fault.sectors * SECTOR]))
        if fault.kind == "cut":
            self.powered = False
            return DeviceError("gone", write.lba)
        return DeviceError(fault.code, write.lba + fault.sectors)

    def _store(self, write: Write) -> None:
        self.events.append(write)
        self.window.append(write)
        for number in range(write.count):
            self.view[write.lba + number] = write.sector(number)
            self.unreadable.discard(write.lba + number)

    def _next(self, operation: str) -> Any:
        """Counts a call. Returns None, the Fault that it is to do, or the error that it answers at once."""
        fault = self.faults.get(len(self.calls)) or self._lasting.get(operation)
        if self._armed:
            count = self.calls.count(operation)
            fault = next((one for name, call, one in self._armed if name == operation and call == count), fault)
        self.calls.append(operation)
        if not self.powered:
            return DeviceError("gone", 0)
        if fault is None:
            return None
        self.fired.append((operation, fault))
        if fault.kind == "raise":
            raise DriverFailed(operation)
        if fault.forever:
            self._lasting[operation] = fault
        if fault.kind == "cut" and operation != "write":
            self.powered = False
            return DeviceError("gone", 0)
        if fault.kind == "error" and operation != "write":
            return DeviceError(fault.code, 0)
        return fault

    def _check_range(self, lba: int, count: int) -> None:
        if lba < 0 or count < 1 or lba + count > self.sector_count:
            raise ValueError(f"{count} sectors at {lba} of {self.sector_count}")


class DeviceError(NamedTuple):
    """nil, err of a device."""

    code: str
    lba: int

    @property
    def message(self) -> str:
        return f"simulated {self.code} at sector {self.lba}"


def torn(lba: int, new: bytes, kind: str, rng: random.Random) -> dict[int, bytes | None]:
    """What becomes of a sector that was being written: one of TORN_KINDS."""
    if kind == "half":
        cut = rng.randrange(1, SECTOR)
        return {lba: new[:cut] + rng.randbytes(SECTOR - cut)}
    if kind == "garbage":
        return {lba: rng.randbytes(SECTOR)}
    if kind == "unreadable":
        return {lba: UNREADABLE}
    if kind == "neighbour":
        return {near: rng.randbytes(SECTOR) for near in range(lba // 8 * 8, lba // 8 * 8 + 8)}
    return {}


def _sectors(image: bytes | bytearray | dict[int, bytes] | None) -> Iterator[tuple[int, bytes]]:
    if isinstance(image, dict):
        yield from image.items()
    elif image is not None:
        for number in range(len(image) // SECTOR):
            data = bytes(image[number * SECTOR:(number + 1) * SECTOR])
            if data != ZERO:
                yield number, data


def assemble(sectors: dict[int, bytes], sector_count: int) -> bytearray:
    """Sectors as one piece."""
    image = bytearray(sector_count * SECTOR)
    for number, data in sectors.items():
        image[number * SECTOR:(number + 1) * SECTOR] = data
    return image


class State(NamedTuple):
    """One state in which a disk can be found after a power cut.

    It is everything written by `events[:event]`, changed by `sectors` (bytes, or UNREADABLE). `name` reruns it.
    """

    name: str
    event: int
    sectors: dict[int, bytes | None]


TORN_KINDS = ("whole", "half", "garbage", "unreadable", "neighbour")


class Trace:
    """The events of a run, taken apart into the states that a power cut can leave."""

    def __init__(self, events: list[Write | Flush], seed: int = 0) -> None:
        self.events = events
        self.seed = seed

    def prefixes(self, kinds: tuple[str, ...] = TORN_KINDS) -> Iterator[State]:
        """A cut at every sector write, in order: the sectors before it are there, the one being written is
        not ("whole"), half new ("half"), random bytes ("garbage"), unreadable, or took its neighbours with it
        ("neighbour": the read-modify-write of a physical sector of 4 KiB hurts all of it)."""
        for event, write in enumerate(self.events):
            if isinstance(write, Flush):
                continue
            done: dict[int, bytes | None] = {}
            for number in range(write.count):
                for kind in kinds:
                    torn = self._torn(event, write, number, kind)
                    yield State(f"{event}.{number}.{kind}", event, done | torn)
                done[write.lba + number] = write.sector(number)

    def _torn(self, event: int, write: Write, number: int, kind: str) -> dict[int, bytes | None]:
        rng = random.Random(f"{self.seed}.{event}.{number}")
        return torn(write.lba + number, write.sector(number), kind, rng)

    def windows(self) -> Iterator[tuple[int, int]]:
        """Event numbers [first, last) of each run of writes between two flushes."""
        first = 0
        for event, item in enumerate(self.events):
            if isinstance(item, Flush):
                if event > first:
                    yield first, event
                first = event + 1
        if first < len(self.events):
            yield first, len(self.events)

    def reorderings(self, first: int, last: int, all_up_to: int = 12, samples: int = 200) -> Iterator[State]:
        """Subsets of a window's writes that reached the medium (later writes win): all of them up to `all_up_to`
        writes, a sample above; and a sample of subsets of single sectors."""
        writes = [(event, write) for event, write in enumerate(self.events[first:last], first)
                  if isinstance(write, Write)]
        source = random.Random(f"{self.seed}.{first}")
        if len(writes) <= all_up_to:
            subsets: Any = itertools.product((False, True), repeat=len(writes))
        else:
            subsets = ([source.random() < 0.5 for _ in writes] for _ in range(samples))
        for number, subset in enumerate(subsets):
            sectors: dict[int, bytes | None] = {}
            for (_, write), there in zip(writes, subset, strict=True):
                if there:
                    sectors.update((write.lba + at, write.sector(at)) for at in range(write.count))
            yield State(f"{first}-{last}.subset{number}", first, sectors)
        for number in range(min(samples, 8 * sum(write.count for _, write in writes))):
            share = source.random()
            sectors = {write.lba + at: write.sector(at) for _, write in writes for at in range(write.count)
                       if source.random() < share}
            yield State(f"{first}-{last}.sectors{number}", first, sectors)
