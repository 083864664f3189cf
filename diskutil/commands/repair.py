"""`khoros-disk repair`: a new, whole image of everything that a damaged one still holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from khoros.formats import constants as C

from .. import check, creation, entries, frames, reader, rebuilding, superblock
from ..device import Device, FileDevice
from ..errors import UsageError, one_line
from ..mending import Mending
from ..rebuilding import Plan
from ..salvage import Salvage, Store, salvage
from . import options
from .progress import progress_line

_SHOWN_MAX = 50
_NOTHING_LOST, _SOMETHING_LOST = 0, 1


class Epoch(click.ParamType):
    """A store's epoch, in hexadecimal as `dump` shows it."""

    name = "EPOCH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            return int(str(value), 16)
        except ValueError:
            self.fail(f"{value!r} is no hexadecimal number", param, ctx)


@click.command("repair")
@options.image_argument()
@click.argument("target")
@click.option("-s", "--size", "size_bytes", type=options.Size(),
              help="Size of TARGET; that of IMAGE without it.")
@click.option("--epoch", type=Epoch(), help="Which store, when there are traces of several.")
@click.option("-f", "--force", is_flag=True, help="Replace what TARGET holds.")
@options.json_option()
@options.color_option()
def command(image: str, target: str, size_bytes: int | None, epoch: int | None, force: bool,
            as_json: bool) -> int:
    """Write a new image TARGET with every object of IMAGE that is intact. IMAGE is only read.

    Works without superblocks, index, or any part of the log: each sector is searched. An object whose last version is lost
    comes back as the newest older one; objects that only lost ones led to are in root["lost+found"]. The state is the newest;
    history and snapshots are not carried over. Exit code 0: nothing was lost, 1: something was.
    """
    if Path(target).exists() and Path(image).exists() and Path(target).samefile(image):
        raise UsageError(file=target, what="the image to be repaired is never written to",
                         advice="name another file")
    device = FileDevice(image)
    try:
        with progress_line() as progress:
            found, stores = salvage(device, epoch, progress)
            mended = Mending(found)
            progress("writing", 0, 0)
            rebuilding.write_image(target, _plan(found, mended, device, size_bytes), mended.items(),
                                   f"repaired from {Path(image).name}", force=force)
            progress("checking", 0, 0)
            errors = _check(target)
    finally:
        device.close()
    facts = _facts(found, mended, errors)
    if as_json:
        options.print_json(options.document("repair", image=image, target=target, **facts,
                                            older=found.older, lost=found.lost, notes=mended.notes))
    else:
        _print(target, found, mended, facts, stores)
    return _SOMETHING_LOST if _is_less(found, mended) or errors else _NOTHING_LOST


def _is_less(found: Salvage, mended: Mending) -> bool:
    """Whether something that the store held is not in the result, as far as can be known."""
    return bool(found.lost or found.older or found.missing_frames or mended.notes)


def _plan(found: Salvage, mended: Mending, device: Device, size_bytes: int | None) -> Plan:
    """Like the old store as far as a superblock tells, else as large, with segments that hold every object."""
    block = found.store.newest
    if block is not None:
        return Plan(size_bytes or int(block.total_sectors) * C.SECTOR_BYTES,
                    int(block.segment_sectors) * C.SECTOR_BYTES, int(block.append_sectors),
                    mended.next_id, superblock.label(block), str(superblock.identity(block)))
    size = size_bytes or device.size - found.store.base
    longest = max((entries.size(pointer.payload_bytes) for pointer in found.pointers.values()), default=0)
    segment_bytes = int(creation.describe(size).segment_sectors) * C.SECTOR_BYTES
    while frames.HEADER_BYTES + longest > segment_bytes:
        segment_bytes *= 2
    return Plan(size, segment_bytes, C.BLOCK_SECTORS, mended.next_id)


def _check(target: str) -> int:
    """Errors that `check` finds in the new image."""
    store = reader.mount(target)
    try:
        return check.check(store).errors
    finally:
        store.close()


def _facts(found: Salvage, mended: Mending, errors: int) -> dict[str, Any]:
    return {"epoch": f"{found.store.epoch:016x}", "superblocks": len(found.store.superblocks),
            "frames": found.log.frame_count, "index": _index_text(found),
            "transaction": max([found.log.transaction, *(int(b.replay_transaction) for b in (
                found.store.superblocks))]),
            "objects": len(found.pointers), "older_count": len(found.older),
            "missing_frames": found.missing_frames, "lost_count": len(found.lost), "lost_and_found": mended.in_lost_and_found,
            "check_errors": errors}


def _index_text(found: Salvage) -> str:
    if found.base is None:
        return "lost"
    return "damaged" if found.base.unknown else "whole"


def _print(target: str, found: Salvage, mended: Mending, facts: dict[str, Any],
           stores: list[Store]) -> None:
    click.echo(f"found {facts['superblocks']} superblock copies, {facts['frames']} frames of the log, "
               f"index {facts['index']}")
    for other in stores:
        if other is not found.store and other.frames:
            click.echo(f"also traces of another store: {len(other.frames)} frames "
                       f"(--epoch {other.epoch:016x})")
    click.echo(f"made {target}: {facts['objects']} objects as of t{facts['transaction']}")
    _list("parts of the log are missing; what changed in them is not known",
          [f"frames {first} to {last}" for first, last in found.missing_frames])
    _list("came back as an older version", [f"object {identity}" for identity in found.older])
    _list("lost", [f"object {identity}" for identity in found.lost])
    _list("mended", [one_line(note) for note in mended.notes])
    if mended.in_lost_and_found:
        click.echo(f"{mended.in_lost_and_found} objects are in root[\"lost+found\"]")
    if facts["check_errors"]:
        click.echo(f"check finds {facts['check_errors']} errors in {target}")
    if not _is_less(found, mended) and not facts["check_errors"]:
        click.echo("nothing was lost")


def _list(what: str, rows: list[str]) -> None:
    if rows:
        click.echo(f"{options.styled(f'{len(rows)} {what}', fg='yellow')}:")
        for row in rows[:_SHOWN_MAX]:
            click.echo(f"  {row}")
        if len(rows) > _SHOWN_MAX:
            click.echo(f"  … and {len(rows) - _SHOWN_MAX} more (--json lists all)")
