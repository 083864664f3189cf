"""The structures of an image in the order of their places, whether good or bad: what `khoros-disk dump` prints.

Works on images that cannot be mounted: geometry comes from the superblock in force, else from any copy whose checksum
is right, else the whole device is searched for frames. Nothing here raises for bad bytes; they are rows marked bad.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from google_crc32c import extend as crc32c_extend
from google_crc32c import value as crc32c

from khoros.formats import constants as C

from . import entries, frames, replay, scan, structures, superblock
from .device import Device
from .errors import EntryError, KhorosError, NotAStore, one_line
from .geometry import Geometry
from .reader import Store
from .records import Record
from .segments import parse as parse_segment
from .structures import Part
from .superblock import Slot


class Row(NamedTuple):
    """One structure. `offset` in bytes from the store's start, `depth` how far inside others it stands.

    `crcs` are (name, stated, computed); `data` its bytes; `bad` what is wrong, or empty; `level` says what kind of row
    it is: superblock, segment, frame, entry; `kind` and `id` are an entry's.
    """

    offset: int
    length: int
    depth: int
    level: str
    title: str
    text: str
    crcs: list[tuple[str, int, int]]
    data: bytes
    bad: str
    kind: int = 0
    id: int = 0

    def parts(self) -> list[Part]:
        """The row's bytes taken apart; offsets from the row's start."""
        if self.level == "superblock":
            return structures.superblock(self.data)
        if self.level == "frame":
            return structures.frame_header(self.data)
        if self.level == "entry":
            return structures.entry(self.kind, self.data)
        return []


class Dump:
    """What can be said of a device. `store` is None when it cannot be mounted; `problem` then says why."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.slots: list[Slot] = []
        self.store: Store | None = None
        self.problem: KhorosError | None = None
        try:
            self.slots = superblock.read_slots(device)
            self.store = Store(device)
        except KhorosError as error:
            self.problem = error
        self.block = self._any_superblock()
        self.geometry = self._geometry()
        self.end_lsn = self.store.replayed.position.lsn if self.store else 1 << 62

    def _any_superblock(self) -> Record | None:
        if self.store is not None:
            return self.store.superblock
        good = [slot.superblock for slot in self.slots if slot.superblock is not None]
        for record in sorted(good, key=lambda r: -int(r.generation)):
            try:
                superblock.check_geometry(record)
            except KhorosError:
                continue
            return record
        return None

    def _geometry(self) -> Geometry:
        """The store's; without one the largest segments, in which smaller ones lie whole, and frames on any sector."""
        if self.block is not None:
            return Geometry.of(self.block)
        sectors = max(self.device.size // C.SECTOR_BYTES - C.LOG_LBA, 0)
        count = -(-sectors // C.SEGMENT_SECTORS_MAX)
        return Geometry(C.LOG_LBA, C.SEGMENT_SECTORS_MAX, count, 1)

    # -- rows -------------------------------------------------------------------------------------------------

    def rows(self, all_segments: bool = False) -> Iterator[Row]:
        """Every structure, superblocks first, then segment by segment."""
        for slot in self.slots:
            if 0 <= slot.lba * C.SECTOR_BYTES < self.device.size:
                yield slot_row(slot)
        segment = 0
        while segment < self.geometry.segment_count:
            offset = self.geometry.segment_lba(segment) * C.SECTOR_BYTES
            following = self.device.next_data(offset)
            if following >= offset + self.geometry.segment_bytes:
                # A hole: nothing was ever written there.
                segment = self.geometry.segment_of(following // C.SECTOR_BYTES)
                continue
            yield from self.segment_rows(segment, all_segments)
            segment += 1

    def segment_rows(self, segment: int, all_segments: bool = False) -> Iterator[Row]:
        """A segment, its frames and their entries; nothing for one that holds no log."""
        sequence, state = self._state_of(segment)
        stale = state in ("free", "pending")
        if (stale and not all_segments) or not self._has_frames(segment, sequence):
            return
        base = self.geometry.segment_lba(segment) * C.SECTOR_BYTES
        length = min(self.geometry.segment_bytes, self.device.size - base)
        data = self.device.read(base, length)
        text = f"{state}, sequence {sequence}" if state else ""
        title = Row(base, length, 0, "segment", f"segment {segment}", text, [], b"", "")
        epoch = self.block.epoch if self.block is not None else None
        walk = scan.Walk(data, base, self.geometry, epoch, None if stale else sequence,
                         loose=self.block is None)
        for number, found in enumerate(walk.frames()):
            if number == 0:
                yield title
            yield from self._frame_rows(found, data, base)

    def _state_of(self, segment: int) -> tuple[int | None, str]:
        """Sequence and state as the segment table and replay tell them; (None, "") when neither does."""
        if self.store is None:
            return None, ""
        replayed = self.store.replayed
        for number, sequence in [*replayed.opened,
                                 (replayed.position.segment, replayed.position.segment_sequence)]:
            if number == segment:
                return sequence, "open"
        try:
            fields = self.store.segments.slot(segment)
        except KhorosError:
            return None, ""
        row = parse_segment(fields)
        return row.sequence, structures.SEGMENT_STATES.get(row.state, f"state {row.state}")

    def _has_frames(self, segment: int, sequence: int | None) -> bool:
        if sequence is not None and self.block is not None:
            return True
        base = self.geometry.segment_lba(segment) * C.SECTOR_BYTES
        if base + C.SECTOR_BYTES > self.device.size:
            return False
        return self.block is None or frames.has_magic(self.device.read(base, C.SECTOR_BYTES))

    def _frame_rows(self, found: scan.Found, data: bytes, base: int) -> Iterator[Row]:
        at = found.offset - base
        head = data[at : at + frames.HEADER_BYTES]
        if found.header is None:
            bad = one_line(str(found.error))
            yield Row(found.offset, 0, 1, "frame", "frame", "", [], head, bad)
            return
        header = found.header
        beyond = " (after the end of the log)" if header.lsn >= self.end_lsn else ""
        body = data[at + frames.HEADER_BYTES :][: header.payload_bytes]
        crcs = [("header crc", header.header_crc, crc32c(head[: frames.CRC_OFFSET])),
                ("payload crc", header.payload_crc, crc32c(body))]
        text = (f"lsn {header.lsn}, sequence {header.sequence}, {header.entry_count} entries, "
                f"{header.payload_bytes} bytes{beyond}")
        bad = "" if found.error is None or beyond else one_line(str(found.error))
        yield Row(found.offset, found.length, 1, "frame", "frame", text, crcs, head, bad)
        yield from _entry_rows(body, header.entry_count, found.offset + frames.HEADER_BYTES)

    # -- one place --------------------------------------------------------------------------------------------

    def at(self, offset: int) -> tuple[list[Row], str]:
        """The structures that contain a byte, outermost first, and what the place is when there is none."""
        sector = offset // C.SECTOR_BYTES
        for slot in self.slots:
            if slot.lba == sector:
                return [slot_row(slot)], "a superblock copy"
        log_lba = self.geometry.log_lba
        if sector < log_lba:
            return [], "before the log: not used by the store"
        segment = self.geometry.segment_of(sector)
        if segment >= self.geometry.segment_count:
            return [], "after the last segment: not used by the store"
        inside = [row for row in self.segment_rows(segment, all_segments=True)
                  if row.offset <= offset < row.offset + row.length]
        if not inside:
            return [], f"segment {segment}, which holds no log"
        last = inside[-1]
        if last.level == "segment":
            return inside, "after the last frame of its segment"
        if last.level == "frame" and offset >= last.offset + frames.HEADER_BYTES:
            return inside, "padding after the entries of a frame"
        return inside, ""

    def standing(self, row: Row) -> str:
        """What an entry is to the store now: in use, or left behind; empty where that is no question."""
        if self.store is None or row.level != "entry" or row.bad:
            return ""
        if row.kind in entries.OBJECT_KINDS:
            return self._standing_of_object(row)
        trees = {C.KIND_OBJECT_PAGE: self.store.objects, C.KIND_SEGMENT_PAGE: self.store.segments,
                 C.KIND_TRANSACTION_PAGE: self.store.transactions}
        if row.kind in trees:
            current = any(pointer.offset == row.offset for _, _, pointer, _ in trees[row.kind].pages())
            return "a page of a current index" if current else "a page of an index of the past"
        if row.kind == C.KIND_CHECKPOINT:
            pointer = self.store.superblock.pointer("checkpoint")
            current = pointer is not None and pointer.offset == row.offset
            return "the newest checkpoint" if current else "a checkpoint of the past"
        return ""

    def _standing_of_object(self, row: Row) -> str:
        assert self.store is not None
        pointer = self.store.pointer(row.id)
        if pointer is None:
            return f"object {row.id}, which exists no longer"
        if pointer.offset != row.offset:
            return f"an old version of object {row.id}, which stands at byte {pointer.offset + self.device.base} now"
        return f"object {row.id} as it is now"


def slot_row(slot: Slot) -> Row:
    """A superblock copy as found."""
    copy = f"{'head' if slot.head else 'tail'} copy, {'odd' if slot.parity else 'even'} generations"
    offset = slot.lba * C.SECTOR_BYTES
    if slot.data and not any(slot.data):
        return Row(offset, C.SECTOR_BYTES, 0, "superblock", "superblock", f"{copy}: never written",
                   [], slot.data, "")
    at = superblock.CRC_OFFSET
    crcs = [("crc", int.from_bytes(slot.data[at:], "little"), crc32c(slot.data[:at]))] if (
        slot.data) else []
    if slot.superblock is None:
        if isinstance(slot.error, NotAStore):
            crcs = []
        return Row(offset, C.SECTOR_BYTES, 0, "superblock", "superblock", copy, crcs, slot.data,
                   one_line(str(slot.error)))
    record = slot.superblock
    state = "in use" if record.state & C.STATE_IN_USE else "not in use"
    text = (f"generation {record.generation}, t{record.replay_transaction}, {state}, {copy}, "
            f"LBA {slot.lba}")
    return Row(offset, C.SECTOR_BYTES, 0, "superblock", "superblock", text, crcs, slot.data, "")


def _entry_rows(payload: bytes, count: int, base: int) -> Iterator[Row]:
    rows = entries.walk(payload, count)
    while True:
        try:
            row = next(rows, None)
        except EntryError as error:
            at = base + (error.offset or 0)
            error.offset = None
            yield Row(at, 0, 2, "entry", "entry", "", [], b"", one_line(str(error)))
            return
        if row is None:
            return
        yield _entry_row(row, payload, base)


def _entry_row(row: entries.Entry, payload: bytes, base: int) -> Row:
    length = entries.size(row.payload_bytes)
    data = payload[row.offset : row.offset + length]
    body = data[entries.HEADER_BYTES : entries.HEADER_BYTES + row.payload_bytes]
    computed = crc32c_extend(crc32c(data[: entries.CRC_OFFSET]), body)
    bad = ""
    try:
        entries.verify(payload, row)
    except EntryError as error:
        error.offset = None
        bad = one_line(str(error))
    title = f"{entries.kind_name(row.kind)} {row.id}"
    text = f"{row.payload_bytes} bytes"
    if row.kind == C.KIND_COMMIT and not bad:
        title, text = _commit_text(body, title, text)
    return Row(base + row.offset, length, 2, "entry", title, text,
               [("crc", row.crc, computed)], data, bad, row.kind, row.id)


def _commit_text(body: bytes, title: str, text: str) -> tuple[str, str]:
    try:
        record, message = replay.commit_record(body)
    except EntryError:
        return title, text
    what = "commit" if record.commit_kind == C.COMMIT_USER else "system commit"
    return (f"{what} t{record.transaction}",
            f"sequence {record.sequence}, {record.entry_count} entries, {record.content_bytes} bytes"
            + (f", {one_line(message)!r}" if message else ""))
