"""The codec in C, fingerprints and CRC32C, natively: bench/native/micro.lua against the reference in Lua, tables in C, and
lua-MessagePack where Debian has put it.
"""

from __future__ import annotations

from pathlib import Path

import hosts
from measuring import Figure, Measured, in_turns

TABLES = 100_000
PEERS = {
    "fingerprint_vs_encode": "encoding everything with the codec in C",
    "codec_encode_vs_lua": "the codec in Lua", "codec_decode_vs_lua": "the codec in Lua",
    "codec_encode_vs_lua_messagepack": "lua-MessagePack", "codec_decode_vs_lua_messagepack": "lua-MessagePack",
    "crc32c_vs_c_slicing8": "slicing by eight in C",
}  # fmt: skip
NAMES = tuple(PEERS)
LUA_MESSAGEPACK = Path("/usr/share/lua/5.3/MessagePack.lua")


def measure(wanted: set[str], folder: Path) -> Measured:
    """The rows of this group that are wanted."""
    hosts.build()
    if "fingerprint_vs_encode" in wanted:
        yield "fingerprint_vs_encode", *fingerprints(folder), PEERS["fingerprint_vs_encode"], "tables/s"
    micro = wanted - {"fingerprint_vs_encode"}
    if not LUA_MESSAGEPACK.exists():
        micro -= {name for name in micro if name.endswith("messagepack")}
    if micro:
        yield from lines(micro)


def fingerprints(folder: Path) -> list[Figure]:
    """A commit that finds nothing to write, of a session with so many tables, with fingerprints and without."""

    def work(name: str) -> float:
        image = folder / "fingerprints.img"
        hosts.make_image(image, "64M")
        return hosts.store("native", name, image, TABLES)

    return in_turns(lambda: work("nothing"), lambda: work("nothing_encoded"))


def lines(wanted: set[str]) -> Measured:
    output = hosts.run(hosts.NATIVE, hosts.HERE / "native" / "micro.lua", hosts.LUA, TABLES, LUA_MESSAGEPACK, *sorted(wanted))
    for line in output.splitlines():
        name, ours, peer, unit = line.split("\t")
        yield name, Figure(*map(float, ours.split())), Figure(*map(float, peer.split())), PEERS[name], unit
