"""Three-way merges of one table: what is an array on one side may be single fields on another, and nobody's field is lost."""

from __future__ import annotations

import itertools

import pytest

from tests.fs.machine_model import merge
from tests.support import lua as lua_support

_MERGE = b"""
local merging <const> = require "fs.merging"
return function(base, mine, theirs)
  local into <const>, conflicts = {}, 0
  merging.fields(base, mine, theirs, into, function() conflicts = conflicts + 1 end)
  return into, conflicts
end
"""


@pytest.mark.parametrize(("base", "mine", "theirs", "result"), [
    # One side takes the first away: the rest is no array any more, and stays.
    ({1: "a", 2: "b", 3: "c"}, {1: "a", 2: "b", 3: "c"}, {2: "b", 3: "c"}, {2: "b", 3: "c"}),
    ({1: "a", 2: "b", 3: "c"}, {2: "b", 3: "c"}, {1: "a", 2: "b", 3: "c"}, {2: "b", 3: "c"}),
    # One side closes the gap, the other has changed what lies behind it: together they changed one array.
    ({1: "a", 3: "c"}, {1: "a", 2: "b", 3: "c"}, {1: "a", 3: "C"}, None),
    ({1: "a", 3: "c"}, {1: "a", 2: "b", 3: "c"}, {1: "a"}, None),
    ({1: "a"}, {1: "a", 2: "b"}, {1: "a", 5: "e"}, {1: "a", 2: "b", 5: "e"}),
])
def test_gaps(base: dict[int, str], mine: dict[int, str], theirs: dict[int, str], result: dict[int, str] | None):
    function, lua = merge_of_lua()
    merged, conflicts = function(*(lua_support.to_lua(lua, side) for side in (base, mine, theirs)))
    assert (conflicts > 0) == (result is None)
    if result is not None:
        assert {key: value.decode() for key, value in merged.items()} == result


def merge_of_lua():
    lua = lua_support.runtime()
    return lua.execute(_MERGE), lua


def test_all_small_tables_are_merged_as_the_model_says():
    function, lua = merge_of_lua()
    sides = [{key: value for key, value in zip((1, 2, 3), values, strict=True) if value is not None}
             for values in itertools.product((None, 10, 20), repeat=3)]
    tables = [lua.table_from(side) for side in sides]
    conflicts_seen = 0
    for base, mine, theirs in itertools.product(range(len(sides)), repeat=3):
        merged, conflicts = function(tables[base], tables[mine], tables[theirs])
        expected, conflict = merge(sides[base], sides[mine], sides[theirs])
        where = (sides[base], sides[mine], sides[theirs])
        assert (conflicts > 0) == conflict, where
        assert dict(merged.items()) == expected, where
        conflicts_seen += conflict
    assert conflicts_seen > 1000
