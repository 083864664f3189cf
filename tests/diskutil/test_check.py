"""check: whatever is wrong with an image is found, and nothing is found in good ones."""

from __future__ import annotations

import random

import pytest

import khoros
from khoros.diskutil import check, codec, entries, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.dumping import Dump
from khoros.diskutil.errors import KhorosError
from khoros.diskutil.fuzzing import bases
from khoros.diskutil.writer import Item, Writer, open_writer
from khoros.formats import CHECKPOINT, SEGMENT_RECORD, derive
from khoros.formats import constants as C
from tests.diskutil import images
from tests.support.lua import crc32c
from tests.support.store import Disk, Store


def findings(data: bytes, notes: bool = False) -> list[str]:
    """Errors (and notes) of an image; one that cannot be mounted has that as its error."""
    try:
        report = check.check(reader.Store(MemoryDevice(data)))
    except KhorosError as error:
        return [str(error)]
    return [f.text for f in report.findings if f.error or notes]


@pytest.fixture
def large(tmp_path):
    """Three levels of index, several segments, checkpoints of host and guest, deleted objects, a cleaned log."""
    path = images.empty(tmp_path / "large.img", 8 * images.MEBIBYTE, segment_bytes=128 << 10)
    with khoros.open(path, "r+") as image:
        image["rows"] = [{"n": n, "text": "x" * (n % 90)} for n in range(3000)]
        image.commit("rows")
        del image["rows"][3000]
        image["more"] = {"a": [1.5] * 20, "b": "é" * 50}
        image.commit("more")
    guest_disk = bytearray(path.read_bytes())
    guest = Store(Disk(guest_disk))
    guest.commit({guest.allocate(): codec.EMPTY_TABLE})
    guest.checkpoint()
    guest.commit({guest.allocate(): codec.EMPTY_TABLE})
    guest.close()
    path.write_bytes(guest_disk)
    return path


def test_good_images_are_clean(large, ship, empty):
    for path in (large, ship, empty):
        assert findings(path.read_bytes()) == []


def test_figures(large):
    report = check.check(reader.Store(MemoryDevice(large.read_bytes())))
    assert report.objects == 3006
    assert report.unreachable == 3
    assert report.frames > 5
    assert report.pages > 12


def test_every_byte_that_is_used_is_covered(ship, rng, request):
    """A flip of any used byte is an error; padding after a frame and unused space have none to cover."""
    data = ship.read_bytes()
    dump = Dump(MemoryDevice(data))
    used = bytearray(len(data))
    for row in dump.rows():
        if row.level in ("superblock", "frame"):
            used[row.offset : row.offset + row.length] = b"\1" * row.length
    places = [at for at in range(len(data)) if used[at]]
    count = len(places) if request.config.getoption("--full") else 400
    for at in rng.sample(places, count):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        assert findings(bytes(changed), notes=True), f"the change of byte {at} was not found"


def test_every_sector_zeroed_or_swapped_is_found(large, rng):
    data = large.read_bytes()
    dump = Dump(MemoryDevice(data))
    sectors = sorted({at // 512 for row in dump.rows() if row.level in ("superblock", "frame")
                      for at in range(row.offset, row.offset + row.length, 512)})
    used = [s for s in sectors if any(data[s * 512 : s * 512 + 512])]
    good = findings(data, notes=True)
    for sector in rng.sample(used, 25):
        changed = bytearray(data)
        if rng.random() < 0.5:
            changed[sector * 512 : sector * 512 + 512] = bytes(512)
        else:
            other = rng.choice(used) * 512
            changed[sector * 512 : sector * 512 + 512] = data[other : other + 512]
        if changed != data:
            assert findings(bytes(changed), notes=True) != good, f"the change of sector {sector} was not found"


