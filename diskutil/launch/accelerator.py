"""KVM where it really works, otherwise TCG.

/dev/kvm proves little: some hosts offer a nested one in which ring 0 hangs. So Khoros itself is booted once under KVM
with a deadline, and the answer is remembered in the user's cache folder for this host, its kernel and its QEMU.
A "no" is asked again after a week: the cause may have gone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from khoros.diskutil.launch import program
from khoros.diskutil.launch.errors import LaunchError
from khoros.diskutil.launch.machine import QEMU, Machine

KVM = Path("/dev/kvm")
DEADLINE_SECONDS = 5.0
NO_IS_KEPT_SECONDS = 7 * 24 * 3600.0


def choose(requested: str, boot: Path, say: Callable[[str], None]) -> str:
    """`kvm` or `tcg` for a request of `auto`, `kvm` or `tcg`."""
    if requested == "tcg":
        return "tcg"
    available = os.access(KVM, os.R_OK | os.W_OK)
    if requested == "kvm":
        if not available:
            raise LaunchError(f"no KVM: {KVM} cannot be opened; --accel tcg works everywhere")
        return "kvm"
    if not available:
        return "tcg"
    remembered = _remembered()
    if remembered is None:
        say(f"trying KVM (at most {DEADLINE_SECONDS:g} s, once on this host)")
        return _try(boot)
    return remembered


def known() -> str:
    """What `auto` means as far as is known without a trial: a command that works, if perhaps not the fastest."""
    return (os.access(KVM, os.R_OK | os.W_OK) and _remembered()) or "tcg"


def _try(boot: Path) -> str:
    """Find the answer and remember it. A guest that boots under neither proves nothing about KVM."""
    for answer in ("kvm", "tcg"):
        if works(boot, answer):
            _remember(answer)
            return answer
    return "tcg"


def works(boot: Path, accelerator: str) -> bool:
    """Boot the guest with an empty program; true if it gives status 0 before the deadline."""
    machine = Machine(boot=boot, accelerator=accelerator, strings={"run": "\n", "name": "=trial"})
    try:
        return program.run(machine, _nowhere, _nowhere, timeout=DEADLINE_SECONDS) == 0
    except LaunchError:
        return False


def _nowhere(data: bytes) -> None:
    """What the trial says is of no interest."""


def _memory_file() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "khoros" / "accelerator"


def _key() -> str:
    """This host, its kernel and its QEMU: one line without tabs."""
    host = os.uname()
    qemu = shutil.which(QEMU)
    return f"{host.nodename} {host.release} {qemu} {os.stat(qemu).st_mtime_ns if qemu else 0}"


def _remembered() -> str | None:
    """The answer that was found before on the same host; None if there is none, or an old no."""
    try:
        key, answer, when = _memory_file().read_text().rstrip("\n").split("\t")
        fresh = answer == "kvm" or time.time() - float(when) < NO_IS_KEPT_SECONDS
    except (OSError, ValueError):
        return None
    return answer if key == _key() and fresh and answer in ("kvm", "tcg") else None


def _remember(answer: str) -> None:
    """Keep the answer; a folder that cannot be written only means that KVM is tried again."""
    file = _memory_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{_key()}\t{answer}\t{time.time():.0f}\n")
    except OSError:
        return
