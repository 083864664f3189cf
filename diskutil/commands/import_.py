"""`khoros-disk import`: bring a JSON or MessagePack file into a store, in one transaction."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .. import interchange
from . import options
from .opening import open_image
from .put import find_parent, read_file


@click.command("import")
@options.image_argument()
@click.argument("file")
@click.option("--as", "name", metavar="NAME", help="Name or path; without it the file's own name.")
@click.option("--format", "form", type=click.Choice(["auto", "json", "msgpack"]), default="auto",
              show_default=True, help="auto: by the name's end, else by the first byte.")
@click.option("--lossy", is_flag=True, help="Leave out nulls, make integers above 64 bits floats.")
@options.message_option("")
def command(image: str, file: str, name: str | None, form: str, lossy: bool, message: str) -> None:
    """Bring FILE (- for stdin) into IMAGE as NAME and commit.

    Every list and every object becomes a table of its own. What a table cannot hold (null, integers above 64 bits) is
    refused by path, and nothing is written.
    """
    data = sys.stdin.buffer.read() if file == "-" else read_file(file)
    if name is None:
        if file == "-":
            raise click.UsageError("Say --as NAME for what comes from stdin.")
        name = Path(file).stem
    value = interchange.read(data, file, interchange.guess(file, data) if form == "auto" else form,
                             lossy=lossy)
    with open_image(image, "r+") as opened:
        table, key = find_parent(opened, name)
        table[key] = value
        done = opened.commit(message or f"import {file} as {name}")
    options.note(str(done) if done else "unchanged")