def test_one_bad_object_does_not_hide_the_next(large):
    data = bytearray(large.read_bytes())
    store = reader.Store(MemoryDevice(data))
    for identity in (10, 500, 2000):
        pointer = store.pointer(identity)
        assert pointer is not None
        data[pointer.offset + entries.HEADER_BYTES] ^= 1
    found = findings(bytes(data))
    for identity in (10, 500, 2000):
        assert any(f"object {identity} cannot be read" in text for text in found)
    store = reader.Store(MemoryDevice(data))
    good = 0
    for identity, _ in store.ids():
        try:
            store.read(identity)
            good += 1
        except KhorosError:
            assert identity in (10, 500, 2000)
    assert good == 3003


# -- what only arithmetic finds: every checksum is right ----------------------------------------------------------


def rewritten(data: bytes, change) -> bytes:
    """The image with its checkpoint's entries changed by `change(kind, id, payload)`, all checksums and pointers right."""
    from khoros.diskutil import frames, superblock
    from khoros.diskutil.records import Pointer, Record, pointer_fields
    from khoros.formats import COMMIT

    image = bytearray(data)
    device = MemoryDevice(image)
    store = reader.Store(device)
    record = store.checkpoint
    assert record is not None
    base = record.frame_lba * 512
    head = frames.header(bytes(image[base : base + frames.HEADER_BYTES]))
    payload = bytes(image[base + 96 : base + 96 + head.payload_bytes])
    built, moved, headers = b"", {}, b""
    for row in entries.walk(payload, head.entry_count):
        body = entries.verify(payload, row)
        if row.kind == C.KIND_CHECKPOINT:
            fields = Record(derive.unpack(CHECKPOINT, body))
            for name in ("objects", "segments", "transactions"):
                pointer = fields.pointer(name)
                if pointer is not None and pointer.place in moved:
                    fields = fields.replace(**pointer_fields(name, moved[pointer.place]))
            body = derive.pack(CHECKPOINT, fields) + body[CHECKPOINT.sizeof() :]
        if row.kind == C.KIND_COMMIT:
            fields = Record(derive.unpack(COMMIT, body))
            body = derive.pack(COMMIT, fields.replace(content_crc=crc32c(headers)))
        body = change(row.kind, row.id, body)
        entry, crc = entries.encode(row.kind, row.id, body)
        place = (base + 96 + row.offset) // 8
        moved[place] = Pointer(place, row.kind, len(body), crc)
        built += entry
        headers += entry[:16]
        last = moved[place]
        if row.kind == C.KIND_CHECKPOINT:
            checkpoint = moved[place]
    assert len(built) == len(payload)
    frame = frames.encode({k: v for k, v in head.items() if k not in (
        "payload_bytes", "entry_count", "payload_crc", "header_crc", "magic", "reserved")},
        built, head.entry_count, store.superblock.append_sectors)
    device.write(base, frame)
    block = store.superblock.replace(
        generation=store.superblock.generation + 1, replay_parent_crc=last.crc,
        parent_crc=superblock.head_crc(store.superblock), **pointer_fields("checkpoint", checkpoint))
    superblock.write(device, block)
    return bytes(device.data)


def field(schema, name, value):
    """A change of one field of the checkpoint record."""
    def change(kind, identity, body):
        if kind != C.KIND_CHECKPOINT:
            return body
        fields = derive.unpack(schema, body)
        return derive.pack(schema, {**fields, name: value(fields[name])}) + body[schema.sizeof() :]

    return change


def segment_slot(number, **changes):
    def change(kind, identity, body):
        if kind != C.KIND_SEGMENT_PAGE:
            return body
        size = SEGMENT_RECORD.sizeof()
        fields = derive.unpack(SEGMENT_RECORD, body, number * size)
        fields |= {name: value(fields[name]) for name, value in changes.items()}
        slot = derive.pack(SEGMENT_RECORD, fields)
        return body[: number * size] + slot + body[(number + 1) * size :]

    return change


