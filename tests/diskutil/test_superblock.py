"""Superblocks: parsing one, choosing among four, the fields that must make sense together."""

from __future__ import annotations

import pytest

from khoros.diskutil import reader, superblock
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.errors import (
    DeviceError,
    KhorosError,
    NewerFormat,
    SuperblockError,
    SuperblocksDisagree,
)
from khoros.formats import constants as C
from tests.diskutil import images

NONSENSE = {
    "segment_sectors": 300, "append_sectors": 2, "log_lba": 72, "segment_count": 5, "replay_lba": 65,
    "replay_next_segment": 1 << 20, "replay_lsn": 0, "replay_transaction": 1 << 40, "incarnation": 1 << 30,
    "replay_segment_sequence": 1 << 50, "checkpoint_tag": 5 | C.KIND_TABLE << C.ID_BITS,
    "total_sectors": 1 << 62,
}


@pytest.mark.parametrize("name", NONSENSE)
def test_fields_that_make_no_sense(ship, name):
    images.forge_superblocks(ship, lambda record: {name: NONSENSE[name]})
    with pytest.raises(KhorosError, match=r"segment|superblock|truncated"):
        reader.mount(ship)


def test_the_newest_generation_is_chosen(ship):
    data = ship.read_bytes()
    device = MemoryDevice(data)
    slots = superblock.read_slots(device)
    generations = sorted({s.superblock.generation for s in slots if s.superblock})
    assert superblock.choose(slots, device).generation == generations[-1] == generations[0] + 1


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (3,), (0, 1), (2, 3), (0, 2), (0, 1, 2), (0, 1, 3)])
def test_lost_copies(ship, lost):
    """Any copy of the newest generation is enough, and of the one before when all newer ones are lost."""
    data = bytearray(ship.read_bytes())
    lbas = [lba for lba, _, _ in superblock.slot_lbas(len(data) // 512)]
    for number in lost:
        data[lbas[number] * 512 : lbas[number] * 512 + 512] = bytes(512)
    device = MemoryDevice(data)
    assert superblock.choose(superblock.read_slots(device), device).uuid


def test_copies_that_disagree(ship):
    for name, value in (("label", b"x".ljust(64, b"\0")), ("parent_crc", 1), ("epoch", 5)):
        data = bytearray(ship.read_bytes())
        device = MemoryDevice(data)
        slot = superblock.read_slots(device)[0]
        assert slot.superblock is not None
        device.write(slot.lba * 512, superblock.encode(
            slot.superblock.replace(**{name: value}), slot.lba))
        with pytest.raises(SuperblocksDisagree):
            superblock.choose(superblock.read_slots(device), device)


def test_a_newer_format_in_one_slot_is_enough(ship):
    device = MemoryDevice(ship.read_bytes())
    slot = superblock.read_slots(device)[2]
    assert slot.superblock is not None
    device.write(slot.lba * 512, superblock.encode(slot.superblock.replace(format_major=2), slot.lba))
    with pytest.raises(NewerFormat, match=r"2\.0"):
        superblock.choose(superblock.read_slots(device), device)


def test_a_larger_minor_version_is_fine(ship):
    images.forge_superblocks(ship, lambda record: {"format_minor": 7, "features_compat": 9})
    store = reader.mount(ship)
    assert store.refuses_writing() == ""
    store.close()


def test_unknown_features_for_writing(ship):
    images.forge_superblocks(ship, lambda record: {"features_ro_compat": 2})
    store = reader.mount(ship)
    assert "forbid writing" in store.refuses_writing()
    store.close()


def test_a_misplaced_copy_does_not_count(ship):
    data = bytearray(ship.read_bytes())
    data[8 * 512 : 9 * 512] = data[16 * 512 : 17 * 512]
    slot = superblock.read_slots(MemoryDevice(data))[0]
    assert slot.superblock is None
    assert isinstance(slot.error, SuperblockError)


class Unreadable(MemoryDevice):
    """A device that cannot give back some sectors."""

    lost: tuple[int, ...] = ()

    def read(self, offset: int, length: int) -> bytes:
        if offset // C.SECTOR_BYTES in self.lost:
            raise DeviceError(what="unreadable", offset=offset)
        return super().read(offset, length)


@pytest.mark.parametrize("parity", [0, 1])
def test_a_pair_that_cannot_be_read_is_not_passed_over(ship, parity):
    """One copy may be lost to a power cut; both are trouble of the device, and may have been the newest."""
    device = Unreadable(ship.read_bytes())
    pair = [lba for lba, of, _ in superblock.slot_lbas(device.size // C.SECTOR_BYTES) if of == parity]
    for lba in pair:
        device.lost = (lba,)
        assert reader.Store(device).transaction == 2
    device.lost = tuple(pair)
    with pytest.raises(DeviceError, match="unreadable"):
        reader.Store(device)
