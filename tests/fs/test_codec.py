"""The value codec in Lua against the Python one (the same SPEC, no shared code) and against its own promises."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from khoros.diskutil import codec as python_codec
from khoros.diskutil.errors import ValueFormatError
from khoros.diskutil.values import FunctionReference, LongString, Permanent, Reference, normal_key
from khoros.formats import constants
from tests.fs.codec_in_lua import LuaCodec, LuaRefusal, as_bytes, contents_key
from tests.support.lua import ROOT

LUA = LuaCodec()

EDGES = [0, 1, 31, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
         2**53, 2**63 - 1, -1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
integers = st.one_of(st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300))
floats = st.one_of(st.floats(allow_nan=True), st.sampled_from([0.0, -0.0, 1.0, 1e300, 2.0**63, float("inf")]))
texts = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.sampled_from([31, 32, 255, 256, 65535, 65536]).flatmap(
        lambda n: st.sampled_from([b"a" * n, b"\xff" * n, ("é" * (n // 2 + 1)).encode()[:n]])),
)
odd_bytes = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xf8\x88\x80\x80\x80",
                     b"\xf4\x8f\xbf\xbf", b"\xef\xbf\xbf", b"a\0b", b"\xc3", b"\xe2\x82", b"\xed\x9f\xbf"]),
)
references = st.one_of(st.integers(1, 300), st.sampled_from([255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**48 - 1]))
names = st.sampled_from(["print", "string.format", "größe", "x" * 16, "y" * 300])
values = st.one_of(st.booleans(), integers, floats, texts, odd_bytes, references.map(Reference), names.map(Permanent),
                   references.map(LongString), references.map(FunctionReference))
# What normal_key refuses can be no key in Lua either.
keys = st.one_of(st.booleans(), integers, floats.filter(lambda v: v == v), texts, odd_bytes,
                 references.map(lambda n: Reference(n & ~1 or 2)), references.map(lambda n: FunctionReference(n | 1)),
                 names.map(Permanent))
arrays = st.one_of(
    st.lists(values, max_size=20),
    st.lists(integers, min_size=14, max_size=20),
    st.lists(floats, min_size=14, max_size=20),
    st.lists(st.integers(-128, 127), min_size=300, max_size=400),
)
metatables = st.one_of(st.none(), references.map(Reference), names.map(Permanent))


def lua_key(key: Any) -> Any:
    """A key in a form that tells apart what Lua tells apart, and only that."""
    return as_bytes(normal_key(key))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Array part and other pairs of a table, as they must come out whatever the order of assignments."""
    array = draw(arrays)
    pairs: dict[Any, tuple[Any, Any]] = {}
    for key, value in draw(st.lists(st.tuples(keys, values), max_size=12)):
        key = normal_key(key)
        if type(key) is int and 1 <= key <= len(array) + 1:
            continue
        pairs[lua_key(key)] = (key, value)
    return array, list(pairs.values())


