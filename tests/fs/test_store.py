"""The store as its clients use it: allocate, read, commit, log, info; what it refuses; what a mount finds on a disk."""

from __future__ import annotations

import random
import uuid
import zlib
from typing import Any

import pytest

from khoros.formats import constants
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.disk import Fault, Flush, SimulatedDisk, Write
from tests.support.store import Disk, Store, StoreError, format_disk

SECTOR = 512


def fresh(**options: Any) -> Store:
    return Store(Disk(format_disk(**options)))


def refused(code: str) -> Any:
    return pytest.raises(StoreError, match=f"^{code}: ")


def test_the_root_exists_before_the_first_commit():
    assert fresh().records(1) == [{"id": 1, "kind": constants.KIND_TABLE, "payload": b"\x90\x80", "version": 0}]


def test_a_mount_that_only_reads_writes_nothing():
    disk = Disk(format_disk())
    store = Store(disk)
    store.read(1)
    store.close()
    # The flush before the mount: what it reads is to stay.
    assert (disk.writes, disk.flushes) == (0, 1)


def test_one_object_costs_one_write_and_one_flush():
    store = fresh()
    store.commit({1: b"a"})
    store.disk.writes = store.disk.flushes = 0
    store.commit({1: b"b"})
    assert (store.disk.writes, store.disk.flushes) == (1, 1)


def test_what_was_committed_is_read_before_and_after_a_mount():
    store = fresh()
    first = store.allocate(3)
    objects = {1: b"root", first: b"x" * 60_000, first + 2: b""}
    result = store.commit(objects, "message")
    assert (result["transaction"], result["objects"]) == (1, 3)
    assert result["bytes"] == sum(len(store_support.stored(data)) for data in objects.values())
    for again in (store, Store(store.disk)):
        assert again.read(first, 1, first + 2) == [b"x" * 60_000, b"root", b""]
        assert again.log()[0]["message"] == b"message"
        assert again.info()["objects"] == 3
    with refused("absent"):
        store.read(first + 1)


def test_info_tells_what_was_written_since_the_mount_for_how_much_content():
    store = fresh()
    store.commit({1: b"a" * 100})
    store.commit({1: b"a" * 1000})
    info = store.info()
    assert info["payload_bytes_written"] == len(store_support.stored(b"a" * 100)) + len(store_support.stored(b"a" * 1000))
    assert info["bytes_written"] == 2 * 4096
    again = Store(store.disk).info()
    assert (again["payload_bytes_written"], again["bytes_written"]) == (0, 0)


def test_versions_tell_of_conflicts():
    store = fresh()
    one = store.records(1)[0]["version"]
    given = store.commit({1: b"a"}, expected={1: one})["sequence"]
    assert given == store.records(1)[0]["version"]
    with refused("conflict") as caught:
        store.commit({1: b"b"}, expected={1: one})
    assert caught.value.facts["ids"] == [1]
    store.commit({1: b"b"}, expected={1: given})
    assert store.read(1) == [b"b"]


def test_a_deleted_object_is_absent():
    store = fresh()
    number = store.allocate()
    store.commit({number: b"a"})
    store.commit({number: None})
    with refused("absent"):
        store.read(number)
    with refused("absent"):
        store.commit({number: None})
    store.checkpoint()
    assert Store(store.disk).info()["objects"] == 0


@pytest.mark.parametrize("entries", [
    [], [{}], [{"id": 0, "kind": 1, "payload": b""}], [{"id": 99, "kind": 1, "payload": b""}],
    [{"id": 1, "kind": 1}], [{"id": 1, "kind": 9, "payload": b""}], [{"id": 1, "kind": 34, "payload": b""}],
    [{"id": 1, "kind": 16, "payload": b"x"}], [{"id": 1, "kind": 1, "payload": b"", "expected": -1}],
    [{"id": 1, "kind": 1, "payload": b""}, {"id": 1, "kind": 1, "payload": b""}],
    [{"id": 1, "kind": 1.0, "payload": b"\x90\x80"}], [{"id": 1, "kind": 16.0}], [{"id": 1.0, "kind": 1, "payload": b"\x90\x80"}],
])
def test_entries_that_are_not_well_formed_are_refused(entries: list[dict[str, Any]]):
    store = fresh()
    with refused("invalid"):
        store.call("commit", {"entries": entries})
    columns = {name: [entry.get(field, False) for entry in entries]
               for name, field in (("ids", "id"), ("kinds", "kind"), ("payloads", "payload"), ("expected", "expected"))}
    with refused("invalid"):
        store.call("commit", columns)
    assert store.disk.writes == 0


