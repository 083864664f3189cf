"""`khoros-disk bisect`: find the transaction from which on a test fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from .. import history, rebuilding
from ..bisection import Found, Verdict, search
from ..differences import between_times
from ..errors import BisectionFailed, UsageError, one_line
from ..image import Image
from . import options
from .diff import text as difference_text
from .log import time_text
from .opening import open_image

# As git's: this state cannot be judged; the test itself is broken from here on.
_SKIP, _BROKEN_FROM = 125, 126
_CHANGES_SHOWN = 20


@click.command("bisect")
@options.reading_options()
@click.argument("test", nargs=-1, required=True, metavar="-- TEST [ARGUMENT]...")
@click.option("--good", metavar="TXN", help="A transaction at which TEST succeeds; the oldest that is kept.")
@click.option("--bad", metavar="TXN", help="A later one at which it fails; the newest.")
def command(image: str, test: tuple[str, ...], good: str | None, bad: str | None,
            as_json: bool) -> None:
    """Find the first transaction of IMAGE at which TEST fails.

    TEST runs on copies: each is an image that holds the state after one transaction. {} in its arguments stands for the
    copy's path, which is also in KHOROS_IMAGE, the transaction in KHOROS_TRANSACTION. It succeeds with exit code 0, fails
    with any other; 125 says that a state cannot be judged, 126 and above (and a signal) that TEST itself is broken.
    What TEST prints goes to stderr.
    """
    with open_image(image) as opened:
        ends = _ends(opened, good, bad)
        with tempfile.TemporaryDirectory(prefix="khoros-bisect-") as folder:
            trial = _Trial(opened, test, Path(folder) / "state.img")
            trial.must(ends[1], Verdict.BAD)
            trial.must(ends[0], Verdict.GOOD)
            found = search(*ends, trial.ask)
        if as_json:
            options.print_json(options.document("bisect", **_facts(opened, found)))
        else:
            _print(opened, found)


def _ends(opened: Image, good: str | None, bad: str | None) -> tuple[int, int]:
    oldest = max(opened.store.oldest_transaction, 1)
    ends = (oldest if good is None else history.number_of(good),
            opened.transaction if bad is None else history.number_of(bad))
    if ends[0] >= ends[1]:
        raise UsageError(file=opened.path, what=f"nothing lies between t{ends[0]} and t{ends[1]}",
                         advice="bisect needs a good transaction and a later bad one")
    return ends


class _Trial:
    """Runs the test on states of an image, in one place."""

    def __init__(self, opened: Image, test: Sequence[str], place: Path) -> None:
        self._opened = opened
        self._words = [word.replace("{}", str(place)) for word in test]
        self._place = place

    def must(self, number: int, verdict: Verdict) -> None:
        """BisectionFailed unless the test says that of a state."""
        found = self.ask(number)
        if found is not verdict:
            raise BisectionFailed(what=f"{' '.join(self._words)}: t{number} should be {verdict.value}",
                             expected=verdict.value, found=found.value,
                             advice="name other ends with --good and --bad")

    def ask(self, number: int) -> Verdict:
        """Make the state, run the test on it."""
        past = self._opened.at(number)
        rebuilding.write_image(str(self._place), rebuilding.plan_like(past.store),
                               rebuilding.items_of(past.store), f"as of t{number}", force=True)
        code = self._run(number)
        verdict = Verdict.GOOD if code == 0 else Verdict.SKIP if code == _SKIP else Verdict.BAD
        options.note(f"t{number}: {verdict.value}")
        return verdict

    def _run(self, number: int) -> int:
        environment = {**os.environ, "KHOROS_IMAGE": str(self._place),
                       "KHOROS_TRANSACTION": str(number)}
        sys.stderr.flush()
        try:
            done = subprocess.run(self._words, stdin=subprocess.DEVNULL, stdout=2, check=False,
                                  env=environment)
        except OSError as error:
            raise BisectionFailed(what=f"{self._words[0]}: {(error.strerror or '').lower()}") from error
        if done.returncode < 0 or done.returncode >= _BROKEN_FROM:
            raise BisectionFailed(what=f"{self._words[0]} at t{number}: it is broken",
                             expected="an exit code below 126", found=done.returncode)
        return done.returncode


def _facts(opened: Image, found: Found) -> dict[str, Any]:
    rows = {row.transaction: row for row in opened.history()}
    bad = rows[found.first_bad]
    return {"last_good": found.last_good, "first_bad": found.first_bad, "not_judged": found.between,
            "time": time_text(bad.time), "message": bad.message}


def _print(opened: Image, found: Found) -> None:
    facts = _facts(opened, found)
    first = options.styled(f"t{found.first_bad}", fg="red", bold=True)
    click.echo(f"{first} is the first bad transaction, t{found.last_good} the last good one")
    if found.between:
        names = ", ".join(f"t{number}" for number in found.between)
        click.echo(f"not judged, and perhaps the one: {names}")
    click.echo(f"{facts['time']}  {one_line(facts['message'])}".rstrip())
    rows = between_times(opened.at(found.last_good), opened.at(found.first_bad))
    for row in islice(rows, _CHANGES_SHOWN):
        click.echo(difference_text(row))
    if next(rows, None) is not None:
        click.echo(f"… (diff {opened.path} --at t{found.last_good} t{found.first_bad} shows all)")
