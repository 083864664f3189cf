"""ACPI tables as firmware lays them out, for the power driver's tests."""

from __future__ import annotations

import struct

S5_ZERO = b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00"                     # Package () {0, 0, 0, 0}
S5_BYTES = b"\x08\\_S5_\x12\x0a\x04\x0a\x05\x0a\x06\x0a\x00\x0a\x00"   # Name (\_S5, Package () {5, 6, 0, 0})


def checksummed(data: bytes, place: int) -> bytes:
    """The byte at `place` set so that all bytes sum to 0."""
    out = bytearray(data)
    out[place] = 0
    out[place] = -sum(out) & 0xFF
    return bytes(out)


def table(signature: bytes, body: bytes) -> bytes:
    data = signature + struct.pack("<IBB6s8sI4sI", 36 + len(body), 3, 0, b"KHOROS", b"TEST    ", 1, b"TEST", 1) + body
    return checksummed(data, 9)


def fadt(dsdt: int, pm1a: int, *, pm1b: int = 0, smi: int = 0, enable: int = 0, reset: tuple[int, int, int] | None = None,
         wide_dsdt: int = 0, century: int = 0x32) -> bytes:
    """`reset` = (space, address, value)."""
    body = bytearray(244 - 36)

    def put(fmt: str, offset: int, value: int) -> None:
        struct.pack_into(fmt, body, offset - 36, value)

    put("<I", 40, dsdt)
    put("<I", 48, smi)
    put("<B", 52, enable)
    put("<I", 64, pm1a)
    put("<I", 68, pm1b)
    put("<B", 108, century)
    if reset:
        put("<I", 112, 1 << 10)
        put("<B", 116, reset[0])
        put("<Q", 120, reset[1])
        put("<B", 128, reset[2])
    put("<Q", 140, wide_dsdt)
    return table(b"FACP", bytes(body))


def root(rsdt: int, xsdt: int = 0) -> bytes:
    """An RSDP; version 2 with an XSDT."""
    first = checksummed(b"RSD PTR " + struct.pack("<B6sBI", 0, b"KHOROS", 2 if xsdt else 0, rsdt), 8)
    if not xsdt:
        return first
    return checksummed(first + struct.pack("<IQB3x", 36, xsdt, 0), 32)
