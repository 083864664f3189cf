"""Sizes as people type and read them: `64M`, `1.5G`, 1024-based; and counts of things.

Promise: `parse` and `text` agree (`parse(text(n))` is n for whole units), and a size that cannot be meant is refused
with the size that probably was.
"""

from __future__ import annotations

import re

from .errors import UsageError

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[BKMGTP]?)(?:i?B)?", re.IGNORECASE)


def parse(words: str) -> int:
    """Bytes that `64M`, `1.5G`, `512`, `64MiB` stand for. UsageError for anything else."""
    match = _SIZE.fullmatch(words.strip())
    if match is None:
        raise UsageError(what=f"not a size: {words!r}", advice="write 64M, 1.5G or a number of bytes")
    whole, _, fraction = match["number"].partition(".")
    unit = _UNITS[match["unit"].upper()]
    return int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def text(size_bytes: int) -> str:
    """A size for people: `64M`, `1.5G`, `300` (bytes)."""
    for unit in "PTGMK":
        step = _UNITS[unit]
        if size_bytes >= step:
            return f"{size_bytes // step}{unit}" if size_bytes % step == 0 else (
                f"{size_bytes / step:.1f}{unit}")
    return str(size_bytes)


def count(number: int, thing: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
