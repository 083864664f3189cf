"""Finds the store on a disk: the whole of it, or a partition of our type (SPEC 1).

A first sector with the signature 55 AA and at least one entry is a partition table; such a disk is searched for a
partition of our type (GPT if the table is a protective one, else MBR with its four primary entries) and is otherwise
none of ours. Parsing is pure and bounded: at most 1024 GPT entries are looked at.
References: UEFI specification 2.10, sections 5.2 (MBR) and 5.3 (GPT).
"""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import NamedTuple

from khoros.formats import constants as C

from . import sizes
from .device import Device, FileDevice
from .errors import ForeignPartitions

SIGNATURE_OFFSET = 510
ENTRIES_OFFSET = 446
_DISK_SIGNATURE_OFFSET = 440
# Boot flag, CHS of the start, type, CHS of the end, first LBA, sectors.
MBR_ENTRY = struct.Struct("<B3sB3sII")
GPT_PROTECTIVE = 0xEE
# Signature, revision, header size, header CRC, reserved, own LBA, other LBA, first and last usable LBA, disk GUID,
# LBA of the entries, their number, their size, their CRC.
GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_SIGNATURE = b"EFI PART"
# Type GUID, own GUID, first LBA, last LBA, attributes, name (UTF-16).
GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
_GPT_ENTRIES_MAX = 1024
_TYPE_BYTES = uuid.UUID(C.GPT_TYPE_GUID).bytes_le


class Partition(NamedTuple):
    """A partition: bytes from the start of the disk, table it stands in, whether its type is ours."""

    base: int
    size: int
    table: str
    number: int
    type: str
    ours: bool


def partitions(device: Device) -> list[Partition]:
    """The partitions of a disk that carries a table; empty when the first sector is no table."""
    if device.size < C.SECTOR_BYTES:
        return []
    rows = _mbr(device.read(0, C.SECTOR_BYTES))
    if any(row.type == f"{GPT_PROTECTIVE:#04x}" for row in rows):
        return _gpt(device) or rows
    return rows


def select(device: FileDevice) -> Partition | None:
    """Narrow the device to the store: no change for a whole disk, a window for a partition of our type.

    ForeignPartitions when the disk is partitioned and nothing on it is ours.
    """
    rows = partitions(device)
    if not rows:
        return None
    for row in rows:
        if row.ours and 0 < row.size <= device.size - row.base:
            device.window(row.base, row.size)
            return row
    raise ForeignPartitions(file=device.name, holds=describe(rows))


def describe(rows: list[Partition]) -> str:
    """What a partition table holds, for people: `GPT: 2 partitions`."""
    count = len(rows)
    return f"{rows[0].table}: {sizes.count(count, 'partition')}"


def describe_byte(device: Device, offset: int) -> str:
    """What a byte of a partitioned disk is, as far as the tables tell."""
    if offset < C.SECTOR_BYTES:
        return _describe_first_sector(offset)
    for row in partitions(device):
        if row.base <= offset < row.base + row.size:
            return f"byte {offset - row.base} of partition {row.number} ({row.table}, type {row.type})"
    for lba, name in ((1, "first"), (device.size // C.SECTOR_BYTES - 1, "second")):
        if lba > 0 and _gpt_at(device, lba) is not None:
            header = GPT_HEADER.unpack_from(device.read(lba * C.SECTOR_BYTES, C.SECTOR_BYTES))
            table, count, entry_bytes = header[10] * C.SECTOR_BYTES, header[11], header[12]
            if offset // C.SECTOR_BYTES == lba:
                return f"the header of the {name} copy of the GPT"
            if table <= offset < table + count * entry_bytes:
                return f"entry {(offset - table) // entry_bytes + 1} of the {name} copy of the GPT"
    return "between the partitions"


def _describe_first_sector(offset: int) -> str:
    if offset >= SIGNATURE_OFFSET:
        return "the signature of the MBR"
    if offset >= ENTRIES_OFFSET:
        return f"entry {(offset - ENTRIES_OFFSET) // MBR_ENTRY.size + 1} of the MBR"
    return "the boot code of the MBR" if offset < _DISK_SIGNATURE_OFFSET else "the disk signature of the MBR"


def _mbr(sector: bytes) -> list[Partition]:
    if sector[SIGNATURE_OFFSET:] != b"\x55\xaa":
        return []
    rows = []
    for number in range(4):
        at = ENTRIES_OFFSET + number * MBR_ENTRY.size
        flag, _, kind, _, first, count = MBR_ENTRY.unpack_from(sector, at)
        if kind == 0 or count == 0:
            continue
        base, size = first * C.SECTOR_BYTES, count * C.SECTOR_BYTES
        ours = kind == C.MBR_TYPE and flag in (0, 0x80)
        rows.append(Partition(base, size, "MBR", number + 1, f"{kind:#04x}", ours))
    return rows


def _gpt(device: Device) -> list[Partition]:
    """Partitions of the first of the two GPTs (head, tail) whose checksums are right."""
    sectors = device.size // C.SECTOR_BYTES
    for lba in (1, sectors - 1):
        if 0 < lba < sectors:
            rows = _gpt_at(device, lba)
            if rows is not None:
                return rows
    return []


def _gpt_at(device: Device, lba: int) -> list[Partition] | None:
    sector = device.read(lba * C.SECTOR_BYTES, C.SECTOR_BYTES)
    header = GPT_HEADER.unpack_from(sector)
    signature, _, header_bytes, header_crc = header[:4]
    entries_lba, count, entry_bytes, entries_crc = header[10:]
    if signature != GPT_SIGNATURE or not GPT_HEADER.size <= header_bytes <= C.SECTOR_BYTES:
        return None
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:header_bytes]) != header_crc:
        return None
    if header[5] != lba or count > _GPT_ENTRIES_MAX or not 128 <= entry_bytes <= 4096:
        return None
    if entries_lba * C.SECTOR_BYTES + count * entry_bytes > device.size:
        return None
    table = device.read(entries_lba * C.SECTOR_BYTES, count * entry_bytes)
    return _gpt_rows(table, count, entry_bytes) if zlib.crc32(table) == entries_crc else None


def _gpt_rows(table: bytes, count: int, entry_bytes: int) -> list[Partition]:
    rows = []
    for number in range(count):
        kind, _, first, last, _, _ = GPT_ENTRY.unpack_from(table, number * entry_bytes)
        if not any(kind):
            continue
        size = (last - first + 1) * C.SECTOR_BYTES if last >= first else 0
        guid = str(uuid.UUID(bytes_le=kind))
        rows.append(
            Partition(first * C.SECTOR_BYTES, size, "GPT", number + 1, guid, kind == _TYPE_BYTES)
        )
    return rows
