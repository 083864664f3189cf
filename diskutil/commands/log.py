"""`khoros-disk log`: the transactions, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ..errors import one_line
from ..image import Transaction
from . import options
from .opening import open_image


@click.command("log")
@options.reading_options()
@click.option("-n", "--last", type=click.IntRange(0), help="Only so many of the newest.")
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
def command(image: str, last: int | None, reverse: bool, as_json: bool) -> None:
    """List the transactions of IMAGE: number, time (UTC), objects, bytes, message."""
    with open_image(image) as opened:
        rows = list(opened.history())
    rows = rows[len(rows) - min(last, len(rows)):] if last is not None else rows
    if reverse:
        rows.reverse()
    if as_json:
        options.print_json(options.document("log", transactions=[_fact(row) for row in rows]))
        return
    width = max((len(row.id) for row in rows), default=2)
    for row in rows:
        name = options.styled(f"{row.id:>{width}}", fg="yellow")
        click.echo(f"{name}  {time_text(row.time)}  {row.objects:>7} objects  {row.bytes:>9} bytes  "
                   f"{one_line(row.message)}".rstrip())


def _fact(row: Transaction) -> dict[str, Any]:
    return {"id": row.id, "transaction": row.transaction, "time_microseconds": row.time,
            "time": time_text(row.time), "message": row.message, "objects": row.objects,
            "bytes": row.bytes}


def time_text(microseconds: int) -> str:
    """A time for people, UTC, to the second; the number itself where the calendar ends."""
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{microseconds} us"
