"""The value codec: what is canonical is accepted and comes back, everything else is refused with its place."""

from __future__ import annotations

import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import codec
from khoros.diskutil.errors import CannotStore, ValueFormatError
from khoros.diskutil.values import Contents, Permanent, Reference, normal_string
from khoros.formats import constants as C

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(allow_nan=True)
STRINGS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary()).map(
    lambda s: normal_string(s) if isinstance(s, bytes) else s)
REFERENCES = st.integers(1, C.ID_MASK).map(Reference)
PERMANENTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(Permanent)
SCALARS = st.one_of(st.booleans(), INTEGERS, FLOATS, STRINGS, REFERENCES, PERMANENTS)


def is_key(value):
    if isinstance(value, float):
        return value == value and not (value.is_integer() and -(2.0**63) <= value < 2.0**63)
    return True


def exact(value):
    """A form in which == keeps apart what the format does."""
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else struct.pack(">d", value))
    return (type(value).__name__, value)


@st.composite
def tables(draw):
    array = draw(st.lists(SCALARS, max_size=20) | st.lists(INTEGERS, min_size=16, max_size=40)
                 | st.lists(FLOATS, min_size=16, max_size=40))
    keys = {exact(key): key for key in draw(st.lists(SCALARS.filter(is_key), max_size=12))}
    allowed = [key for key in keys.values()
               if not (type(key) is int and 1 <= key <= len(array) + 1)]
    pairs = [(key, draw(SCALARS)) for key in allowed]
    return array, pairs, draw(st.none() | REFERENCES | PERMANENTS)


@given(tables())
def test_what_is_encoded_comes_back(table):
    array, pairs, metatable = table
    payload = codec.encode_table(array, pairs, metatable)
    contents = codec.decode_table(payload)
    assert [exact(value) for value in contents.array] == [exact(value) for value in array]
    assert sorted(map(repr, [(exact(k), exact(v)) for k, v in contents.pairs])) == sorted(
        map(repr, [(exact(k), exact(v)) for k, v in pairs]))
    assert contents.metatable == metatable
    assert codec.encode_table(*contents) == payload


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_assignments_does_not_matter(table, rng):
    array, pairs, metatable = table
    shuffled = rng.sample(pairs, len(pairs))
    assert codec.encode_table(array, shuffled, metatable) == codec.encode_table(
        array, pairs, metatable)


