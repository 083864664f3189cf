"""The past of a store: its state as of any transaction that is still kept (SPEC 6, "The past").

    t before the newest checkpoint:  commit record of t ──▶ the checkpoint that t followed ──▶ replay up to t
    t since the newest checkpoint:   the newest checkpoint ──▶ replay up to t
    t that a snapshot keeps:         the snapshot's index, when the log no longer tells

History is the log itself, so nothing but the log is read. Promise: what a `PastStore` gives is exactly the state that the
transaction left, every frame of the way verified, or there is an error: NoSuchTransaction for a number that never was,
NoLongerKept for one whose log was given up for space, DamagedLog when a frame on the way is bad.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from khoros.formats import constants as C

from . import entries, frames, replay
from .errors import (
    FormatError,
    FrameError,
    KhorosError,
    NoLongerKept,
    NoSuchTransaction,
    UsageError,
)
from .index import Index
from .reader import Store
from .records import Pointer, Record
from .replay import Replay, Replayed, Transaction
from .segments import parse as parse_segment

_NUMBER = re.compile(r"t?(\d{1,19})")


def number_of(transaction: object) -> int:
    """The number of a transaction given as 4, "4", "t4", or anything with a `transaction`. UsageError for others."""
    value = getattr(transaction, "transaction", transaction)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UsageError(what=f"not a transaction: {transaction}", advice="write t4 or 4")
    return int(match[1])


class PastReplay(Replay):
    """Replays the log from a checkpoint of the past up to one transaction.

    The superblock of that time is gone, so two of its answers come from elsewhere: a mount may have begun anywhere, so a
    frame's incarnation may grow (what makes a stale frame impossible is the chain: lsn, sequence, crc of the commit before);
    and when the log went on where no frame says, the segment table knows which segment has the next sequence.
    """

    def __init__(self, now: Store, start: Record, next_id: int, until: int) -> None:
        """`start` is a superblock whose replay fields say where the log goes on."""
        super().__init__(now.device, start, now.geometry, next_id)
        self._now = now
        self._until = until
        self._incarnation = int(start.incarnation)
        self._segments: dict[int, int] | None = None

    def run_past(self) -> Replayed:
        """The state after transaction `until`; DamagedLog when the way there cannot be read."""
        while self._chain.transaction < self._until or self._pending:
            frame = self._next_frame()
            if frame is None:
                raise self._damaged(f"t{self._until} cannot be rebuilt, frame {self._position.lsn} "
                                    f"is unreadable: {self._reason}", self._position.lba)
            damage = self._take(frame)
            if damage is not None:
                raise damage
            self._incarnation = frame.header.incarnation
        return self._outcome(None)

    def _candidates(self) -> Iterator[tuple[int, int, int]]:
        yield from super()._candidates()
        following = self._position.segment_sequence + 1
        if self._segments is None:
            self._segments = segments_by_sequence(self._now)
        segment = self._segments.get(following)
        if segment is not None and segment != self._position.next_segment:
            yield self._geometry.segment_lba(segment), segment, following

    def _header(self, lba: int, segment: int, sequence: int) -> Record:
        header = frames.header(self._device.read(lba * C.SECTOR_BYTES, C.SECTOR_BYTES))
        last = self._superblock.incarnation_claimed
        if not self._incarnation <= header.incarnation <= last:
            raise FrameError(what="incarnation", expected=f"{self._incarnation} to {last}",
                             found=header.incarnation)
        expected = self._expected(lba, segment, sequence)
        frames.check_identity(header, expected._replace(incarnation=header.incarnation))
        return header


def segments_by_sequence(store: Store) -> dict[int, int]:
    """segment_sequence -> number of every segment that holds log, what was opened since the checkpoint included."""
    found = {}
    for segment, fields in store.segments.items():
        row = parse_segment(fields)
        if row.state in (C.SEGMENT_OPEN, C.SEGMENT_FULL, C.SEGMENT_BAD):
            found[row.sequence] = segment
    found.update({sequence: segment for segment, sequence in store.replayed.opened})
    position = store.replayed.position
    found[position.segment_sequence] = position.segment
    return found


class PastStore(Store):
    """A store as it was after a transaction: `Store` for whoever only reads. Its device belongs to the present one."""

    def __init__(self, now: Store, transaction: int) -> None:
        """NoSuchTransaction, NoLongerKept, or the KhorosError that the way there met."""
        if transaction > now.transaction:
            raise NoSuchTransaction(file=now.device.name, name=f"t{transaction}",
                                    advice=f"the newest is t{now.transaction}")
        self.device, self.superblock, self.geometry = now.device, now.superblock, now.geometry
        self.slots = now.slots
        self._windows = now._windows
        self._now = now
        self._transaction = transaction
        self._counted: int | None = None
        self._rebuild()

    @property
    def transaction(self) -> int:
        """The transaction whose state this is."""
        return self._transaction

    @property
    def oldest_transaction(self) -> int:
        """As of now: what was kept then may be gone."""
        return self._now.oldest_transaction

    def refuses_writing(self) -> str:
        """The past is never written to."""
        return f"the state of t{self._transaction} is past"

    def follow(self, pointer: Pointer, identity: int) -> bytes:
        """As in `Store`; NoLongerKept if the bytes are bad because a writer has given this state up meanwhile."""
        try:
            return super().follow(pointer, identity)
        except KhorosError:
            if self._kept_by_log:
                self._start()
            raise

    def close(self) -> None:
        """Nothing: the device is the present store's."""

    # -- rebuilding -------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        try:
            pointer = self._start()
        except NoLongerKept:
            self._kept_by_log = False
            if not self._from_snapshot():
                raise
            return
        self._kept_by_log = True
        if pointer is None:
            self.checkpoint, self.snapshots, start = None, [], _first_start(self._now.superblock)
            next_id = C.FIRST_FREE_ID
        else:
            self.checkpoint, self.snapshots = self.checkpoint_at(pointer)
            start, next_id = self._start_behind(self.checkpoint, pointer), self.checkpoint.next_id
        self.replayed = PastReplay(self._now, start, next_id, self._transaction).run_past()
        self._open_indexes()

    def _start(self) -> Pointer | None:
        """The checkpoint to replay from; None for the beginning of the log. NoLongerKept when there is none."""
        now, number = self._now, self._transaction
        newest = now.superblock.pointer("checkpoint")
        covered = now.checkpoint.transaction if now.checkpoint is not None else 0
        if number >= covered:
            return newest
        oldest = now.oldest_transaction
        if number == 0 and oldest == 1:
            return None
        found = now.transactions.pointer(number) if number >= oldest > 0 else None
        if found is None:
            kept = f"the oldest is t{oldest}" if oldest else f"only t{now.transaction} is"
            raise NoLongerKept(file=now.device.name, name=f"t{number}", advice=kept)
        return now.transaction_at(number, found).record.pointer("checkpoint")

    def _start_behind(self, checkpoint: Record, pointer: Pointer) -> Record:
        """A superblock as it was written for a checkpoint: the log goes on behind the transaction that holds it.

        The record's own frame says which frame that is; the commit record is the next entry, at worst in the next frame.
        """
        if checkpoint.transaction > self._transaction:
            raise FormatError(file=self.device.name, offset=self.device.base + pointer.offset,
                              what=f"t{self._transaction} does not follow its checkpoint",
                              expected=f"at most t{self._transaction}",
                              found=f"t{checkpoint.transaction}")
        if self._now.checkpoint is not None and checkpoint.sequence == self._now.checkpoint.sequence:
            return self._now.superblock
        reader = _CommitReader(self._now, checkpoint)
        try:
            return reader.start_after()
        except KhorosError as error:
            raise error.in_file(self.device.name) from error.__cause__

    def _from_snapshot(self) -> bool:
        """Whether a snapshot keeps this transaction; then its index is what there is."""
        for snapshot in self._now.snapshots:
            if snapshot.transaction == self._transaction:
                self.checkpoint, self.snapshots = None, []
                self.replayed = self._now.replayed._replace(objects={}, transactions=[], opened=[])
                self._open_indexes()
                self.objects = Index(snapshot.pointer("objects"), snapshot.object_levels,
                                     C.KIND_OBJECT_PAGE, self.follow)
                self._counted = sum(1 for _ in self.objects.items())
                return True
        return False

    # -- what differs -----------------------------------------------------------------------------------------

    def object_count(self) -> int:
        """How many objects there were."""
        return super().object_count() if self._counted is None else self._counted

    def history(self) -> Iterator[Transaction]:
        """User transactions up to this one, oldest first, as far as they are kept now."""
        for item in self._now.history():
            if item.record.transaction > self._transaction:
                return
            yield item


