"""The simulated disk of khoros.diskutil.torture, under the name that tests know it by."""

from khoros.diskutil.torture.disk import (
    SECTOR,
    TORN_KINDS,
    UNREADABLE,
    ZERO,
    DeviceError,
    DriverFailed,
    Fault,
    Flush,
    PowerIsOff,
    SimulatedDisk,
    State,
    Trace,
    Write,
    assemble,
)

__all__ = [
    "SECTOR",
    "TORN_KINDS",
    "UNREADABLE",
    "ZERO",
    "DeviceError",
    "DriverFailed",
    "Fault",
    "Flush",
    "PowerIsOff",
    "SimulatedDisk",
    "State",
    "Trace",
    "Write",
    "assemble",
]
