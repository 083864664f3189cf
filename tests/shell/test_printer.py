"""The printer: sorted, indented, bounded, and never in trouble whatever the value is."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.shell.terminal import new_lua

LUA = new_lua()
FORMAT = LUA.eval(b'require("shell.printer").format')
EXACT = LUA.eval(b"{exact = true, quoted = true, string_length = 1e9}")


def shown(code: str, options: str = "nil") -> str:
    text = LUA.execute(
        f'local value = {code}; return require("shell.printer").format(value, {options})'.encode()
    )
    return text.decode()


def test_keys_come_in_canonical_order_on_one_row_when_they_fit() -> None:
    assert (
        shown('{b = 1, a = 2, [10] = 3, [1.5] = 4, [true] = 5, [false] = 6, "x", ["if"] = 7}')
        == '{"x", [false] = 6, [true] = 5, [10] = 3, [1.5] = 4, a = 2, b = 1, ["if"] = 7}'
    )


def test_what_does_not_fit_is_indented() -> None:
    assert shown('{name = "Argo", crew = {"Jason", "Orpheus"}, fuel = 7}', "{width = 30}") == (
        '{\n  crew = {"Jason", "Orpheus"},\n  fuel = 7,\n  name = "Argo"\n}'
    )


def test_lists_share_rows() -> None:
    text = shown("(function() local t = {} for i = 1, 40 do t[i] = i end return t end)()")
    assert all(len(row) <= 79 for row in text.split("\n"))
    assert len(text.split("\n")) == 4


def test_integers_and_floats_differ() -> None:
    assert shown("{1, 1.0, -0.0, 1e100, 2^53, math.mininteger}") == (
        "{1, 1.0, -0.0, 1e+100, 9007199254740992.0, -9223372036854775808}"
    )
    assert shown("{1/0, -1/0, 0/0}") == "{inf, -inf, nan}"


def test_cycles_and_sharing_are_marked_with_their_path() -> None:
    assert shown("(function() local t = {} t.me = t return t end)()") == "{me = <cycle .>}"
    assert (
        shown("(function() local c = {1} return {a = {c}, b = c} end)()")
        == "{a = {{1}}, b = <shared .a[1]>}"
    )
    assert shown("(function() local a = {x = {}} a.x.up = a.x return a end)()") == (
        "{x = {up = <cycle .x>}}"
    )


def test_strings_are_quoted_inside_tables_and_safe_outside() -> None:
    assert shown('{"a\\nb\\0\\"\\\\"}') == '{"a\\nb\\x00\\"\\\\"}'
    assert shown('{"h\u00e9\u6f22 \\xFF"}') == '{"h\u00e9\u6f22 \\xFF"}'
    assert shown('"a\\nb"') == "a\nb"
    assert shown('"\\27[2J"') == "^[[2J"


def test_limits() -> None:
    assert shown("{{{{1}}}}", "{depth = 2}") == "{{{...}}}"
    assert shown("{1,2,3,4,5}", "{length = 3}") == "{1, 2, 3, ... 2 more}"
    assert shown("{a=1,b=2,c=3}", "{length = 2}") == "{a = 1, b = 2, ... 1 more}"
    assert shown('{("x"):rep(10)}', "{string_length = 4}") == '{"xxxx"... (6 more bytes)}'
    assert shown('("x"):rep(10)', "{text_length = 4}") == "xxxx... (6 more bytes)"
    assert shown("{}") == "{}"


def test_a_huge_table_is_not_walked() -> None:
    code = "(function() local t = {} for i = 1, 300000 do t[i] = i end t.z = 1 return t end)()"
    text = shown(code, "{length = 5}")
    assert text == "{1, 2, 3, 4, 5, ... 299996 more}"
    code = "(function() local t = {} for i = 1, 300000 do t['k' .. i] = i end return t end)()"
    text = shown(code, "{length = 3}")
    assert text.endswith("... more}")
    # The work is bounded, not only the text: a walk over all keys would count this many.
    LUA.execute(
        b"""steps = 0
        local real = next
        next = function(t, k) steps = steps + 1 return real(t, k) end"""
    )
    try:
        shown("setmetatable({}, {__pairs = error})")
        shown("(function() local t = {} for i = 1, 300000 do t['k' .. i] = i end return t end)()")
        assert LUA.eval(b"steps") < 5000
    finally:
        LUA.execute(b"next = pairs({})")


def test_wide_sharing_does_not_explode() -> None:
    text = shown("(function() local t = {} for i = 1, 60 do t = {t, t} end return t end)()")
    assert len(text) < 20000


def test_hostile_metatables() -> None:
    assert shown('setmetatable({}, {__tostring = function() error("no") end})') == "{}"
    assert shown("setmetatable({x = 1}, {__tostring = function() return {} end})") == "{x = 1}"
    assert shown('setmetatable({1}, {__name = "Point"})') == "Point {1}"
    assert shown('setmetatable({}, {__tostring = function() return "t4" end})') == "t4"
    assert shown('{setmetatable({}, {__tostring = function() return "\\27[2J" end})}') == "{^[[2J}"
    hostile = "setmetatable({1}, {__index = error, __len = error, __pairs = error, __eq = error, __lt = error})"
    assert shown(hostile) == "{1}"
    assert shown('setmetatable({1}, {__metatable = "locked"})') == "{1}"


scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@given(scalars)
def test_scalars_read_back_to_themselves(value: object) -> None:
    text = FORMAT(value, EXACT)
    back = LUA.execute(b"return " + text)
    if isinstance(value, float) and math.isnan(value):
        assert math.isnan(back)
    else:
        assert type(back) is type(value)
        assert back == value
        if isinstance(value, float):
            assert math.copysign(1, back) == math.copysign(1, value)


# A graph: tables 0 … n-1, edges (from, key, to or scalar); built in Lua so that sharing and cycles are real.
edges = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.one_of(scalars, st.integers(1, 5)).filter(lambda key: key == key),
        st.one_of(scalars, st.tuples(st.integers(0, 7))),
        st.booleans(),
    ),
    max_size=40,
)


@given(
    edges,
    st.integers(1, 100),
    st.integers(0, 6),
    st.integers(0, 8),
    st.integers(0, 30),
)
def test_any_graph_prints_within_its_limits(
    links: list, width: int, depth: int, length: int, total: int
) -> None:
    tables = [LUA.table() for _ in range(8)]
    for source, key, target, as_key in links:
        value = tables[target[0]] if isinstance(target, tuple) else target
        if as_key and isinstance(target, tuple):
            tables[source][value] = key
        else:
            tables[source][key] = value
    options = LUA.table_from({b"width": width, b"depth": depth, b"length": length, b"total": total})
    text = FORMAT(tables[0], options)
    assert isinstance(text, bytes)
    # Every entry shown costs from the total; a row more for each table that is cut.
    assert text.count(b"\n") <= 3 * total + 3
