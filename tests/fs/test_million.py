"""A million of everything in one store: small objects, the keys of a table, an array, a map. A part of that in CI, all with --full.

Costs are counted, not timed: bytes of the disk, bytes of memory, device calls, Lua instructions; the times of the whole are
printed. Objects have 60 bytes.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.store import Disk, Store, format_disk

_FILL = b"""
local store <const>, first <const>, from <const>, to <const> = ...
local function payload(number)
  return "\\x91\\xd9\\x38" .. ("object %012d"):format(number) .. ("."):rep(37) .. "\\x80"
end
assert(#payload(1) == 60)
for start = from, to, 10000 do
  local entries <const> = {}
  for number = start, math.min(to, start + 9999) do
    entries[#entries + 1] = {id = first + number, kind = 1, payload = payload(number)}
  end
  assert(store.commit {entries = entries})
end
"""
# Lua instructions of commits of one object each, in thousands, the largest of them.
_COUNT = b"""
local store <const>, first <const>, made <const> = ...
local most = 0
for turn = 1, 60 do
  local request <const> = {entries = {{id = first + turn * 7919 % made, kind = 1, payload = "\\x90\\x80"}}}
  local count = 0
  debug.sethook(function() count = count + 1 end, "", 1000)
  local done <const>, err = store.commit(request)
  debug.sethook()
  if not done then error(err.message) end
  most = math.max(most, count)
end
return most
"""
_MEMORY = b"""
collectgarbage() collectgarbage()
return collectgarbage("count") * 1024 // 1
"""


class CountingDisk(Disk):
    """Knows how many bytes were read."""

    bytes_read = 0

    def read(self, lba: int, count: int) -> Any:
        self.bytes_read += 512 * count
        return super().read(lba, count)


def fill(store: Store, first: int, begin: int, end: int) -> None:
    store.lua.execute(_FILL, store.handle, first, begin, end)


@pytest.mark.timeout(0)
def test_a_million_small_objects(request: pytest.FixtureRequest):
    full = bool(request.config.getoption("--full"))
    count = 1_000_000 if full else 100_000
    segments = 256 if full else 40
    disk = CountingDisk(format_disk(total_sectors=64 + segments * 2048 + 24, segment_sectors=2048))
    store = Store(disk)
    first = store.allocate(count)

    # The cost of a commit does not grow with the store.
    fill(store, first, 0, 9_999)
    few = store.lua.execute(_COUNT, store.handle, first, 10_000)
    fill(store, first, 10_000, count - 1)
    many = store.lua.execute(_COUNT, store.handle, first, count)
    print(f"thousands of instructions a commit: {few} with 10,000 objects, {many} with {count:,}")
    assert many <= 2 * few + 20
    store.close()

    # Every byte of the log that is in use, dead ones and the index included.
    fresh = Store(Disk(disk.image))
    info = fresh.info()
    each = (info["log_bytes"] - info["free_bytes"]) / count
    print(f"{each:.2f} bytes an object, {info['live_bytes'] / count:.2f} of them its entry")
    assert info["objects"] == count
    if full:
        assert each <= 98

    lua = lua_support.runtime()
    disk = CountingDisk(disk.image)
    lua_support.require(lua, "fs.store")
    before, started = lua.execute(_MEMORY), time.perf_counter()
    opened = Store(disk, lua)
    target = first + random.Random(1).randrange(100, count)
    assert len(opened.read(target)) == 1
    elapsed = time.perf_counter() - started
    print(f"open and one fetch: {disk.reads} reads, {disk.bytes_read} bytes, {elapsed * 1000:.1f} ms, "
          f"{lua.execute(_MEMORY) - before} bytes of memory")
    # Superblocks, checkpoint, the way down the index; and two segments are searched for the log's end.
    assert disk.reads <= 32 and disk.bytes_read <= (2 << 20) + (1 << 19)
    assert lua.execute(_MEMORY) - before < 4 << 20

    # After a crash: no more than the log since the last checkpoint is read.
    fill(opened, first, 0, 99_999)
    crashed = CountingDisk(disk.image)
    started = time.perf_counter()
    again = Store(crashed, lua_support.runtime())
    print(f"mount after a crash: {crashed.bytes_read} bytes, {(time.perf_counter() - started) * 1000:.1f} ms, "
          f"{again.info()['replayed_transactions']} transactions")
    assert crashed.bytes_read <= 19 << 20
    assert again.read(target) == opened.read(target) != [store_support.stored(b"")]


_LARGE = b"""
local session <const>, count <const> = ...
local function key(number) return ("key %09d"):format(number) end
local keys <const>, array <const> = {}, {}
for number = 1, count do
  keys[key(number)], array[number] = number, number * 7 + (1 << 40)
end
local map <const> = session.map()
for number = 1, count do map:set(key(number), number) end
session.root.keys, session.root.array, session.root.map = keys, array, map
session.commit()
local middle <const> = count // 2
local places = {first = 1, middle = middle, last = count}
local work <const>, largest = {}, 0
local function each(name, change)
  for where, number in pairs(places) do
    change(number)
    local bytes <const> = session.commit().bytes
    work[#work + 1] = ("%s %s: %d bytes"):format(name, where, bytes)
    largest = math.max(largest, bytes)
  end
end
each("change", function(number) keys[key(number)] = -number end)
each("lengthen", function(number) keys[key(number)] = ("x"):rep(2000) end)
each("insert", function(number) keys[key(number) .. "a"] = number end)
each("remove", function(number) keys[key(number)] = nil end)
each("change of the array", function(number) array[number] = number end)
places = {last = count}
each("append to the array", function() array[#array + 1] = 1 end)
each("remove from the array", function() array[#array] = nil end)
places = {first = 1, middle = middle, last = count}
each("change of the map", function(number) map:set(key(number), -number) end)
each("lengthen in the map", function(number) map:set(key(number), ("x"):rep(2000)) end)
each("insert into the map", function(number) map:set(key(number) .. "a", number) end)
each("remove from the map", function(number) map:remove(key(number)) end)
table.sort(work)
return table.concat(work, "\\n"), largest
"""


@pytest.mark.timeout(0)
def test_a_small_change_of_a_million_keys_elements_and_pairs_writes_little(request: pytest.FixtureRequest):
    """The first, a middle, the last: each commit writes a few leaves and their path."""
    full = bool(request.config.getoption("--full"))
    count, segments = (1_000_000, 256) if full else (40_000, 24)
    store = Store(Disk(format_disk(total_sectors=64 + segments * 2048 + 24, segment_sectors=2048)))
    objects = lua_support.require(store.lua, "fs.objects")
    session = objects[b"open"](store.lua.table_from({b"store": store.handle, b"environment": store.lua.globals()}))
    work, largest = store.lua.execute(_LARGE, session, count)
    print(work.decode())
    print(f"{count:,} of each: at most {largest} bytes a commit")
    assert largest <= 300_000
