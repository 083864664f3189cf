"""Garbage on the host: found, taken away, and never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, garbage, reader
from khoros.diskutil.errors import KhorosError, ObjectError, UsageError
from tests.diskutil import images
from tests.support.store import Disk, Store


def clean(path: Path, unreachable: int = 0) -> None:
    store = reader.mount(path)
    try:
        report = check.check(store)
        assert [f.text for f in report.findings if f.error] == [] and report.unreachable == unreachable
    finally:
        store.close()


def test_a_cycle_that_nothing_refers_to_goes(tmp_path):
    path = images.empty(tmp_path / "a.img")
    with khoros.open(path, "r+") as image:
        image["ring"] = {"me": {}}
        image["ring"]["me"]["back"] = image["ring"]
        image["text"] = "x" * 100_000
        image["kept"] = [{"a": 1}]
        image.commit()
        del image["ring"], image["text"]
        image.commit()
    clean(path, 2 + 1 + 7)
    with khoros.open(path, "r+") as image:
        count, size = image.gc()
        assert count == 10 and size > 100_000
        assert image.gc() == (0, 0)
        assert image.transaction == 2
    clean(path)
    with khoros.open(path) as image:
        assert image["kept"][1]["a"] == 1
        past = image.at(1)
        assert past["ring"]["me"]["back"] is past["ring"] and past["text"] == "x" * 100_000
    assert Store(Disk(bytearray(path.read_bytes()))).info()["objects"] == 3


def test_what_python_holds_is_not_garbage(tmp_path):
    path = images.empty(tmp_path / "a.img")
    with khoros.open(path, "r+") as image:
        held = image["a"] = khoros.LuaTable({"b": {}})
        image.commit()
        del image["a"]
        with pytest.raises(UsageError):
            image.gc()
        image.commit()
        assert image.gc() == (0, 0)
        image["again"] = held
        image.commit()
        assert image["again"]["b"] == {}
    clean(path)


def test_random_graphs_lose_exactly_what_nothing_reaches(tmp_path, rng: random.Random):
    path = images.empty(tmp_path / "a.img", 16 << 20)
    with khoros.open(path, "r+") as image:
        tables = [khoros.LuaTable({"n": n}) for n in range(400)]
        for table in tables:
            for _ in range(2):
                table[rng.randrange(1000) + 10] = rng.choice(tables)
        image["starts"] = [rng.choice(tables) for _ in range(40)]
        image.commit()
    for _ in range(5):
        with khoros.open(path, "r+") as image:
            starts = image["starts"]
            for number in rng.sample(range(1, 41), 6):
                starts[number] = False
            image.commit()
            before = {table["n"] for table in reach(image)}
            image.gc()
        clean(path)
        with khoros.open(path) as image:
            assert {table["n"] for table in reach(image)} == before


def reach(image: khoros.Image) -> list[khoros.LuaTable]:
    found, pending = {}, [v for v in image["starts"].values() if v is not False]
    while pending:
        table = pending.pop()
        if table.id not in found:
            found[table.id] = table
            pending += [value for value in table.values() if isinstance(value, khoros.LuaTable)]
    return list(found.values())


def test_one_unreadable_object_and_nothing_is_deleted(tmp_path):
    path = images.empty(tmp_path / "a.img")
    with khoros.open(path, "r+") as image:
        image["a"] = {"b": {"c": {}}}
        image["gone"] = {}
        image.commit()
        del image["gone"]
        image.commit()
        place = image.store.pointer(image["a"]["b"].id).offset
    data = bytearray(path.read_bytes())
    data[place + 20] ^= 1
    path.write_bytes(data)
    with khoros.open(path, "r+") as image:
        count = image.store.object_count()
        with pytest.raises((ObjectError, KhorosError)):
            image.gc()
        assert image.store.object_count() == count
        with pytest.raises(KhorosError):
            garbage.find(image.store)
