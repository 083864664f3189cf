"""Makes an empty store: `mkfs`.

Promise: a file is made beside its final place, sparse, flushed and then renamed, so that a failure leaves what was
there untouched; a block device or a partition is written in place, old superblocks first. Nothing that holds data is
overwritten without `force`. The same uuid, size, options and SOURCE_DATE_EPOCH give identical bytes (files only: the
epoch then is not random, and a new file has no stale frames that it could be confused with).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
import time
import uuid as uuid_module
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from khoros.formats import constants as C

from . import bootable as bootable_disk
from . import contents, partition, sizes, superblock
from .bootable import Surroundings
from .device import Device, FileDevice, is_block_device
from .errors import DeviceError, NotEmpty, ReadOnly, UsageError
from .records import INTEGER_MAX, Record

_SEGMENTS_WANTED = 16
_BYTES_MAX = superblock.SECTORS_MAX * C.SECTOR_BYTES
BYTES_MIN = C.SECTOR_BYTES * (
    C.LOG_LBA + C.SEGMENTS_MIN * C.SEGMENT_SECTORS_MIN + C.TAIL_BACK_EVEN
)


class Created(NamedTuple):
    """What mkfs made: the superblock of generation 1 and where the store lies in the file (bytes)."""

    path: str
    base: int
    size_bytes: int
    superblock: Record

    @property
    def uuid(self) -> uuid_module.UUID:
        """Identity of the store."""
        return superblock.identity(self.superblock)


def mkfs(
    path: str | os.PathLike[str],
    size_bytes: int | None = None,
    *,
    label: str | None = None,
    uuid: str | uuid_module.UUID | None = None,
    segment_bytes: int | None = None,
    append_sectors: int = C.BLOCK_SECTORS,
    force: bool = False,
    dry_run: bool = False,
    bootable: bool = False,
    fill: Callable[[str], None] | None = None,
) -> Created:
    """Make an empty store in a file (new or replaced), in a partition of our type, or on a block device.

    `bootable` makes the file a disk of `size_bytes` that boots by itself, with the store in a partition. `fill` is called
    with the path of the new store before it takes its place. `size_bytes` may be left out where the place has a size.

    Raises NotEmpty without `force` when something is there, UsageError for sizes and names that cannot be, DeviceError and
    InUse when the place cannot be written, and whatever `fill` raises; then what was there is untouched (but for a device).
    """
    name = os.fspath(path)
    in_place = is_block_device(name) or (
        size_bytes is None and not bootable and _has_our_partition(name))
    if in_place and bootable:
        raise UsageError(file=name, what="a disk that boots is made as a file",
                         advice="make it in a file and copy that to the device")
    if in_place:
        made = _make_in_place(name, size_bytes, label, uuid, segment_bytes, append_sectors, force,
                              dry_run)
        if fill is not None and not dry_run:
            fill(name)
        return made
    size = _file_size(name, size_bytes)
    identity = _uuid(uuid)
    seed = _seed(identity, uuid is not None)
    around = Surroundings(0, size, [])
    if bootable:
        around = bootable_disk.surround(size, lambda purpose: _bytes(seed, purpose, 16), BYTES_MIN)
    record = _describe(around.size_bytes, label, identity, seed, segment_bytes, append_sectors)
    refuse_to_overwrite(name, force)
    if not dry_run:
        _make_file(name, size, record, around, fill)
    return Created(name, around.base, around.size_bytes, record)


def describe(
    size_bytes: int,
    *,
    label: str | None = None,
    uuid: str | uuid_module.UUID | None = None,
    segment_bytes: int | None = None,
    append_sectors: int = C.BLOCK_SECTORS,
    new_file: bool = True,
) -> Record:
    """The superblock of generation 1 of an empty store with that size. UsageError for what cannot be."""
    identity = _uuid(uuid)
    seed = _seed(identity, uuid is not None and new_file)
    return _describe(size_bytes, label, identity, seed, segment_bytes, append_sectors)


def _seed(identity: uuid_module.UUID, may_repeat: bool) -> str | None:
    """What everything random follows from, where the same bytes are wanted again: a named uuid and SOURCE_DATE_EPOCH."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return f"{identity} {fixed}" if fixed and may_repeat else None


