"""The test image and the bare machine it runs in.

The image is the C core of the product, object for object, plus `probe.c` and the Lua in `guest/`. It is booted as
it is, without disks or the launcher: these tests are about what lies below both.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = REPOSITORY / "build"
IMAGE = "test-kernel"
WRAPPED = ("archive_open", "process_tick", "syscall_handle")  # by probe.c
ENDED_WELL = 1  # isa-debug-exit: 2 * 0 + 1
PANICKED = 255
PATIENCE_SECONDS = 120.0


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the kernel's Makefile for the test image, one worker at a time."""
    BUILD.mkdir(exist_ok=True)
    # Relative to the Makefile: a path with a space in it is two words to make.
    here = os.path.relpath(HERE, REPOSITORY / "kernel")
    with (BUILD / f"{IMAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            [
                "make", "-C", REPOSITORY / "kernel", f"IMAGE={IMAGE}", f"LUA_DIR={here}/guest",
                f"EXTRA_SOURCES={here}/probe.c",
                "EXTRA_LDFLAGS=" + " ".join(f"-Wl,--wrap={name}" for name in WRAPPED), *arguments,
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip


def image(kind: str) -> Path:
    """Path of the up-to-date image; kind is "elf" or "iso"."""
    built = make(kind)
    assert built.returncode == 0, built.stdout + built.stderr
    return BUILD / f"{IMAGE}.{kind}"


@dataclass
class Ending:
    """How a machine ended, and what it said on COM1."""

    status: int
    output: str

    @property
    def failures(self) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith("FAIL")]

    def assert_well(self) -> None:
        """Every check passed and the case ran to its end."""
        assert not self.failures, self.output
        assert self.status == ENDED_WELL, self.output
        assert "\nok " in self.output, self.output
        assert self.output.endswith("\nend\n"), self.output


def power_on(*arguments: str | Path) -> Ending:
    """Boots QEMU (emulation, no disks) with these arguments and waits for its end."""
    command: Sequence[str | Path] = [
        "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-accel", "tcg", "-device", "isa-debug-exit,iobase=0x501,iosize=4", *arguments,
    ]  # fmt: skip
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_SECONDS
    )
    output = ended.stdout.decode(errors="backslashreplace").replace("\r\n", "\n")
    return Ending(ended.returncode, output + ended.stderr.decode())


def run_case(case: str, *arguments: str) -> Ending:
    """Boots the test image through its PVH note and runs a case of guest/cases."""
    return power_on("-kernel", image("elf"), "-append", case, *arguments)
