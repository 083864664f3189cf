"""`khoros-disk undo`: take one transaction back, with a new one."""

from __future__ import annotations

import click

from . import options
from .opening import open_image


@click.command("undo")
@options.image_argument()
@click.argument("transaction")
def command(image: str, transaction: str) -> None:
    """Take TRANSACTION (t4, or 4) of IMAGE back, with a new transaction.

    What it changed becomes what it was before, place by place. If one of these places was changed again since, that is
    refused by its path, and nothing is changed.
    """
    with open_image(image, "r+") as opened:
        done = opened.undo(transaction)
    options.note(str(done) if done else "unchanged: nothing of it is left")
