"""A store made and mounted inside a test: format an in-memory disk from the schemas, open it with the real lua/fs.

`format_disk` is the tests' own minimal mkfs (only schemas, no diskutil): a superblock of generation 1 in its two slots.
`Disk` is the plainest device: a bytearray. `Store` wraps the Lua store so that tests read and write Python data: what they
give as bytes is stored as a value that the store accepts (`stored`), and what is read is taken out of it again (`plain`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgpack

from khoros.formats import SUPERBLOCK, constants, derive

from .. import codec
from ..values import Reference
from . import runtime as lua_support

SECTOR = constants.SECTOR_BYTES
UUID = bytes(range(16))
EPOCH = 0x1122334455667788


def rounded_end(total_sectors: int) -> int:
    """The sector that the tail copies are counted from."""
    return total_sectors // constants.BLOCK_SECTORS * constants.BLOCK_SECTORS


def superblock_fields(total_sectors: int, segment_sectors: int = 256, append_sectors: int = 8,
                      epoch: int = EPOCH, label: bytes = b"test") -> dict[str, Any]:
    """The fields of the superblock of a new, empty store; own_lba and crc are for `superblock_copy`."""
    room = rounded_end(total_sectors) - constants.TAIL_BACK_EVEN - constants.LOG_LBA
    return {
        "format_major": constants.FORMAT_MAJOR, "format_minor": constants.FORMAT_MINOR,
        "uuid": UUID, "lineage": UUID[::-1], "epoch": epoch, "generation": 1, "parent_crc": 0,
        "segment_sectors": segment_sectors, "total_sectors": total_sectors, "log_lba": constants.LOG_LBA,
        "segment_count": room // segment_sectors, "append_sectors": append_sectors,
        "features_compat": 0, "features_ro_compat": 0, "features_incompat": 0,
        "incarnation": 1, "incarnation_claimed": 1, "state": 0, "replay_next_segment": 1,
        "checkpoint_tag": 0, "checkpoint_payload_bytes": 0, "checkpoint_crc": 0,
        "replay_lba": constants.LOG_LBA, "replay_segment_sequence": 1, "replay_lsn": 1, "replay_sequence": 0,
        "replay_transaction": 0, "replay_parent_crc": 0, "created_time": 1, "written_time": 1,
        "label": label.ljust(64, b"\0"),
    }


def superblock_copy(fields: dict[str, Any], lba: int) -> bytes:
    """One sector: the copy of these fields that stands at `lba`, with its crc."""
    sector = derive.pack(SUPERBLOCK, fields | {"own_lba": lba, "crc": 0})
    covered = sector[:derive.offset_of(SUPERBLOCK, "crc")]
    return covered + lua_support.crc32c(covered).to_bytes(4, "little")


def slots(fields: dict[str, Any]) -> tuple[int, int]:
    """Head and tail LBA of the generation in `fields`."""
    last = rounded_end(fields["total_sectors"])
    if fields["generation"] % 2 == 0:
        return constants.HEAD_LBA_EVEN, last - constants.TAIL_BACK_EVEN
    return constants.HEAD_LBA_ODD, last - constants.TAIL_BACK_ODD


def format_disk(total_sectors: int = 64 + 8 * 256 + 24, **options: Any) -> bytearray:
    """The bytes of a disk with an empty store. The default is the smallest there is: 8 segments of 128 KiB."""
    image = bytearray(total_sectors * SECTOR)
    fields = superblock_fields(total_sectors, **options)
    for lba in slots(fields):
        image[lba * SECTOR:(lba + 1) * SECTOR] = superblock_copy(fields, lba)
    return image


class Disk:
    """A perfect disk over a bytearray; counts its calls."""

    def __init__(self, image: bytearray) -> None:
        self.image = image
        self.reads = self.writes = self.flushes = 0

    def read(self, lba: int, count: int) -> Any:
        self.reads += 1
        if lba < 0 or count < 1 or (lba + count) * SECTOR > len(self.image):
            raise ValueError(f"read of {count} sectors at {lba}")
        return bytes(self.image[lba * SECTOR:(lba + count) * SECTOR])

    def write(self, lba: int, data: bytes) -> Any:
        self.writes += 1
        if lba < 0 or len(data) % SECTOR or not data or lba * SECTOR + len(data) > len(self.image):
            raise ValueError(f"write of {len(data)} bytes at {lba}")
        self.image[lba * SECTOR:lba * SECTOR + len(data)] = data
        return True

    def flush(self) -> Any:
        self.flushes += 1
        return True


# What is larger is stored as a piece of a long string: that is an object with nothing but bytes in it.
TABLE_BYTES_MAX = 60_000


def kind_of(data: bytes) -> int:
    """The kind of object that holds these bytes."""
    return constants.KIND_TABLE if len(data) <= TABLE_BYTES_MAX else constants.KIND_TREE_NODE


def stored(data: bytes, references: Iterable[int] = ()) -> bytes:
    """The payload of an object that holds these bytes and, if it is a table, refers to these objects."""
    if len(data) > TABLE_BYTES_MAX:
        return msgpack.packb(data, use_bin_type=True)
    return codec.encode_table([data, *map(Reference, references)], [])


def plain(payload: bytes) -> bytes:
    """The bytes in a payload of `stored`; another payload as it is."""
    if payload[:1] == b"\x90":
        return payload
    if payload[:1] in b"\xc5\xc6":
        return bytes(msgpack.unpackb(payload))
    contents = codec.decode_table(payload)
    first = contents.array[0]
    return first.encode() if isinstance(first, str) else bytes(first)


class StoreError(Exception):
    """nil, err of a store function; `.code` and `.facts` are err's."""

    def __init__(self, err: Any) -> None:
        self.facts = lua_support.to_python(err)
        self.code = self.facts["code"].decode()
        super().__init__(self.code + ": " + self.facts["message"].decode("utf-8", "replace"))


