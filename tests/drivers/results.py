"""What drivers return, as Python: a value, or a raised `DriverError`."""

from __future__ import annotations

from typing import Any


class DriverError(Exception):
    """`nil, err` of a driver."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.code = table[b"code"].decode()
        self.message = table[b"message"].decode()
        super().__init__(f"{self.code}: {self.message}")


def result(value: Any) -> Any:
    """The result of a Lua call; its failure is raised."""
    if isinstance(value, tuple):
        assert value[0] is None, "success has one result"
        raise DriverError(value[1])
    return value
