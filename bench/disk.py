"""How fast the ATA driver reads, against C loops on the same emulated disk: measured by bench/disk_guest in one boot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build"
TREE = BUILD / "bench-disk-lua"
GUEST = HERE / "disk_guest"
IMAGE = "bench-disk"
DISK_BYTES = 4 << 20
ENDED_WELL = 1  # isa-debug-exit: 2 * 0 + 1
PATIENCE_SECONDS = 300
PEERS = {
    "dma_read_128k_vs_c_loop": "C loop, polled DMA",
    "pio_multiple_vs_c_loop": "C loop, READ MULTIPLE",
    "dma_string_128k_vs_c_loop": "x", "dma_string_vs_pio":"x",
    "dma_vs_pio": "our PIO",
}


def measure() -> Iterator[tuple[str, float, float, str, str]]:
    """(name, ours, peer, name of the peer, unit) rows, in bytes a second. All read 128 KiB a command of a warm disk."""
    elf = _image()
    with tempfile.TemporaryDirectory(prefix="khoros-bench-disk-") as folder:
        disk = Path(folder) / "disk.img"
        disk.write_bytes(os.urandom(DISK_BYTES))
        ended = subprocess.run(
            ["timeout", "-k", "1", str(PATIENCE_SECONDS), "qemu-system-x86_64", "-nodefaults", "-no-reboot",
             "-display", "none", "-serial", "stdio", "-accel", "tcg", "-m", "128M", "-kernel", elf,
             "-drive", f"file={disk},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0x501,iosize=4"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
    if ended.returncode != ENDED_WELL:
        raise click.ClickException(f"the disk bench failed:\n{ended.stdout}{ended.stderr}")
    for line in ended.stdout.splitlines():
        name, *values = line.strip().split("\t")
        if name in PEERS:
            ours, peer, unit = values
            yield name, float(ours), float(peer), PEERS[name], unit


def _image() -> Path:
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
