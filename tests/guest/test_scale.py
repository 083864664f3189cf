"""Stores as large as disks and maps larger than memory, in the booted machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from khoros.diskutil import check, reader
from khoros.diskutil.writer import mkfs
from tests.fs.sessions import World
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel"), pytest.mark.timeout(0)]


def run(image: Path, code: str) -> list[str]:
    result = guest.run("--disk", image, "-e", code, timeout=3000)
    assert (result.returncode, result.stderr) == (0, b""), result.stderr
    return result.stdout.decode().splitlines()


def errors_in(image: Path) -> list[str]:
    store = reader.mount(image)
    report = check.check(store)
    store.close()
    return [finding.text for finding in report.findings if finding.error]


# What one turn leaves is known by its number: parts[i] is a table with text of that turn, or false where it was let go of.
_FILL = """
local size <const>, turns <const> = ...
local function text(turn, i) return ("%d %d "):format(turn, i):rep(size // 8) end
local full <const>, counts <const> = {}, {}
root.parts = {}
commit()
local turn_of = {}
for turn = 1, turns do
  local i, added = 0, 0
  while true do
    i = i + 1
    if not root.parts[i] then
      root.parts[i] = {text(turn, i)}
      turn_of[i] = turn
      local kept, message = pcall(commit)
      if not kept then
        assert(message:find("no room", 1, true), message)
        abort()
        turn_of[i] = nil
        break
      end
      forget(root.parts[i])
      added = added + 1
    end
  end
  counts[turn] = #root.parts
  for number = 1, #root.parts, math.max(1, #root.parts // 20) do
    local part = root.parts[number]
    assert(part[1] == text(turn_of[number], number), number)
    forget(part)
  end
  if turn < turns then
    for number = turn % 2 + 1, #root.parts, 2 do root.parts[number] = false end
    commit()
  end
  print(turn, added, #root.parts)
end
"""


def test_a_disk_is_filled_half_emptied_and_filled_again(tmp_path, request):
    """Ten times over 64 MiB with --full; three times over 6 MiB else. Every refusal leaves the store as it was."""
    full = request.config.getoption("--full")
    image = tmp_path / "a.img"
    mkfs(image, (64 if full else 6) << 20)
    size, turns = (60_000, 10) if full else (30_000, 3)
    shown = run(image, f"local function fill(...) {_FILL} end fill({size}, {turns})")
    print("\n".join(shown))
    counts = [[int(word) for word in row.split()] for row in shown]
    assert len(counts) == turns
    assert counts[-1][2] >= 0.8 * counts[0][2] and all(added > 0.3 * total for _, added, total in counts)
    assert errors_in(image) == []


def test_a_map_larger_than_its_process_is_changed_in_place(tmp_path, request):
    """A process with 2 MB works on a map of a million pairs, with --full, or of 50,000; what each commit writes is printed."""
    count = 1_000_000 if request.config.getoption("--full") else 50_000
    image = tmp_path / "a.img"
    segments = 160 if count == 1_000_000 else 24
    mkfs(image, segments << 20)
    world = World("disk", bytearray(image.read_bytes()), (segments << 20) // 512)
    world.run(f"""
        local session <const> = open()
        local map <const> = session.map()
        session.root.map = map
        for i = 1, {count} do
          map:set(("key %08d"):format(i), i)
          if i % 5000 == 0 then session.commit() end
        end
        session.commit()
        assert(store.close())
    """)
    image.write_bytes(world.image)
    shown = run(image, f"""
        print(spawn(function(count)
          local map <const> = root.map
          local largest = 0
          local function change(what, f, ...)
            f(map, ...)
            local bytes = commit(what).bytes
            largest = math.max(largest, bytes)
          end
          for _, i in ipairs {{1, count // 2, count}} do
            local key = ("key %08d"):format(i)
            assert(map:get(key) == i)
            change("change", map.set, key, -i)
            change("insert", map.set, key .. " and on", {{i}})
            change("lengthen", map.set, key, ("long"):rep(1000))
            change("remove", map.remove, key)
          end
          for key, value in map:range("key 00000100", "key 00000110") do assert(value == tonumber(key:sub(5))) end
          return largest, #map, map:last()
        end, {{store = true, memory = 2 << 20, args = {{{count}}}}}):wait())
    """)
    print(shown)
    how, largest, pairs, last, _ = shown[0].split("\t", 4)
    assert (how, int(pairs), last) == ("finished", count, f"key {count:08d} and on")
    assert int(largest) <= 300_000
    assert errors_in(image) == []
