"""A campaign: workloads of all rows in proportion to their goals, totals that are kept, failures made short and saved.

    outcome = Campaign(settings, subject).run(progress, stop)

The folder, made when there is something to keep, is the only place that is written to:

    totals.json             what was reached so far, by row; --full goes on from there
    failures/CASE.img       the disk of a failure, and CASE.txt: what is wrong, the steps, the command that reruns it

Promise: after `stop()` it comes back with what was found, within one state's time; totals.json is always whole.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from . import minimise, rows, runtime
from .rows import Failure, Findings, Look, Row
from .workloads import Name, Subject

FORMAT_VERSION = 1
STATES = 30_000
PIECE_SECONDS = 90 * 60
MINIMISE_SECONDS = 60
SAVE_SECONDS = 10
FAILURES_MOST = 6


@dataclass
class Total:
    """What one row has come to."""

    states: int = 0
    units: int = 0
    workloads: int = 0
    seconds: float = 0.0
    failures: int = 0


@dataclass
class Settings:
    """What is asked for. `states` scales the goals; `full`: the campaign's goals, going on where the totals are; `seconds`: at most."""

    seed: int = 1
    states: int = STATES
    full: bool = False
    seconds: float | None = None
    rows: tuple[int, ...] = ()
    folder: Path = Path("khoros-torture")


class Kept(NamedTuple):
    """A failure as it was saved: the first one that was met, and the shortest that came of it."""

    first: Failure
    shortest: Failure
    image: Path | None
    command: str


@dataclass
class Outcome:
    """What a campaign came to; `reached` is of this run, `totals` of all that the folder knows of."""

    reached: dict[int, Total]
    totals: dict[int, Total]
    failures: list[Kept] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False
    stopped: bool = False


Progress = Callable[[float, Outcome, int], None]


class Campaign:
    """See the module."""

    def __init__(self, settings: Settings, subject: Subject) -> None:
        every = rows.all_rows()
        wrong = [number for number in settings.rows if number not in every]
        if wrong:
            raise UsageError(what=f"torture has no row {wrong[0]}", advice=f"it has {', '.join(map(str, every))}")
        self.settings, self.subject = settings, subject
        self.rows = {number: row for number, row in every.items() if not settings.rows or number in settings.rows}
        self.totals = read_totals(settings.folder, settings.seed) if settings.full else fresh_totals()
        self.outcome = Outcome({number: Total() for number in self.rows}, self.totals)
        self.saved_at = self.started = 0.0

    def goal(self, row: Row) -> float:
        """Units that a row is to reach."""
        if self.settings.full:
            return row.full_goal
        return max(1, row.goal * self.settings.states / STATES)

    def share(self, row: Row) -> float:
        """How much of its goal a row has reached."""
        return self.totals[row.number].units / self.goal(row)

    def run(self, progress: Progress, stop: Callable[[], bool]) -> Outcome:
        """Until the goals are reached, the time is over, or `stop()`."""
        self.started = self.saved_at = time.monotonic()
        limit = self.settings.seconds if not self.settings.full else self.settings.seconds or PIECE_SECONDS

        def over() -> bool:
            return stop() or (limit is not None and time.monotonic() - self.started > limit)

        while not over() and len(self.outcome.failures) < FAILURES_MOST:
            row = min(self.rows.values(), key=self.share)
            if self.share(row) >= 1:
                self.outcome.complete = True
                break
            self._one(row, over, partial(self._show, progress, row))
        self.outcome.stopped = stop()
        self.outcome.seconds = time.monotonic() - self.started
        if self.settings.full:
            save_totals(self.settings.folder, self.settings.seed, self.totals)
        return self.outcome

    def _show(self, progress: Progress, row: Row) -> None:
        done = sum(min(1.0, self.share(every)) for every in self.rows.values()) / len(self.rows)
        progress(done, self.outcome, row.number)

    def _one(self, row: Row, over: Callable[[], bool], seen: Callable[[], None]) -> None:
        """The next workload of a row."""
        total, before = self.totals[row.number], time.monotonic()
        name = row.names(self.settings.seed, total.workloads, self.settings.full)
        found = row.examine(name, self.subject, Look("", self.settings.full, over, seen))
        reached = self.outcome.reached[row.number]
        # A workload that was broken off is done again: the totals count nothing twice.
        for item in (total, reached) if found.whole else (reached,):
            item.states += found.states
            # A failed workload counts for something, or the row would never reach its goal and keep the others waiting.
            item.units += max(found.units, 1 if found.failure else 0)
            item.workloads += 1
            item.seconds = round(item.seconds + time.monotonic() - before, 3)
            item.failures += found.failure is not None
        if found.failure:
            self._keep(found.failure, row, over)
        if self.settings.full and time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.saved_at = time.monotonic()
            save_totals(self.settings.folder, self.settings.seed, self.totals)

    def _keep(self, failure: Failure, row: Row, over: Callable[[], bool]) -> None:
        """Makes it short, and saves it."""
        until = time.monotonic() + MINIMISE_SECONDS

        def stop() -> bool:
            return over() or time.monotonic() > until

        def examine(name: Name) -> Findings:
            return row.examine(name, self.subject, Look("", self.settings.full, stop))

        self.outcome.failures.append(keep(failure, minimise.shortest(failure, examine, stop), self.subject, self.settings.folder))


def keep(first: Failure, shortest: Failure, subject: Subject, folder: Path) -> Kept:
    """Saves a failure's image and story in the folder."""
    where = folder / "failures"
    where.mkdir(parents=True, exist_ok=True)
    name = shortest.case.replace(":", "_").replace("/", "_")
    image = where / f"{name}.img" if shortest.image else None
    if image is not None:
        image.write_bytes(shortest.image)
    command = command_for(shortest, subject, folder)
    story = [f"{shortest.case}: {shortest.why}", *shortest.steps, "", f"first met as {first.case}", f"again: {command}"]
    (where / f"{name}.txt").write_text("\n".join(story) + "\n", encoding="utf-8")
    return Kept(first, shortest, image, command)


def command_for(failure: Failure, subject: Subject, folder: Path) -> str:
    """What reruns a failure."""
    words = ["khoros-disk", "torture", "--case", failure.case]
    if subject.sources != runtime.LUA:
        words += ["--lua", str(subject.sources)]
    if folder != Settings.folder:
        words += ["--folder", str(folder)]
    return shlex.join(words)


# --- Totals -----------------------------------------------------------------------------------------------------------


def fresh_totals() -> dict[int, Total]:
    return {number: Total() for number in rows.all_rows()}


def read_totals(folder: Path, seed: int) -> dict[int, Total]:
    """What the folder's earlier runs with that seed reached. UsageError if the file is not one of ours."""
    path, totals = folder / "totals.json", fresh_totals()
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if document["format_version"] != FORMAT_VERSION:
            raise ValueError(document["format_version"])
        found = {int(number): Total(**row) for number, row in document["seeds"].get(str(seed), {}).items()}
    except FileNotFoundError:
        return totals
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(what=f"{path} does not hold totals", advice="remove it, or name another --folder") from error
    return totals | found


def save_totals(folder: Path, seed: int, totals: dict[int, Total]) -> None:
    """Replaces the file as a whole; what it knows of other seeds stays."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "totals.json"
    seeds: Any = json.loads(path.read_text(encoding="utf-8"))["seeds"] if path.exists() else {}
    seeds[str(seed)] = {str(number): asdict(total) for number, total in totals.items()}
    temporary = folder / "totals.json.new"
    temporary.write_text(json.dumps({"format_version": FORMAT_VERSION, "seeds": seeds}, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
