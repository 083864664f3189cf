"""Everything that changes an image: `mkfs` (creation.py), and a `Writer` that commits as the guest does (SPEC 4 to 6).

    mount ──▶ claim (first write) ──▶ commit … ──▶ checkpoint ──▶ close
              repair copies, superblock: in use;     every segment of log    superblock: not in use
              a torn tail: checkpoint over it        too many, one of these

Promise: fsync stands wherever the guest flushes, so a commit that returned survives a power cut and one that did not
never happened; the file is locked from before it is read; "no space" comes before the first write; after a write error
nothing more is written. Images are changed in place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import COMMIT, derive
from khoros.formats import constants as C

from . import (
    checkpointing,
    cleaner,
    entries,
    frames,
    placement,
    reader,
    replay,
    retention,
    sizes,
    space,
    superblock,
)
from .cleaner import Touched, Victims
from .creation import Created, mkfs
from .errors import CannotStore, InUse, KhorosError, NoSpace, ReadOnly, UsageError
from .placement import Plan
from .records import Pointer, Record, pointer_fields
from .replay import Chain, Transaction
from .retention import Release
from .segments import Segments

__all__ = ["Committed", "Created", "Item", "Writer", "mkfs", "open_writer"]


_GARBAGE_BATCH = 8192
_INCARNATION_MAX = 0xFFFFFFFF


class Item(NamedTuple):
    """One entry of a user transaction: an object's new payload, or KIND_DELETE without one."""

    id: int
    kind: int
    payload: bytes


class Committed(NamedTuple):
    """What a commit wrote: its number (`t4` is 4), how many entries, bytes of their payloads, time in µs."""

    transaction: int
    objects: int
    bytes: int
    time: int

    def __str__(self) -> str:
        return (f"t{self.transaction}: {sizes.count(self.objects, 'object')}, "
                f"{sizes.count(self.bytes, 'byte')}")