WRONG = {
    "object_count": (field(CHECKPOINT, "object_count", lambda n: n + 1), "object_count"),
    "object_bytes": (field(CHECKPOINT, "object_bytes", lambda n: n - 8), "object_bytes"),
    "open_segment": (field(CHECKPOINT, "open_segment", lambda n: n + 1), "open in the table"),
    "live_bytes": (segment_slot(0, live_bytes=lambda n: n + 8), "live bytes of segment 0"),
    "free with live bytes": (segment_slot(0, tag=lambda n: n & C.ID_MASK), "free and holds"),
    "state": (segment_slot(0, tag=lambda n: n | 9 << C.ID_BITS), "state"),
    "oldest_transaction": (field(CHECKPOINT, "oldest_transaction", lambda n: 0), None),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tables(ship, name):
    change, word = WRONG[name]
    found = findings(rewritten(ship.read_bytes(), change))
    if word is None:
        assert found == []
    else:
        assert any(word in text for text in found), found


def test_the_rewriting_itself_is_harmless(ship):
    assert findings(rewritten(ship.read_bytes(), lambda kind, identity, body: body)) == []


def put(path, *items):
    writer = open_writer(path)
    writer.next_id = max(writer.next_id, *(item[0] + 1 for item in items))
    writer.commit([Item(*item) for item in items])
    writer.close()
    writer.store.close()


def test_values_that_are_not_canonical(ship):
    writer = open_writer(ship)
    identity = writer.allocate()
    writer.commit([Item(identity, C.KIND_TABLE, bytes.fromhex("9080ff"))])
    writer.close()
    writer.store.close()
    assert any(f"object {identity}" in text and "canonical" not in text
               for text in findings(ship.read_bytes()))


def test_references_to_nothing(ship):
    with khoros.open(ship) as image:
        crew = image["crew"].id
    assert crew is not None
    put(ship, (crew, C.KIND_DELETE, b""))
    assert any(f"refers to object {crew}, which does not exist" in text
               for text in findings(ship.read_bytes()))


def test_references_of_garbage_to_nothing_are_no_errors(empty):
    put(empty, (1, 1, codec.EMPTY_TABLE), (2, 1, codec.encode_table([], [("x", codec.Reference(3))])),
        (3, 1, codec.EMPTY_TABLE))
    put(empty, (3, C.KIND_DELETE, b""))
    store = reader.mount(empty)
    report = check.check(store)
    store.close()
    assert report.errors == 0
    assert report.unreachable == 1


def test_no_root(empty):
    put(empty, (5, 1, codec.EMPTY_TABLE))
    assert findings(empty.read_bytes()) != []


def test_a_torn_tail_is_a_note(ship):
    data = bytearray(ship.read_bytes())
    device = MemoryDevice(data)
    writer = Writer(reader.Store(device))
    writer.commit([Item(writer.allocate(), 1, codec.EMPTY_TABLE)])
    report = check.check(reader.Store(MemoryDevice(device.data)))
    assert report.errors == 0
    assert any("not unmounted cleanly" in f.text for f in report.findings)


def test_random_damage_never_raises_anything_else(large, request):
    rng = random.Random(3)
    data = large.read_bytes()
    rounds = 400 if request.config.getoption("--full") else 5
    for _ in range(rounds):
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 20)):
            at = rng.randrange(4096, len(data) if rng.random() < 0.1 else 2_000_000)
            changed[at : at + 16] = rng.randbytes(16)
        findings(bytes(changed))
        for row in Dump(MemoryDevice(bytes(changed))).rows():
            row.parts()


def test_a_damaged_page_of_a_snapshot_s_segment_table_is_found():
    image = bytearray(bases.base(bases.NAMES.index("rich")).image)
    store = reader.Store(MemoryDevice(image))
    pointer = store.snapshots[0].pointer("segments")
    assert pointer is not None and pointer != store.checkpoint.pointer("segments")
    assert check.check(store).errors == 0
    image[pointer.offset + 16] ^= 1
    findings = check.check(reader.Store(MemoryDevice(image))).findings
    assert any(finding.error and "of its segments" in finding.text for finding in findings), findings
