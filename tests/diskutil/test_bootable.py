"""Disks that boot by themselves: their tables are in order by the tools of others, and the store in them is found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import bootable, built, gpt, partition
from khoros.diskutil.creation import BYTES_MIN, mkfs
from khoros.diskutil.device import FileDevice
from khoros.diskutil.errors import NotBuilt, UsageError
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke

pytestmark = pytest.mark.usefixtures("kernel")
MEBIBYTE = 1 << 20


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def disk(tmp_path) -> Path:
    path = tmp_path / "disk.img"
    good("mkfs", path, "-s", "32M", "--bootable", "-L", "boots")
    return path


def test_sgdisk_finds_the_tables_in_order(disk):
    said = subprocess.run([program("sgdisk"), "-v", disk], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in said
    assert "aution" not in said
    said = subprocess.run([program("sgdisk"), "-i", "3", disk], capture_output=True, text=True, check=True).stdout
    assert C.GPT_TYPE_GUID.upper() in said
    assert "'Khoros store'" in said


def test_sfdisk_finds_the_tables_in_order(disk):
    done = subprocess.run([program("sfdisk"), "--verify", disk], capture_output=True, text=True)
    assert done.returncode == 0
    assert "No errors detected" in done.stdout + done.stderr
    listing = subprocess.run([program("sfdisk"), "-d", disk], capture_output=True, text=True, check=True).stdout
    assert "label: gpt" in listing
    assert listing.count("start=") == 3
    assert listing.upper().count(gpt.EFI_SYSTEM_GUID.upper()) == 1


def test_the_second_copy_of_the_table_is_good_too(disk):
    images.patch(disk, 512, bytes(512))
    with khoros.open(disk) as image:
        assert image.label == "boots"


@pytest.mark.parametrize("tool", ["sgdisk", "sfdisk"])
def test_a_gpt_made_by_others_is_found(tmp_path, tool):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(16 * MEBIBYTE))
    if tool == "sgdisk":
        subprocess.run([program("sgdisk"), "-n", "1:2048:+1M", "-n", "2:0:+8M", "-t",
                        f"2:{C.GPT_TYPE_GUID}", path], check=True, capture_output=True)
    else:
        subprocess.run([program("sfdisk"), "-q", path], check=True, input=(
            f"label: gpt\nsize=1MiB\nsize=8MiB, type={C.GPT_TYPE_GUID}\n").encode())
    good("mkfs", path)
    with khoros.open(path, "r+") as image:
        assert image.store.device.base == 2 * MEBIBYTE
        image["x"] = 1
        image.commit()
    assert subprocess.run([program("sgdisk"), "-v", path], capture_output=True, text=True,
                          check=True).stdout.count("No problems found") == 1


def test_the_store_in_it_is_like_any_other(disk):
    good("put", disk, "x", "1")
    assert good("cat", disk, "x").text == "1\n"
    assert good("check", disk).code == 0
    facts = good("info", disk, "--json").json
    assert facts["offset_bytes"] % MEBIBYTE == 0
    device = FileDevice(disk)
    rows = partition.partitions(device)
    assert [row.ours for row in rows] == [False, False, True]
    assert rows[0].base + rows[0].size == rows[1].base
    assert rows[1].base + rows[1].size <= rows[2].base
    device.close()


def test_what_uefi_boots_is_there_as_in_the_iso(disk, tmp_path):
    device = FileDevice(disk)
    place = partition.partitions(device)[1]
    device.close()
    cores = []
    for image in (disk, built.find("khoros.iso")):
        cores.append(tmp_path / f"{image.suffix[1:]}.efi")
        source = ("-i", f"{image}@@{place.base}", "::EFI/BOOT/BOOTX64.EFI")
        subprocess.run([program("mcopy"), "-n", *source, cores[-1]], check=True)
    assert cores[0].read_bytes()[:2] == b"MZ"
    assert cores[0].read_bytes() == cores[1].read_bytes()


def test_the_boot_code_and_the_iso_are_there_byte_for_byte(disk):
    iso, data = built.find("khoros.iso").read_bytes(), disk.read_bytes()
    assert data[:440] == iso[:440]
    assert data[32 << 10 : len(iso)] == iso[32 << 10 :]


def test_the_same_options_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = []
    for name in ("a.img", "b.img"):
        good("mkfs", tmp_path / name, "-s", "32M", "--bootable", "--uuid", images.UUID)
        made.append(images.digest(tmp_path / name))
    assert made[0] == made[1]
    good("mkfs", tmp_path / "c.img", "-s", "32M", "--bootable")
    good("mkfs", tmp_path / "d.img", "-s", "32M", "--bootable")
    assert images.digest(tmp_path / "c.img") != images.digest(tmp_path / "d.img")


def test_too_small(tmp_path):
    result = invoke("mkfs", tmp_path / "a.img", "-s", "2M", "--bootable")
    assert result.code == 2
    needed = result.complaint.split("it needs ")[1]
    good("mkfs", tmp_path / "a.img", "-s", needed, "--bootable")
    assert invoke("mkfs", tmp_path / "b.img", "-s", f"{int(needed[:-1]) - 1}M", "--bootable").code == 2
    assert not (tmp_path / "b.img").exists()


def test_without_an_iso(tmp_path, monkeypatch):
    monkeypatch.setattr(built, "__file__", str(tmp_path / "nowhere" / "built.py"))
    with pytest.raises(NotBuilt, match="build makes it"):
        mkfs(tmp_path / "a.img", 32 * MEBIBYTE, bootable=True)
    assert not (tmp_path / "a.img").exists()


def test_a_disk_larger_than_an_mbr_can_say(tmp_path):
    """Beyond 2 TiB the protective entry covers what it can (UEFI 5.2.3)."""
    path = tmp_path / "large.img"
    mkfs(path, 3 << 40, bootable=True)
    assert "No problems found" in subprocess.run(
        [program("sgdisk"), "-v", path], capture_output=True, text=True, check=True).stdout
    with khoros.open(path) as image:
        assert image.store.superblock.total_sectors > (2 << 40) // 512
    assert path.stat().st_blocks * 512 < 8 * MEBIBYTE


def test_a_surrounding_leaves_room():
    around = bootable.surround(32 * MEBIBYTE, lambda purpose: purpose.encode().ljust(16, b"."), BYTES_MIN)
    assert around.base + around.size_bytes <= 32 * MEBIBYTE - 33 * 512
    for offset, data in around.pieces:
        assert offset + len(data) <= around.base or offset >= around.base + around.size_bytes


def test_a_device_is_not_made_bootable(tmp_path, monkeypatch):
    from khoros.diskutil import creation

    monkeypatch.setattr(creation, "is_block_device", lambda path: True)
    with pytest.raises(UsageError, match="copy that to the device"):
        mkfs(tmp_path / "a.img", 32 * MEBIBYTE, bootable=True)
