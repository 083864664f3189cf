"""Paths: what is written can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil import paths
from khoros.diskutil.errors import UsageError
from khoros.diskutil.values import normal_string

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.binary().map(normal_string),
    st.integers(-(1 << 63), (1 << 63) - 1), st.booleans(),
    st.floats(allow_nan=False).filter(lambda f: not f.is_integer()))


@given(st.lists(KEYS, max_size=4))
def test_what_is_written_can_be_read(keys):
    path = paths.ROOT
    for key in keys:
        path = paths.text(path, key)
    assert [(type(k), k) for k in paths.parse(path)] == [(type(k), k) for k in keys]


@pytest.mark.parametrize(("words", "keys"), [
    ("root", []), ("root.ship.crew", ["ship", "crew"]), ("ship.crew[2]", ["ship", "crew", 2]),
    ("iso_3166-1", ["iso_3166-1"]), ("root.iso.3166-1", ["iso", "3166-1"]), ("a b.c", ["a b", "c"]),
    ('["root"]', ["root"]), ("root.root", ["root"]), ("['a.b'][true][1.5]", ["a.b", True, 1.5]),
    ('x["\\xff\\n"]', ["x", b"\xff\\n"]), ('x["a\\"b"]', ["x", 'a"b']), ("root[-3]", [-3]),
])
def test_paths(words, keys):
    assert paths.parse(words) == keys


@pytest.mark.parametrize("words", ["", "a..b", "a[", "a[]", "a[b]", 'a["b]', "a.b.", "a]b", "[1"])
def test_what_is_no_path(words):
    if words == "":
        assert paths.parse(words) == []
        return
    with pytest.raises(UsageError):
        paths.parse(words)


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_refused(words):
    try:
        paths.parse(words)
    except UsageError as error:
        assert "\n" not in str(error)
