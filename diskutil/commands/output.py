"""Writes a command's file: stdout, or a file that appears when it is whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from . import options


def write_output(name: str, data: bytes) -> None:
    """Write to a file, or to stdout for `-`. On an error the file is what it was before; OSError names it."""
    if name == "-":
        options.print_bytes(data)
        return
    target = Path(name)
    if target.exists() and not target.is_file():
        target.write_bytes(data)  # a pipe or a device: nothing to replace
        return
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(".tmp", f".{target.name}.", target.resolve().parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _mode(target))
            file.write(data)
        Path(temporary).replace(target.resolve())
        temporary = ""
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    finally:
        if temporary:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()


def _mode(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
