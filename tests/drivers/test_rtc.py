"""lua/drivers/rtc over a modelled CMOS clock."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.results import DriverError, result
from tests.support.cmos_model import Cmos
from tests.support.machine import Machine

UTC = datetime.UTC
MOMENTS = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2099, 12, 31), timezones=st.just(UTC))


def chip(start: datetime.datetime, **model: Any) -> tuple[Cmos, Any]:
    machine = Machine()
    cmos = Cmos(machine, start, **model)
    return cmos, machine.require("drivers.rtc")[b"new"](machine.parts(ports=machine.ports(cmos, 2)))


@given(MOMENTS, st.booleans(), st.booleans())
def test_it_reads_what_the_clock_shows(start, binary, hours24):
    cmos, driver = chip(start, binary=binary, hours24=hours24)
    before = int(cmos.time().timestamp())
    seconds = result(driver[b"read"]())
    assert before <= seconds <= int(cmos.time().timestamp())
    assert cmos.machine.seconds < 0.2


@pytest.mark.parametrize("microsecond", [0, 500, 1000, 1983, 999_000, 999_700, 999_755, 999_990])
def test_around_an_update(microsecond):
    start = datetime.datetime(2025, 12, 31, 23, 59, 59, microsecond, UTC)
    cmos, driver = chip(start)
    before = int(cmos.time().timestamp())
    assert before <= result(driver[b"read"]()) <= int(cmos.time().timestamp())


def test_without_a_century_register_the_year_is_guessed():
    for year in (1999, 2000, 2026, 2069, 1970):
        machine = Machine()
        cmos = Cmos(machine, datetime.datetime(year, 7, 1, tzinfo=UTC), century=None)
        driver = machine.require("drivers.rtc")[b"new"](machine.parts(ports=machine.ports(cmos, 2)))
        assert driver[b"date"]()[b"year"] == year


def test_a_century_register_elsewhere():
    machine = Machine()
    cmos = Cmos(machine, datetime.datetime(2101, 7, 1, tzinfo=UTC), century=0x37)
    driver = machine.require("drivers.rtc")[b"new"](machine.parts(ports=machine.ports(cmos, 2), century=0x37))
    assert driver[b"date"]()[b"year"] == 2101


def test_an_update_that_does_not_end():
    _, driver = chip(datetime.datetime(2026, 1, 1, tzinfo=UTC), stuck=True)
    with pytest.raises(DriverError) as failure:
        result(driver[b"read"]())
    assert failure.value.code == "timeout"


@pytest.mark.parametrize("register, value", [(0x08, 0x13), (0x08, 0x00), (0x07, 0x32), (0x07, 0x00), (0x04, 0x24), (0x02, 0x60),
                                             (0x00, 0x61), (0x00, 0xFF)])
def test_an_impossible_date(register, value):
    cmos, driver = chip(datetime.datetime(2026, 1, 1, tzinfo=UTC))
    cmos.overrides[register] = value
    with pytest.raises(DriverError) as failure:
        result(driver[b"read"]())
    assert failure.value.code == "protocol"


def test_the_thirtieth_of_february():
    cmos, driver = chip(datetime.datetime(2025, 2, 28, tzinfo=UTC))
    cmos.overrides[0x07] = 0x29
    with pytest.raises(DriverError):
        result(driver[b"read"]())
