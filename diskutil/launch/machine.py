"""A machine for Khoros, as a value, and the QEMU command that makes it. Pure: touches nothing.

The hardware is the one that the drivers know: a PC with both IDE channels at their legacy ports, two serial ports,
VGA text and a PS/2 keyboard. COM1 is the terminal or a program's output; COM2 carries frames (see `frames`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

QEMU = "qemu-system-x86_64"
# Two IDE channels with a master and a slave each.
DISK_LIMIT = 4
# Ctrl-] instead of QEMU's Ctrl-A, which is "start of the line" in the guest's line editor.
ESCAPE_KEY = "0x1d"
# isa-debug-exit makes 2 * value + 1 of the value 0x7f that kernel/panic.c writes.
PANIC_STATUS = 255
TERMINAL = "stdio,mux=on,signal=off"


@dataclass(frozen=True)
class Machine:
    """What to boot (None: what is on the first disk), with what. `com1` and `com2` are what follows `-chardev` up to the id."""

    boot: Path | None
    disks: tuple[Path, ...] = ()
    memory_bytes: int = 256 << 20
    accelerator: str = "tcg"
    window: bool = False
    com1: str = TERMINAL
    com2: str = "null"
    strings: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    may_reboot: bool = True
    extra: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The whole QEMU command line, program first."""
        return [
            QEMU,
            *("-nodefaults", "-no-user-config", "-machine", "pc", "-accel", self.accelerator),
            *("-cpu", "host" if self.accelerator == "kvm" else "max"),
            *("-m", f"{-(-self.memory_bytes // (1 << 20))}M", "-rtc", "base=utc"),
            # A panic of the kernel ends QEMU with PANIC_STATUS through this port.
            *("-device", "isa-debug-exit,iobase=0x501,iosize=4"),
            *("-vga", "std", "-display", "gtk" if self.window else "none"),
            *self._serial_ports(),
            *self._boot(),
            *self._disks(),
            *self._firmware_items(),
            *(() if self.may_reboot else ("-no-reboot",)),
            *self.extra,
        ]

    def _serial_ports(self) -> list[str]:
        ports = ["-chardev", _with_id(self.com1, "com1"), "-serial", "chardev:com1"]
        if "mux=on" in self.com1:
            ports += ["-mon", "chardev=com1", "-echr", ESCAPE_KEY]
        return [*ports, "-chardev", _with_id(self.com2, "com2"), "-serial", "chardev:com2"]

    def _boot(self) -> list[str]:
        if self.boot is None:
            return ["-boot", "c"]
        if self.boot.suffix != ".iso":
            return ["-kernel", str(self.boot)]
        # The last place on the secondary channel, so that the disks keep theirs.
        drive = f"driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename={_value(self.boot)}"
        return ["-blockdev", drive, "-device", "ide-cd,drive=cd,bus=ide.1,unit=1", "-boot", "d"]

    def _disks(self) -> list[str]:
        """Always raw and never guessed: a guest that writes a qcow2 header must not choose what QEMU opens next."""
        arguments: list[str] = []
        for number, disk in enumerate(self.disks):
            drive = (
                f"driver=raw,node-name=disk{number},file.driver=file,file.filename={_value(disk)}"
            )
            place = f"bus=ide.{number // 2},unit={number % 2}"
            arguments += ["-blockdev", drive, "-device", f"ide-hd,drive=disk{number},{place}"]
        return arguments

    def _firmware_items(self) -> list[str]:
        """fw_cfg items `opt/khoros/NAME`, which the guest reads at boot."""
        arguments: list[str] = []
        for name, text in self.strings.items():
            arguments += ["-fw_cfg", f"name=opt/khoros/{name},string={_value(text)}"]
        for name, path in self.files.items():
            arguments += ["-fw_cfg", f"name=opt/khoros/{name},file={_value(path)}"]
        return arguments


def _value(value: object) -> str:
    """A value inside a QEMU option, where a comma is written twice."""
    return str(value).replace(",", ",,")


def _with_id(chardev: str, name: str) -> str:
    """QEMU wants `-chardev BACKEND,id=NAME,…`."""
    backend, comma, options = chardev.partition(",")
    return f"{backend},id={name}{comma}{options}"
