"""Ordered maps on the host, against a sorted dict, and hostile ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgpack
import pytest

import khoros
from khoros.diskutil import check, kinds, reader
from khoros.diskutil.errors import CannotStore, ObjectError
from khoros.diskutil.kinds import MapNode, MapRoot
from khoros.diskutil.values import key_order
from khoros.diskutil.writer import Item
from khoros.formats import constants as C
from tests.diskutil import images


@pytest.fixture
def path(tmp_path) -> Path:
    return images.empty(tmp_path / "a.img")


def clean(path: Path) -> None:
    store = reader.mount(path)
    try:
        assert [f.text for f in check.check(store).findings if f.error] == []
    finally:
        store.close()


def random_key(rng: random.Random) -> Any:
    return rng.choice([True, False, rng.randrange(-2000, 2000), rng.randrange(999) + 0.5,
                       f"name {rng.randrange(3000)}", bytes([255, rng.randrange(256)])])


def same(found: khoros.LuaMap, model: dict[tuple[int, Any], tuple[Any, Any]]) -> None:
    assert list(found.items()) == [model[order] for order in sorted(model)]
    assert len(found) == len(model)


def test_a_map_is_what_a_sorted_dict_is(path, rng):
    model: dict[tuple[int, Any], tuple[Any, Any]] = {}
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap()
        image.commit()
    for _ in range(12):
        with khoros.open(path, "r+") as image:
            found = image["map"]
            for _ in range(rng.choice([1, 30, 400])):
                key = random_key(rng)
                if rng.random() < 0.4 and model:
                    key = model[rng.choice(list(model))][0]
                    del found[key]
                    model.pop(key_order(key))
                else:
                    value = rng.choice([rng.randrange(9), "text" * rng.randrange(20)])
                    found[key] = value
                    model[key_order(key)] = key, value
            same(found, model)
            image.commit()
            same(found, model)
        clean(path)
    with khoros.open(path, "r+") as image:
        same(image["map"], model)
        image["map"].clear()
        image.commit()
        assert image.store.object_count() == 2
    clean(path)


def test_a_range_reads_only_what_it_needs(path):
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap({n: f"value {n}" for n in range(20_000)})
        image.commit()
    with khoros.open(path) as image:
        reads = []
        original = image.store.read
        image.store.read = lambda identity: reads.append(identity) or original(identity)
        assert list(image["map"].range(10_000, 10_003)) == [
            (n, f"value {n}") for n in range(10_000, 10_004)]
        assert image["map"][19_999] == "value 19999" and 20_000 not in image["map"]
        assert len(reads) < 20


def test_a_small_change_writes_little(path):
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap(dict.fromkeys(range(10000), "x" * 50))
        image.commit()
        image["map"][5000.5] = {"a": 1}
        assert image.commit().objects <= 5
        assert image["map"][5000.5]["a"] == 1
    clean(path)


def test_values_and_identity(path):
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap({"self": 1})
        image["map"]["self"] = image["map"]
        image["map"]["long"] = "y" * 100_000
        image.commit()
    with khoros.open(path) as image:
        assert image["map"]["self"] is image["map"] and image["map"]["long"] == "y" * 100_000
        assert image.at_path("root.map.long") == "y" * 100_000


def test_what_cannot_be_a_key(path):
    for key in (float("nan"), khoros.LuaTable(), None, 1 << 64):
        with pytest.raises(CannotStore):
            khoros.LuaMap({key: 1})


def test_abort_drops_what_is_held(path):
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap({"a": 1})
        image.commit()
        image["map"]["a"] = 2
        image.abort()
        assert image["map"]["a"] == 1 and not image.changed


def item(identity: int, kind: int, payload: bytes) -> Item:
    return Item(identity, kind, payload)


def leaf(identity: int, payload: bytes) -> Item:
    return Item(identity, C.KIND_MAP_NODE, payload)


def root(pairs: int, levels: int, node: int) -> Item:
    return Item(2, C.KIND_MAP, kinds.encode_map_root(MapRoot(pairs, levels, node)))


HOSTILE = {
    "its own child": [root(1, 2, 3), leaf(3, kinds.encode_map_node(MapNode([3], [])))],
    "shared child": [root(2, 2, 3), leaf(3, kinds.encode_map_node(MapNode([4, 4], ["b"]))),
                     leaf(4, b"\x81\xa1a\x01")],
    "a leaf beyond its keys": [root(2, 2, 3), leaf(3, kinds.encode_map_node(MapNode([4, 5], ["b"]))),
                               leaf(4, b"\x81\xa1c\x01"), leaf(5, b"\x81\xa1d\x01")],
    "keys of a node that descend": [root(3, 2, 3), leaf(3, kinds.encode_map_node(
        MapNode([4, 5, 6], ["c", "b"]))), leaf(4, b"\x81\xa1a\x01"), leaf(5, b"\x81\xa1c\x01"),
        leaf(6, b"\x81\xa1d\x01")],
    "no such node": [root(1, 1, 9)],
    "levels without end": [root(1, 1 << 50, 3), leaf(3, b"\x81\xa1a\x01")],
    "a leaf that is a table": [root(1, 1, 3), item(3, C.KIND_TABLE, b"\x90\x81\xa1a\x01")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_map_is_an_error_of_one_object(path, name):
    images.forged(path, *HOSTILE[name])
    with khoros.open(path) as image, pytest.raises((ObjectError, khoros.KhorosError)):
        list(image["x"].items())
    store = reader.mount(path)
    assert check.check(store).errors
    store.close()


@pytest.mark.parametrize("size", [5000, 9000])
def test_long_keys_do_not_make_a_tall_tree(path, size):
    """Every pair is a leaf of its own then, and two keys never fit into a node."""
    model = {f"{n:04}" + "k" * size: n for n in range(100)}
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap(model)
        image.commit()
        assert image["map"].root.levels <= 8
    with khoros.open(path) as image:
        assert dict(image["map"].items()) == model
    clean(path)


def test_no_node_is_larger_than_it_may_be(path, rng):
    """Keys and values of every size: a leaf above MAP_NODE_BYTES has one pair, a node above the leaves three children at most."""
    with khoros.open(path, "r+") as image:
        image["map"] = khoros.LuaMap()
        image.commit()
    for _ in range(8):
        with khoros.open(path, "r+") as image:
            for _ in range(60):
                sizes = [rng.randrange(10), rng.randrange(10), rng.randrange(3000), rng.randrange(5000)]
                image["map"]["k" * rng.choice(sizes) + f"{rng.randrange(10**6)}"] = "v" * rng.choice(sizes)
            image.commit()
        clean(path)
    with khoros.open(path) as image:
        large = [image.store.read(identity).payload for identity, pointer in image.store.ids()
                 if pointer.kind == C.KIND_MAP_NODE and pointer.payload_bytes > C.MAP_NODE_BYTES]
    assert large
    for payload in large:
        value = msgpack.unpackb(payload, strict_map_key=False, ext_hook=lambda code, data: data)
        assert len(value) == 1 if isinstance(value, dict) else len(value) <= 5
