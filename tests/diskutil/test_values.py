"""LuaTable: a mapping with Lua's rules where Python's dict has others."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from khoros.diskutil.errors import CannotStore
from khoros.diskutil.values import LuaTable, Permanent


def test_keys_that_python_would_merge_stay_apart():
    table = LuaTable()
    table[1], table[True], table[0], table[False] = "one", "yes", "zero", "no"
    assert (table[1], table[True], table[0], table[False]) == ("one", "yes", "zero", "no")
    assert len(table) == 4
    assert [repr(key) for key in table] == ["1", "False", "True", "0"]


def test_a_float_with_an_integers_value_is_that_key():
    table = LuaTable({2.0: "two", -0.0: "zero", 2.5: "half", 2.0**63: "large"})
    assert table[2] == "two"
    assert table[0] == "zero"
    assert table[2.5] == "half"
    assert type(next(key for key in table if key == 2)) is int
    assert [key for key in table if isinstance(key, float)] == [2.5, 2.0**63]


def test_strings_are_bytes_and_utf8_is_str():
    table = LuaTable({b"a": b"text", "b": b"\xff"})
    assert table["a"] == "text"
    assert table[b"b"] == b"\xff"


@pytest.mark.parametrize("key", [None, math.nan, 1 << 63, (1, 2), object()])
def test_what_cannot_be_a_key(key):
    table = LuaTable()
    with pytest.raises(CannotStore):
        table[key] = 1
    assert key not in table


@pytest.mark.parametrize(("value", "word"), [
    (None, "nil"), (1 << 63, "64 bits"), (object(), "object"), ({1, 2}, "set"), ("\ud800", "surrogate"),
    ([1, [2, None]], r"value\[2\]\[2\]"), ({"a": {"b": None}}, r"value\.a\.b"),
])
def test_what_cannot_be_a_value_is_refused_by_path(value, word):
    table = LuaTable()
    with pytest.raises(CannotStore, match=word):
        table["x"] = value
    assert len(table) == 0


def test_array_part_and_gaps():
    table = LuaTable(["a", "b", "c"])
    assert table == ["a", "b", "c"]
    assert list(table) == [1, 2, 3]
    del table[2]
    assert list(table.array) == ["a"]
    assert dict(table.items()) == {1: "a", 3: "c"}
    table[2] = "B"
    assert list(table.array) == ["a", "B", "c"]


def test_the_array_part_is_a_sequence():
    array = LuaTable(["a", "b"]).array
    array.append("c")
    array.insert(0, "z")
    array[-1] = "C"
    assert array == ["z", "a", "b", "C"]
    assert array[1:3] == ["a", "b"]
    assert array.pop() == "C"
    del array[0]
    assert list(reversed(array)) == ["b", "a"]
    assert "b" in array
    assert array.index("b") == 1


def test_inserting_meets_what_follows_the_gap():
    table = LuaTable({1: "a", 3: "c", 4: "d"})
    table.array.insert(0, "z")
    assert list(table.array) == ["z", "a", "c", "d"]


def test_slices_of_the_array_part():
    table = LuaTable({1: "a", 2: "b", 4: "d", 6: "f", "key": 1})
    array = table.array
    array[:] = ["A", "B", ["C"]]
    assert [array[0], array[1], list(array[2].array), array[3]] == ["A", "B", ["C"], "d"]
    assert dict(table.items())[6] == "f"
    array[1:3] = []
    assert array == ["A", "d"]
    array[2:] = ["three", "four", "five", "six, which was f"]
    assert array == ["A", "d", "three", "four", "five", "six, which was f"]
    assert len(table) == 7
    del array[::2]
    assert array == ["d", "four", "six, which was f"]
    array[:] = array[:]
    array[0:0] = (n for n in range(2))
    assert array == [0, 1, "d", "four", "six, which was f"]
    with pytest.raises(CannotStore):
        array[:] = [1, object()]
    assert len(array) == 5


def test_nested_python_data_becomes_tables_with_sharing_and_cycles():
    shared = [1, 2]
    data = {"a": shared, "b": shared}
    data["self"] = data
    table = LuaTable(data)
    assert table["a"] is table["b"]
    assert table["self"] is table


def test_deep_data_needs_no_recursion():
    data: list = []
    for _ in range(50_000):
        data = [data]
    table = LuaTable(data)
    depth = 0
    while len(table):
        table, depth = table[1], depth + 1
    assert depth == 50_000


def test_equality_is_identity_between_tables_and_contents_with_plain_data():
    one, other = LuaTable({"a": [1]}), LuaTable({"a": [1]})
    assert one != other
    assert one == {"a": [1]}
    assert one != {"a": [1.0]}
    assert one != {"a": [True]}
    assert one != {"a": [1], "b": 1}
    assert len({one, other}) == 2


def test_to_python():
    assert LuaTable({"a": [1, {"b": 2}], "c": {}}).to_python() == {"a": [1, {"b": 2}], "c": {}}


def test_metatables():
    table, meta = LuaTable(), LuaTable({"__name": "ship"})
    table.metatable = meta
    assert table.metatable is meta
    table.metatable = Permanent("string")
    table.metatable = None
    assert table.metatable is None
    with pytest.raises(CannotStore):
        table.metatable = 5  # type: ignore[assignment]


def test_repr_is_short():
    table = LuaTable(dict.fromkeys(range(100), "x"))
    table["t"] = table
    assert len(repr(table)) < 200


class Mirror(RuleBasedStateMachine):
    """A LuaTable against a dict whose keys carry their type."""

    keys = st.one_of(st.integers(-2, 8), st.booleans(), st.sampled_from(["a", "b", 1.5, 2.0, b"\xff"]))

    def __init__(self) -> None:
        super().__init__()
        self.table = LuaTable()
        self.model: dict = {}

    @staticmethod
    def tagged(key):
        key = int(key) if isinstance(key, float) and key.is_integer() else key
        return type(key).__name__, key

    @rule(key=keys, value=st.integers(0, 9))
    def assign(self, key, value):
        self.table[key] = value
        self.model[self.tagged(key)] = value

    @rule(key=keys)
    def remove(self, key):
        if self.tagged(key) in self.model:
            del self.table[key]
            del self.model[self.tagged(key)]
        else:
            with pytest.raises(KeyError):
                del self.table[key]

    @rule(value=st.integers(0, 9))
    def append(self, value):
        self.model["int", len(self.table.array) + 1] = value
        self.table.array.append(value)

    @invariant()
    def agrees(self):
        assert {self.tagged(key): value for key, value in self.table.items()} == self.model
        assert len(self.table) == len(self.model)
        length = 0
        while ("int", length + 1) in self.model:
            length += 1
        assert len(self.table.array) == length


TestMirror = Mirror.TestCase
