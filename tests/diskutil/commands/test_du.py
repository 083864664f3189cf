"""khoros-disk du."""

from __future__ import annotations

import khoros
from khoros.diskutil import entries
from khoros.diskutil.space import stored_bytes
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def sized(path):
    """root.small, root.large with a child, root.again shared with it."""
    with khoros.open(path, "r+") as image:
        image["large"] = {"text": "x" * 1000, "child": {"text": "y" * 500}}
        image["small"] = {"n": 1}
        image["again"] = image["large"]["child"]
        image["n"] = 7
        image.commit()
    return path


def test_what_each_thing_takes(empty):
    rows = good("du", sized(empty), "--json", "-d", "2").json["places"]
    assert [(row["path"], row["depth"], row["objects"]) for row in rows] == [
        ("root", 0, 4), ("root.large", 1, 1), ("root.again", 1, 1), ("root.small", 1, 1)]
    sizes = {row["path"]: row["bytes"] for row in rows}
    with khoros.open(empty) as image:
        own = {name: entries.size(len(image.store.read(image[name].id).payload))
               for name in ("large", "again", "small")}
        assert {name: sizes[f"root.{name}"] for name in own} == own
        assert sizes["root"] == stored_bytes(image.store)


def test_text(empty):
    lines = good("du", sized(empty)).lines
    assert [line.split()[1:] for line in lines] == [
        ["4", "root"], ["1", "root.large"], ["1", "root.again"], ["1", "root.small"]]
    assert lines[0].split()[0] == "1.6K"
    assert good("du", empty, "-b").lines[0].split()[0].isdigit()
    assert len(good("du", empty, "-s").lines) == 1


def test_a_path(ship):
    assert [line.split()[2] for line in good("du", ship, "root.ship.crew").lines] == ["root.ship.crew"]
    assert [line.split()[2] for line in good("du", ship, "ship").lines] == ["root.ship", "root.ship.crew"]
    assert good("du", ship, "ship.fuel").lines == []
    assert invoke("du", ship, "nowhere").code == 3


def test_what_nothing_leads_to(empty):
    with khoros.open(sized(empty), "r+") as image:
        del image["large"]
        image.commit()
    facts = good("du", empty, "--json").json
    assert facts["unreachable_bytes"] > 1000
    assert "nothing leads to" in good("du", empty).lines[-1]
    assert good("du", empty, "--at", "t1", "--json").json["unreachable_bytes"] == 0


def test_the_largest_objects(empty):
    lines = good("du", sized(empty), "-o", "2", "-b").lines
    assert [line.split()[-1] for line in lines] == ["root.large", "root.again"]
    with khoros.open(empty, "r+") as image:
        image["text"] = "z" * 100_000
        image.commit()
    rows = good("du", empty, "-o", "3", "--json").json["objects"]
    assert [(row["kind"], row["path"]) for row in rows] == [("tree node", "root")] * 3


def test_a_bad_object_is_counted_and_told(ship):
    images.flip(ship, ship.read_bytes().rindex(b"\xa4name\xa4Argo"))
    result = invoke("du", ship, "--json")
    assert "object 2 cannot be read" in result.complaint
    rows = {row["path"]: row for row in result.json["places"]}
    assert rows["root.ship"]["bytes"] > 40
    assert result.code == 1
    assert result.json["unreachable_bytes"] == 0


def test_an_empty_store(empty):
    assert good("du", empty).lines == ["        0        0  root"]
