"""Many tables read together: what comes out is what the codec finds in each by itself, whatever stands next to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import bulk, codec
from khoros.diskutil.errors import ValueFormatError
from khoros.diskutil.values import Reference
from tests.diskutil import test_codec as one

PAYLOADS = st.lists(one.tables().map(lambda table: codec.encode_table(*table)), max_size=4)


def by_itself(payload):
    try:
        return one.exactly(codec.decode_table(payload)), codec.table_references(payload)
    except ValueFormatError:
        return None


def agrees(payloads):
    expected = [by_itself(payload) for payload in payloads]
    if bulk.plain_tables(payloads) is not None:
        assert all(found is not None and found[1] == [] for found in expected)
    assert bulk.table_references(payloads) == [None if found is None else found[1] for found in expected]
    if None in expected:
        with pytest.raises(ValueFormatError):
            bulk.decode_tables(payloads)
    else:
        assert [one.exactly(found) for found in bulk.decode_tables(payloads)] == [found for found, _ in expected]


def damage(data, payloads):
    payloads = list(map(bytearray, payloads))
    for _ in range(data.draw(st.integers(0, 2)) if payloads else 0):
        payload = data.draw(st.sampled_from(payloads))
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.sampled_from(one.ODD_BYTES))
    return list(map(bytes, payloads))


@given(PAYLOADS, st.data())
def test_together_they_are_what_each_is_by_itself(payloads, data):
    agrees(damage(data, payloads))


PLAIN = st.lists(st.tuples(
    st.lists(st.integers(-300, 1 << 63 - 1) | st.floats(allow_nan=True) | st.text(max_size=3) | st.booleans(), max_size=4),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.floats(allow_nan=True) | st.integers(0, 70000),
                    max_size=4)), max_size=8)


@given(PLAIN.map(lambda rows: [codec.encode_table(array, pairs.items()) for array, pairs in rows]), st.data())
def test_plain_ones_next_to_damaged_ones_are_what_each_is_by_itself(payloads, data):
    agrees(damage(data, payloads))


@pytest.mark.parametrize("batch", [1, 100, 1 << 17])
def test_batches_change_nothing(monkeypatch, batch):
    monkeypatch.setattr(bulk, "BATCH_BYTES", batch)
    payloads = [codec.encode_table([Reference(number)] if number % 7 == 1 else [number], [("k", "x" * number)])
                for number in range(1, 200)]  # fmt: skip
    agrees(payloads)
    agrees([*payloads[:50], b"\x90", *payloads[50:]])


def test_one_that_is_too_long_to_be_read_together_is_read():
    agrees([codec.encode_table([], [("k", "x" * length)]) for length in (1, bulk.TOGETHER_BYTES, 3)])


def test_plain_tables_are_found_to_be_plain():
    payloads = [codec.encode_table([1, "a", 1.5, True], [("k", number), ("n", "x" * number)]) for number in range(300)]
    assert bulk.plain_tables(payloads) is not None
    assert bulk.plain_tables([*payloads, codec.encode_table([Reference(2)], [])]) is None


@pytest.mark.parametrize("payloads", [
    [b"\x90\x80\x90", b"\x80"],                    # one too many, one too few
    [b"\x90\x81\xa1a\xa4abc\xc2", b"\x90\x80", b"\x90\x80\x90\x80"],
    [b"\x90\x81\xa1a\xa4abc\xc2", b"\x90\x90\x80", b"\x90\x80"],
    [b"", b"\x90\x80\x90\x80"],
    [b"\x90\x81\xa1a\xcc", b"\x90\x80"],          # would take the first byte of what follows
    [b"\x90\x80" + bulk._FENCED + b"\x90\x80", b""],  # brings the end of a table along
    [b"\x90\x80" + bulk._FENCED + b"\x90\x81\xa1a\xc4\x0a", b"\x90\x80"],
])  # fmt: skip
def test_no_table_borrows_bytes_of_its_neighbour(payloads):
    assert bulk.plain_tables(payloads) is None
    agrees(payloads)


@pytest.mark.parametrize("payload", one.NOT_CANONICAL)
def test_what_msgpack_takes_and_the_store_does_not(payload):
    assert bulk.plain_tables([b"\x90\x80", payload]) is None
    agrees([b"\x90\x80", payload])


@pytest.mark.parametrize("values", [[float("inf"), float("-inf")], [(1 << 63) - 1], [207, 1 << 40], [0.5, float("nan")]])
def test_values_that_look_like_bad_ones_are_read_with_care(values):
    agrees([codec.encode_table(values, []), codec.encode_table([], [("k", value) for value in values[:1]])])


def test_a_string_like_the_fence_is_read_with_care():
    payload = codec.encode_table([], [("k", bulk._FENCE)])
    assert bulk.plain_tables([payload, payload]) is None
    agrees([payload, payload])
