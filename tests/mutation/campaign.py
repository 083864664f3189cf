"""Draws mutants, judges them, goes on where it ended, and keeps what came of it.

    build/mutants/clone        the copy that mutants are planted in
    build/mutants/NAME.log     what the tests said of one
    build/mutants.json         verdicts by seed and name; what each test has killed

Drawn by a hash of the seed and the mutant's name, the groups in turn: a change to a file moves no mutant but those of its lines.
Promise: nothing else is written; after Ctrl-C all verdicts so far are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from . import subjects
from .mutant import Mutant
from .subjects import Subject
from .verdict import KILLED, SURVIVED, Jury, Ranks, Verdict

REPOSITORY = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.txt")
COPIED = ("diskutil", "formats", "lua", "python", "tests", "kernel", "docs", "pyproject.toml", "README.md", "khoros")

# Processor time of the tests for one mutant: at first, and for a survivor. A canary's is only to see that the tests start: each test
# that kills and has not passed with any mutant yet is asked about the canary, too.
QUICK_SECONDS, THOROUGH_SECONDS, CANARY_SECONDS = 3.0, 60.0, 0.3


class Drawn(NamedTuple):
    """A mutant and its group."""

    subject: Subject
    mutant: Mutant


def drawn(seed: int, count: int, root: Path = REPOSITORY, of: Iterable[Subject] = subjects.SUBJECTS) -> list[Drawn]:
    """The first `count` mutants of a seed."""
    def order(one: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {one.name}".encode()).digest()

    groups = [[Drawn(subject, one) for one in sorted(subjects.mutants(subject, root), key=order)] for subject in of]
    turns = (one for turn in zip_longest(*groups) for one in turn if one is not None)
    return list(islice((one for one in turns if subjects.compiles(one.mutant, root)), count))


def explained(text: str) -> dict[str, str]:
    """name → reason, of a list like explained.txt. ValueError for an entry without a reason, and for one that is there twice."""
    reasons: dict[str, str] = {}
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        name = lines[0].split()[0]
        reason = " ".join(line.strip() for line in lines[1:] if line[:2] not in ("- ", "+ ") and line not in ("-", "+"))
        if not reason or name in reasons:
            raise ValueError(f"{name}: {'twice' if reason else 'no reason'}")
        reasons[name] = reason
    return reasons


class Canary(Exception):
    """A change that cannot be noticed was: the tests fail by themselves, and their verdicts mean nothing."""


class Campaign:
    """See the module. `folder` is build/mutants, `totals` build/mutants.json."""

    def __init__(self, seed: int, folder: Path, totals: Path, root: Path = REPOSITORY) -> None:
        self.seed, self.folder, self.totals = seed, folder.resolve(), totals
        self.document: dict[str, Any] = {"seeds": {}, "tests": {}}
        if totals.exists():
            self.document = json.loads(totals.read_text(encoding="utf-8"))
        self.verdicts: dict[str, dict[str, Any]] = self.document["seeds"].setdefault(str(seed), {})
        self.ranks = Ranks(self.document["tests"])
        self.clone = self.folder / "clone"
        self.juries: dict[str, Jury] = {}
        self._copy(root)

    def _copy(self, root: Path) -> None:
        """The files of the clone as they are, the compiled ones excepted."""
        shutil.rmtree(self.clone, ignore_errors=True)
        self.clone.mkdir(parents=True)
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, self.clone / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(root / name, self.clone / name)

    def judge(self, one: Drawn, budget: float) -> Verdict:
        """The verdict on one. Canary if its killer also fails without it."""
        found = self._judge(one, budget)
        if found.verdict == KILLED and "::" in found.by and not self.ranks.passed(found.by):
            self.check_canary(one.subject, found.by)
        self.ranks.learn(found)
        self.verdicts[one.mutant.name] = {
            "group": one.subject.name, "verdict": found.verdict, "by": found.by, "seconds": round(sum(found.seconds.values()), 1)}
        self.save()
        return found

    def check_canary(self, subject: Subject, test: str = "") -> None:
        """Canary if the tests, or that one, kill what nothing can kill."""
        canary = Drawn(subject, subjects.canary(subject, self.clone))
        found = self._judge(canary, 0 if test else CANARY_SECONDS, test)
        if found.verdict != SURVIVED:
            raise Canary(f"{subject.name}: {found.by} fails without a mutant; see {self._log(canary.mutant)}")
        self.ranks.learn(found)

    def _log(self, one: Mutant) -> Path:
        return self.folder / f"{one.name}.log"

    def _judge(self, one: Drawn, budget: float, test: str = "") -> Verdict:
        log = self._log(one.mutant)
        jury = self.juries.setdefault(one.subject.name, Jury(self.clone, one.subject.tests))
        found = jury.judge(one.mutant, Ranks({test: [1, 0, 0.0]}) if test else self.ranks, log, budget)
        log.with_suffix(".json").unlink(missing_ok=True)
        return found

    def run(self, every: list[Drawn], seen: Callable[[Drawn, Verdict, int], None], again: bool = False,
            thorough: bool = False) -> None:
        """Judges those that have no verdict yet, by the tests that are worth most; with `thorough` by all tests, with `again` the
        survivors, too. The canary of each group goes first."""
        known = {name for name, row in self.verdicts.items() if not again or row["verdict"] == KILLED}
        waiting = [(number, one) for number, one in enumerate(every, 1) if one.mutant.name not in known]
        try:
            for subject in {one.subject.name: one.subject for _, one in waiting}.values():
                self.check_canary(subject)
            for number, one in waiting:
                seen(one, self.judge(one, THOROUGH_SECONDS if again or thorough else QUICK_SECONDS), number)
        finally:
            self.close()

    def close(self) -> None:
        """Ends the processes that judged."""
        for jury in self.juries.values():
            jury.close()

    def save(self) -> None:
        """Replaces the totals as a whole."""
        self.document["tests"] = self.ranks.rows
        temporary = self.totals.with_suffix(".new")
        temporary.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self.totals)

    def survivors(self, every: list[Drawn]) -> list[Drawn]:
        """Those of `every` that no test killed."""
        return [one for one in every if self.verdicts.get(one.mutant.name, {}).get("verdict") == SURVIVED]

    def output(self, one: Mutant) -> str:
        log = self._log(one)
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def commit_of(root: Path = REPOSITORY) -> str:
    """Which sources were mutated, for the totals that people keep."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"
