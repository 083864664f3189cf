"""Opens a store for reading: superblock, checkpoint, replay; then objects by id (SPEC 6, without writing anything).

Promise: every byte that is given out passed a CRC and an identity check, or a KhorosError says which object or record
is bad and where; damage to one object does not stop the others from being read. Index pages are read when they are
needed. A damaged log opens, read-only, as of its last good transaction, and `verdict` says so.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from khoros.formats import CHECKPOINT, SNAPSHOT, derive
from khoros.formats import constants as C

from . import codec, entries, partition, replay, superblock
from .device import Device, FileDevice
from .errors import (
    CheckpointError,
    EntryError,
    FormatError,
    KhorosError,
    NotFound,
    ObjectError,
)
from .geometry import Geometry
from .index import Index
from .records import Pointer, Record, check_integers
from .replay import Replayed, Transaction

CHECKPOINT_BYTES = CHECKPOINT.sizeof()
SNAPSHOT_BYTES = SNAPSHOT.sizeof()
_WINDOW_BYTES = 1 << 16
_WINDOWS = 64
_LIVE_TRIES, _LIVE_PAUSE_SECONDS = 20, 0.02


class StoredObject(NamedTuple):
    """An object as it stands on disk: kind, payload, and the pointer it was found through."""

    id: int
    kind: int
    payload: bytes
    pointer: Pointer


class Store:
    """A mounted store. Built by `mount`; `close` releases the device."""

    def __init__(self, device: Device) -> None:
        """Read superblocks, checkpoint and log. Raises the KhorosError that refuses the image."""
        self.device = device
        self._windows: OrderedDict[int, bytes] = OrderedDict()
        self.slots = superblock.read_slots(device)
        self.superblock = superblock.choose(self.slots, device)
        self.geometry = Geometry.of(self.superblock)
        self.checkpoint, self.snapshots = self._read_checkpoint()
        first_id = self.checkpoint.next_id if self.checkpoint else C.FIRST_FREE_ID
        self.replayed: Replayed = replay.Replay(
            device, self.superblock, self.geometry, first_id).run()
        self._open_indexes()

    # -- how it was found -------------------------------------------------------------------------------------

    @property
    def verdict(self) -> str:
        """`clean`, `torn` (in use or cut off: a writer recovers first) or `damaged` (read-only)."""
        return self.replayed.verdict

    @property
    def transaction(self) -> int:
        """Number of the last user transaction; 0 before the first."""
        return self.replayed.chain.transaction

    @property
    def oldest_transaction(self) -> int:
        """The oldest user transaction that can still be read; 0 for none."""
        if self.checkpoint is not None and self.checkpoint.oldest_transaction:
            oldest: int = self.checkpoint.oldest_transaction
            return oldest
        return min((item.record.transaction for item in self.replayed.transactions
                    if item.record.commit_kind == C.COMMIT_USER), default=0)

    @property
    def next_id(self) -> int:
        """The next object id that a writer hands out."""
        return max(self.replayed.chain.next_id, C.FIRST_FREE_ID)

    def refuses_writing(self) -> str:
        """Why this store cannot be written to; empty if it can."""
        if self.replayed.damage is not None:
            return str(self.replayed.damage)
        unknown = self.superblock.features_ro_compat & ~C.FEATURES_RO_COMPAT
        return f"features {unknown:#x} forbid writing" if unknown else ""

    # -- opening ----------------------------------------------------------------------------------------------

    def _read_checkpoint(self) -> tuple[Record | None, list[Record]]:
        pointer = self.superblock.pointer("checkpoint")
        if pointer is None:
            return None, []
        record, snapshots = self.checkpoint_at(pointer)
        for name in ("sequence", "transaction"):
            expected = self.superblock[f"replay_{name}"]
            if record[name] != expected:
                raise CheckpointError(
                    file=self.device.name, offset=self.device.base + pointer.offset, what=name,
                    expected=expected, found=record[name])
        return record, snapshots

    def checkpoint_at(self, pointer: Pointer) -> tuple[Record, list[Record]]:
        """A checkpoint record and its snapshots, through a pointer. Its id is the sequence it states."""
        try:
            payload, identity = self._any_entry(pointer)
            record, snapshots = parse_checkpoint(payload)
            if identity != record.sequence & C.ID_MASK:
                raise CheckpointError(what="id", expected=record.sequence, found=identity)
            if not self.geometry.log_lba <= record.frame_lba < self.geometry.end_lba:
                raise CheckpointError(what="frame_lba", expected="a place in the log", found=record.frame_lba)
        except KhorosError as error:
            raise CheckpointError(
                file=self.device.name, offset=self.device.base + pointer.offset,
                what=error.details.get("what", str(error)), expected=error.expected,
                found=error.found) from error
        return record, snapshots

    def _any_entry(self, pointer: Pointer) -> tuple[bytes, int]:
        """Payload and id of an entry whose id is not known beforehand."""
        data = self._bytes(pointer)
        identity = entries.HEADER.unpack_from(data)[0] & C.ID_MASK
        return entries.follow(data, pointer, identity), identity

    def adopt_checkpoint(self, record: Record) -> None:
        """Go on from a checkpoint that was just made durable; `superblock` already points to it."""
        self.checkpoint = record
        self.replayed = self.replayed._replace(objects={}, transactions=[], opened=[])
        self.forget_windows()
        self._open_indexes()

    @property
    def snapshot_bytes(self) -> bytes:
        """The snapshot records as they stand behind a checkpoint record."""
        return b"".join(derive.pack(SNAPSHOT, record) for record in self.snapshots)

    def _open_indexes(self) -> None:
        record = self.checkpoint
        self.objects = self._index("objects", "object_levels", C.KIND_OBJECT_PAGE, record)
        self.segments = self._index("segments", "segment_levels", C.KIND_SEGMENT_PAGE, record)
        self.transactions = self._index(
            "transactions", "transaction_levels", C.KIND_TRANSACTION_PAGE, record)

    def _index(self, name: str, levels: str, kind: int, record: Record | None) -> Index:
        if record is None:
            return Index(None, 0, kind, self.follow)
        return Index(record.pointer(name), record[levels], kind, self.follow)

    # -- entries ----------------------------------------------------------------------------------------------

    def follow(self, pointer: Pointer, identity: int) -> bytes:
        """The payload that a pointer leads to; EntryError with the offset when it is not what it should be."""
        try:
            return entries.follow(self._bytes(pointer), pointer, identity)
        except EntryError as error:
            if error.offset is None or error.offset < pointer.offset:
                error.offset = self.device.base + pointer.offset + (error.offset or 0)
            raise error.in_file(self.device.name) from None

    def _bytes(self, pointer: Pointer) -> bytes:
        """The bytes of the entry that a pointer names; the place must lie within one segment."""
        length = entries.size(pointer.payload_bytes)
        if not self.geometry.holds(pointer.offset, length):
            raise EntryError(what="a pointer leaves the log", file=self.device.name,
                             expected="a place within one segment",
                             found=f"{length} bytes at byte {pointer.offset}")
        window, at = divmod(pointer.offset, _WINDOW_BYTES)
        if at + length <= _WINDOW_BYTES and (window + 1) * _WINDOW_BYTES <= self.device.size:
            return self._window(window)[at : at + length]
        return self.device.read(pointer.offset, length)

    def _window(self, number: int) -> bytes:
        data = self._windows.get(number)
        if data is None:
            data = self.device.read(number * _WINDOW_BYTES, _WINDOW_BYTES)
            self._windows[number] = data
            if len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(number)
        return data

    def forget_windows(self) -> None:
        """Drop cached bytes: somebody wrote to the device."""
        self._windows.clear()

    # -- objects ----------------------------------------------------------------------------------------------

    def pointer(self, identity: int) -> Pointer | None:
        """Where an object stands now; None if there is none."""
        if identity in self.replayed.objects:
            return self.replayed.objects[identity]
        return self.objects.pointer(identity)

    def read(self, identity: int) -> StoredObject:
        """An object. NotFound if there is none; ObjectError, with its id and place, if it is bad.

        The root exists always: before the first commit it is an empty table, whose pointer has kind 0.
        """
        pointer = self.pointer(identity)
        if pointer is None:
            if identity == C.ROOT_ID:
                return StoredObject(identity, C.KIND_TABLE, codec.EMPTY_TABLE, Pointer(0, 0, 0, 0))
            raise NotFound(file=self.device.name, name=f"object {identity}")
        return self.read_at(identity, pointer)

    def tables(self, ids: list[int]) -> list[bytes | None]:
        """The payloads of the small tables among some objects, many times as fast as by `read`; None for everything else."""
        from . import gathering

        return gathering.tables(self, ids)

    def node(self, identity: int, kind: int) -> StoredObject:
        """An object that another one refers to as one of that kind. ObjectError if it is not there or another."""
        pointer = self.pointer(identity)
        if pointer is None or pointer.kind != kind:
            raise ObjectError(file=self.device.name, id=identity, what="its kind",
                              expected=entries.kind_name(kind),
                              found="no object" if pointer is None else entries.kind_name(pointer.kind))
        return self.read_at(identity, pointer)

    def read_at(self, identity: int, pointer: Pointer) -> StoredObject:
        """An object through a pointer that was looked up before."""
        if pointer.kind not in entries.OBJECT_KINDS:
            raise ObjectError(file=self.device.name, id=identity, what="kind in its pointer",
                              expected="that of an object", found=entries.kind_name(pointer.kind))
        try:
            return StoredObject(identity, pointer.kind, self.follow(pointer, identity), pointer)
        except EntryError as error:
            raise ObjectError(
                file=self.device.name, id=identity, offset=error.offset,
                what=error.details.get("what", ""), expected=error.expected, found=error.found,
            ) from error

    def ids(self) -> Iterator[tuple[int, Pointer]]:
        """(id, pointer) of every object, ascending within the index, newer ones after it."""
        changed = self.replayed.objects
        for identity, fields in self.objects.items():
            if identity not in changed:
                pointer = Pointer.of(*fields)
                if pointer is not None:
                    yield identity, pointer
        for identity in sorted(changed):
            pointer = changed[identity]
            if pointer is not None:
                yield identity, pointer

    def object_count(self) -> int:
        """How many objects there are."""
        count: int = self.checkpoint.object_count if self.checkpoint else 0
        for identity, pointer in self.replayed.objects.items():
            before = self.objects.pointer(identity) is not None
            count += (pointer is not None) - before
        return count

    # -- history ----------------------------------------------------------------------------------------------

    def history(self) -> Iterator[Transaction]:
        """User transactions, oldest first. One whose record is gone or bad raises when it is reached."""
        covered = self.checkpoint.transaction if self.checkpoint is not None else 0
        for number, fields in self.transactions.items():
            pointer = Pointer.of(*fields)
            if pointer is not None and number <= covered:
                yield self.transaction_at(number, pointer)
        for transaction in self.replayed.transactions:
            if transaction.record.commit_kind == C.COMMIT_USER:
                yield transaction

    def transaction_at(self, number: int, pointer: Pointer) -> Transaction:
        """A transaction through its pointer in the transaction table."""
        payload, identity = self._any_entry(pointer)
        record, message = replay.commit_record(payload)
        if record.transaction != number or record.sequence & C.ID_MASK != identity:
            raise EntryError(what="commit record of the transaction table", expected=f"t{number}",
                             found=f"t{record.transaction}", file=self.device.name,
                             offset=self.device.base + pointer.offset)
        return Transaction(record, message, pointer, 0)

    def close(self) -> None:
        """Release the device."""
        self.device.close()


def parse_checkpoint(payload: bytes) -> tuple[Record, list[Record]]:
    """A checkpoint record and its snapshot records. CheckpointError when they do not fit."""
    if len(payload) < CHECKPOINT_BYTES:
        raise CheckpointError(what="length", expected=CHECKPOINT_BYTES, found=len(payload))
    record = Record(derive.unpack(CHECKPOINT, payload))
    check_integers(record, CheckpointError)
    count = record.snapshot_count
    if count > C.SNAPSHOTS_MAX or len(payload) != CHECKPOINT_BYTES + count * SNAPSHOT_BYTES:
        raise CheckpointError(what="length", found=len(payload),
                              expected=CHECKPOINT_BYTES + count * SNAPSHOT_BYTES)
    if not C.FIRST_FREE_ID <= record.next_id <= C.ID_MASK + 1:
        raise CheckpointError(what="next_id", expected=f"{C.FIRST_FREE_ID} to 2^48",
                              found=record.next_id)
    for name in ("object_levels", "segment_levels", "transaction_levels"):
        root = record.pointer(name.replace("_levels", "s"))
        if record[name] > C.LEVELS_MAX or (root is None) != (record[name] == 0):
            raise CheckpointError(what=name, expected=f"0 to {C.LEVELS_MAX}, 0 only without a root",
                                  found=record[name])
    snapshots = [
        Record(derive.unpack(SNAPSHOT, payload, CHECKPOINT_BYTES + number * SNAPSHOT_BYTES))
        for number in range(count)
    ]
    _check_snapshots(snapshots, record.transaction)
    return record, snapshots


_ROOT_KINDS = {"object": C.KIND_OBJECT_PAGE, "segment": C.KIND_SEGMENT_PAGE}


def _check_snapshots(snapshots: list[Record], newest: int) -> None:
    """CheckpointError unless names are what SPEC says, and each snapshot has its trees and is not newer than those behind it."""
    names: set[bytes] = set()
    before = 0
    for number, record in enumerate(snapshots, 1):
        check_integers(record, CheckpointError)
        name = bytes(record.name).rstrip(b"\0")
        if not name or b"\0" in name or name in names or not _is_utf8(name):
            raise CheckpointError(what=f"name of snapshot {number}", expected="unique UTF-8", found=bytes(record.name).hex())
        if not before <= record.transaction <= newest:
            raise CheckpointError(what=f"transaction of snapshot {number}", expected=f"{before} to {newest}",
                                  found=record.transaction)
        for tree, kind in _ROOT_KINDS.items():
            root, levels = record.pointer(f"{tree}s"), record[f"{tree}_levels"]
            if levels > C.LEVELS_MAX or (root is None) != (levels == 0) or (root and root.kind != kind):
                raise CheckpointError(what=f"{tree}_levels of snapshot {number}",
                                      expected=f"0 to {C.LEVELS_MAX}, 0 only without a root", found=levels)
        names.add(name)
        before = record.transaction


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def open_device(path: str | os.PathLike[str], *, writable: bool = False) -> FileDevice:
    """The file or block device, narrowed to the store's partition if it has one."""
    device = FileDevice(path, writable=writable)
    try:
        partition.select(device)
    except BaseException:
        device.close()
        raise
    return device


def mount(path: str | os.PathLike[str], *, writable: bool = False) -> Store:
    """Open a store by path. `writable` locks it; nothing is written until a writer starts.

    A machine that writes to the image meanwhile can make it look damaged: between two reads it may have gone on, or it is in
    the middle of what belongs together. So an image that is in use and looks damaged is read again.
    """
    device = open_device(path, writable=writable)
    try:
        if writable:
            # What another left unflushed reads like all else; shown once, it must not be gone after a power cut.
            device.flush()
        for _ in range(_LIVE_TRIES):
            store = _undamaged(device)
            if store is not None:
                return store
            if writable or not device.in_use():
                break
            time.sleep(_LIVE_PAUSE_SECONDS)
        return Store(device)
    except BaseException:
        device.close()
        raise


def _undamaged(device: Device) -> Store | None:
    """The store, unless it cannot be mounted or its log looks damaged."""
    try:
        store = Store(device)
    except FormatError:
        return None
    return store if store.replayed.damage is None else None
