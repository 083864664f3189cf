"""A 16550 UART: registers, FIFOs of 16, loop-back, time a byte takes; `overrun` when nobody reads in time.

The host's side: `receive(data)` puts bytes on the line, one a byte time; `hold(data)` gives them only while the FIFO has room, as
QEMU does; `sent` is what came out.
"""

from __future__ import annotations

from collections import deque

from tests.support.machine import Interrupt, Machine

FIFO = 16


class Uart:
    """Faults: absent (reads 0xFF), deaf (loop-back does nothing), stalled (never sends)."""

    def __init__(self, machine: Machine, irq: Interrupt | None = None, baud: int = 115200, *, absent: bool = False,
                 deaf: bool = False, stalled: bool = False) -> None:
        self.machine, self.irq = machine, irq
        self.absent, self.deaf, self.stalled = absent, deaf, stalled
        self.byte_ns = 10 * 1_000_000_000 // baud
        self.ier = self.lcr = self.mcr = self.scratch = 0
        self.divisor = 1
        self.fifo_on = False
        self.received: deque[tuple[int, int]] = deque()
        self.sending: deque[int] = deque()
        self.sent = bytearray()
        self.overrun = False
        self.lost = 0
        self.on_line: deque[tuple[int, int]] = deque()
        self.held: deque[int] = deque()

    # --- the line ---

    def receive(self, data: bytes, flags: int = 0) -> None:
        """Bytes arrive one a byte time; what finds the FIFO full is lost. `flags`: LSR error bits of each."""
        idle = not self.on_line
        self.on_line.extend((byte, flags) for byte in data)
        if idle:
            self.machine.at(self.byte_ns, self._arrive)

    def hold(self, data: bytes) -> None:
        """Bytes that wait until the FIFO has room, as an emulator's do."""
        self.held.extend(data)
        self._refill()

    def _refill(self) -> None:
        while self.held and len(self.received) < (FIFO if self.fifo_on else 1):
            self.received.append((self.held.popleft(), 0))
        if self.received and self.ier & 1 and self.irq:
            self.irq.fire()

    def _arrive(self) -> None:
        if len(self.received) >= (FIFO if self.fifo_on else 1):
            self.overrun = True
            self.lost += 1
            self.on_line.popleft()
        else:
            self.received.append(self.on_line.popleft())
        if self.ier & 1 and self.irq and self.mcr & 0x08:
            self.irq.fire()
        if self.on_line:
            self.machine.at(self.byte_ns, self._arrive)

    def _send_next(self) -> None:
        self.sent.append(self.sending.popleft())
        if self.sending:
            self.machine.at(self.byte_ns, self._send_next)

    # --- registers ---

    def read(self, offset: int, width: int) -> int:
        assert width == 1
        if self.absent:
            return 0xFF
        if self.lcr & 0x80 and offset < 2:
            return self.divisor >> 8 * offset & 0xFF
        return (self._read_data, lambda: self.ier, lambda: 0xC1 if self.fifo_on else 1, lambda: self.lcr,
                lambda: self.mcr, self._line_status, self._modem_status, lambda: self.scratch)[offset]()

    def _read_data(self) -> int:
        byte = self.received.popleft()[0] if self.received else 0
        self._refill()
        return byte

    def _line_status(self) -> int:
        value = 0x00 if self.sending else 0x60
        if self.received:
            value |= 0x01 | self.received[0][1]
        if self.overrun:
            value |= 0x02
            self.overrun = False
        return value

    def _modem_status(self) -> int:
        if not self.mcr & 0x10 or self.deaf:
            return 0xB0
        return (self.mcr & 0x0C) << 4 | (self.mcr & 0x02) << 3 | (self.mcr & 0x01) << 5

    def write(self, offset: int, width: int, value: int) -> None:
        assert width == 1
        if self.absent:
            return
        if self.lcr & 0x80 and offset < 2:
            shift = 8 * offset
            self.divisor = self.divisor & ~(0xFF << shift) | value << shift
        elif offset == 0:
            self._write_data(value)
        elif offset == 1:
            self.ier = value & 0x0F
        elif offset == 2:
            self._write_fifo_control(value)
        elif offset == 3:
            self.lcr = value
        elif offset == 4:
            self.mcr = value & 0x1F
        elif offset == 7:
            self.scratch = value

    def _write_fifo_control(self, value: int) -> None:
        if bool(value & 1) != self.fifo_on or value & 2:
            self.received.clear()
        self.fifo_on = bool(value & 1)
        self._refill()

    def _write_data(self, value: int) -> None:
        if len(self.sending) >= (FIFO if self.fifo_on else 1):
            self.lost += 1
            return
        self.sending.append(value)
        if len(self.sending) == 1 and not self.stalled:
            self.machine.at(self.byte_ns, self._send_next)
