"""`khoros-disk fuzz`: images whose structures are changed and whose checksums are right; both readers have to say the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import sizes
from ..errors import UsageError
from . import options
from .interruption import interruptible
from .progress import progress_line

if TYPE_CHECKING:
    from ..fuzzing.engines import Found
    from ..fuzzing.verdicts import Lua

_FAILED, _INTERRUPTED = 1, 130


@click.command("fuzz")
@click.option("--time", "seconds", type=click.FloatRange(0), default=60, show_default=True, metavar="SECONDS",
              help="How long to look for new ones, after the corpus.")
@click.option("--corpus", "places", type=click.Path(path_type=Path), multiple=True,
              help="Recipes to begin with: a folder, or a file of lines.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="What new recipes are drawn from.")
@click.option("--engine", type=click.Choice(["auto", "atheris", "mutation"]), default="auto", show_default=True,
              help="auto: atheris if it is installed.")
@click.option("--case", "case", metavar="HEX", help="Only this recipe, as a finding names it.")
@click.option("--lua", "sources", type=click.Path(path_type=Path), help="Lua sources of the store that is asked.  [this clone's]")
@click.option("--python-only", is_flag=True, help="Do not ask the Lua store.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("khoros-fuzz"), show_default=True,
              help="Where findings and new recipes go; nothing else is written.")
@options.json_option()
@options.color_option()
def command(seconds: float, places: tuple[Path, ...], seed: int, engine: str, case: str | None, sources: Path | None,
            python_only: bool, folder: Path, as_json: bool) -> int:
    """Change fields of good images, make the checksums right again, and ask both readers what they see.

    The Python reader may refuse an image in its own words and in bounded time, nothing else; the store in Lua has to say the same,
    down to each object's bytes. Exit code 0 if it was so, 1 if not, 130 after Ctrl-C, which first says what was found.
    """
    from ..fuzzing import corpus, engines
    from ..fuzzing.verdicts import Lua

    for place in places:
        if not place.exists():
            raise UsageError(what=f"there is no corpus {place}")
    seeds = [_recipe(case)] if case else [seed for place in (*places, folder / "corpus") for seed in corpus.load(place)]
    lua = None if python_only else Lua(sources.resolve()) if sources else Lua()
    chosen = engines.available() if engine == "auto" else engine
    with interruptible() as stop, progress_line() as draw:
        found = engines.replay(seeds, lua, lambda so_far, number: draw("corpus", number, len(seeds)), stop)
        runs = [found]
        if not case and seconds and not stop():
            runs.append(_look(chosen, seeds, seed, lua, seconds, folder, _seen(draw, seconds), stop))
        interrupted = stop()
    new = [] if case else _keep_new(chosen, runs, folder)
    findings = _save(runs, folder, f" --lua {sources}" if sources else "")
    if as_json:
        options.print_json(_document(chosen, runs, findings, len(seeds), len(new), interrupted))
    else:
        _print(chosen, runs, findings, len(seeds), len(new))
    return _INTERRUPTED if interrupted else _FAILED if findings else 0


def _recipe(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise click.BadParameter(f"{text} is no recipe in hexadecimal", param_hint="--case") from error


def _seen(draw: Callable[[str, int, int], None], seconds: float) -> Callable[[Found, int], None]:
    started = time.monotonic()

    def seen(found: Found, number: int) -> None:
        draw(f"{found.images:,} new images, {len(found.findings)} findings", int(time.monotonic() - started), max(1, int(seconds)))

    return seen


def _look(chosen: str, seeds: list[bytes], seed: int, lua: Lua | None, seconds: float, folder: Path,
          seen: Callable[[Found, int], None], stop: Callable[[], bool]) -> Found:
    from ..fuzzing import engines

    if chosen == "mutation":
        return engines.mutate(seeds, seed, lua, seconds, seen, stop)
    if engines.available() != "atheris":
        raise UsageError(what="atheris is not installed", advice="pip install atheris, or --engine mutation")
    folder.mkdir(parents=True, exist_ok=True)
    return engines.guided(seeds, seed, lua, seconds, folder, seen, stop)


def _keep_new(chosen: str, runs: list[Found], folder: Path) -> list[bytes]:
    """New recipes join the folder's corpus; atheris has put its own there."""
    from ..fuzzing import corpus

    new = [data for found in runs for data in found.new]
    if chosen == "mutation":
        for data in new:
            corpus.add(folder / "corpus", data)
    return new


def _save(runs: list[Found], folder: Path, more: str) -> list[dict[str, Any]]:
    """Each finding's image and story, once. `more`: what its command needs besides the case."""
    from ..fuzzing import recipes

    rows: dict[str, dict[str, Any]] = {}
    for kind, (data, finding) in (item for found in runs for item in found.findings.items()):
        if kind in rows:
            continue
        where = folder / "findings"
        where.mkdir(parents=True, exist_ok=True)
        image = where / f"{data.hex()[:24]}.img"
        image.write_bytes(recipes.image(data))
        row = {"kind": kind, "what": finding.text, "recipe": recipes.describe(data), "image": str(image),
               "command": f"khoros-disk fuzz --case {data.hex()}{more}"}
        image.with_suffix(".txt").write_text("".join(f"{name}: {text}\n" for name, text in row.items()), encoding="utf-8")
        rows[kind] = row
    return list(rows.values())


def _print(chosen: str, runs: list[Found], findings: list[dict[str, Any]], seeds: int, new: int) -> None:
    names = (f"corpus ({seeds:,} recipes)", chosen)
    for name, found in zip(names, runs, strict=False):
        outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(found.outcomes.items(), key=lambda row: -row[1]))
        rate = found.images / max(found.seconds, 0.001)
        click.echo(f"{name}: {found.images:,} images, {found.compared:,} by both readers, {rate:,.0f}/s: {outcomes or 'none'}")
    click.echo(f"{sizes.count(len(findings), 'finding')}, {new:,} new recipes")
    for row in findings:
        click.echo(f"\n{options.styled('finding', fg='red')}: {row['what']}\n    {row['recipe']}\n  image: {row['image']}\n"
                   f"  again: {row['command']}")


def _document(chosen: str, runs: list[Found], findings: list[dict[str, Any]], seeds: int, new: int,
              interrupted: bool) -> dict[str, Any]:
    return options.document(
        "fuzz", engine=chosen, seeds=seeds, new=new, stopped=interrupted, findings=findings,
        runs=[{"images": found.images, "compared": found.compared, "seconds": round(found.seconds, 1), "outcomes": found.outcomes}
              for found in runs])
