"""`khoros-disk export`: a value as JSON or MessagePack, such that importing it gives the same value."""

from __future__ import annotations

import click

from .. import interchange, paths
from . import options
from .opening import open_image
from .output import write_output


@click.command("export")
@options.image_argument()
@click.argument("path", default=paths.ROOT)
@options.at_option()
@click.option("-o", "--output", metavar="FILE", help="Write to a file; it appears when it is whole.")
@click.option("--format", "form", type=click.Choice(["auto", "json", "msgpack"]), default="auto",
              show_default=True, help="auto: by the output's name, else JSON.")
@click.option("--compact", is_flag=True, help="JSON on one line.")
def command(image: str, path: str, at: str | None, output: str | None, form: str,
            compact: bool) -> None:
    """Write the value at PATH of IMAGE as JSON or MessagePack, to stdout or a file.

    What the form cannot hold (cycles, functions, in JSON also keys and strings that are no text) is refused by path.
    An empty table is written as an empty object.
    """
    if form == "auto":
        form = interchange.guess(output or "", b"{")
    with open_image(image, at=at) as opened:
        value = opened.at_path(path)
        where = paths.ROOT if path == paths.ROOT else path
        data = interchange.write(value, form, where, indent=None if compact else 2)
    write_output(output or "-", data)
