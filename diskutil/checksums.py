"""Makes every checksum of an image right again after a hand edit, so that the edit reaches the check behind them.

    frames in log order: each entry's pointers and crc ──▶ commit records: content and parent ──▶ frame headers ──▶ superblocks

For fuzzers and tests: nothing here says that an image is good, and what a power cut has torn becomes whole. Only checksums
change, and the crc fields of pointers that were right before (a pointer is right if it has the crc that its entry states). What
cannot be walked, because a length or a magic was edited, is left as it is. A good image stays byte for byte as it is. Works in
place, without a thought for power cuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from construct import Construct
from google_crc32c import value as crc32c

from khoros.formats import CHECKPOINT, COMMIT, FRAME_HEADER, POINTER, SNAPSHOT, SUPERBLOCK, derive
from khoros.formats import constants as C
from khoros.formats.superblock import MAGIC as SUPERBLOCK_MAGIC

from . import entries, frames, superblock
from .device import Device
from .errors import KhorosError, NoSuperblock
from .geometry import Geometry
from .records import Record

_SLOT = derive.packer(POINTER)
_EMPTY_SLOT = bytes(_SLOT.size)
_CRC_BYTES = 4
# Asked once: these are worked out field by field, and a scan over an image needs them thousands of times.
_CHECKPOINT_BYTES, _SNAPSHOT_BYTES, _COMMIT_BYTES = CHECKPOINT.sizeof(), SNAPSHOT.sizeof(), COMMIT.sizeof()
_POINTER_CRC = derive.offset_of(POINTER, "crc")
_PAGES = entries.PAGE_KINDS


class _Frame(NamedTuple):
    """A frame as its header says, right or wrong. `offset` of the header; `transaction`: incarnation and sequence."""

    lsn: int
    offset: int
    payload_bytes: int
    entry_count: int
    transaction: tuple[int, int]


class _Mending:
    """One pass over an image. `changed` counts the checksums that were wrong, by what they protect."""

    def __init__(self, device: Device) -> None:
        """NoSuperblock when no copy has the magic."""
        self._device = device
        self.changed: Counter[str] = Counter()
        self._copies = _superblocks(device)
        if not self._copies:
            raise NoSuperblock(file=device.name, what="no copy has the magic")
        self._geometry = _geometry_of(self._copies.values())
        # (place, old crc) -> new crc of every entry; old -> new crc of commit records.
        self._entries: dict[tuple[int, int], int] = {}
        self._commits: dict[int, int] = {}
        # Headers of the entries of each transaction, as far as they were met.
        self._headers: dict[tuple[int, int], list[bytes]] = {}

    def run(self, *, write: bool) -> Counter[str]:
        """Mend everything; without `write` only count. Returns `changed`."""
        for frame in self._frames():
            before = self._device.read(frame.offset, frames.HEADER_BYTES + frame.payload_bytes)
            after = self._frame(frame, bytearray(before))
            if after != before and write:
                self._device.write(frame.offset, bytes(after))
        self._mend_superblocks(write)
        if write:
            self._device.flush()
        return self.changed

    def _count(self, what: str, data: bytearray, at: int, crc: int) -> None:
        """Put a checksum in its place."""
        value = crc.to_bytes(_CRC_BYTES, "little")
        if data[at : at + _CRC_BYTES] != value:
            self.changed[what] += 1
            data[at : at + _CRC_BYTES] = value

    # -- the log ----------------------------------------------------------------------------------------------

    def _frames(self) -> list[_Frame]:
        """Everything that begins like a frame and has a possible length, in log order."""
        found: list[_Frame] = []
        geometry = self._geometry
        if geometry is None:
            return found
        end = min(geometry.end_lba * C.SECTOR_BYTES, self._device.size)
        start = geometry.log_lba * C.SECTOR_BYTES
        at = self._device.next_data(start)
        while at + geometry.append_bytes <= end:
            at -= (at - start) % geometry.append_bytes
            frame = self._frame_at(at, geometry)
            if frame is None:
                at = self._device.next_data(at + geometry.append_bytes)
                continue
            found.append(frame)
            at += frames.span(frame.payload_bytes, geometry.append_sectors)
        return sorted(found)

    def _frame_at(self, at: int, geometry: Geometry) -> _Frame | None:
        head = self._device.read(at, frames.HEADER_BYTES)
        if not frames.has_magic(head):
            return None
        header = Record(derive.unpack(FRAME_HEADER, head))
        if not geometry.holds(at, frames.HEADER_BYTES + header.payload_bytes):
            return None
        return _Frame(header.lsn, at, header.payload_bytes, header.entry_count,
                      (header.incarnation, header.sequence))

    def _frame(self, frame: _Frame, data: bytearray) -> bytearray:
        """The frame with right checksums."""
        body = bytearray(data[frames.HEADER_BYTES :])
        try:
            for row in entries.walk(bytes(body), frame.entry_count):
                self._entry(row, body, frame)
        except KhorosError:
            # A length was edited: the entries behind it cannot be found, nor the content of the transaction.
            self._headers.pop(frame.transaction, None)
        data[frames.HEADER_BYTES :] = body
        parent_at = derive.offset_of(FRAME_HEADER, "parent_crc")
        self._count("parent of a frame", data, parent_at, self._parent_crc(data, parent_at))
        self._count("payload of a frame", data, derive.offset_of(FRAME_HEADER, "payload_crc"),
                    crc32c(bytes(body)))
        self._count("header of a frame", data, frames.CRC_OFFSET, crc32c(bytes(data[: frames.CRC_OFFSET])))
        return data

    def _parent_crc(self, data: bytearray, at: int) -> int:
        old = int.from_bytes(data[at : at + _CRC_BYTES], "little")
        return self._commits.get(old, old)

    def _entry(self, row: entries.Entry, body: bytearray, frame: _Frame) -> None:
        base, start = frame.offset + frames.HEADER_BYTES, row.offset + entries.HEADER_BYTES
        headers = self._headers.setdefault(frame.transaction, [])
        payload = bytearray(body[start : start + row.payload_bytes])
        self._payload(row.kind, payload, headers)
        body[start : start + row.payload_bytes] = payload
        crc = crc32c(bytes(body[row.offset : row.offset + entries.CRC_OFFSET]) + bytes(payload))
        self._count("entry", body, row.offset + entries.CRC_OFFSET, crc)
        self._entries[(base + row.offset) // C.PLACE_UNIT_BYTES, row.crc] = crc
        if row.kind == C.KIND_COMMIT:
            self._commits[row.crc] = crc
        else:
            headers.append(bytes(body[row.offset : row.offset + entries.HEADER_BYTES]))

    def _payload(self, kind: int, payload: bytearray, headers: list[bytes]) -> None:
        """Pointers, and what a commit record says of others."""
        if kind in _PAGES:
            for at in range(0, len(payload) - _SLOT.size + 1, _SLOT.size):
                if payload[at : at + _SLOT.size] != _EMPTY_SLOT:
                    self._pointer(payload, at)
        elif kind == C.KIND_CHECKPOINT:
            self._pointers(CHECKPOINT, payload, 0)
            for at in range(_CHECKPOINT_BYTES, len(payload) - _SNAPSHOT_BYTES + 1, _SNAPSHOT_BYTES):
                self._pointers(SNAPSHOT, payload, at)
        elif kind == C.KIND_COMMIT and len(payload) >= _COMMIT_BYTES:
            self._pointers(COMMIT, payload, 0)
            if derive.unpack(COMMIT, bytes(payload))["entry_count"] == len(headers):
                self._count("content of a transaction", payload,
                            derive.offset_of(COMMIT, "content_crc"), crc32c(b"".join(headers)))
            at = derive.offset_of(COMMIT, "parent_crc")
            self._count("parent of a transaction", payload, at, self._parent_crc(payload, at))

    def _pointers(self, schema: Construct, data: bytearray, base: int) -> None:
        for field in derive.fields(schema):
            if field.name.endswith("_tag") and base + field.offset + _SLOT.size <= len(data):
                self._pointer(data, base + field.offset)

    def _pointer(self, data: bytearray, at: int) -> None:
        """A segment record is none; its numbers are no place and crc of an entry."""
        tag, _, crc = _SLOT.unpack_from(data, at)
        new = self._entries.get((tag & C.ID_MASK, crc))
        if new is not None:
            self._count("pointer", data, at + _POINTER_CRC, new)

    # -- superblocks ------------------------------------------------------------------------------------------

    def _mend_superblocks(self, write: bool) -> None:
        """Generation by generation: each names the crc that the one before has now."""
        heads: dict[int, int] = {}
        for lba, record in sorted(self._copies.items(), key=lambda row: (int(row[1].generation), row[0])):
            before = self._device.read(lba * C.SECTOR_BYTES, superblock.SIZE)
            data = bytearray(before)
            self._pointers(SUPERBLOCK, data, 0)
            at = derive.offset_of(SUPERBLOCK, "replay_parent_crc")
            self._count("parent in a superblock", data, at, self._parent_crc(data, at))
            if record.generation - 1 in heads:
                self._count("parent of a superblock", data, derive.offset_of(SUPERBLOCK, "parent_crc"),
                            heads[record.generation - 1])
            self._count("superblock", data, superblock.CRC_OFFSET,
                        crc32c(bytes(data[: superblock.CRC_OFFSET])))
            # Copies of one generation are alike but for their place: either tells the crc of the head copy.
            heads.setdefault(record.generation, superblock.head_crc(
                Record(derive.unpack(SUPERBLOCK, bytes(data)))))
            if data != before and write:
                self._device.write(lba * C.SECTOR_BYTES, bytes(data))


def _superblocks(device: Device) -> dict[int, Record]:
    """LBA -> fields of the copies that have the magic, whatever else they say."""
    found: dict[int, Record] = {}
    totals = {device.size // C.SECTOR_BYTES}
    for lba, _, head in superblock.slot_lbas(0):
        if head:
            totals |= {int(row.total_sectors) for row in _copy_at(device, lba, found)}
    for total in totals:
        for lba, _, head in superblock.slot_lbas(total):
            if not head:
                _copy_at(device, lba, found)
    return found


def _copy_at(device: Device, lba: int, found: dict[int, Record]) -> list[Record]:
    """Add the copy that stands there to `found`, if there is one; returns it in a list."""
    if not 0 < lba < device.size // C.SECTOR_BYTES:
        return []
    data = device.read(lba * C.SECTOR_BYTES, superblock.SIZE)
    if data[: len(SUPERBLOCK_MAGIC)] != SUPERBLOCK_MAGIC:
        return []
    found[lba] = Record(derive.unpack(SUPERBLOCK, data))
    return [found[lba]]


def _geometry_of(copies: Iterable[Record]) -> Geometry | None:
    """The geometry that the newest copy with a possible one states. None: the log cannot be found."""
    for record in sorted(copies, key=lambda row: -int(row.generation)):
        try:
            superblock.check_geometry(record)
        except KhorosError:
            continue  # an edited copy; its checksum is made right all the same
        return Geometry.of(record)
    return None


def mend(device: Device, *, write: bool = True) -> Counter[str]:
    """Make every checksum right; how many of each kind were wrong. NoSuperblock when no copy has the magic."""
    return _Mending(device).run(write=write)


def frames_of(device: Device) -> Iterator[tuple[int, int, int]]:
    """(offset, payload bytes, entries) of every frame header in the log, in log order, right or wrong."""
    for frame in _Mending(device)._frames():
        yield frame.offset, frame.payload_bytes, frame.entry_count
