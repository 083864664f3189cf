"""The log of QEMU's blklogwrites: every write and flush of a guest, in order. Our own reader of it.

    read(path) → [Write | Flush, …]      of khoros.diskutil.torture.disk, so that `Trace` takes them apart

The format is that of Linux's dm-log-writes (drivers/md/dm-log-writes.c): a sector with the superblock, then for each request a sector with
{sector, sectors, flags, bytes of data} and the data. QEMU brings the superblock's count up to date with each flush, so what was written
after the last one is not in it.
"""

from __future__ import annotations

import struct
from pathlib import Path

from khoros.diskutil.torture.disk import SECTOR, Flush, Write

SUPERBLOCK = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class BadLog(ValueError):
    """A file that is no such log; says what is wrong, where."""


def read(path: Path) -> list[Write | Flush]:
    """The events of a log. A write with FUA is durable by itself: a flush of nothing else cannot be told so, and is refused."""
    data = path.read_bytes()
    if len(data) < SUPERBLOCK.size:
        raise BadLog(f"{len(data)} bytes")
    magic, version, entries, sector_bytes = SUPERBLOCK.unpack_from(data)
    if (magic, version) != (MAGIC, VERSION) or sector_bytes < SECTOR or sector_bytes % SECTOR:
        raise BadLog(f"magic {magic:#x}, version {version}, sectors of {sector_bytes} bytes")
    events: list[Write | Flush] = []
    at = sector_bytes
    for number in range(entries):
        if at + ENTRY.size > len(data):
            raise BadLog(f"entry {number} of {entries} is behind the end")
        lba, count, flags, _ = ENTRY.unpack_from(data, at)
        at += sector_bytes
        if flags & ~FLUSH:
            raise BadLog(f"entry {number} has flags {flags:#x}")
        size = count * sector_bytes
        if at + size > len(data):
            raise BadLog(f"entry {number} has {size} bytes, the log ends before")
        # A flush goes ahead of the data that comes with it.
        if flags & FLUSH:
            events.append(Flush())
        if count:
            events.append(Write(lba * sector_bytes // SECTOR, data[at:at + size]))
        at += size
    return events
