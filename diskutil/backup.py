"""Copies an image with its history, also while a machine writes to it, and onto an earlier backup only what changed.

    mount ──▶ which segments, and where the log ends ──▶ copy them into a file beside the target ──▶ superblock ──▶ check
          ▲                                                                                                          │
          └───────── the machine was faster: a segment was used again while it was copied ◀──────────────────────────┘
                                                                                              good ──▶ rename

Nothing that the mount has seen changes while it stands: the log only grows, and a segment is opened again two checkpoints
after it was given up at the earliest. So the log is cut at the place where the mount found its end, and all that is copied is
checked. Promise: the target is an image as of one transaction, verified whole, durable; until then what stood there stays.
The image is only read.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from khoros.formats import constants as C

from . import check, creation, frames, reader, superblock
from .check import Progress
from .device import Device, FileDevice
from .errors import DeviceError, FrameError, KhorosError, NotEmpty, SourceDamaged, UsageError
from .mapping import segment_states
from .reader import Store

_ROUNDS_MAX = 20
_PAUSE_SECONDS = 0.05
_COMPARED_BYTES = 1 << 16


class BackedUp(NamedTuple):
    """What a backup did: the transaction that it holds, segments in it, of those copied, bytes written."""

    transaction: int
    oldest_transaction: int
    segments: int
    copied: int
    bytes_written: int
    incremental: bool


def backup(source: str, target: str, *, force: bool = False, progress: Progress | None = None) -> BackedUp:
    """Bring `target` up to date with `source`.

    NotEmpty without `force` when it holds anything but an earlier backup of the same image; SourceDamaged, nothing being
    written, when what was copied is not whole.
    """
    show = progress or (lambda stage, done, total: None)
    if Path(target).exists() and Path(target).samefile(source):
        raise UsageError(file=target, what="an image cannot be its own backup")
    with_earlier = _is_earlier_backup(source, target, force)
    temporary = f"{Path(target).resolve()}.{os.getpid()}.tmp"
    try:
        _prepare(temporary, target if with_earlier else None)
        done = _copy_until_whole(source, temporary, show)
        creation.rename_into_place(temporary, target)
    except OSError as error:
        raise DeviceError(file=target, what=f"cannot be made ({error.strerror})") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return done._replace(incremental=with_earlier)


def _is_earlier_backup(source: str, target: str, force: bool) -> bool:
    """Whether the target is a backup of this image; NotEmpty when it is something else."""
    store = reader.mount(source)
    try:
        identity = store.superblock.uuid, store.superblock.epoch, store.superblock.total_sectors
    finally:
        store.close()
    if not Path(target).exists():
        return False
    try:
        earlier = reader.mount(target)
    except KhorosError:
        creation.refuse_to_overwrite(target, force)
        return False
    try:
        block = earlier.superblock
        same = (block.uuid, block.epoch, block.total_sectors) == identity and earlier.device.base == 0
    finally:
        earlier.close()
    if not same and not force:
        raise NotEmpty(file=target, holds="another store", advice="use -f to replace it")
    return same


def _prepare(temporary: str, earlier: str | None) -> None:
    """An empty file, or a copy of the earlier backup (which shares its blocks, where the file system can)."""
    with open(temporary, "xb") as new:
        if earlier is None:
            return
        with open(earlier, "rb") as old:
            os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o777)
            _copy_sparse(old.fileno(), new.fileno(), os.fstat(old.fileno()).st_size)


def _copy_sparse(old: int, new: int, size: int) -> None:
    os.truncate(new, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(old, at, os.SEEK_DATA)
        except OSError:
            return  # a hole up to the end
        end = os.lseek(old, at, os.SEEK_HOLE)
        while at < end:
            at += os.copy_file_range(old, new, end - at, at, at)


# -- one copy ---------------------------------------------------------------------------------------------------


def _copy_until_whole(source: str, temporary: str, show: Progress) -> BackedUp:
    """Copy; check; again while a machine that writes made that necessary. SourceDamaged when it was not that."""
    written = copied = 0
    problem = ""
    trusted = True
    for _ in range(_ROUNDS_MAX):
        store = reader.mount(source)
        try:
            if store.replayed.damage is not None:
                # A copy of what can be read would look whole, and hide what was lost.
                raise SourceDamaged(file=source, what=store.replayed.damage.summary,
                                    advice="nothing was written; repair makes a new image")
            done = _Copy(store, temporary, show, trusted).run()
            moved_on = _has_moved_on(store)
        finally:
            store.close()
        written, copied = written + done.bytes_written, copied + done.copied
        problem = _problem_of(temporary, done.transaction, show)
        if not problem:
            return done._replace(bytes_written=written, copied=copied)
        if not moved_on and not trusted:
            break
        # Without a machine that was faster, the earlier backup has rotted: everything is copied once more.
        trusted = moved_on and trusted
        time.sleep(_PAUSE_SECONDS)
    raise SourceDamaged(file=source, what=problem, advice="nothing was written; check tells all, and repair "
                        "makes a new image of what is intact")


def _has_moved_on(store: Store) -> bool:
    """Whether the superblock was written while the image was copied."""
    try:
        now = superblock.choose(superblock.read_slots(store.device), store.device)
    except KhorosError:
        return True
    return bool(now.generation != store.superblock.generation)


def _problem_of(path: str, transaction: int, show: Progress) -> str:
    """The first thing that is wrong with a copy; empty if it is whole and as of that transaction."""
    try:
        store = reader.mount(path)
    except KhorosError as error:
        error.file = None
        return str(error)
    try:
        if store.transaction != transaction:
            return f"the copy shows t{store.transaction} where t{transaction} was seen"
        return next((row.text for row in check.check(store, show).findings if row.error), "")
    finally:
        store.close()


class _Copy:
    """One copy of a store as it was mounted, into a file that may hold an earlier one."""

    def __init__(self, store: Store, path: str, show: Progress, trusted: bool) -> None:
        """`trusted`: full segments that the earlier copy has are not copied again."""
        self._store = store
        self._show = show
        self._earlier = _states_of(path) if trusted else {}
        os.truncate(path, store.superblock.total_sectors * C.SECTOR_BYTES)
        self._device = FileDevice(path, writable=True)
        self._written = 0

    def run(self) -> BackedUp:
        """Copy what is missing, empty what is free, write the superblock; all of it durable."""
        try:
            states = segment_states(self._store)
            wanted = {n: row for n, row in states.items() if row[0] != "pending"}
            copied = self._copy_segments(wanted)
            self._clear_others(set(wanted))
            self._write_superblock()
            return BackedUp(self._store.transaction, self._store.oldest_transaction, len(wanted), copied,
                            self._written, False)
        finally:
            self._device.close()

    def _copy_segments(self, wanted: dict[int, tuple[str, int]]) -> int:
        geometry, copied = self._store.geometry, 0
        log_end = self._store.replayed.position.lba * C.SECTOR_BYTES
        for number, (segment, row) in enumerate(sorted(wanted.items())):
            self._show("copying", number, len(wanted))
            if row[0] != "open" and self._has(segment, row):
                continue
            start = geometry.segment_lba(segment) * C.SECTOR_BYTES
            # What a machine has written behind the end that the mount found is not of this state.
            length = geometry.segment_bytes if row[0] != "open" else log_end - start
            data = self._store.device.read(start, length)
            self._put(start, data + bytes(geometry.segment_bytes - length))
            copied += 1
        return copied

    def _has(self, segment: int, row: tuple[str, int]) -> bool:
        """Whether the earlier copy has this segment as it is: the same sequence, closed, and the same last frame.

        A frame names the crc of the commit before it, which goes back to the first: equal ends have equal beginnings.
        """
        if self._earlier.get(segment) != row:
            return False
        last = _last_header(self._device, self._store, segment, row[1])
        return last is not None and self._store.device.read(last[0], frames.HEADER_BYTES) == last[1]

    def _clear_others(self, wanted: set[int]) -> None:
        """Zeros in segments that hold nothing, so that no frame of another time is left behind the log."""
        geometry = self._store.geometry
        at = self._device.next_data(geometry.log_lba * C.SECTOR_BYTES)
        end = geometry.end_lba * C.SECTOR_BYTES
        while at < end:
            segment = geometry.segment_of_offset(at)
            start = geometry.segment_lba(segment) * C.SECTOR_BYTES
            if segment not in wanted:
                self._put(start, bytes(geometry.segment_bytes))
            at = self._device.next_data(start + geometry.segment_bytes)

    def _write_superblock(self) -> None:
        """The generation that was mounted and the one before it, each in both its places.

        If no copy of the one before is left, a generation more makes that the mounted one.
        """
        block = self._store.superblock
        before = next((slot.superblock for slot in self._store.slots if slot.superblock is not None
                       and slot.superblock.generation == block.generation - 1), None)
        if before is None and block.generation > 1:
            before, block = block, block.replace(
                generation=block.generation + 1, parent_crc=superblock.head_crc(block))
        for lba, parity, _ in superblock.slot_lbas(block.total_sectors):
            if parity != block.generation % 2:
                self._put(lba * C.SECTOR_BYTES,
                          bytes(C.SECTOR_BYTES) if before is None else superblock.encode(before, lba))
        # `write` flushes before the first copy and after each.
        superblock.write(self._device, block)

    def _put(self, start: int, data: bytes) -> None:
        """Write what differs from what is there."""
        for at in range(0, len(data), _COMPARED_BYTES):
            piece = data[at : at + _COMPARED_BYTES]
            if self._device.read(start + at, len(piece)) != piece:
                self._device.write(start + at, piece)
                self._written += len(piece)


def _states_of(path: str) -> dict[int, tuple[str, int]]:
    """The segments of an earlier copy; none if it cannot be mounted."""
    try:
        store = reader.mount(path)
    except KhorosError:
        return {}
    try:
        return segment_states(store)
    except KhorosError:
        return {}  # a page has rotted: everything is copied
    finally:
        store.close()


def _last_header(device: Device, store: Store, segment: int, sequence: int) -> tuple[int, bytes] | None:
    """(offset, bytes) of the header of a segment's last frame, going from one to the next by their lengths."""
    geometry = store.geometry
    at, end = (geometry.segment_lba(n) * C.SECTOR_BYTES for n in (segment, segment + 1))
    last = None
    while at < end:
        data = device.read(at, frames.HEADER_BYTES)
        try:
            header = frames.header(data)
        except FrameError:
            return last
        if (header.epoch, header.lba * C.SECTOR_BYTES, header.segment_sequence) != (
                store.superblock.epoch, at, sequence):
            return last
        last = at, data
        at += frames.span(header.payload_bytes, geometry.append_sectors)
    return last
