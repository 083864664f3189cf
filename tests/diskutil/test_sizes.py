"""Sizes as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import sizes
from khoros.diskutil.errors import UsageError


@pytest.mark.parametrize(("words", "size"), [
    ("64M", 64 << 20), ("1.5G", 3 << 29), ("512", 512), ("1k", 1024), ("64MiB", 64 << 20),
    ("64MB", 64 << 20), ("2T", 2 << 40), (" 8 M ", 8 << 20), ("10B", 10), ("0", 0),
])
def test_sizes(words, size):
    assert sizes.parse(words) == size


@pytest.mark.parametrize("words", ["", "M", "-1", "1..5M", "64X", "1e6", "0x10", "64M extra"])
def test_what_is_no_size(words):
    with pytest.raises(UsageError, match="not a size"):
        sizes.parse(words)


@given(st.integers(0, 1 << 60))
def test_whole_units_come_back(size):
    assert abs(sizes.parse(sizes.text(size)) - size) <= size * 0.051
    if size % 1024:
        assert size >= 1024 or sizes.parse(sizes.text(size)) == size


def test_text():
    assert [sizes.text(n) for n in (0, 1023, 1024, 1536, 64 << 20, 3 << 29)] == [
        "0", "1023", "1K", "1.5K", "64M", "1.5G"]


def test_counts():
    assert [sizes.count(n, "page") for n in (0, 1, 2)] == ["0 pages", "1 page", "2 pages"]
