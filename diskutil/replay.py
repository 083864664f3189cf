"""Replay: what the log says after the checkpoint, and how it ends (SPEC 6, steps 3 and 4).

    position ──frame accepted──▶ next position ──…──▶ no acceptable frame: clean, torn, damaged, or an error (stale)

Frames are read in log order while they are valid; the entries of a transaction count once its commit record is reached
and agrees. Nothing is written. Promise: at most the log from the replay position on is read, each frame once, and one
sweep over what may follow the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import COMMIT, derive
from khoros.formats import constants as C

from . import entries, frames
from .device import Device
from .entries import Entry
from .errors import DamagedLog, EntryError, FrameError, KhorosError, StaleSuperblock
from .geometry import Geometry
from .records import INTEGER_MAX, Pointer, Record

COMMIT_BYTES = COMMIT.sizeof()
_USER_KINDS = entries.OBJECT_KINDS | {C.KIND_DELETE}
_SYSTEM_KINDS = _USER_KINDS | entries.PAGE_KINDS | {C.KIND_CHECKPOINT}


class Position(NamedTuple):
    """Where the log goes on: the next frame's place and number, and what it must follow."""

    lba: int
    segment: int
    segment_sequence: int
    next_segment: int
    lsn: int


class Chain(NamedTuple):
    """The last transaction: its numbers, the crc of its commit record, the next object id."""

    sequence: int
    transaction: int
    crc: int
    next_id: int


class Transaction(NamedTuple):
    """A committed transaction as its commit record tells it. `commit` points to the record."""

    record: Record
    message: str
    commit: Pointer
    frame_lba: int


class Replayed(NamedTuple):
    """The outcome. `objects` maps ids to their new pointers, None for deleted; `opened` lists (segment, sequence)."""

    position: Position
    chain: Chain
    objects: dict[int, Pointer | None]
    transactions: list[Transaction]
    opened: list[tuple[int, int]]
    frame_count: int
    verdict: str
    damage: KhorosError | None
    reason: str


class _Frame(NamedTuple):
    header: Record
    lba: int
    segment: int
    payload: bytes


def commit_record(payload: bytes) -> tuple[Record, str]:
    """A commit record's fields and message. EntryError when they do not fit together."""
    if len(payload) < COMMIT_BYTES:
        raise EntryError(what="short commit record", expected=COMMIT_BYTES, found=len(payload))
    record = Record(derive.unpack(COMMIT, payload))
    message = payload[COMMIT_BYTES:]
    if record.message_bytes != len(message) or len(message) > C.MESSAGE_BYTES_MAX:
        raise EntryError(what="message of a commit", expected=record.message_bytes,
                         found=len(message))
    return record, message.decode("utf-8", "backslashreplace")


