"""Undo on the host: places come back one by one, conflicts by path, and nothing else changes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import khoros
from khoros.diskutil.errors import CannotUndo, NoSuchTransaction, UsageError
from tests.diskutil import images


@pytest.fixture
def path(tmp_path) -> Path:
    return images.empty(tmp_path / "a.img")


def commits(path: Path, *steps) -> None:
    with khoros.open(path, "r+") as image:
        for step in steps:
            step(image.root)
            image.commit()


def test_the_last_transaction(path):
    commits(path, lambda r: r.__setitem__("ship", {"fuel": 7, "crew": ["Jason"]}),
            lambda r: (r["ship"].__setitem__("fuel", 5), r["ship"].__setitem__("name", "Argo"),
                       r["ship"]["crew"].array.append("Medea")))
    with khoros.open(path, "r+") as image:
        done = image.undo("t2")
        assert done.transaction == 3
        assert image["ship"] == {"fuel": 7, "crew": ["Jason"]}
        assert list(image.history())[-1].message == "undo t2"
        image.undo(3)
        assert image["ship"] == {"fuel": 5, "crew": ["Jason", "Medea"], "name": "Argo"}


def test_one_in_the_middle_leaves_the_others(path):
    commits(path, lambda r: r.update(a=1, b=1), lambda r: r.update(a=2), lambda r: r.update(b=3, c={}))
    with khoros.open(path, "r+") as image:
        image.undo(2)
        assert image.root == {"a": 1, "b": 3, "c": {}}


def test_what_was_changed_again_is_a_conflict_by_path(path):
    commits(path, lambda r: r.update(s={"a": 1, "l": [1]}), lambda r: r["s"].update(a=2, x=1),
            lambda r: r["s"].update(a=3), lambda r: r["s"]["l"].array.append(2),
            lambda r: r["s"]["l"].array.append(3))
    before = images.digest(path)
    with khoros.open(path, "r+") as image:
        with pytest.raises(CannotUndo, match=r"cannot undo root\.s\.a: it was changed again"):
            image.undo(2)
        with pytest.raises(CannotUndo, match=r"array part of root\.s\.l"):
            image.undo(4)
        assert not image.changed
    assert images.digest(path) == before


def test_removed_objects_come_back_the_same_or_as_copies(path):
    commits(path, lambda r: r.update(a={"b": {"deep": [1, 2]}}, b=khoros.LuaTable()),
            lambda r: r.update(shared=r["a"]["b"]), lambda r: r.__delitem__("a"))
    with khoros.open(path, "r+") as image:
        image.gc()
        image.undo(3)
        assert image["a"]["b"] is image["shared"] and image["shared"]["deep"] == [1, 2]


def test_metatables_maps_and_the_first_transaction(path):
    commits(path, lambda r: r.update(t=khoros.LuaTable(), m=khoros.LuaMap({"a": 1})),
            lambda r: (setattr(r["t"], "metatable", khoros.LuaTable({"x": 1})), r["m"].update(a=2, b=3)))
    with khoros.open(path, "r+") as image:
        image.undo(2)
        assert image["t"].metatable is None and dict(image["m"]) == {"a": 1}
        assert image.undo(2) is None
        image.undo(3)
        assert image["t"].metatable["x"] == 1 and dict(image["m"]) == {"a": 2, "b": 3}
    with khoros.open(path, "r+") as image:
        with pytest.raises(CannotUndo):
            image["m2"] = 1
            image.commit()
            image["m2"] = 2
            image.commit()
            image.undo(5)


def test_random_edits_undone_backwards_lead_back(path, rng: random.Random):
    states = []
    with khoros.open(path, "r+") as image:
        for _ in range(25):
            states.append(image.root.to_python())
            for _ in range(rng.randrange(1, 5)):
                name = f"k{rng.randrange(6)}"
                step = rng.randrange(4)
                if step == 0 and name in image:
                    del image[name]
                elif step == 1:
                    image[name] = {"v": rng.randrange(9)}
                elif step == 2 and name in image and isinstance(image[name], khoros.LuaTable):
                    image[name]["v"] = rng.randrange(99)
                else:
                    image[name] = rng.randrange(9)
            if image.commit() is None:
                states.pop()
        for number in range(len(states), 0, -1):
            image.undo(number)
            assert image.root == states[number - 1]


def test_wrong_use(path):
    commits(path, lambda r: r.update(a=1))
    with khoros.open(path, "r+") as image:
        for number in ("t9", 0):
            with pytest.raises(NoSuchTransaction):
                image.undo(number)
        with pytest.raises(UsageError):
            image.undo("first")
        image["a"] = 2
        with pytest.raises(UsageError):
            image.undo(1)
