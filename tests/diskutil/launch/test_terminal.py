"""The interactive machine: the terminal is QEMU's while it runs, and as it was afterwards, whatever happens."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from tests.support import fake_qemu, guest

pytestmark = pytest.mark.usefixtures("kernel")

# What QEMU does: raw mode, both ends non-blocking.
RAW = """
import tty
tty.setraw(0)
os.set_blocking(0, False); os.set_blocking(1, False)
print("raw", flush=True)
"""


class Terminal:
    """A launcher on a terminal of its own."""

    def __init__(self, folder, body: str, *options: str) -> None:
        programs = fake_qemu.install(folder / "bin", body)
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.launcher = subprocess.Popen(
            [*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg", *options],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            start_new_session=True,
        )
        self.output = b""

    def until(self, text: bytes) -> None:
        deadline = time.monotonic() + guest.PATIENCE_SECONDS
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.ours], [], [], 0.1)[0]:
                self.output += os.read(self.ours, 4096)

    def end(self) -> int:
        status = self.launcher.wait(guest.PATIENCE_SECONDS)
        while select.select([self.ours], [], [], 0)[0]:
            self.output += os.read(self.ours, 4096)
        return status

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.before and os.get_blocking(self.theirs)


def test_the_command_and_how_to_leave_are_shown_before_qemu_has_the_terminal(tmp_path):
    terminal = Terminal(tmp_path, RAW)
    terminal.until(b"raw")
    assert terminal.end() == 0
    before = terminal.output.partition(b"raw")[0]
    assert b"qemu-system-x86_64 -nodefaults" in before
    assert b"Ctrl-] then x" in before


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1),
        ("os._exit(255)", 1),
        ("os._exit(0)", 0),
    ],
)
def test_the_terminal_is_restored_however_qemu_ends(tmp_path, end, status):
    terminal = Terminal(tmp_path, RAW + end)
    assert terminal.end() == status
    assert terminal.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_restored_when_the_launcher_is_told_to_go(tmp_path, number):
    terminal = Terminal(tmp_path, RAW + "time.sleep(600)")
    terminal.until(b"raw")
    terminal.launcher.send_signal(number)
    assert terminal.end() == 128 + number
    assert terminal.is_as_before()


def test_what_is_typed_reaches_the_guest_and_what_it_says_the_terminal(tmp_path):
    terminal = Terminal(
        tmp_path, "import tty; tty.setraw(0); print('ready', flush=True); print(os.read(0, 9))"
    )
    terminal.until(b"ready")
    os.write(terminal.ours, b"\x01\x03")
    terminal.until(b"b'\\x01")
    assert terminal.end() == 0


def test_headless_reads_nothing(tmp_path):
    terminal = Terminal(tmp_path, "print('read', os.read(0, 1))", "--headless")
    terminal.until(b"read b''")
    assert terminal.end() == 0
