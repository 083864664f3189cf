"""lua/drivers/power over modelled firmware tables and ports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.results import DriverError, result
from tests.support import acpi_tables as acpi
from tests.support.machine import Machine

BIOS, RSDT, XSDT, FADT, DSDT, SSDT = 0xE0000, 0x7FE0000, 0x7FE1000, 0x7FE2000, 0x7FE3000, 0x7FE4000
SLEEP_ENABLE = 0x2000


class Computer:
    """Physical memory and ports; writes to ports are noted, and may end the machine. SCI_EN comes on through SMI."""

    def __init__(self, memory: dict[int, bytes], *, rsdp: bytes | None = None, off: tuple[int, int] | None = None,
                 reset: tuple[int, int] | None = None, sci: int = 1, answers_smi: bool = True) -> None:
        self.machine = Machine()
        self.memory = {address: bytearray(data) for address, data in memory.items()}
        self.off, self.reset_at, self.answers_smi = off, reset, answers_smi
        self.written: list[tuple[int, int]] = []
        self.pm1 = sci
        self.driver = self.machine.require("drivers.power")[b"new"](self.machine.parts(
            physical=self.physical, ports=self.ports, rsdp=rsdp))

    def physical(self, address: int, count: int) -> Any:
        for start, data in self.memory.items():
            if start <= address and address + count <= start + len(data):
                return self.machine.block(data[address - start:address - start + count])
        if address >= 0xE0000 and address + count <= 0x100000:
            return self.machine.block(bytearray(count))
        raise ValueError("no memory there")

    def ports(self, first: int, count: int) -> Any:
        assert 0 <= first and first + count <= 65536

        class Ports:
            def read(_self, offset: int, width: int) -> int:
                return self.pm1

            def write(_self, offset: int, width: int, value: int) -> None:
                self.write(first + offset, value)

        return self.machine.ports(Ports(), count)

    def write(self, port: int, value: int) -> None:
        self.written.append((port, value))
        if port == 0xB2 and self.answers_smi:
            self.pm1 |= 1
        if (port, value) in (self.off, self.reset_at):
            raise Ended


class Ended(BaseException):
    """The machine is off, or has been reset."""


def firmware(dsdt: bytes = acpi.S5_BYTES, *, xsdt: bool = False, place: int = 0x40, ssdt: bytes = b"", **fields: Any) -> dict[int, bytes]:
    bios = bytearray(0x20000)
    root = acpi.root(RSDT, XSDT if xsdt else 0)
    bios[place:place + len(root)] = root
    entries = [FADT, *([SSDT] if ssdt else [])]
    memory = {
        BIOS: bytes(bios),
        FADT: acpi.fadt(DSDT, 0x604, **fields),
        DSDT: acpi.table(b"DSDT", b"\x10\x20junk_S5" + dsdt + b"\x00\x00"),
        SSDT: acpi.table(b"SSDT", ssdt),
        RSDT: acpi.table(b"RSDT", b"".join(e.to_bytes(4, "little") for e in entries)),
    }
    if xsdt:
        memory[XSDT] = acpi.table(b"XSDT", b"".join(e.to_bytes(8, "little") for e in entries))
        memory[RSDT] = b"not a table" * 10
    return memory


def end(computer: Computer, way: str) -> list[tuple[int, int]]:
    """What was written until the machine ended (the model's end, seen through Lua's pcall, is the last write)."""
    try:
        result(computer.driver[way.encode()]())
    except (Ended, DriverError):
        pass
    return computer.written


@pytest.mark.parametrize("xsdt", [False, True])
def test_soft_off(xsdt):
    computer = Computer(firmware(xsdt=xsdt), off=(0x604, SLEEP_ENABLE | 5 << 10 | 1))
    assert end(computer, "off")[:2] == [(0x604, 5 << 10 | 1), (0x604, SLEEP_ENABLE | 5 << 10 | 1)]
    assert computer.driver[b"describe"]() == b"off by ACPI (PM1a 0x604, type 5), reboot by the keyboard controller"
    assert computer.driver[b"century_register"]() == 0x32


def test_the_root_pointer_of_the_loader_is_used():
    memory = firmware()
    del memory[BIOS]
    assert end(Computer(memory, rsdp=acpi.root(RSDT), off=(0x604, SLEEP_ENABLE | 5 << 10 | 1)), "off")


def test_both_halves_of_the_power_management_and_the_smi():
    computer = Computer(firmware(pm1b=0x704, smi=0xB2, enable=0xA1), sci=0)
    written = end(computer, "off")
    assert written[:5] == [(0xB2, 0xA1), (0x604, 5 << 10 | 1), (0x604, SLEEP_ENABLE | 5 << 10 | 1),
                           (0x704, 6 << 10 | 1), (0x704, SLEEP_ENABLE | 6 << 10 | 1)]


def test_firmware_that_does_not_answer_the_smi_does_not_hang():
    computer = Computer(firmware(smi=0xB2, enable=0xA1), sci=0, answers_smi=False)
    assert (0x604, SLEEP_ENABLE | 5 << 10) in end(computer, "off") and computer.machine.seconds < 6


def test_s5_in_an_ssdt_and_as_zeros():
    computer = Computer(firmware(dsdt=b"", ssdt=acpi.S5_ZERO))
    assert end(computer, "off")[:2] == [(0x604, 1), (0x604, SLEEP_ENABLE | 1)]


@pytest.mark.parametrize("damage", ["no tables", "rsdp checksum", "fadt checksum", "dsdt checksum", "no s5", "unaligned", "length"])
def test_without_usable_tables_the_ports_of_emulators_are_tried(damage):
    memory = firmware(**{"dsdt": b"S5_nothing"} if damage == "no s5" else {"place": 0x48} if damage == "unaligned" else {})
    if damage == "no tables":
        memory = {}
    elif damage == "length":
        memory[FADT] = memory[FADT][:4] + b"\xff\xff\xff\xff" + memory[FADT][8:]
    elif damage.endswith("checksum"):
        place, offset = {"rsdp": (BIOS, 0x48), "fadt": (FADT, 64), "dsdt": (DSDT, 40)}[damage.split()[0]]
        data = bytearray(memory[place])
        data[offset] ^= 1
        memory[place] = bytes(data)
    computer = Computer(memory)
    assert end(computer, "off") == [(0x604, 0x2000), (0xB004, 0x2000), (0x4004, 0x3400)]
    assert computer.driver[b"describe"]().startswith(b"off by emulator ports")


def test_a_machine_that_stays_on_says_so():
    with pytest.raises(DriverError) as failure:
        result(Computer({}).driver[b"off"]())
    assert failure.value.code == "unsupported"
    with pytest.raises(DriverError) as failure:
        result(Computer({}).driver[b"reboot"]())
    assert failure.value.code == "unsupported"


def test_reboot_by_the_reset_register_then_the_keyboard_controller_then_the_chip_set():
    assert end(Computer(firmware(reset=(1, 0xCF9, 0x0F))), "reboot") == [(0xCF9, 0x0F), (0x64, 0xFE), (0xCF9, 0x06)]
    assert end(Computer(firmware()), "reboot") == [(0x64, 0xFE), (0xCF9, 0x06)]


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_aml_is_survived(before, after):
    soft_off = AML[b"soft_off"]
    soft_off(before + after)
    soft_off(before + b"\x08_S5_\x12" + after)
    soft_off(b"\x08_S5_\x12" + after)
    soft_off(b"_S5_\x12" + after)


@given(st.dictionaries(st.sampled_from([RSDT, XSDT, FADT, DSDT]), st.binary(max_size=120), max_size=4), st.booleans())
def test_any_tables_are_survived(tables, checked):
    memory = firmware(xsdt=True)
    for address, data in tables.items():
        memory[address] = acpi.table(memory[address][:4], data) if checked else data
    end(Computer(memory), "off")


AML = Machine().require("drivers.power.acpi")
