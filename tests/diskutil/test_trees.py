"""Large tables and long strings on the host: they come back, little is rewritten, hostile ones are refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, kinds, reader
from khoros.diskutil.errors import ObjectError
from khoros.diskutil.kinds import EMPTY_PART, Part, StringTree, TableTree
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


def kind_of(path: Path, name: str) -> int:
    with khoros.open(path) as image:
        pointer = image.store.pointer(image[name].id)
        assert pointer is not None
        return pointer.kind


def test_a_long_string_comes_back(path):
    text, data = "é" * 40_000, bytes(range(256)) * 1000
    with khoros.open(path, "r+") as image:
        image["text"], image["list"] = text, [data, text]
        image.commit()
    with khoros.open(path) as image:
        assert image["text"] == text and image["list"][1] == data and image["list"][2] == text
    clean(path)


def test_a_long_string_that_is_not_touched_is_not_written_again(path):
    with khoros.open(path, "r+") as image:
        image["text"] = "a" * 200_000
        image.commit()
        image["other"] = 1
        assert image.commit().objects == 1
    clean(path)


def test_a_large_table_comes_back_and_shrinks_again(path):
    values = {f"key {n}": n for n in range(20_000)}
    with khoros.open(path, "r+") as image:
        image["large"] = values
        image["array"] = [n * 0.5 for n in range(50_000)]
        image["mixed"] = {**dict.fromkeys(range(1, 3000), "x" * 50), "a": "b" * 1000, 1.5: 2}
        # In a dict literal, True would be the key 1.
        image["mixed"][True] = 3
        image.commit()
    assert kind_of(path, "large") == kind_of(path, "array") == kind_of(path, "mixed") == C.KIND_TREE
    clean(path)
    with khoros.open(path, "r+") as image:
        assert image["large"] == values and list(image["array"].array) == [n * 0.5 for n in range(50_000)]
        assert image["mixed"][True] == 3 and image["mixed"][2999] == "x" * 50
        for key in list(image["large"])[100:]:
            del image["large"][key]
        image.commit()
    assert kind_of(path, "large") == C.KIND_TABLE
    clean(path)
    with khoros.open(path) as image:
        assert len(image["large"]) == 100
        assert image.store.object_count() < 100


def test_a_change_rewrites_few_pieces(path, rng: random.Random):
    model = {f"key {n}": "value" * rng.randrange(8) for n in range(30_000)}
    with khoros.open(path, "r+") as image:
        image["large"] = model
        image.commit()
        for turn in range(30):
            key = rng.choice(list(model))
            if turn % 3 == 0:
                del image["large"][key], model[key]
            elif turn % 3 == 1:
                image["large"][key] = model[key] = "longer" * 20
            else:
                image["large"][f"new {turn}"] = model[f"new {turn}"] = turn
            # A piece, one that it is split into or joined with, their nodes, the root.
            assert image.commit().objects <= 8
    clean(path)
    with khoros.open(path) as image:
        assert image["large"] == model


def node(identity: int, payload: bytes) -> Item:
    return Item(identity, C.KIND_TREE_NODE, payload)


def tree(array: Part = EMPTY_PART, pairs: Part = EMPTY_PART) -> Item:
    return Item(2, C.KIND_TREE, kinds.encode_tree(TableTree(None, array, pairs)))


HOSTILE = {
    "a node that is its own child": [tree(Part(2, [3])), node(3, kinds.encode_children([3]))],
    "a node that is two children": [tree(Part(1, [3, 3])), node(3, b"\x91\x01")],
    "a node that does not exist": [tree(Part(1, [9]))],
    "a child that is a table": [tree(Part(1, [3])), Item(3, C.KIND_TABLE, b"\x91\x01\x80")],
    "levels that are too many": [tree(Part(1 << 60, [3])), node(3, b"\x91\xa1a")],
    "levels that are too few": [tree(Part(1, [3])), node(3, b"\x81\xa1a\x01")],
    "an empty piece": [tree(Part(1, [3])), node(3, b"\x90")],
    "keys that descend over pieces": [tree(pairs=Part(1, [3, 4])), node(3, b"\x81\xa1b\x01"),
                                      node(4, b"\x81\xa1a\x01")],
    "a key twice": [tree(pairs=Part(1, [3, 4])), node(3, b"\x81\xa1b\x01"), node(4, b"\x81\xa1b\x01")],
    "a key of the array part": [tree(Part(1, [3]), Part(1, [4])), node(3, b"\x91\x01"),
                                node(4, b"\x81\x02\x01")],
    "a string that is a table": [Item(2, C.KIND_TREE, kinds.encode_tree(
        StringTree(5, Part(1, [3])))), node(3, b"\xc4\x05hello")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tree_is_an_error_of_one_object(path, name):
    images.forged(path, *HOSTILE[name])
    with khoros.open(path) as image, pytest.raises(ObjectError):
        len(image["x"])
    if name != "a string that is a table":
        store = reader.mount(path)
        assert check.check(store).errors
        store.close()


@pytest.mark.parametrize("stated", [4, 6, 1 << 62])
def test_a_string_of_another_length_than_stated(path, stated):
    images.forged(path, Item(2, C.KIND_TREE, kinds.encode_tree(StringTree(stated, Part(1, [3])))),
                  node(3, b"\xc4\x05hello"), extension=C.EXT_STRING)
    with khoros.open(path) as image, pytest.raises(ObjectError, match="bytes of a string"):
        image["x"]


def string(identity: int, stated: int, *children: int, levels: int = 1) -> Item:
    return Item(identity, C.KIND_TREE, kinds.encode_tree(StringTree(stated, Part(levels, list(children)))))


def errors_of(path: Path, *items: Item) -> list[str]:
    images.forged(path, *items, extension=C.EXT_STRING)
    store = reader.mount(path)
    try:
        return [finding.text for finding in check.check(store).findings if finding.error]
    finally:
        store.close()


HELLO, THERE = node(6, b"\xc4\x05hello"), node(7, b"\xc4\x05there")


def test_strings_may_share_pieces_but_not_the_nodes_above(path):
    """A string that took another's place shares what it can; each piece is looked at once."""
    assert errors_of(path, string(2, 10, 6, 7), string(3, 5, 6), HELLO, THERE) == []
    above = node(8, kinds.encode_children([6]))
    assert errors_of(images.empty(path.with_name("b.img")), string(2, 5, 8, levels=2), string(3, 5, 8, levels=2),
                     above, HELLO) == ["object 8 is a part of object 2 and of object 3"]


def test_a_shared_piece_does_not_hide_a_wrong_length(path):
    [text] = errors_of(path, string(2, 10, 6, 7), string(3, 6, 6), HELLO, THERE)
    assert "bytes of a string" in text
