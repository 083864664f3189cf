"""Finding the store on a partitioned disk, and formatting it there."""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
import zlib

import pytest

import khoros
from khoros.diskutil import partition, reader
from khoros.diskutil.creation import mkfs
from khoros.diskutil.device import FileDevice, MemoryDevice
from khoros.diskutil.errors import ForeignPartitions, NotEmpty
from khoros.formats import constants as C
from tests.diskutil import images

SECTORS = 20_000
START, COUNT = 2048, 16_384


def mbr(*entries):
    sector = bytearray(512)
    for number, (kind, first, count) in enumerate(entries):
        struct.pack_into("<B3sB3sII", sector, 446 + 16 * number, 0, b"", kind, b"", first, count)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def gpt(sectors, *entries, spoil_head=False):
    """A disk with a GPT: (type, first LBA, last LBA) each."""
    table = bytearray(128 * 128)
    for number, (kind, first, last) in enumerate(entries):
        struct.pack_into("<16s16sQQQ72s", table, 128 * number, uuid.UUID(kind).bytes_le,
                         bytes([number + 1]) * 16, first, last, 0, b"")
    disk = bytearray(sectors * 512)
    disk[:512] = mbr((0xEE, 1, sectors - 1))
    for own, other, at in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)):
        head = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34,
                                     sectors - 34, b"\x07" * 16, at, 128, 128, zlib.crc32(table)))
        head[16:20] = struct.pack("<I", zlib.crc32(head))
        disk[own * 512 : own * 512 + 92] = head
        disk[at * 512 : at * 512 + len(table)] = table
    if spoil_head:
        disk[512 + 40] ^= 1
    return disk


LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
DISKS = {
    "mbr": lambda: mbr((0x83, 100, 100), (C.MBR_TYPE, START, COUNT)).ljust(SECTORS * 512, b"\0"),
    "gpt": lambda: gpt(SECTORS, (LINUX, 40, 99), (C.GPT_TYPE_GUID, START, START + COUNT - 1)),
    "gpt from its tail": lambda: gpt(SECTORS, (C.GPT_TYPE_GUID, START, START + COUNT - 1),
                                     spoil_head=True),
}


@pytest.mark.parametrize("kind", DISKS)
def test_a_store_in_a_partition(tmp_path, kind):
    path = tmp_path / "disk.img"
    path.write_bytes(DISKS[kind]())
    outside = path.read_bytes()[: START * 512], path.read_bytes()[(START + COUNT) * 512 :]
    made = mkfs(path)
    assert (made.base, made.size_bytes) == (START * 512, COUNT * 512)
    with khoros.open(path, "r+") as image:
        image["x"] = {"y": 1}
        image.commit()
    with khoros.open(path) as image:
        assert image["x"] == {"y": 1}
        assert image.store.device.base == START * 512
    data = path.read_bytes()
    assert (data[: START * 512], data[(START + COUNT) * 512 :]) == outside
    with pytest.raises(NotEmpty, match="a Khoros store"):
        mkfs(path)
    mkfs(path, force=True)
    with khoros.open(path) as image:
        assert len(image.root) == 0


def test_formatting_again_leaves_no_old_superblock(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(DISKS["mbr"]())
    mkfs(path)
    for _ in range(3):
        with khoros.open(path, "r+") as image:
            image["n"] = image.transaction
            image.commit()
    mkfs(path, force=True)
    store = reader.mount(path)
    assert (store.superblock.generation, store.verdict) == (1, "clean")
    store.close()


@pytest.mark.parametrize("disk", [
    mbr((0x83, 100, 100)), mbr((C.MBR_TYPE, 1 << 30, 100)), bytes(gpt(SECTORS, (LINUX, 40, 99)))])
def test_a_foreign_disk_is_not_ours(tmp_path, disk):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(disk).ljust(SECTORS * 512, b"\0"))
    with pytest.raises(ForeignPartitions, match="partition"):
        khoros.open(path)
    with pytest.raises(NotEmpty, match="partition table"):
        mkfs(path, 4 << 20)


def test_a_signature_without_entries_is_no_table(ship):
    """A boot sector in front of a store that fills the disk: the first 8 sectors are never ours."""
    images.patch(ship, 0, mbr())
    with khoros.open(ship) as image:
        assert image["ship"]["fuel"] == 5


def test_offsets_in_messages_count_from_the_start_of_the_file(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(DISKS["mbr"]())
    mkfs(path)
    images.flip(path, START * 512 + 16 * 512 + 100)
    images.flip(path, START * 512 + (COUNT - 16) * 512 + 100)
    with pytest.raises(khoros.KhorosError, match=f"at byte {START * 512 + 16 * 512}"):
        khoros.open(path)


def test_hostile_tables_are_bounded(rng):
    for _ in range(300):
        disk = bytearray(gpt(200, (C.GPT_TYPE_GUID, 40, 99)))
        head = bytearray(disk[512:604])
        at = rng.choice([12, 40, 72, 80, 84])
        head[at : at + 4] = rng.choice([bytes(4), b"\xff" * 4, rng.randbytes(4)])
        head[16:20] = bytes(4)
        head[16:20] = struct.pack("<I", zlib.crc32(head))
        disk[512:604] = head
        for row in partition.partitions(MemoryDevice(disk)):
            assert row.size >= 0


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_tables_made_by_sfdisk_are_found(tmp_path, label):
    program = shutil.which("sfdisk") or shutil.which("sfdisk", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("sfdisk is not installed (package fdisk)")
    path = tmp_path / "disk.img"
    images.empty(path, 16 << 20)
    path.write_bytes(bytes(16 << 20))
    kind = C.GPT_TYPE_GUID if label == "gpt" else f"{C.MBR_TYPE:x}"
    subprocess.run([program, "-q", path], check=True, input=(
        f"label: {label}\nsize=1MiB\nsize=8MiB, type={kind}\n").encode())
    device = FileDevice(path)
    found = partition.select(device)
    device.close()
    assert found is not None
    assert (found.size, found.number) == (8 << 20, 2)
    mkfs(path)
    khoros.open(path).close()
    assert subprocess.run([program, "--verify", "-q", path], check=False).returncode == 0
