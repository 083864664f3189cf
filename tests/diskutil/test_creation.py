"""mkfs: what a new store looks like, what it refuses, what it leaves untouched when it fails."""

from __future__ import annotations

import os
import uuid

import pytest

from khoros.diskutil import reader, superblock
from khoros.diskutil.creation import BYTES_MIN, mkfs
from khoros.diskutil.device import FileDevice
from khoros.diskutil.errors import DeviceError, InUse, NotEmpty, UsageError
from tests.diskutil import images
from tests.support.store import Disk, Store


def slots(path):
    device = FileDevice(path)
    found = superblock.read_slots(device)
    device.close()
    return found


@pytest.mark.parametrize("size", [BYTES_MIN, BYTES_MIN + 511, 4 << 20, (64 << 20) + 12345, 3 << 30])
@pytest.mark.parametrize("append_sectors", [1, 8])
def test_a_new_store_can_be_mounted(tmp_path, size, append_sectors):
    made = mkfs(tmp_path / "a.img", size, append_sectors=append_sectors)
    assert (tmp_path / "a.img").stat().st_size == size
    store = reader.mount(tmp_path / "a.img")
    assert store.verdict == "clean"
    assert store.superblock.generation == 1
    assert store.superblock.segment_count >= 8
    assert superblock.identity(store.superblock) == made.uuid
    store.close()


def test_the_guest_mounts_it(tmp_path):
    images.empty(tmp_path / "a.img", BYTES_MIN)
    store = Store(Disk(bytearray((tmp_path / "a.img").read_bytes())))
    assert store.status() == "clean"
    store.commit({store.allocate(): b"\x90\x80", 1: b"\x90\x80"})
    store.close()


def test_it_is_sparse(tmp_path):
    mkfs(tmp_path / "large.img", 1 << 40)
    status = (tmp_path / "large.img").stat()
    assert status.st_size == 1 << 40
    assert status.st_blocks * 512 < 1 << 20


def test_generation_1_stands_in_both_odd_slots(empty):
    found = {slot.lba: slot.superblock for slot in slots(empty)}
    sectors = empty.stat().st_size // 512
    assert {lba for lba, block in found.items() if block} == {16, sectors // 8 * 8 - 16}


@pytest.mark.parametrize(("size", "advice"), [(12, "did you mean 12M"), (1, "did you mean 2M|1G|smallest"),
                                              (0, "smallest"), (5000, "did you mean 5000K")])
def test_too_small(tmp_path, size, advice):
    with pytest.raises(UsageError, match=advice):
        mkfs(tmp_path / "a.img", size)
    assert list(tmp_path.iterdir()) == []


def test_too_large(tmp_path):
    with pytest.raises(UsageError, match="too large"):
        mkfs(tmp_path / "a.img", 1 << 60)


@pytest.mark.parametrize("options", [
    {"label": "x" * 65}, {"label": "a\0b"}, {"uuid": "no"}, {"segment_bytes": 1000},
    {"segment_bytes": 64 << 10}, {"segment_bytes": 2 << 20}, {"append_sectors": 3}])
def test_options_that_cannot_be(tmp_path, options):
    with pytest.raises(UsageError):
        mkfs(tmp_path / "a.img", 4 << 20, **options)
    assert list(tmp_path.iterdir()) == []


def test_reproducible(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a", "b"):
        mkfs(tmp_path / name, 4 << 20, uuid=images.UUID, label="same")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    mkfs(tmp_path / "c", 4 << 20, uuid=str(uuid.UUID(int=1)), label="same")
    assert slots(tmp_path / "a")[1].superblock.epoch != slots(tmp_path / "c")[1].superblock.epoch
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    mkfs(tmp_path / "d", 4 << 20, uuid=images.UUID)
    mkfs(tmp_path / "e", 4 << 20, uuid=images.UUID)
    assert slots(tmp_path / "d")[1].superblock.epoch != slots(tmp_path / "e")[1].superblock.epoch


def test_a_bad_source_date_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        mkfs(tmp_path / "a", 4 << 20)


def test_what_holds_something_is_kept_without_force(ship):
    before = images.digest(ship)
    with pytest.raises(NotEmpty, match="a Khoros store"):
        mkfs(ship, 4 << 20)
    assert images.digest(ship) == before
    mkfs(ship, 4 << 20, force=True)
    assert images.digest(ship) != before


def test_an_empty_or_sparse_file_is_taken(tmp_path):
    path = tmp_path / "a.img"
    path.touch()
    mkfs(path, 4 << 20)
    os.truncate(path, 0)
    os.truncate(path, 8 << 20)
    assert mkfs(path).size_bytes == 8 << 20


def test_a_size_is_needed_for_a_new_file(tmp_path):
    with pytest.raises(UsageError, match="say how large"):
        mkfs(tmp_path / "a.img")


def test_an_image_in_use_is_not_replaced(ship):
    held = FileDevice(ship, writable=True)
    with pytest.raises(InUse):
        mkfs(ship, 4 << 20, force=True)
    held.close()


def test_dry_run(tmp_path):
    made = mkfs(tmp_path / "a.img", 4 << 20, dry_run=True)
    assert made.superblock.segment_count == 31
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_temporary_file(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(DeviceError, match="No space left"):
        mkfs(tmp_path / "a.img", 4 << 20)
    assert list(tmp_path.iterdir()) == []


def test_permissions_follow_the_umask_or_the_replaced_file(tmp_path):
    old = os.umask(0o027)
    try:
        mkfs(tmp_path / "a.img", 4 << 20)
    finally:
        os.umask(old)
    assert (tmp_path / "a.img").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a.img").chmod(0o600)
    mkfs(tmp_path / "a.img", 4 << 20, force=True)
    assert (tmp_path / "a.img").stat().st_mode & 0o777 == 0o600
