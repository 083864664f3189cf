"""`khoros-disk ls`: the names in a table, in the store's stable order."""

from __future__ import annotations

from typing import Any

import click

from .. import entries, paths, render
from ..convert import shape
from ..errors import NotFound
from ..ordered import LuaMap
from ..origins import Origins
from ..reader import Store
from ..values import LuaTable
from . import options
from .log import time_text
from .opening import open_image


@click.command("ls")
@options.reading_options()
@click.argument("path", default=paths.ROOT)
@options.at_option()
@click.option("-l", "--long", "long_form", is_flag=True, help="Type, id, bytes, transaction, time, value, too.")
@click.option("-0", "--null", is_flag=True, help="End names with a zero byte, unescaped.")
def command(image: str, path: str, at: str | None, long_form: bool, null: bool,
            as_json: bool) -> None:
    """List the names in a table of IMAGE: the root, or the one at PATH (root.ship.crew).

    One name a line, in the store's order: booleans, numbers, strings by their bytes. -l: bytes are those of an object's
    entry; transaction and time of its last change are - where they are not known any more. What stands in its table
    has neither.
    """
    with open_image(image, at=at) as opened:
        table = opened.at_path(path)
        if not isinstance(table, LuaTable | LuaMap):
            raise NotFound(file=image, name=f"{path} is a {render.type_name(table)}, no table",
                           advice=f"use cat {image} {path}")
        origins = Origins(opened.store) if long_form or as_json else None
        if as_json:
            options.print_json(options.document(
                "ls", path=path, transaction=opened.transaction,
                names=[_fact(key, value, opened.store, origins) for key, value in table.items()]))
            return
        for key, value in table.items():
            if null:
                options.print_bytes(_raw(key) + b"\0")
            else:
                click.echo(_line(key, value, opened.store, origins))


def _facts_of(value: Any, store: Store, origins: Origins) -> dict[str, Any]:
    """id, bytes of the entry, transaction and time of an object; nothing for what stands in its table."""
    identity = getattr(value, "id", None)
    if identity is None:
        return {}
    pointer = store.pointer(identity)
    found = origins.of(pointer)
    return {"id": identity, "bytes": entries.size(pointer.payload_bytes) if pointer else 0,
            "transaction": found.record.transaction if found else None,
            "time": time_text(found.record.time) if found else None}


def _fact(key: Any, value: Any, store: Store, origins: Origins | None) -> dict[str, Any]:
    assert origins is not None
    fact = {"name": {"$id": key.id} if isinstance(key, LuaTable) else render.scalar_json(key),
            "type": render.type_name(value), **_facts_of(value, store, origins)}
    if isinstance(value, LuaTable):
        fact |= {"keys": len(value), "shape": shape(value)}
    elif isinstance(value, LuaMap):
        fact |= {"keys": len(value), "shape": "map"}
    return fact


def _raw(key: Any) -> bytes:
    if isinstance(key, bytes):
        return key
    return key.encode() if isinstance(key, str) else render.name_text(key).encode()


def _line(key: Any, value: Any, store: Store, origins: Origins | None) -> str:
    name = _colored(render.name_text(key), value)
    if origins is None:
        return name
    facts = _facts_of(value, store, origins)
    number = facts.get("transaction")
    return (f"{render.type_name(value):<8} {facts.get('id', '-'):>8} {facts.get('bytes', '-'):>7} "
            f"{'-' if number is None else f't{number}':>7} {facts.get('time') or '-':<19}  {name}  "
            f"{render.preview(value)}")


def _colored(name: str, value: Any) -> str:
    return options.styled(name, fg="blue", bold=True) if isinstance(value, LuaTable | LuaMap) else name
