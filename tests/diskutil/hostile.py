"""Images made to harm a reader: every checksum is right, and something is not. Each is a few lines over the schemas.

`IMAGES` maps a name that says what it is to a function that makes it at a path: those made here by writers that lie, and those
made field by field (hostile_fields.py). `VALID` are those in which nothing is wrong that
keeps from reading; they are expensive for who follows every reference, or rude to a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import khoros
from khoros.diskutil import checksums, codec, entries, kinds, reader, superblock
from khoros.diskutil.device import FileDevice
from khoros.diskutil.kinds import MapRoot, Part, StringTree, TableTree
from khoros.diskutil.values import Reference
from khoros.diskutil.writer import Item
from khoros.formats import CHECKPOINT, COMMIT, FRAME_HEADER, POINTER, SEGMENT_RECORD, derive
from khoros.formats import constants as C
from tests.diskutil import hostile_fields, images

IMAGES: dict[str, Callable[[Path], Any]] = {}
VALID = {"references that double at every step", "a chain of many tables", "one table ten thousand times",
         "a message of control characters", "a label of control characters", "an incarnation at the end of all",
         "a feature that forbids writing", "a checkpoint before itself"}
# The last transaction is no good: it cannot be told from one that a power cut tore, and ends the log.
TORN = {"a frame of no entries", "a frame that is durable before it is written", "a frame whose segment follows itself",
        "a frame whose next segment there is not", "a commit that takes ids back",
        "a commit after a checkpoint that there is not", "a frame of 2^32-1 bytes", "a frame of no bytes",
        "a frame that is at another place", "an entry of kind 0"}
MANY = (1 << 32) - 1
EMPTY = codec.EMPTY_TABLE
Make = Callable[[Path], Any]


def image(name: str) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        assert name not in IMAGES
        IMAGES[name] = make
        return make

    return register


for _name, _make in hostile_fields.IMAGES.items():
    image(_name)(_make)


# -- superblocks ------------------------------------------------------------------------------------------------

SUPERBLOCKS: dict[str, dict[str, Any]] = {
    "a device shorter than is stated": {"total_sectors": 1 << 40},
    "no sectors at all": {"total_sectors": 0},
    "segments of no sectors": {"segment_sectors": 0},
    "segments of three sectors": {"segment_sectors": 3},
    "segments without number": {"segment_count": MANY},
    "no segments": {"segment_count": 0},
    "appends of no sectors": {"append_sectors": 0},
    "a log before the first sector": {"log_lba": 0},
    "a log behind the last sector": {"log_lba": 1 << 62},
    "a checkpoint behind the end": {"checkpoint_tag": C.KIND_CHECKPOINT << C.ID_BITS | C.ID_MASK},
    "a checkpoint of four gigabytes": {"checkpoint_payload_bytes": MANY},
    "a checkpoint of no bytes": {"checkpoint_payload_bytes": 0},
    "a checkpoint that is a superblock": {"checkpoint_tag": C.KIND_CHECKPOINT << C.ID_BITS | 8 * 512 // 8},
    "a checkpoint of another kind": {"checkpoint_tag": C.KIND_TABLE << C.ID_BITS | 8 * 512},
    "a log that goes on behind the end": {"replay_lba": (1 << 63) - 1},
    "a log that goes on between two appends": {"replay_lba": 65},
    "a following segment that there is not": {"replay_next_segment": MANY},
    "a log number before the first": {"replay_lsn": 0},
    "a log number at the end of all": {"replay_lsn": (1 << 63) - 1},
    "transactions at the end of all": {"replay_transaction": (1 << 63) - 1, "replay_sequence": (1 << 63) - 1},
    "a generation at the end of all": {"generation": (1 << 63) - 2},
    "an incarnation at the end of all": {"incarnation": MANY, "incarnation_claimed": MANY},
    "features without number": {"features_incompat": (1 << 63) - 1},
}


def with_superblocks(changes: dict[str, Any]) -> Make:
    def make(path: Path) -> None:
        images.ship(path)
        images.forge_superblocks(path, lambda record: changes)

    return make


for _name, _changes in SUPERBLOCKS.items():
    image(_name)(with_superblocks(_changes))


@image("superblocks that disagree")
def _(path: Path) -> None:
    images.ship(path)
    device = FileDevice(path)
    slot = superblock.read_slots(device)[0]
    device.close()
    assert slot.superblock is not None
    images.patch(path, slot.lba * 512, superblock.encode(slot.superblock.replace(lineage=bytes(16)), slot.lba))


@image("a label of control characters")
def _(path: Path) -> None:
    images.ship(path)
    images.forge_superblocks(path, lambda record: {"label": b"\x1b]0;owned\x07\n\r\x1b[2J".ljust(64, b"\0")})


# -- what a payload says ----------------------------------------------------------------------------------------


def reference(identity: int) -> bytes:
    return codec.encode_scalar(Reference(identity))


PAYLOADS: dict[str, tuple[int, bytes]] = {
    "an array without end": (C.KIND_TABLE, b"\xdd\xff\xff\xff\xff\x80"),
    "a map without end": (C.KIND_TABLE, b"\x90\xdf\xff\xff\xff\xff"),
    "a string without end": (C.KIND_TABLE, b"\x91\xdb\xff\xff\xff\xff\x80"),
    "packed numbers without end": (C.KIND_TABLE, b"\xc9\xff\xff\xff\xff\x03\x01\x80"),
    "arrays in arrays, very deep": (C.KIND_TABLE, b"\x91" * 60_000 + b"\x80"),
    "maps in maps, very deep": (C.KIND_TABLE, b"\x90" + b"\x81\xa1a" * 20_000 + b"\x01"),
    "wide arrays in an array": (C.KIND_TABLE, b"\xdc\xff\xff" + b"\x90" * 0xFFFF + b"\x80"),
    "the same key twice": (C.KIND_TABLE, b"\x90\x82\xa1a\x01\xa1a\x02"),
    "keys that are equal in Python": (C.KIND_TABLE, b"\x90\x82\x01\xc3\xcb\x3f\xf0" + bytes(6) + b"\x01"),
    "an empty payload": (C.KIND_TABLE, b""),
    "a table that is its own metatable's number": (C.KIND_TABLE, b"\x90\x80\x01"),
    "a reference to nothing": (C.KIND_TABLE, b"\x91" + reference(999) + b"\x80"),
    "a reference to number zero": (C.KIND_TABLE, b"\x91\xd4\x01\x00\x80"),
    "a tree of unknown sort": (C.KIND_TREE, b"\x94\x07\x01\x01\x91" + reference(3)),
    "a tree of a hundred levels": (C.KIND_TREE, b"\x94\x00\x01\x64\x91" + reference(3)),
    "a tree without end": (C.KIND_TREE, b"\x94\x00\x01\x01\xdd\xff\xff\xff\xff"),
    "a tree that is its own leaf": (C.KIND_TREE, kinds.encode_tree(StringTree(9, Part(1, [2])))),
    "a string of a terabyte": (C.KIND_TREE, kinds.encode_tree(StringTree(1 << 40, Part(1, [3])))),
    "a map that is its own node": (C.KIND_MAP, kinds.encode_map_root(MapRoot(1 << 50, 2, 2))),
    "a map of 255 levels": (C.KIND_MAP, kinds.encode_map_root(MapRoot(1, 255, 3))),
    "a function that is its own source": (C.KIND_FUNCTION, b"\x95" + reference(2) + b"\x00\x00\x00\xa35.5"),
    "an object of a kind that there is not": (15, EMPTY),
}


def with_payload(kind: int, payload: bytes) -> Make:
    def make(path: Path) -> None:
        images.empty(path)
        leaf = Item(3, C.KIND_TREE_NODE, kinds.encode_string_piece(b"leaf"))
        images.forged(path, Item(2, kind, payload), leaf)

    return make


for _name, (_kind, _payload) in PAYLOADS.items():
    image(_name)(with_payload(_kind, _payload))


@image("nodes of a tree that are each other's children")
def _(path: Path) -> None:
    images.empty(path)
    images.forged(path, Item(2, C.KIND_TREE, kinds.encode_tree(StringTree(9, Part(7, [3])))),
                  Item(3, C.KIND_TREE_NODE, kinds.encode_children([4])), Item(4, C.KIND_TREE_NODE, kinds.encode_children([3])))


@image("a leaf that stands in a string a thousand times")
def _(path: Path) -> None:
    images.empty(path)
    leaf = kinds.encode_string_piece(b"x" * C.TREE_LEAF_BYTES)
    tree = StringTree(C.TREE_LEAF_BYTES * 1000, Part(1, [3] * 1000))
    images.forged(path, Item(2, C.KIND_TREE, kinds.encode_tree(tree)), Item(3, C.KIND_TREE_NODE, leaf))


@image("two tables that share their leaves")
def _(path: Path) -> None:
    images.empty(path)
    tree = kinds.encode_tree(TableTree(None, Part(1, [4]), Part(0, [])))
    root = codec.encode_table([Reference(2), Reference(3)], [])
    images.forged(path, Item(2, C.KIND_TREE, tree), Item(3, C.KIND_TREE, tree),
                  Item(4, C.KIND_TREE_NODE, codec.encode_array([1, "a"])), Item(5, C.KIND_TABLE, root))


@image("a map whose nodes are each other's children")
def _(path: Path) -> None:
    images.empty(path)
    images.forged(path, Item(2, C.KIND_MAP, kinds.encode_map_root(MapRoot(5, 200, 3))),
                  Item(3, C.KIND_MAP_NODE, b"\x93" + reference(4) + b"\xa1k" + reference(4)),
                  Item(4, C.KIND_MAP_NODE, b"\x93" + reference(3) + b"\xa1k" + reference(3)))


@image("a map that counts more than it holds")
def _(path: Path) -> None:
    images.empty(path)
    images.forged(path, Item(2, C.KIND_MAP, kinds.encode_map_root(MapRoot(1 << 40, 1, 3))),
                  Item(3, C.KIND_MAP_NODE, b"\x81\xa1k\x01"))


@image("references that double at every step")
def _(path: Path) -> None:
    """2^40 paths through 40 tables."""
    images.empty(path)
    with khoros.open(path, "r+") as opened:
        table = khoros.LuaTable({"end": 1})
        for _ in range(40):
            table = khoros.LuaTable({"a": table, "b": table})
        opened["laughs"] = table
        opened.commit()


@image("a chain of many tables")
def _(path: Path) -> None:
    images.empty(path)
    with khoros.open(path, "r+") as opened:
        first = table = khoros.LuaTable({"n": 0})
        for number in range(3000):
            table["next"] = khoros.LuaTable({"n": number})
            table = table["next"]
        opened["chain"] = first
        opened.commit()


@image("one table ten thousand times")
def _(path: Path) -> None:
    images.empty(path)
    with khoros.open(path, "r+") as opened:
        shared = khoros.LuaTable({"n": 1})
        opened["wide"] = [shared] * 10_000
        opened.commit()


@image("a message of control characters")
def _(path: Path) -> None:
    images.ship(path)
    with khoros.open(path, "r+") as opened:
        opened["\x1b[2J\r\nname"] = "\x1b]0;owned\x07"
        opened.commit("\x1b[2J\x1b]0;owned\x07\r\n")


# -- the index and the checkpoint -------------------------------------------------------------------------------


def populated(path: Path) -> None:
    """Enough objects for an index of two levels."""
    images.empty(path)
    with khoros.open(path, "r+") as opened:
        opened["many"] = [{"n": number} for number in range(400)]
        opened.commit()


def edited(change: Callable[[reader.Store, bytearray], None]) -> Make:
    """Change bytes of a populated image, and make every checksum right again."""
    def make(path: Path) -> None:
        populated(path)
        store = reader.mount(path)
        data = bytearray(path.read_bytes())
        change(store, data)
        store.close()
        path.write_bytes(data)
        device = FileDevice(path, writable=True)
        checksums.mend(device)
        device.close()

    return make


def set_field(data: bytearray, schema: Any, at: int, name: str, value: int) -> None:
    field = next(field for field in derive.fields(schema) if field.name == name)
    data[at + field.offset : at + field.offset + field.size] = value.to_bytes(field.size, "little")


def checkpoint_at(store: reader.Store) -> int:
    pointer = store.superblock.pointer("checkpoint")
    assert pointer is not None
    return pointer.offset + entries.HEADER_BYTES


def page_at(store: reader.Store, name: str, *slots: int) -> int:
    """Where a page's payload begins: the root of an index, or the one below some slots."""
    assert store.checkpoint is not None
    pointer = store.checkpoint.pointer(name)
    assert pointer is not None
    for slot in slots:
        data = store.device.read(pointer.offset + entries.HEADER_BYTES + 16 * slot, 16)
        pointer = type(pointer).of(*derive.packer(POINTER).unpack(data))
        assert pointer is not None
    return pointer.offset + entries.HEADER_BYTES


