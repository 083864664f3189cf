"""The disk images of a machine: those that were named, or the one of this clone; made when they do not exist."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from khoros.diskutil.launch.errors import LaunchError

DEFAULT_NAME = "khoros.img"
DEFAULT_SIZE_BYTES = 64 << 20


def default_image() -> Path:
    """khoros.img of the clone, wherever ./khoros is called from; of the current folder for the installed package."""
    clone = Path(__file__).resolve().parents[2]
    if not (clone / "khoros").is_file():
        return Path(DEFAULT_NAME)
    image = clone / DEFAULT_NAME
    # Shown and copied by people: short where it can be.
    return Path(DEFAULT_NAME) if Path.cwd() == clone else image


def prepare(image: Path, say: Callable[[str], None]) -> None:
    """Make `image` if it does not exist; refuse what cannot be a disk. An existing file's bytes are not looked at."""
    try:
        found = image.stat()
    except FileNotFoundError:
        return _make(image, say)
    except OSError as error:
        raise LaunchError(f"{image}: {error.strerror}") from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise LaunchError(f"{image} is no disk image: neither a file nor a block device")
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise LaunchError(f"{image} is empty; remove it, and it will be made")
    if not os.access(image, os.R_OK | os.W_OK):
        raise LaunchError(f"{image}: no permission to read and write it")


def _make(image: Path, say: Callable[[str], None]) -> None:
    from khoros.diskutil.writer import mkfs

    if not image.parent.is_dir():
        raise LaunchError(f"{image}: there is no folder {image.parent}")
    try:
        mkfs(image, DEFAULT_SIZE_BYTES)
    except OSError as error:
        raise LaunchError(f"cannot make {image}: {error.strerror}") from error
    say(f"made {image}: an empty store of {DEFAULT_SIZE_BYTES >> 20} MiB (sparse)")
