"""Says what a file or partition holds, in a few words, before something is written over it or read as a store.

A guess from the first and last bytes, for people; nothing depends on it but the wording of a refusal.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from . import partition, sizes, superblock
from .device import FileDevice, is_block_device
from .errors import KhorosError

_HEAD_BYTES = 1 << 20
_KNOWN = [
    (0, b"\x7fELF", "an ELF program"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"QFI\xfb", "a qcow2 image (convert it to raw first)"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0x438, b"\x53\xef", "an ext2/3/4 file system"),
    (0x8001, b"CD001", "an ISO 9660 file system"),
    (3, b"NTFS", "an NTFS file system"),
    (0x36, b"FAT", "a FAT file system"),
    (0x52, b"FAT32", "a FAT file system"),
    (0, b"XFSB", "an XFS file system"),
]


def describe(device: FileDevice) -> str:
    """What the device holds; empty when it holds nothing: no bytes, a hole, or zeros at both ends (1 MiB each)."""
    if device.size == 0 or _is_hole(device):
        return ""
    length = min(device.size, _HEAD_BYTES)
    head = device.read(0, length)
    if not any(head) and not any(device.read(device.size - length, length)):
        return ""
    return _store(device) or _partitions(device) or guess(head, device.size)


def guess(head: bytes, size: int) -> str:
    """What data with this beginning and size (bytes) probably is."""
    for offset, magic, name in _KNOWN:
        if head[offset : offset + len(magic)] == magic:
            return name
    if not any(head):
        return f"{sizes.text(size)} that begin with zeros"
    with suppress(UnicodeDecodeError):
        if head[:512].decode("utf-8").isprintable() or b"\n" in head[:512]:
            return "text"
    return f"{sizes.text(size)} of unknown data" if size >= 1024 else f"{size} bytes of data"


def _is_hole(device: FileDevice) -> bool:
    """Whether the store's part of a file has no data at all (one made by `truncate`)."""
    if is_block_device(device.name):
        return False
    descriptor = os.open(device.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, device.base, os.SEEK_DATA) >= device.base + device.size
    except OSError as error:
        return error.errno == errno.ENXIO
    finally:
        os.close(descriptor)


def _store(device: FileDevice) -> str:
    try:
        chosen = superblock.choose(superblock.read_slots(device), device)
    except KhorosError:
        return ""
    name = superblock.label(chosen)
    return f"a Khoros store{f' ({name})' if name else ''}, uuid {superblock.identity(chosen)}"


def _partitions(device: FileDevice) -> str:
    rows = partition.partitions(device)
    return f"a partition table ({partition.describe(rows)})" if rows else ""