class Writer:
    """Writes to a store that was mounted `writable`. Nothing reaches the disk before the first commit."""

    def __init__(self, store: reader.Store) -> None:
        """ReadOnly when the store must not be written to: a damaged log, features that are not known."""
        reason = store.refuses_writing()
        if reason:
            raise ReadOnly(file=store.device.name, what=reason)
        self.store = store
        self.next_id = store.next_id
        self._claimed = False
        self._broken = False
        self._segments = Segments(store.geometry, store.segments)
        self._incarnation = store.superblock.incarnation
        self._durable_lsn = store.replayed.position.lsn - 1
        self._segments_since = len(store.replayed.opened)
        self._stored = space.stored_bytes(store)
        self._load_segments()

    def _load_segments(self) -> None:
        """Bring the segment table up to the end of the log."""
        start = self.store.superblock
        segment = self.store.geometry.segment_of_position(start.replay_lba)
        if self.store.checkpoint is None:
            self._segments.open(segment, start.replay_segment_sequence)
        self._segments.follow(segment, self.store.replayed.opened,
                              self.store.replayed.chain.transaction)

    def allocate(self, count: int = 1) -> int:
        """The first of `count` ids that no object has."""
        first = self.next_id
        if first + count > C.ID_MASK:
            raise NoSpace(file=self.store.device.name, what="no object ids are left")
        self.next_id += count
        return first

    # -- transactions -----------------------------------------------------------------------------------------

    def commit(self, items: Sequence[Item], message: str = "") -> Committed:
        """Write one transaction and make it durable. NoSpace before anything changed."""
        if not items:
            raise UsageError(what="a transaction without any entry")
        text = message.encode("utf-8", "surrogateescape")
        if len(text) > C.MESSAGE_BYTES_MAX:
            raise UsageError(what="the message is too long", found=f"{len(text)} bytes",
                             expected=f"at most {C.MESSAGE_BYTES_MAX}")
        return self._transact(items, C.COMMIT_USER, text)

    def delete_garbage(self, ids: Sequence[int]) -> None:
        """Delete objects that nothing refers to, in system transactions: no value changes, and no number is used.

        A cut in between leaves some of them for the next time.
        """
        for first in range(0, len(ids), _GARBAGE_BATCH):
            batch = [Item(i, C.KIND_DELETE, b"") for i in ids[first : first + _GARBAGE_BATCH]]
            self._transact(batch, C.COMMIT_SYSTEM, b"")

    def drop_history(self) -> None:
        """Keep nothing but the present and the snapshots, and empty every segment that is worth it."""
        self._claim()
        pages = 2 * checkpointing.pages_bound(self.store, 0, self.next_id, 0)
        if not self._can_checkpoint():
            raise self._no_space(f"{pages} index pages do not fit")
        self.checkpoint()
        self.checkpoint(release=retention.plan(self.store, self._segments, 1 << 60))
        self.checkpoint()
        for _ in range(self.store.geometry.segment_count):
            if not self._clean():
                break

    def free_segments(self) -> list[int]:
        """Segments that the checkpoint on disk calls free: nothing in them is ever read."""
        used = {n for state in (C.SEGMENT_OPEN, C.SEGMENT_FULL, C.SEGMENT_PENDING, C.SEGMENT_BAD)
                for n in self._segments.in_state(state)}
        used.add(self.store.replayed.position.segment)
        return [n for n in range(self.store.geometry.segment_count) if n not in used]

    def _transact(self, items: Sequence[Item], kind: int, text: bytes) -> Committed:
        """Admit, make room, write: one transaction of that kind."""
        sizes = [*self._sizes(items), entries.size(replay.COMMIT_BYTES + len(text))]
        growth = self._live_change(items)
        terms = space.terms(self.store, growth, self.next_id)
        if growth > 0 and self._stored + growth > terms.most_bytes:
            raise self._no_space(f"{self._stored + growth} bytes would be stored of at most "
                                 f"{terms.most_bytes}")
        reserve = terms.reserve
        release = self._admit(items, sizes, reserve)
        self._check_segments(items)
        self._claim()
        plan = self._make_room(items, sizes, reserve, release)
        encoded = [entries.encode(item.kind, item.id, item.payload) for item in items]
        number, before = self.store.replayed.chain.transaction, self.store.replayed.position
        number += kind == C.COMMIT_USER
        done = self._append(plan, [data for data, _ in encoded], number, kind, text)
        self._stored += growth
        self._adopt(items, plan, done, [crc for _, crc in encoded], before.segment)
        return Committed(number, len(items), done.record.content_bytes, done.record.time)

    def _sizes(self, items: Sequence[Item]) -> list[int]:
        largest = placement.largest_entry(self.store.geometry)
        sizes = []
        for item in items:
            size = entries.size(len(item.payload))
            if not C.ROOT_ID <= item.id < self.next_id:
                raise UsageError(what=f"object id {item.id} was never handed out")
            if size > largest:
                raise CannotStore(path=f"object {item.id}", what="larger than a segment",
                                  expected=f"at most {largest} bytes", found=size)
            sizes.append(size)
        return sizes

    def _admit(self, items: Sequence[Item], sizes: list[int], reserve: int) -> Release | None:
        """NoSpace unless the transaction, a checkpoint behind it, and the reserve fit; writes nothing.

        Returns what history must go to make that true; None if none must.
        """
        if self._fits(items, sizes, reserve):
            return None
        release = self._find_release(sizes, reserve)
        if release is None and self._find_victims() is None:
            raise self._no_space(f"{sum(sizes)} bytes do not fit beside the reserve for deleting")
        return release

    def _no_space(self, what: str) -> NoSpace:
        return NoSpace(file=self.store.device.name, what=what,
                       advice="nothing was changed; remove something or use a larger image")

    def _find_release(self, sizes: list[int], reserve: int) -> Release | None:
        """The history to let go, if that surely makes room: two checkpoints later its segments can be used."""
        pages = 2 * checkpointing.pages_bound(self.store, 0, self.next_id, 0)
        need = reserve + placement.segments_for(
            self.store.geometry, [*sizes, *[space.PAGE_ENTRY_BYTES] * pages])
        free = self._segments.free_count(self.store.geometry.segment_count)
        pending = len(self._segments.in_state(C.SEGMENT_PENDING))
        try:
            release = retention.plan(self.store, self._segments, max(1, need - free - pending))
        except KhorosError:
            return None
        gained = len(release.segments) + pending
        return release if gained and free + gained >= need and self._can_checkpoint() else None

    def _make_room(self, items: Sequence[Item], sizes: list[int], reserve: int,
                   release: Release | None) -> Plan:
        """Checkpoint where the log grew long or history must go; the plan of the transaction."""
        long = self._segments_since >= C.REPLAY_SEGMENTS_MAX
        if (long or release) and self._can_checkpoint():
            self.checkpoint(release=release if release and release.segments else None)
        if release and self._can_checkpoint():
            self.checkpoint()  # a segment that one checkpoint frees may be used after the next
        plan = self._fits(items, sizes, reserve)
        for _ in range(self.store.geometry.segment_count):
            if plan is not None or not self._clean():
                break
            plan = self._fits(items, sizes, reserve)
        if plan is None:
            raise self._no_space(f"{sum(sizes)} bytes do not fit beside the reserve for deleting")
        return plan

    def _find_victims(self) -> Victims | None:
        """Segments worth emptying, whose move and its two checkpoints fit into what is free now."""
        free = self._segments.free_count(self.store.geometry.segment_count)
        for room in range(free, 1, -1):
            victims = cleaner.choose(self.store, self._segments, room)
            if victims is None:
                return None
            touched = sum(map(len, victims.pages.values()))
            pages = touched + 2 * checkpointing.pages_bound(
                self.store, len(victims.objects), self.next_id, free)
            need = placement.segments_for(self.store.geometry, [
                *cleaner.sizes(victims), *[space.PAGE_ENTRY_BYTES] * pages])
            if need <= free:
                return victims
        return None

    def _clean(self) -> bool:
        """Empty some segments; whether that was done. They are free when it returns."""
        victims = self._find_victims()
        if victims is None:
            return False
        items = [Item(i, p.kind, self.store.read_at(i, p).payload) for i, p in victims.objects]
        if items:
            self._move(items)
        self.checkpoint(release=Release(victims.segments, 0), touched=victims.pages)
        self.checkpoint()
        return True

    def _move(self, items: list[Item]) -> None:
        """Write objects anew in a system transaction: same ids, same content."""
        encoded = [entries.encode(item.kind, item.id, item.payload) for item in items]
        sizes = [len(data) for data, _ in encoded] + [entries.size(replay.COMMIT_BYTES)]
        before = self.store.replayed.position
        plan = placement.plan(self.store.geometry, before, sizes, self._segments.free_after)
        number = self.store.replayed.chain.transaction
        done = self._append(plan, [data for data, _ in encoded], number, C.COMMIT_SYSTEM, b"")
        self._adopt(items, plan, done, [crc for _, crc in encoded], before.segment)

    def _adopt(self, items: Sequence[Item], plan: Plan, done: Transaction, crcs: list[int],
               segment: int) -> None:
        """Take a durable transaction into the indexes and the segment table."""
        self._segments.follow(segment, plan.opened, done.record.transaction)
        self._segments_since += len(plan.opened)
        self.store.replayed.transactions.append(done)
        for item, offset, crc in zip(items, plan.offsets, crcs, strict=False):
            pointer = Pointer(offset // C.PLACE_UNIT_BYTES, item.kind, len(item.payload), crc)
            self.store.replayed.objects[item.id] = (
                None if item.kind == C.KIND_DELETE else pointer)

    def _check_segments(self, items: Sequence[Item]) -> None:
        """What the segment table says of the segments that a transaction changes can be: else nothing is written at all."""
        geometry = self.store.geometry
        self._segments.check(geometry.segment_of_position(self.store.replayed.position.lba))
        for item in items:
            before = self.store.pointer(item.id)
            if before is not None:
                self._segments.check(geometry.segment_of_offset(before.offset))

    def _can_checkpoint(self) -> bool:
        """Whether a checkpoint of what is known now fits, in the worst case."""
        pages = checkpointing.pages_bound(self.store, 0, self.next_id, 0)
        try:
            placement.plan(self.store.geometry, self.store.replayed.position,
                           [space.PAGE_ENTRY_BYTES] * pages, self._segments.free_after)
        except NoSpace:
            return False
        return True

    def _fits(self, items: Sequence[Item], sizes: list[int], reserve: int) -> Plan | None:
        """The plan of a transaction, if behind it a checkpoint fits and `reserve` segments stay free."""
        geometry, choose = self.store.geometry, self._segments.free_after
        try:
            plan = placement.plan(geometry, self.store.replayed.position, sizes, choose)
            pages = checkpointing.pages_bound(self.store, len(items), self.next_id,
                                              len(plan.opened))
            both = placement.plan(
                geometry, self.store.replayed.position,
                sizes + [space.PAGE_ENTRY_BYTES] * pages, choose)
        except NoSpace:
            return None
        wanted = len(both.opened) + reserve
        return plan if self._segments.free_count(wanted) >= wanted else None

    def _live_change(self, items: Sequence[Item]) -> int:
        change = 0
        for item in items:
            before = self.store.pointer(item.id)
            change -= entries.size(before.payload_bytes) if before else 0
            change += 0 if item.kind == C.KIND_DELETE else entries.size(len(item.payload))
        return change

    def _append(self, plan: Plan, encoded: list[bytes], transaction: int, kind: int,
                message: bytes) -> Transaction:
        """Write the frames of a planned transaction, its commit record last, then flush."""
        chain, device = self.store.replayed.chain, self.store.device
        record = Record(
            sequence=chain.sequence + 1, transaction=transaction, time=now_microseconds(),
            entry_count=len(encoded), next_id=self.next_id, parent_crc=chain.crc, commit_kind=kind,
            content_bytes=sum(entries.HEADER.unpack_from(data)[1] for data in encoded),
            content_crc=crc32c(b"".join(data[: entries.HEADER_BYTES] for data in encoded)),
            message_bytes=len(message),
            **pointer_fields("checkpoint", self.store.superblock.pointer("checkpoint")),
        )
        body = derive.pack(COMMIT, record) + message
        data, crc = entries.encode(C.KIND_COMMIT, record.sequence & C.ID_MASK, body)
        try:
            self._write_frames(plan, [*encoded, data], record.sequence)
            # One flush makes the transaction: it exists only if all its frames are there.
            device.flush()
        except BaseException:
            self._broken = True
            raise
        self._durable_lsn = plan.end.lsn - 1
        chain = Chain(record.sequence, transaction, crc, self.next_id)
        self.store.replayed = self.store.replayed._replace(position=plan.end, chain=chain)
        self.store.forget_windows()
        pointer = Pointer(plan.offsets[-1] // C.PLACE_UNIT_BYTES, C.KIND_COMMIT, len(body), crc)
        return Transaction(record, message.decode("utf-8", "backslashreplace"), pointer,
                           plan.frames[-1].lba)

    def _write_frames(self, plan: Plan, encoded: list[bytes], sequence: int) -> None:
        block, chain = self.store.superblock, self.store.replayed.chain
        for number, frame in enumerate(plan.frames):
            identity = {
                "epoch": block.epoch, "lba": frame.lba,
                "lsn": self.store.replayed.position.lsn + number,
                "segment_sequence": frame.segment_sequence, "generation": block.generation,
                "durable_lsn": self._durable_lsn, "sequence": sequence,
                "incarnation": self._incarnation, "next_segment": frame.next_segment,
                "parent_crc": chain.crc,
            }
            payload = b"".join(encoded[frame.first : frame.first + frame.entry_count])
            self.store.device.write(frame.lba * C.SECTOR_BYTES, frames.encode(
                identity, payload, frame.entry_count, self.store.geometry.append_sectors))

    # -- superblock -------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Make the store ours before the first write (SPEC 6, step 5)."""
        if self._broken:
            raise ReadOnly(file=self.store.device.name, what="an earlier write failed",
                           advice="open the image again")
        if self._claimed:
            return
        if self.store.superblock.incarnation_claimed >= _INCARNATION_MAX:
            raise ReadOnly(file=self.store.device.name, what="it was mounted for writing as often as can be counted")
        slots = superblock.read_slots(self.store.device)
        now = superblock.choose(slots, self.store.device)
        if superblock.head_crc(now) != superblock.head_crc(self.store.superblock):
            raise InUse(file=self.store.device.name, holder="its superblock has changed meanwhile")
        superblock.repair(self.store.device, slots, self.store.superblock)
        clean = self.store.verdict == "clean"
        self._incarnation = self.store.superblock.incarnation_claimed + 1
        changes = {"incarnation": self._incarnation} if clean else {}
        # `superblock.write` begins with a flush: every frame that replay found is durable after it.
        self._update(incarnation_claimed=self._incarnation,
                     state=self.store.superblock.state | C.STATE_IN_USE, **changes)
        self._claimed = True
        if not clean:
            self.checkpoint()

    def _update(self, **changes: int) -> None:
        """The next generation of the superblock."""
        now = self.store.superblock
        following = now.replace(generation=now.generation + 1,
                                parent_crc=superblock.head_crc(now),
                                written_time=now_microseconds(), **changes)
        try:
            superblock.write(self.store.device, following)
        except BaseException:
            self._broken = True
            raise
        self.store.superblock = superblock.chosen_copy(following)

    def checkpoint(self, state: int = C.STATE_IN_USE, release: Release | None = None,
                   touched: Touched | None = None) -> None:
        """Write a checkpoint and the superblock that points to it; mounts replay from there."""
        store = self.store
        prepared = checkpointing.prepare(store, self._segments, store.replayed.position,
                                         self._incarnation, now_microseconds(), release,
                                         touched)
        self._append(prepared.plan, prepared.entries, store.replayed.chain.transaction,
                     C.COMMIT_SYSTEM, b"")
        at, chain = store.replayed.position, store.replayed.chain
        # `_append` has flushed: all that the new superblock points to is durable.
        self._update(
            replay_lba=at.lba, replay_segment_sequence=at.segment_sequence, replay_lsn=at.lsn,
            replay_sequence=chain.sequence, replay_transaction=chain.transaction,
            replay_parent_crc=chain.crc, replay_next_segment=at.next_segment,
            incarnation=self._incarnation, state=state,
            **pointer_fields("checkpoint", prepared.pointer))
        store.adopt_checkpoint(prepared.record)
        self._segments = Segments(store.geometry, store.segments)
        self._segments_since = 0

    def close(self) -> None:
        """Unmount cleanly: a checkpoint if anything was committed, then the superblock without STATE_IN_USE."""
        if not self._claimed or self._broken:
            return
        if self.store.replayed.transactions:
            self.checkpoint(state=0)
        else:
            self._update(state=0)
        self._claimed = False


def now_microseconds() -> int:
    """Time of a commit: the clock, or SOURCE_DATE_EPOCH where builds must be reproducible."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if fixed.isascii() and fixed.isdigit():
        return int(fixed) * 10**6
    return time.time_ns() // 1000


def open_writer(path: str | os.PathLike[str]) -> Writer:
    """Mount an image for writing: locked, not yet claimed."""
    store = reader.mount(path, writable=True)
    try:
        return Writer(store)
    except BaseException:
        store.close()
        raise
