"""`khoros-disk put`: set one value, in one transaction."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .. import interchange, paths
from ..errors import BadInput, CannotStore, UsageError
from ..image import Image
from ..ordered import LuaMap
from ..values import LuaTable
from . import options
from .opening import open_image


@click.command("put")
@options.image_argument()
@click.argument("path")
@click.argument("value", required=False)
@click.option("-f", "--file", "source", help="Take the bytes of a file (- for stdin) as a string.")
@click.option("-t", "--type", "kind", type=click.Choice(["auto", "json", "string"]), default="auto",
              show_default=True, help="How to read VALUE; auto: JSON if it is, else a string.")
@click.option("-p", "--parents", is_flag=True, help="Make the tables on the way.")
@options.message_option("")
def command(image: str, path: str, value: str | None, source: str | None, kind: str, parents: bool,
            message: str) -> None:
    """Set the value at PATH (root.ship.fuel) of IMAGE to VALUE and commit.

    7, 1.5, true, "text", [1, 2] and {"a": 1} are read as JSON; other words are a string.
    """
    data = _value(value, source, kind)
    with open_image(image, "r+") as opened:
        table, key = find_parent(opened, path, parents)
        table[key] = data
        done = opened.commit(message or f"put {path}")
    options.note(str(done) if done else "unchanged")


def _value(value: str | None, source: str | None, kind: str) -> Any:
    if (value is None) == (source is None):
        raise click.UsageError("Give either VALUE or --file.")
    if source is not None:
        return sys.stdin.buffer.read() if source == "-" else read_file(source)
    assert value is not None
    if kind == "string":
        return value.encode("utf-8", "surrogateescape")
    try:
        return interchange.from_json(value.encode("utf-8", "surrogateescape"), "value")
    except (BadInput, CannotStore):
        if kind == "json" or value[:1] in ("{", "[", '"'):
            raise
        return value.encode("utf-8", "surrogateescape")


def read_file(name: str) -> bytes:
    """A file's bytes; OSError is reported by the program."""
    return Path(name).read_bytes()


def find_parent(opened: Image, path: str, parents: bool = False) -> tuple[LuaTable | LuaMap, Any]:
    """The table that holds the last part of a path, and that part. Makes tables on the way if asked."""
    keys = paths.parse(path)
    if not keys:
        raise UsageError(what="the root itself cannot be replaced", advice="name something in it")
    table: Any = opened.root
    where = paths.ROOT
    for key in keys[:-1]:
        where = paths.text(where, key)
        if parents and isinstance(table, LuaTable) and key not in table:
            table[key] = {}
        table = opened.at_path(where)
        if not isinstance(table, LuaTable | LuaMap):
            raise UsageError(file=opened.path, what=f"{where} is no table")
    return table, keys[-1]
