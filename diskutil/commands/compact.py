"""`khoros-disk compact`: give up history and garbage, and make the file as small as what it holds."""

from __future__ import annotations

import click

from .. import sizes
from ..compaction import compact
from . import options


@click.command("compact")
@options.image_argument()
@click.option("--keep-garbage", is_flag=True, help="Leave objects that nothing refers to.")
def command(image: str, keep_garbage: bool) -> None:
    """Make IMAGE small, in place: delete garbage, give up all history before now (snapshots stay), move what is left together,
    and give the free space of the file back to the host.

    May be interrupted at any moment; the store is whole then, and compact can be run again.
    """
    before, after = compact(image, keep_garbage=keep_garbage)
    options.note(f"{sizes.text(before)} on the host before, {sizes.text(after)} now")
