"""The code blocks of a Markdown document, and how each is run and compared.

    ```python          runs in one namespace a document, one block after the other; an assertion is its test
    ```console         lines after `$ ` run in a shell; what follows is their output, `…` standing for anything in a line,
                       a line of `…` for any lines
    ```khoros          the same, and lines after `> ` (and `>> `) are typed in the guest; see tests/documents/machine.py
    ```lua title="F"   the file F, for the blocks after it; python blocks with a title likewise
    ```lua             rows that are typed in the guest, each of which must go well; what they answer is not shown
    ```sh              for commands that take too long, or would change the machine: they are parsed, not run
    ```text            what is no code: drawings, layouts, formats
All blocks of a document run in one folder, in order.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.testing import CliRunner

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>\w[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
TIMEOUT_SECONDS = 120
LANGUAGES = {"python", "console", "khoros", "lua", "sh", "text"}


class Block(NamedTuple):
    """One fenced block: its language, its text, the line on which the text begins, the file that it is or an empty string."""

    language: str
    text: str
    line: int
    title: str = ""


class Step(NamedTuple):
    """What is typed at a prompt, and the lines that are answered."""

    prompt: str
    command: str
    answer: list[str]


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document in order."""
    found = []
    for match in _FENCE.finditer(document):
        language, _, more = match["info"].partition(" ")
        title = _TITLE.search(more)
        margin = len(match["indent"])
        text = "".join(line[margin:] for line in match["text"].splitlines(keepends=True))
        found.append(Block(language, text, document.count("\n", 0, match.start()) + 2, title[1] if title else ""))
    return found


def without_blocks(document: str) -> str:
    """The prose of a document."""
    return _FENCE.sub("", document)


def steps(text: str, prompts: Sequence[str]) -> list[Step]:
    """The steps of a session; `>> ` continues an entry. Lines before the first prompt are an error of the document."""
    found: list[Step] = []
    for line in text.splitlines():
        prompt = next((prompt for prompt in prompts if line.startswith(prompt)), None)
        if prompt is not None:
            found.append(Step(prompt, line[len(prompt):], []))
        elif found and line.startswith(">> ") and found[-1].prompt == "> ":
            found[-1] = found[-1]._replace(command=found[-1].command + "\n" + line[3:])
        elif found:
            found[-1].answer.append(line)
        else:
            raise ValueError(f"a session must begin with one of {[*prompts]}, not {line!r}")
    return found


def matches(expected: list[str], found: list[str]) -> bool:
    """Whether lines are what a document says, `…` standing for anything."""
    pattern = "".join("(?:.*\n)*" if line.strip() == "…" else
                      ".*".join(map(re.escape, line.rstrip().split("…"))) + "\n"
                      for line in expected)
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in found)) is not None


def compare(step: Step, found: list[str]) -> None:
    """AssertionError unless what came is what the document says."""
    assert matches(step.answer, found), f"{step.prompt}{step.command}\nexpected {step.answer}\nfound    {found}"


_COMMANDS = {
    "khoros-disk": 'exec "{python}" -I -m khoros.diskutil.cli "$@"',
    "khoros": 'exec "{python}" -I -m khoros.diskutil.launch "$@"',
    # The clone's own disk is not for documents: what they call khoros.img stands in their folder.
    "./khoros": """case $1 in
        disk) shift; exec "{python}" -I -m khoros.diskutil.cli "$@" ;;
        run) case " $* " in *" --disk "* | *" --no-disk "*) ;; *) shift; set -- run --disk khoros.img "$@" ;; esac
             exec "{python}" -I -m khoros.diskutil.launch "$@" ;;
        *) exec "{clone}/khoros" "$@" ;;
        esac""",
}


def _environment(folder: Path) -> dict[str, str]:
    """PATH and folder have the commands of a clone and of an installed package, as this clone has them."""
    clone = Path(__file__).resolve().parents[2]
    commands = folder / ".commands"
    commands.mkdir(exist_ok=True)
    for name, body in _COMMANDS.items():
        script = folder / name if name.startswith("./") else commands / name
        script.write_text(f"#!/bin/sh\n{body.format(python=sys.executable, clone=clone)}\n")
        script.chmod(0o755)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "NO_COLOR": "1", "COLUMNS": "100"}


def run_command(step: Step, folder: Path) -> None:
    """Run one command of a console session in a folder; AssertionError with what came instead."""
    words = [] if re.search(r"[|&;<>$`*?~()]", step.command) else shlex.split(step.command)
    if words[:1] == ["khoros-disk"] or words[:2] == ["./khoros", "disk"]:
        return compare(step, _run_disk(words[1 if words[0] == "khoros-disk" else 2:], folder))
    done = subprocess.run(step.command, shell=True, cwd=folder, env=_environment(folder), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=TIMEOUT_SECONDS)
    compare(step, done.stdout.expandtabs().splitlines())


def _run_disk(words: list[str], folder: Path) -> list[str]:
    """khoros-disk in this process, which spares the start of a Python."""
    from khoros.diskutil import cli

    runner = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "100"})
    with contextlib.chdir(folder), runner.isolation() as streams:
        cli.run(words)
        return streams[2].getvalue().decode().expandtabs().splitlines()


def run_console(text: str, folder: Path) -> None:
    """Run a console session in a folder."""
    for step in steps(text, ["$ "]):
        run_command(step, folder)


def run_python(block: Block, name: str, namespace: dict[str, Any]) -> None:
    """Run a Python block; its failures point into the document."""
    code = compile("\n" * (block.line - 1) + block.text, name, "exec")
    exec(code, namespace)


def write_file(block: Block, folder: Path) -> None:
    """A block with a title is a file."""
    assert ".." not in Path(block.title).parts and not Path(block.title).is_absolute(), block.title
    place = folder / block.title
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(block.text)


def parse_shell(text: str) -> None:
    """Commands that are not run: the shell can read them, and those of ours exist with the options that are given."""
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["./khoros", "disk"] or words[:1] == ["khoros-disk"]:
            from khoros.diskutil.cli import cli as disk

            _parse_click(disk, words[2 if words[0] == "./khoros" else 1:])
        elif words[:1] in (["./khoros"], ["khoros"]) and words[1:2] in (["run"], ["debug"]):
            from khoros.diskutil.launch.cli import cli as launch

            _parse_click(launch, words[1:])


def _parse_click(group: Any, words: list[str]) -> None:
    """click.UsageError unless the command and its options are known."""
    words = words[: words.index("--")] if "--" in words and words[0] in ("run", "debug") else words
    context = click.Context(group)
    name, command, arguments = group.resolve_command(context, words)
    with command.make_context(name, list(arguments), parent=context):
        pass
