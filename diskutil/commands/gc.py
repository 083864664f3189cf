"""`khoros-disk gc`: delete what nothing refers to."""

from __future__ import annotations

import click

from .. import garbage, sizes
from . import options
from .opening import open_image


@click.command("gc")
@options.image_argument()
@click.option("-n", "--dry-run", is_flag=True, help="Only say how much there is.")
def command(image: str, dry_run: bool) -> None:
    """Delete the objects of IMAGE that the root does not reach.

    Their space is used again when it is needed. Snapshots and history keep theirs. If any reachable object cannot be read,
    nothing is deleted.
    """
    with open_image(image, "r" if dry_run else "r+") as opened:
        if dry_run:
            options.note(f"{len(garbage.find(opened.store))} objects could be deleted")
            return
        count, size = opened.gc()
    options.note(f"{count} objects deleted, {sizes.text(size)}")
