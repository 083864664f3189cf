"""Khoros in Bochs: a machine without keyboard and screen, whose serial line goes to a file."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guest import PATIENCE_SECONDS

SETTINGS = """
megs: 64
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
{drive}
com1: enabled=1, mode=file, dev={com1}
log: {log}
panic: action=fatal
display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=0
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
"""


def serial_output(folder: Path, drive: str, enough: Callable[[bytes], bool]) -> bytes:
    """What it has written on the serial line once that is `enough`. drive: the rows of its settings that say what it boots from."""
    program = shutil.which("bochs")
    if program is None or not Path("/usr/share/bochs/VGABIOS-lgpl-latest").exists():
        pytest.skip("bochs, bochsbios and vgabios are not installed")
    com1, log = folder / "com1", folder / "log"
    (folder / "bochsrc").write_text(SETTINGS.format(drive=drive, com1=com1, log=log))
    (folder / "continue").write_text("c\n")
    bochs = subprocess.Popen(
        [program, "-q", "-f", folder / "bochsrc", "-rc", folder / "continue"], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (com1.exists() and enough(com1.read_bytes())):
            assert time.monotonic() < deadline and bochs.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
    finally:
        bochs.kill()
        bochs.wait()
    return com1.read_bytes()
