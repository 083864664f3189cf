"""The state after any transaction that is kept: rebuilt from the log, whatever happened since; or a plain refusal."""

from __future__ import annotations

import random
from typing import Any

import pytest

import khoros
from khoros.diskutil import history, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.errors import (
    DamagedLog,
    NoLongerKept,
    NoSuchTransaction,
    ReadOnly,
    UsageError,
)
from khoros.diskutil.writer import Item, Writer
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.test_writer import Recorder, new_disk, table, workload
from tests.support.store import Disk, Store

States = list[dict[int, bytes]]


def objects_of(store: reader.Store) -> dict[int, bytes]:
    return {identity: store.read(identity).payload for identity, _ in store.ids()}


def assert_past(data: bytes | bytearray, states: States, oldest: int | None = None) -> int:
    """Every kept transaction gives its state, every other is refused; how many are kept."""
    store = reader.Store(MemoryDevice(bytearray(data)))
    if oldest is not None:
        assert store.oldest_transaction == oldest
    kept = 0
    for number, state in enumerate(states[: store.transaction + 1]):
        covered = store.checkpoint.transaction if store.checkpoint else 0
        if store.oldest_transaction <= number or number >= covered or (
                number == 0 and store.oldest_transaction == 1):
            past = history.at(store, number)
            assert objects_of(past) == state, f"t{number}"
            assert past.object_count() == len(state)
            assert past.transaction == number
            kept += 1
        else:
            with pytest.raises(NoLongerKept):
                history.at(store, number)
    with pytest.raises(NoSuchTransaction):
        history.at(store, store.transaction + 1)
    return kept


@pytest.mark.parametrize("append_sectors", [1, 8])
def test_every_transaction_of_a_session(rng, append_sectors):
    device = Recorder(new_disk(append_sectors))
    states = workload(device, rng, 12)
    assert assert_past(device.data, states, 1) == 13


def test_every_transaction_before_it_is_unmounted(rng):
    """As while a guest is writing: the newest are only in the log."""
    device = Recorder(new_disk())
    states = workload(device, rng, 12)
    disk = bytearray(device.start)
    for kind, offset, data in device.events:
        if kind == "write":
            disk[offset : offset + len(data)] = data
        elif kind == "ack":
            assert assert_past(disk, states, 1) == offset + 1


