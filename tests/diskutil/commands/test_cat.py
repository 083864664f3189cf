"""khoros-disk cat."""

from __future__ import annotations

import khoros
from khoros.diskutil.values import LuaTable, Permanent
from tests.diskutil.commandline import good, invoke, spawn


def test_the_json_of_the_docs(ship):
    assert spawn("cat", ship, "root.ship.crew", "--json").out == b'["Jason", "Orpheus"]\n'


def test_strings_as_they_are_and_numbers(ship):
    assert good("cat", ship, "root.ship.name").text == "Argo\n"
    assert good("cat", ship, "root.ship.fuel").text == "5\n"
    assert good("cat", ship, "ship.name", "--raw").out == b"Argo"


def test_tables_in_lua_notation_each_once(ship):
    text = good("cat", ship).text
    assert text == """{
  crew = {
    "Jason",
    "Orpheus",
  },
  ship = {
    crew = <root.crew>,
    fuel = 5,
    me = <root.ship>,
    name = "Argo",
  },
}
"""


def test_depth(ship):
    assert good("cat", ship, "--depth", "1").text == (
        "{\n  crew = <table with 2 keys>,\n  ship = <table with 4 keys>,\n}\n")


def test_json_of_everything(empty):
    with khoros.open(empty, "r+") as image:
        image["bytes"] = b"\xff\x00"
        image["nan"], image["inf"] = float("nan"), float("-inf")
        mixed = LuaTable({1: "one", "k": 2})
        mixed[True] = False
        image["mixed"] = mixed
        image["self"] = image.root
        image["permanent"] = Permanent("string.format")
        image["empty"] = {}
        image.commit()
    assert good("cat", empty, "--json").json == {
        "bytes": {"$base64": "/wA="}, "nan": {"$float": "nan"}, "inf": {"$float": "-inf"},
        "mixed": {"$pairs": [[1, "one"], [True, False], ["k", 2]]}, "self": {"$ref": "root"},
        "permanent": {"$permanent": "string.format"}, "empty": {}}
    text = good("cat", empty).text
    assert 'bytes = "\\xff\\x00"' in text
    assert "nan = 0/0" in text
    assert "self = <root>" in text


def test_integers_and_floats_differ(empty):
    with khoros.open(empty, "r+") as image:
        image["numbers"] = [1, 1.0, -0.0, 1e300, 1 << 62]
        image.commit()
    assert good("cat", empty, "numbers", "--json").text == (
        "[1, 1.0, -0.0, 1e+300, 4611686018427387904]\n")


def test_what_does_not_exist(ship):
    result = invoke("cat", ship, "root.ship.fual")
    assert result.code == 3
    assert "did you mean root.ship.fuel?" in result.complaint
    assert invoke("cat", ship, "a[").code == 2
    assert invoke("cat", ship, "ship", "--raw").code == 2


def test_text_for_terminals_is_escaped_inside_tables(empty):
    with khoros.open(empty, "r+") as image:
        image["t"] = {"evil": "\x1b[31mred", "line": "a\nb"}
        image.commit()
    out = good("cat", empty).out
    assert b"\x1b" not in out
    assert b'"a\\nb"' in out


def test_deep_tables_need_no_recursion(empty):
    with khoros.open(empty, "r+") as image:
        table = image["deep"] = {}
        table = image["deep"]
        for _ in range(3000):
            table["d"] = {}
            table = table["d"]
        image.commit()
    assert good("cat", empty, "--depth", "5000").text.count("{") == 3002
    result = invoke("cat", empty, "--json")
    assert result.code == 1
    assert "too deep for JSON" in result.complaint


def test_as_it_was(ship):
    assert good("cat", ship, "ship.fuel", "--at", "t1").text == "7\n"
    assert good("cat", ship, "ship.fuel", "--at", "t2").text == "5\n"
