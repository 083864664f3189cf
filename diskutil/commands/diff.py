"""`khoros-disk diff`: what is different between two images, or between two times of one, object by object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

import click

from .. import render
from ..differences import Difference, between_images, between_times
from ..image import Image
from ..ordered import LuaMap
from ..values import LuaTable
from . import options
from .opening import open_image

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_EQUAL, _DIFFERENT = 0, 1


@click.command("diff")
@options.reading_options()
@click.argument("other", required=False, metavar="[OTHER]")
@click.option("--at", "times", nargs=2, metavar="TXN TXN", help="Two times of IMAGE: t3 t7.")
@click.option("-q", "--quiet", is_flag=True, help="Only say by the exit code whether there are any.")
def command(image: str, other: str | None, times: tuple[str, str] | None, quiet: bool,
            as_json: bool) -> int:
    """Show what IMAGE and OTHER hold differently, or (--at t1 t2) what changed in IMAGE from one time to another.

    One line a place: + is new, - is gone, ~ has another value. Between two images, objects at the same place are taken
    for the same. Exit code as diff's: 0 no difference, 1 some, 2 trouble.
    """
    if (other is None) == (times is None):
        raise click.UsageError("Give either OTHER or --at TXN TXN.")
    with ExitStack() as open_images:
        found = _differences(open_images, image, other, times)
        first = next(found, None)
        rows = found if first is None else chain([first], found)
        if as_json:
            options.print_json(options.document("diff", changes=[_fact(row) for row in rows]))
        elif not quiet:
            for row in rows:
                click.echo(text(row))
    return _EQUAL if first is None else _DIFFERENT


def _differences(open_images: ExitStack, image: str, other: str | None,
                 times: tuple[str, str] | None) -> Iterator[Difference]:
    one = open_images.enter_context(open_image(image))
    if times is not None:
        return between_times(one.at(times[0]), one.at(times[1]))
    assert other is not None
    two: Image = open_images.enter_context(open_image(other))
    return between_images(one, two)


def text(row: Difference) -> str:
    """A difference in one line: `~ root.ship.fuel  7 -> 5`."""
    sign, color = _SIGNS[row.change]
    if row.note:
        what = row.note
    elif row.change == "changed":
        what = f"{render.brief(row.before)} -> {render.brief(row.after)}"
    else:
        what = render.brief(row.before if row.change == "removed" else row.after)
    return f"{options.styled(f'{sign} {row.path}', fg=color)}  {what}"


def _fact(row: Difference) -> dict[str, Any]:
    fact: dict[str, Any] = {"change": row.change, "path": row.path}
    for name, value in (("before", row.before), ("after", row.after)):
        if value is not None:
            fact[name] = _json(value)
    if row.note:
        fact["note"] = row.note
    return fact


def _json(value: Any) -> Any:
    if isinstance(value, LuaTable | LuaMap):
        return {f"${render.type_name(value)}": {"id": value.id, "keys": len(value)}}
    return render.scalar_json(value)
