"""One mutant: a forked child runs the tests of its group in a copy of the clone, the quickest killers first, until one fails.

    judge(root, one, tests, ranks, log, budget) → Verdict

What is slow to load is loaded once, here, before any fork; the clone's own modules are loaded by each child, from the copy. Time is that
of the processor: a mutant that never ends is killed by the limit, on a busy machine as on an idle one. `log` gets what the tests said.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import _pytest.assertion.rewrite  # noqa: F401
import click  # noqa: F401
import construct  # noqa: F401
import google_crc32c  # noqa: F401
import hypothesis  # noqa: F401
import lupa.lua55  # noqa: F401
import msgpack  # noqa: F401
import numpy  # noqa: F401
import pytest

from .mutant import Mutant, planted
from .subjects import SLOW

SECONDS_MOST = 90
MEMORY_MOST = 4 << 30
KILLED, SURVIVED = "killed", "survived"
# Not pytest's: what a child ends with that could not even be started.
BROKEN_CHILD = 70
OVER = "long enough"
OPTIONS: tuple[str, ...] = ("-n", "0")


class Verdict(NamedTuple):
    """`by`: the test that failed, or "time". `seconds`: of each test that ran, in order."""

    verdict: str
    by: str
    seconds: dict[str, float]


class Ranks:
    """How soon each test is worth running: how often it killed for the time that it takes. test → [kills, passes, seconds]."""

    def __init__(self, rows: dict[str, list[float]] | None = None) -> None:
        self.rows = rows or {}

    def learn(self, found: Verdict) -> None:
        for test, seconds in found.seconds.items():
            row = self.rows.setdefault(test, [0, 0, seconds])
            if test == found.by:
                row[0] += 1
            else:
                row[1:] = row[1] + 1, min(row[2], seconds) if row[1] else seconds

    def passed(self, test: str) -> bool:
        """Whether it passed with any mutant: then it does not fail by itself."""
        return self.rows.get(test, [0, 0, 0])[1] > 0

    def order(self, test: str) -> float:
        """Those that are not known yet count as quick, and so become known."""
        kills, _, seconds = self.rows.get(test, [0, 0, 0.05])
        return (seconds + 0.02) / (kills + 0.2)


class Selection:
    """A plugin of pytest: which tests run, in which order, for how long; how long each takes, and which fails."""

    def __init__(self, ranks: Ranks, budget: float) -> None:
        self.ranks, self.budget, self.failed, self.seconds = ranks, budget, "", dict[str, float]()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if not any(name in item.nodeid for name in SLOW)),
                          key=lambda item: self.ranks.order(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = time.process_time()
        result = yield
        self.seconds[item.nodeid] = round(time.process_time() - before, 3)
        if sum(self.seconds.values()) > self.budget:
            item.session.shouldstop = OVER
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = f"import of {report.nodeid}"


def judge(root: Path, one: Mutant, tests: tuple[str, ...], ranks: Ranks, log: Path, budget: float) -> Verdict:
    """The verdict of these tests on one mutant of the copy `root`, each of them for itself quick; no more are begun after `budget`
    seconds. KeyboardInterrupt ends the child, and leaves the copy as it was."""
    answer = log.with_suffix(".json")
    answer.unlink(missing_ok=True)
    with planted(root, one):
        child = os.fork()
        if child == 0:
            _run(root, tests, Selection(ranks, budget), log, answer)
        try:
            _, status = os.waitpid(child, 0)
        except KeyboardInterrupt:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
    return _read(os.waitstatus_to_exitcode(status), answer)


def _read(code: int, answer: Path) -> Verdict:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Verdict(KILLED, "time", {})
    document = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {"failed": f"status {code}", "seconds": {}}
    if code == BROKEN_CHILD:
        raise RuntimeError(f"the tests could not be started: {document['failed']}")
    if code in (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED) and document["seconds"] and not document["failed"]:
        return Verdict(SURVIVED, "", document["seconds"])
    return Verdict(KILLED, document["failed"] or f"status {code}", document["seconds"])


def _run(root: Path, tests: tuple[str, ...], selection: Selection, log: Path, answer: Path) -> NoReturn:
    """The child: it never comes back."""
    code: int = BROKEN_CHILD
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MOST, SECONDS_MOST + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MOST, MEMORY_MOST))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _forget_the_clone(root)
        code = pytest.main([*tests, "-x", "-q", *OPTIONS, "-p", "no:cacheprovider", f"--rootdir={root}", "--tb=short"],
                           plugins=[selection])
        answer.write_text(json.dumps({"failed": selection.failed, "seconds": selection.seconds}), encoding="utf-8")
    except BaseException as error:
        code = BROKEN_CHILD
        answer.write_text(json.dumps({"failed": repr(error), "seconds": {}}), encoding="utf-8")
    finally:
        sys.stdout.flush()
        os._exit(code)


def _forget_the_clone(root: Path) -> None:
    """What is imported from here on comes from the copy, and leaves no compiled code of mutants behind."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "khoros")]:
        del sys.modules[name]
    sys.path[:0] = [str(root / "python"), str(root)]
    os.chdir(root)
    os.environ["KHOROS_SEED"] = "1"
