"""`khoros-disk mkfs`: make an empty store in a file, a partition or a block device."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from .. import creation, data_files, sizes, superblock
from .. import image as images
from ..creation import Created
from . import options


@click.command("mkfs")
@options.image_argument()
@click.option("-s", "--size", "size_bytes", type=options.Size(), help="Size of the image: 64M, 1.5G.")
@click.option("-L", "--label", help="A name for people, at most 64 bytes.")
@click.option("--uuid", help="Identity of the store; random without it.")
@click.option("--segment-size", "segment_bytes", type=options.Size(),
              help="Size of a segment: a power of two from 128K to 16M.")
@click.option("--append-sectors", type=click.Choice(["8", "1"]), default="8", show_default=True,
              help="Appends start on multiples of so many sectors.")
@click.option("-d", "--data", metavar="PATH",
              help="Fill it from a JSON or MessagePack file, or a folder of such files.")
@click.option("--bootable", is_flag=True, help="One disk that boots Khoros by itself and holds the store.")
@click.option("-f", "--force", is_flag=True, help="Replace what is there.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be made; write nothing.")
@options.json_option()
@options.color_option()
def command(image: str, size_bytes: int | None, label: str | None, uuid: str | None,
            segment_bytes: int | None, append_sectors: str, data: str | None, bootable: bool,
            force: bool, dry_run: bool, as_json: bool) -> None:
    """Make a store in IMAGE, empty or filled with data.

    -d: each file becomes a value under its name without .json or .msgpack, each folder a table, all in one transaction.
    --bootable: IMAGE is a disk with a GPT; GRUB for BIOS and UEFI and the kernel are on it, and the store has a
    partition.

    A file is made beside its place and renamed; it is sparse. With --uuid and SOURCE_DATE_EPOCH the same options give
    identical bytes. A file or partition that holds something is refused without -f.
    """
    values = None if data is None else data_files.read(data)
    fill = None if values is None else partial(_fill, values=values, source=str(data))
    made = creation.mkfs(image, size_bytes, label=label, uuid=uuid, segment_bytes=segment_bytes,
                         append_sectors=int(append_sectors), force=force, dry_run=dry_run,
                         bootable=bootable, fill=fill)
    if as_json:
        options.print_json(options.document(
            "mkfs", dry_run=dry_run, bootable=bootable, names=sorted(values or {}), **_facts(made)))
        return
    facts = _facts(made)
    click.echo(f"{'would make' if dry_run else 'made'} {image}")
    click.echo(f"uuid      {facts['uuid']}")
    if facts["label"]:
        click.echo(f"label     {facts['label']}")
    click.echo(f"size      {sizes.text(made.size_bytes)} ({made.size_bytes} bytes)")
    click.echo(f"segments  {facts['segment_count']} of {sizes.text(facts['segment_bytes'])}, "
               f"appends on {sizes.text(facts['append_bytes'])}")
    if bootable:
        click.echo(f"boots     the store is the partition at byte {made.base}")
    if values:
        click.echo(f"holds     {len(values)} name{'s' if len(values) != 1 else ''} from {data}")


def _fill(path: str, values: dict[str, Any], source: str) -> None:
    with images.open(path, "r+") as image:
        for name, value in values.items():
            image.root[name] = value
        image.commit(f"mkfs -d {source}")


def _facts(made: Created) -> dict[str, Any]:
    block = made.superblock
    return {"image": made.path, "uuid": str(made.uuid), "label": superblock.label(block),
            "size_bytes": made.size_bytes, "offset_bytes": made.base,
            "segment_count": block.segment_count, "segment_bytes": block.segment_sectors * 512,
            "append_bytes": block.append_sectors * 512}