@given(tables(), st.data())
def test_a_changed_payload_is_refused_or_canonical_again(table, data):
    payload = bytearray(codec.encode_table(*table))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] = data.draw(st.integers(0, 255))
    try:
        contents = codec.decode_table(bytes(payload))
    except ValueFormatError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(payload)
    else:
        assert codec.encode_table(*contents) == bytes(payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_canonical(payload):
    try:
        contents = codec.decode_table(payload)
    except ValueFormatError:
        return
    assert codec.encode_table(*contents) == payload


@given(tables())
def test_every_prefix_is_refused(table):
    payload = codec.encode_table(*table)
    contents = codec.decode_table(payload)
    for length in range(len(payload)):
        # Without its metatable a table is still a table.
        if contents.metatable is not None and (
            payload[:length] == codec.encode_table(contents.array, contents.pairs)
        ):
            continue
        with pytest.raises(ValueFormatError):
            codec.decode_table(payload[:length])


@given(tables())
def test_spans_cover_the_payload_without_gaps(table):
    payload = codec.encode_table(*table)
    at = 0
    for start, end in codec.spans(payload):
        assert start == at
        assert end > start
        at = end
    assert at == len(payload)


BYTES = [
    ("90 80", [], [], None),
    ("91 07 80", [7], [], None),
    ("90 81 c2 c3", [], [(False, True)], None),
    ("90 82 ff 00 00 ff", [], [(-1, 0), (0, -1)], None),
    ("90 81 cb 3f f8 00 00 00 00 00 00 a0", [], [(1.5, "")], None),
    ("91 cb 7f f8 00 00 00 00 00 00 80", [math.nan], [], None),
    ("90 81 c4 01 ff c4 02 fe ff", [], [(b"\xff", b"\xfe\xff")], None),
    ("90 80 d4 01 05", [], [], Reference(5)),
    ("90 80 d7 01 00 00 00 01 00 00 00 00", [], [], Reference(1 << 32)),
    ("90 80 c7 06 02 73 74 72 69 6e 67", [], [], Permanent("string")),
    ("c7 11 03 01" + " 01" * 16 + " 80", [1] * 16, [], None),
    ("c7 21 03 02" + " 01 01" * 16 + " 80", [257] * 16, [], None),
    ("dc 00 10" + " c3" * 16 + " 80", [True] * 16, [], None),
]


@pytest.mark.parametrize(("text", "array", "pairs", "metatable"), BYTES)
def test_bytes(text, array, pairs, metatable):
    payload = bytes.fromhex(text)
    assert codec.encode_table(array, pairs, metatable) == payload
    assert repr(codec.decode_table(payload)) == repr(Contents(array, pairs, metatable))


REFUSED = {
    "nothing": "",
    "no map part": "90",
    "bytes after the table": "90 80 00",
    "two metatables": "90 80 d4 01 05 d4 01 06",
    "a number as metatable": "90 80 05",
    "nil as value": "90 81 01 c0",
    "key n+1": "90 81 01 05",
    "key within the array": "91 05 81 01 05",
    "keys in the wrong order": "90 82 a1 62 01 a1 61 01",
    "the same key twice": "90 82 a1 61 01 a1 61 01",
    "true before false": "90 82 c3 01 c2 01",
    "float key with an integer's value": "90 81 cb 40 00 00 00 00 00 00 00 01",
    "NaN as key": "90 81 cb 7f f8 00 00 00 00 00 00 01",
    "another NaN": "91 cb 7f f8 00 00 00 00 00 01 80",
    "float32": "91 ca 3f 80 00 00 80",
    "long form of 7": "91 cc 07 80",
    "signed form of 200": "91 d1 00 c8 80",
    "integer above 2^63-1": "91 cf 80 00 00 00 00 00 00 00 80",
    "long form of a string": "91 d9 01 61 80",
    "str16 for a short string": "91 da 00 20" + " 61" * 32 + " 80",
    "binary that is UTF-8": "91 c4 01 61 80",
    "string that is not UTF-8": "91 a1 ff 80",
    "surrogate in a string": "91 a3 ed a0 80 80",
    "overlong UTF-8": "91 a2 c0 80 80",
    "array16 for a short array": "dc 00 01 05 80",
    "map16 for a short map": "90 de 00 01 61 01",
    "reference to 0": "91 d4 01 00 80",
    "reference in too many bytes": "91 d5 01 00 05 80",
    "reference above 48 bits": "91 d7 01 00 01 00 00 00 00 00 00 80",
    "reference of 3 bytes": "91 c7 03 01 01 00 00 80",
    "unknown extension": "91 d4 09 00 80",
    "extension in the long form": "91 c7 01 01 05 80",
    "nested array": "91 90 80",
    "nested map": "91 80 80",
    "array that is not packed": "dc 00 10" + " 01" * 16 + " 80",
    "packed array that is too short": "c7 10 03 01" + " 01" * 15 + " 80",
    "packed in too wide elements": "c7 21 03 02" + " 01 00" * 16 + " 80",
    "packed with half an element": "c7 12 03 02" + " 01 01" * 8 + " 01 80",
    "packed with an unknown code": "c7 11 03 09" + " 01" * 16 + " 80",
    "packed as a value": "91 c7 11 03 01" + " 01" * 16 + " 80",
    "array of 2^32-1 values": "dd ff ff ff ff",
    "map of 2^32-1 pairs": "90 df ff ff ff ff",
    "string of 2^32-1 bytes": "91 db ff ff ff ff",
    "permanent that is not UTF-8": "91 d4 02 ff 80",
    "never used code": "91 c1 80",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_canonical_is_refused(name):
    with pytest.raises(ValueFormatError) as caught:
        codec.decode_table(bytes.fromhex(REFUSED[name]))
    assert caught.value.offset is not None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, [1], {}, 1 << 63, -(1 << 63) - 1, object(), "\ud800"])
def test_what_has_no_form_cannot_be_encoded(value):
    with pytest.raises((CannotStore, UnicodeEncodeError)):
        codec.encode_scalar(value)


def test_integers_and_floats_keep_their_kind():
    contents = codec.decode_table(codec.encode_table([1, 1.0, True, -0.0], []))
    assert [exact(v) for v in contents.array] == [exact(v) for v in (1, 1.0, True, -0.0)]


