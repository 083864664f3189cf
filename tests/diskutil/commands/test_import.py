"""khoros-disk import, and export of what it brought in."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import pytest

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke

ISO = Path("/usr/share/iso-codes/json")


@pytest.mark.parametrize("name", ["iso_3166-1", "iso_3166-2"])
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_real_files_come_out_equal(tmp_path, name, form):
    source = ISO / f"{name}.json"
    if not source.is_file():
        pytest.skip("Debian's iso-codes package is not installed")
    data = json.loads(source.read_text())
    path = images.empty(tmp_path / "iso.img", 16 << 20)
    if form == "msgpack":
        source = tmp_path / f"{name}.msgpack"
        source.write_bytes(msgpack.packb(data))
    result = good("import", path, source, "--as", name)
    assert result.out == b""
    assert result.err.startswith(b"t1: ")
    assert good("export", path, name).json == data
    assert msgpack.unpackb(good("export", path, name, "--format", "msgpack").out) == data
    assert good("check", path).code == 0
    with khoros.open(path) as image:
        assert len(list(image.history())) == 1
        assert len(image[name][name.removeprefix("iso_")]) == len(data[name.removeprefix("iso_")])


def test_names(empty, tmp_path):
    (tmp_path / "fleet.json").write_text('{"a": 1}')
    good("import", empty, tmp_path / "fleet.json")
    good("import", empty, tmp_path / "fleet.json", "--as", "root.fleet.inner", "-m", "again")
    good("import", empty, "-", "--as", "list", stdin=b"[1, 2]")
    good("import", empty, "-", "--as", "packed", stdin=msgpack.packb({"x": b"\xff"}))
    assert invoke("import", empty, "-", stdin=b"[]").code == 2
    with khoros.open(empty) as image:
        assert image["fleet"] == {"a": 1, "inner": {"a": 1}}
        assert image["list"] == [1, 2]
        assert image["packed"]["x"] == b"\xff"
        assert [t.message for t in image.history()][1] == "again"


@pytest.mark.parametrize(("data", "word"), [
    (b"{", "line 1"), (b'{"a": [null]}', "value.a[1]"), (b'{"a": 1, "a": 2}', "twice"), (b"", "ends early"),
    (b"\x81\xc0\x01", "key"), (b"[18446744073709551615]", "64 bits"),
])
def test_bad_files_are_refused_by_path_and_nothing_is_written(ship, tmp_path, data, word):
    (tmp_path / "bad").write_bytes(data)
    before = images.digest(ship)
    result = invoke("import", ship, tmp_path / "bad", "--as", "x")
    assert result.code in (8, 9)
    assert word in result.complaint
    assert "bad" in result.complaint
    assert images.digest(ship) == before


def test_lossy(empty):
    good("import", empty, "-", "--as", "x", "--lossy", stdin=b'{"a": null, "b": 18446744073709551616}')
    assert good("cat", empty, "x", "--json").json == {"b": 2.0**64}


def test_a_missing_file(ship, tmp_path):
    result = invoke("import", ship, tmp_path / "nowhere.json")
    assert result.code == 7
    assert "nowhere.json" in result.complaint


def test_what_does_not_fit_changes_nothing(empty):
    data = json.dumps([{"text": f"{n} " + "x" * 1000} for n in range(5000)]).encode()
    result = invoke("import", empty, "-", "--as", "x", stdin=data)
    assert result.code == 6
    assert "no space" in result.complaint
    with khoros.open(empty) as image:
        assert len(image.root) == 0
    assert good("check", empty).code == 0
