"""A disk that is no Khoros store, or a damaged one: said in one line, nothing written, the session in memory."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from khoros.diskutil.writer import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]
SIZE_BYTES = 4 << 20
LINUX_GPT_TYPE = bytes.fromhex("af3dc60f838472478e793d69d8477de4")


def text_file() -> bytes:
    return b"This is not a disk but a letter.\n" * 4000


def master_boot_record() -> bytes:
    """One Linux partition, as fdisk writes it."""
    image = bytearray(SIZE_BYTES)
    image[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", 2048, 4096)
    image[510:512] = b"\x55\xaa"
    image[2048 * 512 : 2048 * 512 + 11] = b"hello world"
    return bytes(image)


def guid_partition_table() -> bytes:
    """A protective MBR and one Linux partition, with the CRCs that UEFI asks for."""
    image = bytearray(SIZE_BYTES)
    last = SIZE_BYTES // 512 - 1
    image[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, last)
    image[510:512] = b"\x55\xaa"
    entry = (
        LINUX_GPT_TYPE
        + b"u" * 16
        + struct.pack("<QQQ", 2048, 4095, 0)
        + "data".encode("utf-16le").ljust(72, b"\0")
    )
    entries = entry.ljust(128 * 128, b"\0")

    def header(own: int, other: int, table: int) -> bytes:
        def pack(crc: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII",
                *(b"EFI PART", 0x10000, 92, crc, 0, own, other, 34, last - 33),
                *(b"d" * 16, table, 128, 128, zlib.crc32(entries)),
            )

        return pack(zlib.crc32(pack(0)))

    image[512 : 512 + 92] = header(1, last, 2)
    image[1024 : 1024 + len(entries)] = entries
    image[(last - 32) * 512 : last * 512] = entries
    image[last * 512 : last * 512 + 92] = header(last, 1, last - 32)
    return bytes(image)


def store_with_a_newer_version(tmp_path: Path) -> bytes:
    return changed_superblocks(tmp_path, lambda sector: b"\xff" + sector[1:])


def changed_superblocks(tmp_path: Path, change) -> bytes:
    """A new store whose sectors that are not zero went through `change`."""
    image = tmp_path / "whole.img"
    mkfs(image, SIZE_BYTES)
    data = bytearray(image.read_bytes())
    for start in range(0, len(data), 512):
        if any(data[start : start + 512]):
            data[start : start + 512] = change(bytes(data[start : start + 512]))
    return bytes(data)


def zeros() -> bytes:
    return bytes(SIZE_BYTES)


@pytest.mark.parametrize("make", [text_file, master_boot_record, guid_partition_table, zeros])
def test_a_disk_with_something_else_is_untouched_and_said_in_one_line(make, tmp_path):
    image = tmp_path / "other.img"
    image.write_bytes(make())
    before = image.read_bytes()
    result = guest.run("--disk", image, "-e", "root.x = 1; print(root.x); print(pcall(commit))")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"1\n")
    assert result.stderr.count(b"\n") == 1, result.stderr
    assert image.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda sector: b"\xff" + sector[1:], b"magic"),
        (lambda sector: sector[:100] + bytes([sector[100] ^ 1]) + sector[101:], b"CRC"),
    ],
    ids=["magic", "crc"],
)
def test_a_damaged_store_is_said_and_untouched(change, word, tmp_path):
    image = tmp_path / "damaged.img"
    image.write_bytes(changed_superblocks(tmp_path, change))
    before = image.read_bytes()
    result = guest.run("--disk", image, "-e", "print(1)")
    assert (result.stdout, result.returncode) == (b"1\n", 0)
    assert result.stderr.count(b"\n") == 1, result.stderr
    assert image.read_bytes() == before


def test_a_truncated_image_is_refused_and_untouched(tmp_path):
    image = tmp_path / "short.img"
    mkfs(image, SIZE_BYTES)
    with image.open("r+b") as file:
        file.truncate(SIZE_BYTES // 2)
    before = image.read_bytes()
    result = guest.run("--disk", image, "-e", "print(pcall(commit))")
    assert result.stderr.count(b"\n") == 1, result.stderr
    assert image.read_bytes() == before
