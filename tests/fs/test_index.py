"""The index tree against a dictionary: changes, removal of everything before a key, pages accounted one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support import lua as lua_support

# A tree whose pages lie in a table; `write` makes a checkpoint and checks what it says of pages against the tree itself.
_GLUE = b"""
local index <const>, entry <const>, layout <const>, cache <const> =
  require "fs.index", require "fs.entry", require "fs.layout", require "fs.cache"
local pages <const>, serial = {}, 0
local reader <const> = {entry = function(_, pointer, id, kind)
  local page <const> = pages[pointer]
  if not page or page.id ~= id or page.kind ~= kind then return nil, {code = "corrupt", message = "no page", id = id} end
  return page.payload
end}
local function put(id, kind, payload)
  serial = serial + 1
  local pointer <const> = entry.pointer(serial, kind, #payload, 0)
  pages[pointer] = {id = id, kind = kind, payload = payload}
  return pointer
end
local function new(shared, root, levels)
  return index.new {kind = layout.KIND_OBJECT_PAGE, reader = reader, root = root or entry.NOTHING, levels = levels or 0,
    cache = not shared and cache.new(8) or nil, shared = shared and cache.new(8) or nil}
end
local counted <const> = {}
local function write(tree)
  local bound <const>, before <const> = tree:pages_bound(0, 1 << 40), serial
  counted[tree] = counted[tree] or {}
  local pages_of <const> = counted[tree]
  local next_root <const>, err = tree:write(put, nil, function(old, new)
    pages_of[old] = (pages_of[old] or 0) - 1
    pages_of[new] = (pages_of[new] or 0) + 1
  end)
  if not next_root then error(err.message) end
  assert(serial - before <= bound, "more pages than the bound")
  tree:adopt(next_root)
  local seen <const> = {}
  assert(tree:each_page(function(pointer) seen[pointer] = 1 end))
  pages_of[entry.NOTHING] = nil
  for pointer, count in pairs(pages_of) do
    assert(count == (seen[pointer] or 0), "a page is counted wrong")
  end
  for pointer in pairs(seen) do assert(pages_of[pointer], "a page is not counted") end
end
local function value(number) return entry.pointer(number, 1, 0, 0) end
local function set(tree, key, number) tree:set(key, number and value(number)) end
local function get(tree, key)
  local found <const>, err = tree:find(key)
  if found == nil then error(err.message) end
  return found and (entry.parse_pointer(found))
end
local function all(tree)
  local result <const> = {}
  assert(tree:each(function(key, found) result[#result + 1] = {key, (entry.parse_pointer(found))} end))
  return result
end
local function leaves(tree, from)
  local result <const> = {}
  while true do
    local leaf <const>, page = tree:next_leaf(from)
    if not leaf then return result end
    result[#result + 1] = leaf
    assert(#page == 4096)
    from = leaf + 1
  end
end
local function others(tree, like)
  local result <const> = {}
  assert(tree:each_other_page(like, function(pointer) result[#result + 1] = pointer end))
  return result
end
local function again(tree) return new(true, tree.root, tree.levels) end
return {new = new, write = write, set = set, get = get, all = all, leaves = leaves, others = others, again = again}
"""


@pytest.fixture
def tree() -> Any:
    """The functions of the glue."""
    table = lua_support.runtime().execute(_GLUE)
    return {name.decode(): table[name] for name in table}


def pairs(table: Any) -> list[tuple[int, int]]:
    return [(row[1], row[2]) for row in table.values()]


def random_key(source: random.Random, reach: int) -> int:
    return source.randrange(1 << source.randrange(1, reach))


@pytest.mark.parametrize("reach", [7, 10, 18, 26])
def test_a_tree_against_a_dictionary(tree: Any, rng: random.Random, reach: int):
    handle, model, floor = tree["new"](False), {}, 0
    for _ in range(60):
        for _ in range(rng.randrange(30)):
            key = max(floor, random_key(rng, reach))
            model[key] = rng.randrange(1, 1 << 40)
            if rng.random() < 0.3:
                del model[key]
            tree["set"](handle, key, model.get(key, False))
        if rng.random() < 0.3:
            floor = max(floor, random_key(rng, reach + 2) if rng.random() < 0.3 else
                        rng.choice([*model, 0]) + rng.randrange(2))
            handle[b"remove_before"](handle, floor)
            model = {key: number for key, number in model.items() if key >= floor}
        for key in [*model, floor - 1, floor, floor + 1, random_key(rng, reach)]:
            assert tree["get"](handle, max(key, 0)) == model.get(max(key, 0), False)
        if rng.random() < 0.5:
            tree["write"](handle)
            assert pairs(tree["all"](handle)) == sorted(model.items())
            assert pairs(tree["all"](tree["again"](handle))) == sorted(model.items())
            stored = sorted({key // 256 for key in model})
            start = rng.randrange(max(stored, default=0) + 2)
            assert list(tree["leaves"](handle, start).values()) == [leaf for leaf in stored if leaf >= start]


def test_pages_that_two_trees_share_are_passed_over(tree: Any):
    handle = tree["new"](False)
    for key in range(0, 200_000, 100):
        tree["set"](handle, key, key + 1)
    tree["write"](handle)
    before = tree["again"](handle)
    assert len(tree["others"](before, handle)) == 0
    tree["set"](handle, 70_000, 5)
    tree["write"](handle)
    # Its leaf, the page above it, the root.
    assert len(tree["others"](handle, before)) == 3
    assert tree["get"](before, 70_000) == 70_001


def test_changes_can_be_given_up(tree: Any):
    handle = tree["new"](False)
    tree["set"](handle, 5, 1)
    tree["write"](handle)
    tree["set"](handle, 5, 2)
    handle[b"remove_before"](handle, 6)
    assert tree["get"](handle, 5) is False
    handle[b"discard"](handle)
    assert tree["get"](handle, 5) == 1