CHECKPOINTS: dict[str, dict[str, int]] = {
    "an index of 255 levels": {"object_levels": 255},
    "an index of no levels": {"object_levels": 0},
    "an index of one level too few": {"object_levels": 1},
    "an index of one level too many": {"object_levels": 3},
    "snapshots without number": {"snapshot_count": MANY},
    "ids that were never handed out": {"next_id": 5},
    "ids at the end of all": {"next_id": (1 << 48) + 1},
    "more objects than there are": {"object_count": 1 << 60},
    "more bytes than there are": {"object_bytes": 1 << 60},
    "an open segment that there is not": {"open_segment": MANY},
    "history from before the first transaction": {"oldest_transaction": 1 << 62},
    "an index behind the end": {"objects_tag": C.KIND_OBJECT_PAGE << C.ID_BITS | C.ID_MASK},
    "an index that is the segment table": {"objects_tag": C.KIND_SEGMENT_PAGE << C.ID_BITS | 4096},
}


def with_checkpoint(changes: dict[str, int]) -> Make:
    def change(store: reader.Store, data: bytearray) -> None:
        for name, value in changes.items():
            set_field(data, CHECKPOINT, checkpoint_at(store), name, value)

    return edited(change)


for _name, _fields in CHECKPOINTS.items():
    image(_name)(with_checkpoint(_fields))