def _describe(size_bytes: int, label: str | None, identity: uuid_module.UUID, seed: str | None,
              segment_bytes: int | None, append_sectors: int) -> Record:
    _check_size(size_bytes)
    total = size_bytes // C.SECTOR_BYTES
    segment_sectors = _segment_sectors(total, segment_bytes)
    if append_sectors not in (1, C.BLOCK_SECTORS):
        raise UsageError(what=f"appends of {append_sectors} sectors", advice="use 1 or 8")
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    now = _fixed_time(fixed) if fixed else time.time_ns() // 1000
    return Record(
        magic=superblock.MAGIC, format_major=C.FORMAT_MAJOR, format_minor=C.FORMAT_MINOR,
        header_bytes=superblock.SIZE, uuid=identity.bytes, lineage=_bytes(seed, "lineage", 16),
        epoch=int.from_bytes(_bytes(seed, "epoch", 8), "little") & INTEGER_MAX, own_lba=0,
        generation=1, parent_crc=0, segment_sectors=segment_sectors, total_sectors=total,
        log_lba=C.LOG_LBA, segment_count=superblock.segments_of(total, segment_sectors),
        append_sectors=append_sectors, features_compat=0, features_ro_compat=0,
        features_incompat=0, incarnation=1, incarnation_claimed=1, state=0, replay_next_segment=1,
        checkpoint_tag=0, checkpoint_payload_bytes=0, checkpoint_crc=0, replay_lba=C.LOG_LBA,
        replay_segment_sequence=1, replay_lsn=1, replay_sequence=0, replay_transaction=0,
        replay_parent_crc=0, reserved_1=0, created_time=now, written_time=now,
        label=_label(label), reserved_2=bytes(220), crc=0,
    )


def _check_size(size_bytes: int) -> None:
    if size_bytes < BYTES_MIN:
        number, given = size_bytes, sizes.count(size_bytes, "byte")
        if size_bytes and size_bytes % 1024 == 0:
            number, given = size_bytes // 1024, sizes.text(size_bytes)
        raise UsageError(what=f"{given} is too small", advice=_meant(number))
    if size_bytes > _BYTES_MAX:
        raise UsageError(what=f"{sizes.text(size_bytes)} is too large",
                         advice=f"a store has at most {sizes.text(_BYTES_MAX)}")


def _meant(number: int) -> str:
    """`12` is probably 12M: the smallest unit that makes the number a possible size."""
    for unit in "KMGT":
        words = f"{number}{unit}"
        if number and BYTES_MIN <= sizes.parse(words) <= _BYTES_MAX:
            return f"did you mean {words}?"
    return f"the smallest store has {BYTES_MIN} bytes"


def _segment_sectors(total_sectors: int, segment_bytes: int | None) -> int:
    if segment_bytes is not None:
        size = segment_bytes // C.SECTOR_BYTES
        if not (C.SEGMENT_SECTORS_MIN <= size <= C.SEGMENT_SECTORS_MAX and size & (size - 1) == 0):
            raise UsageError(what=f"a segment of {sizes.count(segment_bytes, 'byte')}",
                             advice="use a power of two from 128K to 16M")
        if superblock.segments_of(total_sectors, size) < C.SEGMENTS_MIN:
            raise UsageError(what=f"segments of {sizes.text(segment_bytes)} are too large here",
                             advice=f"a store has at least {C.SEGMENTS_MIN}")
        return size
    size = C.SEGMENT_SECTORS_DEFAULT
    while size > C.SEGMENT_SECTORS_MIN and (
        superblock.segments_of(total_sectors, size) < _SEGMENTS_WANTED
    ):
        size //= 2
    return size


def _uuid(given: str | uuid_module.UUID | None) -> uuid_module.UUID:
    if given is None:
        return uuid_module.uuid4()
    try:
        return uuid_module.UUID(str(given))
    except ValueError as error:
        raise UsageError(what=f"not a uuid: {given}") from error


def _fixed_time(seconds: str) -> int:
    if not seconds.isascii() or not seconds.isdigit() or int(seconds) > INTEGER_MAX // 10**6:
        raise UsageError(what=f"SOURCE_DATE_EPOCH is not a number of seconds: {seconds!r}")
    return int(seconds) * 10**6


