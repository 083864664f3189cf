"""`khoros-disk backup`: a verified copy of an image with its history, incremental onto an earlier one."""

from __future__ import annotations

import click

from .. import backup, sizes
from . import options
from .progress import progress_line


@click.command("backup")
@options.image_argument()
@click.argument("target")
@click.option("-f", "--force", is_flag=True, help="Replace what TARGET holds.")
@options.json_option()
@options.color_option()
def command(image: str, target: str, force: bool, as_json: bool) -> None:
    """Copy IMAGE with its history to TARGET, an image of its own: to restore, copy it back.

    IMAGE may be open in a running machine: the copy is as of the last transaction that was whole when it was begun. Onto an
    earlier backup only what changed is written. The result is verified before it takes TARGET's place; until then TARGET
    stays as it was (so that there must be room for both). Of a damaged image nothing is written.
    """
    with progress_line() as progress:
        done = backup.backup(image, target, force=force, progress=progress)
    if as_json:
        options.print_json(options.document("backup", image=image, target=target, **done._asdict()))
        return
    oldest = f", history from t{done.oldest_transaction}" if done.oldest_transaction else ""
    click.echo(f"{'updated' if done.incremental else 'made'} {target}: t{done.transaction}{oldest}, "
               f"{done.segments} segments, {done.copied} copied, {sizes.text(done.bytes_written)} written, "
               "verified")
