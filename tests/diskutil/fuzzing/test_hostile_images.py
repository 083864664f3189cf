"""Hostile images: each a field or a few that no writer would write, checksums right throughout. Both readers say the same, soon.

A case is a name and what it changes in a good image that has everything in it: (structure, field, value), of the newest structure of
that kind; of superblocks both copies of the newest generation, or all; bytes of a payload where the field is a number. The limits are
those of the plan of proof: 2 s of CPU time and 64 MB for each reader.
"""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from khoros.diskutil import checksums, superblock
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.fuzzing import bases, verdicts
from khoros.formats import constants as C
from khoros.formats import derive

SECONDS_MOST, BYTES_MOST = 2.0, 64 << 20
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

CASES: dict[str, list[Edit]] = {
    # superblocks
    "total sectors 0": of("every superblock", total_sectors=0),
    "total sectors of 2^63-1": of("every superblock", total_sectors=TOP[63]),
    "a device that is shorter than stated": of("every superblock", total_sectors=field("superblock", "total_sectors") + 8),
    "segments of no sectors": of("every superblock", segment_sectors=0),
    "segments of three sectors": of("every superblock", segment_sectors=3),
    "segments of 2^31 sectors": of("every superblock", segment_sectors=2**31),
    "no segments": of("every superblock", segment_count=0),
    "2^32-1 segments": of("every superblock", segment_count=TOP[32]),
    "one segment more than fit": of("every superblock", segment_count=field("superblock", "segment_count") + 1),
    "a log at sector 0": of("every superblock", log_lba=0),
    "a log at 2^62": of("every superblock", log_lba=2**62),
    "appends of no sectors": of("superblock", append_sectors=0),
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
    "replay from behind the log": of("superblock", replay_lba=TOP[63]),
    "replay from between two appends": of("superblock", replay_lba=field("superblock", "replay_lba") + 1),
    "replay from lsn 0": of("superblock", replay_lsn=0),
    "replay at a sequence that is not the checkpoint's": of("superblock", replay_sequence=2**62),
    "more transactions than sequences": of("superblock", replay_transaction=2**62),
    "replay going on in a segment that is not": of("superblock", replay_next_segment=TOP[32]),
    "an incarnation above the claimed one": of("superblock", incarnation=TOP[32]),
    "a checkpoint behind the end": of("superblock", checkpoint_tag=tag(C.KIND_CHECKPOINT, PAST_THE_END)),
    "a checkpoint at place 0": of("superblock", checkpoint_tag=tag(C.KIND_CHECKPOINT, 0)),
    "a checkpoint that is a table": of("superblock", checkpoint_tag=tag(C.KIND_TABLE, SELF & C.ID_MASK)),
    "a checkpoint of no bytes": of("superblock", checkpoint_payload_bytes=0),
    "a checkpoint of 2^32-1 bytes": of("superblock", checkpoint_payload_bytes=TOP[32]),
    # the checkpoint
    "65 snapshots": of("checkpoint", snapshot_count=65),
    "2^32-1 snapshots": of("checkpoint", snapshot_count=TOP[32]),
    "snapshots that are not counted": of("checkpoint", snapshot_count=0),
    "next id 0": of("checkpoint", next_id=0),
    "next id above 2^48": of("checkpoint", next_id=2**48 + 1),
    "next id of 2^64-1": of("checkpoint", next_id=TOP[64]),
    "an index of no levels with a root": of("checkpoint", object_levels=0),
    "an index of two levels whose pages are leaves": of("checkpoint", object_levels=2),
    "an index of 2^32-1 levels": of("checkpoint", object_levels=TOP[32]),
    "an index whose root is the checkpoint": of("checkpoint", objects_tag=SELF),
    "an index whose root is behind the end": of("checkpoint", objects_tag=tag(C.KIND_OBJECT_PAGE, PAST_THE_END)),
    "objects whose index is the segments'": of("checkpoint", **{f"objects_{name}": value for name, value in SEGMENTS_ROOT.items()}),
    "a checkpoint before itself": of("checkpoint", previous_tag=SELF, previous_payload_bytes=field(
        "superblock", "checkpoint_payload_bytes"), previous_crc=field("superblock", "checkpoint_crc")),
    "a checkpoint in a frame outside the log": of("checkpoint", frame_lba=0),
    "a checkpoint of another transaction": of("checkpoint", transaction=2**40),
    "history from the future on": of("checkpoint", oldest_transaction=2**62),
    "2^62 objects": of("checkpoint", object_count=2**62),
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
    "an object behind the end": of("pointer", tag=tag(C.KIND_TABLE, PAST_THE_END)),
    "an object that is a page of its own index": of("pointer", tag=OBJECTS, payload_bytes=4096, crc=field("checkpoint", "objects_crc")),
    "an object that is the root": of("pointer", tag=tag(C.KIND_TABLE, 32864 // 8)),
    "an object of no bytes": of("pointer", payload_bytes=0),
    "an object of 2^32-1 bytes": of("pointer", payload_bytes=TOP[32]),
    "an object of an unknown kind": of("pointer", tag=tag(0x7FFF, 32864 // 8)),
    "a segment with 2^32-1 live bytes": of("segment_record", live_bytes=TOP[32]),
    "a segment in an unknown state": of("segment_record", tag=tag(0x7FFF, 1)),
    # frames, entries, commit records
    "a frame of 2^32-1 bytes": of("frame_header", payload_bytes=TOP[32]),
    "a frame of no bytes": of("frame_header", payload_bytes=0),
    "a frame of 2^32-1 entries": of("frame_header", entry_count=TOP[32]),
    "a frame of no entries": of("frame_header", entry_count=0),
    "a frame that is at another place": of("frame_header", lba=64),
    "segments in a circle": of("frame_header", next_segment=0),
    "a next segment that is not": of("frame_header", next_segment=TOP[32]),
    "an entry of 2^32-1 bytes": of("entry_header", payload_bytes=TOP[32]),
    "an entry of no bytes": of("entry_header", payload_bytes=0),
    "an entry of kind 0": of("entry_header", tag=1),
    "an entry of a negative tag": of("entry_header", tag=TOP[64]),
    "a commit of 2^63-1 entries": of("commit", entry_count=TOP[63]),
    "a commit of 2^63-1 bytes": of("commit", content_bytes=TOP[63]),
    "a commit with a message of 2^32-1 bytes": of("commit", message_bytes=TOP[32]),
    "a commit of kind 9": of("commit", commit_kind=9),
    "a commit of transaction 2^64-1": of("commit", transaction=TOP[64]),
    # values
    "an array of 2^32-1 elements": [("bytes", 0, b"\xdd\xff\xff\xff\xff")],
    "a map of 2^32-1 pairs": [("bytes", 0, b"\xdf\xff\xff\xff\xff")],
    "a string of 2^32-1 bytes": [("bytes", 0, b"\xdb\xff\xff\xff\xff")],
    "arrays in arrays as deep as they go": [("bytes", 0, b"\x91" * 200)],
    "a reference to itself": [("bytes", 0, b"\x91\xd4\x01\x01\x80")],
    "bytes that MessagePack never uses": [("bytes", 0, b"\xc1" * 20)],
}  # fmt: skip


@pytest.fixture(scope="module")
def lua() -> verdicts.Lua:
    return verdicts.Lua()


def used(work: Callable[[], Any]) -> tuple[Any, float]:
    before = time.process_time()
    result = work()
    return result, time.process_time() - before


def test_there_are_enough_and_they_differ():
    images = Counter(bytes(image_of(edits)) for edits in CASES.values())
    assert len(CASES) >= 60 and max(images.values()) == 1
    assert BASE.image not in images


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_image(name: str, lua: verdicts.Lua):
    image = image_of(CASES[name])
    (ours, finding), seconds = used(lambda: verdicts.of_python(bytearray(image), thorough=True))
    assert finding is None and ours is not None, finding
    # The store's memory is limited by verdicts.Lua.
    difference, lua_seconds = used(lambda: verdicts.difference(image, ours, lua))
    assert difference is None, difference
    assert max(seconds, lua_seconds) < SECONDS_MOST
    tracemalloc.start()
    verdicts.of_python(bytearray(image), thorough=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES_MOST


def test_most_are_refused_and_in_different_words():
    """A case that changes nothing that matters would be none: an error or damage, of the image or of an object."""
    found = Counter(outcome(image_of(edits)) for edits in CASES.values())
    assert found["clean"] + found["torn"] < len(CASES) / 3 and len(found) >= 6


def outcome(image: bytearray) -> str:
    verdict = verdicts.python(image)
    bad = [value for value in verdict.objects.values() if isinstance(value, str)]
    return verdict.code or (f"object {bad[0]}" if bad else verdict.verdict)


def test_the_newest_superblocks_are_meant():
    assert len(places("superblock")) == 2
    assert superblock.choose(superblock.read_slots(MemoryDevice(BASE.image)), MemoryDevice(BASE.image)).checkpoint_tag == SELF
