"""Khoros in QEMU, for tests: a program that runs in the guest, or a machine to talk with.

    result = run("--disk", image, "-e", "print(1)")        # through the launcher, as a user would
    with Guest(disks=[image]) as guest:                    # a machine with a keyboard, a screen and a power cord
        guest.expect_prompt()
        assert guest.enter("1 + 1") == "2"

A Guest is the same machine that `khoros run` makes, with COM1 and the monitor (QMP) on sockets of the test. It ends
only its own QEMU, whatever happens: on leaving the block, and through the kernel when the test process dies.
Every wait has a deadline; one that passes raises `GuestSilence`, which shows what the guest wrote last.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyte
from qemu.qmp.legacy import QEMUMonitorProtocol

from khoros.diskutil.launch import process
from khoros.diskutil.launch.machine import Machine

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
KERNEL = BUILD / "khoros.elf"
ISO = BUILD / "khoros.iso"
# Generous, because two cores may be shared by a whole test run under emulation: a pass takes a fraction of it.
PATIENCE_SECONDS = 240.0
PROMPT = re.compile(
    rb"(?:^|[\r\n])(?:\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\s)*> (?:\x1b\[[0-9;?]*[A-Za-z])*\Z"
)
LAUNCHER = (sys.executable, "-I", "-m", "khoros.diskutil.launch")


def run(
    *arguments: str | Path,
    timeout: float = PATIENCE_SECONDS,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """`khoros run ARGUMENTS` to its end: stdout and stderr as bytes, the exit status as returncode."""
    return subprocess.run(
        [*LAUNCHER, "run", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )


class GuestSilence(AssertionError):
    """The guest did not write what was expected in time."""


class Guest:
    """One booted machine."""

    def __init__(
        self,
        *,
        disks: Sequence[Path] = (),
        boot: Path | None = KERNEL,
        memory_bytes: int = 256 << 20,
        strings: dict[str, str] | None = None,
        extra: Sequence[str] = (),
        log: Path | None = None,
    ) -> None:
        """Nothing runs before `start` or the `with` block. `log` gets every byte of COM1 and QEMU's complaints."""
        self.machine = Machine(
            boot=boot,
            disks=tuple(disks),
            memory_bytes=memory_bytes,
            strings=strings or {},
        )
        self.extra = tuple(extra)
        self.log = log
        self.output = bytearray()
        self._read_to = 0
        self._screen = pyte.Screen(80, 25)
        self._stream = pyte.ByteStream(self._screen)

    # --- power -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Guest:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def start(self) -> None:
        """Switch on."""
        self._com1, guest_com1 = socket.socketpair()
        monitor, guest_monitor = socket.socketpair()
        with guest_com1, guest_monitor:
            machine = type(self.machine)(
                **{
                    **self.machine.__dict__,
                    "com1": f"socket,fd={guest_com1.fileno()}",
                    "extra": (
                        *("-chardev", f"socket,id=monitor,fd={guest_monitor.fileno()}"),
                        *("-mon", "chardev=monitor,mode=control"),
                        *self.extra,
                    ),
                }
            )
            self.qemu = process.start(
                machine.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(guest_com1.fileno(), guest_monitor.fileno()),
                own_session=True,
            )
        self._monitor = QEMUMonitorProtocol(monitor)
        self._monitor.connect()

    def close(self) -> None:
        """End this guest's QEMU if it still runs, and write the log. A second call does nothing."""
        self.kill()
        if self._com1.fileno() < 0:
            return
        self._drain()
        self._com1.close()
        # The end of a QEMU that is already gone is no news.
        with contextlib.suppress(EOFError, OSError):
            self._monitor.close()
        assert self.qemu.stderr is not None
        complaints = self.qemu.stderr.read()
        self.qemu.stderr.close()
        if self.log is not None:
            self.log.write_bytes(bytes(self.output) + b"\n--- QEMU ---\n" + complaints)

    def kill(self) -> None:
        """SIGKILL: the process is gone between two instructions. What QEMU had written stays written."""
        if self.qemu.poll() is None:
            self.qemu.send_signal(signal.SIGKILL)
            self.qemu.wait()

    def wait_for_power_off(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait until the guest has switched itself off; gives QEMU's status."""
        deadline = time.monotonic() + timeout
        while self.qemu.poll() is None:
            if time.monotonic() > deadline:
                raise self._silence("a power-off")
            self._receive(0.1)
        return self.qemu.returncode

    # --- serial ----------------------------------------------------------------------------------------------------

    def send(self, data: bytes | str) -> None:
        """Type bytes on the serial line."""
        self._com1.sendall(data.encode() if isinstance(data, str) else data)

    def expect(
        self, pattern: str | bytes | re.Pattern[bytes], timeout: float = PATIENCE_SECONDS
    ) -> re.Match[bytes]:
        """Wait until what the guest has written since the last match matches; gives the match."""
        if not isinstance(pattern, re.Pattern):
            pattern = re.compile(
                pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL
            )
        deadline = time.monotonic() + timeout
        # What is new counts alone, so that ^ means its start.
        while not (match := pattern.search(bytes(self.output[self._read_to :]))):
            left = deadline - time.monotonic()
            if left <= 0 or not self._receive(left):
                raise self._silence(repr(pattern.pattern))
        self._read_to += match.end()
        return match

    def expect_prompt(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until the shell stands at its prompt."""
        self.expect(PROMPT, timeout)

    def wait(self, seconds: float) -> None:
        """Let the guest run for a while, whatever it writes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._receive(left):
            pass

    def enter(self, line: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Enter a line at the prompt; gives what is printed until the next prompt, without echo and colour."""
        start = self._read_to
        self.send(line + "\r")
        # The echo ends with a line break; the prompt that follows belongs to the answer's end.
        self.expect(rb"\r?\n", timeout)
        self.expect_prompt(timeout)
        text = plain(bytes(self.output[start : self._read_to]))
        return "\n".join(text.splitlines()[1:-1]).strip("\n")

    def screen(self) -> list[str]:
        """What a terminal of 80 x 25 on the serial line shows now, a string a line."""
        self._drain()
        return [line.rstrip() for line in self._screen.display]

    # --- monitor ---------------------------------------------------------------------------------------------------

    def command(self, name: str, **arguments: Any) -> Any:
        """A command of QEMU's monitor (QMP), such as `stop`, `cont`, `system_reset`, `quit`."""
        return self._monitor.cmd(name, **arguments)

    def press(self, *keys: str) -> None:
        """Press keys at the same time on the PS/2 keyboard, by QEMU's names: press("ctrl", "c"), press("ret")."""
        self.command(
            "send-key", keys=[{"type": "qcode", "data": key} for key in keys], **{"hold-time": 20}
        )
        # QEMU's keyboard holds 16 bytes, and releases only after the hold time. What comes is read meanwhile: a guest whose
        # serial line nobody reads stands still, and loses keys.
        self.wait(0.04)

    def screenshot(self, file: Path) -> Path:
        """The VGA screen as a PNG."""
        self.command("screendump", filename=str(file), format="png")
        return file

    # --- within ----------------------------------------------------------------------------------------------------

    def _receive(self, timeout: float) -> bool:
        """Take what comes on COM1 within `timeout`; false once the line is closed."""
        ready, _, _ = select.select([self._com1], [], [], max(timeout, 0))
        if not ready:
            return True
        try:
            data = self._com1.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.output += data
        self._stream.feed(data)
        return bool(data)

    def _drain(self) -> None:
        while select.select([self._com1], [], [], 0)[0] and self._receive(0):
            pass

    def _silence(self, wanted: str) -> GuestSilence:
        state = "runs" if self.qemu.poll() is None else f"has ended with {self.qemu.returncode}"
        last = bytes(self.output[-2000:]).decode(errors="backslashreplace")
        return GuestSilence(f"waited for {wanted}; QEMU {state}; the guest's last words:\n{last}")


def plain(data: bytes) -> str:
    """Text without terminal control sequences and carriage returns."""
    text = data.decode(errors="replace")
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78]|\r", "", text)


def sectors(image: Path, numbers: Iterable[int]) -> list[bytes]:
    """Sectors of 512 bytes of a raw image, for tests that look at a disk as it is."""
    with image.open("rb") as file:
        found = []
        for number in numbers:
            file.seek(number * 512)
            found.append(file.read(512))
        return found
