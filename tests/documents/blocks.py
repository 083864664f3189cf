"""The code blocks of a Markdown document, and how each is run and compared.

    ```python          runs in one namespace a document, one block after the other; an assertion is its test
    ```console         lines after `$ ` run in a shell; what follows is their output, `…` standing for anything in a line,
                       a line of `…` for any lines
    ```khoros          lines after `> ` are typed in the guest; what follows is what it answers, likewise
Blocks of other languages are not run. All blocks of a document run in one folder, in order.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMEOUT_SECONDS = 120


class Block(NamedTuple):
    """One fenced block: its language, its text, the line on which the text begins."""

    language: str
    text: str
    line: int


class Step(NamedTuple):
    """One command of a session and the lines that it answers."""

    command: str
    answer: list[str]


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document in order."""
    return [Block(m.group(1), m.group(2), document.count("\n", 0, m.start()) + 2)
            for m in _FENCE.finditer(document)]


def steps(text: str, prompt: str) -> list[Step]:
    """The commands of a session. Lines before the first prompt are an error of the document."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith(prompt):
            found.append(Step(line[len(prompt):], []))
        elif found:
            found[-1].answer.append(line)
        else:
            raise ValueError(f"a session must begin with {prompt!r}, not {line!r}")
    return found


def matches(expected: list[str], found: list[str]) -> bool:
    """Whether lines are what a document says, `…` standing for anything."""
    pattern = "".join("(?:.*\n)*" if line.strip() == "…" else
                      ".*".join(map(re.escape, line.rstrip().split("…"))) + "\n"
                      for line in expected)
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in found)) is not None


def run_console(text: str, folder: Path) -> None:
    """Run a console session in a folder; AssertionError with what came instead."""
    scripts = Path(sys.executable).parent
    commands = folder / ".commands"
    commands.mkdir(exist_ok=True)
    for name, module in (("khoros-disk", "khoros.diskutil.cli"), ("khoros", "khoros.diskutil.launch")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -m {module} "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{commands}:{scripts}:{os.environ['PATH']}", "NO_COLOR": "1",
                                "COLUMNS": "100"}
    for step in steps(text, "$ "):
        done = subprocess.run(step.command, shell=True, cwd=folder, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=TIMEOUT_SECONDS)
        found = done.stdout.splitlines()
        assert matches(step.answer, found), f"$ {step.command}\nexpected {step.answer}\nfound {found}"


def run_python(block: Block, name: str, namespace: dict[str, Any]) -> None:
    """Run a Python block; its failures point into the document."""
    code = compile("\n" * (block.line - 1) + block.text, name, "exec")
    exec(code, namespace)
