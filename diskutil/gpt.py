"""Writes partition tables: a GPT with a protective MBR (UEFI specification 2.10, 5.2.3 and 5.3).

Pure: a description in, (offset, bytes) out. Promise: the tables are as sgdisk and sfdisk make them, both copies with right
checksums; the boot code in front of the MBR's table is the caller's and stays as it is.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from khoros.formats import constants as C

from .partition import (
    ENTRIES_OFFSET,
    GPT_ENTRY,
    GPT_HEADER,
    GPT_PROTECTIVE,
    GPT_SIGNATURE,
    MBR_ENTRY,
    SIGNATURE_OFFSET,
)

# Partitions for a BIOS boot loader, as GRUB's documentation and sgdisk (EF02) call the type.
BIOS_BOOT_GUID = "21686148-6449-6e6f-744e-656564454649"
# UEFI specification 2.10, 5.3.3, table 5.7.
EFI_SYSTEM_GUID = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ALIGNMENT_SECTORS = 2048
ALIGNMENT_BYTES = ALIGNMENT_SECTORS * C.SECTOR_BYTES

_REVISION, _HEADER_BYTES = 0x10000, 92
_ENTRY_COUNT, _ENTRY_BYTES = 128, 128
_TABLE_SECTORS = _ENTRY_COUNT * _ENTRY_BYTES // C.SECTOR_BYTES
FIRST_USABLE_LBA = 2 + _TABLE_SECTORS
_NAME_BYTES = 72
# Where CHS cannot say a place: the largest that it can (UEFI 5.2.3).
_CHS_START, _CHS_MAX = b"\x00\x02\x00", b"\xff\xff\xff"
_SECTORS_MAX_MBR = 0xFFFFFFFF


class Entry(NamedTuple):
    """A partition to be: `first` to `last` are sectors, both included."""

    type: str
    identity: uuid.UUID
    first: int
    last: int
    name: str


def last_usable_lba(total_sectors: int) -> int:
    """The last sector before the second copy of the table."""
    return total_sectors - _TABLE_SECTORS - 2


def tables(total_sectors: int, disk: uuid.UUID, entries: Sequence[Entry]) -> list[tuple[int, bytes]]:
    """(offset, bytes) of both copies of the GPT of a disk of that many sectors."""
    table = b"".join(map(_entry, entries)).ljust(_ENTRY_COUNT * _ENTRY_BYTES, b"\0")
    end = total_sectors - 1
    rows = [(1, end, 2), (end, 1, end - _TABLE_SECTORS)]
    parts: list[tuple[int, bytes]] = []
    for own, other, place in rows:
        header = _header(own, other, place, total_sectors, disk, zlib.crc32(table))
        parts += [(own * C.SECTOR_BYTES, header), (place * C.SECTOR_BYTES, table)]
    return parts


def protective_mbr(boot_code: bytes, total_sectors: int) -> bytes:
    """The first sector: boot code (at most 440 bytes of it are kept), and one entry over the whole disk."""
    size = min(total_sectors - 1, _SECTORS_MAX_MBR)
    entry = MBR_ENTRY.pack(0, _CHS_START, GPT_PROTECTIVE, _CHS_MAX, 1, size)
    code = boot_code[:440].ljust(ENTRIES_OFFSET, b"\0")
    return (code + entry).ljust(SIGNATURE_OFFSET, b"\0") + b"\x55\xaa"


def _entry(row: Entry) -> bytes:
    name = row.name.encode("utf-16-le")[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    return GPT_ENTRY.pack(uuid.UUID(row.type).bytes_le, row.identity.bytes_le, row.first, row.last, 0, name)


def _header(own: int, other: int, place: int, total: int, disk: uuid.UUID, table_crc: int) -> bytes:
    def pack(crc: int) -> bytes:
        return GPT_HEADER.pack(GPT_SIGNATURE, _REVISION, _HEADER_BYTES, crc, 0, own, other,
                               FIRST_USABLE_LBA, last_usable_lba(total), disk.bytes_le, place,
                               _ENTRY_COUNT, _ENTRY_BYTES, table_crc)

    return pack(zlib.crc32(pack(0))).ljust(C.SECTOR_BYTES, b"\0")
