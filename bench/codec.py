"""The codec in C, fingerprints and CRC32C, natively: bench/native/micro.lua against the reference in Lua, tables in C, and
lua-MessagePack where Debian has put it; cjson in Debian's Lua 5.3, for which it is built, in processes of its own.
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
    "codec_encode_vs_cjson": "cjson in Lua 5.3", "codec_decode_vs_cjson": "cjson in Lua 5.3",
    "crc32c_vs_c_slicing8": "slicing by eight in C",
}  # fmt: skip
NAMES = tuple(PEERS)
LUA_MESSAGEPACK = Path("/usr/share/lua/5.3/MessagePack.lua")
LUA_53, CJSON = Path("/usr/bin/lua5.3"), Path("/usr/lib/x86_64-linux-gnu/lua/5.3/cjson.so")


def missing() -> list[str]:
    """Peers of this group that are not installed."""
    there = {"lua-MessagePack": LUA_MESSAGEPACK.exists(), "cjson": LUA_53.exists() and CJSON.exists()}
    return [name for name, found in there.items() if not found]


def measure(wanted: set[str], folder: Path) -> Measured:
    """The rows of this group that are wanted."""
    hosts.build()
    if "fingerprint_vs_encode" in wanted:
        yield "fingerprint_vs_encode", *fingerprints(folder), PEERS["fingerprint_vs_encode"], "tables/s"
    for work in ("encode", "decode"):
        if f"codec_{work}_vs_cjson" in wanted and "cjson" not in missing():
            yield f"codec_{work}_vs_cjson", *beside_cjson(work), PEERS[f"codec_{work}_vs_cjson"], "tables/s"
    micro = {name for name in wanted - {"fingerprint_vs_encode"} if not name.endswith("cjson")}
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


def beside_cjson(work: str) -> list[Figure]:
    script = hosts.HERE / "native" / "json.lua"
    return in_turns(*(lambda host=host: hosts.number_of(hosts.run(host, script, work, TABLES)) for host in (hosts.NATIVE, LUA_53)))


def lines(wanted: set[str]) -> Measured:
    output = hosts.run(hosts.NATIVE, hosts.HERE / "native" / "micro.lua", hosts.LUA, TABLES, LUA_MESSAGEPACK, *sorted(wanted))
    for line in output.splitlines():
        name, ours, peer, unit = line.split("\t")
        yield name, Figure(*map(float, ours.split())), Figure(*map(float, peer.split())), PEERS[name], unit
