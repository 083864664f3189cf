"""What the host's tools take for large images: figures without a peer, whole processes where that is what a person waits for.

An image of a million objects of about 60 bytes, one of objects of 4 KiB, one of 1 TiB that is empty. Times are those
of the CPU and the best of a few, since others may use the machine too; memory is the most that a process had resident.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import reading

import khoros

DISK = [sys.executable, "-I", "-m", "khoros.diskutil.cli"]
ROUNDS = 3
MILLION, LARGE_OBJECTS, LARGE_BYTES = 1_000_000, 20_000, 4096
NAMES = (
    "help_cpu", "mkfs_1t", "mkfs_1t_on_disk", "ls_1m", "ls_1m_memory", "info_1m", "info_1m_memory", "check_1m", "check_1m_memory",
    "du_1m", "du_1m_memory", "check_of_4k_objects", "index_headers", "decode_objects",
)  # fmt: skip
Figures = Iterator[tuple[str, float, str]]


def run(*arguments: object) -> tuple[float, float]:
    """Seconds of CPU, which is what a command takes on a machine that has nothing else to do, and MiB of memory."""
    with subprocess.Popen([*DISK, *map(str, arguments)], stdout=subprocess.DEVNULL) as running:
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode != 0:
        raise SystemExit(f"khoros-disk {' '.join(map(str, arguments))} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def best(act: Callable[[], float], rounds: int = ROUNDS) -> float:
    return min(act() for _ in range(rounds))


def measure(wanted: set[str], folder: Path, million: int = MILLION, large: int = LARGE_OBJECTS) -> Figures:
    """The figures that are wanted."""
    if "help_cpu" in wanted:
        yield "help_cpu", best(lambda: run("--help")[0]), "s"
    if wanted & {"mkfs_1t", "mkfs_1t_on_disk"}:
        image = folder / "large.img"
        yield "mkfs_1t", best(lambda: run("mkfs", "-f", image, "-s", "1T")[0]), "s"
        yield "mkfs_1t_on_disk", image.stat().st_blocks * 512 / (1 << 20), "MiB"
    if any("_1m" in name for name in wanted):
        yield from of_a_million(wanted, folder / "million.img", million)
    if "check_of_4k_objects" in wanted:
        yield "check_of_4k_objects", of_large_objects(folder / "objects.img", large), "MB/s"
    payloads = [reading.payload(number) for number in range(reading.PAYLOADS)]
    for name, act in (("index_headers", reading.index), ("decode_objects", reading.decode)):
        if name in wanted:
            rate = reading.rate(lambda act=act: act(payloads))  # type: ignore[misc]
            yield name, max(rate() for _ in range(ROUNDS)), "/s"


def of_a_million(wanted: set[str], image: Path, count: int) -> Figures:
    hosts.build()
    hosts.make_image(image, "1G")
    hosts.store("native", "commit_1000", image, count)
    for command in ("ls", "info", "check", "du"):
        if not wanted & {f"{command}_1m", f"{command}_1m_memory"}:
            continue
        runs = [run(command, image) for _ in range(1 if command in ("check", "du") else ROUNDS)]
        seconds = min(seconds for seconds, _ in runs)
        if command == "check":
            yield "check_1m", image.stat().st_blocks * 512 / 1e6 / seconds, "MB/s"
        else:
            yield f"{command}_1m", seconds, "s"
        yield f"{command}_1m_memory", min(memory for _, memory in runs), "MiB"


def of_large_objects(image: Path, count: int) -> float:
    """How many MB/s `check` verifies of tables with strings, the start of the program included."""
    hosts.make_image(image, "256M")
    with khoros.open(image, "r+") as opened:
        for first in range(0, count, 1000):
            opened[f"part {first}"] = [{"text": f"{number:06}" * (LARGE_BYTES // 6)} for number in range(first, first + 1000)]
            opened.commit()
    size = image.stat().st_blocks * 512 / 1e6
    return size / best(lambda: run("check", image)[0])
