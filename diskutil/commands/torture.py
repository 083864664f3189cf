"""`khoros-disk torture`: the real store on disks that fail in every way, judged state by state."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .interruption import interruptible
from .progress import Show, progress_line

if TYPE_CHECKING:
    from ..torture.campaign import Campaign, Kept, Outcome
    from ..torture.workloads import Subject

_FAILED, _INTERRUPTED = 1, 130
_STEPS_SHOWN = 12


@click.command("torture")
@click.option("--seed", type=click.IntRange(0, 10**6), default=1, show_default=True, help="What the workloads are drawn from.")
@click.option("--states", type=click.IntRange(1), default=30_000, show_default=True,
              help="About so many power cuts; the other rows in proportion.")
@click.option("--full", is_flag=True, help="A piece of the full campaign, going on where the one before ended.")
@click.option("--time", "seconds", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="Stop after so long.  [--full: 5400]")
@click.option("--rows", "chosen", metavar="N,N…", default="", help="Only these rows of the table.")
@click.option("--case", "case", metavar="ID", help="Only this case, as a failure names it; or a whole workload.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("khoros-torture"), show_default=True,
              help="Where failures and totals go; nothing else is written.")
@click.option("--lua", "sources", type=click.Path(path_type=Path), help="Lua sources of the store.  [this clone's]")
@options.json_option()
@options.color_option()
def command(seed: int, states: int, full: bool, seconds: float | None, chosen: str, case: str | None, folder: Path,
            sources: Path | None, as_json: bool) -> int:
    """Prove the store: cut its power, fail its disk, damage its bytes, fill it, and judge what is left.

    Exit code 0 if every promise held, 1 if one did not, 130 after Ctrl-C, which first says what was found.
    """
    from ..torture import campaign, runtime
    from ..torture.workloads import Subject

    subject = Subject(sources.resolve() if sources else runtime.LUA)
    with interruptible() as stop:
        if case is not None:
            return _one_case(case, subject, folder, as_json, stop)
        settings = campaign.Settings(seed, states, full, seconds, _numbers(chosen), folder)
        work = campaign.Campaign(settings, subject)
        with progress_line() as show:
            outcome = work.run(_drawing(show), stop)
    if as_json:
        options.print_json(_document(work, outcome))
    else:
        _print(work, outcome)
    if outcome.stopped:
        return _INTERRUPTED
    return _FAILED if outcome.failures else 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError as error:
        raise click.BadParameter(f"{text} is no list of rows", param_hint="--rows") from error


def _drawing(show: Show) -> Callable[[float, Outcome, int], None]:
    """What a campaign tells of itself, as a progress line."""
    started = time.monotonic()

    def draw(done: float, outcome: Outcome, row: int) -> None:
        states = sum(total.states for total in outcome.reached.values())
        show(f"row {row}", round(1000 * done), 1000,
             f"{states:,} states  {states / max(time.monotonic() - started, 0.1):,.0f}/s  {len(outcome.failures)} failures")

    return draw


def _one_case(text: str, subject: Subject, folder: Path, as_json: bool, stop: Callable[[], bool]) -> int:
    from ..torture import campaign, rows, workloads

    name, state = workloads.parse(text)
    found = rows.judge_case(name, state, subject, stop)
    kept = campaign.keep(found.failure, found.failure, subject, folder) if found.failure else None
    if as_json:
        options.print_json(options.document("torture", case=text, states=found.states, failures=[_failure(kept)] if kept else []))
    elif kept:
        _print_failure(kept)
    elif found.whole and found.states == 0:
        raise click.BadParameter(f"{name} has no state {state}", param_hint="--case")
    else:
        click.echo(f"{text}: {found.states:,} states, every promise held")
    if stop():
        return _INTERRUPTED
    return _FAILED if kept else 0


def _print(work: Campaign, outcome: Outcome) -> None:
    click.echo(f"{'row':>3}  {'':38} {'states':>9} {'reached':>9} {'of':>9}  {'':9} {'states/s':>8} {'failures':>8}")
    for number, row in work.rows.items():
        total = outcome.totals[number]
        rate = f"{total.states / total.seconds:,.0f}" if total.seconds > 0 else ""
        click.echo(f"{number:>3}  {row.title:38} {total.states:>9,} {total.units:>9,} {work.goal(row):>9,.0f}  {row.unit:9} "
                   f"{rate:>8} {total.failures:>8}")
    states = sum(total.states for total in outcome.reached.values())
    click.echo(f"seed {work.settings.seed}: {states:,} states in {outcome.seconds:.0f} s, "
               f"{len(outcome.failures) or 'no'} failures{_ending(work, outcome)}")
    for kept in outcome.failures:
        click.echo()
        _print_failure(kept)


def _ending(work: Campaign, outcome: Outcome) -> str:
    if outcome.complete:
        return ", every goal reached"
    return ", stopped before the goals were reached" + ("; the same command goes on" if work.settings.full else "")


def _print_failure(kept: Kept) -> None:
    failure = kept.shortest
    click.echo(f"{options.styled('failure', fg='red')}: {failure.case}: {failure.why}")
    for step in failure.steps[-_STEPS_SHOWN:]:
        click.echo(f"    {step}")
    if kept.image:
        click.echo(f"  image: {kept.image}")
    click.echo(f"  again: {kept.command}")


def _failure(kept: Kept) -> dict[str, Any]:
    failure = kept.shortest
    return {"case": failure.case, "first_case": kept.first.case, "what": failure.why, "steps": list(failure.steps),
            "image": str(kept.image) if kept.image else None, "command": kept.command}


def _document(work: Campaign, outcome: Outcome) -> dict[str, Any]:
    return options.document(
        "torture", seed=work.settings.seed, seconds=round(outcome.seconds, 1), complete=outcome.complete, stopped=outcome.stopped,
        rows=[{"row": number, "title": row.title, "unit": row.unit, "reached": outcome.totals[number].units,
               "goal": round(work.goal(row)), "states": outcome.totals[number].states,
               "seconds": round(outcome.totals[number].seconds, 1), "failures": outcome.totals[number].failures}
              for number, row in work.rows.items()],
        failures=[_failure(kept) for kept in outcome.failures])
