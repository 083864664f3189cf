"""Images for the tests of diskutil: made by the code under test, then damaged in ways that are named.

`ship` is the image of the examples; `random_graph` and `same_graph` make and compare object graphs; `forge` changes
bytes and mends every checksum above them, so that a fault reaches the check that is meant to find it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import khoros
from khoros.diskutil import superblock
from khoros.diskutil.creation import mkfs
from khoros.diskutil.device import FileDevice
from khoros.diskutil.records import Record
from khoros.diskutil.values import LuaTable
from khoros.diskutil.writer import Item, open_writer
from khoros.formats import constants as C

MEBIBYTE = 1 << 20
UUID = "8b0c4c2e-6f52-4a6e-9d5a-4b686f726f73"


def empty(path: Path, size_bytes: int = 4 * MEBIBYTE, **options: Any) -> Path:
    """A store that nothing was ever committed to."""
    mkfs(path, size_bytes, **options)
    return path


def ship(path: Path, size_bytes: int = 4 * MEBIBYTE, **options: Any) -> Path:
    """root.ship = {name, fuel, crew}, root.crew is root.ship.crew, root.ship.me is root.ship; two transactions."""
    empty(path, size_bytes, **options)
    with khoros.open(path, "r+") as image:
        image["ship"] = {"name": "Argo", "fuel": 7, "crew": ["Jason", "Orpheus"]}
        image["crew"] = image["ship"]["crew"]
        image["ship"]["me"] = image["ship"]
        image.commit("first ship")
        image["ship"]["fuel"] = 5
        image.commit("burn")
    return path


def digest(path: Path) -> str:
    """Hash of a file's bytes, to see that nothing changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def patch(path: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path: Path, offset: int, bits: int = 0xFF) -> None:
    """Flip bits of one byte."""
    data = path.read_bytes()
    patch(path, offset, bytes([data[offset] ^ bits]))


def forge_superblocks(path: Path, change: Callable[[Record], dict[str, Any]]) -> None:
    """Change fields in every valid superblock copy, checksums and parents right again."""
    device = FileDevice(path)
    slots = [s for s in superblock.read_slots(device) if s.superblock is not None]
    device.close()
    generations = {s.superblock.generation: s.superblock for s in slots if s.superblock}
    changed: dict[int, Record] = {}
    for generation in sorted(generations):
        record = generations[generation].replace(**change(generations[generation]))
        if generation - 1 in changed:
            record = record.replace(parent_crc=superblock.head_crc(changed[generation - 1]))
        changed[generation] = record
    for slot in slots:
        assert slot.superblock is not None
        patch(path, slot.lba * C.SECTOR_BYTES,
              superblock.encode(changed[slot.superblock.generation], slot.lba))


def random_scalar(rng: random.Random) -> Any:
    """A value that is no table, of every kind."""
    return rng.choice([
        lambda: rng.random() < 0.5,
        lambda: rng.randrange(-40, 300),
        lambda: rng.choice([-1, 1]) * rng.getrandbits(rng.randrange(1, 63)),
        lambda: rng.choice([0.0, -0.0, 1.0, 1e300, float("inf"), -2.5, rng.random()]),
        lambda: "".join(rng.choices("aé☃\U0001f600 \0\n\"", k=rng.randrange(6))),
        lambda: b"\xff" + rng.randbytes(rng.randrange(6)),
    ])()


def random_graph(rng: random.Random, count: int) -> LuaTable:
    """`count` tables with random contents, shared and cyclic, all reachable from the one returned."""
    tables = [LuaTable() for _ in range(count)]
    for number, table in enumerate(tables[1:], 1):
        parent = tables[rng.randrange(max(0, number - 50), number)]
        parent[f"t{number}" if rng.random() < 0.7 else len(parent.array) + 1] = table
    for table in tables:
        for _ in range(rng.randrange(4)):
            key: Any = rng.choice([rng.randrange(1, 6), f"k{rng.randrange(9)}", 1.5, True, False, -3,
                                   b"\xfe"])
            if key not in table:
                table[key] = random_scalar(rng)
        if rng.random() < 0.4 and count > 1:
            table["link"] = rng.choice(tables)
    return tables[0]


def same_graph(one: Any, other: Any) -> None:
    """Raise AssertionError unless both are alike: contents, types, identity, cycles. Keys that are tables are not met."""
    partner: dict[int, int] = {}
    back: dict[int, int] = {}
    keep, pending = [], [(one, other, "root")]
    while pending:
        a, b, where = pending.pop()
        if not isinstance(a, LuaTable) or not isinstance(b, LuaTable):
            assert type(a) is type(b), f"{where}: {a!r} and {b!r}"
            assert repr(a) == repr(b), where
            continue
        keep += [a, b]
        if id(a) in partner or id(b) in back:
            assert partner.get(id(a)) == id(b), f"identity differs at {where}"
            assert back.get(id(b)) == id(a), f"identity differs at {where}"
            continue
        partner[id(a)], back[id(b)] = id(b), id(a)
        assert len(a) == len(b), where
        for key in a:
            assert key in b, f"{where}[{key!r}]"
            pending.append((a[key], b[key], f"{where}[{key!r}]"))
        assert (a.metatable is None) == (b.metatable is None), where
        if a.metatable is not None:
            pending.append((a.metatable, b.metatable, f"metatable of {where}"))


def forged(path: Path, *items: Item, extension: int = C.EXT_REFERENCE) -> None:
    """Put these objects into an image, whatever they say; `root.x` refers to object 2."""
    writer = open_writer(path)
    writer.allocate(20)
    root = Item(C.ROOT_ID, C.KIND_TABLE, b"\x90\x81\xa1x\xd4" + bytes([extension, 2]))
    writer.commit([root, *items])
    writer.close()
    writer.store.close()
