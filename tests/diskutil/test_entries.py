"""Entries in bulk: what is gathered at once is what is found one by one, errors included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import entries
from khoros.diskutil.errors import EntryError
from khoros.formats import constants as C

ROWS = st.lists(st.tuples(st.sampled_from(sorted(entries.KIND_NAMES)), st.integers(1, C.ID_MASK), st.binary(max_size=40)),
                max_size=12)


def in_bulk(data: bytes, count: int) -> list[Any]:
    offsets, headers = entries.headers(data, count)
    tags = headers["tag"].tolist()
    return [entries.Entry(at, tag >> C.ID_BITS, tag & C.ID_MASK, length, crc) for at, tag, length, crc in zip(
        offsets, tags, headers["payload_bytes"].tolist(), headers["crc"].tolist(), strict=True)]


def one_by_one(data: bytes, count: int) -> list[Any]:
    return list(entries.walk(data, count))


def payloads_in_bulk(data: bytes, count: int) -> list[Any]:
    return entries.verified(data, *entries.headers(data, count))


def payloads_one_by_one(data: bytes, count: int) -> list[Any]:
    return [entries.verify(data, entry) for entry in one_by_one(data, count)]


def outcome(act: Any, data: bytes, count: int) -> Any:
    try:
        return act(data, count)
    except EntryError as error:
        return str(error)


PAIRS = [(in_bulk, one_by_one), (payloads_in_bulk, payloads_one_by_one)]


@pytest.mark.parametrize(("bulk", "single"), PAIRS)
@given(rows=ROWS)
def test_good_entries(bulk, single, rows):
    data = b"".join(entries.encode(*row)[0] for row in rows)
    assert bulk(data, len(rows)) == single(data, len(rows))


@pytest.mark.parametrize(("bulk", "single"), PAIRS)
@given(rows=ROWS.filter(bool), choice=st.data())
def test_damaged_entries(bulk, single, rows, choice):
    data = bytearray(b"".join(entries.encode(*row)[0] for row in rows))
    for _ in range(choice.draw(st.integers(1, 3))):
        data[choice.draw(st.integers(0, len(data) - 1))] ^= choice.draw(st.integers(1, 255))
    kept = bytes(data[: choice.draw(st.integers(0, len(data)))]) if choice.draw(st.booleans()) else bytes(data)
    count = max(len(rows) + choice.draw(st.integers(-1, 1)), 0)
    found, expected = outcome(bulk, kept, count), outcome(single, kept, count)
    if single is payloads_one_by_one and isinstance(found, str) and isinstance(expected, str):
        # The lengths of all entries come first in bulk: of two faults it may name the other.
        assert found and expected
    else:
        assert found == expected


def test_a_record_states_what_is_expected_and_its_bytes_are_what_is_found():
    """As in the guest (lua/fs/entry.lua): people compare what the two say of one image."""
    data, stated = entries.encode(C.KIND_TABLE, 2, b"\x90\x80")
    damaged = data[:16] + b"\x91" + data[17:]
    with pytest.raises(EntryError) as caught:
        payloads_in_bulk(damaged, 1)
    computed = entries.encode(C.KIND_TABLE, 2, b"\x91\x80")[1]
    assert (caught.value.expected, caught.value.found) == (f"{stated:#010x}", f"{computed:#010x}")
