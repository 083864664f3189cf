"""khoros-disk put."""

from __future__ import annotations

import pytest

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


@pytest.mark.parametrize(("words", "value"), [
    ("7", 7), ("1.0", 1.0), ("true", True), ('"7"', "7"), ("Argo", "Argo"), ("two words", "two words"),
    ("[1, 2]", [1, 2]), ('{"a": {"b": 1}}', {"a": {"b": 1}}), ("-3", -3), ("", ""), ("nullable", "nullable"),
])
def test_values(empty, words, value):
    result = good("put", empty, "root.x", "--", words) if words.startswith("-") else good(
        "put", empty, "root.x", words)
    assert result.out == b""
    assert result.err.startswith(b"t1: ")
    with khoros.open(empty) as image:
        assert type(image["x"]) is type(value) or image["x"] == value
        assert image["x"] == value
        assert [t.message for t in image.history()] == ["put root.x"]
        assert image.store.verdict == "clean"


def test_types_can_be_said(empty):
    good("put", empty, "x", "7", "-t", "string")
    assert invoke("put", empty, "y", "word", "-t", "json").code == 9
    with khoros.open(empty) as image:
        assert image["x"] == "7"
        assert "y" not in image


def test_files_and_stdin(empty, tmp_path):
    (tmp_path / "data").write_bytes(b"\xff\x00raw")
    good("put", empty, "x", "-f", tmp_path / "data")
    good("put", empty, "y", "-f", "-", stdin=b"from stdin\n")
    with khoros.open(empty) as image:
        assert image["x"] == b"\xff\x00raw"
        assert image["y"] == "from stdin\n"
    assert invoke("put", empty, "z", "-f", tmp_path / "nowhere").code == 7


def test_nested_paths(ship):
    good("put", ship, "root.ship.crew[3]", "Medea", "-m", "third")
    with khoros.open(ship) as image:
        assert image["crew"] == ["Jason", "Orpheus", "Medea"]
        assert [t.message for t in image.history()][-1] == "third"
    assert invoke("put", ship, "root.fleet.flag", "1").code == 3
    good("put", ship, "root.fleet.flag.name", "Argo", "-p")
    assert good("cat", ship, "fleet.flag.name").text == "Argo\n"
    assert invoke("put", ship, "ship.name.first", "1").code in (2, 3)


def test_the_same_value_is_not_written(ship):
    before = images.digest(ship)
    assert good("put", ship, "ship.fuel", "5").err == b"unchanged\n"
    assert images.digest(ship) == before


@pytest.mark.parametrize("arguments", [["x"], ["x", "1", "-f", "a"], ["root", "1"], ["x", "{bad"]])
def test_wrong_use(ship, arguments):
    before = images.digest(ship)
    assert invoke("put", ship, *arguments).code in (2, 9)
    assert images.digest(ship) == before


def test_many_puts_do_not_fill_the_disk(empty):
    """Each is a mount, a commit, a checkpoint and an unmount; what they leave behind is used again."""
    for number in range(60):
        good("put", empty, "n", number)
    assert good("cat", empty, "n").text == "59\n"
    assert good("check", empty).code == 0
