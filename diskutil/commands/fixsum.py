"""`khoros-disk fixsum`: make all checksums of an image right after a hand edit, for fuzzers and tests."""

from __future__ import annotations

import click

from .. import checksums, reader, sizes
from . import options


@click.command("fixsum")
@options.image_argument()
@click.option("-n", "--dry-run", is_flag=True, help="Only say which are wrong.")
@options.json_option()
@options.color_option()
def command(image: str, dry_run: bool, as_json: bool) -> None:
    """Make every checksum of IMAGE right, in place: an edit then reaches what stands behind the checksums.

    This hides damage and mends nothing: for an image that was damaged there is repair. Lengths are believed, so edit them
    and what follows them together.
    """
    device = reader.open_device(image, writable=not dry_run)
    try:
        changed = checksums.mend(device, write=not dry_run)
    finally:
        device.close()
    if as_json:
        options.print_json(options.document("fixsum", image=image, dry_run=dry_run, changed=dict(changed)))
        return
    for what, count in sorted(changed.items()):
        click.echo(f"{what}: {count}")
    if not changed:
        click.echo(f"{image}: all checksums are right")
    elif not dry_run:
        options.note(f"{sizes.count(changed.total(), 'checksum')} made right")
