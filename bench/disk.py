"""How fast the ATA driver reads in the booted guest, beside C loops on the same emulated disk and one way beside the other.

All in one boot of bench/disk_guest, in turns, 128 KiB a command of a disk that the host has in its cache. Into the driver's
block, as the loops read into a buffer; the rows with `string` go on to Lua strings on both sides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
from measuring import Figure, Measured

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build"
TREE = BUILD / "bench-disk-lua"
GUEST = HERE / "disk_guest"
IMAGE = "bench-disk"
DISK_BYTES = 4 << 20
ENDED_WELL = 1  # isa-debug-exit: 2 * 0 + 1
PATIENCE_SECONDS = 180
PEERS = {
    "dma_read_128k_vs_c_loop": "a loop in C that polls, by DMA",
    "dma_read_128k_string_vs_c_loop": "a loop in C that polls, by DMA",
    "pio_multiple_vs_c_loop": "a loop in C that polls, READ MULTIPLE 32 bits at a time",
    "dma_vs_pio": "the same driver by PIO",
    "dma_string_vs_pio": "the same driver by PIO",
}
NAMES = tuple(PEERS)


def measure(wanted: set[str], folder: Path) -> Measured:
    """Bytes a second."""
    for line in boot(folder).splitlines():
        name, *rates = line.strip().split("\t")
        if name in wanted:
            ours, peer = (Figure(*map(float, text.split())) for text in rates)
            yield name, ours, peer, PEERS[name], "B/s"


def boot(folder: Path) -> str:
    """What the bench image prints."""
    elf, disk = build(), folder / "disk.img"
    disk.write_bytes(os.urandom(DISK_BYTES))
    ended = subprocess.run(
        ["timeout", "-k", "1", str(PATIENCE_SECONDS), "qemu-system-x86_64", "-nodefaults", "-no-reboot",
         "-display", "none", "-serial", "stdio", "-accel", "tcg", "-m", "128M", "-kernel", elf,
         "-drive", f"file={disk},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0x501,iosize=4"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode != ENDED_WELL:
        raise click.ClickException(f"the disk's bench image failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def build() -> Path:
    """The image: the drivers as they are, and a supervisor that only measures."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(ROOT / "lua" / "drivers", TREE / "drivers")
    shutil.copyfile(GUEST / "init.lua", TREE / "init.lua")
    made = subprocess.run(
        ["make", "-C", ROOT / "kernel", "elf", f"IMAGE={IMAGE}", f"LUA_DIR=../build/{TREE.name}",
         "EXTRA_SOURCES=../bench/disk_guest/c_loops.c", "EXTRA_LDFLAGS=-Wl,--wrap=archive_open"],
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode != 0:
        raise click.ClickException(made.stdout + made.stderr)
    return BUILD / f"{IMAGE}.elf"
