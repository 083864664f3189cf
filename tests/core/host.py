"""The process core as a Linux program under sanitizers: building it, and running a script in it."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "core"
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_sigfpe=0:use_sigaltstack=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
#: What ASan says once about stacks that are not threads'.
EXPECTED_TALK = re.compile(
    r"==\d+==WARNING: ASan is ignoring requested __asan_handle_no_return.*\n"
    r"|False positive error reports may follow\n|For details see .*\n"
)


def build() -> Path:
    """The host program; make decides whether there is anything to do, one make at a time."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "-C", str(HERE), "-j2", "SANITIZE=1"], capture_output=True, text=True, check=False
        )
    assert made.returncode == 0, made.stdout + made.stderr
    return BUILD / "sanitized" / "host"


def run(host: Path, *arguments: str, seconds: float = 300, **environment: str) -> str:
    """Runs a script in the host program; it must end well and say nothing on stderr. What it prints."""
    done = subprocess.run(
        [str(host), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        env={**os.environ, **ENVIRONMENT, **environment},
    )
    talk = EXPECTED_TALK.sub("", done.stderr)
    assert done.returncode == 0 and not talk, (
        f"{' '.join(arguments)}: status {done.returncode}\n{talk[-8000:]}"
    )
    return done.stdout
