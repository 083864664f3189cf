"""What pre-emption and switching cost in the booted guest: ratios, measured by bench/guest/init.lua in one boot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IMAGE = ROOT / "build" / "bench.elf"
ENDED_WELL = 1  # isa-debug-exit: 2 * 0 + 1
PATIENCE_SECONDS = 180


def measure() -> Iterator[tuple[str, float, str]]:
    """(what, ratio, "x") rows. preempt_1000hz_vs_none: a tight loop whose every slice is one tick of 1 ms, against the
    same loop never interrupted by more than the tick's count. switch_vs_lua_coroutine: resume and yield of our
    library against Lua's own."""
    made = subprocess.run(
        ["make", "-C", ROOT / "kernel", "elf", "IMAGE=bench", f"LUA_DIR={HERE / 'guest'}",
         f"EXTRA_SOURCES={HERE / 'guest' / 'plain_coroutine.c'}", "EXTRA_LDFLAGS=-Wl,--wrap=archive_open"],
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode != 0:
        raise click.ClickException(made.stdout + made.stderr)
    ended = subprocess.run(
        ["timeout", "-k", "1", str(PATIENCE_SECONDS), "qemu-system-x86_64", "-nodefaults", "-no-reboot",
         "-display", "none", "-serial", "stdio", "-accel", "tcg", "-m", "128M", "-kernel", IMAGE,
         "-device", "isa-debug-exit,iobase=0x501,iosize=4"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode != ENDED_WELL:
        raise click.ClickException(f"the bench image failed:\n{ended.stdout}{ended.stderr}")
    for line in ended.stdout.splitlines():
        name, _, value = line.strip().partition("\t")
        if value:
            yield name, float(value), "x"
