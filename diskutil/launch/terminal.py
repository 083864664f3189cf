"""The interactive machine: QEMU gets this terminal as the guest's serial console.

Promise: the terminal is as it was before, however QEMU or the launcher ends (QEMU restores it itself only when it
ends in good order).
"""

from __future__ import annotations

import os
import subprocess
import sys
import termios
import threading

from khoros.diskutil.launch import process, typing
from khoros.diskutil.launch.errors import LaunchError
from khoros.diskutil.launch.machine import Machine


def run(machine: Machine, *, headless: bool = False) -> int:
    """Boot `machine` on this terminal until it is off. Gives 0; raises LaunchError when QEMU fails.

    Headless, nothing is read from the terminal and the guest's output is only written. An input that is no terminal is typed.
    """
    saved = _terminal_state()
    typed = saved is None and not headless
    qemu = process.start(
        machine.command(),
        stdin=subprocess.DEVNULL if headless else subprocess.PIPE if typed else None,
        stdout=subprocess.PIPE if typed else None,
        own_session=headless,
    )
    try:
        typist = typing.Typist(qemu) if typed else None
        complaints = _wait(qemu)
        if typist is not None:
            typist.finish()
    finally:
        process.stop(qemu)
        _restore(saved)
    if qemu.returncode != 0:
        raise LaunchError(process.explain(qemu.returncode, complaints))
    return 0


def _wait(qemu: subprocess.Popen[bytes]) -> str:
    """Wait for QEMU while its stderr is read, so that a talkative QEMU never blocks on it."""
    pieces: list[bytes] = []
    assert qemu.stderr is not None
    reader = threading.Thread(target=lambda: pieces.extend(iter(qemu.stderr)), daemon=True)  # type: ignore[arg-type]
    reader.start()
    qemu.wait()
    reader.join(1.0)
    return b"".join(pieces).decode(errors="replace")


def _terminal_state() -> list | None:
    return termios.tcgetattr(sys.stdin) if sys.stdin and sys.stdin.isatty() else None


def _restore(saved: list | None) -> None:
    if saved is None:
        return
    # Bytes typed for the guest after it was gone are not for the shell: drop them with the raw mode.
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, saved)
    # QEMU also leaves the terminal's file description non-blocking when it is killed.
    for descriptor in (0, 1):
        os.set_blocking(descriptor, True)
