"""PCI configuration space behind mechanism #1: functions as 64-byte headers."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def header(vendor: int, device: int, class_code: int, *, interface: int = 0, revision: int = 0, several: bool = False, layout: int = 0,
           bars: Sequence[int] = (), line: int = 0, pin: int = 0, secondary: int = 0) -> bytes:
    """A header; class_code is class << 8 | subclass."""
    data = bytearray(64)
    struct.pack_into("<HH", data, 0, vendor, device)
    struct.pack_into("<BBH", data, 8, revision, interface, class_code)
    data[14] = layout | (0x80 if several else 0)
    for index, bar in enumerate(bars):
        struct.pack_into("<I", data, 0x10 + 4 * index, bar)
    if layout == 1:
        data[0x19] = secondary
    data[0x3C], data[0x3D] = line, pin
    return bytes(data)


class Pci:
    """`functions`: (bus, device, function) → header."""

    def __init__(self, functions: dict[tuple[int, int, int], bytes], *, present: bool = True) -> None:
        self.functions, self.present = functions, present
        self.address = 0
        self.reads = 0

    def write(self, offset: int, width: int, value: int) -> None:
        assert (offset, width) == (0, 4), "configuration space is only read"
        self.address = value

    def read(self, offset: int, width: int) -> int:
        assert width == 4
        if not self.present:
            return 0xFFFFFFFF
        if offset == 0:
            return self.address
        self.reads += 1
        assert self.address & 0x80000003 == 0x80000000
        place = (self.address >> 16 & 0xFF, self.address >> 11 & 0x1F, self.address >> 8 & 7)
        data = self.functions.get(place)
        if data is None:
            return 0xFFFFFFFF
        return struct.unpack_from("<I", data, self.address & 0xFC)[0]
