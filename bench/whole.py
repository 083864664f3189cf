"""How long whole commands take, from power-on to objects on the host: figures without a peer, for comparing versions on one
machine. The best wall time of a few, because others may use the machine too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

LAUNCHER = [sys.executable, "-I", "-m", "khoros.diskutil.launch", "run"]
DISK = [sys.executable, "-I", "-m", "khoros.diskutil.cli"]
SUBDIVISIONS = Path("/usr/share/iso-codes/json/iso_3166-2.json")
ROUNDS = 3

ONE_OBJECT_COMMITS = 100
COPY = """
root.copy = {}
for index, subdivision in ipairs(root.iso["3166-2"]) do
  local copy <const> = {}
  for key, value in pairs(subdivision) do copy[key] = value end
  root.copy[index] = copy
end
commit()
"""


def guest(image: Path, code: str) -> float:
    """Run Lua in the guest on an image; gives the seconds it took there, without boot, mount and power-off."""
    command = [*LAUNCHER, "--disk", image, "-e", f'print("from"); {code}; print("to")']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        times = [time.perf_counter() for _ in running.stdout]
    if running.returncode != 0:
        raise click.ClickException(f"the guest failed at: {code}")
    return times[-1] - times[0]


def seconds(action: Callable[[], object]) -> float:
    """The best wall time of a few."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(folder: Path) -> Iterator[tuple[str, float, str]]:
    """(what, value, unit), one after the other as they are known."""
    image = folder / "bench.img"
    yield "make a 64 MiB image", seconds(lambda: disk("mkfs", "-f", image, "-s", "64M")), "s"
    yield "start, mount, run one line, power off", seconds(lambda: guest(image, "print(1)")), "s"

    loop = f"for i = 1, {ONE_OBJECT_COMMITS} do root.n = i; commit() end"
    took = guest(image, loop)
    yield "commits of one changed object", ONE_OBJECT_COMMITS / took, "/s"

    yield "import 5,000 subdivisions on the host", seconds(lambda: load(image)), "s"
    took = guest(image, COPY)
    yield "copy 5,000 subdivisions in the guest and commit", took, "s"
    yield "check that image on the host", seconds(lambda: disk("check", image)), "s"


def load(image: Path) -> None:
    disk("import", image, SUBDIVISIONS, "--as", "iso")


def disk(*arguments: object) -> None:
    subprocess.run([*DISK, *map(str, arguments)], check=True, capture_output=True)
