"""An i8042 controller with a PS/2 keyboard (and the bytes of a mouse, if a test sends some).

The keyboard takes 500 µs to answer a command; the controller takes 10 µs to take a byte, and a byte that is written
earlier is lost and noted in `violations`. Keys are given as scan codes of set 1, as the controller translates them; without
translation they come as `None`, which a test would see at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tests.support.machine import Interrupt, Machine

TAKE_NS = 10_000
ANSWER_NS = 500_000
OUTPUT_FULL, INPUT_FULL, AUXILIARY = 0x01, 0x02, 0x20


class I8042:
    """Faults: absent (reads 0xFF), mute (controller never answers), no_keyboard, resend (that many commands)."""

    def __init__(self, machine: Machine, irq: Interrupt | None = None, *, absent: bool = False, mute: bool = False,
                 no_keyboard: bool = False, resend: int = 0, stale: Iterable[int] = ()) -> None:
        self.machine, self.irq = machine, irq
        self.absent, self.mute, self.no_keyboard, self.resend = absent, mute, no_keyboard, resend
        self.output: deque[tuple[int, bool]] = deque((byte, False) for byte in stale)
        self.configuration = 0x30
        self.expects_configuration = False
        self.expects_leds = False
        self.leds: int | None = None
        self.scanning = False
        self.taken_at = 0
        self.violations: list[str] = []

    def key(self, *codes: int) -> None:
        """The keyboard sends these codes (set 1)."""
        if self.scanning and not self.configuration & 0x10:
            assert self.configuration & 0x40, "keys without translation"
            for code in codes:
                self._put(code, False)

    def mouse(self, *codes: int) -> None:
        for code in codes:
            self._put(code, True)

    def _put(self, byte: int, auxiliary: bool) -> None:
        self.output.append((byte, auxiliary))
        if self.irq and self.configuration & 0x01 and not auxiliary:
            self.irq.fire()

    def read(self, offset: int, width: int) -> int:
        assert width == 1
        if self.absent:
            return 0xFF
        if offset == 0:
            return self.output.popleft()[0] if self.output else 0
        status = INPUT_FULL if self.machine.now < self.taken_at or self.mute else 0
        if self.output:
            status |= OUTPUT_FULL | (AUXILIARY if self.output[0][1] else 0)
        return status

    def write(self, offset: int, width: int, value: int) -> None:
        assert width == 1
        if self.absent or self.mute:
            return
        if self.machine.now < self.taken_at:
            self.violations.append(f"{value:#x} written before the last byte was taken")
            return
        self.taken_at = self.machine.now + TAKE_NS
        if offset == 4:
            self._command(value)
        else:
            self._data(value)

    def _command(self, value: int) -> None:
        if value == 0x20:
            self.machine.at(TAKE_NS, lambda: self._put(self.configuration, False))
        elif value == 0x60:
            self.expects_configuration = True
        elif value == 0xAD:
            self.configuration |= 0x10
        elif value == 0xAE:
            self.configuration &= ~0x10
        elif value == 0xA7:
            self.configuration |= 0x20

    def _data(self, value: int) -> None:
        if self.expects_configuration:
            self.expects_configuration = False
            self.configuration = value
            return
        if self.no_keyboard:
            return
        if self.resend > 0:
            self.resend -= 1
            self.machine.at(ANSWER_NS, lambda: self._put(0xFE, False))
            return
        if self.expects_leds:
            self.expects_leds = False
            self.leds = value
        elif value == 0xED:
            self.expects_leds = True
        elif value == 0xF4:
            self.scanning = True
        self.machine.at(ANSWER_NS, lambda: self._put(0xFA, False))
