"""Any value that Python can give goes into an image, through the guest's own Lua, and back, equal.

The guest writes every table anew, under other ids, by what it sees of it: so both codecs, both readers and both writers are met.
"""

from __future__ import annotations

import math
import struct
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import khoros
from khoros.diskutil.values import LuaTable, normal_string
from tests.diskutil import images
from tests.diskutil.test_against_lua import assert_clean, save, world_over

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=True), TEXTS,
                    st.binary(max_size=12), st.integers(60_000, 70_000).map(lambda size: "long " * (size // 5)))
# "" and b"" are one key in Lua, and refused together.
KEYS = st.one_of(st.booleans(), st.integers(-3, 40), st.integers(-(1 << 63), (1 << 63) - 1), TEXTS,
                 st.binary(max_size=6).map(normal_string), st.floats(allow_nan=False))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=24), st.dictionaries(KEYS, inner, max_size=8)), max_leaves=40)
COPY = """
local session = open()
local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, item in pairs(value) do made[key] = copy(item) end
  return made
end
session.root.back = copy(session.root.value)
assert(session.commit("copied"))
"""


def exact(value: Any) -> Any:
    """A form in which == means equal to Lua: 1, 1.0 and true apart, every NaN alike, -0.0 not 0.0, bytes as Lua sees them."""
    if isinstance(value, LuaTable):
        return {exact(key): exact(value[key]) for key in value}
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else struct.pack(">d", value)
    if isinstance(value, str | bytes):
        return "string", value.encode() if isinstance(value, str) else value
    return type(value).__name__, value


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_from_python_to_lua_and_back(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = images.empty(Path(folder) / "a.img")
        with khoros.open(path, "r+") as image:
            image["value"] = value
            given_value = exact(image["value"])
            image.commit()
        world = world_over(path)
        world.run(COPY)
        save(path, world)
        with khoros.open(path) as image:
            assert exact(image["value"]) == given_value
            assert exact(image["back"]) == given_value
        assert_clean(path)


@settings(max_examples=30)
@given(VALUES)
def test_what_python_gives_is_what_python_gets(value: Any) -> None:
    """Lists, mappings and scalars come back as what they were, in the image's own words."""
    with tempfile.TemporaryDirectory() as folder:
        path = images.empty(Path(folder) / "a.img")
        with khoros.open(path, "r+") as image:
            image["value"] = value
            image.commit()
        with khoros.open(path) as image:
            assert exact(image["value"]) == expected(value)


def expected(value: Any) -> Any:
    """What Lua would have made of a Python value: a list's places count from 1, keys that are equal to Lua are one."""
    if isinstance(value, list):
        return {("int", place): expected(item) for place, item in enumerate(value, 1)}
    if isinstance(value, dict):
        return {exact(normal(key)): expected(item) for key, item in value.items()}
    return exact(value)


def normal(key: Any) -> Any:
    """A float with an integer's value is that integer as a key."""
    if isinstance(key, float) and key.is_integer() and -(2.0**63) <= key < 2.0**63:
        return int(key)
    return key
