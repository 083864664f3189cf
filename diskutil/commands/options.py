"""Options and arguments that several commands share, and how commands print.

Promise: with `--json` only JSON is printed on stdout; colours follow --color, then NO_COLOR, then whether stdout is a
terminal; names that hold line breaks are escaped unless `-0` separates them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from .. import sizes
from ..errors import KhorosError, LimitError

JSON_FORMAT_VERSION = 1

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Size(click.ParamType):
    """`64M`, `1.5G`: bytes, 1024-based."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; a usage error for what is no size."""
        if isinstance(value, int):
            return value
        try:
            return sizes.parse(value)
        except KhorosError as error:
            self.fail(str(error), param, ctx)


def file_path() -> click.Path:
    """A path as it was typed. Whether it can be read is found out, and said, by who opens it."""
    return click.Path(path_type=str, readable=False)


def image_argument() -> Decorator:
    """IMAGE."""
    return click.argument("image", type=file_path())


def json_option() -> Decorator:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print only JSON.")


def color_option() -> Decorator:
    """--color; sets the context's colour, which click.echo obeys."""
    return click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto",
                        help="Colours in the output.", expose_value=False, callback=_set_color,
                        is_eager=True)


def message_option(default: str) -> Decorator:
    """-m MESSAGE of the transaction."""
    return click.option("-m", "--message", default=default, show_default=bool(default),
                        help="Message of the transaction.")


def at_option() -> Decorator:
    """--at TXN: the state of the past that a command shows."""
    return click.option("--at", metavar="TXN", help="As of a transaction (t4), or a snapshot's name.")


def reading_options() -> Decorator:
    """What every reading command has: IMAGE, --json, --color."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return image_argument()(json_option()(color_option()(function)))

    return decorate


def _set_color(ctx: click.Context, param: click.Parameter, value: str) -> None:
    if value == "always":
        ctx.color = True
    elif value == "never" or os.environ.get("NO_COLOR"):
        ctx.color = False


def print_json(value: Any, *, pretty: bool = False) -> None:
    """One JSON document and a line end on stdout. NaN and infinities do not occur in `value`."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2 if pretty else None, allow_nan=False)
    except RecursionError as error:
        raise LimitError(what="nested too deep for JSON") from error
    click.echo(text)


def document(kind: str, **fields: Any) -> dict[str, Any]:
    """A structured answer: what it is, the version of its form, and its fields."""
    return {"format_version": JSON_FORMAT_VERSION, "kind": kind, **fields}


def styled(text: str, **style: Any) -> str:
    """Text in a style; click.echo strips it where colours are not wanted."""
    return click.style(text, **style)


def print_bytes(data: bytes) -> None:
    """Raw bytes on stdout, after what was printed before."""
    sys.stdout.flush()
    stream = sys.stdout.buffer
    stream.write(data)
    stream.flush()


def note(text: str) -> None:
    """Talk: one line on stderr."""
    click.echo(text, err=True)
