"""A disk that boots Khoros by itself and holds a store: what stands around the store's partition.

    LBA 0          boot code (GRUB's, from the ISO), protective MBR
    1 … 33         GPT
    64 …           the ISO from its 32 KiB on: GRUB's core for BIOS, /boot/khoros.elf, /boot/grub/grub.cfg; a BIOS boot
                   partition covers it
    …              what the ISO ends with: a FAT with GRUB's core for UEFI, an EFI system partition
    2048 * n …     the store, a partition of its own type
    … the end      GPT, second copy

An ISO leaves its first 32 KiB to others, and its file system is found from LBA 0, partitions or not: so the boot code and the
firmware find GRUB, and GRUB the kernel, as on the CD. Pure but for reading the ISO.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple

from khoros.formats import constants as C

from . import built, gpt, sizes
from .errors import NotBuilt, UsageError
from .partition import ENTRIES_OFFSET, MBR_ENTRY

_SYSTEM_AREA_BYTES = 32 << 10
_BOOT_NAME, _UEFI_NAME, _STORE_NAME = "Khoros boot", "Khoros boot (UEFI)", "Khoros store"
_MBR_ENTRIES, _EFI_SYSTEM = 4, 0xEF


class Surroundings(NamedTuple):
    """Where the store lies in the file, in bytes, and the (offset, bytes) of everything else."""

    base: int
    size_bytes: int
    pieces: list[tuple[int, bytes]]


def surround(size_bytes: int, identify: Callable[[str], bytes], least_bytes: int) -> Surroundings:
    """The disk of that size. `identify(purpose)` gives 16 bytes for a GUID; the store gets at least `least_bytes`.

    UsageError when that does not fit, NotBuilt without an ISO.
    """
    iso = built.find("khoros.iso").read_bytes()
    total = size_bytes // C.SECTOR_BYTES
    boot_first = _SYSTEM_AREA_BYTES // C.SECTOR_BYTES
    uefi_first, uefi_count = _uefi_partition(iso)
    first = -(-len(iso) // gpt.ALIGNMENT_BYTES) * gpt.ALIGNMENT_SECTORS
    count = gpt.last_usable_lba(total) + 1 - first
    count -= count % gpt.ALIGNMENT_SECTORS
    if count * C.SECTOR_BYTES < least_bytes:
        least = first // gpt.ALIGNMENT_SECTORS + -(-least_bytes // gpt.ALIGNMENT_BYTES) + 1
        raise UsageError(what=f"{sizes.text(size_bytes)} is too small for a disk that boots",
                         advice=f"it needs {least}M")
    entries = [
        gpt.Entry(gpt.BIOS_BOOT_GUID, _guid(identify("boot partition")), boot_first, uefi_first - 1, _BOOT_NAME),
        gpt.Entry(gpt.EFI_SYSTEM_GUID, _guid(identify("UEFI partition")), uefi_first, uefi_first + uefi_count - 1, _UEFI_NAME),
        gpt.Entry(C.GPT_TYPE_GUID, _guid(identify("store partition")), first, first + count - 1, _STORE_NAME),
    ]
    pieces = [(0, gpt.protective_mbr(iso, total)), (_SYSTEM_AREA_BYTES, iso[_SYSTEM_AREA_BYTES:]),
              *gpt.tables(total, _guid(identify("disk")), entries)]
    return Surroundings(first * C.SECTOR_BYTES, count * C.SECTOR_BYTES, pieces)


def _uefi_partition(iso: bytes) -> tuple[int, int]:
    """First sector and number of sectors of the FAT that the ISO's own partition table names. NotBuilt if it is an older ISO."""
    for number in range(_MBR_ENTRIES):
        _, _, kind, _, first, count = MBR_ENTRY.unpack_from(iso, ENTRIES_OFFSET + number * MBR_ENTRY.size)
        if kind == _EFI_SYSTEM:
            return first, count
    raise NotBuilt(name="khoros.iso that boots under UEFI")


def _guid(data: bytes) -> uuid.UUID:
    """Sixteen bytes as a GUID of the random kind (RFC 4122, 4.4)."""
    return uuid.UUID(bytes=data, version=4)
