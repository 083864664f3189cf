"""khoros-disk torture: that it holds for the store as it is, finds what is broken on purpose, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diskutil.commandline import PROGRAM, good, invoke
from tests.support.lua import LUA

FLUSH = "local done <const>, problem = self.log:flush()"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def broken(tmp_path) -> Path:
    """Sources of a store that acknowledges before it flushes."""
    sources = tmp_path / "lua"
    shutil.copytree(LUA, sources)
    log = sources / "fs" / "log.lua"
    text = log.read_text(encoding="utf-8")
    assert text.count(FLUSH) == 1
    log.write_text(text.replace(FLUSH, "local done <const>, problem = true, nil"), encoding="utf-8")
    return sources


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_store_as_it_is_holds_and_nothing_is_written(here):
    result = good("torture", "--rows", "3", "--states", "30", "--seed", "7")
    assert "no failures, every goal reached" in result.text
    assert "short sequences of operations" in result.text
    assert files(here) == set()


def test_json(here):
    document = good("torture", "--rows", "3", "--states", "1", "--json").json
    assert document["complete"] is True and document["failures"] == []
    (row,) = document["rows"]
    assert row["reached"] == row["goal"] == 1 and row["states"] > 50


def test_a_missing_flush_is_found_made_short_saved_and_found_again(here, broken):
    folder = here / "found"
    result = invoke("torture", "--rows", "2", "--states", "300", "--lua", broken, "--folder", folder, "--json", "--time", "60")
    assert result.code == 1
    failure = result.json["failures"][0]
    assert len(failure["steps"]) < 6 and "case" in failure
    image = Path(failure["image"])
    assert image.parent == folder / "failures" and image.stat().st_size > 1 << 20
    assert failure["what"] in image.with_suffix(".txt").read_text(encoding="utf-8")
    words = failure["command"].split()
    assert words[:2] == ["khoros-disk", "torture"]
    again = invoke(*words[1:], "--json")
    assert again.code == 1
    assert again.json["failures"][0]["what"] == failure["what"]
    # The same workload holds where nothing is broken.
    assert "every promise held" in good("torture", "--case", failure["case"].split(":")[0]).text
    assert {path.split("/")[0] for path in files(here)} == {"found", "lua"}


def test_the_full_campaign_goes_on_where_it_ended(here):
    first = good("torture", "--full", "--rows", "3", "--time", "15", "--json").json
    totals = json.loads((here / "khoros-torture" / "totals.json").read_text(encoding="utf-8"))
    assert totals["seeds"]["1"]["3"]["units"] == first["rows"][0]["reached"] > 0
    second = good("torture", "--full", "--rows", "3", "--time", "15", "--json").json
    assert second["rows"][0]["reached"] > first["rows"][0]["reached"]
    assert files(here) == {"khoros-torture/totals.json"}


def test_a_file_that_holds_no_totals_is_left_alone(here):
    path = here / "khoros-torture" / "totals.json"
    path.parent.mkdir()
    path.write_text("mine", encoding="utf-8")
    result = invoke("torture", "--full", "--time", "1")
    assert result.code == 2 and "does not hold totals" in result.complaint
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--case", "nonsense"], "no case"),
        (["--case", "99-1"], "no row 99"),
        (["--case", "1-1-400"], "no step 400"),
        (["--case", "1-1:no.such.state"], "no state"),
        (["--rows", "1,x"], "no list of rows"),
        (["--rows", "7"], "no row 7"),
        (["--rows", "1", "--lua", "nowhere"], "no Lua sources"),
    ],
)
def test_wrong_use(here, words, complaint):
    result = invoke("torture", *words)
    assert result.code == 2 and complaint in result.complaint
    assert files(here) == set()


def test_ctrl_c_ends_it_with_what_was_found(here):
    program = subprocess.Popen([*PROGRAM, "torture", "--full", "--rows", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=here, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    # The totals appear when the first workload is done and saved; a state of the next one is interrupted.
    while not (here / "khoros-torture" / "totals.json").exists():
        assert program.poll() is None, program.communicate()
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(0.05)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130, err
    assert "the same command goes on" in out and "Traceback" not in err
    totals = json.loads((here / "khoros-torture" / "totals.json").read_text(encoding="utf-8"))
    assert totals["seeds"]["1"]["1"]["states"] > 0
