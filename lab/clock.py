"""Exercise 1: a driver for the real-time clock, over the models that the system's own drivers are tested with."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from lupa.lua55 import LuaError

from lab.wrong import Wrong, answer_text, copy_start
from tests.support.cmos_model import Cmos
from tests.support.machine import Machine

TITLE = "Write a driver for the real-time clock"
UTC = datetime.UTC
NOON = datetime.datetime(2026, 11, 25, 12, 0, 0, 500_000, UTC)
# What the clock may be set to: numbers in binary or BCD, hours to 24 or to 12.
SETTINGS = [(False, True), (True, True), (False, False), (True, False)]
MOMENTS = [NOON, NOON.replace(hour=0), NOON.replace(hour=23, minute=59, second=59, microsecond=500_000),
           NOON.replace(year=1999, month=12, day=31, hour=11), NOON.replace(year=2024, month=2, day=29, hour=13)]
# An update begins with the second, takes 2 ms, and the registers show nonsense meanwhile.
IN_UPDATES = [0, 500, 1_500, 999_700, 999_760, 999_990]
# Of the machine's time: far more than two readings take.
SECONDS_MOST = 0.3


def start(folder: Path) -> None:
    copy_start("clock.lua", folder)


def check(folder: Path) -> str:
    source = answer_text(folder, "clock.lua")
    for binary, hours24 in SETTINGS:
        for moment in MOMENTS:
            _reads(source, moment, f"numbers in {'binary' if binary else 'BCD'}, hours to {24 if hours24 else 12}",
                   binary=binary, hours24=hours24)
    for microsecond in IN_UPDATES:
        _reads(source, NOON.replace(hour=23, minute=59, second=59, microsecond=microsecond), "around an update")
    _fails(source, "an update that never ends", "timeout", stuck=True)
    _fails(source, "a clock that shows month 13", "protocol", overrides={0x08: 0x13})
    _fails(source, "a clock that shows second 75", "protocol", overrides={0x00: 0x75})
    return f"{len(SETTINGS) * len(MOMENTS) + len(IN_UPDATES)} readings, and three broken clocks"


def _reads(source: str, start_time: datetime.datetime, case: str, **model: Any) -> None:
    """The answer shows a time that the clock showed while it was read."""
    machine = Machine()
    cmos = Cmos(machine, start_time, **model)
    before = cmos.time().replace(microsecond=0)
    found, failure = _date(machine, cmos, source, case)
    after = cmos.time()
    if failure is not None:
        raise Wrong(f"{case}, {before:%F %T}: date() failed: {_message(failure)}")
    try:
        names = ("year", "month", "day", "hour", "minute", "second")
        shown = datetime.datetime(*(int(found[name.encode()]) for name in names), tzinfo=UTC)
    except (TypeError, ValueError, KeyError) as error:
        raise Wrong(f"{case}, {before:%F %T}: what date() gives is no date: {_shown(found)}") from error
    if not before <= shown <= after:
        raise Wrong(f"{case}: the clock showed {before:%F %T}, date() gave {shown:%F %T}")


def _fails(source: str, case: str, code: str, overrides: dict[int, int] | None = None, **model: Any) -> None:
    machine = Machine()
    cmos = Cmos(machine, NOON, **model)
    cmos.overrides = overrides or {}
    found, failure = _date(machine, cmos, source, case)
    if found is not None:
        raise Wrong(f"{case}: date() gave {_shown(found)}, and should fail with code {code!r}")
    given = failure[b"code"] if hasattr(failure, "keys") else failure
    if given != code.encode():
        raise Wrong(f"{case}: the failure's code is {given!r}, and should be {code!r}")


def _date(machine: Machine, cmos: Cmos, source: str, case: str) -> tuple[Any, Any]:
    """What date() gives: value and failure."""
    try:
        machine.provide("drivers.answer", source)
        driver = machine.require("drivers.answer")
        machine.at(int(SECONDS_MOST * 1e9), _stop)
        given = driver[b"new"](machine.parts(ports=machine.ports(cmos, 2)))[b"date"]()
    except (LuaError, AssertionError, TypeError, KeyError) as error:
        raise Wrong(f"{case}: {error}") from error
    return given if isinstance(given, tuple) else (given, None)


def _stop() -> None:
    raise AssertionError(f"date() was still busy after {SECONDS_MOST:g} s of the machine's time: every wait needs a timeout")


def _message(failure: Any) -> str:
    return failure[b"message"].decode() if hasattr(failure, "keys") else str(failure)


def _shown(value: Any) -> str:
    return str({key: value[key] for key in value}) if hasattr(value, "keys") else repr(value)
