"""One mutant: a forked child runs the tests of its group in a copy of the clone, the quickest killers first, until one fails.

    jury = Jury(root, tests)             of one group; its process is started at the first mutant, and ended by `close`
    jury.judge(one, ranks, log, budget) → Verdict

What is slow to load is loaded once, before any fork. Of a Lua file nothing is in memory before a test asks for it: a process that has
collected the tests forks for each mutant. For a Python file each child collects anew, with the clone's modules from the copy. Time is
that of the processor: a mutant that never ends is killed by the limit, on a busy machine as on an idle one. `log` gets what the tests said.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Generator
from multiprocessing import Pipe
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
            print(report.longreprtext, flush=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = f"import of {report.nodeid}"


class Jury:
    """See the module."""

    def __init__(self, root: Path, tests: tuple[str, ...]) -> None:
        self.root, self.tests = root, tests
        self._server: int | None = None
        self._to_server: Any = None

    def judge(self, one: Mutant, ranks: Ranks, log: Path, budget: float) -> Verdict:
        """The verdict of these tests on one mutant; no more are begun after `budget` seconds. KeyboardInterrupt ends the child, and
        leaves the copy as it was."""
        answer = log.with_suffix(".json")
        answer.unlink(missing_ok=True)
        with planted(self.root, one):
            if one.path.endswith(".py"):
                status = self._fresh(Order(ranks, budget, log, answer))
            else:
                status = self._served(Order(ranks, budget, log, answer))
        return _read(os.waitstatus_to_exitcode(status), answer)

    def _fresh(self, order: Order) -> int:
        child = os.fork()
        if child == 0:
            _run(self.root, self.tests, order)
        try:
            return os.waitpid(child, 0)[1]
        except KeyboardInterrupt:
            _end(child)
            raise

    def _served(self, order: Order) -> int:
        if self._server is None:
            self._to_server, theirs = Pipe()
            self._server = os.fork()
            if self._server == 0:
                _serve(self.root, self.tests, theirs, order.log)
            theirs.close()
        try:
            # As plain data: the names of this module mean the copy's in that process.
            self._to_server.send((order.ranks.rows, order.budget, str(order.log), str(order.answer)))
            status: int = self._to_server.recv()
        except KeyboardInterrupt:
            self.close()
            raise
        except EOFError as error:
            raise RuntimeError(f"the tests could not be started; see {order.log}") from error
        return status

    def close(self) -> None:
        """Ends the process. A second call does nothing."""
        if self._server is not None:
            _end(self._server)
            self._to_server.close()
            self._server = None


class Order(NamedTuple):
    """What one child is to do."""

    ranks: Ranks
    budget: float
    log: Path
    answer: Path


def _end(child: int) -> None:
    """Ends a process and its children: they are a group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class Serving:
    """A plugin of pytest: instead of running what it has collected, it forks for each order that comes."""

    def __init__(self, orders: Any) -> None:
        self.orders = orders

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> NoReturn:
        while True:
            try:
                rows, budget, log, answer = self.orders.recv()
            except EOFError:
                os._exit(0)
            child = os.fork()
            if child == 0:
                _run_collected(session, Order(Ranks(rows), budget, Path(log), Path(answer)))
            self.orders.send(os.waitpid(child, 0)[1])


def _run_collected(session: pytest.Session, order: Order) -> NoReturn:
    code: int = BROKEN_CHILD
    try:
        _limit(order.log)
        selection = Selection(order.ranks, order.budget)
        session.config.pluginmanager.register(selection)
        items = list(session.items)
        selection.pytest_collection_modifyitems(items)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if selection.failed or session.shouldstop:
                break
        code = int(bool(selection.failed))
        order.answer.write_text(json.dumps({"failed": selection.failed, "seconds": selection.seconds}), encoding="utf-8")
    except BaseException as error:
        order.answer.write_text(json.dumps({"failed": repr(error), "seconds": {}}), encoding="utf-8")
    finally:
        sys.stdout.flush()
        os._exit(code)


def _serve(root: Path, tests: tuple[str, ...], orders: Any, log: Path) -> NoReturn:
    """The process that forks: it never comes back."""
    try:
        os.setpgid(0, 0)
        _write_to(log)
        _forget_the_clone(root)
        pytest.main([*tests, "-q", *OPTIONS, "-s", "-p", "no:cacheprovider", f"--rootdir={root}", "--tb=short"],
                    plugins=[Serving(orders)])
    finally:
        sys.stdout.flush()
        os._exit(BROKEN_CHILD)


def _read(code: int, answer: Path) -> Verdict:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Verdict(KILLED, "time", {})
    document = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {"failed": f"status {code}", "seconds": {}}
    if code == BROKEN_CHILD:
        raise RuntimeError(f"the tests could not be started: {document['failed']}")
    if code in (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED) and document["seconds"] and not document["failed"]:
        return Verdict(SURVIVED, "", document["seconds"])
    return Verdict(KILLED, document["failed"] or f"status {code}", document["seconds"])


def _run(root: Path, tests: tuple[str, ...], order: Order) -> NoReturn:
    """A child that collects for itself: it never comes back."""
    code: int = BROKEN_CHILD
    try:
        os.setpgid(0, 0)
        _limit(order.log)
        _forget_the_clone(root)
        selection = Selection(order.ranks, order.budget)
        code = pytest.main([*tests, "-x", "-q", *OPTIONS, "-p", "no:cacheprovider", f"--rootdir={root}", "--tb=short"],
                           plugins=[selection])
        order.answer.write_text(json.dumps({"failed": selection.failed, "seconds": selection.seconds}), encoding="utf-8")
    except BaseException as error:
        code = BROKEN_CHILD
        order.answer.write_text(json.dumps({"failed": repr(error), "seconds": {}}), encoding="utf-8")
    finally:
        sys.stdout.flush()
        os._exit(code)


def _limit(log: Path) -> None:
    """Limits of a child that may have gone mad."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MOST, SECONDS_MOST + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MOST, MEMORY_MOST))
    _write_to(log)


def _write_to(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _forget_the_clone(root: Path) -> None:
    """What is imported from here on comes from the copy, and leaves no compiled code of mutants behind."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "khoros")]:
        del sys.modules[name]
    sys.path[:0] = [str(root / "python"), str(root)]
    os.chdir(root)
    os.environ["KHOROS_SEED"] = "1"
