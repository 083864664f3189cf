"""The CMOS clock: ticks with the machine's time, updates once a second, shows nonsense while it does.

244 µs before an update UIP is set; the update takes 2 ms, and the date registers read 0xFF meanwhile.
"""

from __future__ import annotations

import datetime

from tests.support.machine import NANOSECONDS, Machine

UPDATE_NS = 1_984_000
WARNING_NS = 244_000


class Cmos:
    """`start` is what it shows at time 0, with the fraction of a second."""

    def __init__(self, machine: Machine, start: datetime.datetime, *, binary: bool = False, hours24: bool = True,
                 century: int | None = 0x32, stuck: bool = False) -> None:
        self.machine, self.start = machine, start
        self.binary, self.hours24, self.century, self.stuck = binary, hours24, century, stuck
        self.index = 0
        self.overrides: dict[int, int] = {}

    def time(self) -> datetime.datetime:
        return self.start + datetime.timedelta(microseconds=self.machine.now // 1000)

    def _phase(self) -> int:
        """Nanoseconds since the last whole second of the clock."""
        return self.time().microsecond * 1000 % NANOSECONDS

    def read(self, offset: int, width: int) -> int:
        assert offset == 1 and width == 1
        return self._register(self.index)

    def write(self, offset: int, width: int, value: int) -> None:
        assert offset == 0 and width == 1, "only the index is written"
        assert not value & 0x80, "NMI must stay on"
        self.index = value

    def _register(self, index: int) -> int:
        if index in self.overrides:
            return self.overrides[index]
        phase = self._phase()
        updating = phase < UPDATE_NS
        if index == 0x0A:
            return 0x26 | (0x80 if self.stuck or updating or phase > NANOSECONDS - WARNING_NS else 0)
        if index == 0x0B:
            return (0x04 if self.binary else 0) | (0x02 if self.hours24 else 0)
        if index == 0x0D:
            return 0x80
        if updating:
            return 0xFF
        return self._date(index)

    def _date(self, index: int) -> int:
        now = self.time()
        if index == 0x04 and not self.hours24:
            hour = self._number((now.hour + 11) % 12 + 1)
            return hour | (0x80 if now.hour >= 12 else 0)
        values = {0x00: now.second, 0x02: now.minute, 0x04: now.hour, 0x06: now.isoweekday() % 7 + 1, 0x07: now.day,
                  0x08: now.month, 0x09: now.year % 100}
        if self.century is not None:
            values[self.century] = now.year // 100
        return self._number(values.get(index, 0))

    def _number(self, value: int) -> int:
        return value if self.binary else value // 10 << 4 | value % 10
