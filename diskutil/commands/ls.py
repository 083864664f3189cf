"""`khoros-disk ls`: the names in a table, in the store's stable order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from .. import image as images
from .. import paths, render
from ..convert import shape
from ..errors import NotFound
from ..ordered import LuaMap
from ..values import LuaTable
from . import options
from .opening import open_image


@click.command("ls")
@options.reading_options()
@click.argument("path", default=paths.ROOT)
@options.at_option()
@click.option("-l", "--long", "long_form", is_flag=True, help="Type, id and value too.")
@click.option("-0", "--null", is_flag=True, help="End names with a zero byte, unescaped.")
def command(image: str, path: str, at: str | None, long_form: bool, null: bool,
            as_json: bool) -> None:
    """List the names in a table of IMAGE: the root, or the one at PATH (root.ship.crew).

    One name a line, in the store's order: booleans, numbers, strings by their bytes.
    """
    with open_image(image, at=at) as opened:
        table = opened.at_path(path)
        if not isinstance(table, LuaTable | LuaMap):
            raise NotFound(file=image, name=f"{path} is a {render.type_name(table)}, no table",
                           advice=f"use cat {image} {path}")
        if as_json:
            options.print_json(options.document(
                "ls", path=path, transaction=opened.transaction,
                names=[_fact(key, value) for key, value in _rows(table, opened)]))
            return
        for key, value in _rows(table, opened):
            _print(key, value, long_form, null)


def _rows(table: LuaTable | LuaMap, opened: images.Image) -> Iterator[tuple[Any, Any]]:
    for key in table:
        yield key, table[key]


def _fact(key: Any, value: Any) -> dict[str, Any]:
    fact = {"name": render.scalar_json(key) if not isinstance(key, LuaTable) else {"$id": key.id},
            "type": render.type_name(value)}
    if isinstance(value, LuaTable):
        fact |= {"id": value.id, "keys": len(value), "shape": shape(value)}
    elif isinstance(value, LuaMap):
        fact |= {"id": value.id, "keys": len(value), "shape": "map"}
    return fact


def _print(key: Any, value: Any, long_form: bool, null: bool) -> None:
    if null:
        raw = key.encode() if isinstance(key, str) else key if isinstance(key, bytes) else (
            render.name_text(key).encode())
        options.print_bytes(raw + b"\0")
        return
    name = render.name_text(key)
    if long_form:
        identity = str(getattr(value, "id", None) or "-")
        kind = render.type_name(value)
        click.echo(f"{kind:<8} {identity:>8}  {_colored(name, value)}  {render.preview(value)}")
    else:
        click.echo(_colored(name, value))


def _colored(name: str, value: Any) -> str:
    return options.styled(name, fg="blue", bold=True) if isinstance(value, LuaTable | LuaMap) else name
