"""Superblocks: one slot parsed, four slots judged, one written (SPEC 2).

Pure where it reads: bytes in, a `Record` or a KhorosError out. `choose` implements the choosing of SPEC 2; a slot
that does not count is reported, never fatal by itself. Integers above 2^63-1 are refused everywhere.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import constants as C
from khoros.formats import derive
from khoros.formats.superblock import MAGIC, SIZE, SUPERBLOCK

from .device import Device
from .errors import (
    ChecksumError,
    DeviceError,
    FormatError,
    KhorosError,
    NewerFormat,
    NoSuperblock,
    NotAStore,
    SuperblockError,
    SuperblocksDisagree,
    TruncatedImage,
    UnknownFeature,
)
from .records import INTEGER_MAX, Record, check_constants, check_integers

SECTORS_MAX = C.ID_MASK * C.PLACE_UNIT_BYTES // C.SECTOR_BYTES
CRC_OFFSET = derive.offset_of(SUPERBLOCK, "crc")
_SAME_FOR_ALL = (
    "uuid",
    "epoch",
    "total_sectors",
    "segment_sectors",
    "log_lba",
    "segment_count",
)


class Slot(NamedTuple):
    """One of the four slots as found: its place, and a superblock or the error that says why not."""

    lba: int
    parity: int
    head: bool
    data: bytes
    superblock: Record | None
    error: KhorosError | None


def slot_lbas(total_sectors: int) -> list[tuple[int, int, bool]]:
    """(LBA, parity of the generation, head copy?) of the four slots of a store of that size."""
    end = total_sectors - total_sectors % C.BLOCK_SECTORS
    return [
        (C.HEAD_LBA_EVEN, 0, True),
        (C.HEAD_LBA_ODD, 1, True),
        (end - C.TAIL_BACK_EVEN, 0, False),
        (end - C.TAIL_BACK_ODD, 1, False),
    ]


def parse(data: bytes, lba: int) -> Record:
    """A superblock from its sector, checked by itself. FormatError says what is wrong with it."""
    if len(data) < SIZE:
        raise SuperblockError(what="short sector", expected=SIZE, found=len(data))
    record = Record(derive.unpack(SUPERBLOCK, data))
    if record.magic != MAGIC:
        raise NotAStore(holds="wrong magic", expected=MAGIC, found=bytes(record.magic))
    computed = crc32c(bytes(data[:CRC_OFFSET]))
    if computed != record.crc:
        raise ChecksumError(
            what="the superblock", expected=f"{record.crc:#010x}", found=f"{computed:#010x}"
        )
    if record.format_major != C.FORMAT_MAJOR:
        raise NewerFormat(
            expected=f"format {C.FORMAT_MAJOR}.x",
            found=f"{record.format_major}.{record.format_minor}",
            advice="use a khoros-disk that knows that format",
        )
    check_constants(SUPERBLOCK, record, SuperblockError)
    check_integers(record, SuperblockError)
    if record.own_lba != lba:
        raise SuperblockError(what="misplaced copy", expected=f"LBA {lba}", found=record.own_lba)
    return record


def read_slots(device: Device) -> list[Slot]:
    """The four slots of the device, tail copies where the head copies say that the store ends."""
    head = [_read_slot(device, *where) for where in slot_lbas(0)[:2]]
    totals = {
        slot.superblock.total_sectors for slot in head if slot.superblock and slot.error is None
    }
    total = totals.pop() if len(totals) == 1 else device.size // C.SECTOR_BYTES
    return head + [_read_slot(device, *where) for where in slot_lbas(total)[2:]]


def _read_slot(device: Device, lba: int, parity: int, head: bool) -> Slot:
    offset = lba * C.SECTOR_BYTES
    data = b""
    try:
        data = device.read(offset, C.SECTOR_BYTES)
        record = parse(data, lba)
        if record.generation % 2 != parity:
            raise SuperblockError(
                what="generation in the wrong slot", expected=f"parity {parity}",
                found=record.generation,
            )
        return Slot(lba, parity, head, data, record, None)
    except KhorosError as error:
        error.in_file(device.name)
        if error.offset is None:
            error.offset = device.base + offset
        return Slot(lba, parity, head, data, None, error)


def choose(slots: list[Slot], device: Device) -> Record:
    """The superblock in force, or the error that refuses the image."""
    for parity in (0, 1):
        lost = [slot.error for slot in slots if slot.parity == parity and isinstance(slot.error, DeviceError)]
        if len(lost) == 2:
            # A cut leaves at most one copy so; what they said may be the newest there was.
            raise lost[0]
    for slot in slots:
        if isinstance(slot.error, NewerFormat):
            raise slot.error
    good = [slot.superblock for slot in slots if slot.superblock is not None]
    if not good:
        raise _no_superblock(slots, device)
    try:
        _check_agreement(good)
        chosen = max(good, key=lambda record: int(record.generation))
        check_features(chosen)
        if device.size < chosen.total_sectors * C.SECTOR_BYTES:
            raise TruncatedImage(
                expected=f"{chosen.total_sectors * C.SECTOR_BYTES} bytes",
                found=device.size,
                advice="the store was cut off; restore a backup",
            )
        check_geometry(chosen)
    except KhorosError as error:
        raise error.in_file(device.name) from None
    return chosen


def _no_superblock(slots: list[Slot], device: Device) -> KhorosError:
    """The most telling of the four errors: a bad copy says more than an absent one."""
    errors = [slot.error for slot in slots if slot.error is not None]
    telling = [error for error in errors if not isinstance(error, NotAStore | TruncatedImage)]
    if telling:
        worst = telling[0]
        return NoSuperblock(
            file=device.name, offset=worst.offset, expected=worst.expected, found=worst.found,
            what=worst.summary, advice="dump shows what is left of it",
        )
    if device.size == 0:
        return NotAStore(file=device.name, holds="the file is empty")
    return errors[0] if isinstance(errors[0], NotAStore) else NotAStore(
        file=device.name, holds=f"{device.size} bytes, too few for a superblock")


def _check_agreement(good: list[Record]) -> None:
    first = good[0]
    for other in good[1:]:
        for name in _SAME_FOR_ALL:
            if other[name] != first[name]:
                raise SuperblocksDisagree(what=name, expected=_show(first[name]),
                                          found=_show(other[name]))
    by_generation: dict[int, Record] = {}
    for record in good:
        twin = by_generation.setdefault(record.generation, record)
        for name in record:
            if name not in ("own_lba", "crc") and record[name] != twin[name]:
                raise SuperblocksDisagree(
                    what=f"{name} of generation {record.generation}",
                    expected=_show(twin[name]), found=_show(record[name]),
                )
    for generation, record in by_generation.items():
        before = by_generation.get(generation - 1)
        if before is not None and record.parent_crc != head_crc(before):
            raise SuperblocksDisagree(
                what=f"parent_crc of generation {generation}",
                expected=f"{head_crc(before):#010x}", found=f"{record.parent_crc:#010x}",
            )


def _show(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def check_features(record: Record) -> None:
    """UnknownFeature when reading needs something that this program does not know."""
    unknown = record.features_incompat & ~C.FEATURES_INCOMPAT
    if unknown:
        raise UnknownFeature(expected=f"features {C.FEATURES_INCOMPAT:#x}",
                             found=f"{record.features_incompat:#x}",
                             advice="use a newer khoros-disk")


def segments_of(total_sectors: int, segment_sectors: int) -> int:
    """How many whole segments fit between the head and the tail copies."""
    end = total_sectors - total_sectors % C.BLOCK_SECTORS - C.TAIL_BACK_EVEN
    return max(0, (end - C.LOG_LBA) // segment_sectors)


def check_geometry(record: Record) -> None:
    """SuperblockError unless the fields make sense together (SPEC 2, end of "Choosing")."""
    size = record.segment_sectors
    _expect("segment_sectors", C.SEGMENT_SECTORS_MIN <= size <= C.SEGMENT_SECTORS_MAX
            and size & (size - 1) == 0, "a power of two from 256 to 32768", size)
    _expect("append_sectors", record.append_sectors in (1, C.BLOCK_SECTORS), "1 or 8",
            record.append_sectors)
    _expect("log_lba", record.log_lba == C.LOG_LBA, C.LOG_LBA, record.log_lba)
    _expect("total_sectors", record.total_sectors <= SECTORS_MAX, f"at most {SECTORS_MAX}",
            record.total_sectors)
    count = segments_of(record.total_sectors, size)
    _expect("segment_count", count >= C.SEGMENTS_MIN and record.segment_count == count,
            max(count, C.SEGMENTS_MIN), record.segment_count)
    _expect("generation", record.generation >= 1, "at least 1", record.generation)
    end = record.log_lba + count * size
    _expect("replay_lba", record.log_lba <= record.replay_lba <= end
            and (record.replay_lba - record.log_lba) % record.append_sectors == 0,
            f"an append boundary from {record.log_lba} to {end}", record.replay_lba)
    _expect("replay_next_segment", record.replay_next_segment < count, f"less than {count}",
            record.replay_next_segment)
    _expect("incarnation", record.incarnation <= record.incarnation_claimed,
            f"at most {record.incarnation_claimed}", record.incarnation)
    _check_replay(record)


def _check_replay(record: Record) -> None:
    _expect("replay_segment_sequence", record.replay_segment_sequence <= C.ID_MASK,
            f"at most {C.ID_MASK}", record.replay_segment_sequence)
    _expect("replay_lsn", record.replay_lsn >= 1, "at least 1", record.replay_lsn)
    _expect("replay_transaction", record.replay_transaction <= record.replay_sequence,
            f"at most {record.replay_sequence}", record.replay_transaction)
    pointer = record.pointer("checkpoint")
    if pointer is None:
        return
    _expect("checkpoint", pointer.kind == C.KIND_CHECKPOINT, f"kind {C.KIND_CHECKPOINT}",
            pointer.kind)
    lba = pointer.place * C.PLACE_UNIT_BYTES // C.SECTOR_BYTES
    end = record.log_lba + record.segment_count * record.segment_sectors
    _expect("checkpoint", record.log_lba <= lba < end, f"LBA {record.log_lba} to {end}", lba)


def _expect(name: str, right: bool, expected: object, found: object) -> None:
    if not right:
        raise SuperblockError(what=name, expected=expected, found=found)


def head_crc(record: Record) -> int:
    """The crc that the head copy of this generation has, whichever copy the record came from."""
    lba = C.HEAD_LBA_ODD if record.generation % 2 else C.HEAD_LBA_EVEN
    return crc32c(_pack_at(record, lba))


def encode(record: Record, lba: int) -> bytes:
    """The sector of the copy that stands at `lba`."""
    body = _pack_at(record, lba)
    return body + crc32c(body).to_bytes(4, "little")


def _pack_at(record: Record, lba: int) -> bytes:
    return derive.pack(SUPERBLOCK, {**record, "own_lba": lba, "crc": 0})[:CRC_OFFSET]


def chosen_copy(record: Record) -> Record:
    """The record as reading it back would choose it: the head copy, with its crc."""
    head = C.HEAD_LBA_ODD if record.generation % 2 else C.HEAD_LBA_EVEN
    return record.replace(own_lba=head, crc=head_crc(record))


def write(device: Device, record: Record) -> None:
    """Write both copies of a generation in the order of SPEC 2, "Updating".

    What the superblock points to is flushed before the head copy can be, and the head copy is durable and read back
    before the tail copy overwrites the other place, so that at every instant one good copy points to written data.
    """
    device.flush()
    head, tail = [
        lba for lba, parity, _ in slot_lbas(record.total_sectors) if parity == record.generation % 2
    ]
    data = encode(record, head)
    device.write(head * C.SECTOR_BYTES, data)
    device.flush()
    found = device.read(head * C.SECTOR_BYTES, C.SECTOR_BYTES)
    if found != data:
        raise FormatError(file=device.name, offset=device.base + head * C.SECTOR_BYTES,
                          what="the superblock just written reads back differently",
                          advice="the medium is failing")
    device.write(tail * C.SECTOR_BYTES, encode(record, tail))
    device.flush()


def repair(device: Device, slots: list[Slot], chosen: Record) -> bool:
    """Rewrite missing or bad copies of the generation in force (SPEC 6, 5a); whether any was."""
    bad = [s for s in slots if s.parity == chosen.generation % 2
           and (s.superblock is None or s.superblock.generation != chosen.generation)]
    for slot in bad:
        device.write(slot.lba * C.SECTOR_BYTES, encode(chosen, slot.lba))
        device.flush()
    return bool(bad)


def label(record: Record) -> str:
    """The label for people; empty if there is none."""
    return bytes(record.label).rstrip(b"\0").decode("utf-8", "replace")


def identity(record: Record) -> uuid.UUID:
    """The store's uuid."""
    return uuid.UUID(bytes=bytes(record.uuid))


__all__ = ["INTEGER_MAX", "Slot", "check_features", "check_geometry", "choose", "encode",
           "head_crc", "identity", "label", "parse", "read_slots", "repair", "segments_of",
           "slot_lbas", "write"]
