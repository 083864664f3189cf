"""`khoros-disk cat`: a value, in Lua notation, as JSON, or a string as it is."""

from __future__ import annotations

import click

from .. import paths, render
from . import options
from .opening import open_image


@click.command("cat")
@options.reading_options()
@click.argument("path", default=paths.ROOT)
@options.at_option()
@click.option("--depth", type=click.IntRange(1), default=100, show_default=True,
              help="How many tables deep to show.")
@click.option("--raw", is_flag=True, help="A string's bytes and nothing else.")
def command(image: str, path: str, at: str | None, depth: int, raw: bool, as_json: bool) -> None:
    """Show the value at PATH (root.ship.crew[2]) of IMAGE.

    Tables in Lua notation, each written out once; strings as they are. --json prints one JSON value: what JSON has no
    form for is marked by a key that begins with $.
    """
    with open_image(image, at=at) as opened:
        value = opened.at_path(path)
        if raw:
            if not isinstance(value, str | bytes):
                raise click.UsageError(f"{path} is a {render.type_name(value)}; --raw is for strings")
            options.print_bytes(value.encode() if isinstance(value, str) else value)
        elif as_json:
            options.print_json(render.to_json(value, path))
        elif isinstance(value, str) and (value.isprintable() or "\x1b" not in value):
            click.echo(value)
        else:
            click.echo(render.to_text(value, path, depth))