@pytest.mark.parametrize("columns", [
    {}, {"ids": [1]}, {"ids": 1, "kinds": 1, "payloads": 1, "expected": 1}, {"ids": [1], "kinds": [], "payloads": [], "expected": []},
    {"ids": [1], "kinds": [1], "payloads": [], "expected": [False]}, {"ids": [], "kinds": [1], "payloads": [b""], "expected": [0]},
])
def test_columns_that_do_not_stand_side_by_side_are_refused(columns: dict[str, Any]):
    store = fresh()
    with refused("invalid"):
        store.call("commit", columns)
    assert store.disk.writes == 0


def test_entries_side_by_side_are_the_same_as_one_by_one():
    one, other = fresh(), fresh()
    first = one.allocate(40)
    assert other.allocate(40) == first
    payloads = [b"\x91" + bytes([0xA0 + n % 32]) + b"x" * (n % 32) + b"\x80" for n in range(40)]
    kinds = [constants.KIND_TABLE] * 40
    for turn in range(2):
        entries = [{"id": first + n, "kind": kinds[n], "payload": payloads[n]} for n in range(40)]
        one.call("commit", {"entries": entries, "message": f"{turn}"})
        other.call("commit", {"ids": [first + n for n in range(40)], "kinds": kinds, "payloads": payloads,
                              "expected": [False] * 40, "message": f"{turn}"})
        kinds[5:9], payloads[5:9] = [constants.KIND_DELETE] * 4, [b""] * 4
    assert one.records(*range(first, first + 5)) == other.records(*range(first, first + 5))
    for store in (one, other):
        for n in (5, 8):
            with refused("absent"):
                store.read(first + n)
        assert store.info()["objects"] == 36


def test_limits():
    store = fresh()
    with refused("too_large"):
        store.commit({1: b"\xff" * (128 * 1024)})
    with refused("limit"):
        store.commit({1: b""}, "x" * 4097)
    with refused("limit"):
        store.read(*range(1, 4098))


def test_the_store_matches_a_model_over_many_commits_and_mounts():
    source, store, model = random.Random(5), fresh(total_sectors=64 + 64 * 256 + 24), {1: b"\x90\x80"}
    for _ in range(300):
        first = store.allocate(4)
        changed = {source.choice([*model, first, first + 1]): source.randbytes(source.randrange(400)) for _ in range(5)}
        store.commit(changed)
        model |= changed
        if source.random() < 0.1:
            store.checkpoint()
        if source.random() < 0.1:
            if source.random() < 0.5:
                store.close()
            store = Store(store.disk)
    assert store.read(*model) == list(model.values())


def test_index_levels_grow_with_the_ids():
    store = fresh(total_sectors=64 + 64 * 256 + 24)
    first = store.allocate(1 << 26)
    ids = [1, first, first + 255, first + 256, first + 65_536, first + (1 << 24), first + (1 << 26) - 1]
    for number in ids:
        store.commit({number: str(number).encode()})
        store.checkpoint()
    store.close()
    assert Store(store.disk).read(*ids) == [str(number).encode() for number in ids]


