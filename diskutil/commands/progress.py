"""A progress line on stderr, for work that takes longer than half a second on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_FIRST_SECONDS, _EVERY_SECONDS, _BAR_WIDTH = 0.5, 0.1, 20


class Show(Protocol):
    """Draws the line, if it is time: a bar where the total is known (not 0), and what else there is to say."""

    def __call__(self, stage: str, done: int, total: int, more: str = "") -> None: ...


@contextmanager
def progress_line() -> Iterator[Show]:
    """A function that draws one line now and then; the line is gone afterwards. Without a terminal it draws nothing."""
    shown = False
    following = time.monotonic() + _FIRST_SECONDS
    terminal = sys.stderr.isatty()

    def show(stage: str, done: int, total: int, more: str = "") -> None:
        nonlocal shown, following
        now = time.monotonic()
        if not terminal or now < following:
            return
        following, shown = now + _EVERY_SECONDS, True
        part = f"{_bar(done / total)} {done / total:4.0%}" if total else str(done)
        line = f"{stage}: {part}{'  ' if more else ''}{more}"
        sys.stderr.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _bar(part: float) -> str:
    full = int(_BAR_WIDTH * min(part, 1))
    return f"[{'█' * full}{'·' * (_BAR_WIDTH - full)}]"
