"""Exercise 3: a tiny store of one text, whose commits have to survive a power cut at every write.

The disk keeps what was flushed. Of what was written since, any part may be there after a cut, in any order, and one sector
may be there by half. The check cuts at every write and flush of a workload, tries the states that can be left, opens the
store on each, and goes on from there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
from lupa.lua55 import LuaError

from lab.wrong import Wrong, answer_text, copy_start
from tests.support import lua as lua_support

TITLE = "Make a commit survive a power cut"
SECTOR_BYTES, SECTORS = 512, 64
TEXTS = [b"", b"first words", b"b" * 700, b"third, and short", b"d" * 1999, b"last"]
# Of at most so many sectors every subset is tried, of more the prefixes, the suffixes and single ones left out.
SUBSETS_MOST = 5


def start(folder: Path) -> None:
    copy_start("journal.lua", folder)


class Disk:
    """A disk that remembers in which order it was written; `operations` are (lba, sector) and None for a flush."""

    def __init__(self, sectors: dict[int, bytes] | None = None) -> None:
        self.sectors = dict(sectors or {})
        self.operations: list[tuple[int, bytes] | None] = []

    def device(self, lua: Any) -> Any:
        """As Lua sees it."""
        parts = {"sector_count": SECTORS, "read": self.read, "write": self.write, "flush": self.flush,
                 "crc32c": google_crc32c.value}
        return lua.table_from({name.encode(): part for name, part in parts.items()})

    def read(self, lba: int, count: int) -> bytes:
        self._within(lba, count)
        return b"".join(self.sectors.get(place, bytes(SECTOR_BYTES)) for place in range(lba, lba + count))

    def write(self, lba: int, data: bytes) -> bool:
        if len(data) % SECTOR_BYTES:
            raise Wrong(f"write({lba}, …) of {len(data)} bytes: a disk writes whole sectors of {SECTOR_BYTES}")
        self._within(lba, len(data) // SECTOR_BYTES)
        for place in range(len(data) // SECTOR_BYTES):
            sector = data[place * SECTOR_BYTES:][:SECTOR_BYTES]
            self.sectors[lba + place] = sector
            self.operations.append((lba + place, sector))
        return True

    def flush(self) -> bool:
        self.operations.append(None)
        return True

    @staticmethod
    def _within(lba: int, count: int) -> None:
        if lba < 0 or count < 1 or lba + count > SECTORS:
            raise Wrong(f"sectors {lba} to {lba + count - 1} are not on this disk, which has {SECTORS}")


def check(folder: Path) -> str:
    source = answer_text(folder, "journal.lua")
    lua = lua_support.runtime()
    try:
        module = lua.execute(b"return assert(load(...))()", source.encode())
    except LuaError as error:
        raise Wrong(f"journal.lua: {error}") from error
    disk, acknowledged = _workload(lua, module)
    count = sum(_check_cut(lua, module, disk, place, acknowledged) for place in range(len(disk.operations) + 1))
    return f"{count} states after a cut"


def _workload(lua: Any, module: Any) -> tuple[Disk, list[int]]:
    """The disk after all commits; for each commit, how many operations there were when it had returned."""
    disk = Disk()
    acknowledged = [0]
    store = _open(lua, module, disk, "an empty disk")
    for text in TEXTS[1:]:
        _call(store, b"commit", text, case=f"commit of {len(text)} bytes")
        if _call(store, b"read", case="read") != text:
            raise Wrong("read() does not give what was committed")
        acknowledged.append(len(disk.operations))
    return disk, acknowledged


def _check_cut(lua: Any, module: Any, disk: Disk, place: int, acknowledged: list[int]) -> int:
    """Cut after `place` operations; → the states that were tried."""
    least = max(number for number, end in enumerate(acknowledged) if end <= place)
    states = 0
    for sectors, what in _states(disk.operations[:place]):
        states += 1
        case = f"cut after operation {place}, in commit {least + 1} or after commit {least}: {what}"
        left = Disk(sectors)
        found = _call(_open(lua, module, left, case), b"read", case=case)
        if found not in TEXTS[least:least + 2]:
            raise Wrong(f"{case}: read() gives {_shown(found)}, and it must be {_shown(TEXTS[least])}, which was committed"
                        + (f", or {_shown(TEXTS[least + 1])}, which was under way" if least + 1 < len(TEXTS) else ""))
        store = _open(lua, module, left, case)
        _call(store, b"commit", b"afterwards", case=case)
        if _call(_open(lua, module, left, case), b"read", case=case) != b"afterwards":
            raise Wrong(f"{case}: a commit afterwards is not there when the disk is opened again")
    return states


def _states(operations: list[tuple[int, bytes] | None]) -> Iterator[tuple[dict[int, bytes], str]]:
    """What can be on the disk after these operations: sectors, and a word about them."""
    flushed = max((number + 1 for number, operation in enumerate(operations) if operation is None), default=0)
    durable = dict(filter(None, operations[:flushed]))
    pending = [operation for operation in operations[flushed:] if operation is not None]
    for chosen in _choices(len(pending)):
        sectors = durable | {lba: data for number, (lba, data) in enumerate(pending) if number in chosen}
        yield sectors, f"of {len(pending)} sectors that were not flushed, {[*chosen]} are there" if pending else "all flushed"
    for number, (lba, data) in enumerate(pending):
        before = dict(durable)
        before.update(pending[:number])
        old = before.get(lba, bytes(SECTOR_BYTES))
        half = SECTOR_BYTES // 2
        yield before | {lba: data[:half] + old[half:]}, f"half of unflushed sector {number} is there"


def _choices(count: int) -> Iterator[tuple[int, ...]]:
    everything = range(count)
    if count <= SUBSETS_MOST:
        for size in range(count + 1):
            yield from itertools.combinations(everything, size)
        return
    for split in range(count + 1):
        yield tuple(everything[:split])
        yield tuple(everything[split:])
    for left_out in everything:
        yield tuple(number for number in everything if number != left_out)


def _open(lua: Any, module: Any, disk: Disk, case: str) -> Any:
    try:
        store = module[b"open"](disk.device(lua))
    except (LuaError, TypeError, KeyError) as error:
        raise Wrong(f"{case}: open: {error}") from error
    if not hasattr(store, "keys"):
        raise Wrong(f"{case}: open gives {store!r} and no store")
    return store


def _call(store: Any, name: bytes, *arguments: bytes, case: str) -> Any:
    try:
        return store[name](*arguments)
    except (LuaError, TypeError, KeyError) as error:
        raise Wrong(f"{case}: {name.decode()}: {error}") from error


def _shown(text: Any) -> str:
    if not isinstance(text, bytes):
        return repr(text)
    return repr(text.decode(errors="replace")) if len(text) <= 20 else f"a text of {len(text)} bytes ({text[:8]!r} …)"
