"""What every test run has: one seed, one kernel, guests that end, and failures that can be run again.

- Randomness comes from the `rng` fixture. The run's seed is printed at the top; KHOROS_SEED=N repeats it.
- `slow` tests run with --full, or when they are named; otherwise they are skipped, with that reason.
- `kernel` builds the guest once; `boot` makes guests whose last words are shown when the test fails.
- A failing test keeps its tmp_path (images, logs) and prints the command that runs it again.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.guest import KERNEL, REPOSITORY, Guest
from tests.support.lines import lines_of_code

LAST_WORDS_BYTES = 4000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="also run the tests marked slow, and more examples of each",
    )


def pytest_configure(config: pytest.Config) -> None:
    # In the environment, so that the workers of pytest-xdist have the same one.
    seed = int(os.environ.setdefault("KHOROS_SEED", str(random.SystemRandom().randrange(2**32))))
    hypothesis.core.global_force_seed = seed
    # Machines differ in speed: no test of ours fails because it took long.
    common = {"deadline": None, "print_blob": True}
    hypothesis.settings.register_profile("khoros", **common)
    hypothesis.settings.register_profile("full", max_examples=1000, **common)
    hypothesis.settings.load_profile("full" if config.getoption("--full") else "khoros")


def pytest_report_header() -> list[str]:
    return [f"seed: KHOROS_SEED={os.environ['KHOROS_SEED']}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(lines_of_code(REPOSITORY))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full") or any("::" in argument for argument in config.args):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --full"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """On failure: what the guests wrote last, where the files are, how to run it again."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    if report.failed:
        for guest in item.stash.get(GUESTS, []):
            words = bytes(guest.output[-LAST_WORDS_BYTES:]).decode(errors="backslashreplace")
            report.sections.append(
                (f"COM1 of the guest with {[*map(str, guest.machine.disks)]}", words)
            )
        again = f"KHOROS_SEED={os.environ['KHOROS_SEED']} ./khoros test -n 0 '{item.nodeid}'"
        report.sections.append(("run it again", again))
    return report  # type: ignore[return-value]


GUESTS = pytest.StashKey[list[Guest]]()


@pytest.fixture(scope="session")
def kernel() -> Path:
    """build/khoros.elf, built from what is there now; ./khoros keeps two workers from building at once."""
    built = subprocess.run([REPOSITORY / "khoros", "build"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return KERNEL


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test: the run's seed and the test's name decide them."""
    return random.Random(f"{os.environ['KHOROS_SEED']} {request.node.nodeid}")


@pytest.fixture
def boot(
    request: pytest.FixtureRequest, tmp_path: Path, kernel: Path
) -> Iterator[Callable[..., Guest]]:
    """A function that switches a guest on (arguments as of Guest); all are off when the test is over."""
    guests: list[Guest] = []
    request.node.stash[GUESTS] = guests

    def start(**description: Any) -> Guest:
        guest = Guest(log=tmp_path / f"guest-{len(guests)}.log", **description)
        guest.start()
        guests.append(guest)
        return guest

    yield start
    for guest in guests:
        guest.close()
