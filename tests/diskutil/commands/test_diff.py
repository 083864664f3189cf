"""khoros-disk diff: two images, two times of one."""

from __future__ import annotations

import random

import pytest

import khoros
from khoros.diskutil import differences, places
from khoros.diskutil.ordered import LuaMap
from khoros.diskutil.values import LuaTable, Permanent
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def changed(path, message="", **changes):
    """One more transaction: top-level names set, or removed by None."""
    with khoros.open(path, "r+") as image:
        for name, value in changes.items():
            if value is None:
                del image[name]
            else:
                image[name] = value
        image.commit(message)
    return path


def test_two_times(ship):
    result = invoke("diff", ship, "--at", "t1", "t2")
    assert (result.code, result.lines) == (1, ["~ root.ship.fuel  7 -> 5"])
    assert invoke("diff", ship, "--at", "t2", "t1").lines == ["~ root.ship.fuel  5 -> 7"]
    assert (invoke("diff", ship, "--at", "1", "t1").code, good("diff", ship, "--at", "2", "2").out) == (0, b"")


def test_from_the_empty_store(ship):
    assert invoke("diff", ship, "--at", "t0", "t1").lines == [
        '+ root.crew  {"Jason", "Orpheus"}',
        '+ root.ship  {crew = {…}, fuel = 7, me = {…}, name = "Argo"}']


def test_added_removed_and_changed_objects(ship):
    with khoros.open(ship, "r+") as image:
        image["ship"]["crew"].array.append("Medea")
        image["ship"]["captain"] = {"name": "Jason"}
        del image["crew"]
        image["ship"]["fuel"] = 5.0
        image["ship"].metatable = Permanent("class.Ship")
        image.commit()
    assert sorted(invoke("diff", ship, "--at", "2", "3").lines) == [
        '+ metatable of root.ship  <class.Ship>',
        '+ root.ship.captain  {name = "Jason"}',
        '+ root.ship.crew[3]  "Medea"',
        '- root.crew  {"Jason", "Orpheus"}',
        '~ root.ship.fuel  5 -> 5.0']


def test_two_images(ship, tmp_path):
    copy = tmp_path / "copy.img"
    copy.write_bytes(ship.read_bytes())
    assert invoke("diff", ship, copy).code == 0
    changed(copy, new={"deep": {"er": 1}}, crew=None)
    result = invoke("diff", ship, copy)
    assert result.code == 1
    assert result.lines == ["+ root.new  {deep = {…}}", '- root.crew  {"Jason", "Orpheus"}']


def test_the_same_values_under_other_ids_are_no_difference(tmp_path, rng):
    state = rng.getstate()
    paths = []
    for name, padding in (("a.img", 0), ("b.img", 7)):
        path = images.empty(tmp_path / name, 16 << 20)
        rng.setstate(state)
        with khoros.open(path, "r+") as image:
            image["x"] = [{} for _ in range(padding)] or 1
            image.commit()
            image["x"] = 1
            image["graph"] = images.random_graph(rng, 200)
            image.commit()
        paths.append(path)
    assert invoke("diff", *paths).lines == []


def test_sharing_is_a_difference(tmp_path):
    one, two = (images.empty(tmp_path / name) for name in ("a.img", "b.img"))
    with khoros.open(one, "r+") as image:
        image["a"] = {"x": 1}
        image["b"] = image["a"]
        image.commit()
    with khoros.open(two, "r+") as image:
        image["a"] = {"x": 1}
        image["b"] = {"x": 1}
        image.commit()
    assert invoke("diff", one, two).lines == ["~ root.b  the one at root.a -> another"]
    assert invoke("diff", two, one).lines == ["~ root.b  another -> the one at root.a"]


def test_large_tables_and_maps_and_long_strings(empty):
    with khoros.open(empty, "r+") as image:
        image["table"] = {f"key {n}": n for n in range(20_000)}
        image["map"] = LuaMap({n: n for n in range(3000)})
        image["text"] = {"s": "x" * 100_000}
        image.commit()
        image["table"]["key 77"] = {"new": True}
        image["map"][1500] = "x"
        del image["map"][3]
        image["text"]["s"] = "y" * 100_000
        image.commit()
    assert sorted(line[:30] for line in invoke("diff", empty, "--at", "1", "2").lines) == [
        "- root.map[3]  3", "~ root.map[1500]  1500 -> \"x\"", '~ root.table["key 77"]  77 -> ',
        '~ root.text.s  "xxxxxxxxxxxxxx']


def scramble(graph: LuaTable, rng: random.Random) -> None:
    tables, pending = {graph.identity: graph}, [graph]
    while pending:
        for value in pending.pop().values():
            if isinstance(value, LuaTable) and value.identity not in tables:
                tables[value.identity] = value
                pending.append(value)
    for table in rng.sample([*tables.values()], min(6, len(tables))):
        key = rng.choice([*table, f"new{rng.randrange(9)}"])
        if rng.random() < 0.3 and key in table:
            del table[key]
        else:
            table[key] = rng.choice([images.random_scalar(rng), {"new": 1}, rng.choice([*tables.values()])])


def test_random_changes_are_found_all_and_nothing_else(tmp_path, rng):
    """Told by id, the members that differ between two times are exactly the differences."""
    path = images.empty(tmp_path / "a.img", 16 << 20)
    with khoros.open(path, "r+") as image:
        image["graph"] = images.random_graph(rng, 150)
        image.commit()
        for _ in range(6):
            scramble(image["graph"], rng)
            if image.commit() is None:
                continue
            now, before = image.transaction, image.transaction - 1
            old, new = by_id(image.at(before).root), by_id(image.at(now).root)
            expected = {place for place in old.keys() | new.keys()
                        if place[0] in old_ids(old) and place[0] in old_ids(new)
                        and old.get(place) != new.get(place)}
            found = list(differences.between_times(image.at(before), image.at(now)))
            assert len(found) == len(expected)


def by_id(root: LuaTable) -> dict[tuple[int, str], str]:
    """(id of a table, member) → what it is."""
    found, pending, seen = {}, [root], {root.identity}
    while pending:
        table = pending.pop()
        found[table.identity, ""] = "table"
        for _, where, value in places.members(table, ""):
            found[table.identity, where] = (
                f"object {value.id}" if isinstance(value, LuaTable) else f"{type(value)} {value!r}")
            if isinstance(value, LuaTable) and value.identity not in seen:
                seen.add(value.identity)
                pending.append(value)
    return found


def old_ids(members: dict[tuple[int, str], str]) -> set[int]:
    return {identity for identity, _ in members}


def test_json(ship):
    changed(ship, ship=None)
    changes = invoke("diff", ship, "--at", "t1", "t3", "--json").json["changes"]
    assert changes == [{"change": "removed", "path": "root.ship",
                        "before": {"$table": {"id": 2, "keys": 4}}}]
    assert good("diff", ship, "--at", "1", "1", "--json").json["changes"] == []


def test_quiet(ship):
    result = invoke("diff", ship, "--at", "t1", "t2", "-q")
    assert (result.code, result.out) == (1, b"")


def test_colours(ship):
    assert b"\x1b[33m" in invoke("diff", ship, "--at", "t1", "t2", "--color", "always").out


@pytest.mark.parametrize("words", [[], ["OTHER", "--at", "1", "2"], ["--at", "1", "9"], ["--at", "x", "2"],
                                   ["nowhere.img"]])
def test_trouble_is_2(ship, tmp_path, words):
    result = invoke("diff", ship, *words)
    assert (result.code, result.out) == (2, b"")
    assert result.complaint