def slot_edit(name: str, source: tuple[str, tuple[int, ...], int] | None, target: tuple[str, tuple[int, ...], int],
              **changes: int) -> None:
    """Copy one slot of a page over another, or change its fields."""
    def change(store: reader.Store, data: bytearray) -> None:
        at = page_at(store, target[0], *target[1]) + 16 * target[2]
        if source is not None:
            start = page_at(store, source[0], *source[1]) + 16 * source[2]
            data[at : at + 16] = data[start : start + 16]
        schema = SEGMENT_RECORD if target[0] == "segments" else POINTER
        for field, value in changes.items():
            set_field(data, schema, at, field, value)

    image(name)(edited(change))


slot_edit("a subtree that two slots share", ("objects", (), 0), ("objects", (), 1))
slot_edit("a subtree far beyond all ids", ("objects", (), 0), ("objects", (), 200))
slot_edit("two ids on one record", ("objects", (0,), 5), ("objects", (0,), 6))
slot_edit("an object that is a page", ("objects", (), 0), ("objects", (0,), 7))
slot_edit("an object of four gigabytes", None, ("objects", (0,), 8), payload_bytes=MANY)
slot_edit("an object behind the end", None, ("objects", (0,), 8), tag=C.KIND_TABLE << C.ID_BITS | C.ID_MASK)
slot_edit("an object in the middle of another", None, ("objects", (0,), 8), tag=C.KIND_TABLE << C.ID_BITS | 4097)
slot_edit("an object of a kind for pages", None, ("objects", (0,), 8), tag=C.KIND_COMMIT << C.ID_BITS | 4096)
slot_edit("a segment in an unknown state", None, ("segments", (), 0), tag=77 << C.ID_BITS | 1)
slot_edit("a used segment that is called free", None, ("segments", (), 0), tag=0)
slot_edit("live bytes without number", None, ("segments", (), 0), live_bytes=MANY)


