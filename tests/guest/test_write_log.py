"""The booted system on QEMU's blklogwrites: what the kernel and the driver really sent, cut at every flush and between them.

The guest commits numbers, one after the other, and says each on COM1 when `commit` has returned. The log has every write and flush
that reached QEMU. Replayed up to a flush it must show the commits that were acknowledged by then; between two flushes, whatever part
of the writes had arrived, the commit before or the one under way, whole. The host's reader looks; nothing of the guest's takes part.

A cut is no SIGKILL: that keeps what was written and not flushed, so only this test and the simulator's see a flush that is missing.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from khoros.diskutil import check, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.image import Image
from khoros.diskutil.torture.disk import Flush, Trace, Write
from khoros.diskutil.writer import mkfs
from tests.support import write_log

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

SIZE, COMMITS, STATES = 4 << 20, 16, 150
# Boots of a full run; KHOROS_BOOTS says another number.
BOOTS = 20
LOOP = """
for number = 1, %d do
  root.last = number
  root[number %% 7 + 1] = {number = number, text = ("x"):rep(number * %d %% 9000)}
  if number %% 5 == 0 then root[number %% 3 + 1] = nil end
  commit("number " .. number)
  print(number)
end
computer.off()
"""


def logged(image: Path, log: Path) -> list[str]:
    """What gives the guest its first disk with a log of the writes."""
    log.touch()
    node = (f"driver=blklogwrites,node-name=logged,log-super-update-interval=1,"
            f"file.driver=raw,file.file.driver=file,file.file.filename={image},log.driver=file,log.filename={log}")
    return ["-blockdev", node, "-device", "ide-hd,drive=logged,bus=ide.0,unit=0"]


def text_of(number: int, factor: int) -> str:
    return "x" * (number * factor % 9000)


def model(last: int, factor: int) -> dict[Any, Any]:
    """What the root holds after commit `last`."""
    root: dict[Any, Any] = {}
    for number in range(1, last + 1):
        root["last"] = number
        root[number % 7 + 1] = {"number": number, "text": text_of(number, factor)}
        if number % 5 == 0:
            root.pop(number % 3 + 1, None)
    return root


def shown(sectors: dict[int, bytes], factor: int, thorough: bool) -> int:
    """The commit that a disk with these sectors shows; all of it is compared. `thorough`: `check` has to find no error."""
    disk = bytearray(SIZE)
    for lba, data in sectors.items():
        disk[lba * 512:lba * 512 + 512] = data
    store = reader.Store(MemoryDevice(disk))
    assert store.verdict in ("clean", "torn")
    with Image(store, "r") as image:
        root = {key: dict(value.items()) if hasattr(value, "items") else value for key, value in image.root.items()}
    last = root.get("last", 0)
    assert root == model(last, factor)
    if thorough:
        found = check.check(reader.Store(MemoryDevice(disk))).findings
        assert [finding for finding in found if finding.error] == []
    return last


def replay(events: list[Write | Flush], base: dict[int, bytes], factor: int, share: float, source: random.Random) -> tuple[int, int]:
    """Looks at the disk after every flush, and at a share of the states between. Returns (states, the last commit)."""
    trace, states, durable = Trace(events, source.randrange(1 << 30)), 0, 0
    sectors = dict(base)
    for first, last in trace.windows():
        before = shown(sectors, factor, states % 10 == 0)
        assert before >= durable
        after = dict(sectors)
        for event in events[first:last]:
            if isinstance(event, Write):
                after.update((event.lba + at, event.sector(at)) for at in range(event.count))
        durable = shown(after, factor, False)
        # A commit is acknowledged after its own flush, and the next one's writes come after that: one at a time.
        assert before <= durable <= before + 1, f"commits {before + 1} to {durable} share a flush"
        states += 2
        for state in trace.reorderings(first, last):
            if source.random() < share:
                changed = {lba: data for lba, data in state.sectors.items() if data is not None}
                assert before <= shown(sectors | changed, factor, False) <= durable, state.name
                states += 1
        sectors = after
    return states, shown(sectors, factor, True)


def without(events: list[Write | Flush], lost: int) -> list[Write | Flush]:
    """The events without flush number `lost`."""
    numbers = iter(range(len(events)))
    return [event for event in events if not isinstance(event, Flush) or next(numbers) != lost]


def test_every_acknowledged_commit_is_there_wherever_the_log_is_cut(boot, tmp_path, rng, request):
    boots = int(os.environ.get("KHOROS_BOOTS", BOOTS)) if request.config.getoption("--full") else 1
    for number in range(boots):
        image, log, factor = tmp_path / f"{number}.img", tmp_path / f"{number}.log", rng.randrange(100, 4000)
        mkfs(image, SIZE)
        data = image.read_bytes()
        base = {at // 512: data[at:at + 512] for at in range(0, SIZE, 512) if any(data[at:at + 512])}
        machine = boot(extra=logged(image, log), strings={"run": LOOP % (COMMITS, factor), "name": "=loop"})
        said = [int(machine.expect(rb"(\d+)\n")[1]) for _ in range(COMMITS)]
        machine.wait_for_power_off()
        machine.close()
        assert said == list(range(1, COMMITS + 1))
        events = write_log.read(log)
        flushes = sum(isinstance(event, Flush) for event in events)
        assert flushes >= COMMITS
        share = min(1.0, STATES * boots / 3000)
        states, last = replay(events, base, factor, share, rng)
        print(f"boot {number}: {len(events)} events, {flushes} flushes, {states} states")
        assert last == COMMITS and states > 2 * COMMITS
        # The same log would not pass without the flush of a commit: between the last two, all of which are commits.
        with pytest.raises(AssertionError, match="share a flush"):
            replay(without(events, flushes - COMMITS // 2), base, factor, 0, rng)
        image.unlink()
        log.unlink()


# --- The reader of the log --------------------------------------------------------------------------------------------


def entry(lba: int, count: int, flags: int, data: bytes = b"") -> bytes:
    return write_log.ENTRY.pack(lba, count, flags, 0).ljust(512, b"\0") + data


def header(entries: int, magic: int = write_log.MAGIC) -> bytes:
    return write_log.SUPERBLOCK.pack(magic, 1, entries, 512).ljust(512, b"\0")


def test_writes_and_flushes_in_their_order(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(header(3) + entry(7, 2, 0, b"a" * 1024) + entry(0, 0, write_log.FLUSH) + entry(9, 1, 0, b"b" * 512))
    assert write_log.read(path) == [Write(7, b"a" * 1024), Flush(), Write(9, b"b" * 512)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (header(1, magic=1), "magic"),
        (header(1), "behind the end"),
        (header(1) + entry(0, 4, 0), "ends before"),
        (header(1) + entry(0, 1, write_log.DISCARD, bytes(512)), "flags 0x4"),
    ],
)
def test_what_is_no_log(tmp_path, data: bytes, why: str):
    path = tmp_path / "log"
    path.write_bytes(data)
    with pytest.raises(write_log.BadLog, match=why):
        write_log.read(path)
