"""lua/drivers/fwcfg over a modelled fw_cfg device."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.results import DriverError, result
from tests.support.fw_cfg_model import FwCfg
from tests.support.machine import Machine


def driver(files: dict[str, bytes], **model: Any) -> Any:
    machine = Machine()
    return result(machine.require("drivers.fwcfg")[b"new"](
        machine.parts(ports=machine.ports(FwCfg(files, **model), 2))))


def test_real_hardware_has_none():
    with pytest.raises(DriverError) as failure:
        driver({}, present=False)
    assert failure.value.code == "absent"


@given(st.dictionaries(st.text("abc/._-", min_size=1, max_size=55), st.binary(max_size=300), max_size=5))
def test_files(files):
    fw = driver(files)
    assert [(f[b"name"].decode(), f[b"size"]) for f in fw[b"files"]().values()] == [(n, len(d)) for n, d in files.items()]
    for name, data in files.items():
        assert result(fw[b"read"](name.encode())) == data


def test_a_large_file_and_a_name_of_full_length():
    name, data = "n" * 56, bytes(range(256)) * 200
    assert result(driver({name: data})[b"read"](name.encode())) == data


def test_a_missing_file():
    with pytest.raises(DriverError) as failure:
        result(driver({"a": b""})[b"read"](b"opt/khoros/run"))
    assert failure.value.code == "absent" and "opt/khoros/run" in failure.value.message


def test_a_directory_beyond_reason():
    with pytest.raises(DriverError) as failure:
        result(driver({}, count=0xFFFFFFFF)[b"files"]())
    assert failure.value.code == "protocol"
