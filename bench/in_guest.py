"""`./khoros bench --guest`: what a person in front of the booted machine waits for.

Rates of objects, speed of plain Lua, times from power-on, the least memory. Each beside Linux 6.1 with Lua and SQLite in the
same QEMU with the same settings (LINUX: measured once, on a quiet machine with an image in the host's cache), of which nothing
runs here. Lua's speed is a ratio to Lua on the host, which is the same on every machine.

A figure is taken in time and in the emulator's time of the CPU. Where others use the machine too, the second says what it would
be without them; it counts the emulator's other threads in, and leaves out what is waited for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import hosts
from measuring import Figure, Row

from khoros.diskutil.launch.machine import Machine

ROOT = hosts.ROOT
BUILD = ROOT / "build"
PROGRAMS = hosts.HERE / "programs"
RUN = [sys.executable, "-I", "-m", "khoros.diskutil.launch", "run", "--accel", "tcg"]
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
COUNT, UPDATES, COMMITS, MILLION = 20_000, 10_000, 500, 1_000_000
BOOTS = 5
MEMORIES = (64, 48, 40, 32, 28, 24, 20, 16, 12)
PATIENCE_SECONDS = 600
#: Written by the first line of Lua of the image that is booted here, to COM1.
MARK = b"\x06"
PROMPT = b"> "

#: Linux + SQLite + Lua 5.5 as a static init, cache=writeback: medians, a second.
LINUX = {
    "commit_1": 1395, "insert_1000": 97_000, "update_1000": 13_300, "load_all": 102_000, "warm_get": 30_000,
}  # fmt: skip
LINUX_SECONDS = {"kernel_first_line": 0.8, "kernel_prompt_1m": 1.0, "iso_prompt_1m": 1.6}
LINUX_TIMES_OF_HOST = 15.5
LINUX_MEMORY, LINUX_ISO = 32, 4.6
SQLITE, LINUX_NAME = "SQLite on Linux in QEMU, measured before", "Linux in QEMU, measured before"


class Taken(NamedTuple):
    """Of one work between its begin and its end."""

    objects: int
    seconds: float
    cpu_seconds: float


def cpu_seconds(process: int) -> float:
    """Of a process and its threads so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def emulator_of(launcher: int) -> int:
    """QEMU is the launcher's only child."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return int(children[0]) if children else launcher


def works(*command: object) -> dict[str, Taken]:
    """Runs a program that prints "begin NAME" and "end NAME COUNT"."""
    taken: dict[str, Taken] = {}
    start: tuple[float, float] = (0, 0)
    with subprocess.Popen(["timeout", str(PATIENCE_SECONDS), *map(str, command)], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            word, *rest = line.split()
            now = time.perf_counter(), cpu_seconds(worker_of(running.pid))
            if word == "begin":
                start = now
            elif word == "end":
                taken[rest[0]] = Taken(int(rest[1]), now[0] - start[0], now[1] - start[1])
    if running.returncode != 0:
        raise click.ClickException(f"{' '.join(map(str, command))} ended with {running.returncode}")
    return taken


def worker_of(timeout: int) -> int:
    """The process that works: timeout's child, or the emulator that this has started."""
    return emulator_of(emulator_of(timeout))


def program(name: str, folder: Path, **values: int) -> Path:
    """A text of bench/programs with its values before it."""
    made = folder / name
    text = (PROGRAMS / name).read_text()
    made.write_text("".join(f"local {key} <const> = {value}\n" for key, value in values.items()) + text)
    return made


def both(name: str, ours: float, of_cpu: float, peer: float, peer_name: str, unit: str) -> Iterator[Row]:
    for ending, value in (("", ours), ("_of_cpu", of_cpu)):
        yield Row(f"guest_{name}{ending}", Figure(value, value, value), Figure(peer, peer, peer), peer_name, unit)


def measure() -> Iterator[Row]:
    """All of it, one row after the other."""
    hosts.build()
    with tempfile.TemporaryDirectory(prefix="khoros-bench-") as name:
        folder = Path(name)
        yield from speed(folder)
        yield from objects(folder)
        yield from booting(folder)
        yield from sizes(folder)


