"""QEMU's lock on raw images, spoken as QEMU speaks it.

QEMU marks what it does with a raw image by shared open-file-description locks on single bytes: byte 100 + n says
"I use permission n", byte 200 + n says "others must not have permission n". To see whether permission n is free it
asks whether it could lock 200 + n (and 100 + n) exclusively. (QEMU, block/file-posix.c: RAW_LOCK_PERM_BASE,
RAW_LOCK_SHARED_BASE; permissions in include/block/block-common.h.) By doing the same, a writer here refuses an image
that a machine has open, QEMU refuses one that is being written here, and two writers here refuse each other.
The lock goes away with the descriptor, also when the program is killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from .errors import InUse

_PERMISSION_BASE = 100
_UNSHARED_BASE = 200
_CONSISTENT_READ, _WRITE, _WRITE_UNCHANGED, _RESIZE = range(4)
_USED_BY_A_WRITER = (_CONSISTENT_READ, _WRITE, _RESIZE)
_DENIED_BY_A_WRITER = (_WRITE, _RESIZE)

# struct flock of Linux on 64-bit machines: type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi4x")

_UNSUPPORTED = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def take(descriptor: int, name: str) -> None:
    """Lock a file for writing until its descriptor is closed; InUse if somebody else has it.

    A file system that has no locks is written without one.
    """
    wanted = [_PERMISSION_BASE + n for n in _USED_BY_A_WRITER]
    wanted += [_UNSHARED_BASE + n for n in _DENIED_BY_A_WRITER]
    for byte in wanted:
        _share(descriptor, byte)
    if conflicting(descriptor):
        raise InUse(
            file=name,
            holder="QEMU or another khoros-disk has it open",
            advice="power that machine off first",
        )


def conflicting(descriptor: int) -> bool:
    """Whether another program's locks forbid writing to the file."""
    theirs = [_UNSHARED_BASE + n for n in _USED_BY_A_WRITER]
    theirs += [_PERMISSION_BASE + n for n in _DENIED_BY_A_WRITER]
    return any(_held_by_another(descriptor, byte) for byte in theirs)


def writer_present(descriptor: int) -> bool:
    """Whether another program has the file open for writing."""
    return _held_by_another(descriptor, _PERMISSION_BASE + _WRITE)


def _share(descriptor: int, byte: int) -> None:
    request = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise InUse(holder="its locks cannot be shared") from error


def _held_by_another(descriptor: int, byte: int) -> bool:
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request)
    except OSError:
        return False
    return _FLOCK.unpack(answer)[0] != fcntl.F_UNLCK
