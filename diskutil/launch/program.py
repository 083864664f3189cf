"""Run Lua in the guest: COM1 to stdout exactly, COM2 decoded, the guest's exit status passed on.

    guest ── COM1 ── socket ──> stdout      every byte as it is, nothing added
          └─ COM2 ── socket ──> frames ──>  stderr text, exit status
    QEMU's own stderr is kept and shown only if there is no status.

A run without a status (panic, kill, bad frame) is a failure that says so; it never looks like a success.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from khoros.diskutil.launch import frames, process
from khoros.diskutil.launch.errors import GuestTimeout, LaunchError
from khoros.diskutil.launch.machine import PANIC_STATUS, Machine

if TYPE_CHECKING:
    from _typeshed import HasFileno

# After its status the guest has this long to power itself off: a stuck power-off must not look like a stuck program.
POWER_OFF_SECONDS = 10.0
PIECE_BYTES = 1 << 16
# A panic is the guest's last word on COM1: its first row says what broke.
LAST_WORDS_BYTES = 8192
PANIC = re.compile(rb"KHOROS PANIC in ([^\r\n]+)")

Sink = Callable[[bytes], object]


def run(machine: Machine, stdout: Sink, stderr: Sink, timeout: float | None = None) -> int:
    """Boot `machine`, relay until it is off, and give the guest's exit status.

    Raises LaunchError if there was none, GuestTimeout after `timeout` seconds. QEMU has ended in every case.
    """
    com1, guest_com1 = socket.socketpair()
    com2, guest_com2 = socket.socketpair()
    with com1, com2:
        with guest_com1, guest_com2:
            wired = replace(
                machine,
                com1=f"socket,fd={guest_com1.fileno()}",
                com2=f"socket,fd={guest_com2.fileno()}",
                may_reboot=False,
            )
            qemu = process.start(
                wired.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(guest_com1.fileno(), guest_com2.fileno()),
                own_session=True,
            )
        try:
            return _Relay(qemu, com1, com2, stdout, stderr, timeout).run()
        finally:
            process.stop(qemu)
            assert qemu.stderr is not None
            qemu.stderr.close()


class _Relay:
    """The bytes of one run, from where they come to where they belong."""

    def __init__(
        self,
        qemu: subprocess.Popen[bytes],
        com1: socket.socket,
        com2: socket.socket,
        stdout: Sink,
        stderr: Sink,
        timeout: float | None,
    ) -> None:
        self.qemu = qemu
        self.stdout = stdout
        self.stderr = stderr
        self.timeout = timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.decoder = frames.Decoder()
        self.complaints = bytearray()
        self.last_words = b""
        self.status: int | None = None
        self.selector = selectors.DefaultSelector()
        assert qemu.stderr is not None
        self.selector.register(com1, selectors.EVENT_READ, self._take_output)
        self.selector.register(com2, selectors.EVENT_READ, self._take_frames)
        self.selector.register(qemu.stderr, selectors.EVENT_READ, self.complaints.extend)

    def run(self) -> int:
        with self.selector:
            # All three end when QEMU does: it holds their only other ends.
            while self.selector.get_map():
                self._relay_once()
        returncode = self.qemu.wait()
        if self.status is None:
            raise LaunchError(self._without_status(returncode))
        return self.status

    def _relay_once(self) -> None:
        wait = None if self.deadline is None else self.deadline - time.monotonic()
        if wait is not None and wait <= 0:
            return self._out_of_time()
        for key, _ in self.selector.select(wait):
            if piece := _read(key.fileobj):
                key.data(piece)
            else:
                self.selector.unregister(key.fileobj)

    def _out_of_time(self) -> None:
        if self.status is None:
            raise GuestTimeout(f"the guest gave no status within {self.timeout:g} s")
        process.stop(self.qemu)
        self.deadline = None

    def _take_output(self, data: bytes) -> None:
        self.stdout(data)
        self.last_words = (self.last_words + data)[-LAST_WORDS_BYTES:]

    def _take_frames(self, data: bytes) -> None:
        try:
            for kind, payload in self.decoder.feed(data):
                if kind == b"x":
                    self.status = payload[0]
                    self.deadline = time.monotonic() + POWER_OFF_SECONDS
                else:
                    self.stderr(payload)
        except frames.BadFrame as error:
            raise LaunchError(str(error)) from error

    def _without_status(self, returncode: int) -> str:
        complaints = self.complaints.decode(errors="replace")
        panic = PANIC.search(self.last_words) if returncode == PANIC_STATUS else None
        if panic:
            why = f"the kernel panicked in {panic[1].decode(errors='replace')} (all of it stands on stdout)"
        elif returncode != 0:
            why = process.explain(returncode, complaints)
        elif self.decoder.pending_bytes:
            why = "it stopped in the middle of a frame"
        else:
            why = "it stopped or restarted by itself"
        started = returncode > 0 and complaints
        return why if started else f"the guest gave no exit status: {why}"


def _read(source: int | HasFileno) -> bytes:
    """What has come on a socket or a pipe; empty at the end."""
    try:
        return os.read(source if isinstance(source, int) else source.fileno(), PIECE_BYTES)
    except ConnectionResetError:
        return b""