def speed(folder: Path) -> Iterator[Row]:
    text = PROGRAMS / "speed.lua"
    guest = works(*RUN, "--no-disk", text)
    host = works("stdbuf", "-oL", hosts.NATIVE, text)
    for name, taken in guest.items():
        times = taken.cpu_seconds / host[name].cpu_seconds
        peer = LINUX_TIMES_OF_HOST
        yield Row(f"guest_lua_{name}", Figure(times, times, times), Figure(peer, peer, peer), LINUX_NAME, "times the host's time")


def objects(folder: Path) -> Iterator[Row]:
    image = folder / "objects.img"
    hosts.make_image(image, "64M", filled=True)
    taken = works(*RUN, "--disk", image, program("objects.lua", folder, COUNT=COUNT, UPDATES=UPDATES, COMMITS=COMMITS))
    taken |= works(*RUN, "--disk", image, program("reading.lua", folder, COUNT=COUNT))
    for name, work in taken.items():
        unit = "commits/s" if name == "commit_1" else "objects/s"
        yield from both(name, work.objects / work.seconds, work.objects / max(work.cpu_seconds, 0.01), LINUX[name], SQLITE, unit)


def marked_image() -> tuple[Path, Path]:
    """Khoros as it is, but that its first line of Lua says so. → for -kernel, and the ISO"""
    tree = BUILD / "bench-boot-lua"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "lua", tree)
    first = "local core <const> = ...\n"
    text = (tree / "init.lua").read_text()
    assert text.count(first) == 1
    (tree / "init.lua").write_text(text.replace(first, first + f"core.ports(0x3F8, 1):out8(0, {MARK[0]})\n"))
    hosts.run("make", "-s", "-C", ROOT / "kernel", "elf", "iso", "IMAGE=bench-boot", f"LUA_DIR=../build/{tree.name}")
    return BUILD / "bench-boot.elf", BUILD / "bench-boot.iso"


def boot(image: Path, disk: Path) -> dict[str, tuple[float, float]]:
    """From the emulator's start to the first line of Lua and to the prompt: seconds, seconds of CPU."""
    machine = Machine(image, (disk,), com1="stdio,signal=off")
    at: dict[str, tuple[float, float]] = {}
    begun, seen = time.perf_counter(), b""
    with subprocess.Popen(machine.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while "prompt" not in at:
            if not (some := os.read(running.stdout.fileno(), 4096)):
                raise click.ClickException(f"the machine stopped: {seen!r}")
            seen += some
            now = time.perf_counter() - begun, cpu_seconds(running.pid)
            if MARK in seen:
                at.setdefault("first_line", now)
                if PROMPT in seen.partition(MARK)[2]:
                    at["prompt"] = now
        running.kill()
    return at


def booting(folder: Path) -> Iterator[Row]:
    elf, iso = marked_image()
    disk = folder / "million.img"
    hosts.make_image(disk, "1G")
    hosts.store("native", "commit_1000", disk, MILLION)
    for way, image in (("kernel", elf), ("iso", iso)):
        boots = [boot(image, disk) for _ in range(BOOTS)]
        for point, name in (("first_line", f"{way}_first_line"), ("prompt", f"{way}_prompt_1m")):
            if name in LINUX_SECONDS:
                peer = LINUX_SECONDS[name]
                for ending, part in (("", 0), ("_of_cpu", 1)):
                    figure = Figure.of([each[point][part] for each in boots])
                    yield Row(f"guest_boot_{name}{ending}", figure, Figure(peer, peer, peer), LINUX_NAME, "s")


def runs_in(mebibytes: int, image: Path) -> bool:
    """Whether it mounts, changes an object and commits."""
    code = 'root.n = (root.n or 0) + 1; root.list = {}; for i = 1, 100 do root.list[i] = {i} end; commit(); print("done")'
    done = subprocess.run(
        ["timeout", "60", *RUN, "--disk", image, "--memory", f"{mebibytes}M", "-e", code], capture_output=True, text=True
    )
    return done.returncode == 0 and done.stdout == "done\n"


def sizes(folder: Path) -> Iterator[Row]:
    image, least = folder / "small.img", 0
    hosts.make_image(image, "16M")
    for mebibytes in MEMORIES:
        if not runs_in(mebibytes, image):
            break
        least = mebibytes
    for name, value, peer, unit in (("memory_least", least, LINUX_MEMORY, "MiB"),
                                    ("iso", (BUILD / "khoros.iso").stat().st_size / 1e6, LINUX_ISO, "MB")):  # fmt: skip
        yield Row(f"guest_{name}", Figure(value, value, value), Figure(peer, peer, peer), LINUX_NAME, unit)
