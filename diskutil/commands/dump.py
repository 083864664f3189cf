"""`khoros-disk dump`: every structure on disk, whether good or bad, and what any byte means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import click

from .. import image as images
from .. import partition, reader
from ..device import FileDevice
from ..dumping import Dump, Row
from ..errors import NotFound, UsageError
from ..places import Places
from ..values import LuaObject, LuaTable
from . import options

_HEX_WIDTH = 16


@click.command("dump")
@options.reading_options()
@click.argument("what", required=False, metavar="[PATH | @OFFSET]")
@options.at_option()
@click.option("--hex", "as_hex", is_flag=True, help="Bytes beside their meaning.")
@click.option("--raw", is_flag=True, help="The bytes of the structure at PATH or @OFFSET, nothing else.")
@click.option("--head", is_flag=True, help="Superblocks, segments and frames; no entries.")
@click.option("-a", "--all", "all_segments", is_flag=True, help="Free segments, too.")
def command(image: str, what: str | None, at: str | None, as_hex: bool, raw: bool, head: bool,
            all_segments: bool, as_json: bool) -> int:
    """Show every structure of IMAGE, from superblocks to entries: place, kind, numbers, length, checksum.

    PATH (root.ship) shows the entry of that table, @OFFSET (a byte of the file, @0x… in hexadecimal) the structures
    that contain it. What is bad is shown as bad, the next good record is searched, and the exit code is 1.
    """
    if raw and what is None:
        raise click.UsageError("--raw needs a PATH or an @OFFSET.")
    if at is not None and (what is None or what.startswith("@")):
        raise click.UsageError("--at needs a PATH.")
    device = reader.open_device(image)
    try:
        dump = Dump(device)
        if dump.problem is not None:
            options.note(f"khoros-disk: {dump.problem}")
        marked, place = None, ""
        if what is None:
            rows: Iterable[Row] = dump.rows(all_segments)
        elif what.startswith("@"):
            marked = _offset(what) - device.base
            rows, place = _at(dump, device, marked)
        else:
            rows = _of_path(dump, image, what, at)
        bad = _print(rows, _Form(device.base, as_hex, raw, head, as_json, marked, place))
    finally:
        device.close()
    return 1 if bad or dump.problem is not None else 0


class _Form(NamedTuple):
    """How rows are printed. `marked` is the byte that was asked for, `place` what it is besides."""

    base: int
    as_hex: bool
    raw: bool
    head: bool
    as_json: bool
    marked: int | None
    place: str


def _offset(what: str) -> int:
    try:
        return int(what[1:], 0)
    except ValueError:
        raise UsageError(what=f"not an offset: {what}", advice="write @4096 or @0x1000") from None


def _at(dump: Dump, device: FileDevice, offset: int) -> tuple[list[Row], str]:
    """The structures around a byte, and what it is besides what they say."""
    absolute = offset + device.base
    if not 0 <= absolute < device.file_size:
        raise NotFound(file=device.name, name=f"byte {absolute}",
                       advice=f"the file has bytes 0 to {device.file_size - 1}")
    if not 0 <= offset < device.size:
        whole = FileDevice(device.name)
        try:
            return [], f"outside of the store: {partition.describe_byte(whole, absolute)}"
        finally:
            whole.close()
    rows, place = dump.at(offset)
    standing = dump.standing(rows[-1]) if rows else ""
    if standing.endswith("as it is now"):
        standing += _path_of(dump, rows[-1].id)
    return rows, place or standing


def _path_of(dump: Dump, identity: int) -> str:
    """By which path the root leads to an object; empty if it does not."""
    assert dump.store is not None
    places = Places(images.Image(dump.store, "r"), {identity}, bad=lambda bad_id, error: None)
    owner = places.owner(identity)
    if owner is None:
        return ", which nothing leads to"
    return f": {'' if owner == identity else 'a part of '}{places.path(owner)}"


def _of_path(dump: Dump, image: str, path: str, at: str | None) -> list[Row]:
    """The rows around the entry that holds the table at a path."""
    with images.open(image) as now:
        opened = now if at is None else now.at(at)
        value = opened.at_path(path)
        identity = value.id if isinstance(value, LuaTable | LuaObject) else None
        if identity is None:
            raise UsageError(file=image, what=f"{path} is no table",
                             advice="it stands in the entry of the table around it")
        pointer = opened.store.pointer(identity)
    if pointer is None:
        raise NotFound(file=image, name=path, advice="the root was never committed")
    return dump.at(pointer.offset)[0]


def _print(rows: Iterable[Row], form: _Form) -> bool:
    """Print rows; whether any was bad."""
    bad = False
    facts: list[dict[str, Any]] = []
    last: Row | None = None
    for row in rows:
        bad = bad or bool(row.bad)
        if form.head and row.level == "entry":
            continue
        if form.as_json:
            facts.append(_fact(row, form.base, form.as_hex))
        elif form.raw:
            last = row
        else:
            _print_row(row, form.base, form.as_hex, form.marked)
    if form.as_json:
        place = {} if form.marked is None else {"place": form.place}
        options.print_json(options.document("dump", structures=facts, **place))
    elif last is not None:
        options.print_bytes(last.data)
    elif form.place:
        click.echo(f"byte {(form.marked or 0) + form.base}: {form.place}")
    return bad


def _print_row(row: Row, base: int, as_hex: bool, marked: int | None) -> None:
    crcs = "".join(_crc_text(*crc) for crc in row.crcs)
    text = f"{row.text}{',' if row.text and crcs else ''}{crcs}"
    title = options.styled(row.title, bold=row.level != "entry")
    line = f"{row.offset + base:#012x}  {'  ' * row.depth}{title}  {text}".rstrip()
    if row.bad:
        line += options.styled(f"  BAD: {row.bad}", fg="red")
    click.echo(line)
    if as_hex:
        _print_hex(row, base)
    elif marked is not None:
        _print_marked(row, base, marked)


def _crc_text(name: str, stated: int, computed: int) -> str:
    verdict = "match" if stated == computed else f"BAD, computed {computed:#010x}"
    return f" {name} {stated:#010x} [{verdict}]"


def _print_hex(row: Row, base: int) -> None:
    for part in row.parts():
        data = row.data[part.offset : part.offset + part.length]
        if len(data) > 2 * _HEX_WIDTH and not any(data):
            at = row.offset + base + part.offset
            click.echo(f"  {at:#012x}  {f'{len(data)} zeros':<{3 * _HEX_WIDTH - 1}}  {part.name} = {part.text}")
            continue
        for start in range(0, max(len(data), 1), _HEX_WIDTH):
            chunk = data[start : start + _HEX_WIDTH].hex(" ")
            meaning = f"{part.name} = {part.text}" if start == 0 else ""
            at = row.offset + base + part.offset + start
            click.echo(f"  {at:#012x}  {chunk:<{3 * _HEX_WIDTH - 1}}  {meaning}".rstrip())


def _print_marked(row: Row, base: int, marked: int) -> None:
    """The one part of a row that holds the byte that was asked for."""
    for part in row.parts():
        start = row.offset + part.offset
        if start <= marked < start + part.length:
            data = row.data[part.offset : part.offset + part.length]
            click.echo(f"{start + base:#012x}  {'  ' * (row.depth + 1)}{part.name} = {part.text}"
                       f"  ({part.length} bytes: {data[:_HEX_WIDTH].hex(' ')}"
                       f"{' …' if len(data) > _HEX_WIDTH else ''})")


def _fact(row: Row, base: int, as_hex: bool) -> dict[str, Any]:
    fact: dict[str, Any] = {
        "offset": row.offset + base, "length": row.length, "level": row.level, "what": row.title,
        "text": row.text, "good": not row.bad,
        "crcs": [{"name": name, "stated": stated, "match": stated == computed}
                 for name, stated, computed in row.crcs],
    }
    if row.bad:
        fact["bad"] = row.bad
    if as_hex:
        fact["parts"] = [{"offset": row.offset + base + part.offset, "length": part.length,
                          "name": part.name, "text": part.text,
                          "hex": row.data[part.offset : part.offset + part.length].hex()}
                         for part in row.parts()]
    return fact
