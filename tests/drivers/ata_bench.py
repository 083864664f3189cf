"""A driver over a modelled channel, for the ATA tests."""

from __future__ import annotations

from typing import Any

from tests.support.ata_model import AtaChannel, Drive
from tests.support.lua import to_python
from tests.support.machine import Machine


class Bench:
    """Machine, channel model and the driver's channel; `disk(0)` is the first device found."""

    def __init__(self, master: Drive | None = None, slave: Drive | None = None, irq: bool = True, sleep: bool = True,
                 planted: dict[str, tuple[str, str]] | None = None, timeouts: dict[str, float] | None = None,
                 **model: Any) -> None:
        self.machine = Machine(planted)
        line, capability = self.machine.interrupt()
        self.line = line
        self.model = AtaChannel(self.machine, master, slave, irq=line, **model)
        self.channel = self.machine.require("drivers.ata")[b"new"](self.machine.parts(
            command=self.machine.ports(self.model.command, 8), control=self.machine.ports(self.model.control, 1),
            irq=capability if irq else None, sleep=self.machine.sleep if sleep else None, name=b"ata0",
            timeouts=self.machine.table(timeouts) if timeouts else None))
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
