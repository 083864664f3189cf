"""Makes an image small without copying it: garbage and history go, the rest moves together, free space becomes a hole.

    gc → checkpoint, history dropped → segments emptied while that gains → clean unmount → holes where segments are free

Only segments that the durable checkpoint calls free are punched, after the superblock that points to it was flushed; nothing
reads them before the log opens them again. A cut at any instant leaves a whole store.
"""

from __future__ import annotations

import os

from khoros.formats import constants as C

from . import garbage, retention
from .reader import Store
from .writer import Writer, open_writer


def compact(path: str, *, keep_garbage: bool = False) -> tuple[int, int]:
    """Returns the bytes that the file takes on the host before and after. KhorosError: nothing was lost."""
    writer = open_writer(path)
    try:
        before = _allocated(path)
        # An index page that cannot be read, one of a snapshot too, hides what may not be freed: refused before anything is written.
        retention.pages_of_now(writer.store)
        if not keep_garbage:
            garbage.collect(writer)
        writer.drop_history()
        writer.close()
        _punch(writer, writer.store)
        return before, _allocated(path)
    finally:
        writer.store.close()


def _punch(writer: Writer, store: Store) -> None:
    size = store.geometry.segment_sectors * C.SECTOR_BYTES
    for segment in writer.free_segments():
        store.device.punch(store.geometry.segment_lba(segment) * C.SECTOR_BYTES, size)


def _allocated(path: str) -> int:
    """Bytes of the host's disk that a file takes."""
    return os.stat(path).st_blocks * 512
