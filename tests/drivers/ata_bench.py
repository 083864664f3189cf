"""A driver over a modelled channel, for the ATA tests."""

from __future__ import annotations

import struct
from typing import Any

from tests.support.ata_model import SECTOR, AtaChannel, BusMaster, Drive
from tests.support.lua import to_python
from tests.support.machine import Machine


def pattern(lba: int, count: int, seed: int = 0) -> bytes:
    """Sectors that differ from each other and from those of another seed."""
    return b"".join(struct.pack("<QQ", lba + i, seed + 1) * (SECTOR // 16) for i in range(count))


class OnePort:
    """One port of a device as a range of its own."""

    def __init__(self, device: Any, offset: int) -> None:
        self.device, self.offset = device, offset

    def read(self, _offset: int, width: int) -> int:
        return self.device.read(self.offset, width)

    def write(self, _offset: int, width: int, value: int) -> None:
        self.device.write(self.offset, width, value)


class Bench:
    """Machine, channel model and the driver's channel; `disk(0)` is the first device found."""

    def __init__(self, master: Drive | None = None, slave: Drive | None = None, irq: bool = True, sleep: bool = True,
                 planted: dict[str, tuple[str, str]] | None = None, timeouts: dict[str, float] | None = None,
                 dma: bool = False, reset: bool = False, **model: Any) -> None:
        self.machine = Machine(planted)
        line, capability = self.machine.interrupt()
        self.line = line
        self.bus_master = BusMaster(self.machine) if dma else None
        self.model = AtaChannel(self.machine, master, slave, irq=line, bus_master=self.bus_master, **model)
        half = self.bus_master and self.machine.lua.table_from({
            b"engine": self.machine.engine(self.bus_master),
            b"status": self.machine.ports(OnePort(self.bus_master, 2), 1)})
        self.channel = self.machine.require("drivers.ata")[b"new"](self.machine.parts(
            command=self.machine.ports(self.model.command, 8), control=self.machine.ports(self.model.control, 1),
            irq=capability if irq else None, bus_master=half, sleep=self.machine.sleep if sleep else None, name=b"ata0",
            timeouts=self.machine.table(timeouts) if timeouts else None, reset=reset or None))
        self.probe_seconds = self.machine.seconds

    @property
    def devices(self) -> list[Any]:
        return list(self.channel[b"devices"].values())

    def disk(self, index: int = 0) -> Disk:
        return Disk(self.devices[index])

    def kinds(self) -> list[str]:
        return [finding[b"kind"].decode() for finding in self.channel[b"findings"].values()]


class Disk:
    """A device as Python: results as bytes, failures as `DiskError`."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.sectors = device[b"sector_count"]
        self.description = device[b"description"].decode()

    def read(self, lba: int, count: int) -> bytes:
        return _result(self.device[b"read"](lba, count))

    def write(self, lba: int, data: bytes) -> Any:
        return _result(self.device[b"write"](lba, data))

    def flush(self) -> Any:
        return _result(self.device[b"flush"]())

    def statistics(self) -> dict[str, Any]:
        return to_python(self.device[b"statistics"]())


class DiskError(Exception):
    """A failure of the driver."""

    def __init__(self, table: Any) -> None:
        self.code = table[b"code"].decode()
        self.message = table[b"message"].decode()
        self.lba = table[b"lba"]
        self.status, self.error = table[b"status"], table[b"error"]
        super().__init__(f"{self.code}: {self.message}")


def _result(value: Any) -> Any:
    if isinstance(value, tuple):
        assert value[0] is None, "success has one result"
        raise DiskError(value[1])
    return value
