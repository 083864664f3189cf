"""`./khoros bench [--json] [--guest | --curves] [NAME…]`: Khoros beside what people would use instead, as ratios; above 1 is in our favour.

Each group of rows is a module with NAMES and measure(wanted, folder). A NAME is that of a row, or the beginning of several.
What the host's tools take for large images are figures without a peer, with names too. Without a NAME all is measured, and the
times of whole commands. With --guest, what the booted machine does, beside what Linux did (in_guest.py), and nothing else. With
--curves, how cost grows with the store. A peer that is not installed is left out, and said. --draw makes the pictures of
docs/performance.md from the JSON of runs.
"""

from __future__ import annotations

import json
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import building
import click
import codec
import curves
import disk
import images
import in_guest
import measuring
import peers
import plots
import reading
import store
import switching
import whole

GROUPS = (codec, store, reading, switching, disk)


def chosen(names: tuple[str, ...]) -> set[str]:
    """The rows that are meant. ClickException for a name that means none."""
    known = [name for group in (*GROUPS, images) for name in group.NAMES]
    if not names:
        return set(known)
    found: set[str] = set()
    for name in names:
        matching = {row for row in known if row.startswith(name)}
        if not matching:
            raise click.ClickException(f"there is no row {name}; there are: {', '.join(known)}")
        found |= {name} if name in matching else matching
    return found


def say_what_is_left_out() -> None:
    for peer, title in store.DATABASES.items():
        if peers.missing(peer):
            click.echo(f"left out: {title}, which is not installed", err=True)
    for title in codec.missing():
        click.echo(f"left out: {title}, which is not installed", err=True)


def draw_pictures(files: tuple[Path, ...], folder: Path) -> None:
    """One picture of the rows of all these runs, one of their curves."""
    runs = [json.loads(file.read_text()) for file in files]
    results = [row for run in runs for row in run["results"]]
    grown = [figure for run in runs for figure in run["figures"] if "objects" in figure]
    if results:
        (folder / "throughput.svg").write_text(plots.throughput(results, "Khoros beside its peers: above 1 in our favour"))
    if grown:
        (folder / "growth.svg").write_text(plots.growth(grown, "Cost by the number of objects in the store"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Only JSON on stdout.")
@click.option("--guest", is_flag=True, help="The booted machine: objects, Lua, boot, memory.")
@click.option("--curves", "of_growth", is_flag=True, help="How cost grows with the store, 1,000 to 1,000,000 objects.")
@click.option("--draw", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, metavar="RESULTS.json",
              help="Measure nothing: make docs/throughput.svg and docs/growth.svg from the JSON of runs.")  # fmt: skip
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(as_json: bool, guest: bool, of_growth: bool, draw: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Measure, and print ratios."""
    if draw:
        return draw_pictures(draw, building.ROOT / "docs")
    reason = building.debug_reason()
    if reason:
        raise click.ClickException(f"no benchmarks on a debug build: {reason}")
    alone = guest or of_growth
    if (alone and names) or (guest and of_growth):
        raise click.ClickException("--guest and --curves measure all that they do: they take no NAME, and one at a time")
    wanted, machine = set() if alone else chosen(names), building.machine()
    click.echo("measured on " + ", ".join(f"{key} {value}" for key, value in machine.items()), err=True)
    if not alone:
        say_what_is_left_out()
    results: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    for row in in_guest.measure() if guest else ():
        results.append(row.as_json())
        click.echo(row.as_line(), err=as_json)
    with tempfile.TemporaryDirectory(prefix="khoros-bench-") as folder:
        for group in GROUPS:
            for measured in group.measure(wanted & set(group.NAMES), Path(folder)) if wanted & set(group.NAMES) else ():
                row = measuring.row(*measured)
                results.append(row.as_json())
                click.echo(row.as_line(), err=as_json)
        of_images = images.measure(wanted & set(images.NAMES), Path(folder))
        for what, value, unit in chain(of_images, whole.measure(Path(folder)) if not names and not alone else ()):
            figures.append({"what": what, "value": round(value, 3), "unit": unit})
            click.echo(f"{value:12.3f} {unit:3} {what}", err=as_json)
        for what, objects, value, unit in curves.measure(Path(folder)) if of_growth else ():
            figures.append({"what": what, "objects": objects, "value": measuring.rounded(value), "unit": unit})
            click.echo(f"{value:12.6f} {unit:3} {what}, {objects} objects", err=as_json)
    if as_json:
        document = {"format_version": 1, "machine": machine, "results": results, "figures": figures}
        click.echo(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
