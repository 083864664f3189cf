"""The drivers' test image: the C core, lua/drivers and the cases in guest/, booted in QEMU without the rest of the system."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
IMAGE = "test-drivers"
TREE = BUILD / "test-drivers-lua"
CASES = Path(__file__).resolve().parent / "guest"
PATIENCE_SECONDS = 180.0
ENDED_WELL = 1      # isa-debug-exit: 2 * 0 + 1


def _update_tree() -> None:
    """The image's Lua tree from its two sources; only what differs is touched, so that make rebuilds only then."""
    sources = {TREE / path.relative_to(root): path for root in (REPOSITORY / "lua", CASES)
               for path in root.rglob("*.lua") if root == CASES or path.is_relative_to(root / "drivers")}
    for stale in set(TREE.rglob("*.lua")) - set(sources):
        stale.unlink()
    for copy, path in sources.items():
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def image() -> Path:
    """Path of the up-to-date ELF; one worker builds at a time."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{IMAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _update_tree()
        # Relative to the Makefile: a path with a space in it is two words to make.
        tree = os.path.relpath(TREE, REPOSITORY / "kernel")
        built = subprocess.run(
            ["make", "-C", REPOSITORY / "kernel", f"IMAGE={IMAGE}", f"LUA_DIR={tree}", "elf"],
            capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
    return BUILD / f"{IMAGE}.elf"


def command(case: str, *arguments: str | Path) -> list[str]:
    """The QEMU command: emulation, COM1 on stdout, no devices but those of the arguments."""
    return ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-accel", "tcg", "-m", "128",
            "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-kernel", str(image()), "-append", case,
            *map(str, arguments)]


class Result:
    """How a machine ended, and what it said."""

    def __init__(self, status: int, output: str) -> None:
        self.status, self.output = status, output.replace("\r\n", "\n")
        self.lines = self.output.splitlines()

    def assert_well(self, status: int = ENDED_WELL) -> None:
        assert not [line for line in self.lines if line.startswith("FAIL")] and "end" in self.lines, self.output
        assert self.status == status, (self.status, self.output)

    def values(self, name: str) -> list[list[str]]:
        """The fields after `name` of each line that begins with it."""
        return [line.split("\t")[1:] for line in self.lines if line.split("\t")[0] == name]


def run(case: str, *arguments: str | Path) -> Result:
    """Boots a case to its end."""
    ended = subprocess.run([*command(case, *arguments), "-serial", "stdio"], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=PATIENCE_SECONDS)
    return Result(ended.returncode, ended.stdout.decode(errors="backslashreplace") + ended.stderr.decode())


class Machine:
    """A running case: COM1 as lines, the monitor as calls. A context manager; ends only its own QEMU."""

    def __init__(self, case: str, *arguments: str | Path, com2: bool = False) -> None:
        self.sockets = {name: socket.socketpair() for name in ("com1", "monitor", *(["com2"] if com2 else []))}
        theirs = {name: pair[1].fileno() for name, pair in self.sockets.items()}
        chardevs: Sequence[str] = [
            argument for name, number in theirs.items()
            for argument in ("-chardev", f"socket,id={name},fd={number}")]
        serial = [argument for name in theirs if name != "monitor" for argument in ("-serial", f"chardev:{name}")]
        self.process = subprocess.Popen(
            [*command(case, *arguments), *chardevs, *serial, "-mon", "chardev=monitor,mode=control"],
            pass_fds=list(theirs.values()), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for ours, guest in self.sockets.values():
            guest.close()
            ours.settimeout(PATIENCE_SECONDS)
        self.com1 = self.sockets["com1"][0].makefile("rb")
        self.com2 = self.sockets["com2"][0] if com2 else None
        self.monitor = self.sockets["monitor"][0].makefile("rwb")
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Machine:
        self._answer()
        self.execute("qmp_capabilities")
        return self

    def __exit__(self, *_failure: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        for ours, _ in self.sockets.values():
            ours.close()

    def _answer(self) -> dict[str, Any]:
        return json.loads(self.monitor.readline())

    def execute(self, name: str, **arguments: Any) -> Any:
        """A command of QMP; events that come in between are kept in `events`."""
        self.monitor.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.monitor.flush()
        while True:
            answer = self._answer()
            if "error" in answer:
                raise AssertionError(answer["error"])
            if "return" in answer:
                return answer["return"]
            self.events.append(answer)

    def line(self) -> str:
        """The next line of COM1."""
        text = self.com1.readline().decode(errors="backslashreplace")
        assert text, f"the machine has ended after {self.lines}"
        self.lines.append(text.rstrip("\r\n"))
        return self.lines[-1]

    def until(self, start: str) -> str:
        """The next line that begins so."""
        while not self.line().startswith(start):
            pass
        return self.lines[-1]

    def end(self) -> Result:
        """The rest, to the end of the machine."""
        rest = self.com1.read().decode(errors="backslashreplace")
        self.events += [json.loads(line) for line in self.monitor]
        return Result(self.process.wait(PATIENCE_SECONDS), "\n".join(self.lines) + "\n" + rest)

    def ended_by(self) -> str:
        """Why QEMU ended, in its own words ("guest-shutdown", "guest-reset"); after `end`."""
        return next(event["data"]["reason"] for event in self.events if event.get("event") == "SHUTDOWN")
