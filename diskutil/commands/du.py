"""`khoros-disk du`: how many bytes of an image each thing takes."""

from __future__ import annotations

from typing import Any

import click

from .. import entries, paths, sizes
from ..bulk import collector_off
from ..image import Image
from ..places import Places
from ..space import stored_bytes
from ..usage import Large, Usage, Use, largest
from . import options
from .opening import open_image
from .progress import progress_line


@click.command("du")
@options.reading_options()
@click.argument("path", default=paths.ROOT)
@options.at_option()
@click.option("-d", "--depth", type=click.IntRange(0, 100), default=1, show_default=True,
              help="How many levels to list.")
@click.option("-s", "--summary", is_flag=True, help="Only the sum: --depth 0.")
@click.option("-b", "--bytes", "in_bytes", is_flag=True, help="Sizes in bytes.")
@click.option("-o", "--objects", "count", type=click.IntRange(1), metavar="N",
              help="The N largest single objects instead.")
def command(image: str, path: str, at: str | None, depth: int, summary: bool, in_bytes: bool,
            count: int | None, as_json: bool) -> int:
    """Show how much of IMAGE each thing at PATH takes: size, objects, path; the largest first.

    A size is what the entries of an object and of all that it reaches take in the log. What is shared counts for the first
    place only, so the rows of a level add up. What nothing leads to has a row of its own. Exit code 1 if something could
    not be read.
    """
    with open_image(image, at=at) as opened, collector_off(), progress_line() as show:
        if count is not None:
            _print_largest(opened, count, in_bytes, as_json)
            return 0
        usage = Usage(opened, lambda met: show("objects", met, 0))
        rows = usage.below(opened.at_path(path), path if path.startswith(paths.ROOT) else (
            f"{paths.ROOT}.{path}"), 0 if summary else depth)
        rest = stored_bytes(opened.store) - rows[0].bytes if rows and path == paths.ROOT else 0
    for identity, error in usage.unreadable:
        options.note(f"warning: object {identity} cannot be read, nor what only it leads to: {error}")
    if as_json:
        options.print_json(options.document(
            "du", path=path, transaction=opened.transaction, unreachable_bytes=rest,
            places=[row._asdict() for row in rows]))
    else:
        for row in rows:
            _print(row, in_bytes)
        if rest:
            click.echo(f"{_size(rest, in_bytes)}           nothing leads to the rest")
    return 1 if usage.unreadable else 0


def _size(count: int, in_bytes: bool) -> str:
    return f"{count if in_bytes else sizes.text(count):>9}"


def _print(row: Use, in_bytes: bool) -> None:
    name = options.styled(row.path, bold=row.depth == 0)
    click.echo(f"{_size(row.bytes, in_bytes)}  {row.objects:>7}  {'  ' * row.depth}{name}")


def _print_largest(opened: Image, count: int, in_bytes: bool, as_json: bool) -> None:
    rows = largest(opened, count)
    places = Places(opened, {row.id for row in rows}, bad=lambda identity, error: None)
    if as_json:
        options.print_json(options.document(
            "du", transaction=opened.transaction,
            objects=[_fact(row, places) for row in rows]))
        return
    for row in rows:
        what = f"{entries.kind_name(row.kind)} {row.id}"
        click.echo(f"{_size(row.bytes, in_bytes)}  {what:<16}  {_place(row, places) or '-'}".rstrip())


def _place(row: Large, places: Places) -> str | None:
    owner = places.owner(row.id)
    return None if owner is None else places.path(owner)


def _fact(row: Large, places: Places) -> dict[str, Any]:
    return {"id": row.id, "kind": entries.kind_name(row.kind), "bytes": row.bytes,
            "path": _place(row, places)}
