"""Programs that the rows measure, each a process: the store natively and in lupa (bench/native/store.lua), and its peers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LUA = ROOT / "lua"
NATIVE = ROOT / "build" / "bench-native" / "khoros-native"
PATIENCE_SECONDS = 900
PIECE_BYTES = 1 << 20


def run(*command: object) -> str:
    """What it prints; a failure says what the program said."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        raise click.ClickException(f"{' '.join(map(str, command))} failed:\n{done.stderr}{done.stdout}")
    return done.stdout


def build() -> None:
    """The native host; make finds out whether there is anything to do."""
    run("make", "-C", HERE / "native", "-j2")


def make_image(path: Path, size: str, *, filled: bool = False) -> None:
    """An empty store in a file; a sparse one, or one that has all its blocks, as a disk has. Where a file system must find a
    block first, each fdatasync writes its journal as well.
    """
    run(sys.executable, "-I", "-m", "khoros.diskutil.cli", "mkfs", "-f", path, "-s", size)
    if filled:
        with path.open("r+b") as image:
            while piece := image.read(PIECE_BYTES):
                image.seek(-len(piece), os.SEEK_CUR)
                image.write(piece)
            os.fsync(image.fileno())


def number_of(output: str) -> float:
    """Of "RATE UNIT"."""
    return float(output.split()[0])


def store(host: str, work: str, image: Path, count: int, *more: str) -> float:
    """One work of the store, by the host "native" (codec in C; "cpu": in time of the CPU) or "lupa" (in Lua)."""
    if host == "native":
        return number_of(run(NATIVE, HERE / "native" / "store.lua", LUA, image, "c", work, count, *more))
    return number_of(run(sys.executable, HERE / "lupa_host.py", HERE / "native" / "store.lua", LUA, image, "lua", work,
                         count))  # fmt: skip


def peer(name: str, work: str, folder: Path, count: int) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    return number_of(run(sys.executable, HERE / "peers.py", name, work, folder, count))