def checked(result: Any) -> Any:
    """The result of a Lua function that may answer nil, err."""
    if isinstance(result, tuple):
        if result[0] is None and len(result) > 1:
            raise StoreError(result[1])
        return result[0]
    return result


def lua_device(lua: Any, disk: Any) -> Any:
    """The device table of the contract over a Python object with read, write and flush."""
    return lua.table_from({b"sector_count": len(disk.image) // SECTOR, b"read": disk.read, b"write": disk.write,
                           b"flush": disk.flush, b"description": b"simulated disk"})


class Store:
    """The Lua store over a disk, with Python data in and out. StoreError for nil, err."""

    def __init__(self, disk: Any, lua: Any = None, read_only: bool = False, device: Any = None,
                 payloads: bool = False, **options: Any) -> None:
        """payloads: what tests give are payloads of tables already, and they get payloads."""
        self.payloads = payloads
        self.lua = lua or lua_support.runtime()
        self.disk = disk
        module = lua_support.require(self.lua, "fs.store")
        self.handle = checked(module[b"open"](self.lua.table_from({
            b"device": device or lua_device(self.lua, disk), b"primitives": lua_support.primitives(self.lua),
            b"read_only": read_only} | {name.encode(): value for name, value in options.items()})))

    def call(self, name: str, *arguments: Any) -> Any:
        values = [lua_support.to_lua(self.lua, argument) for argument in arguments]
        return lua_support.to_python(checked(self.handle[name.encode()](*values)))

    def allocate(self, count: int = 1) -> int:
        return self.call("allocate", count)

    def commit(self, objects: dict[int, bytes | None], message: str | None = None,
               expected: dict[int, int] | None = None) -> dict[str, Any]:
        """Commits id → bytes (None deletes), all of kind table."""
        entries = []
        for number, data in objects.items():
            item: dict[str, Any] = {"id": number, "kind": constants.KIND_DELETE}
            if data is not None:
                item = {"id": number, "kind": kind_of(data), "payload": stored(data)}
                if self.payloads:
                    item |= {"kind": constants.KIND_TABLE, "payload": data}
            if expected is not None:
                item["expected"] = expected[number]
            entries.append(item)
        request: dict[str, Any] = {"entries": entries}
        if message is not None:
            request["message"] = message
        return self.call("commit", request)

    def link(self, objects: dict[int, list[int]], message: str = "") -> dict[str, Any]:
        """Commits id → ids that it refers to."""
        return self.call("commit", {"message": message, "entries": [
            {"id": number, "kind": constants.KIND_TABLE, "payload": stored(b"", ids)} for number, ids in objects.items()]})

    def read(self, *ids: int, view: int | None = None) -> list[bytes]:
        found = [record["payload"] for record in self.records(*ids, view=view)]
        return found if self.payloads else [plain(payload) for payload in found]

    def records(self, *ids: int, view: int | None = None) -> list[dict[str, Any]]:
        return self.call("read", list(ids), *([] if view is None else [view])) or []

    def view(self, *which: Any) -> int:
        return self.call("view", *which)["view"]

    def status(self) -> str:
        result = self.handle[b"status"]()
        return (result[0] if isinstance(result, tuple) else result).decode()

    def info(self) -> dict[str, Any]:
        return self.call("info")

    def log(self, *limit: int) -> list[dict[str, Any]]:
        return self.call("log", *limit) or []

    def checkpoint(self) -> None:
        self.call("checkpoint")

    def close(self) -> None:
        self.call("close")
