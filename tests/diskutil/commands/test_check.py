"""khoros-disk check: fsck's exit codes, streams, and that it never writes."""

from __future__ import annotations

import os

from tests.diskutil import images
from tests.diskutil.commandline import good, invoke, spawn


def damage(path):
    images.flip(path, path.read_bytes().rindex(b"\xa4name\xa4Argo"))


def test_clean_is_0(ship):
    before = images.digest(ship)
    result = good("check", ship)
    assert "clean" in result.text
    assert result.err == b""
    assert images.digest(ship) == before
    assert good("check", ship, "-q").out == b""


def test_errors_are_4(ship):
    damage(ship)
    before = images.digest(ship)
    result = spawn("check", ship)
    assert result.code == 4
    assert "object 2 cannot be read" in result.text
    assert "errors" in result.text
    assert images.digest(ship) == before
    assert invoke("check", ship, "-q").out != b""


def test_operational_errors_are_8_and_wrong_use_is_16(tmp_path):
    assert spawn("check", tmp_path / "nowhere").code == 8
    assert spawn("check").code == 16
    assert spawn("check", "--nonsense", "x").code == 16
    assert spawn("--debug", "check", tmp_path / "nowhere").code == 8


def test_json(ship):
    report = good("check", ship, "--json").json
    assert report["clean"] is True
    assert report["objects"] == 3
    damage(ship)
    result = invoke("check", ship, "--json")
    assert result.code == 4
    assert result.json["errors"] > 0
    assert any(finding["offset"] for finding in result.json["findings"])


def test_a_read_only_file(ship):
    ship.chmod(0o400)
    assert good("check", ship).code == 0
    os.chmod(ship, 0o600)