def assignments(array: list[Any], pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return [*((i + 1, v) for i, v in enumerate(array)), *pairs]


@given(tables(), metatables)
def test_same_bytes_as_python(table: Any, metatable: Any) -> None:
    array, pairs = table
    payload = LUA.encode(assignments(array, pairs), metatable)
    assert payload == python_codec.encode_table(array, pairs, metatable)
    for _ in range(5):  # a shape gets its own function after some uses
        assert LUA.encode(assignments(array, pairs), metatable) == payload
    decoded = LUA.decode(payload)
    assert contents_key(decoded) == contents_key(python_codec.decode_table(payload))
    assert LUA.reencode(payload) == payload


@given(tables(), st.randoms(use_true_random=False), st.lists(st.tuples(keys, values), max_size=6))
def test_equal_tables_give_equal_bytes(table: Any, shuffle: random.Random, extra: Any) -> None:
    """Whatever the order in which fields were set, and whatever was set and removed again."""
    array, pairs = table
    payload = LUA.encode(assignments(array, pairs))
    steps = assignments(array, pairs)
    shuffle.shuffle(steps)
    present = {lua_key(key) for key, _ in steps}
    passing = [(key, value) for key, value in extra if lua_key(key) not in present]
    assert LUA.encode([*passing, *steps, *((key, None) for key, _ in passing)]) == payload


@given(st.lists(st.tuples(odd_bytes, texts), min_size=1, max_size=45, unique_by=lambda pair: pair[0]),
       st.lists(st.lists(values, min_size=45, max_size=45), min_size=8, max_size=8))
@settings(max_examples=30)
def test_one_shape_with_many_values(names_of_fields: Any, rows: Any) -> None:
    """Records of one shape, whatever their field names hold: what is remembered of a shape never shows."""
    for row in rows:
        pairs = [(name, value) for (name, _), value in zip(names_of_fields, row, strict=False)]
        payload = LUA.encode(pairs)
        assert payload == python_codec.encode_table([], pairs)
        assert verdicts_agree(payload)


def test_more_shapes_than_are_remembered(rng: random.Random) -> None:
    for _ in range(9000):
        fields = rng.sample(range(3000), rng.randrange(1, 4))
        pairs = [(b"field %d" % number, number) for number in fields]
        payload = LUA.encode(pairs)
        assert payload == python_codec.encode_table([], pairs)
        assert LUA.reencode(payload) == payload


@given(tables(), metatables)
def test_every_truncation_is_refused(table: Any, metatable: Any) -> None:
    array, pairs = table
    payload = LUA.encode(assignments(array, pairs), metatable)
    step = max(1, len(payload) // 200)
    for end in range(0, len(payload), step):
        try:
            # Without its metatable a payload is a canonical table; nothing else that is cut may be.
            assert LUA.reencode(payload[:end]) == payload[:end]
            assert metatable is not None
        except LuaRefusal as refusal:
            assert refusal.code == b"malformed"
            assert 0 <= refusal.offset <= end
            assert refusal.expected
            assert refusal.found


def verdicts_agree(payload: bytes) -> bool:
    """Both decoders accept, and then Lua's re-encoding is the same bytes; or both refuse. -> accepted?"""
    try:
        contents = python_codec.decode_table(payload)
    except ValueFormatError:
        with pytest.raises(LuaRefusal):
            LUA.decode(payload)
        return False
    assert contents_key(LUA.decode(payload)) == contents_key(contents)
    assert LUA.reencode(payload) == payload
    return True


@given(tables(), metatables, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
def test_mutations_are_refused_or_canonical(table: Any, metatable: Any, mutations: Any) -> None:
    array, pairs = table
    payload = bytearray(LUA.encode(assignments(array, pairs), metatable))
    for place, byte in mutations:
        payload[place % len(payload)] = byte
    verdicts_agree(bytes(payload))


@given(st.binary(max_size=64))
def test_any_bytes(payload: bytes) -> None:
    verdicts_agree(payload)


def noise(rng: random.Random) -> Iterator[bytes]:
    """Payloads made of MessagePack's parts in any of their forms, canonical or not: much likelier to pass than bytes."""

    def number(code: int, form: str, value: int) -> bytes:
        return bytes([code]) + struct.pack(form, value)

    def integer() -> bytes:
        value = rng.choice([rng.choice(EDGES), rng.randrange(-5, 30)])
        forms = [(0xCC, ">B", 0, 2**8), (0xCD, ">H", 0, 2**16), (0xCE, ">I", 0, 2**32), (0xCF, ">Q", 0, 2**64),
                 (0xD0, ">b", -(2**7), 2**7), (0xD1, ">h", -(2**15), 2**15), (0xD2, ">i", -(2**31), 2**31),
                 (0xD3, ">q", -(2**63), 2**63)]
        fitting = [number(code, form, value) for code, form, low, high in forms if low <= value < high]
        if -32 <= value < 128:
            fitting += [bytes([value & 0xFF])] * 8
        return rng.choice([*fitting, min(fitting, key=len)])

    def head(n: int, forms: list[tuple[int, str, int]], fixed: int | None, fixed_max: int) -> bytes:
        fitting = [number(code, form, n) for code, form, limit in forms if n < limit]
        if fixed is not None and n <= fixed_max:
            fitting += [bytes([fixed + n])] * 6
        return rng.choice([*fitting, min(fitting, key=len)])

    def string() -> bytes:
        body = rng.choice([b"", b"a", b"ab", b"b", b"\xff", "é".encode(), b"x" * 32, b"\xed\xa0\x80"])
        if rng.random() < 0.8:
            return head(len(body), [(0xD9, ">B", 256), (0xDA, ">H", 2**16), (0xDB, ">I", 2**32)], 0xA0, 31) + body
        return head(len(body), [(0xC4, ">B", 256), (0xC5, ">H", 2**16), (0xC6, ">I", 2**32)], None, -1) + body

    def extension(kind: int, body: bytes) -> bytes:
        fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(len(body))
        if fixed and rng.random() < 0.9:
            return bytes([fixed, kind]) + body
        return head(len(body), [(0xC7, ">B", 256), (0xC8, ">H", 2**16)], None, -1) + bytes([kind]) + body

    def scalar() -> bytes:
        kind = rng.random()
        if kind < 0.4:
            return integer()
        if kind < 0.6:
            return string()
        if kind < 0.7:
            return rng.choice([b"\xc2", b"\xc3", b"\xc0", b"\xc1", b"\xca\x3f\x80\x00\x00"])
        if kind < 0.85:
            value = rng.choice([0.5, 1.0, -0.0, float("inf"), float("nan"), -float("nan"), 2.0**63])
            return b"\xcb" + struct.pack(">d", value)
        if kind < 0.95:
            identity = rng.choice([0, 1, 2, 255, 256, 2**32, 2**48 - 1, 2**48])
            return extension(rng.choice([1, 1, 4, 5]), identity.to_bytes(rng.choice([1, 2, 4, 8, 3]) if identity < 256 else 8, "big"))
        return extension(rng.choice([2, 2, 2, 3, 9]), rng.choice([b"", b"print", b"\xff"]))

    def array() -> bytes:
        n = rng.choice([0, 0, 1, 2, 15, 16, 17])
        if rng.random() < 0.3:
            code, size = rng.choice([(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (6, 8), (0, 1)])
            body = rng.choice([bytes(size * n), rng.randbytes(size * n), b"\xff" * (size * n)])
            return extension(3, bytes([code]) + body + rng.choice([b"", b"", b"\0"]))
        same = rng.random() < 0.5
        parts = [integer() if same and n > 15 else scalar() for _ in range(n)]
        return head(n, [(0xDC, ">H", 2**16), (0xDD, ">I", 2**32)], 0x90, 15) + b"".join(parts)

    def pairs() -> bytes:
        n = rng.choice([0, 0, 1, 2, 3, 4])
        parts = sorted(scalar() for _ in range(n)) if rng.random() < 0.5 else [scalar() for _ in range(n)]
        body = b"".join(key + scalar() for key in parts)
        return head(n, [(0xDE, ">H", 2**16), (0xDF, ">I", 2**32)], 0x80, 15) + body

    while True:
        tail = scalar() if rng.random() < 0.1 else b""
        yield array() + pairs() + tail


def test_same_verdicts_as_python(rng: random.Random) -> None:
    source = noise(rng)
    accepted = sum(verdicts_agree(next(source)) for _ in range(20_000))
    assert 1000 < accepted < 19_000


def wrap_value(value: bytes) -> bytes:
    return b"\x91" + value + b"\x80"


def refused(payload: bytes) -> LuaRefusal:
    with pytest.raises(LuaRefusal) as caught:
        LUA.decode(payload)
    return caught.value


@pytest.mark.parametrize(("payload", "offset"), [
    (b"", 0), (b"\x90", 1), (b"\x90\x80\x00", 2), (b"\x91\xc0\x80", 1), (b"\x91\xcc\x05\x80", 1),
    (wrap_value(b"\xcf" + b"\xff" * 8), 1), (wrap_value(b"\xca\0\0\0\0"), 1), (wrap_value(b"\xd9\x01a"), 1),
    (wrap_value(b"\xa1\xff"), 1), (wrap_value(b"\xc4\x01a"), 1), (wrap_value(b"\x90"), 1),
    (wrap_value(b"\xcb\xff\xf8" + bytes(6)), 2),
    (wrap_value(b"\xd4\x01\x00"), 1), (wrap_value(b"\xd5\x01\x00\x01"), 1), (wrap_value(b"\xc7\x01\x01\x05"), 1),
    (b"\xdd\xff\xff\xff\xff", 5), (b"\x90\xdf\xff\xff\xff\xff", 6),
    (b"\x90\x82\xa1b\x01\xa1a\x01", 5), (b"\x90\x82\xa1a\x01\xa1a\x01", 5), (b"\x90\x81\x01\x01", 2),
    (b"\x91\x05\x81\x02\x01", 3), (b"\x90\x81\xcb\x3f\xf0" + bytes(6) + b"\x01", 2),
    (b"\xdc\x00\x10" + b"\x01" * 16 + b"\x80", 0),
    (b"\xc7\x10\x03\x01" + bytes(15) + b"\x80", 0),
    (b"\xc7\x21\x03\x02" + b"\x05\x00" * 16 + b"\x80", 0),
])
def test_refusals_name_the_place(payload: bytes, offset: int) -> None:
    refusal = refused(payload)
    assert refusal.code == b"malformed"
    assert refusal.offset == offset or abs(refusal.offset - offset) <= 4
    assert str(refusal).startswith(f"offset {refusal.offset}: expected ")


def test_a_remembered_succession_of_keys_does_not_hide_disorder() -> None:
    """b after a is remembered from the first table; in the second a long key that is above b stands between them."""
    long_key = b"\xd9\x32" + b"c" * 50
    assert verdicts_agree(b"\x90\x83\xa1a\x01\xa1b\x02\xa1d\x03")
    assert not verdicts_agree(b"\x90\x83\xa1a\x01" + long_key + b"\x02\xa1b\x03")
    assert not verdicts_agree(b"\x90\x83\xa1b\x01\xa1a\x02\xa1d\x03")
    assert not verdicts_agree(b"\x90\x83\xa1a\x01\xa1a\x02\xa1b\x03")
    assert verdicts_agree(b"\x90\x83\x00\x01\xa1a\x02\xa1b\x03")


LONGEST = constants.CHUNK_BYTES


@pytest.mark.parametrize("text", [b"a", b"\xff"])
def test_a_longer_string_is_an_object_of_its_own_but_as_a_key(text: bytes) -> None:
    """Neither side writes it in full as a value, nor reads it; as a key it stands in full."""
    code = b"\xdb" if text == b"a" else b"\xc6"

    def whole(size: int) -> bytes:
        return code + size.to_bytes(4, "big") + text * size

    assert verdicts_agree(wrap_value(whole(LONGEST)))
    assert not verdicts_agree(wrap_value(whole(LONGEST + 1)))
    assert not verdicts_agree(b"\x90\x81\xa1a" + whole(LONGEST + 1))
    assert verdicts_agree(b"\x90\x81" + whole(LONGEST + 1) + b"\x01")
    assert LUA.encode([(text * (LONGEST + 1), 1)]) == b"\x90\x81" + whole(LONGEST + 1) + b"\x01"


def test_a_long_string_is_no_key_and_no_metatable() -> None:
    assert verdicts_agree(b"\x90\x81\x05\xd4\x04\x05")
    assert not verdicts_agree(b"\x90\x81\xd4\x04\x05\x05")
    assert not verdicts_agree(b"\x90\x80\xd4\x04\x05")


def test_a_function_is_told_from_a_table() -> None:
    """As a value and as a key, where it stands among the references; it is no metatable."""
    assert verdicts_agree(b"\x90\x82\xd4\x01\x05\x05\xd4\x05\x06\xd4\x05\x05")
    assert not verdicts_agree(b"\x90\x82\xd4\x05\x06\x05\xd4\x01\x05\x05")
    assert not verdicts_agree(b"\x90\x82\xd4\x01\x05\x05\xd4\x05\x05\x05")
    assert not verdicts_agree(b"\x90\x80\xd4\x05\x05")


def test_what_cannot_be_saved_is_told(rng: random.Random) -> None:
    lua = LUA.lua
    assert lua.execute(b"""
      local codec = require "fs.codec"
      local co = coroutine.create(print)
      local payload, key, value, role = codec.encode({ 1, 2, { } }, {})
      assert(payload == nil and key == 3 and type(value) == "table" and role == "value")
      payload, key, value, role = codec.encode({ a = 1, b = co }, {})
      assert(payload == nil and key == "b" and value == co and role == "value")
      payload, key, value, role = codec.encode({ [co] = 1 }, {})
      assert(payload == nil and key == co and role == "key")
      local long = ("x"):rep(65537)
      for _, t in ipairs { { long }, { [1.5] = long } } do
        for _, miss in ipairs { false, function() end } do
          payload, key, value, role = codec.encode(t, {}, nil, miss or nil)
          assert(payload == nil and key == next(t) and value == long and role == "value")
        end
      end
      payload, key, value, role = codec.encode({}, {}, {})
      assert(payload == nil and key == nil and role == "metatable")
      return true""")


def test_unknown_permanent_is_told() -> None:
    assert LUA.lua.execute(b"""
      local codec = require "fs.codec"
      local payload = codec.encode({ x = print }, { [print] = "print" })
      local ok, err = codec.decode(payload, {}, { objects = {}, permanents = {} })
      return not ok and err.code == "unknown_permanent" and err.name == "print" """)


def test_no_length_is_believed() -> None:
    """A few bytes that announce billions of elements cost nothing."""
    from tests.support import lua as lua_support

    small = lua_support.runtime(max_memory=4 << 20)
    assert small.execute(b"""
      local codec = require "fs.codec"
      local links = { objects = {}, permanents = {} }
      for _, payload in ipairs { "\\xdd\\x7f\\xff\\xff\\xff\\x01\\x01", "\\xc9\\x7f\\xff\\xff\\xff\\x03\\x05",
          "\\x90\\xdf\\xff\\xff\\xff\\xff\\x01\\x02", "\\x91\\xdb\\xff\\xff\\xff\\xff" } do
        local ok, err = codec.decode(payload, {}, links)
        assert(not ok and err.code == "malformed")
      end
      return true""")


def test_order_does_not_depend_on_collation() -> None:
    """Both ways of comparing strings give the order of bytes."""
    assert LUA.lua.execute(b"""
      local order = require "fs.order"
      local list = { "", "\\0", "a", "a\\0", "ab", "B", "b", "\\x7f", "\\x80", "\\xff", "\\xc3\\xa9", "a-b", "aa" }
      for _, a in ipairs(list) do
        for _, b in ipairs(list) do
          assert(order.string_less(a, b) == order.bytes_less(a, b))
        end
      end
      return true""")


# -- the published vectors ----------------------------------------------------------------------------------------


def published_vectors() -> list[bytes]:
    """Every encoding of the MessagePack test suite, from beside the repository or from the npm package."""
    places = [ROOT.parent / "shared/data/msgpack-test-suite.json",
              ROOT / "node_modules/msgpack-test-suite/dist/msgpack-test-suite.json"]
    for place in places:
        if place.exists():
            suite = json.loads(place.read_text())
            return [bytes.fromhex(form.replace("-", ""))
                    for rows in suite.values() for row in rows for form in row["msgpack"]]
    pytest.skip("the published MessagePack vectors are not here (npm package msgpack-test-suite)")


EXTENSION_CODES = {0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8}


def is_canonical_scalar(form: bytes) -> bool:
    """By the msgpack package: the form that it would write, and a value of the format."""
    try:
        value = msgpack.unpackb(form, raw=True, strict_map_key=False)
    except ValueError:
        return False
    if isinstance(value, bool | float):
        return bool(msgpack.packb(value) == form)
    if isinstance(value, int):
        return value < 2**63 and bool(msgpack.packb(value) == form)
    if isinstance(value, bytes):
        try:
            return bool(msgpack.packb(value.decode()) == form)
        except UnicodeDecodeError:
            return bool(msgpack.packb(value, use_bin_type=True) == form)
    return False


def test_published_vectors_as_values() -> None:
    vectors = published_vectors()
    accepted = 0
    for form in vectors:
        agreed = verdicts_agree(wrap_value(form))
        if form[0] in EXTENSION_CODES:  # the suite's types are nobody's, and may be those of our references
            continue
        assert agreed == is_canonical_scalar(form), form.hex()
        accepted += agreed
    assert accepted >= 40


def test_published_vectors_as_parts() -> None:
    """As array part and as map part: whatever both decoders say, they say the same."""
    for form in published_vectors():
        verdicts_agree(form + b"\x80")
        verdicts_agree(b"\x90" + form)


def test_extension_numbers_are_the_schema_s() -> None:
    """The payloads above were written by hand for these numbers."""
    assert (constants.EXT_REFERENCE, constants.EXT_PERMANENT, constants.EXT_PACKED, constants.EXT_STRING,
            constants.EXT_FUNCTION) == (1, 2, 3, 4, 5)
