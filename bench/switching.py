"""What pre-emption and switching cost in the booted guest, measured by bench/guest/init.lua: in time, and, in a boot where QEMU
counts instructions for time (-icount), in instructions. The latter figures are the same on a host that is busy with other things.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
from measuring import Figure, Measured

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IMAGE = ROOT / "build" / "bench.elf"
ENDED_WELL = 1  # isa-debug-exit: 2 * 0 + 1
PATIENCE_SECONDS = 180


PEERS = {
    "preempt_1000hz_vs_none": "the same loop, never interrupted by more than the tick's count",
    "switch_vs_lua_coroutine": "Lua's own coroutine library",
}
#: Two nanoseconds of the guest's clock an instruction: about what the emulator makes of it.
COUNTING = ("-icount", "shift=1")
COUNTED = "_in_instructions"
NAMES = (*PEERS, *(name + COUNTED for name in PEERS))


def measure(wanted: set[str], folder: Path) -> Measured:
    """preempt_1000hz_vs_none: a tight loop whose every slice is one tick of 1 ms. switch_vs_lua_coroutine: resume and yield of
    our library. The folder is not used.
    """
    for ending, options in (("", ()), (COUNTED, COUNTING)):
        if any(name + ending in wanted for name in PEERS):
            for line in boot(*options).splitlines():
                name, *times = line.strip().split("\t")
                if name + ending in wanted:
                    ours, peer = (Figure(*map(float, text.split())) for text in times)
                    yield name + ending, ours, peer, PEERS[name], "s"


def boot(*options: str) -> str:
    """What the bench image prints, under QEMU with these options."""
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
         "-device", "isa-debug-exit,iobase=0x501,iosize=4", *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode != ENDED_WELL:
        raise click.ClickException(f"the bench image failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