def test_references_are_found_in_order():
    contents = codec.decode_table(codec.encode_table(
        [Reference(3), 1], [("a", Reference(4)), (Reference(2), Reference(9))], Reference(7)))
    assert codec.references(contents) == [3, 4, 2, 9, 7]


def test_large_tables_take_time_in_proportion(rng: random.Random):
    keys = rng.sample(range(10**6), 20_000)
    payload = codec.encode_table([], [(f"k{key}", key) for key in keys])
    assert len(codec.decode_table(payload).pairs) == len(keys)


def exactly(contents):
    """A form of contents in which == keeps apart what the format does."""
    pairs = [(exact(key), exact(value)) for key, value in contents.pairs]
    return [exact(value) for value in contents.array], pairs, contents.metatable


@given(tables(), st.data())
def test_what_is_read_fast_is_what_is_read_with_care(table, data):
    payload = bytearray(codec.encode_table(*table))
    for _ in range(data.draw(st.integers(0, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.sampled_from(ODD_BYTES))
    fast = codec._plain_table(bytes(payload))
    if fast is not None:
        assert exactly(fast) == exactly(codec._decode_table(bytes(payload)))


# Where forms begin and end.
ODD_BYTES = [0x00, 0x7F, 0x80, 0x81, 0x90, 0x9F, 0xA0, 0xA1, 0xC0, 0xC1, 0xC2, 0xC4, 0xC7, 0xCA, 0xCB, 0xCC, 0xCF, 0xD0,
             0xD4, 0xD9, 0xDC, 0xDE, 0xE0, 0xFF]


@given(st.lists(SCALARS, max_size=12), st.data())
def test_scalars_read_fast_are_those_read_with_care(values, data):
    payload = bytearray(b"".join(map(codec.encode_scalar, values)))
    for _ in range(data.draw(st.integers(0, 2)) if payload else 0):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.sampled_from(ODD_BYTES))
    found = codec._common(bytes(payload), 0, len(values))
    slow, at = [], 0
    try:
        for _ in values:
            value, at = codec.decode_value(bytes(payload), at)
            slow.append(value)
    except ValueFormatError:
        assert found is None
    else:
        assert found is not None
        assert ([exact(value) for value in found[0]], found[1]) == ([exact(value) for value in slow], at)


NOT_CANONICAL = [
    b"\x90\x81\xa1a\xcf\xff" + bytes(7),           # an integer above 2^63-1
    b"\x90\x81\xa1a\xcb\x7f\xf8" + bytes(5) + b"\x01",  # a NaN that is not the canonical one
    b"\x90\x81\xa1a\xc4\x01a",                    # UTF-8 as bytes
    b"\x90\x81\xa1a\xc0",                         # nil
    b"\x90\x81\xa1a\x90",                         # nested
    b"\x90\x82\xa1a\x01\xa1a\x02",                 # a key twice
    b"\x90\x82\xa1b\x01\xa1a\x02",                 # keys out of order
    b"\x90\x81\x01\x01",                          # a key of the array part
    b"\x90\x81\xc3\x01\x01",                      # bytes behind
    b"\x90\x81\xa1a\xd1\x00\x01",                 # not the shortest form
    b"\x90\x81\xa1a\xca\x3f\x80\x00\x00",         # 32 bits of a float
    b"\xdc\x00\x10" + b"\x01" * 16 + b"\x80",      # numbers that are not packed
]  # fmt: skip


@pytest.mark.parametrize("payload", NOT_CANONICAL)
def test_what_msgpack_takes_and_the_store_does_not(payload):
    assert codec._plain_table(payload) is None
    with pytest.raises(ValueFormatError):
        codec.decode_table(payload)


@pytest.mark.parametrize("least", [1, 1 << 8, 1 << 16])
@pytest.mark.parametrize("place", [0, 5, 9])
def test_references_in_a_row_are_each_in_their_fewest_bytes(least, place):
    ids = list(range(least, least + 10))
    payload = codec.encode_table([Reference(number) for number in ids], [])
    assert codec.table_references(payload) == ids
    size = (len(payload) - 2) // 10
    bad = bytearray(payload)
    bad[1 + size * place + 2 : 1 + size * (place + 1)] = (least - 1).to_bytes(size - 2, "big")
    with pytest.raises(ValueFormatError):
        codec.table_references(bytes(bad))