def _bytes(seed: str | None, purpose: str, count: int) -> bytes:
    """Random bytes, or bytes that follow from the seed."""
    if seed is None:
        return secrets.token_bytes(count)
    return hashlib.sha256(f"khoros {purpose} {seed}".encode()).digest()[:count]


def _label(text: str | None) -> bytes:
    data = (text or "").encode("utf-8", "surrogateescape")
    if len(data) > C.LABEL_BYTES or b"\0" in data:
        raise UsageError(what=f"label {text!r}", expected=f"at most {C.LABEL_BYTES} bytes of UTF-8",
                         found=sizes.count(len(data), "byte"))
    return data.ljust(C.LABEL_BYTES, b"\0")


def _has_our_partition(name: str) -> bool:
    if not Path(name).is_file():
        return False
    device = FileDevice(name)
    try:
        return any(row.ours for row in partition.partitions(device))
    finally:
        device.close()


def _file_size(name: str, size_bytes: int | None) -> int:
    if size_bytes is not None:
        return size_bytes
    if Path(name).is_file() and Path(name).stat().st_size:
        return Path(name).stat().st_size
    raise UsageError(file=name, what="has no size yet", advice="say how large: -s 64M")


def refuse_to_overwrite(name: str, force: bool) -> None:
    """NotEmpty unless there is no file, an empty one, a sparse one without data, or `force`."""
    try:
        status = Path(name).stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DeviceError(file=name, what=(error.strerror or "").lower()) from error
    if not stat.S_ISREG(status.st_mode):
        raise DeviceError(file=name, what="is neither a file nor a block device")
    if not os.access(name, os.W_OK):
        raise ReadOnly(file=name, what="no permission")
    device = FileDevice(name, writable=True)  # takes the lock: refuses an image in use
    try:
        holds = contents.describe(device)
    finally:
        device.close()
    if holds and not force:
        raise NotEmpty(file=name, holds=holds, advice="use -f to replace it")


def _make_file(name: str, size_bytes: int, record: Record, around: Surroundings,
               fill: Callable[[str], None] | None) -> None:
    """Build the image beside its place, flush it, rename it, flush the directory."""
    target = Path(name).resolve()
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(size_bytes)
            os.fchmod(descriptor, _mode(target))
        device = FileDevice(temporary, writable=True)
        try:
            for offset, data in around.pieces:
                device.write(offset, data)
            device.window(around.base, around.size_bytes)
            superblock.write(device, record)
        finally:
            device.close()
        if fill is not None:
            fill(temporary)
        rename_into_place(temporary, target)
        temporary = ""
    except OSError as error:
        raise DeviceError(file=name, what=f"cannot be made ({error.strerror})") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _mode(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def rename_into_place(temporary: str, target: str | os.PathLike[str]) -> None:
    """A finished, flushed file takes its place, durably."""
    place = Path(target).resolve()
    Path(temporary).replace(place)
    _flush_directory(place.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_in_place(name: str, size_bytes: int | None, label: str | None,
                   uuid: str | uuid_module.UUID | None, segment_bytes: int | None,
                   append_sectors: int, force: bool, dry_run: bool) -> Created:
    """Format a block device or a partition: all four slots are wiped before the new pair is written."""
    device = FileDevice(name, writable=True)
    try:
        partition.select(device)
        size = device.size if size_bytes is None else size_bytes
        if size > device.size:
            raise UsageError(file=name, what=f"has only {sizes.count(device.size, 'byte')}")
        record = describe(size, label=label, uuid=uuid, segment_bytes=segment_bytes,
                          append_sectors=append_sectors, new_file=False)
        holds = contents.describe(device)
        if holds and not force:
            raise NotEmpty(file=name, holds=holds, advice="use -f to format it")
        if not dry_run:
            _wipe(device, record.total_sectors)
            superblock.write(device, record)
        return Created(name, device.base, size, record)
    finally:
        device.close()


def _wipe(device: Device, total_sectors: int) -> None:
    for lba, _, _ in superblock.slot_lbas(total_sectors):
        device.write(lba * C.SECTOR_BYTES, bytes(C.SECTOR_BYTES))
    device.flush()
