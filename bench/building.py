"""What is measured, and on what: debug builds are refused, the machine is said."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILING = ROOT / "build" / "kernel" / "compiling"


def debug_reason(compiling: Path = COMPILING) -> str | None:
    """Why what is built here is not what is shipped; None when it is."""
    if sys.flags.dev_mode or hasattr(sys, "gettotalrefcount"):
        return "Python runs in development mode"
    if not compiling.exists():
        return None
    flags = compiling.read_text()
    if "-O2" not in flags.split() or any(flag in flags for flag in ("-O0", "-Og", "-fsanitize", "-pg")):
        return f"the kernel was built for debugging: {compiling} says {flags.strip()}"
    return None


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.partition("\n")[0]
    except FileNotFoundError:
        return "not installed"


def machine() -> dict[str, str]:
    """What it is measured on."""
    return {
        "processor": f"{os.cpu_count()} x {processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "qemu": first_line("qemu-system-x86_64", "--version"),
        "revision": first_line("git", "describe", "--always", "--dirty"),
    }
