"""JSON and MessagePack of other programs: the published vectors, real files, and everything that is no such thing."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import interchange
from khoros.diskutil.convert import to_python
from khoros.diskutil.errors import BadInput, CannotExport, CannotStore, KhorosError
from khoros.diskutil.values import LuaTable, normal_string

VECTORS = [Path(place) / "msgpack-test-suite.json" for place in (
    os.environ.get("KHOROS_TEST_DATA", ""), Path(__file__).parents[3] / "shared" / "data",
    Path(__file__).parents[2] / "build") if place]
ISO = Path("/usr/share/iso-codes/json")

JSON_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1),
              st.floats(allow_nan=False, allow_infinity=False),
              st.text(st.characters(exclude_categories=["Cs"]))),
    lambda inner: st.one_of(st.lists(inner, min_size=1), st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), inner)), max_leaves=30)


@given(JSON_VALUES, st.sampled_from([None, 2]))
def test_json_comes_back(value, indent):
    read = interchange.from_json(json.dumps(value).encode(), "value")
    written = interchange.to_json(read, "value", indent)
    assert json.loads(written) == value


@given(JSON_VALUES)
def test_msgpack_comes_back(value):
    read = interchange.from_msgpack(msgpack.packb(value), "value")
    assert msgpack.unpackb(interchange.to_msgpack(read, "value")) == value


def vectors():
    for path in VECTORS:
        if path.is_file():
            return [(group, number, row) for group, rows in json.loads(path.read_text()).items()
                    for number, row in enumerate(rows)]
    return None


def test_the_published_msgpack_vectors():
    rows = vectors()
    if rows is None:
        pytest.skip("msgpack-test-suite.json (npm package msgpack-test-suite) is not here; "
                    "KHOROS_TEST_DATA names its folder")
    tried = 0
    for group, number, row in rows:
        for text in row["msgpack"]:
            data = bytes.fromhex(text.replace("-", ""))
            tried += 1
            if "nil" in row:
                with pytest.raises(CannotStore):
                    interchange.from_msgpack(data, "value")
                continue
            assert_vector(row, data, f"{group} {number} {text}")
    assert tried > 100


def assert_vector(row, data, where):
    if "bignum" in row and not -(1 << 63) <= int(row["bignum"]) < 1 << 63:
        with pytest.raises(CannotStore):
            interchange.from_msgpack(data, "value")
        assert interchange.from_msgpack(data, "value", lossy=True) == float(row["bignum"])
        return
    value = interchange.from_msgpack(data, "value")
    if "binary" in row:
        assert value == normal_string(bytes.fromhex(row["binary"].replace("-", ""))), where
    elif "ext" in row or "timestamp" in row:
        assert set(value) == {"ext", "data"}, where
    elif "bignum" in row:
        assert value == int(row["bignum"]), where
    else:
        expected = next(row[key] for key in row if key != "msgpack")
        if isinstance(value, LuaTable):
            # An empty table has no kind: it comes out as an object.
            value = to_python(value)
            value = [] if value == {} and expected == [] else value
            expected = json.loads(json.dumps(expected).replace("[[]]", "[{}]").replace(
                '"a": []', '"a": {}'))
        assert value == expected, where


@pytest.mark.parametrize("name", ["iso_3166-1.json", "iso_3166-2.json", "iso_639-3.json"])
def test_real_files_come_back(name):
    if not (ISO / name).is_file():
        pytest.skip("Debian's iso-codes package is not installed")
    data = (ISO / name).read_bytes()
    value = interchange.read(data, name, interchange.guess(name, data))
    assert json.loads(interchange.to_json(value, "value")) == json.loads(data)
    packed = interchange.to_msgpack(value, "value")
    assert msgpack.unpackb(packed) == json.loads(data)


@pytest.mark.parametrize(("data", "word"), [
    (b"", "not JSON"), (b"{", "line 1 column"), (b"{} x", "not JSON"), (b"\xff", "not UTF-8"),
    (b'{"a": 1, "a": 2}', "value.a is there twice"), (b"[" * 100_000, "too deep"),
    (b'{"a":' * 600 + b"1" + b"}" * 600, "too deep"), (b'[1, "\\ud800"]', "surrogate"),
    (b'{"a": [1, null]}', r"value\.a\[2\]: null"), (b"9223372036854775808", "64 bits"),
    (b"null", "null"), (b"[" + b"9" * 5000 + b"]", "not JSON|64 bits"),
])
def test_what_is_no_json_for_a_table(data, word):
    with pytest.raises(KhorosError, match=word) as caught:
        interchange.from_json(data, "value")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("data", "word"), [
    ("", "ends early"), ("c1", "not MessagePack"), ("91", "longer than the file"),
    ("93 01", "longer than the file"), ("dd ff ff ff ff", "longer than the file"),
    ("df ff ff ff ff 00", "longer than the file"), ("c6 ff ff ff ff 00", "ends early"),
    ("01 02", "more bytes"), ("82 01 01 01 02", "there twice"), ("81 c0 01", "null|nil"),
    ("81 cb 7f f8 00 00 00 00 00 00 01", "NaN"), ("91 c0", r"value\[1\]: null"), ("da 00", "ends early"),
    ("cf ff ff ff ff ff ff ff ff", "64 bits"),
])
def test_what_is_no_msgpack_for_a_table(data, word):
    with pytest.raises(KhorosError, match=word):
        interchange.from_msgpack(bytes.fromhex(data), "value")


def test_nesting_is_limited():
    for data, reading in ((b"\x91" * 100_000 + b"\x01", interchange.from_msgpack),
                          (b"[" * 513 + b"]" * 513, interchange.from_json)):
        with pytest.raises(BadInput, match="too deep"):
            reading(data, "value")
    assert isinstance(interchange.from_msgpack(b"\x91" * 500 + b"\x01", "value"), LuaTable)


def test_a_nested_bomb_costs_what_it_weighs():
    """Arrays that state more elements than there are bytes are refused before anything is built."""
    import tracemalloc

    data = b"\xdd\x00\x01\x00\x00" * 14_000 + bytes(3000)
    tracemalloc.start()
    with pytest.raises(BadInput):
        interchange.from_msgpack(data, "value")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    for reading in (interchange.from_msgpack, interchange.from_json):
        try:
            reading(data, "value", lossy=True)
        except KhorosError as error:
            assert "\n" not in str(error)


def test_keys_that_json_lacks_survive_in_msgpack():
    table = LuaTable({2: "two", -1: "minus", "k": 1.5, b"\xff": b"\xfe"})
    table[True] = "yes"
    again = interchange.from_msgpack(interchange.to_msgpack(table, "t"), "t")
    assert {repr(k): v for k, v in again.items()} == {repr(k): v for k, v in table.items()}


def test_lossy():
    value = interchange.from_json(b'{"a": null, "b": 18446744073709551616}', "v", lossy=True)
    assert value == {"b": 2.0**64}


@pytest.mark.parametrize(("value", "word"), [
    ({"a": math.nan}, "root.a: JSON has no nan"), ({"a": b"\xff"}, "root.a: a string that is not UTF-8"),
    ({"a": {1: 1, "x": 1}}, "root.a: a table that is neither"),
])
def test_what_json_cannot_hold_is_refused_by_path(value, word):
    with pytest.raises(CannotExport, match=word):
        interchange.to_json(LuaTable(value), "root")


def test_cycles_and_metatables_are_refused_by_path():
    table = LuaTable({"a": {"b": 1}})
    table["a"]["back"] = table
    for form in ("json", "msgpack"):
        with pytest.raises(CannotExport, match=r"root\.a\.back: a cycle"):
            interchange.write(table, form, "root")
    del table["a"]["back"]
    table["a"].metatable = LuaTable()
    for form in ("json", "msgpack"):
        with pytest.raises(CannotExport, match=r"root\.a: a table with a metatable"):
            interchange.write(table, form, "root")


def test_shared_tables_are_written_out_but_not_without_limit():
    table = LuaTable({"n": 1})
    for _ in range(10):
        table = LuaTable([table, table])
    assert len(json.loads(interchange.to_json(table, "t", None))) == 2
    for _ in range(60):
        table = LuaTable([table, table])
    with pytest.raises(CannotExport, match="more than"):
        interchange.to_json(table, "t")
