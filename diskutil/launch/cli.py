"""`khoros run` and `khoros debug`: from what was typed to a machine, and from errors to one line and a status.

Exit status: the guest's own with -e or FILE; otherwise 0 when the machine was switched off, 1 when it could not run,
2 for wrong use, 124 after --timeout, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from khoros.diskutil.errors import KhorosError
from khoros.diskutil.launch.errors import LaunchError
from khoros.diskutil.launch.machine import DISK_LIMIT, TERMINAL, Machine

HOW_TO_LEAVE = "leave with poweroff(), or with Ctrl-] then x"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SMALLEST_MEMORY_BYTES = 32 << 20
# Longer code goes through a file: one argument of a process may have 128 KiB.
CODE_ARGUMENT_LIMIT_BYTES = 60_000


class MemorySize(click.ParamType):
    """`256M`, `1.5G`: bytes, with units of 1024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", value, re.IGNORECASE)
        if not match:
            self.fail(f"{value} is no size; write 256M or 1.5G", param, ctx)
        size_bytes = int(float(match[1]) * UNITS[match[2].upper()])
        if size_bytes < SMALLEST_MEMORY_BYTES:
            hint = f"; did you mean {match[1]}M?" if not match[2] else ""
            self.fail(f"{value} is less than 32M, the least that Khoros boots in{hint}", param, ctx)
        return size_bytes


def say(text: str) -> None:
    """Talk goes to stderr, one line each."""
    click.echo(f"khoros: {text}", err=True)


def machine_options(command: Any) -> Any:
    """The options that `run` and `debug` share."""
    for option in reversed(
        (
            click.option("--disk", "disks", multiple=True, metavar="IMG", type=click.Path(path_type=Path),
                         help="A disk image, up to four; made if it does not exist. Without one: khoros.img."),
            click.option("--no-disk", is_flag=True, help="No disk at all: the session lives in memory."),
            click.option("-e", "code", metavar="CODE", help="Run this Lua in the guest, then switch it off."),
            click.option("--window", is_flag=True, help="Show the screen in a window too."),
            click.option("--accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto", show_default=True,
                         help="auto takes KVM where a trial shows that it works."),
            click.option("--memory", type=MemorySize(), default="256M", show_default=True, help="Of the guest."),
            click.option("--headless", is_flag=True, help="Do not read the terminal."),
            click.option("--unsafe-libraries", is_flag=True,
                         help="Give the program Lua's complete libraries: debug, binary chunks, string.dump."),
            click.option("--safe", is_flag=True, help="Safe start: nothing runs by itself, the store is read-only."),
            click.option("--iso", is_flag=True, help="Boot the ISO through GRUB, whose rows come first, instead of the kernel directly."),
            click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                         help="With -e or FILE: give up after this long, with status 124."),
            click.option("--dry-run", is_flag=True, help="Print the QEMU command and do nothing."),
            click.argument("file", required=False, metavar="[FILE.lua]"),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="khoros")
def cli() -> None:
    """Khoros: a Lua machine that remembers."""


@cli.command(epilog="Everything after -- goes to QEMU as it is.")
@machine_options
@click.pass_obj
def run(qemu_arguments: tuple[str, ...], **options: Any) -> int:
    """Boot Khoros in QEMU with this terminal, or run Lua in it (-e CODE, FILE.lua or - for stdin).

    A program's output is stdout, its errors are stderr, and its exit status is the command's. A file as the input is a
    program too (khoros run <program.lua); what comes through a pipe is typed at the prompt, and at its end the machine is
    switched off. --headless boots a machine that stays up and reads nothing.
    """
    with ExitStack() as temporary:
        return _Run(options, qemu_arguments, temporary).run()


@cli.command(epilog="Everything after -- goes to QEMU as it is.")
@machine_options
@click.pass_obj
def debug(qemu_arguments: tuple[str, ...], **options: Any) -> int:
    """Like run, but QEMU waits before the first instruction until gdb connects and continues."""
    with ExitStack() as temporary:
        folder = temporary.enter_context(tempfile.TemporaryDirectory(prefix="khoros-gdb-"))
        gdb = f"{folder}/gdb"
        server = (
            "-S",
            "-chardev",
            f"socket,id=gdb,path={gdb},server=on,wait=off",
            "-gdb",
            "chardev:gdb",
        )
        prepared = _Run(options, (*server, *qemu_arguments), temporary)
        symbols = shlex.quote(str(prepared.kernel()))
        say(
            f"QEMU waits; in another terminal: gdb {symbols} -ex 'target remote {gdb}' -ex continue"
        )
        return prepared.run()


