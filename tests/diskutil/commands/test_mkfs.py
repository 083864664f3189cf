"""khoros-disk mkfs."""

from __future__ import annotations

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
