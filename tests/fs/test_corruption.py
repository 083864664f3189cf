"""Wrong bytes: a typed error or unaffected data, never a wrong value.

The image has everything in it: superblocks of four generations, a checkpoint with pages of all three indexes, commits
before and after it, a deletion. Every byte that is in use is changed, every sector zeroed, made stale (an earlier content
of the same place) or replaced by another one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from khoros.diskutil import check, device, reader
from khoros.formats import constants
from tests.support import crash
from tests.support import store as store_support
from tests.support.crash import Operation
from tests.support.disk import SECTOR, Write


@pytest.fixture(scope="module")
def run() -> crash.Run:
    run = crash.Run(store_support.format_disk())
    first = run.store.allocate(40)
    source = random.Random(7)

    def put(*numbers: int) -> None:
        run.step(Operation("commit", tuple((number, source.randbytes(20 + number)) for number in numbers), "m"))

    put(1, *range(first, first + 20))
    run.step(Operation("checkpoint"))
    put(1, first)
    run.step(Operation("remount"))
    put(*range(first + 20, first + 30))
    run.step(Operation("commit", ((first + 3, None), (first + 4, b"changed")), "m"))
    put(1, first + 5)
    put(first + 6)
    return run


@pytest.fixture(scope="module")
def inspector(run: crash.Run) -> crash.Inspector:
    inspector = crash.Inspector(run)
    inspector.finish()
    return inspector


def used_sectors(run: crash.Run) -> dict[int, bytes]:
    """Sectors that hold anything, at the end of the run."""
    image = run.image_at()
    return {lba: bytes(image[lba * SECTOR:(lba + 1) * SECTOR]) for lba in range(len(image) // SECTOR)
            if any(image[lba * SECTOR:(lba + 1) * SECTOR])}


def judge(inspector: crash.Inspector, name: str, sectors: dict[int, bytes | None], seen: Counter[str],
          oldest: int | None = None) -> None:
    verdict, wrong = inspector.inspect(sectors, oldest)
    assert wrong is None, f"{name}: {wrong}"
    seen[verdict if verdict.startswith("error") else verdict.split()[0]] += 1


def test_the_image_without_damage(inspector: crash.Inspector):
    assert inspector.inspect({}, inspector.newest) == (f"recovered {inspector.newest} 0", None)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(2))
def test_every_byte(part: int, run: crash.Run, inspector: crash.Inspector, request: pytest.FixtureRequest):
    """Every byte of every sector in use takes another value; with --full every single bit is flipped as well."""
    source, seen, count = random.Random(part), Counter[str](), 0
    full = request.config.getoption("--full")
    for lba, data in list(used_sectors(run).items())[part::2]:
        for at in range(SECTOR):
            for flip in [1 << bit for bit in range(8)] if full else [source.randrange(1, 256)]:
                bad = data[:at] + bytes([data[at] ^ flip]) + data[at + 1:]
                judge(inspector, f"byte {at} of sector {lba} ^ {flip:#x}", {lba: bad}, seen)
                count += 1
    print(f"{count} changes: {dict(seen)}")
    assert seen["read_only"] and seen["recovered"]


def earlier_contents(run: crash.Run) -> Iterator[tuple[int, bytes]]:
    """(sector, what stood there before something else was written over it)."""
    now: dict[int, bytes] = {}
    for event in run.events():
        if isinstance(event, Write):
            for at in range(event.count):
                yield event.lba + at, now.get(event.lba + at, bytes(SECTOR))
                now[event.lba + at] = event.sector(at)


def test_every_sector_zeroed_unreadable_stale_or_another(run: crash.Run, inspector: crash.Inspector):
    source, seen, used = random.Random(3), Counter[str](), used_sectors(run)
    numbers = sorted(used)
    for lba in numbers:
        judge(inspector, f"sector {lba} zeroed", {lba: bytes(SECTOR)}, seen)
        judge(inspector, f"sector {lba} unreadable", {lba: None}, seen)
        for _ in range(6):
            other = source.choice(numbers)
            judge(inspector, f"sector {lba} holds {other}", {lba: used[other]}, seen)
            # The last two commits at once: what proves that the last but one was flushed is gone, too.
            judge(inspector, f"sectors {lba} and {other} swapped", {lba: used[other], other: used[lba]}, seen,
                  inspector.newest - 2)
    for lba, data in earlier_contents(run):
        judge(inspector, f"sector {lba} stale", {lba: data}, seen)
    print(dict(seen))


def test_every_write_that_never_happened(run: crash.Run, inspector: crash.Inspector):
    """A drive that acknowledges and forgets one whole write: noticed, unless it was that of the very last commit."""
    image = bytearray(run.image)
    events = [event for event in run.events() if isinstance(event, Write)]
    seen = Counter[str]()
    for number, lost in enumerate(events):
        old = bytes(image[lost.lba * SECTOR:(lost.lba + lost.count) * SECTOR])
        image[lost.lba * SECTOR:(lost.lba + lost.count) * SECTOR] = lost.data
        later = {event.lba + at for event in events[number + 1:] for at in range(event.count)}
        sectors: dict[int, bytes | None] = {
            lost.lba + at: old[at * SECTOR:(at + 1) * SECTOR] for at in range(lost.count) if lost.lba + at not in later}
        oldest = inspector.newest - 1 if number == len(events) - 1 else inspector.newest
        judge(inspector, f"write {number} lost", sectors, seen, oldest)
    print(dict(seen))


def test_one_bad_object_does_not_hurt_the_others(run: crash.Run, inspector: crash.Inspector):
    """An object that the checkpoint covers rots: reading it names it and the LBA, all others read as ever."""
    image = run.image_at()
    for identity, payload in list(run.model.now.items())[:20]:
        at = image.find(payload)
        if len(payload) < 20 or at < 0:
            continue
        bad = bytearray(image)
        bad[at] ^= 0xFF
        store = store_support.Store(store_support.Disk(bad))
        if store.status() == "read_only" or store.call("transaction") < inspector.newest:
            continue  # it lies in the log after the checkpoint: damage, or the very last commit
        with pytest.raises(store_support.StoreError, match="corrupt") as caught:
            store.read(identity)
        assert caught.value.facts["id"] == identity
        assert caught.value.facts["lba"] == (at - 16) // SECTOR
        for other, expected in run.model.now.items():
            if other != identity:
                assert store.read(other) == [expected]


def test_a_bad_page_of_the_index_is_not_called_an_object():
    store = store_support.Store(store_support.Disk(store_support.format_disk()))
    number = store.allocate()
    store.commit({number: b"\x90\x80"})
    store.close()
    image = store.disk.image
    tag = (constants.KIND_OBJECT_PAGE << constants.ID_BITS).to_bytes(8, "little")
    image[image.rfind(tag) + 16] ^= 0xFF
    with pytest.raises(store_support.StoreError, match=r"page of the object index 0 at LBA \d+: crc"):
        store_support.Store(store_support.Disk(image)).read(number)


def test_a_frame_that_fills_its_segment_is_missed_when_its_payload_is_bad():
    """Only its own header says where the log goes on: what was acknowledged after it proves that it was there."""
    image = store_support.format_disk(64 + 16 * 256 + 24)
    store = store_support.Store(store_support.Disk(image))
    first = store.allocate(20)
    store.commit({first + number: b"%02d" % number * 14_000 for number in range(20)})
    store.commit({first: b"after it"})
    for segment in range(4):
        broken = bytearray(image)
        broken[(64 + segment * 256 + 100) * 512] ^= 1
        mounted = store_support.Store(store_support.Disk(bytearray(broken)))
        assert mounted.status() == "read_only", segment
        findings = check.check(reader.Store(device.MemoryDevice(broken))).findings
        assert any(finding.error for finding in findings), segment
