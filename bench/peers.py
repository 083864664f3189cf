"""What people would use instead, doing the same work: `peers.py PEER WORK FOLDER COUNT` prints "RATE UNIT".

Peers: zodb, sqlite (WAL, synchronous=FULL), lmdb, shelve. Works: commit_1, commit_1000, load_all, open, size, and, for zodb,
open_without_index. The records are those of bench/native/store.lua. Each runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shelve
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BATCH = 1000
MODULES = {"zodb": "ZODB", "sqlite": "sqlite3", "lmdb": "lmdb", "shelve": "shelve"}
LMDB_MAP_BYTES = 4 << 30


def missing(peer: str) -> bool:
    """Is this peer not installed?"""
    return importlib.util.find_spec(MODULES[peer]) is None


def record(number: int) -> dict[str, Any]:
    """Of about 60 bytes, encoded."""
    return {"name": f"object number {number}", "x": number * 0.5, "count": number, "kind": "site"}


def batches(count: int) -> Iterator[range]:
    for first in range(1, count + 1, BATCH):
        yield range(first, min(first + BATCH, count + 1))


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


class Zodb:
    """Persistent objects in a BTree, in a FileStorage."""

    def __init__(self, folder: Path) -> None:
        import ZODB.FileStorage

        self.path = folder / "zodb.fs"
        self.database = ZODB.DB(ZODB.FileStorage.FileStorage(str(self.path)))
        self.connection = self.database.open()
        self.root = self.connection.root()

    def commit_1(self, count: int) -> float:
        import transaction
        from persistent.mapping import PersistentMapping

        self.root["one"] = PersistentMapping(record(1))
        transaction.commit()
        one = self.root["one"]

        def act() -> None:
            for number in range(count):
                one["count"] = number
                transaction.commit()

        return count / seconds(act)

    def commit_1000(self, count: int) -> float:
        import transaction
        from BTrees.LOBTree import LOBTree
        from persistent.mapping import PersistentMapping

        self.root["all"] = LOBTree()
        transaction.commit()

        def act() -> None:
            for numbers in batches(count):
                for number in numbers:
                    self.root["all"][number] = PersistentMapping(record(number))
                transaction.commit()

        return count / seconds(act)

    def load_all(self, count: int) -> float:
        def act() -> None:
            assert sum(value["count"] for value in self.root["all"].values()) == count * (count + 1) // 2

        return count / seconds(act)

    def fetch(self, count: int) -> None:
        assert self.root["all"][count // 2]["count"] == count // 2

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def files(self) -> list[Path]:
        return [self.path]


class Sqlite:
    """MessagePack in a table, WAL, synchronous=FULL."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sqlite.db"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS objects (id INTEGER PRIMARY KEY, data BLOB)")

    def put(self, numbers: Iterator[int] | range, value: int | None = None) -> None:
        import msgpack

        self.connection.execute("BEGIN")
        self.connection.executemany(
            "INSERT OR REPLACE INTO objects VALUES (?, ?)",
            ((number, msgpack.packb(record(number if value is None else value))) for number in numbers),
        )
        self.connection.execute("COMMIT")

    def commit_1(self, count: int) -> float:
        return count / seconds(lambda: [self.put(range(1, 2), number) for number in range(count)])

    def commit_1000(self, count: int) -> float:
        return count / seconds(lambda: [self.put(numbers) for numbers in batches(count)])

    def load_all(self, count: int) -> float:
        import msgpack

        def act() -> None:
            rows = self.connection.execute("SELECT data FROM objects")
            assert sum(msgpack.unpackb(data)["count"] for (data,) in rows) == count * (count + 1) // 2

        return count / seconds(act)

    def fetch(self, count: int) -> None:
        import msgpack

        (data,) = self.connection.execute("SELECT data FROM objects WHERE id = ?", (count // 2,)).fetchone()
        assert msgpack.unpackb(data)["count"] == count // 2

    def close(self) -> None:
        self.connection.close()

    def files(self) -> list[Path]:
        return [self.path]


class Lmdb:
    """MessagePack under 8-byte keys; every transaction is synced."""

    def __init__(self, folder: Path) -> None:
        import lmdb

        self.path = folder / "lmdb.db"
        self.environment = lmdb.open(str(self.path), map_size=LMDB_MAP_BYTES, subdir=False)

    def put(self, numbers: range, value: int | None = None) -> None:
        import msgpack

        with self.environment.begin(write=True) as transaction:
            for number in numbers:
                data = msgpack.packb(record(number if value is None else value))
                transaction.put(struct.pack(">Q", number), data)

    def commit_1(self, count: int) -> float:
        return count / seconds(lambda: [self.put(range(1, 2), number) for number in range(count)])

    def commit_1000(self, count: int) -> float:
        return count / seconds(lambda: [self.put(numbers) for numbers in batches(count)])

    def load_all(self, count: int) -> float:
        import msgpack

        def act() -> None:
            with self.environment.begin() as transaction:
                total = sum(msgpack.unpackb(data)["count"] for _, data in transaction.cursor())
            assert total == count * (count + 1) // 2

        return count / seconds(act)

    def fetch(self, count: int) -> None:
        import msgpack

        with self.environment.begin() as transaction:
            data = transaction.get(struct.pack(">Q", count // 2))
        assert msgpack.unpackb(data)["count"] == count // 2

    def close(self) -> None:
        self.environment.close()

    def files(self) -> list[Path]:
        return [self.path]


class Shelve:
    """Python's own: pickles in a dbm, synced to the file after each commit."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shelve.db"
        self.shelf = shelve.open(str(self.path))
        self.folder = os.open(folder, os.O_RDONLY)

    def put(self, numbers: range, value: int | None = None) -> None:
        for number in numbers:
            self.shelf[str(number)] = record(number if value is None else value)
        self.shelf.sync()
        for path in self.files():
            with path.open("rb") as file:
                os.fdatasync(file.fileno())

    def commit_1(self, count: int) -> float:
        return count / seconds(lambda: [self.put(range(1, 2), number) for number in range(count)])

    def commit_1000(self, count: int) -> float:
        return count / seconds(lambda: [self.put(numbers) for numbers in batches(count)])

    def load_all(self, count: int) -> float:
        def act() -> None:
            assert sum(value["count"] for value in self.shelf.values()) == count * (count + 1) // 2

        return count / seconds(act)

    def fetch(self, count: int) -> None:
        assert self.shelf[str(count // 2)]["count"] == count // 2

    def close(self) -> None:
        self.shelf.close()

    def files(self) -> list[Path]:
        return sorted(self.path.parent.glob(self.path.name + "*"))


PEERS: dict[str, Callable[[Path], Any]] = {"zodb": Zodb, "sqlite": Sqlite, "lmdb": Lmdb, "shelve": Shelve}


def occupied(paths: list[Path]) -> int:
    """What files take on the disk, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in paths)


def run(peer: str, work: str, folder: Path, count: int) -> tuple[float, str]:
    if work == "open_without_index":
        (folder / "zodb.fs.index").unlink()
    if work.startswith("open"):
        def act() -> None:
            database = PEERS[peer](folder)
            database.fetch(count)
            database.close()

        return seconds(act), "s"
    database = PEERS[peer](folder)
    if work == "size":
        files = database.files()
        database.close()
        return occupied(files) / count, "bytes/object"
    rate = getattr(database, work)(count)
    database.close()
    return rate, "commits/s" if work == "commit_1" else "objects/s"


if __name__ == "__main__":
    result, unit = run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    print(f"{result:.9g} {unit}")