def one_commit(writer: Writer, states: States, rng: random.Random, longest: int = 3000) -> None:
    """Some objects changed, made, deleted."""
    state = dict(states[-1])
    items = [Item(1, C.KIND_TABLE, table(n=len(states)))]
    for identity in rng.sample(sorted(set(state) - {1}), min(len(state) // 4, 3)):
        items.append(Item(identity, C.KIND_DELETE, b"") if rng.random() < 0.4 else
                     Item(identity, C.KIND_TABLE, table(s="y" * rng.randrange(longest))))
    for _ in range(rng.randrange(4)):
        items.append(Item(max(writer.allocate(), 2), C.KIND_TABLE, table(r=rng.random())))
    writer.commit(items, f"m{len(states)}")
    for item in items:
        if item.kind == C.KIND_DELETE:
            state.pop(item.id)
        else:
            state[item.id] = item.payload
    states.append(state)


def test_across_mounts_checkpoints_cuts_and_recoveries(rng):
    """Sessions that end cleanly, or are cut in the middle of a write, one after the other on one disk."""
    disk, states = new_disk(sectors=C.LOG_LBA + 40 * C.SEGMENT_SECTORS_MIN + 24), [{}]
    for _ in range(12):
        device = Recorder(disk)
        writer = Writer(reader.Store(device))
        for _ in range(rng.randrange(1, 6)):
            one_commit(writer, states, rng)
            device.acknowledge(len(states) - 1)
            if rng.random() < 0.3:
                writer.checkpoint()
        if rng.random() < 0.5:
            writer.close()
            disk = device.data
        else:
            disk = bytearray(cut(device, rng))
        found = reader.Store(MemoryDevice(bytearray(disk))).transaction
        del states[found + 1 :]
        assert assert_past(disk, states, 1 if found else 0) == len(states)


def cut(device: Recorder, rng: random.Random) -> bytes:
    """The disk after some of the writes, the last of them in part."""
    writes = [(offset, data) for kind, offset, data in device.events if kind == "write"]
    disk = bytearray(device.start)
    count = rng.randrange(len(writes))
    for offset, data in writes[:count]:
        disk[offset : offset + len(data)] = data
    offset, data = writes[count]
    length = rng.randrange(len(data) // 512 + 1) * 512
    disk[offset : offset + length] = data[:length]
    return bytes(disk)


def test_when_space_ran_out_the_oldest_are_refused(rng):
    device, states = MemoryDevice(new_disk()), [{}]
    writer = Writer(reader.Store(device))
    first = writer.allocate(4)
    refused = 0
    for number in range(150):
        items = [Item(first + n, C.KIND_TABLE, table(n=number, s="x" * 3000)) for n in range(4)]
        items.append(Item(1, C.KIND_TABLE, table(n=number)))
        writer.commit(items, f"m{number}")
        states.append({item.id: item.payload for item in items})
        if number % 25 == 24:
            kept = assert_past(device.data, states)
            refused = number + 2 - kept
    assert refused > 0
    writer.close()


def test_what_the_guest_wrote(rng):
    """The same over lua/fs, which checkpoints and cleans by its own rules."""
    image, states = bytearray(new_disk()), [{}]
    guest = Store(Disk(image), payloads=True, collect=False)
    for number in range(60):
        state = dict(states[-1])
        state[1] = table(n=number)
        state[rng.randrange(2, 8) if len(state) > 8 else guest.allocate()] = table(
            s="z" * rng.randrange(4000))
        guest.commit({i: p for i, p in state.items() if states[-1].get(i) != p}, f"m{number}")
        states.append(state)
        if number % 20 == 7:
            guest.close()
            guest = Store(Disk(image), payloads=True, collect=False)
        if number % 10 == 5:
            assert_past(image, states)
    guest.close()
    assert assert_past(image, states) > 5


def test_a_bad_frame_on_the_way_is_said_and_the_others_are_answered(rng):
    device, states = MemoryDevice(new_disk()), [{}]
    writer = Writer(reader.Store(device))
    places = []
    for _ in range(9):
        one_commit(writer, states, rng, 100)
        places.append(writer.store.replayed.transactions[-1].frame_lba * 512)
        if len(places) in (3, 6):
            writer.checkpoint()
    writer.close()
    device.data[places[4] + 48] ^= 1  # the header: objects are found through their pointers all the same
    store = reader.Store(device)
    for number, state in enumerate(states):
        if number in (5, 6):
            with pytest.raises(DamagedLog, match=f"t{number} cannot be rebuilt"):
                history.at(store, number)
        else:
            assert objects_of(history.at(store, number)) == state


@pytest.mark.parametrize("wrong", ["", "x", "t", "-1", -1, None, 1.5, True, "t4x", "no snapshot"])
def test_what_is_no_transaction(ship, wrong: Any):
    with khoros.open(ship) as image, pytest.raises(UsageError):
        image.at(wrong)


# -- Image.at ---------------------------------------------------------------------------------------------------


def test_the_image_as_it_was(ship):
    with khoros.open(ship) as image:
        assert image.at("t1")["ship"]["fuel"] == 7
        assert image.at(2)["ship"]["fuel"] == 5
        assert len(image.at(0).root) == 0
        then = image.at("t1")
        assert then["crew"] is then["ship"]["crew"]
        assert then["ship"] is not image["ship"]
        assert then.transaction == 1
        assert [t.id for t in then.history()] == ["t1"]
        with pytest.raises(ReadOnly):
            then["x"] = 1


def test_while_writing(ship):
    with khoros.open(ship, "r+") as image:
        image["ship"]["fuel"] = 3
        done = image.commit("more")
        assert done is not None
        image["ship"]["fuel"] = 1
        image.commit("less")
        assert [image.at(t)["ship"]["fuel"] for t in (1, 2, done, *list(image.history())[3:])] == [
            7, 5, 3, 1]
        image.at(1).close()
        assert image["ship"]["fuel"] == 1


def test_a_view_whose_time_is_given_up_says_so(tmp_path):
    path = images.empty(tmp_path / "small.img", C.SECTOR_BYTES * (64 + 8 * 256 + 24))
    with khoros.open(path, "r+") as image:
        image["text"] = {"s": "o" * 20_000}
        image.commit()
        then = image.at(1)
        for number in range(120):
            image["text"]["s"], image["n"] = f"{number} " * 5_000, number
            image.commit()
        with pytest.raises(NoLongerKept):
            then["text"]["s"]