def _first_start(superblock: Record) -> Record:
    """Where the log of a new store begins (SPEC 2, "A new store")."""
    return superblock.replace(
        incarnation=1, replay_lba=superblock.log_lba, replay_segment_sequence=1, replay_lsn=1,
        replay_sequence=0, replay_transaction=0, replay_parent_crc=0, replay_next_segment=1)


class _CommitReader(PastReplay):
    """Reads the end of a checkpoint's own transaction, from the frame that holds its record."""

    def __init__(self, now: Store, checkpoint: Record) -> None:
        lba = int(checkpoint.frame_lba)
        if not now.geometry.holds(lba * C.SECTOR_BYTES, C.SECTOR_BYTES):
            raise FormatError(what="frame_lba of a checkpoint", file=now.device.name,
                              expected="a sector of the log", found=lba)
        first = frames.header(now.device.read(lba * C.SECTOR_BYTES, C.SECTOR_BYTES))
        start = now.superblock.replace(
            incarnation=checkpoint.incarnation, replay_lba=lba,
            replay_segment_sequence=first.segment_sequence, replay_lsn=first.lsn,
            replay_sequence=checkpoint.sequence - 1, replay_transaction=checkpoint.transaction,
            replay_parent_crc=first.parent_crc, replay_next_segment=first.next_segment)
        super().__init__(now, start, checkpoint.next_id, checkpoint.transaction)
        # A frame's start is a position of its own segment, also where it is the segment's first.
        self._position = self._position._replace(segment=now.geometry.segment_of(lba))
        self._checkpoint = checkpoint

    def start_after(self) -> Record:
        """The superblock that was written after the checkpoint; KhorosError when its commit record cannot be read."""
        while True:
            frame = self._next_frame()
            if frame is None:
                raise self._damaged(f"checkpoint {self._checkpoint.sequence} has no end: "
                                    f"{self._reason}", self._position.lba)
            last = self._last_entry(frame.payload, frame.header.entry_count)
            self._advance(frame)
            self._incarnation = frame.header.incarnation
            if last is not None:
                return self._start(last.crc)

    def _last_entry(self, payload: bytes, count: int) -> entries.Entry | None:
        """The commit record if it is in this frame."""
        *_, last = entries.walk(payload, count)
        if last.kind != C.KIND_COMMIT:
            return None
        record, _ = replay.commit_record(entries.verify(payload, last))
        if record.sequence != self._checkpoint.sequence:
            raise FormatError(what="commit record of a checkpoint",
                              expected=f"sequence {self._checkpoint.sequence}", found=record.sequence)
        return last

    def _start(self, parent_crc: int) -> Record:
        at = self._position
        return self._superblock.replace(
            incarnation=self._incarnation, replay_lba=at.lba,
            replay_segment_sequence=at.segment_sequence, replay_lsn=at.lsn,
            replay_sequence=self._checkpoint.sequence, replay_parent_crc=parent_crc,
            replay_next_segment=at.next_segment)


def at(now: Store, transaction: object) -> PastStore:
    """The store as of a transaction (4, "t4", or the name of a snapshot)."""
    if isinstance(transaction, str) and _NUMBER.fullmatch(transaction) is None:
        for snapshot in now.snapshots:
            name = bytes(snapshot.name).rstrip(b"\0").decode("utf-8", "backslashreplace")
            if name == transaction:
                return PastStore(now, snapshot.transaction)
    return PastStore(now, number_of(transaction))
