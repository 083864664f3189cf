"""A program that stands where QEMU should: for tests of what the launcher makes of QEMU's behaviour.

`install(folder, body)` writes `qemu-system-x86_64` into `folder`; `body` is Python that finds `arguments`, the
sockets `com1` and `com2` (when the launcher passed them), and `frame(kind, payload)`.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

# The interpreter's path may hold spaces, which a #! line cannot.
WRAPPER = """\
#!/bin/sh
exec '{python}' -I '{script}' "$@"
"""
PREAMBLE = """\
import os, re, signal, socket, sys, time
from khoros.diskutil.launch.frames import encode as frame
arguments = sys.argv[1:]
def port(name):
    for argument in arguments:
        if match := re.fullmatch(f"socket,id={name},fd=([0-9]+)", argument):
            return socket.socket(fileno=int(match[1]))
com1, com2 = port("com1"), port("com2")
"""


def install(folder: Path, body: str) -> Path:
    """Write the program; gives the folder, to be put in front of PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "qemu.py"
    script.write_text(PREAMBLE + textwrap.dedent(body))
    program = folder / "qemu-system-x86_64"
    program.write_text(WRAPPER.format(python=sys.executable, script=script))
    program.chmod(0o755)
    return folder
