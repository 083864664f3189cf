"""The mutants' own tests: operators, names, verdicts, totals, the canary; and some of the drawn mutants in turn, in every run."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.mutation import __main__ as program
from tests.mutation import campaign, lua_operators, python_operators, subjects
from tests.mutation.campaign import Campaign, Canary, Drawn
from tests.mutation.mutant import Mutant, mutant, planted
from tests.mutation.subjects import Subject

LUA = """local x <const> = 1
local function f(a, b)
  -- a comment with 1 < 2 and more
  if a < b and b ~= "1 < 2" then return nil end
  a = a + 1
  b = flush(a)
  local done <const>, err = flush(b)
  if not done then return nil, err end
  return true
end
"""
PYTHON = '''def f(a: int, b: int) -> int:
    """A docstring with 1 < 2."""
    if a < b and not b:
        raise ValueError(f"{a + 1}")
    a = a + 1
    b -= 1
    return a
'''


def changes(found: list[Mutant]) -> set[tuple[str, str, str]]:
    return {(one.operator, one.before, one.after) for one in found}


def test_lua_operators():
    found = changes(lua_operators.mutants("lua/x.lua", LUA))
    line = 'if a < b and b ~= "1 < 2" then return nil end'
    assert found >= {
        ("swap a comparison", line, line.replace("a < b", "a <= b")),
        ("swap a comparison", line, line.replace("~=", "==")),
        ("swap and, or", line, line.replace("and", "or")),
        ("negate a condition", line, line.replace('a < b and b ~= "1 < 2"', 'not (a < b and b ~= "1 < 2")')),
        ("drop a check", line, ""),
        ("plus for minus", "a = a + 1", "a = a - 1"),
        ("off by one", "a = a + 1", "a = a + 2"),
        ("drop a statement", "a = a + 1", ""),
        ("swap two statements", "a = a + 1\nb = flush(a)", "b = flush(a)\na = a + 1"),
        ("drop a call", "local done <const>, err = flush(b)", "local done <const>, err = true"),
        ("other truth", "return true", "return false"),
    }
    assert not any("comment" in before for _, before, _ in found)
    assert not any("const>" in after and operator == "swap a comparison" for operator, _, after in found)


def test_python_operators():
    found = changes(python_operators.mutants("x.py", PYTHON))
    assert found >= {
        ("swap a comparison", "if a < b and not b:", "if a <= b and not b:"),
        ("swap and, or", "if a < b and not b:", "if a < b or not b:"),
        ("negate a condition", "if a < b and not b:", "if not (a < b and not b):"),
        ("drop a statement", "a = a + 1", "pass"),
        ("swap two statements", "a = a + 1\nb -= 1", "b -= 1\na = a + 1"),
        ("off by one", "b -= 1", "b -= 2"),
    }
    assert not any("docstring" in before for _, before, _ in found)


@pytest.mark.parametrize("subject", subjects.SUBJECTS, ids=lambda subject: subject.name)
def test_every_part_has_many(subject: Subject):
    found = subjects.mutants(subject, campaign.REPOSITORY)
    assert len({one.operator for one in found}) >= 8
    some = random.Random(1).sample(found, 40)
    assert sum(subjects.compiles(one, campaign.REPOSITORY) for one in some) >= 25


def test_a_name_stays_when_the_file_changes_elsewhere():
    before = lua_operators.mutants("lua/x.lua", LUA)
    after = lua_operators.mutants("lua/x.lua", "-- one more line\n" + LUA)
    assert [one.name for one in before] == [one.name for one in after]
    assert len({one.name for one in before}) == len(before)


def test_a_file_is_as_it_was_after_its_mutant(tmp_path):
    path = tmp_path / "x.lua"
    path.write_text(LUA, encoding="utf-8")
    times = path.stat().st_mtime_ns
    one = mutant("x.lua", LUA, "canary", 0, 5, "LOCAL")
    with pytest.raises(ZeroDivisionError), planted(tmp_path, one):
        assert path.read_text(encoding="utf-8").startswith("LOCAL x")
        raise ZeroDivisionError
    assert path.read_text(encoding="utf-8") == LUA and path.stat().st_mtime_ns == times


def test_the_first_ones_stay_the_first():
    few, more = campaign.drawn(1, 10), campaign.drawn(1, 25)
    assert more[:10] == few
    assert {one.subject.name for one in few} == {subject.name for subject in subjects.SUBJECTS}
    assert campaign.drawn(2, 10) != few


def test_the_list_of_the_explained():
    assert campaign.explained("# words\n\nname-1 path:3\n- a\n+ b\nthe same\nin the end\n") == {"name-1": "the same in the end"}
    for text in ("name-1 x\n- a\n+ b\n", "a\nwhy\n\na\nwhy\n"):
        with pytest.raises(ValueError):
            campaign.explained(text)
    assert all(campaign.explained(campaign.EXPLAINED.read_text(encoding="utf-8")).values())


# --- Verdicts, on a small project of its own --------------------------------------------------------------------------

PROJECT = {
    "lua/x.lua": "-- A file.\nreturn 1\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib', '-p', 'no:xdist', '-p', 'no:timeout']\n",
    "tests/test_x.py": """
