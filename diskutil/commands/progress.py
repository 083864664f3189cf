"""A progress line on stderr, for work that takes longer than half a second on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FIRST_SECONDS, _EVERY_SECONDS = 0.5, 0.1


@contextmanager
def progress_line() -> Iterator[Callable[[str, int, int], None]]:
    """A function (stage, done, total or 0) that draws one line now and then; the line is gone afterwards."""
    shown = False
    following = time.monotonic() + _FIRST_SECONDS
    terminal = sys.stderr.isatty()

    def show(stage: str, done: int, total: int) -> None:
        nonlocal shown, following
        now = time.monotonic()
        if not terminal or now < following:
            return
        following, shown = now + _EVERY_SECONDS, True
        part = f"{100 * done // total} %" if total else str(done)
        sys.stderr.write(f"\r\x1b[K{stage}: {part}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
