"""Small good images that recipes begin with. The same sources give the same bytes: clock and randomness are the torture's.

A base is made by the real store (torture/), so it is what machines write: log, checkpoint, pages of all indexes, superblocks of
several generations; `structures` finds in it, by the schemas, every structure that a recipe can change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from construct import Construct

from khoros.formats import (
    CHECKPOINT,
    COMMIT,
    ENTRY_HEADER,
    FRAME_HEADER,
    POINTER,
    SEGMENT_RECORD,
    SNAPSHOT,
    SUPERBLOCK,
    derive,
)
from khoros.formats import constants as C

from .. import checksums, device, entries, frames, superblock
from ..errors import KhorosError
from ..torture import crash, mounted, runtime

HERE = Path(__file__).parent
SECTOR = C.SECTOR_BYTES
# Slots of a page that recipes reach: those in use, up to so many.
SLOTS_MOST = 24
PLAIN_BYTES_MOST = 4096


class Structure(NamedTuple):
    """A structure in a base image: its schema's name, where it begins, and how long it is. "bytes": no schema, a payload."""

    name: str
    offset: int
    size: int


class Base(NamedTuple):
    """A base image."""

    name: str
    image: bytes
    structures: tuple[Structure, ...]


SCHEMAS: dict[str, Construct] = {
    "superblock": SUPERBLOCK, "frame_header": FRAME_HEADER, "entry_header": ENTRY_HEADER, "commit": COMMIT,
    "checkpoint": CHECKPOINT, "snapshot": SNAPSHOT, "pointer": POINTER, "segment_record": SEGMENT_RECORD,
}  # fmt: skip


def _empty() -> bytes:
    return bytes(mounted.format_disk())


def _rich(unmount: bool) -> bytes:
    disk, lua = mounted.Disk(mounted.format_disk()), runtime.runtime()
    store = mounted.Store(disk, lua)
    lua.execute((HERE / "rich.lua").read_bytes(), store.handle, name="@rich.lua")
    if unmount:
        store.close()
    return bytes(disk.image)


def _worn() -> bytes:
    """Snapshots, collected garbage, segments that were used again, an unclean end."""
    return bytes(crash.record_keeping(5, 60, 900).image_at())


_MAKERS: dict[str, Callable[[], bytes]] = {
    "rich": lambda: _rich(True), "rich and in use": lambda: _rich(False), "worn": _worn, "empty": _empty,
}  # fmt: skip
NAMES = tuple(_MAKERS)


@cache
def base(number: int) -> Base:
    """The base with that number, of len(NAMES)."""
    name = NAMES[number]
    image = _MAKERS[name]()
    return Base(name, image, tuple(structures(image)))


def structures(image: bytes) -> Iterator[Structure]:
    """Every structure of a good image, by place: superblocks, frames, and what the entries of frames hold."""
    memory = device.MemoryDevice(image)
    for lba, _, _ in superblock.slot_lbas(len(image) // SECTOR):
        if image[lba * SECTOR:lba * SECTOR + 4].strip(b"\0"):
            yield Structure("superblock", lba * SECTOR, SUPERBLOCK.sizeof())
    for offset, payload_bytes, entry_count in checksums.frames_of(memory):
        yield Structure("frame_header", offset, FRAME_HEADER.sizeof())
        yield from _of_payload(image, offset + frames.HEADER_BYTES, payload_bytes, entry_count)


def _of_payload(image: bytes, start: int, size: int, count: int) -> Iterator[Structure]:
    try:
        rows = list(entries.walk(image[start:start + size], count))
    except KhorosError:
        return  # torn by the power cut in which the base ends
    for row in rows:
        at = start + row.offset
        yield Structure("entry_header", at, entries.HEADER_BYTES)
        yield from _of_entry(row.kind, image, at + entries.HEADER_BYTES, row.payload_bytes)


def _of_entry(kind: int, image: bytes, at: int, size: int) -> Iterator[Structure]:
    if kind in entries.PAGE_KINDS:
        name = "segment_record" if kind == C.KIND_SEGMENT_PAGE else "pointer"
        slots = [place for place in range(at, at + size, POINTER.sizeof()) if any(image[place:place + POINTER.sizeof()])]
        yield from (Structure(name, place, POINTER.sizeof()) for place in slots[:SLOTS_MOST])
    elif kind == C.KIND_CHECKPOINT:
        yield Structure("checkpoint", at, CHECKPOINT.sizeof())
        for place in range(at + CHECKPOINT.sizeof(), at + size - SNAPSHOT.sizeof() + 1, SNAPSHOT.sizeof()):
            yield Structure("snapshot", place, SNAPSHOT.sizeof())
    elif kind == C.KIND_COMMIT:
        yield Structure("commit", at, COMMIT.sizeof())
    elif size:
        yield Structure("bytes", at, min(size, PLAIN_BYTES_MOST))


def fields(structure: Structure) -> tuple[tuple[int, int], ...]:
    """(offset in the structure, size) of each of its fields; of plain bytes each byte."""
    if structure.name == "bytes":
        return tuple((at, 1) for at in range(structure.size))
    return tuple((field.offset, field.size) for field in derive.fields(SCHEMAS[structure.name]))