class Replay:
    """One replay. `run` gives the outcome; StaleSuperblock and device errors are all that it raises."""

    def __init__(self, device: Device, superblock: Record, geometry: Geometry, next_id: int) -> None:
        self._device = device
        self._superblock = superblock
        self._geometry = geometry
        segment = geometry.segment_of_position(superblock.replay_lba)
        self._position = Position(superblock.replay_lba, segment, superblock.replay_segment_sequence,
                                  superblock.replay_next_segment, superblock.replay_lsn)
        self._chain = Chain(superblock.replay_sequence, superblock.replay_transaction,
                            superblock.replay_parent_crc, next_id)
        self._objects: dict[int, Pointer | None] = {}
        self._transactions: list[Transaction] = []
        self._opened: list[tuple[int, int]] = []
        self._frame_count = 0
        # What belongs to the transaction being read, and where the log stood before it.
        self._pending: list[tuple[Entry, int]] = []
        self._pending_headers: list[bytes] = []
        self._before = self._position, 0
        self._reason = ""

    def run(self) -> Replayed:
        """Read to the end of the log and judge the end."""
        damage: KhorosError | None = None
        while damage is None:
            frame = self._next_frame()
            if frame is None:
                break
            damage = self._take(frame)
        return self._outcome(damage or self._find_damage(self._position.lsn))

    def _outcome(self, damage: KhorosError | None) -> Replayed:
        """The position returned is that before an unfinished transaction: there writing goes on."""
        unfinished = bool(self._pending)
        position, opened = self._before
        in_use = bool(self._superblock.state & C.STATE_IN_USE)
        clean = not in_use and self._frame_count == 0
        verdict = "damaged" if damage else "clean" if clean else "torn"
        reason = self._reason if unfinished or damage else ""
        return Replayed(position, self._chain, self._objects, self._transactions,
                        self._opened[:opened], self._frame_count, verdict, damage, reason)

    # -- frames -----------------------------------------------------------------------------------------------

    def _candidates(self) -> Iterator[tuple[int, int, int]]:
        """(LBA, segment, sequence) where the next frame may start, in the order in which they are tried."""
        at, geometry = self._position, self._geometry
        here = (at.lba, at.segment, at.segment_sequence)
        there = (geometry.segment_lba(at.next_segment), at.next_segment, at.segment_sequence + 1)
        if at.lba < geometry.segment_lba(at.segment + 1):
            yield here
        if at.next_segment != at.segment:
            yield there

    def _next_frame(self) -> _Frame | None:
        for lba, segment, sequence in self._candidates():
            try:
                header = self._header(lba, segment, sequence)
            except FrameError as error:
                self._reason = str(error)
                continue
            try:
                return self._frame(header, lba, segment)
            except FrameError as error:
                self._reason = str(error)
                return None
        return None

    def _expected(self, lba: int, segment: int, sequence: int) -> frames.Expected:
        return frames.Expected(
            self._superblock.epoch, lba, self._position.lsn, sequence,
            self._superblock.incarnation, self._chain.crc, self._chain.sequence + 1,
            self._superblock.generation, self._geometry.segment_count,
            self._geometry.room(segment, lba))

    def _header(self, lba: int, segment: int, sequence: int) -> Record:
        header = frames.header(self._device.read(lba * C.SECTOR_BYTES, C.SECTOR_BYTES))
        self._check_stale(header, lba)
        frames.check_identity(header, self._expected(lba, segment, sequence))
        return header

    def _frame(self, header: Record, lba: int, segment: int) -> _Frame:
        length = frames.span(header.payload_bytes, self._geometry.append_sectors)
        payload = frames.body(header, self._device.read(lba * C.SECTOR_BYTES, length))
        return _Frame(header, lba, segment, payload)

    def _advance(self, frame: _Frame) -> None:
        at, header = self._position, frame.header
        if frame.segment != at.segment:
            self._opened.append((frame.segment, header.segment_sequence))
        length = frames.span(header.payload_bytes, self._geometry.append_sectors)
        self._position = Position(frame.lba + length // C.SECTOR_BYTES, frame.segment,
                                  header.segment_sequence, header.next_segment, at.lsn + 1)
        self._frame_count += 1

    # -- transactions -----------------------------------------------------------------------------------------

    def _take(self, frame: _Frame) -> KhorosError | None:
        """Add a frame to the transaction being read; apply the transaction when it is complete.

        A frame whose checksum is right and whose entries are not was never torn: that is damage.
        """
        base = frame.lba * C.SECTOR_BYTES + frames.HEADER_BYTES
        try:
            last = self._collect(frame, base)
            if last is not None:
                self._commit(frame, last, base)
        except KhorosError as error:
            return self._damaged(str(error), frame.lba)
        self._advance(frame)
        if last is not None:
            self._pending, self._pending_headers = [], []
            self._before = self._position, len(self._opened)
        return None

    def _collect(self, frame: _Frame, base: int) -> Entry | None:
        """Take in a frame's entries. Returns the commit record's if it ends the transaction."""
        last = None
        for row in entries.walk(frame.payload, frame.header.entry_count):
            entries.verify(frame.payload, row)
            if last is not None:
                raise EntryError(what="an entry after the commit record", offset=row.offset)
            if row.kind == C.KIND_COMMIT:
                last = row
            else:
                self._add(row, base, frame.payload)
        return last

    def _add(self, row: Entry, base: int, payload: bytes) -> None:
        self._pending.append((row, base + row.offset))
        self._pending_headers.append(payload[row.offset : row.offset + entries.HEADER_BYTES])

    def _commit(self, frame: _Frame, last: Entry, base: int) -> None:
        record, message = commit_record(entries.verify(frame.payload, last))
        user = record.commit_kind == C.COMMIT_USER
        self._agree(record, last)
        self._check_entries(_USER_KINDS if user else _SYSTEM_KINDS, record.next_id)
        # Objects that a checkpoint moves are found through its pages only (SPEC 5).
        if not self._has_checkpoint():
            for row, offset in self._pending:
                self._apply(row, offset)
        place = (base + last.offset) // C.PLACE_UNIT_BYTES
        pointer = Pointer(place, C.KIND_COMMIT, last.payload_bytes, last.crc)
        self._transactions.append(Transaction(record, message, pointer, frame.lba))
        next_id = max(self._chain.next_id, record.next_id)
        self._chain = Chain(record.sequence, record.transaction, last.crc, next_id)

    def _check_entries(self, kinds: frozenset[int], next_id: int) -> None:
        """EntryError for an entry that such a transaction cannot have, or an id twice."""
        seen: set[int] = set()
        moving = self._has_checkpoint()
        for row, _ in self._pending:
            if row.kind not in kinds or (row.kind == C.KIND_DELETE and (row.payload_bytes or moving)):
                raise EntryError(what="kind of an entry", expected="one that such a transaction has",
                                 found=entries.kind_name(row.kind))
            if row.kind in entries.PAGE_KINDS or row.kind == C.KIND_CHECKPOINT:
                continue
            if not C.ROOT_ID <= row.id < next_id or (row.id in seen and not moving):
                raise EntryError(what="id of an object", expected=f"each once, below {next_id}",
                                 found=row.id)
            seen.add(row.id)

    def _has_checkpoint(self) -> bool:
        return any(row.kind == C.KIND_CHECKPOINT for row, _ in self._pending)

    def _agree(self, record: Record, last: Entry) -> None:
        """EntryError that names the first field of a commit record that its transaction contradicts."""
        user = record.commit_kind == C.COMMIT_USER
        truth = {
            "sequence": self._chain.sequence + 1,
            "transaction": self._chain.transaction + (1 if user else 0),
            "entry_count": len(self._pending),
            "content_bytes": sum(row.payload_bytes for row, _ in self._pending),
            "content_crc": crc32c(b"".join(self._pending_headers)),
            "parent_crc": self._chain.crc,
        }
        for name, value in truth.items():
            if record[name] != value:
                raise EntryError(what=f"{name} of a commit", expected=value, found=record[name])
        if record.commit_kind not in (C.COMMIT_USER, C.COMMIT_SYSTEM):
            raise EntryError(what="commit_kind", expected="0 or 1", found=record.commit_kind)
        if last.id != record.sequence & C.ID_MASK:
            raise EntryError(what="id of a commit", expected=record.sequence, found=last.id)
        if not C.FIRST_FREE_ID <= record.next_id <= C.ID_MASK + 1:
            raise EntryError(what="next_id", expected=f"{C.FIRST_FREE_ID} to 2^48",
                             found=record.next_id)
        if record.time > INTEGER_MAX:
            raise EntryError(what="time", expected="at most 2^63-1", found=record.time)

    def _apply(self, row: Entry, offset: int) -> None:
        if row.kind in entries.OBJECT_KINDS:
            self._objects[row.id] = Pointer(offset // C.PLACE_UNIT_BYTES, row.kind,
                                            row.payload_bytes, row.crc)
        elif row.kind == C.KIND_DELETE:
            self._objects[row.id] = None

    # -- the end ----------------------------------------------------------------------------------------------

    def _damaged(self, what: str, lba: int) -> DamagedLog:
        return DamagedLog(file=self._device.name, what=what, advice="only reading is possible",
                          offset=self._device.base + lba * C.SECTOR_BYTES)

    def _own_header(self, data: bytes, lba: int) -> Record | None:
        """A header that is valid in itself, of this store and incarnation, and where it belongs."""
        if not frames.has_magic(data):
            return None
        try:
            header = frames.header(data)
        except FrameError:
            return None
        own = (header.epoch == self._superblock.epoch and header.lba == lba
               and header.incarnation == self._superblock.incarnation)
        return header if own else None

    def _check_stale(self, header: Record, lba: int) -> None:
        own = header.epoch == self._superblock.epoch and header.lba == lba
        if own and header.generation > self._superblock.generation:
            raise StaleSuperblock(
                file=self._device.name, offset=self._device.base + lba * C.SECTOR_BYTES,
                expected=f"generation {header.generation}", found=self._superblock.generation,
                advice="nothing is written to it; restore a backup")

    def _find_damage(self, expected_lsn: int) -> KhorosError | None:
        """Whether a frame further on says that the missing one was durable: then it is not torn, it is lost.

        The rest of the segment is swept, then the segments that follow as far as the newest frame found names them,
        and at least the next one.
        """
        at, geometry = self._position, self._geometry
        # The missing frame itself may have a good header, and fill its segment: then only it names the next one.
        newest, following = expected_lsn - 1, at.next_segment
        segment, start, visited = at.segment, at.lba, {at.segment}
        while True:
            before = newest
            for lba, header in self._headers(segment, start):
                if header.lsn < expected_lsn:
                    continue
                if expected_lsn <= header.durable_lsn < header.lsn:
                    return self._damaged(
                        f"frame {expected_lsn} is unreadable ({self._reason}) and frame "
                        f"{header.lsn} at LBA {lba} says that it was durable", at.lba)
                if header.lsn > newest and header.next_segment < geometry.segment_count:
                    newest, following = header.lsn, header.next_segment
            if following in visited or (len(visited) > 1 and newest == before):
                return None
            segment, start = following, geometry.segment_lba(following)
            visited.add(segment)

    def _headers(self, segment: int, start_lba: int) -> list[tuple[int, Record]]:
        """Every header of this incarnation on the append boundaries from a sector to the end of its segment."""
        unit, found = self._geometry.append_bytes, []
        length = self._geometry.room(segment, start_lba)
        data = self._device.read(start_lba * C.SECTOR_BYTES, length) if length else b""
        at = data.find(frames.MAGIC)
        while at >= 0:
            if at % unit == 0:
                lba = start_lba + at // C.SECTOR_BYTES
                header = self._own_header(data[at : at + frames.HEADER_BYTES], lba)
                if header is not None:
                    found.append((lba, header))
            at = data.find(frames.MAGIC, (at // unit + 1) * unit)
        return found
