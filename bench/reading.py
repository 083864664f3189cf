"""How fast Python goes through a log: what is derived from the schemas beside the schemas themselves, compiled by construct.

Index: the header of every entry of the frames' payloads. Decode: every entry's header, checksum and values. For the peer a
grammar of canonical values is written in construct; it checks less than ours does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import construct as c
import google_crc32c
from measuring import Measured, in_turns

from khoros.diskutil import bulk, codec, entries
from khoros.formats import ENTRY_HEADER, constants

PAYLOADS, OF_A_PAYLOAD = 40, 1500
NAMES = ("python_index_vs_construct_compiled", "python_decode_vs_construct_compiled")


def payload(number: int) -> bytes:
    """Entries as a frame carries them."""
    parts = []
    for place in range(OF_A_PAYLOAD):
        count = number * OF_A_PAYLOAD + place + 2
        pairs = [("count", count), ("name", f"object number {count}"), ("x", count * 0.5)]
        parts.append(entries.encode(constants.KIND_TABLE, count, codec.encode_table([], pairs))[0])
    return b"".join(parts)


def index(payloads: list[bytes]) -> int:
    places: dict[int, tuple[int, int]] = {}
    for number, data in enumerate(payloads):
        offsets, headers = entries.headers(data, OF_A_PAYLOAD)
        ids = (headers["tag"] & constants.ID_MASK).tolist()
        places.update(zip(ids, zip(repeat(number), offsets), strict=False))
    return len(places)


def index_by_schema(payloads: list[bytes], header: Any) -> int:
    places: dict[int, tuple[int, int]] = {}
    for number, data in enumerate(payloads):
        at = 0
        while at < len(data):
            entry = header.parse(data[at : at + 16])
            places[entry.tag & constants.ID_MASK] = (number, at)
            at += (16 + entry.payload_bytes + 7) & ~7
    return len(places)


def decode(payloads: list[bytes]) -> int:
    count = 0
    with bulk.collector_off():
        for data in payloads:
            for table in bulk.decode_tables(entries.verified(data, *entries.headers(data, OF_A_PAYLOAD))):
                count += len(table.pairs)
    return count


def grammar() -> Any:
    """Tables of what occurs here: small counts, short strings, integers, floats."""
    value = c.Struct(
        "head" / c.Int8ub,
        "text" / c.If((c.this.head >= 0xA0) & (c.this.head <= 0xBF), c.Bytes(c.this.head & 31)),
        "number" / c.Switch(c.this.head, {0xCC: c.Int8ub, 0xCD: c.Int16ub, 0xCE: c.Int32ub, 0xCF: c.Int64ub,
                                          0xCB: c.Float64b}),
    )  # fmt: skip
    entry = c.Struct(
        "header" / ENTRY_HEADER,
        "array" / c.Int8ub,
        "map" / c.Int8ub,
        "pairs" / c.Array(c.this.map & 15, c.Struct("key" / value, "value" / value)),
        "padding" / c.Bytes((-c.this.header.payload_bytes) & 7),
    )
    return entry.compile()


def decode_by_schema(payloads: list[bytes], entry: Any) -> int:
    count = 0
    for data in payloads:
        at = 0
        while at < len(data):
            parsed = entry.parse(data[at : at + 512])
            header, end = parsed.header, at + 16 + parsed.header.payload_bytes
            crc = google_crc32c.extend(google_crc32c.value(data[at : at + 12]), data[at + 16 : end])
            assert crc == header.crc
            count += len(parsed.pairs)
            at = (end + 7) & ~7
    return count


def rate(act: Callable[[], int]) -> Callable[[], float]:
    def measured() -> float:
        start = time.perf_counter()
        assert act() % (PAYLOADS * OF_A_PAYLOAD) == 0
        return PAYLOADS * OF_A_PAYLOAD / (time.perf_counter() - start)

    return measured


def measure(wanted: set[str], folder: Path) -> Measured:
    """The rows of this group that are wanted; the folder is not used."""
    payloads = [payload(number) for number in range(PAYLOADS)]
    header, entry = ENTRY_HEADER.compile(), grammar()
    works = {
        NAMES[0]: (lambda: index(payloads), lambda: index_by_schema(payloads, header)),
        NAMES[1]: (lambda: decode(payloads), lambda: decode_by_schema(payloads, entry)),
    }
    for name, (ours, peer) in works.items():
        if name in wanted:
            yield name, *in_turns(rate(ours), rate(peer)), "construct, compiled", "records/s"
