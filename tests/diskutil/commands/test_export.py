"""khoros-disk export."""

from __future__ import annotations

import msgpack
import pytest

import khoros
from tests.diskutil.commandline import good, invoke


def test_stdout_and_files(ship, tmp_path):
    assert good("export", ship, "ship.crew", "--compact").out == b'["Jason", "Orpheus"]\n'
    good("export", ship, "ship.crew", "-o", tmp_path / "crew.msgpack")
    assert msgpack.unpackb((tmp_path / "crew.msgpack").read_bytes()) == ["Jason", "Orpheus"]
    good("export", ship, "ship.crew", "-o", tmp_path / "crew.json")
    assert (tmp_path / "crew.json").read_text() == '[\n  "Jason",\n  "Orpheus"\n]\n'


def test_cycles_are_refused_by_path_and_leave_no_file(ship, tmp_path):
    for form in ("json", "msgpack"):
        result = invoke("export", ship, "ship", "--format", form, "-o", tmp_path / "out")
        assert result.code == 8
        assert "ship.me: a cycle" in result.complaint
        assert result.out == b""
    assert [p.name for p in tmp_path.iterdir()] == ["ship.img"]


@pytest.mark.parametrize(("value", "form", "word"), [
    ({1: 1, "a": 2}, "json", "neither a list"), (b"\xff", "json", "not UTF-8"),
    (float("inf"), "json", "no inf"),
])
def test_what_json_cannot_hold(empty, value, form, word):
    with khoros.open(empty, "r+") as image:
        image["x"] = {"y": value}
        image.commit()
    result = invoke("export", empty, "x")
    assert result.code == 8
    assert "x.y" in result.complaint
    assert word in result.complaint
    good("export", empty, "x", "--format", "msgpack")


def test_the_whole_root(empty):
    with khoros.open(empty, "r+") as image:
        image["a"], image["b"] = [1, 2.5], {"c": "é"}
        image.commit()
    assert good("export", empty).json == {"a": [1, 2.5], "b": {"c": "é"}}


def test_shared_tables_are_written_out(ship):
    good("rm", ship, "ship.me")
    assert good("export", ship).json == {
        "crew": ["Jason", "Orpheus"],
        "ship": {"name": "Argo", "fuel": 5, "crew": ["Jason", "Orpheus"]}}


def test_a_target_that_cannot_be_written(ship, tmp_path):
    result = invoke("export", ship, "ship.crew", "-o", tmp_path / "no" / "file.json")
    assert result.code == 7
    assert len(result.err.splitlines()) == 1


def test_as_it_was(ship):
    assert good("export", ship, "ship.fuel", "--at", "t1").text == "7\n"
