"""The store beside ZODB, SQLite, LMDB and shelve: commits, loading, opening, bytes on the disk.

Rows end in _native where lua/fs runs in a native Lua 5.5 with the codec in C; the others run in lupa, with the codec in Lua and
CRC32C by callback. commit_1 and load_all go through a session as a program's do. commit_1000 encodes new objects and hands
them to the store, as the peers' rows are packed and handed over; neither looks for changes in what is loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count as counter
from pathlib import Path

import hosts
import peers
from measuring import Figure, Measured, in_turns

COMMITS, OBJECTS, MILLION = 300, 20_000, 1_000_000
IMAGE = "64M"
IMAGE_OF_A_MILLION = "1G"
DATABASES = {"zodb": "ZODB FileStorage", "sqlite": "SQLite WAL FULL", "lmdb": "LMDB", "shelve": "shelve"}
NAMES = (
    *(f"commit_{n}_vs_{peer}{suffix}" for n in (1, 1000) for peer in DATABASES for suffix in ("", "_native")),
    "load_all_vs_zodb", "load_all_vs_zodb_native", "open_1m_vs_zodb_with_index", "open_1m_vs_zodb_without_index",
    "bytes_per_object_vs_zodb", "bytes_per_object_vs_sqlite",
)  # fmt: skip


class Places:
    """Fresh images and folders below one that is removed afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = counter()

    def fresh(self) -> Path:
        return self.folder / f"place-{next(self.numbers)}"


def measure(wanted: set[str], folder: Path) -> Measured:
    """The rows of this group that are wanted."""
    hosts.build()
    places = Places(folder)
    there = [peer for peer in DATABASES if not peers.missing(peer)]
    for work, count in (("commit_1", COMMITS), ("commit_1000", OBJECTS)):
        for peer in there:
            yield from versus(f"{work}_vs_{peer}", work, count, peer, wanted, places)
    if "zodb" in there:
        yield from loading(wanted, places)
    yield from of_a_million(wanted, places, there)


def versus(name: str, work: str, count: int, peer: str, wanted: set[str], places: Places) -> Measured:
    """One work of the store in both hosts and of one peer, in turns."""
    rows = {"lupa": name, "native": f"{name}_native"}
    used = [host for host, row in rows.items() if row in wanted]
    if not used:
        return

    def ours(host: str) -> float:
        image = places.fresh()
        hosts.make_image(image, IMAGE, filled=True)
        rate = hosts.store(host, work, image, count)
        image.unlink()
        return rate

    def theirs() -> float:
        folder = places.fresh()
        rate = hosts.peer(peer, work, folder, count)
        shutil.rmtree(folder)
        return rate

    *figures, of_peer = in_turns(*((lambda host=host: ours(host)) for host in used), theirs)
    unit = "commits/s" if work == "commit_1" else "objects/s"
    for host, figure in zip(used, figures, strict=True):
        yield rows[host], figure, of_peer, DATABASES[peer], unit


def loading(wanted: set[str], places: Places) -> Measured:
    """Everything read and decoded."""
    rows = {"lupa": "load_all_vs_zodb", "native": "load_all_vs_zodb_native"}
    used = [host for host, row in rows.items() if row in wanted]
    if not used:
        return
    image, folder = places.fresh(), places.fresh()
    hosts.make_image(image, IMAGE)
    hosts.store("native", "commit_1000", image, OBJECTS)
    hosts.peer("zodb", "commit_1000", folder, OBJECTS)
    *figures, of_peer = in_turns(*((lambda host=host: hosts.store(host, "load_all", image, OBJECTS)) for host in used),
                                 lambda: hosts.peer("zodb", "load_all", folder, OBJECTS))  # fmt: skip
    for host, figure in zip(used, figures, strict=True):
        yield rows[host], figure, of_peer, DATABASES["zodb"], "objects/s"


def of_a_million(wanted: set[str], places: Places, there: list[str]) -> Measured:
    """A store of a million objects: how long to the first of them, and what it takes on the disk."""
    rows = [name for name in wanted if name.startswith(("open_1m", "bytes_per_object"))]
    compared = {peer for peer in there if any(f"_vs_{peer}" in name for name in rows)}
    if not compared:
        return
    image = places.fresh()
    hosts.make_image(image, IMAGE_OF_A_MILLION)
    hosts.store("native", "commit_1000", image, MILLION)
    folders = {}
    for peer in sorted(compared):
        folders[peer] = places.fresh()
        hosts.peer(peer, "commit_1000", folders[peer], MILLION)
        name = f"bytes_per_object_vs_{peer}"
        if name in wanted:
            theirs = hosts.peer(peer, "size", folders[peer], MILLION)
            yield name, peers.occupied([image]) / MILLION, theirs, DATABASES[peer], "bytes/object"
    if "zodb" in compared:
        yield from opening(wanted, image, folders["zodb"])


def opening(wanted: set[str], image: Path, folder: Path) -> Iterator[tuple[str, Figure, Figure, str, str]]:
    """ZODB keeps an index beside its file. Without it, as after a crash, it reads all of the file."""
    for name, work, rounds in (("open_1m_vs_zodb_with_index", "open", 5),
                               ("open_1m_vs_zodb_without_index", "open_without_index", 3)):  # fmt: skip
        if name in wanted:
            ours, theirs = in_turns(lambda: hosts.store("native", "open", image, MILLION),
                                    lambda work=work: hosts.peer("zodb", work, folder, MILLION), rounds=rounds)  # fmt: skip
            yield name, ours, theirs, DATABASES["zodb"], "s"
