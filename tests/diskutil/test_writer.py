"""The writer: a cut at any write leaves a prefix that covers every acknowledged commit; full disks; error stickiness."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, codec, reader
from khoros.diskutil.creation import describe
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.errors import DeviceError, KhorosError, NoSpace, ReadOnly, UsageError
from khoros.diskutil.superblock import encode, slot_lbas
from khoros.diskutil.writer import Item, Writer
from khoros.formats import constants as C
from tests.diskutil import images
from tests.support.store import Disk, Store

SECTORS = C.LOG_LBA + 12 * C.SEGMENT_SECTORS_MIN + C.TAIL_BACK_EVEN


def table(**pairs):
    return codec.encode_table([], list(pairs.items()))


def new_disk(append_sectors: int = 8, sectors: int = SECTORS) -> bytearray:
    data = bytearray(sectors * 512)
    record = describe(len(data), segment_bytes=C.SEGMENT_SECTORS_MIN * 512,
                      append_sectors=append_sectors)
    for lba, parity, _ in slot_lbas(sectors):
        if parity == 1:
            data[lba * 512 : lba * 512 + 512] = encode(record, lba)
    return data


class Recorder(MemoryDevice):
    """Remembers every write and flush, and when commits were acknowledged."""

    def __init__(self, data: bytearray) -> None:
        super().__init__(bytearray(data))
        self.start = bytes(data)
        self.events: list[tuple[str, int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        super().write(offset, data)
        self.events.append(("write", offset, bytes(data)))

    def flush(self) -> None:
        self.events.append(("flush", 0, b""))

    def acknowledge(self, transaction: int) -> None:
        self.events.append(("ack", transaction, b""))


def workload(device: Recorder, rng: random.Random, commits: int = 10, longest: int = 5000,
             ) -> list[dict[int, bytes]]:
    """A session of some commits; the state after each transaction, number 0 being the empty store."""
    writer = Writer(reader.Store(device))
    states: list[dict[int, bytes]] = [{}]
    for number in range(commits):
        state = dict(states[-1])
        items = {}
        for _ in range(rng.choice([1, 2, 30])):
            identity = rng.choice(sorted(state)) if state and (
                rng.random() < 0.4 or len(state) > 30) else writer.allocate()
            items[identity] = table(n=number, r=rng.random(), s="x" * rng.choice([0, 100, longest]))
        if 1 not in state:
            items[1] = table(first=True)
        done = writer.commit([Item(i, C.KIND_TABLE, p) for i, p in items.items()], f"m{number}")
        device.acknowledge(done.transaction)
        state.update(items)
        states.append(state)
        if number == 5:
            writer.checkpoint()
    writer.close()
    return states


def state_of(data: bytes) -> tuple[int, dict[int, bytes]]:
    store = reader.Store(MemoryDevice(data))
    assert store.verdict != "damaged", store.replayed.damage
    report = check.check(store)
    assert [f.text for f in report.findings if f.error] == []
    return store.transaction, {i: store.read(i).payload for i, _ in store.ids()}


@pytest.mark.parametrize(("append_sectors", "commits", "longest"), [
    (1, 10, 5000), (8, 10, 5000), (8, 150, 12_000)], ids=["sectors", "blocks", "segments used again"])
def test_a_cut_at_every_write(rng, append_sectors, commits, longest):
    """Whole and torn: after each prefix of the writes, and with the last one cut at a sector or full of garbage."""
    device = Recorder(new_disk(append_sectors))
    states = workload(device, rng, commits, longest)
    if commits > 10:
        last = reader.Store(MemoryDevice(bytes(device.data)))
        assert last.replayed.position.segment_sequence > last.geometry.segment_count
    disk, acknowledged, tried = bytearray(device.start), 0, 0
    for kind, offset, data in device.events:
        if kind == "ack":
            acknowledged = offset
            continue
        if kind == "flush":
            continue
        sectors = len(data) // 512
        for length in sorted({0, 1, sectors // 2, sectors - 1, sectors}):
            torn = bytearray(disk)
            torn[offset : offset + length * 512] = data[: length * 512]
            if 0 < length < sectors and rng.random() < 0.5:
                torn[offset + length * 512 : offset + length * 512 + 512] = rng.randbytes(512)
            transaction, state = state_of(torn)
            tried += 1
            assert transaction >= acknowledged
            assert state == states[transaction]
        disk[offset : offset + len(data)] = data
    assert tried > 40


def test_a_cut_is_recovered_by_host_and_guest_alike(rng):
    device = Recorder(new_disk())
    states = workload(device, rng)
    writes = [(o, d) for kind, o, d in device.events if kind == "write"]
    for count in rng.sample(range(len(writes)), min(8, len(writes))):
        disk = bytearray(device.start)
        for offset, data in writes[:count]:
            disk[offset : offset + len(data)] = data
        offset, data = writes[count]
        disk[offset : offset + 512] = data[:512]
        transaction, _ = state_of(bytes(disk))
        guest_disk = bytearray(disk)
        guest = Store(Disk(guest_disk), payloads=True)
        guest.commit({guest.allocate(): table(by="guest"), 1: table(by="guest")})
        guest.close()
        host = MemoryDevice(bytearray(disk))
        writer = Writer(reader.Store(host))
        writer.commit([Item(writer.allocate(), 1, table(by="host")), Item(1, 1, table(by="host"))])
        writer.close()
        for image, who in ((guest_disk, "guest"), (host.data, "host")):
            after, state = state_of(bytes(image))
            assert after == transaction + 1
            assert state[1] == table(by=who)
            others = {i: p for i, p in states[transaction].items() if i != 1}
            assert {i: p for i, p in state.items() if i in others} == others


class Failing(MemoryDevice):
    """Fails at the n-th write or flush."""

    def __init__(self, data: bytearray, fail_at: int) -> None:
        super().__init__(data)
        self.left = fail_at

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise DeviceError(file="disk", what="cannot be written (Input/output error)")

    def write(self, offset: int, data: bytes) -> None:
        self.count()
        super().write(offset, data)

    def flush(self) -> None:
        self.count()


@pytest.mark.parametrize("fail_at", range(1, 14))
def test_after_a_device_error_nothing_more_is_written(fail_at):
    device = Failing(new_disk(), fail_at)
    writer = Writer(reader.Store(device))
    failed = False
    for number in range(3):
        try:
            writer.commit([Item(1, C.KIND_TABLE, table(n=number))])
            assert not failed, "a commit succeeded after an error"
        except DeviceError:
            failed = True
            before = bytes(device.data)
        except ReadOnly:
            assert failed
    if failed:
        writer.close()
        assert bytes(device.data) == before
    state_of(bytes(device.data))


def test_a_full_disk_refuses_before_it_changes_anything_and_can_still_delete():
    device = MemoryDevice(new_disk())
    writer = Writer(reader.Store(device))
    ids = []
    writer.commit([Item(1, C.KIND_TABLE, table())])
    while True:
        before = bytes(device.data)
        identity = writer.next_id
        try:
            writer.commit([Item(writer.allocate(), C.KIND_TABLE, table(s="x" * 20_000))])
            ids.append(identity)
        except NoSpace as error:
            assert "nothing was changed" in str(error)
            assert bytes(device.data) == before
            break
    assert len(ids) > 5
    writer.commit([Item(ids[0], C.KIND_DELETE, b"")], "still possible")
    writer.close()
    _, state = state_of(bytes(device.data))
    assert set(state) == {1, *ids[1:]}


@pytest.mark.parametrize("append_sectors", [1, 8])
def test_history_goes_before_the_disk_is_full(append_sectors):
    """The same objects written anew for ever: what the oldest transactions held is used again."""
    device = MemoryDevice(new_disk(append_sectors))
    writer = Writer(reader.Store(device))
    first = writer.allocate(4)
    for number in range(400):
        if number % 37 == 0:
            writer.close()
            writer = Writer(reader.Store(device))
            writer.next_id = max(writer.next_id, first + 4)
        items = [Item(first + n, C.KIND_TABLE, table(n=number, s="x" * 3000)) for n in range(4)]
        writer.commit([Item(1, C.KIND_TABLE, table(n=number)), *items], f"m{number}")
        if number % 40 == 39:
            transaction, state = state_of(bytes(device.data))
            assert transaction == number + 1
            assert state[1] == table(n=number)
            store = reader.Store(MemoryDevice(bytearray(device.data)))
            history = [t.record.transaction for t in store.history()]
            assert history == list(range(history[0], number + 2))
            guest = Store(Disk(bytearray(device.data)), read_only=True)
            assert guest.read(1) == [table(n=number)]
            assert [row["transaction"] for row in guest.log()] == history
    writer.close()


def test_the_log_is_kept_short_by_checkpoints():
    device = MemoryDevice(new_disk(sectors=C.LOG_LBA + 60 * 256 + 24))
    writer = Writer(reader.Store(device))
    for number in range(40):
        writer.commit([Item(1, C.KIND_TABLE, table(**{"n": number, "x" * 100_000: "a key stands in full"}))])
    store = reader.Store(MemoryDevice(bytearray(device.data)))
    assert len(store.replayed.opened) <= C.REPLAY_SEGMENTS_MAX
    assert store.checkpoint is not None


def test_wrong_use():
    writer = Writer(reader.Store(MemoryDevice(new_disk())))
    with pytest.raises(UsageError):
        writer.commit([])
    with pytest.raises(UsageError):
        writer.commit([Item(1, C.KIND_TABLE, table())], "x" * 5000)
    with pytest.raises(KhorosError, match="larger than a segment"):
        writer.commit([Item(1, C.KIND_TABLE, table(**{"x" * 140_000: "a key stands in full"}))])


def test_images_are_reproducible(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = []
    for name in ("a.img", "b.img"):
        path = images.ship(tmp_path / name, uuid=images.UUID)
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_objects_are_written_depth_first(tmp_path: Path):
    path = images.empty(tmp_path / "a.img")
    with khoros.open(path, "r+") as image:
        image["a"] = {"b": {"c": {}}, "d": {}}
        image.commit()
        first = image["a"].id
        assert first is not None
        assert [image["a"]["b"].id, image["a"]["b"]["c"].id, image["a"]["d"].id] == [
            first + 1, first + 2, first + 3]
