"""khoros-disk fuzz: its streams and exit codes, that it finds a planted difference, and that it stays in its folder."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from khoros.diskutil import codec
from khoros.diskutil.fuzzing import bases, engines, recipes
from khoros.diskutil.fuzzing.recipes import Change
from tests.diskutil.commandline import good, invoke
from tests.support.lua import LUA

RICH = bases.NAMES.index("rich")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def structure(name: str) -> int:
    """The newest one of that name: what is older may be in no use any more."""
    return max(at for at, one in enumerate(bases.base(RICH).structures) if one.name == name)


def snapshot_of_the_future() -> bytes:
    """A snapshot of a transaction that never was: both readers refuse it."""
    return recipes.recipe(RICH, Change(structure("snapshot"), 1, 3, 99))


def test_a_corpus_alone_writes_nothing(here):
    (here / "mine").write_text(f"{snapshot_of_the_future().hex()}\n", encoding="utf-8")
    result = good("fuzz", "--corpus", "mine", "--time", "0")
    assert "1 images, 1 by both readers" in result.text and "0 findings" in result.text
    assert files(here) == {"mine"}


def test_new_recipes_join_the_folder(here):
    document = good("fuzz", "--time", "4", "--engine", "mutation", "--json", "--seed", "3").json
    assert document["findings"] == [] and document["runs"][1]["compared"] > 0
    assert len(files(here)) == document["new"] > 0
    assert {name.rsplit("/", 1)[0] for name in files(here)} == {"khoros-fuzz/corpus"}
    again = good("fuzz", "--time", "0", "--json").json
    assert again["seeds"] == document["new"]


def test_a_store_that_accepts_what_it_must_not_is_found(here):
    sources = here / "lua"
    shutil.copytree(LUA, sources)
    path = sources / "fs" / "snapshots.lua"
    text = path.read_text(encoding="utf-8")
    good_line = "if record.transaction > newest or before and"
    assert text.count(good_line) == 1
    path.write_text(text.replace(good_line, "if before and"), encoding="utf-8")
    case = snapshot_of_the_future().hex()
    result = invoke("fuzz", "--case", case, "--lua", sources, "--json")
    assert result.code == 1
    (finding,) = result.json["findings"]
    assert finding["command"] == f"khoros-disk fuzz --case {case} --lua {sources}"
    assert Path(finding["image"]).read_bytes() == recipes.image(bytes.fromhex(case))
    assert good("fuzz", "--case", case).code == 0


@pytest.mark.parametrize(("error", "kind"), [(RecursionError, "RecursionError"), (IndexError, "IndexError")])
def test_a_python_reader_that_breaks_is_found(here, monkeypatch, error, kind):
    def breaks(payload: bytes) -> None:
        raise error("planted")

    monkeypatch.setattr(codec, "decode_table", breaks)
    result = invoke("fuzz", "--case", "00", "--json", "--python-only")
    assert result.code == 1
    assert result.json["findings"][0]["what"].startswith(f"Python reader: {kind}: planted")


def test_ctrl_c_ends_it_with_what_was_found_and_a_seed_says_what_is_drawn(here, monkeypatch):
    judge, judged = engines.judge, []

    def judge_and_press(data, lua, found):
        judged.append(data)
        if len(judged) % 6 == 0:
            signal.raise_signal(signal.SIGINT)
        return judge(data, lua, found)

    monkeypatch.setattr(engines, "judge", judge_and_press)
    monkeypatch.setattr(codec, "decode_table", lambda payload: (_ for _ in ()).throw(IndexError("planted")))
    words = ["fuzz", "--engine", "mutation", "--python-only", "--time", "600", "--seed", "9", "--json", "--folder"]
    first = invoke(*words, "one")
    assert first.code == 130 and first.json["stopped"] is True
    assert first.json["runs"][1]["images"] == 6
    assert [finding["what"].split(":")[1] for finding in first.json["findings"]] == [" IndexError"]
    again = invoke(*words, "two")
    assert again.code == 130 and judged[:6] == judged[6:]
    assert {name.partition("/")[0] for name in files(here)} == {"one", "two"}
    assert {name.partition("/")[2] for name in files(here) if name.startswith("one")} == {
        name.partition("/")[2] for name in files(here) if name.startswith("two")}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["--case", "xyz"], "no recipe"), (["--corpus", "nowhere"], "there is no corpus"), (["--lua", "nowhere"], "no Lua sources")],
)
def test_wrong_use(here, words, complaint):
    result = invoke("fuzz", *words)
    assert result.code == 2 and complaint in result.complaint
    assert files(here) == set()
