"""lua/drivers/pci over modelled configuration space."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drivers.results import DriverError, result
from tests.support.lua import to_python
from tests.support.machine import Machine
from tests.support.pci_model import Pci, header

HOST = header(0x8086, 0x1237, 0x0600)
ISA = header(0x8086, 0x7000, 0x0601, several=True)
PIIX = header(0x8086, 0x7010, 0x0101, interface=0x80, bars=[0, 0, 0, 0, 0xC041])


def driver(functions: dict[tuple[int, int, int], bytes], **model: Any) -> Any:
    machine = Machine()
    machine.model = Pci(functions, **model)
    module = machine.require("drivers.pci")
    bus = result(module[b"new"](machine.parts(configuration=machine.ports(machine.model, 8))))
    return machine, module, bus


def channels(functions: dict[tuple[int, int, int], bytes]) -> list[dict[str, Any]]:
    _, _, bus = driver(functions)
    found = [to_python(channel) for channel in bus[b"ide_channels"]().values()]
    for channel in found:
        channel.pop("pci", None)
    return found


def test_no_pci():
    with pytest.raises(DriverError) as failure:
        driver({}, present=False)
    assert failure.value.code == "absent"


def test_functions_and_their_names():
    _, module, bus = driver({(0, 0, 0): HOST, (0, 1, 0): ISA, (0, 1, 1): PIIX, (0, 3, 0): header(0x1234, 0x5678, 0x0B40)})
    lines = [module[b"describe"](item).decode() for item in bus[b"functions"]().values()]
    assert lines == [
        "00:00.0 Host bridge: Intel 82441FX (i440FX) [8086:1237]",
        "00:01.0 ISA bridge: Intel PIIX3 ISA [8086:7000]",
        "00:01.1 IDE controller: Intel PIIX3 IDE [8086:7010]",
        "00:03.0 class 0b40: unknown [1234:5678]",
    ]


def test_functions_of_a_single_function_device_are_not_looked_for():
    _, _, bus = driver({(0, 2, 0): HOST, (0, 2, 5): PIIX})
    assert len(bus[b"functions"]()) == 1


def test_bridges_are_followed_once():
    bridge = header(0x8086, 0x244E, 0x0604, layout=1, secondary=1)
    loop = header(0x8086, 0x244E, 0x0604, layout=1, secondary=0)
    _, _, bus = driver({(0, 30, 0): bridge, (1, 0, 0): loop, (1, 4, 0): HOST})
    assert [(f[b"bus"], f[b"device"]) for f in bus[b"functions"]().values()] == [(0, 30), (1, 0), (1, 4)]


def test_base_addresses():
    item = header(1, 2, 0x0300, bars=[0xFD000008, 0xFEBC0004, 0x00000001, 0xC001, 0, 0xFEBF0000])
    _, _, bus = driver({(0, 0, 0): item})
    bars = bus[b"functions"]()[1][b"bars"]
    found = {index: (bar[b"space"].decode(), bar[b"address"]) for index, bar in bars.items()}
    assert found == {0: ("memory", 0xFD000000), 1: ("memory", 0x1FEBC0000), 3: ("io", 0xC000), 5: ("memory", 0xFEBF0000)}


def test_channels_in_compatibility_mode():
    assert channels({(0, 1, 0): ISA, (0, 1, 1): PIIX}) == [
        {"name": b"ata0", "command": {"first": 0x1F0, "count": 8}, "control": {"first": 0x3F6, "count": 1}, "irq_line": 14,
         "native": False, "bus_master": {"first": 0xC040, "count": 8}},
        {"name": b"ata1", "command": {"first": 0x170, "count": 8}, "control": {"first": 0x376, "count": 1}, "irq_line": 15,
         "native": False, "bus_master": {"first": 0xC048, "count": 8}},
    ]


def test_channels_in_native_mode():
    native = header(0x105A, 0x4D69, 0x0101, interface=0x85, bars=[0xD001, 0xD101, 0xD201, 0xD301, 0xD401], line=11)
    assert channels({(0, 5, 0): native}) == [
        {"name": b"ata0", "command": {"first": 0xD000, "count": 8}, "control": {"first": 0xD102, "count": 1}, "irq_line": 11,
         "native": True, "bus_master": {"first": 0xD400, "count": 8}},
        {"name": b"ata1", "command": {"first": 0xD200, "count": 8}, "control": {"first": 0xD302, "count": 1}, "irq_line": 11,
         "native": True, "bus_master": {"first": 0xD408, "count": 8}},
    ]


def test_a_native_channel_without_addresses_is_left_out_and_without_bus_master_too():
    half = header(0x105A, 0x4D69, 0x0101, interface=0x05, bars=[0xD001, 0xD101], line=11)
    found = channels({(0, 5, 0): half})
    assert [channel["name"] for channel in found] == [b"ata0"] and "bus_master" not in found[0]


def test_no_controller_and_the_fixed_channels():
    assert channels({(0, 0, 0): HOST}) == []
    legacy = to_python(Machine().require("drivers.pci")[b"legacy_ide_channels"]())
    assert [(c["name"], c["command"]["first"], c["control"]["first"], c["irq_line"]) for c in legacy] == [
        (b"ata0", 0x1F0, 0x3F6, 14), (b"ata1", 0x170, 0x376, 15)]
