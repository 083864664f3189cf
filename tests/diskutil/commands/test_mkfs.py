"""khoros-disk mkfs."""

from __future__ import annotations

import json

import msgpack
import pytest

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke, spawn


def test_it_says_what_it_made(tmp_path):
    result = good("mkfs", tmp_path / "a.img", "-s", "64M", "-L", "Iolcos", "--uuid", images.UUID)
    assert images.UUID in result.text
    assert "Iolcos" in result.text
    assert "64M" in result.text
    assert "63 of 1M" in result.text
    with khoros.open(tmp_path / "a.img") as image:
        assert image.label == "Iolcos"


def test_json(tmp_path):
    facts = good("mkfs", tmp_path / "a.img", "-s", "4M", "--json").json
    assert facts["format_version"] == 1
    assert facts["size_bytes"] == 4 << 20
    assert facts["segment_count"] * facts["segment_bytes"] < 4 << 20


def test_identical_bytes(tmp_path):
    for name in ("a", "b"):
        assert spawn("mkfs", tmp_path / name, "-s", "4M", "--uuid", images.UUID,
                     SOURCE_DATE_EPOCH="1700000000").code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sizes_that_cannot_be(tmp_path):
    result = invoke("mkfs", tmp_path / "a.img", "-s", "12")
    assert result.code == 2
    assert result.complaint == "khoros-disk: 12 bytes is too small; did you mean 12M?"
    result = invoke("mkfs", tmp_path / "a.img", "-s", "100K")
    assert result.complaint == "khoros-disk: 100K is too small; did you mean 100M?"
    assert invoke("mkfs", tmp_path / "a.img", "-s", "much").code == 2
    assert invoke("mkfs", tmp_path / "a.img").code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept_without_f(ship):
    before = images.digest(ship)
    result = invoke("mkfs", ship, "-s", "4M")
    assert result.code == 5
    assert "a Khoros store" in result.complaint
    assert "-f" in result.complaint
    assert images.digest(ship) == before
    good("mkfs", ship, "-s", "4M", "-f")
    assert good("ls", ship).out == b""


def test_dry_run_writes_nothing(tmp_path):
    result = good("mkfs", tmp_path / "a.img", "-s", "4M", "-n")
    assert result.text.startswith("would make")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--segment-size", "1000"), ("--uuid", "x"), ("-L", "x" * 65)])
def test_bad_options(tmp_path, option, value):
    assert invoke("mkfs", tmp_path / "a.img", "-s", "4M", option, value).code == 2


def test_geometry_options(tmp_path):
    facts = good("mkfs", tmp_path / "a.img", "-s", "4M", "--segment-size", "256K",
                 "--append-sectors", "1", "--json").json
    assert (facts["segment_bytes"], facts["append_bytes"]) == (256 << 10, 512)


# -- filled with data -------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "sea").mkdir(parents=True)
    (folder / "ship.json").write_text('{"name": "Argo", "crew": ["Jason"]}')
    (folder / "n.json").write_text("7")
    (folder / "sea" / "depth.msgpack").write_bytes(msgpack.packb([1.5, True]))
    (folder / ".hidden").write_text("no data")
    return folder


def test_a_folder_of_files(tmp_path, data):
    result = good("mkfs", tmp_path / "a.img", "-s", "4M", "-d", data)
    assert "3 names" in result.text
    with khoros.open(tmp_path / "a.img") as image:
        assert image.root.to_python() == {
            "ship": {"name": "Argo", "crew": ["Jason"]}, "n": 7, "sea": {"depth": [1.5, True]}}
        assert [t.id for t in image.history()] == ["t1"]
    assert good("check", tmp_path / "a.img").code == 0


def test_one_file(tmp_path, data):
    good("mkfs", tmp_path / "a.img", "-s", "4M", "-d", data / "ship.json")
    assert good("ls", tmp_path / "a.img").lines == ["ship"]


def test_the_same_data_gives_the_same_bytes(tmp_path, data, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a.img", "b.img"):
        good("mkfs", tmp_path / name, "-s", "4M", "-d", data, "--uuid", images.UUID)
    assert images.digest(tmp_path / "a.img") == images.digest(tmp_path / "b.img")


@pytest.mark.parametrize(("name", "text", "code"), [
    ("bad.json", "{", 9), ("notes.txt", "hello", 9), ("ship.msgpack", "\x01", 9), ("null.json", "null", 8)])
def test_bad_data_makes_no_image(tmp_path, data, name, text, code):
    (data / name).write_text(text)
    target = tmp_path / "a.img"
    target.write_bytes(b"")
    result = invoke("mkfs", target, "-s", "4M", "-d", data)
    assert (result.code, name in result.complaint) == (code, True)
    assert target.read_bytes() == b""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.img", "data"]


def test_data_that_does_not_fit(tmp_path, data):
    (data / "large.json").write_text(json.dumps(["x" * 50_000] * 100))
    result = invoke("mkfs", tmp_path / "a.img", "-s", "2M", "-d", data)
    assert result.code == 6
    assert not (tmp_path / "a.img").exists()


def test_data_that_is_not_there(tmp_path):
    assert invoke("mkfs", tmp_path / "a.img", "-s", "4M", "-d", tmp_path / "no").code == 9
    assert not (tmp_path / "a.img").exists()


def test_a_dry_run_reads_the_data_and_makes_nothing(tmp_path, data):
    assert "3 names" in good("mkfs", tmp_path / "a.img", "-s", "4M", "-d", data, "-n").text
    assert not (tmp_path / "a.img").exists()