# -- frames and commits -----------------------------------------------------------------------------------------


def frame_edit(name: str, change: Callable[[bytearray, int, int], None]) -> None:
    """change(data, offset of the last user transaction's frame, offset of its commit record's payload)."""
    def make(path: Path) -> None:
        images.ship(path)
        with khoros.open(path, "r+") as opened:
            opened["n"] = 1
            opened.commit()
            opened.store.close()  # no unmount: the transaction stays in the log
            found = opened._writer.store.replayed.transactions[-1]  # type: ignore[union-attr]
            opened._closed = True
        data = bytearray(path.read_bytes())
        change(data, found.frame_lba * 512, found.commit.offset + entries.HEADER_BYTES)
        path.write_bytes(data)
        device = FileDevice(path, writable=True)
        checksums.mend(device)
        device.close()

    image(name)(make)


def in_frame(field: str, value: int) -> Callable[[bytearray, int, int], None]:
    return lambda data, frame, commit: set_field(data, FRAME_HEADER, frame, field, value)


def in_commit(field: str, value: int) -> Callable[[bytearray, int, int], None]:
    return lambda data, frame, commit: set_field(data, COMMIT, commit, field, value)


frame_edit("a frame of entries without number", in_frame("entry_count", MANY))
frame_edit("a frame of no entries", in_frame("entry_count", 0))
frame_edit("a frame that is durable before it is written", in_frame("durable_lsn", (1 << 63) - 1))
frame_edit("a frame of a later superblock", in_frame("generation", 1 << 62))
frame_edit("a frame whose segment follows itself", in_frame("next_segment", 0))
frame_edit("a frame whose next segment there is not", in_frame("next_segment", MANY))
frame_edit("a commit of entries without number", in_commit("entry_count", 1 << 62))
frame_edit("a commit of bytes without number", in_commit("content_bytes", 1 << 62))
frame_edit("a commit with a message without end", in_commit("message_bytes", MANY))
frame_edit("a commit that takes ids back", in_commit("next_id", 2))
frame_edit("a commit that hands out all ids", in_commit("next_id", 1 << 62))
frame_edit("a commit of another transaction", in_commit("transaction", 1 << 62))
frame_edit("a commit of unknown kind", in_commit("commit_kind", 9))
frame_edit("a commit after a checkpoint that there is not", in_commit("checkpoint_payload_bytes", MANY))
