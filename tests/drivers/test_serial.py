"""lua/drivers/serial over a modelled 16550."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.results import DriverError, result
from tests.support.machine import Machine
from tests.support.uart_model import Uart


class Line:
    """Machine, UART and driver."""

    def __init__(self, *, irq: bool = True, before: bytes = b"", **model: Any) -> None:
        self.machine = Machine()
        self.interrupt, capability = self.machine.interrupt()
        self.uart = Uart(self.machine, self.interrupt, **model)
        if before:
            self.uart.hold(before)
        self.driver = result(self.machine.require("drivers.serial")[b"new"](
            self.machine.parts(ports=self.machine.ports(self.uart, 8), irq=capability if irq else None)))

    def read(self) -> bytes:
        return self.driver[b"read"]()

    def write(self, data: bytes) -> Any:
        return result(self.driver[b"write"](data))

    def wait(self, seconds: float) -> Any:
        return result(self.driver[b"wait"](seconds))

    def statistics(self) -> dict[bytes, int]:
        return dict(self.driver[b"statistics"]().items())


@pytest.mark.parametrize("fault", ["absent", "deaf"])
def test_absence_is_recognised_without_waiting(fault):
    with pytest.raises(DriverError) as failure:
        Line(**{fault: True})
    assert failure.value.code == "absent"


def test_it_is_set_up_for_8n1_with_fifos():
    uart = Line().uart
    assert (uart.lcr, uart.divisor, uart.fifo_on, uart.ier, uart.mcr) == (0x03, 1, True, 1, 0x0B)
    assert Line(irq=False).uart.ier == 0


@given(st.binary(max_size=500))
def test_what_is_written_comes_out(data):
    line = Line()
    assert line.write(data) is True
    assert result(line.driver[b"finish"]()) is True
    assert bytes(line.uart.sent) == data and line.uart.lost == 0


@pytest.mark.parametrize("irq", [True, False])
def test_what_arrives_is_read(irq):
    line = Line(irq=irq)
    data = bytes(range(256)) * 4
    line.uart.receive(data)
    got = b""
    while len(got) < len(data):
        assert line.wait(1) is True
        got += line.read()
    assert got == data and line.read() == b"" and line.uart.lost == 0
    assert line.statistics()[b"received"] == len(data)


def test_waiting_times_out_and_gives_the_cpu_away():
    line = Line()
    before = line.machine.seconds
    with pytest.raises(DriverError) as failure:
        line.wait(1)
    assert failure.value.code == "timeout" and 0.99 < line.machine.seconds - before < 1.2
    assert line.interrupt.waits <= 12


def test_a_lost_interrupt_costs_a_moment():
    line = Line()
    line.interrupt.lose(100)
    line.uart.receive(b"x")
    before = line.machine.seconds
    assert line.wait(5) is True and line.machine.seconds - before < 0.2


def test_bytes_before_the_driver_are_kept():
    line = Line(before=b"root.ship = 1\n" * 10)
    got = b""
    while len(got) < 140:
        line.wait(1)
        got += line.read()
    assert got == b"root.ship = 1\n" * 10


def test_overruns_and_line_errors_are_counted():
    line = Line()
    line.uart.receive(bytes(40))
    line.machine.advance(10_000_000)
    line.read()
    assert line.statistics()[b"overruns"] == 1 and line.uart.lost == 24
    for flag, name in ((0x04, b"parity_errors"), (0x08, b"framing_errors"), (0x10, b"breaks")):
        line.uart.receive(b"?", flags=flag)
        line.wait(1)
        line.read()
        assert line.statistics()[name] == 1


def test_a_line_that_takes_nothing_ends_in_a_timeout():
    line = Line(stalled=True)
    with pytest.raises(DriverError) as failure:
        line.write(bytes(40))
    assert failure.value.code == "timeout" and failure.value.table[b"sent"] == 16
    assert line.statistics()[b"send_timeouts"] == 1 and line.machine.seconds < 3


def test_a_port_that_vanishes_does_not_fill_the_memory():
    line = Line()
    line.uart.absent = True
    assert line.read() == b""
