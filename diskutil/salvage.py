"""Finds the objects of a damaged image without trusting any one structure of it: what `repair` starts from.

    every sector ──▶ superblock copies and frames that are valid where they stand ──▶ the log, in order, as far as it is
    known to be committed ──▶ the newest version of each object;  newest checkpoint ──▶ which objects exist, and where

The checkpoint's index is believed where its pages can be read (a pointer checks what it leads to), the log after it and
the ids of unreadable pages are taken from the frames, and an object whose last version is lost falls back to the newest
older one. Reads only. Promise: every object is a version that was committed, its bytes checked; what is not the last version
is named. Nothing can be promised of a store whose disk was made anew: its old frames may be all there is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from google_crc32c import value as crc32c

from khoros.formats import SUPERBLOCK, derive
from khoros.formats import constants as C
from khoros.formats.superblock import MAGIC as SUPERBLOCK_MAGIC

from . import entries, frames, replay, superblock
from .device import Device
from .entries import Entry
from .errors import KhorosError, NewerFormat, NotAStore
from .index import Index
from .reader import StoredObject, parse_checkpoint
from .records import Pointer, Record

_WINDOW_BYTES = 8 << 20
_TIMES_TRIED = 16
_TAG_MAX = (1 << 63) - 1
# A search for the next entry computes checksums over at most so many times the frame's bytes.
_SEARCHED_TIMES = 64
Progress = Callable[[str, int, int], None]


class FoundFrame(NamedTuple):
    """A frame whose header is valid where it stands. `offset` in bytes of the device; `whole`: payload and padding, too."""

    offset: int
    header: Record
    whole: bool


class Version(NamedTuple):
    """A version of an object: the sequence of its transaction, and where it stands. KIND_DELETE: it was deleted then."""

    sequence: int
    pointer: Pointer


class Store(NamedTuple):
    """What the sectors of one store hold: those with the same epoch, counted from the same start."""

    epoch: int
    base: int
    superblocks: list[Record]
    frames: list[FoundFrame]

    @property
    def newest(self) -> Record | None:
        """The superblock copy with the largest generation."""
        return max(self.superblocks, key=lambda row: int(row.generation), default=None)


# -- every sector -----------------------------------------------------------------------------------------------


def find_stores(device: Device, progress: Progress) -> list[Store]:
    """The stores of which something is left, the newest first; those with a superblock before those without.

    NewerFormat when there are superblocks, and all of them are of a format or with features that are not known.
    """
    found: dict[tuple[int, int], Store] = {}
    newer: NewerFormat | None = None
    for offset, data in _marked_sectors(device, progress):
        if data[:8] == SUPERBLOCK_MAGIC:
            newer = _add_superblock(found, offset, data) or newer
        else:
            _add_frame(found, device, offset, data)
    if newer is not None and not any(store.superblocks for store in found.values()):
        raise newer.in_file(device.name)
    return sorted(found.values(), reverse=True, key=lambda store: (
        bool(store.superblocks), _newest_time(device, store), len(store.frames)))


def _marked_sectors(device: Device, progress: Progress) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the sectors that begin like a superblock or a frame. Unreadable windows are passed over."""
    import numpy

    marks = [int.from_bytes(magic, "little") for magic in (SUPERBLOCK_MAGIC, frames.MAGIC)]
    end = device.size - device.size % C.SECTOR_BYTES
    at = device.next_data(0)
    while at < end:
        at -= at % C.SECTOR_BYTES
        progress("searching", at, end)
        data = _read_what_can(device, at, min(_WINDOW_BYTES, end - at))
        first_words = numpy.frombuffer(data, "<u8")[:: C.SECTOR_BYTES // 8]
        for sector in numpy.flatnonzero(numpy.isin(first_words, numpy.array(marks, "<u8"))):
            start = int(sector) * C.SECTOR_BYTES
            yield at + start, data[start : start + C.SECTOR_BYTES]
        at = device.next_data(at + len(data))


def _read_what_can(device: Device, offset: int, length: int) -> bytes:
    """The bytes, zeros in place of sectors that the medium does not give."""
    try:
        return device.read(offset, length)
    except KhorosError:
        if length <= C.SECTOR_BYTES:
            return bytes(length)
        half = length // 2 - length // 2 % C.SECTOR_BYTES or C.SECTOR_BYTES
        return _read_what_can(device, offset, half) + _read_what_can(
            device, offset + half, length - half)


def _store_at(found: dict[tuple[int, int], Store], epoch: int, base: int) -> Store:
    return found.setdefault((epoch, base), Store(epoch, base, [], []))


def _add_superblock(found: dict[tuple[int, int], Store], offset: int, data: bytes) -> NewerFormat | None:
    """Take in a copy that is good where it stands; the error of one that is too new to be understood."""
    try:
        own_lba: int = derive.unpack(SUPERBLOCK, data)["own_lba"]
        record = superblock.parse(data, own_lba)
        superblock.check_features(record)
        superblock.check_geometry(record)
    except KhorosError as error:
        return error if isinstance(error, NewerFormat) else None
    base = offset - own_lba * C.SECTOR_BYTES
    if base >= 0:
        _store_at(found, record.epoch, base).superblocks.append(record)
    return None


def _add_frame(found: dict[tuple[int, int], Store], device: Device, offset: int, data: bytes) -> None:
    try:
        header = frames.header(data)
    except KhorosError:
        return
    base = offset - header.lba * C.SECTOR_BYTES
    if base >= 0:
        _store_at(found, header.epoch, base).frames.append(
            FoundFrame(offset, header, _is_whole(device, offset, header)))


def _is_whole(device: Device, offset: int, header: Record) -> bool:
    length = frames.HEADER_BYTES + header.payload_bytes
    if offset + length > device.size or header.payload_bytes > C.SEGMENT_SECTORS_MAX * C.SECTOR_BYTES:
        return False
    return crc32c(_read_what_can(device, offset, length)[frames.HEADER_BYTES :]) == header.payload_crc


def _newest_time(device: Device, store: Store) -> int:
    """The time of the newest commit record that can be read; 0 if none of the last frames has one."""
    newest = sorted(store.frames, key=lambda frame: -int(frame.header.lsn))[:_TIMES_TRIED]
    commits = [commit for frame in newest for row, payload in read_entries(device, frame)
               if (commit := _commit_of(row, payload)) is not None]
    return max((int(commit.time) for commit in commits), default=0)


def _commit_of(row: Entry, payload: bytes | None) -> Record | None:
    """The commit record that an entry is; None for others and for one that does not parse."""
    if row.kind != C.KIND_COMMIT or payload is None:
        return None
    try:
        return replay.commit_record(payload)[0]
    except KhorosError:
        return None


def read_entries(device: Device, frame: FoundFrame) -> list[tuple[Entry, bytes | None]]:
    """The entries of a frame with their payloads; None for those that are bad.

    Where a bad one may have a bad length, the next good entry is searched.
    """
    room = max(min(frame.header.payload_bytes, device.size - frame.offset - frames.HEADER_BYTES), 0)
    data = _read_what_can(device, frame.offset, frames.HEADER_BYTES + room)[frames.HEADER_BYTES :]
    found: list[tuple[Entry, bytes | None]] = []
    at = 0
    while at + entries.HEADER_BYTES <= len(data):
        row = _entry_at(data, at)
        payload = None if row is None else _payload_of(data, row)
        if row is not None:
            found.append((row, payload))
        if row is not None and (payload is not None or _goes_on(data, row)):
            at += entries.size(row.payload_bytes)
        else:
            at = _next_good(data, at + C.PLACE_UNIT_BYTES)
    return found


def _entry_at(data: bytes, at: int) -> Entry | None:
    """What stands there as an entry's header, if its length fits."""
    tag, payload_bytes, crc = entries.HEADER.unpack_from(data, at)
    if tag > _TAG_MAX or at + entries.size(payload_bytes) > len(data):
        return None
    return Entry(at, tag >> C.ID_BITS, tag & C.ID_MASK, payload_bytes, crc)


def _goes_on(data: bytes, row: Entry) -> bool:
    """Whether a bad entry's length leads to a good entry, or to the end."""
    at = row.offset + entries.size(row.payload_bytes)
    following = _entry_at(data, at) if at + entries.HEADER_BYTES <= len(data) else None
    return at == len(data) or (following is not None and _payload_of(data, following) is not None)


def _next_good(data: bytes, at: int) -> int:
    """Where the next good entry starts; the end if there is none, or if bytes that look like entries are too many."""
    budget = _SEARCHED_TIMES * len(data)
    for place in range(at, len(data) - entries.HEADER_BYTES + 1, C.PLACE_UNIT_BYTES):
        row = _entry_at(data, place)
        if row is None or row.kind not in entries.KIND_NAMES:
            continue
        if _payload_of(data, row) is not None:
            return place
        budget -= row.payload_bytes
        if budget < 0:
            break
    return len(data)


def _payload_of(data: bytes, row: Entry) -> bytes | None:
    try:
        return entries.checked(data, row)
    except KhorosError:
        return None


# -- which frames are the log -----------------------------------------------------------------------------------


def committed(device: Device, store: Store) -> list[FoundFrame]:
    """The frames of committed transactions in log order, as far as the frames themselves tell.

    A mount takes an incarnation of its own before it writes: a frame is left over from a torn tail, and never counts, if
    one of a later incarnation has the same or an earlier sequence. What some frame or the superblock calls durable was
    committed; behind that, transactions count while they are whole and follow each other.
    """
    log = _without_leftovers(store.frames)
    newest = store.newest
    durable = max([int(frame.header.durable_lsn) for frame in log], default=0)
    if newest is not None:
        durable = max(durable, int(newest.replay_lsn) - 1)
    known = [frame for frame in log if frame.header.lsn <= durable]
    rest = [frame for frame in log if frame.header.lsn > durable]
    return known + _whole_transactions(device, rest, durable)


def _without_leftovers(found: list[FoundFrame]) -> list[FoundFrame]:
    log: list[FoundFrame] = []
    incarnation = 0
    by_sequence: dict[int, list[FoundFrame]] = {}
    for frame in found:
        by_sequence.setdefault(frame.header.sequence, []).append(frame)
    for sequence in sorted(by_sequence):
        group = by_sequence[sequence]
        incarnation = max(incarnation, *(frame.header.incarnation for frame in group))
        log += [frame for frame in group if frame.header.incarnation == incarnation]
    return sorted(log, key=lambda frame: int(frame.header.lsn))


def _whole_transactions(device: Device, rest: list[FoundFrame], durable: int) -> list[FoundFrame]:
    """The frames, from the one after `durable` on, of transactions that are complete and follow each other."""
    result: list[FoundFrame] = []
    pending: list[FoundFrame] = []
    rows: list[Entry] = []
    headers: list[bytes] = []
    parent: int | None = None
    for expected, frame in enumerate(rest, durable + 1):
        header = frame.header
        if header.lsn != expected or not frame.whole or (pending and (
                header.sequence != pending[0].header.sequence)) or (
                parent is not None and header.parent_crc != parent):
            break
        pending.append(frame)
        found = read_entries(device, frame)
        if len(found) != header.entry_count or any(payload is None for _, payload in found):
            break
        last, payload = found[-1]
        commit = _commit_of(last, payload)
        for row, _ in found if commit is None else found[:-1]:
            rows.append(row)
            headers.append(entries.HEADER.pack(
                row.kind << C.ID_BITS | row.id, row.payload_bytes, row.crc))
        if commit is None:
            continue
        if commit.entry_count != len(rows) or commit.content_crc != crc32c(b"".join(headers)):
            break
        result += pending
        pending, rows, headers, parent = [], [], [], last.crc
    return result


# -- versions ---------------------------------------------------------------------------------------------------


class Log:
    """The newest version of each object that the committed frames hold, and the checkpoints among them."""

    def __init__(self, device: Device, store: Store, progress: Progress) -> None:
        self._device = device
        self._base = store.base
        self.versions: dict[int, Version] = {}
        self.bad: dict[int, int] = {}
        self.checkpoints: list[tuple[int, Pointer]] = []
        self.next_id = C.FIRST_FREE_ID
        self.transaction = 0
        self._weak: dict[int, Version] = {}
        found = committed(device, store)
        self.frame_count = len(found)
        self._places = [(int(f.header.sequence), int(f.header.lsn)) for f in found]
        start = 0
        for end in range(1, len(found) + 1):
            if end == len(found) or found[end].header.sequence != found[start].header.sequence:
                progress("reading the log", end, len(found))
                self._take(found[start:end])
                start = end
        for identity, version in self._weak.items():
            self.versions.setdefault(identity, version)

    def gaps(self, sequence: int, end_lsn: int) -> list[tuple[int, int]]:
        """(first, last) lsn of the frames that are missing behind the transaction with that sequence, up to `end_lsn`."""
        before = [lsn for number, lsn in self._places if number <= sequence]
        after = [lsn for number, lsn in self._places if number > sequence]
        expected = before[-1] + 1 if before else after[0] if after else end_lsn
        missing = []
        for lsn in [*after, end_lsn]:
            if lsn > expected:
                missing.append((expected, lsn - 1))
            expected = lsn + 1
        return missing

    def _take(self, group: list[FoundFrame]) -> None:
        """The frames of one transaction, as many of them as there are.

        A checkpoint may carry moved objects, and with snapshots also old versions of them: those count only where nothing
        else is known.
        """
        sequence = group[0].header.sequence
        objects: list[tuple[Entry, Pointer, bool]] = []
        pages, snapshots = False, 0
        for frame in group:
            for row, payload in read_entries(self._device, frame):
                offset = frame.offset + frames.HEADER_BYTES + row.offset - self._base
                pointer = Pointer(offset // C.PLACE_UNIT_BYTES, row.kind, row.payload_bytes, row.crc)
                if row.kind in entries.OBJECT_KINDS or row.kind == C.KIND_DELETE:
                    objects.append((row, pointer, payload is not None))
                elif row.kind in entries.PAGE_KINDS or row.kind == C.KIND_CHECKPOINT:
                    pages = True
                if row.kind == C.KIND_CHECKPOINT and payload is not None:
                    self.checkpoints.append((sequence, pointer))
                    snapshots += _snapshot_count(payload)
                commit = _commit_of(row, payload)
                if commit is not None:
                    self.next_id = max(self.next_id, int(commit.next_id))
                    self.transaction = max(self.transaction, int(commit.transaction))
        target = self._weak if pages and snapshots else self.versions
        for row, pointer, good in objects:
            if good:
                target[row.id] = Version(sequence, pointer)
            elif row.id < 1 << C.ID_BITS:
                self.bad[row.id] = sequence


def _snapshot_count(payload: bytes) -> int:
    try:
        return len(parse_checkpoint(payload)[1])
    except KhorosError:
        return 1  # unknown: as if there were some


# -- objects ----------------------------------------------------------------------------------------------------


class Base(NamedTuple):
    """The checkpoint that is built on: its record, and the ids of unreadable index pages, as sorted ranges."""

    record: Record
    pointers: dict[int, Pointer]
    unknown: list[tuple[int, int]]

    def knows(self, identity: int) -> bool:
        """Whether the index says if that object existed."""
        at = bisect_right(self.unknown, (identity, C.ID_MASK + 1)) - 1
        return at < 0 or identity > self.unknown[at][1]


class Salvage:
    """The objects of one store on a device: `pointers` of what is readable, `older` and `lost` of what is not."""

    def __init__(self, device: Device, store: Store, progress: Progress) -> None:
        self.device = device
        self.store = store
        self.log = Log(device, store, progress)
        self.base = self._find_base()
        self.next_id = self.log.next_id
        self.pointers: dict[int, Pointer] = {}
        self.older: list[int] = []
        self.lost: list[int] = []
        self.missing_frames = self._find_gaps()
        self._choose(progress)

    def follow(self, pointer: Pointer, identity: int) -> bytes:
        """The payload that a pointer leads to, wherever it lies. EntryError when it is not what it should be."""
        length = entries.HEADER_BYTES + pointer.payload_bytes
        return entries.follow(self.device.read(self.store.base + pointer.offset, length), pointer, identity)

    def read(self, identity: int) -> StoredObject:
        """An object of `pointers`."""
        pointer = self.pointers[identity]
        return StoredObject(identity, pointer.kind, self.follow(pointer, identity), pointer)

    # -- the checkpoint ---------------------------------------------------------------------------------------

    def _find_base(self) -> Base | None:
        """The newest checkpoint whose record can be read, by the log or by a superblock."""
        candidates = dict(self.log.checkpoints)
        for block in self.store.superblocks:
            pointer = block.pointer("checkpoint")
            if pointer is not None:
                candidates.setdefault(int(block.replay_sequence), pointer)
        for sequence in sorted(candidates, reverse=True):
            try:
                payload = self.follow(candidates[sequence], sequence & C.ID_MASK)
                record, _ = parse_checkpoint(payload)
            except KhorosError:
                continue  # an older one may be there
            if record.sequence == sequence:
                return self._read_index(record)
        return None

    def _read_index(self, record: Record) -> Base:
        base = Base(record, {}, [])
        index = Index(record.pointer("objects"), record.object_levels, C.KIND_OBJECT_PAGE, self.follow)
        pending = [(index.root, index.levels - 1, 0)] if index.root is not None else []
        while pending:
            pointer, level, number = pending.pop()
            try:
                page = index.page(pointer, level, number)
            except KhorosError:
                span = C.PAGE_FANOUT ** (level + 1)
                base.unknown.append((number * span, (number + 1) * span - 1))
                continue
            if level:
                pending += index.children(page, level, number)
                continue
            for key, fields in index.leaf_items(page, number):
                found = Pointer.of(*fields)
                if found is not None:
                    base.pointers[key] = found
        base.unknown.sort()
        return base

    def _find_gaps(self) -> list[tuple[int, int]]:
        """Frames of the log behind the checkpoint that are lost: what changed in them is not known."""
        if self.base is None:
            return []  # what was written before is overwritten in the course of things
        newest, sequence = self.store.newest, int(self.base.record.sequence)
        end = 0 if newest is None or newest.replay_sequence <= sequence else int(newest.replay_lsn)
        return self.log.gaps(sequence, end)

    # -- choosing ---------------------------------------------------------------------------------------------

    def _choose(self, progress: Progress) -> None:
        known = self.base.pointers if self.base is not None else {}
        ids = sorted(known.keys() | self.log.versions.keys() | self.log.bad.keys())
        if self.base is not None:
            self.next_id = max(self.next_id, int(self.base.record.next_id))
        for number, identity in enumerate(ids):
            if not number & 4095:
                progress("reading objects", number, len(ids))
            if identity >= C.ROOT_ID:
                self._choose_one(identity)
        self.next_id = max([self.next_id, *(identity + 1 for identity in self.pointers)])

    def _choose_one(self, identity: int) -> None:
        version, base = self.log.versions.get(identity), self.base
        since = -1 if base is None else int(base.record.sequence)
        bad_since = self.log.bad.get(identity, -1)
        if version is not None and version.sequence > since:
            if version.pointer.kind != C.KIND_DELETE:
                self._keep(identity, version.pointer, bad_since > version.sequence)
            elif bad_since > version.sequence:
                self.lost.append(identity)
            return
        pointer = base.pointers.get(identity) if base is not None else None
        if base is not None and base.knows(identity) and pointer is None and bad_since <= since:
            return  # it does not exist; what is left of it is old
        if pointer is not None and self._is_good(identity, pointer):
            self._keep(identity, pointer, bad_since > since)
        elif version is not None and version.pointer.kind != C.KIND_DELETE:
            unsure = pointer is not None or bad_since > version.sequence
            self._keep(identity, version.pointer, unsure)
        elif pointer is not None or bad_since > (version.sequence if version else -1):
            self.lost.append(identity)

    def _keep(self, identity: int, pointer: Pointer, older: bool) -> None:
        self.pointers[identity] = pointer
        if older:
            self.older.append(identity)

    def _is_good(self, identity: int, pointer: Pointer) -> bool:
        if pointer.kind not in entries.OBJECT_KINDS:
            return False
        try:
            self.follow(pointer, identity)
        except KhorosError:
            return False
        return True


def salvage(device: Device, epoch: int | None, progress: Progress) -> tuple[Salvage, list[Store]]:
    """The objects of the store on a device: the one with that epoch, else the newest; and all stores that were found.

    NotAStore when there is no trace of one.
    """
    stores = find_stores(device, progress)
    wanted = [store for store in stores if epoch is None or store.epoch == epoch]
    if not wanted:
        raise NotAStore(file=device.name, holds="no superblock and no frame of a store was found")
    return Salvage(device, wanted[0], progress), stores
