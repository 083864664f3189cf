"""Where the sectors of a store are: a file, a block device, a window into one (a partition), or bytes in memory.

Promise: a `Device` answers `read(offset, length)` with exactly that many bytes or raises a KhorosError that names
the file; offsets are bytes from the start of the store, never of the disk, and error messages add the partition's
start. Nothing here caches. Writing devices hold QEMU's lock bytes (lock.py), so that an image that a machine has
open is refused.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import stat
from pathlib import Path
from typing import Protocol

from . import lock
from .errors import DeviceError, InUse, ReadOnly, TruncatedImage

_SECTOR_BYTES_MAX_READ = 1 << 31
# fallocate(2): modes of linux/falloc.h.
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Device(Protocol):
    """What readers and writers need. `base` is the store's first byte in the file, `size` its room in bytes."""

    name: str
    base: int
    writable: bool

    @property
    def size(self) -> int:
        """Bytes of the store."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; durable only after `flush`."""

    def next_data(self, offset: int) -> int:
        """The first offset from `offset` on where something may have been written; `size` when there is none."""

    def punch(self, offset: int, length: int) -> None:
        """These bytes are not needed any more, and may read as zeros from now on."""

    def flush(self) -> None:
        """Everything written before this call survives a power cut after it."""

    def close(self) -> None:
        """Release the file and its lock."""


class MemoryDevice:
    """A store in memory: for tests, fuzzing and pure parsing."""

    base = 0
    writable = True

    def __init__(self, data: bytes | bytearray, name: str = "memory") -> None:
        self.data = data if isinstance(data, bytearray) else bytearray(data)
        self.name = name

    @property
    def size(self) -> int:
        """Bytes of the store."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`, or TruncatedImage."""
        _check_range(self, offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        """Write within the size that the memory has."""
        _check_range(self, offset, len(data))
        self.data[offset : offset + len(data)] = data

    def next_data(self, offset: int) -> int:
        """Memory has no holes."""
        return offset

    def punch(self, offset: int, length: int) -> None:
        """Zeros, as a hole reads."""
        self.write(offset, bytes(length))

    def flush(self) -> None:
        """Memory has nothing to flush."""

    def close(self) -> None:
        """Memory has nothing to close."""


class FileDevice:
    """A raw image file or a block device, or the part of one that `window` selects."""

    def __init__(self, path: str | os.PathLike[str], *, writable: bool = False) -> None:
        """Open; DeviceError, ReadOnly or InUse with the file's name if that cannot be done."""
        self.name = os.fspath(path)
        self.writable = writable
        self.base = 0
        self._descriptor = _open(self.name, writable)
        try:
            self.size = _size(self._descriptor, self.name)
            if writable:
                lock.take(self._descriptor, self.name)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.file_size = self.size

    def window(self, base: int, size: int) -> None:
        """Narrow the device to `size` bytes from byte `base` of the file: a partition."""
        self.base, self.size = base, size

    def in_use(self) -> bool:
        """Whether another program has the file open for writing, as far as its locks tell."""
        return lock.writer_present(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes, or TruncatedImage, or DeviceError when the medium fails."""
        _check_range(self, offset, length)
        parts, at, left = [], self.base + offset, length
        while left:
            try:
                part = os.pread(self._descriptor, min(left, _SECTOR_BYTES_MAX_READ), at)
            except OSError as error:
                raise DeviceError(
                    file=self.name, offset=at, what=f"cannot be read ({error.strerror})"
                ) from error
            if not part:
                raise TruncatedImage(
                    file=self.name, expected=f"{self.base + offset + length} bytes", found=at
                )
            parts.append(part)
            at, left = at + len(part), left - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data`. The first failure is final: writers go no further (SPEC 6)."""
        if not self.writable:
            raise ReadOnly(file=self.name, what="it was opened for reading")
        _check_range(self, offset, len(data))
        view, at = memoryview(data), self.base + offset
        while view:
            try:
                written = os.pwrite(self._descriptor, view, at)
            except OSError as error:
                raise DeviceError(
                    file=self.name, offset=at, what=f"cannot be written ({error.strerror})"
                ) from error
            view, at = view[written:], at + written

    def next_data(self, offset: int) -> int:
        """As the file system tells; block devices have no holes."""
        try:
            found = os.lseek(self._descriptor, self.base + offset, os.SEEK_DATA) - self.base
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else offset
        return min(max(found, offset), self.size)

    def punch(self, offset: int, length: int) -> None:
        """Give the space of a file's range back to the host: it reads as zeros. What cannot (a block device) stays as it is."""
        _check_range(self, offset, length)
        libc = ctypes.CDLL(None, use_errno=True)
        start = ctypes.c_int64(self.base + offset)
        failed = libc.fallocate(self._descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, ctypes.c_int64(length))
        if failed and ctypes.get_errno() not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV):
            raise DeviceError(file=self.name, offset=self.base + offset,
                              what=f"cannot be made a hole ({os.strerror(ctypes.get_errno())})")

    def flush(self) -> None:
        """fsync; where the guest sends FLUSH CACHE."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise DeviceError(
                file=self.name, what=f"cannot be flushed ({error.strerror})"
            ) from error

    def close(self) -> None:
        """Close the file, which releases its locks. Twice is once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _check_range(device: Device, offset: int, length: int) -> None:
    if offset < 0 or length < 0 or length > device.size - offset:
        raise TruncatedImage(
            file=device.name,
            offset=device.base + offset,
            expected=f"{length} bytes",
            found=f"{max(device.size - offset, 0)} before the end",
        )


def _open(name: str, writable: bool) -> int:
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(name, flags)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and writable:
            raise ReadOnly(file=name, what=error.strerror or "no permission") from error
        if error.errno == errno.EBUSY:
            raise InUse(file=name, holder="the kernel says it is busy") from error
        raise DeviceError(file=name, what=_reason(error)) from error


def _reason(error: OSError) -> str:
    if error.errno == errno.EISDIR:
        return "is a directory, not an image"
    return (error.strerror or "cannot be opened").lower()


def _size(descriptor: int, name: str) -> int:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise DeviceError(file=name, what="is a directory, not an image")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise DeviceError(file=name, what="is neither a file nor a block device")
    return os.lseek(descriptor, 0, io.SEEK_END)


def is_block_device(path: str | os.PathLike[str]) -> bool:
    """Whether the path is an existing block device."""
    return Path(path).is_block_device()
