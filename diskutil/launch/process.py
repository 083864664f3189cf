"""QEMU as a child process: started, ended, and its complaints put into one line.

Promise: QEMU never outlives the launcher, however that ends (the kernel sends QEMU a SIGKILL when its parent dies).
"""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
from collections.abc import Sequence

from khoros.diskutil.launch.errors import LaunchError
from khoros.diskutil.launch.machine import PANIC_STATUS

HOW_TO_GET_QEMU = (
    "qemu-system-x86_64 is not here; get it with: apt-get install qemu-system-x86"
    " (Fedora: dnf install qemu-system-x86-core, Arch: pacman -S qemu-system-x86, macOS: brew install qemu)"
)
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0

# Only Linux has it; elsewhere the launcher's own clean-up has to do.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


def _die_with_parent() -> None:
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(
    command: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
    own_session: bool,
) -> subprocess.Popen[bytes]:
    """Start QEMU with its stderr on a pipe. In its own session it gets no Ctrl-C of the terminal."""
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            start_new_session=own_session,
            preexec_fn=_die_with_parent,
        )
    except FileNotFoundError as error:
        raise LaunchError(HOW_TO_GET_QEMU) from error
    except OSError as error:
        # An argument list may be too long for the system: a very large -e CODE.
        raise LaunchError(f"cannot start {command[0]}: {error.strerror}") from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """End QEMU if it still runs: politely, then for good."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def explain(returncode: int, complaints: str) -> str:
    """One line that says why QEMU ended, from its status and what it wrote to stderr."""
    if locked := re.search(r"Failed to get \S+ lock.*?\[(.*?)\]", complaints, re.DOTALL):
        return f"{locked[1]} is in use: another QEMU has it open"
    if returncode == PANIC_STATUS:
        return "the kernel panicked; what it said is on the serial console"
    if returncode < 0:
        return f"QEMU was ended by {signal.Signals(-returncode).name}"
    lines = [line for line in complaints.splitlines() if line.strip() and "warning:" not in line]
    # The last line is a hint as often as not; the first one is the error. QEMU repeats the option before it.
    said = re.sub(r"^qemu-system-x86_64: ", "", lines[0]) if lines else f"status {returncode}"
    return f"QEMU failed: {said}"