class _Run:
    """One call of `run` or `debug`: the options, and the machine they mean."""

    def __init__(
        self, options: dict[str, Any], extra: tuple[str, ...], temporary: ExitStack
    ) -> None:
        self.options = options
        self.extra = extra
        self.temporary = temporary
        self.dry = options["dry_run"]
        self._refuse_wrong_use()
        if self._reads_program(options):
            options["file"] = "-"
        self.is_program = options["code"] is not None or options["file"] is not None

    def _refuse_wrong_use(self) -> None:
        options = self.options
        if options["code"] is not None and options["file"] is not None:
            raise click.UsageError("either -e CODE or FILE.lua, not both")
        if options["disks"] and options["no_disk"]:
            raise click.UsageError("either --disk or --no-disk, not both")
        limit = DISK_LIMIT - 1 if options["iso"] else DISK_LIMIT
        if len(options["disks"]) > limit:
            raise click.UsageError(f"at most {limit} disks")
        if options["timeout"] and options["code"] is None and options["file"] is None:
            raise click.UsageError("--timeout needs -e CODE or FILE.lua")

    def _reads_program(self, options: dict[str, Any]) -> bool:
        """Whether the input is a program, as for other interpreters: a file or /dev/null, not a terminal and not a pipe."""
        asked = options["code"] is not None or options["file"] is not None
        if asked or self.dry or options["headless"]:
            return False
        mode = os.fstat(sys.stdin.fileno()).st_mode if sys.stdin else 0
        return not ((sys.stdin and sys.stdin.isatty()) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))

    def run(self) -> int:
        machine = self.machine()
        if self.dry:
            click.echo(shlex.join(machine.command()))
            return 0
        if self.is_program:
            from khoros.diskutil.launch import program

            return program.run(machine, Writer(1), Writer(2), self.options["timeout"])
        return self._interactive(machine)

    def _interactive(self, machine: Machine) -> int:
        from khoros.diskutil.launch import terminal

        disks = ", ".join(map(str, machine.disks)) or "no disk"
        say(shlex.join(machine.command()))
        say(f"booting with {disks} ({machine.accelerator}); {HOW_TO_LEAVE}")
        return terminal.run(machine, headless=self.options["headless"])

    def machine(self) -> Machine:
        """The machine that the options mean; makes missing images, and remembers the choice of accelerator."""
        options = self.options
        strings, files = self._firmware_items()
        disks = self._disks()
        return Machine(
            boot=self.kernel(".iso" if options["iso"] else ".elf"),
            disks=disks,
            memory_bytes=options["memory"],
            accelerator=self._accelerator(),
            window=self._window(),
            # What a dry run prints works when it is pasted: output on stdout, frames on stderr.
            com1="stdio,signal=off" if self.is_program else TERMINAL,
            com2="file,path=/dev/stderr" if self.is_program else "null",
            strings=strings,
            files=files,
            may_reboot=not self.is_program,
            extra=self.extra,
        )

    def kernel(self, suffix: str = ".elf") -> Path:
        from khoros.diskutil import built

        return built.find(f"khoros{suffix}")

    def _disks(self) -> tuple[Path, ...]:
        from khoros.diskutil.launch import images

        if self.options["no_disk"]:
            return ()
        disks = self.options["disks"] or (images.default_image(),)
        if not self.dry:
            for disk in disks:
                images.prepare(disk, say)
        return tuple(disks)

    def _accelerator(self) -> str:
        requested: str = self.options["accel"]
        from khoros.diskutil.launch import accelerator

        if requested == "auto" and self.dry:
            return accelerator.known()
        return accelerator.choose(requested, self.kernel(), say)

    def _window(self) -> bool:
        window: bool = self.options["window"]
        if window and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise LaunchError(
                "--window needs a graphical session: neither DISPLAY nor WAYLAND_DISPLAY is set"
            )
        return window

    def _firmware_items(self) -> tuple[dict[str, str], dict[str, Path]]:
        """(texts, files) that the guest reads: the program, its chunk name, options as key=value lines."""
        strings: dict[str, str] = {}
        files: dict[str, Path] = {}
        chosen = [name for name in ("unsafe_libraries", "headless", "safe") if self.options[name]]
        if chosen:
            strings["options"] = "".join(f"{name}=1\n" for name in chosen)
        code, file = self.options["code"], self.options["file"]
        if code is not None and len(os.fsencode(code)) <= CODE_ARGUMENT_LIMIT_BYTES:
            # QEMU refuses an empty item.
            strings |= {"run": code or "\n", "name": "=(command line)"}
        elif code is not None:
            strings["name"] = "=(command line)"
            files["run"] = self._keep(os.fsencode(code))
        elif file is not None:
            strings["name"] = "=stdin" if file == "-" else f"@{file}"
            files["run"] = self._program_file(file)
        return strings, files

    def _program_file(self, name: str) -> Path:
        """A file that QEMU can read again and whose bytes are Lua source: not a pipe, not empty, without a #! line."""
        try:
            source = _input() if name == "-" else Path(name).read_bytes()
            if name != "-" and Path(name).is_file() and source[:1] not in (b"", b"#"):
                return Path(name)
        except OSError as error:
            raise LaunchError(f"cannot read {name}: {error.strerror}") from error
        # As a comment, so that the lines keep their numbers: what Lua does for files, and not for texts.
        return self._keep(b"--" + source if source[:1] == b"#" else source)

    def _keep(self, source: bytes) -> Path:
        """A temporary file with `source`, gone when the machine is."""
        folder = self.temporary.enter_context(tempfile.TemporaryDirectory(prefix="khoros-run-"))
        file = Path(folder) / "program.lua"
        file.write_bytes(source or b"\n")
        return file


def _input() -> bytes:
    """All of stdin; a closed one holds nothing."""
    return sys.stdin.buffer.read() if sys.stdin else b""


class Writer:
    """Writes every byte to a file descriptor, at once and unchanged; ready to be called as a sink."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __call__(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. What follows the first -- is QEMU's."""
    ours = list(sys.argv[1:] if arguments is None else arguments)
    qemus: list[str] = []
    if "--" in ours:
        split = ours.index("--")
        ours, qemus = ours[:split], ours[split + 1 :]
    # A SIGTERM or a closed terminal ends the launcher through its clean-up, so that the terminal is restored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    sys.exit(_status(ours, tuple(qemus)))


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _status(arguments: list[str], qemu_arguments: tuple[str, ...]) -> int:
    try:
        status = cli.main(arguments, prog_name="khoros", obj=qemu_arguments, standalone_mode=False)
        return int(status or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KhorosError as error:
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; that is no error of ours to talk about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
