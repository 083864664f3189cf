"""Hostile images made field by field: each a value or a few that no writer would write, in a good image that has everything in it.

An edit is (structure, field, value), of the newest structure of that kind; of superblocks both copies of the newest generation,
one of them, or all; bytes of a payload where the field is a number. Every checksum is made right again. `IMAGES` are part of the
set in hostile.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from khoros.diskutil import checksums
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.fuzzing import bases
from khoros.formats import constants as C
from khoros.formats import derive

BASE = bases.base(bases.NAMES.index("rich"))
# What is in the log counts only where it is replayed.
IN_USE = bases.base(bases.NAMES.index("rich and in use"))
LOGGED = {"frame_header", "entry_header", "commit"}
TOP = {32: 2**32 - 1, 63: 2**63 - 1, 64: 2**64 - 1}
PAST_THE_END = len(BASE.image) // C.PLACE_UNIT_BYTES + 1
Edit = tuple[str, str | int, int | bytes]


def tag(kind: int, place: int) -> int:
    return kind << C.ID_BITS | place


def places(name: str) -> list[int]:
    """Where the structures of that name are that matter: both newest superblocks, the pointer to object 2, else the last one."""
    base = IN_USE if name in LOGGED else BASE
    found = [structure.offset for structure in base.structures if structure.name == name]
    if name == "pointer":
        page = field("checkpoint", "objects_tag") & C.ID_MASK
        return [page * C.PLACE_UNIT_BYTES + 16 + 16 * 2]
    if name == "every superblock":
        return [structure.offset for structure in BASE.structures if structure.name == "superblock"]
    if name != "superblock":
        return found[-1:]
    generations = {at: derive.unpack(bases.SCHEMAS[name], BASE.image, at)["generation"] for at in found}
    return [at for at in found if generations[at] == max(generations.values())]


def field(name: str, what: str) -> int:
    """The value that a field has in the good image."""
    return int(derive.unpack(bases.SCHEMAS[name], BASE.image, places(name)[0])[what])


def image_of(edits: list[Edit]) -> bytearray:
    image = bytearray((IN_USE if edits[0][0] in LOGGED else BASE).image)
    for name, what, value in edits:
        single, name = name.startswith("one "), name.removeprefix("one ")
        for at in places(name)[:1 if single else None]:
            if isinstance(what, int):
                assert isinstance(value, bytes)
                image[at + what:at + what + len(value)] = value
                continue
            row = next(row for row in derive.fields(bases.SCHEMAS[name.removeprefix("every ")]) if row.name == what)
            data = value.ljust(row.size, b"\0") if isinstance(value, bytes) else value.to_bytes(row.size, "little")
            image[at + row.offset:at + row.offset + row.size] = data
    checksums.mend(MemoryDevice(image))
    return image


def of(structure: str, /, **values: int | bytes) -> list[Edit]:
    return [(structure, what, value) for what, value in values.items()]


SELF = field("superblock", "checkpoint_tag")
OBJECTS, SEGMENTS = field("checkpoint", "objects_tag"), field("checkpoint", "segments_tag")
SEGMENTS_ROOT = {name: field("checkpoint", f"segments_{name}") for name in ("tag", "payload_bytes", "crc")}

EDITS: dict[str, list[Edit]] = {
    # superblocks
    "total sectors of 2^63-1": of("every superblock", total_sectors=TOP[63]),
    "a device eight sectors shorter than stated": of("every superblock", total_sectors=field("superblock", "total_sectors") + 8),
    "segments of 2^31 sectors": of("every superblock", segment_sectors=2**31),
    "one segment more than fit": of("every superblock", segment_count=field("superblock", "segment_count") + 1),
    "appends of 2^32-1 sectors": of("superblock", append_sectors=TOP[32]),
    "a format of the future": of("superblock", format_major=99),
    "an incompatible feature": of("superblock", features_incompat=1 << 62),
    "a feature that forbids writing": of("superblock", features_ro_compat=1 << 62),
    "a header of no bytes": of("superblock", header_bytes=0),
    "a generation at the limit": of("superblock", generation=TOP[63]),
    "generation 0": of("superblock", generation=0),
    "one copy of another store": of("one superblock", uuid=b"\xee" * 16),
    "one copy of another geometry": of("one superblock", segment_count=5),
    "one copy of another replay position": of("one superblock", replay_lsn=77),
    "another epoch": of("every superblock", epoch=1),
    "replay from sector 0": of("superblock", replay_lba=0),
    "replay at a sequence that is not the checkpoint's": of("superblock", replay_sequence=2**62),
    "more transactions than sequences": of("superblock", replay_transaction=2**62),
    "an incarnation above the claimed one": of("superblock", incarnation=TOP[32]),
    "a checkpoint at the first place behind the end": of("superblock", checkpoint_tag=tag(C.KIND_CHECKPOINT, PAST_THE_END)),
    "a checkpoint at place 0": of("superblock", checkpoint_tag=tag(C.KIND_CHECKPOINT, 0)),
    "a checkpoint that is a table": of("superblock", checkpoint_tag=tag(C.KIND_TABLE, SELF & C.ID_MASK)),
    # the checkpoint
    "65 snapshots": of("checkpoint", snapshot_count=65),
    "snapshots that are not counted": of("checkpoint", snapshot_count=0),
    "next id 0": of("checkpoint", next_id=0),
    "next id of 2^64-1": of("checkpoint", next_id=TOP[64]),
    "an index of two levels whose pages are leaves": of("checkpoint", object_levels=2),
    "an index of 2^32-1 levels": of("checkpoint", object_levels=TOP[32]),
    "an index whose root is the checkpoint": of("checkpoint", objects_tag=SELF),
    "objects whose index is the segments'": of("checkpoint", **{f"objects_{name}": value for name, value in SEGMENTS_ROOT.items()}),
    "a checkpoint before itself": of("checkpoint", previous_tag=SELF, previous_payload_bytes=field(
        "superblock", "checkpoint_payload_bytes"), previous_crc=field("superblock", "checkpoint_crc")),
    "a checkpoint in a frame outside the log": of("checkpoint", frame_lba=0),
    "a checkpoint of another transaction": of("checkpoint", transaction=2**40),
    # snapshots
    "a snapshot without a name": of("snapshot", name=b""),
    "a snapshot whose name is no UTF-8": of("snapshot", name=b"\xff\xfe"),
    "a snapshot whose name goes on behind a zero": of("snapshot", name=b"a\0b"),
    "a snapshot of the future": of("snapshot", transaction=2**40),
    "a snapshot of ten levels": of("snapshot", object_levels=10),
    "a snapshot without objects' root": of("snapshot", objects_tag=0, objects_payload_bytes=0, objects_crc=0),
    "a snapshot whose objects are the segments": of("snapshot", objects_tag=SEGMENTS),
    "a snapshot that pins the present's segments": of("snapshot", segments_tag=SEGMENTS),
    # pages and their pointers
    "an object that is a page of its own index": of("pointer", tag=OBJECTS, payload_bytes=4096, crc=field("checkpoint", "objects_crc")),
    "an object that is the root": of("pointer", tag=tag(C.KIND_TABLE, 32864 // 8)),
    "an object of no bytes": of("pointer", payload_bytes=0),
    "an object of an unknown kind": of("pointer", tag=tag(0x7FFF, 32864 // 8)),
    # frames, entries, commit records
    "a frame of 2^32-1 bytes": of("frame_header", payload_bytes=TOP[32]),
    "a frame of no bytes": of("frame_header", payload_bytes=0),
    "a frame that is at another place": of("frame_header", lba=64),
    "an entry of 2^32-1 bytes": of("entry_header", payload_bytes=TOP[32]),
    "an entry of no bytes": of("entry_header", payload_bytes=0),
    "an entry of kind 0": of("entry_header", tag=1),
    "an entry of a negative tag": of("entry_header", tag=TOP[64]),
    "a commit of 2^63-1 entries": of("commit", entry_count=TOP[63]),
    "a commit of 2^63-1 bytes": of("commit", content_bytes=TOP[63]),
    "a commit of transaction 2^64-1": of("commit", transaction=TOP[64]),
    # values
    "a map of 2^32-1 pairs": [("bytes", 0, b"\xdf\xff\xff\xff\xff")],
    "a string of 2^32-1 bytes": [("bytes", 0, b"\xdb\xff\xff\xff\xff")],
    "a reference to itself": [("bytes", 0, b"\x91\xd4\x01\x01\x80")],
    "bytes that MessagePack never uses": [("bytes", 0, b"\xc1" * 20)],
}  # fmt: skip


def write(edits: list[Edit], path: Path) -> None:
    path.write_bytes(image_of(edits))


IMAGES: dict[str, Callable[[Path], None]] = {name: partial(write, edits) for name, edits in EDITS.items()}