# --- space -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload_bytes", [150, 1000, 9000])
def test_a_full_store_refuses_before_anything_changes_and_can_always_delete(payload_bytes: int):
    source, store, model = random.Random(payload_bytes), fresh(), {}
    for _ in range(2):
        with refused("no_space"):
            while True:
                first = store.allocate(8)
                objects = {first + at: source.randbytes(payload_bytes) for at in range(8)}
                store.commit(objects)
                model |= objects
        assert store.read(*list(model)[:4000]) == list(model.values())[:4000]
        for number in source.sample(list(model), len(model) // 2):
            store.commit({number: None})
            del model[number]
    store.close()
    again = Store(store.disk)
    assert again.status() == "clean"
    assert again.info()["objects"] == len(model)


def test_a_full_store_is_overwritten_again_and_again():
    source, store, model = random.Random(2), fresh(total_sectors=64 + 16 * 256 + 24), {}
    with refused("no_space"):
        while True:
            number = store.allocate()
            model[number] = source.randbytes(900)
            store.commit({number: model[number]})
    model.popitem()
    for number in source.choices(list(model), k=2 * len(model)):
        model[number] = source.randbytes(900)
        store.commit({number: model[number]})
    assert store.read(*model) == list(model.values())


# --- what a mount finds ----------------------------------------------------------------------------------------------


def damaged_store() -> Store:
    """Five commits, of which the third rots."""
    store = fresh()
    for number in range(5):
        store.commit({1: b"%d" % number})
    at = store.disk.image.find(b"KHOROSFR", (64 + 16) * SECTOR)
    store.disk.image[at + 130] ^= 0xFF
    return store


def test_a_hole_in_what_was_flushed_is_damage_and_never_written_over():
    disk = damaged_store().disk
    before = bytes(disk.image)
    store = Store(disk)
    assert store.status() == "read_only"
    assert store.read(1) == [b"1"]
    with refused("read_only"):
        store.commit({1: b"x"})
    store.close()
    assert bytes(disk.image) == before


def test_a_lost_superblock_write_is_noticed():
    disk = SimulatedDisk(64 + 8 * 256 + 24, format_disk())
    lua = lua_support.runtime()
    store = Store(None, lua, device=disk.device(lua))
    store.commit({1: b"a"})
    old = {lba: disk.view.get(lba, bytes(SECTOR)) for lba in (8, 16, disk.sector_count - 24, disk.sector_count - 16)}
    store.checkpoint()
    store.commit({1: b"b"})
    disk.view.update(old)
    with refused("stale"):
        Store(None, lua, device=disk.device(lua))


def test_missing_superblock_copies_are_repaired_before_the_first_write():
    store = fresh()
    store.commit({1: b"a"})
    image = store.disk.image
    image[8 * SECTOR:9 * SECTOR] = bytes(SECTOR)
    again = Store(store.disk)
    assert again.read(1) == [b"a"]
    again.commit({1: b"b"})
    assert image[8 * SECTOR:8 * SECTOR + 8] == b"KHOROSSB"


@pytest.mark.parametrize("broken", [0, 1])
def test_a_repair_does_not_touch_the_good_copy(broken: int):
    """A cut in the middle of it must not take the only one there is."""
    image = format_disk()
    pair = [lba for lba in (8, 16, len(image) // SECTOR - 24, len(image) // SECTOR - 16) if image[lba * SECTOR:lba * SECTOR + 1] == b"K"]
    assert len(pair) == 2
    bad, good = pair[broken], pair[1 - broken]
    image[bad * SECTOR:(bad + 1) * SECTOR] = bytes(SECTOR)
    disk, lua = SimulatedDisk(len(image) // SECTOR, image), lua_support.runtime()
    Store(None, lua, device=disk.device(lua)).commit({1: b"a"})
    written = [event.lba for event in disk.events if isinstance(event, Write)]
    assert written[0] == bad and good not in written
    # What is known of the good copy may only be in the drive's cache: it is made durable first.
    assert isinstance(disk.events[0], Flush)


def test_somebody_else_wrote_meanwhile():
    store = fresh()
    other = Store(store.disk)
    other.commit({1: b"a"})
    with refused("changed"):
        store.commit({1: b"b"})
    with refused("read_only"):
        store.commit({1: b"b"})


def test_a_device_that_is_too_small_and_a_newer_format():
    image = format_disk()
    with refused("too_small"):
        Store(Disk(image[:len(image) - 8 * SECTOR]))
    fields = store_support.superblock_fields(len(image) // SECTOR) | {"format_major": 2}
    for lba in store_support.slots(fields):
        image[lba * SECTOR:(lba + 1) * SECTOR] = store_support.superblock_copy(fields, lba)
    with refused("newer_format"):
        Store(Disk(image))


def test_features_that_are_not_known():
    image = format_disk()
    for name, code in (("features_incompat", "unknown_feature"), ("features_ro_compat", None)):
        fields = store_support.superblock_fields(len(image) // SECTOR) | {name: 1 << 40}
        for lba in store_support.slots(fields):
            image[lba * SECTOR:(lba + 1) * SECTOR] = store_support.superblock_copy(fields, lba)
        if code:
            with refused(code):
                Store(Disk(image))
        else:
            store = Store(Disk(image))
            assert store.status() == "read_only"
            assert store.read(1) == [b"\x90\x80"]


# --- partitions ------------------------------------------------------------------------------------------------------


def find(disk: Any) -> Any:
    lua = lua_support.runtime()
    module = lua_support.require(lua, "fs.partition")
    return lua, store_support.checked(module[b"find"](store_support.lua_device(lua, disk)))


def gpt_disk(kind: str, break_crc: bool = False) -> bytearray:
    image = bytearray(2048 * SECTOR) + format_disk() + bytearray(64 * SECTOR)
    sectors = len(image) // SECTOR
    image[446:462] = bytes([0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]) + (1).to_bytes(4, "little") + (sectors - 1).to_bytes(
        4, "little")
    image[510:512] = b"\x55\xaa"
    last = 2048 + len(format_disk()) // SECTOR - 1
    entries = (uuid.UUID(kind).bytes_le + bytes(15) + b"\1" + (2048).to_bytes(8, "little") + last.to_bytes(8, "little")
               + bytes(80)).ljust(128 * 128, b"\0")
    header = bytearray(b"EFI PART" + bytes.fromhex("00000100") + (92).to_bytes(4, "little") + bytes(8)
                       + (1).to_bytes(8, "little") + (sectors - 1).to_bytes(8, "little") + (34).to_bytes(8, "little")
                       + (sectors - 34).to_bytes(8, "little") + bytes(16) + (2).to_bytes(8, "little")
                       + (128).to_bytes(4, "little") * 2 + zlib.crc32(entries).to_bytes(4, "little"))
    header[16:20] = (zlib.crc32(header) ^ break_crc).to_bytes(4, "little")
    image[SECTOR:SECTOR + len(header)] = header
    image[2 * SECTOR:2 * SECTOR + len(entries)] = entries
    return image


def mbr_disk(kind: int) -> bytearray:
    store = format_disk()
    image = bytearray(2048 * SECTOR) + store
    image[446:462] = bytes([0, 0, 2, 0, kind, 0xFF, 0xFF, 0xFF]) + (2048).to_bytes(4, "little") + (
        len(store) // SECTOR).to_bytes(4, "little")
    image[510:512] = b"\x55\xaa"
    return image


@pytest.mark.parametrize("image", [
    format_disk(), gpt_disk(constants.GPT_TYPE_GUID), mbr_disk(constants.MBR_TYPE)], ids=["whole", "gpt", "mbr"])
def test_a_store_is_found_and_works_where_it_is(image: bytearray):
    disk = Disk(bytearray(image))
    lua, device = find(disk)
    store = Store(disk, lua, device=device)
    store.commit({1: b"a"})
    store.close()
    assert disk.image[:SECTOR] == image[:SECTOR]
    again, device = find(disk)
    assert Store(disk, again, device=device).read(1) == [b"a"]


@pytest.mark.parametrize(("image", "code", "words"), [
    (bytearray(1 << 20), "empty", "empty"),
    (bytearray(b"\xeb\x3c\x90MSDOS5.0" + bytes(1 << 20))[:1 << 20], "foreign", "eb 3c 90"),
    (gpt_disk("0fc63daf-8483-4772-8e79-3d69d8477de4"), "foreign", r"GPT, 1 partition\b"),
    (gpt_disk(constants.GPT_TYPE_GUID, break_crc=True), "foreign", "GPT, damaged"),
    (mbr_disk(0x83), "foreign", "MBR, 1 partition"),
], ids=["empty", "unknown", "gpt", "gpt-damaged", "mbr"])
def test_a_disk_that_holds_something_else_is_named_and_left_alone(image: bytearray, code: str, words: str):
    disk = Disk(bytearray(image))
    with pytest.raises(StoreError, match=f"{code}: .*{words}"):
        find(disk)
    assert disk.writes == 0


def test_a_device_error_is_not_taken_for_an_empty_disk():
    disk = SimulatedDisk(4096)
    disk.fail(0, Fault("error", code="timeout", forever=True))
    lua = lua_support.runtime()
    with refused("io"):
        store_support.checked(lua_support.require(lua, "fs.partition")[b"find"](disk.device(lua)))