from pathlib import Path
def test_it():
    text = (Path(__file__).parents[1] / "lua/x.lua").read_text()
    while "3" in text: pass
    assert "return 2" not in text and "return 0" not in text
""",
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A clone of two files, whose test kills `return 2` and `return 0`, does not notice others, and never ends on 3."""
    root = tmp_path / "project"
    for name, text in PROJECT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(campaign, "COPIED", ("lua", "tests", "pyproject.toml"))
    monkeypatch.setattr("tests.mutation.verdict.SECONDS_MOST", 2)
    monkeypatch.setattr("tests.mutation.verdict.OPTIONS", ())
    return root


SUBJECT = Subject("small", ("lua/x.lua",), ("tests/test_x.py",))


def change(text: str) -> Drawn:
    whole = PROJECT["lua/x.lua"]
    at = whole.index("1")
    return Drawn(SUBJECT, mutant("lua/x.lua", whole, "other", at, at + 1, text))


def work_in(root: Path) -> Campaign:
    return Campaign(1, root.parent / "mutants", root.parent / "mutants.json", root)


def test_killed_survived_and_endless(project):
    work = work_in(project)
    told = []
    work.run([change("2"), change("7"), change("3")], lambda one, found, number: told.append((found.verdict, found.by)))
    assert told == [("killed", "tests/test_x.py::test_it"), ("survived", ""), ("killed", "time")]
    assert (project / "lua/x.lua").read_text(encoding="utf-8") == PROJECT["lua/x.lua"]
    # Another run goes on: nothing is judged twice, and a survivor only when that is asked for.
    again = work_in(project)
    again.run([change("2"), change("7"), change("0")], lambda one, found, number: told.append((found.verdict, number)))
    assert told[3:] == [("killed", 3)]
    again.run([change("2"), change("7")], lambda one, found, number: told.append((found.verdict, number)), again=True)
    assert told[4:] == [("survived", 2)]
    assert [one.mutant.after for one in again.survivors([change("2"), change("7")])] == ["return 7"]


def test_the_canary_stops_it_all(project):
    (project / "tests/test_x.py").write_text(PROJECT["tests/test_x.py"] + "    assert 'canary' not in text.lower()\n", encoding="utf-8")
    work = work_in(project)
    with pytest.raises(Canary, match=r"test_it fails without a mutant"):
        work.run([change("7")], lambda one, found, number: None)
    assert work.verdicts == {}


@pytest.mark.parametrize(("reason", "code"), [("", 1), ("nobody looks", 0)])
def test_a_survivor_makes_it_fail_unless_it_is_explained(project, monkeypatch, capsys, reason, code):
    one = change("7")
    (project / "explained.txt").write_text(f"{one.mutant.name} x\n- return 1\n+ return 7\n{reason}\n" if reason else "", encoding="utf-8")
    monkeypatch.setattr(program, "EXPLAINED", project / "explained.txt")
    monkeypatch.setattr(program, "REPOSITORY", project)
    monkeypatch.setattr(program, "drawn", lambda seed, count, of: [one])
    monkeypatch.setattr(program, "Campaign", lambda seed, folder, totals: Campaign(seed, folder, totals, project))
    (project / "build").mkdir()
    assert program.main(["--count", "1"]) == code
    text = capsys.readouterr().out
    assert ("- return 1\n+ return 7" in text) is (code == 1)
    assert "1 of 1 judged" in text


ROTATING, OF = 4, 300


@pytest.mark.timeout(0)
def test_some_mutants_in_turn(tmp_path, request: pytest.FixtureRequest):
    """Row 13 of every run: a few of the drawn mutants, by the run's seed; each is killed, or explained."""
    every = campaign.drawn(1, OF)
    count = len(every) if request.config.getoption("--full") else ROTATING
    first = int(os.environ["KHOROS_SEED"]) % len(every)
    chosen = (every + every)[first:first + count]
    reasons = campaign.explained(campaign.EXPLAINED.read_text(encoding="utf-8"))
    work = Campaign(1, tmp_path / "mutants", tmp_path / "mutants.json")
    work.run([one for one in chosen if one.mutant.name not in reasons], lambda one, found, number: None, thorough=True)
    assert [one.mutant.story for one in work.survivors(chosen)] == [], "kill it by a test, or say why nothing can"
    assert len(chosen) == count
