"""Runs khoros-disk: `invoke` in this process (fast), `spawn` as a real program (streams, pipes, exit codes)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from khoros.diskutil import cli

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "khoros.diskutil.cli"]


class Result(NamedTuple):
    """What a run gave."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """stdout as text."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """stdout line by line."""
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        """stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr; AssertionError when it is not one line."""
        lines = self.err.decode().splitlines()
        assert len(lines) == 1, self.err.decode()
        return lines[0]


def invoke(*arguments: Any, stdin: bytes = b"") -> Result:
    """Run in this process."""
    with CliRunner().isolation(input=stdin) as streams:
        code = cli.run([str(word) for word in arguments])
        return Result(code, streams[0].getvalue(), streams[1].getvalue())


def good(*arguments: Any, stdin: bytes = b"") -> Result:
    """Run in this process; it must succeed."""
    result = invoke(*arguments, stdin=stdin)
    assert result.code == 0, result.err.decode()
    return result


def environment(**changes: str) -> dict[str, str]:
    """The environment of a spawned program."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "python"), **changes}


def spawn(*arguments: Any, stdin: bytes = b"", **changes: str) -> Result:
    """Run as a program of its own."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], input=stdin, capture_output=True,
                          env=environment(**changes), timeout=60, check=False)
    return Result(done.returncode, done.stdout, done.stderr)
