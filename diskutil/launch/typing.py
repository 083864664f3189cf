"""The interactive machine at the end of a pipe: what comes in is typed at the prompt, and at its end the machine is switched off.

    our stdin ── waits for the first prompt ──> COM1        line feeds as the Enter key; then poweroff()
    COM1 ──> our stdout                                     every byte as it is

Nothing is typed before the guest listens: it would be lost. What comes too fast waits in QEMU, as on a slow line.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress

PROMPT = b"> "
ENTER = b"\r"
PIECE_BYTES = 1 << 12
# On a line of its own, whatever was left unfinished before it.
SWITCH_OFF = ENTER + b"poweroff()" + ENTER


class Typist:
    """Relays between the launcher's own stdin and stdout and a QEMU whose stdin and stdout are pipes."""

    def __init__(self, qemu: subprocess.Popen[bytes]) -> None:
        """Starts at once; ends when QEMU does."""
        assert qemu.stdin is not None and qemu.stdout is not None
        self._qemu = qemu
        self._input, self._output = qemu.stdin, qemu.stdout
        self._failure: OSError | None = None
        self._listening = threading.Event()
        self._showing = threading.Thread(target=self._show, daemon=True)
        self._showing.start()
        threading.Thread(target=self._type, daemon=True).start()

    def finish(self) -> None:
        """After QEMU has ended: everything that it wrote is written, or the OSError that it could not be."""
        self._showing.join()
        if self._failure is not None:
            raise self._failure

    def _show(self) -> None:
        tail = b""
        while piece := os.read(self._output.fileno(), PIECE_BYTES):
            tail = (tail + piece)[-PIECE_BYTES:]
            if PROMPT in tail:
                self._listening.set()
            try:
                _write(1, piece)
            except OSError as error:
                # Nobody can see what the machine does any more.
                self._failure = error
                self._qemu.terminate()
                return

    def _type(self) -> None:
        self._listening.wait()
        # A machine that is off takes no input, and needs none.
        with suppress(OSError):
            while piece := os.read(0, PIECE_BYTES):
                _write(self._input.fileno(), piece.replace(b"\n", ENTER))
            _write(self._input.fileno(), SWITCH_OFF)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
