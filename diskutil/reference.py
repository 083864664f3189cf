"""Writes the tables of docs/disk.md: the commands, and the exit codes with the errors behind them.

`python -m khoros.diskutil.reference` rewrites them in the clone; `--check` writes nothing and exits 1 if they differ. A test
does so too, so that neither a command nor an error can come or go unnoticed.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path

import click

from . import cli
from .errors import exit_codes

_MARK = re.compile(r"<!-- table (?P<name>[^>]*?) -->\n.*?<!-- end -->", re.DOTALL)
_DOCUMENT = "docs/disk.md"
# What an exit code of errors stands for, in the words of people.
_MEANINGS = {
    1: "the image is not what it should be: no store, damaged, too new",
    2: "wrong use",
    3: "no such name or transaction",
    4: "in use by another program",
    5: "may not be written or overwritten",
    6: "no space",
    7: "the file or the device cannot be opened, read or written",
    8: "a value cannot be saved, exported or undone, which is said by its path",
    9: "the input file is not good",
    10: "bisect's test does not tell",
}
_PROGRAM = {
    0: "done",
    cli.EXIT_INTERNAL: "an error of the program itself; `--debug` shows where",
    cli.EXIT_INTERRUPTED: "interrupted by Ctrl-C",
    cli.EXIT_CLOSED_PIPE: "whoever read the output has gone, as after SIGPIPE",
}


def commands() -> str:
    """A row a command, with what it is called with."""
    rows = ["| command | what it does |", "|---|---|"]
    for name, (_, words) in cli.COMMANDS.items():
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command is not None
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
        rows.append(f"| `{name} {usage.removeprefix('[OPTIONS] ')}` | {words} |".replace(" | @", " \\| @"))
    return "\n".join(rows) + "\n"


def codes() -> str:
    """A row an exit code: what it stands for, and the words of `code` and the messages behind it."""
    rows = {number: f"| {number} | {words} | |" for number, words in _PROGRAM.items()}
    for number, errors in groupby(exit_codes(), key=lambda row: row[0]):
        texts = sorted({_beginning(message) for _, _, message in errors} - {""})
        rows[number] = f"| {number} | {_MEANINGS[number]} | {'; '.join(f'`{text}`' for text in texts)} |"
    head = ["| exit code | meaning | messages begin with |", "|---|---|---|"]
    return "\n".join(head + [rows[number] for number in sorted(rows)]) + "\n"


def _beginning(message: str) -> str:
    """A message up to its first blank."""
    return message.partition("{")[0].rstrip(" (:")


_TABLES = {"commands": commands, "exit codes": codes}


def document(text: str) -> str:
    """The document with its tables made anew. KeyError for a table that there is not."""
    def table(match: re.Match[str]) -> str:
        return f"<!-- table {match['name']} -->\n{_TABLES[match['name']]()}<!-- end -->"

    return _MARK.sub(table, text)


def main(arguments: list[str]) -> int:
    """Rewrite the document, or compare it with `--check`; 0, or 1 if it differs."""
    path = Path(__file__).resolve().parent.parent / _DOCUMENT
    before = path.read_text()
    after = document(before)
    if "--check" not in arguments:
        path.write_text(after)
        return 0
    if before != after:
        sys.stderr.write(f"{path} is not what the program gives: python -m khoros.diskutil.reference\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
