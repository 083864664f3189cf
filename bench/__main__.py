"""`./khoros bench [--json] [NAME…]`: Khoros beside what people would use instead, as ratios; above 1 is in our favour.

Each group of rows is a module with NAMES and measure(wanted, folder). A NAME is that of a row, or the beginning of several.
What the host's tools take for large images, and how cost grows with a store, are figures without a peer, with names too.
Without a NAME all is measured, and the times of whole commands. A peer that is not installed is left out, and said.
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
import measuring
import peers
import reading
import store
import switching
import whole

GROUPS = (codec, store, reading, switching, disk)
FIGURES = (images, curves)


def chosen(names: tuple[str, ...]) -> set[str]:
    """The rows that are meant. ClickException for a name that means none."""
    known = [name for group in (*GROUPS, *FIGURES) for name in group.NAMES]
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
    if not codec.LUA_MESSAGEPACK.exists():
        click.echo("left out: lua-MessagePack, which is not installed", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Only JSON on stdout.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(as_json: bool, names: tuple[str, ...]) -> None:
    """Measure, and print ratios."""
    reason = building.debug_reason()
    if reason:
        raise click.ClickException(f"no benchmarks on a debug build: {reason}")
    wanted, machine = chosen(names), building.machine()
    click.echo("measured on " + ", ".join(f"{key} {value}" for key, value in machine.items()), err=True)
    say_what_is_left_out()
    results: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="khoros-bench-") as folder:
        for group in GROUPS:
            for measured in group.measure(wanted & set(group.NAMES), Path(folder)) if wanted & set(group.NAMES) else ():
                row = measuring.row(*measured)
                results.append(row.as_json())
                click.echo(row.as_line(), err=as_json)
        of_images = chain.from_iterable(group.measure(wanted & set(group.NAMES), Path(folder)) for group in FIGURES)
        for what, value, unit in chain(of_images, whole.measure(Path(folder)) if not names else ()):
            figures.append({"what": what, "value": round(value, 3), "unit": unit})
            click.echo(f"{value:12.3f} {unit:3} {what}", err=as_json)
    if as_json:
        document = {"format_version": 1, "machine": machine, "results": results, "figures": figures}
        click.echo(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
