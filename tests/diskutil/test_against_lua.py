"""The host's reader and writer against the guest's own lua/fs, run in this process: same bytes, same verdicts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import khoros
from khoros.diskutil import check, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.errors import KhorosError, NoSpace
from khoros.diskutil.frames import MAGIC
from khoros.diskutil.values import LuaTable
from khoros.diskutil.writer import Item, Writer
from khoros.formats import FRAME_HEADER, SUPERBLOCK, derive
from khoros.formats import constants as C
from tests.diskutil import images
from tests.fs.sessions import World
from tests.support.lua import crc32c, primitives
from tests.support.store import Disk, Store, StoreError, format_disk, lua_device


def world_over(path: Path) -> World:
    """The guest's objects over an image file's bytes."""
    data = bytearray(path.read_bytes())
    return World("disk", data, len(data) // C.SECTOR_BYTES)


def save(path: Path, world: World) -> None:
    """The world's disk back into the file, cleanly unmounted."""
    world.store.close()
    assert world.image is not None
    path.write_bytes(world.image)


def assert_clean(path: Path) -> None:
    """The host's check finds nothing."""
    store = reader.mount(path)
    report = check.check(store)
    store.close()
    assert [f.text for f in report.findings if f.error] == []


# -- values and graphs ------------------------------------------------------------------------------------------


def test_the_guest_reads_what_the_host_wrote(tmp_path):
    path = images.ship(tmp_path / "a.img")
    world = world_over(path)
    world.run("""
        local session = open()
        local root = session.root
        assert(root.ship.name == "Argo" and root.ship.fuel == 5)
        assert(root.ship.crew[2] == "Orpheus" and #root.ship.crew == 2)
        assert(root.ship.me == root.ship and root.crew == root.ship.crew)
        local log = session.log()
        assert(#log == 2 and log[1].message == "first ship", log[1].message)
    """)


def test_the_host_reads_what_the_guest_wrote(tmp_path):
    path = images.empty(tmp_path / "a.img")
    world = world_over(path)
    world.run("""
        local session = open()
        local root = session.root
        root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}}
        root.crew = root.ship.crew
        root.ship.me = root.ship
        root[1], root[true], root[1.5], root["\\xff"] = 1, 1.0, -0.0, "\\0\\xfe"
        assert(session.commit("first ship"))
        root.ship.fuel = 5
        root[1] = nil
        assert(session.commit("burn"))
    """)
    save(path, world)
    with khoros.open(path) as image:
        ship = image["ship"]
        assert ship["fuel"] == 5
        assert ship["crew"] == ["Jason", "Orpheus"]
        assert ship["me"] is ship
        assert image["crew"] is ship["crew"]
        assert 1 not in image.root
        assert type(image.root[True]) is float
        assert repr(image.root[1.5]) == "-0.0"
        assert image.root[b"\xff"] == b"\0\xfe"
        assert [t.message for t in image.history()] == ["first ship", "burn"]
    assert_clean(path)


@pytest.mark.parametrize(("append_sectors", "size"), [(8, 10_000), (1, 1_500)])
def test_a_large_graph_goes_from_host_to_guest_to_host(tmp_path, rng, append_sectors, size):
    path = images.empty(tmp_path / "a.img", 16 * images.MEBIBYTE, append_sectors=append_sectors)
    graph = images.random_graph(rng, size)
    with khoros.open(path, "r+") as image:
        image["graph"] = graph
        image.commit()
    world = world_over(path)
    world.run(f"local graph_size <const> = {size}" + """
        local session = open()
        local seen, pending, count, values = {}, {session.root.graph}, 0, 0
        while #pending > 0 do
          local t = table.remove(pending)
          if not seen[t] then
            seen[t], count = true, count + 1
            for key, value in pairs(t) do
              values = values + 1
              if type(value) == "table" then pending[#pending + 1] = value end
            end
          end
        end
        assert(count == graph_size, count)
        -- Write every table anew, under new ids.
        local copies = {}
        local function copy(t)
          if not copies[t] then copies[t] = {} end
          return copies[t]
        end
        for t in pairs(seen) do
          for key, value in pairs(t) do
            copy(t)[key] = type(value) == "table" and copy(value) or value
          end
        end
        session.root.copy = copy(session.root.graph)
        assert(session.commit("copied"))
    """)
    save(path, world)
    with khoros.open(path) as image:
        images.same_graph(graph, image["graph"])
        images.same_graph(image["graph"], image["copy"])
    assert_clean(path)


def test_the_guest_changes_what_the_host_imported(tmp_path):
    path = images.empty(tmp_path / "a.img", 8 * images.MEBIBYTE)
    with khoros.open(path, "r+") as image:
        image["list"] = [{"code": f"X-{n}", "name": f"place {n}"} for n in range(3000)]
        image.commit()
    world = world_over(path)
    world.run("""
        local session = open()
        local list = session.root.list
        assert(#list == 3000)
        list[1500].name = "changed"
        table.remove(list, 1)
        assert(session.commit())
    """)
    save(path, world)
    with khoros.open(path, "r+") as image:
        assert len(image["list"]) == 2999
        assert image["list"][1499].to_python() == {"code": "X-1499", "name": "changed"}
        image["list"].array.append({"code": "new"})
        image.commit()
    world = world_over(path)
    world.run('local s = open(); assert(#s.root.list == 3000 and s.root.list[3000].code == "new")')
    assert_clean(path)


# -- sessions taken in turns ------------------------------------------------------------------------------------


def fits(commit: Any, *arguments: Any) -> bool:
    """Commit; False when that is refused because the disk is full."""
    try:
        commit(*arguments)
    except NoSpace:
        return False
    except StoreError as error:
        if error.code != "no_space":
            raise
        return False
    return True


class Pair:
    """One disk, written in turns by the host's Writer and the guest's store; `model` is what must be there."""

    def __init__(self, rng: random.Random, size_sectors: int, append_sectors: int) -> None:
        self.rng = rng
        self.image = format_disk(size_sectors, append_sectors=append_sectors, epoch=rng.getrandbits(63))
        self.model: dict[int, bytes] = {}

    def payload(self) -> bytes:
        from khoros.diskutil import codec

        text = "x" * self.rng.choice([0, 5, 40, 300, 9000])
        return codec.encode_table([], [("n", self.rng.getrandbits(60)), ("s", text)])

    def changes(self, first_id: int, fresh: int) -> dict[int, bytes | None]:
        changes: dict[int, bytes | None] = {first_id + n: self.payload() for n in range(fresh)}
        if C.ROOT_ID not in self.model:
            changes[C.ROOT_ID] = self.payload()
        for identity in self.rng.sample(sorted(self.model), min(len(self.model), self.rng.randrange(6))):
            dies = self.rng.random() < 0.3 and identity != C.ROOT_ID
            changes[identity] = None if dies else self.payload()
        return changes

    def adopt(self, changes: dict[int, bytes | None]) -> None:
        for identity, payload in changes.items():
            if payload is None:
                del self.model[identity]
            else:
                self.model[identity] = payload

    def host_turn(self, close: bool) -> None:
        device = MemoryDevice(self.image)
        writer = Writer(reader.Store(device))
        for _ in range(self.rng.randrange(4)):
            fresh = self.rng.choice([0, 1, 3, 40])
            changes = self.changes(writer.allocate(fresh) if fresh else 0, fresh)
            items = [Item(i, C.KIND_DELETE if p is None else C.KIND_TABLE, p or b"")
                     for i, p in changes.items()]
            if items and fits(writer.commit, items, f"host {self.rng.random()}"):
                self.adopt(changes)
        if close:
            writer.close()
        self.image = device.data

    def guest_turn(self, close: bool) -> None:
        store = Store(Disk(self.image), payloads=True, collect=False)
        for _ in range(self.rng.randrange(4)):
            fresh = self.rng.choice([0, 1, 3, 40])
            changes = self.changes(store.allocate(fresh) if fresh else 0, fresh)
            if changes and fits(store.commit, changes, f"guest {self.rng.random()}"):
                self.adopt(changes)
            if self.rng.random() < 0.2:
                store.checkpoint()
        if close:
            store.close()

    def verify(self) -> None:
        store = reader.Store(MemoryDevice(self.image))
        assert {i: store.read(i).payload for i, _ in store.ids()} == self.model
        assert store.object_count() == len(self.model)
        report = check.check(store)
        errors = [f.text for f in report.findings if f.error and "refers to" not in f.text]
        assert errors == []
        guest = Store(Disk(bytearray(self.image)), read_only=True, payloads=True)
        ids = sorted(self.model)
        for start in range(0, len(ids), 100):
            part = ids[start : start + 100]
            assert guest.read(*part) == [self.model[i] for i in part]
        assert [t.message for t in store.history()] == [
            row["message"].decode() for row in guest.log()]


@pytest.mark.parametrize("segments", [12, 14, 24, 24, 24, 60])
def test_host_and_guest_write_in_turns(rng, segments):
    """On the small disks segments are used again, by one what the other freed."""
    pair = Pair(rng, 64 + segments * 256 + 24, rng.choice([1, 8]))
    for _ in range(rng.randrange(2, 9) if segments > 14 else 25):
        turn = pair.host_turn if rng.random() < 0.5 else pair.guest_turn
        turn(rng.random() < 0.6)
        pair.verify()


# -- verdicts on damaged images ---------------------------------------------------------------------------------


def host_verdict(image: bytes) -> tuple[Any, ...]:
    """What the host's reader says: an error's code, or the verdict, the last transaction, and every object."""
    try:
        store = reader.Store(MemoryDevice(image))
    except KhorosError as error:
        return ("refused", error.code)
    objects: dict[int, Any] = {}
    for identity in range(1, min(store.next_id, 200)):
        try:
            objects[identity] = crc32c(store.read(identity).payload)
        except KhorosError as error:
            objects[identity] = error.code
    return (store.verdict, store.transaction, store.next_id, objects)


def guest_verdict(image: bytes) -> tuple[Any, ...]:
    """The same from lua/fs."""
    try:
        store = Store(Disk(bytearray(image)), read_only=True, payloads=True)
    except StoreError as error:
        return ("refused", error.code)
    mounted = store.lua.execute(_MOUNT, lua_device(store.lua, store.disk), primitives(store.lua))
    objects: dict[int, Any] = {}
    for identity in range(1, min(mounted[b"next_id"], 200)):
        try:
            objects[identity] = crc32c(store.read(identity)[0])
        except StoreError as error:
            objects[identity] = error.code
    return (mounted[b"verdict"].decode(), mounted[b"log"][b"transaction"], mounted[b"next_id"], objects)


_MOUNT = b"""
local volume <const>, device <const>, primitives <const> = require "fs.volume", ...
return assert(volume.mount {device = device, primitives = primitives, read_only = true})
"""


def sample_images() -> list[bytes]:
    """Stores in every state: new, clean, in use, with torn tails, several checkpoints, small appends."""
    rng = random.Random(5)
    samples = [bytes(format_disk())]
    for append_sectors in (1, 8):
        pair = Pair(rng, 64 + 8 * 256 + 24, append_sectors)
        for turn, close in ((pair.host_turn, True), (pair.guest_turn, False), (pair.guest_turn, True),
                            (pair.host_turn, False)):
            turn(close)
            samples.append(bytes(pair.image))
    return samples


SAMPLES = sample_images()


def mutate(rng: random.Random, image: bytearray) -> str:
    """One random fault; says which. Half of them have every checksum above them mended."""
    frames = [at for at in range(0, len(image), 512) if image[at : at + 8] == MAGIC]
    kind = rng.choice(["bit", "zero", "copy", "superblock", "frame", "cut", "payload"])
    if kind == "bit":
        place = rng.choice([*frames, 4096, 8192, len(image) - 8192]) + rng.randrange(600)
        image[min(place, len(image) - 1)] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        at = rng.choice([*frames, 4096, 8192]) // 512 * 512 + 512 * rng.randrange(3)
        image[at : at + 512] = bytes(512)
    elif kind == "copy" and frames:
        source, target = rng.choice(frames), rng.choice(frames)
        image[target : target + 4096] = image[source : source + 4096]
    elif kind == "superblock":
        forge_field(rng, image, SUPERBLOCK, rng.choice([4096, 8192, len(image) - 16384,
                                                        len(image) - 12288, len(image) - 8192]))
    elif kind == "frame" and frames:
        forge_field(rng, image, FRAME_HEADER, rng.choice(frames))
    elif kind == "cut" and len(image) >= 1024:
        del image[rng.randrange(1, len(image) // 512) * 512 :]
    elif kind == "payload" and frames:
        forge_payload(rng, image, rng.choice(frames))
    return kind


# Superblock fields whose nonsense only the host refuses at once; the guest finds nothing to read behind them.
HOST_IS_STRICTER = {"replay_lsn", "replay_sequence", "replay_transaction", "checkpoint_tag"}


def forge_field(rng: random.Random, image: bytearray, schema: Any, at: int) -> None:
    """Change one field of a structure and make its checksum right again."""
    size = schema.sizeof()
    if not 0 <= at <= len(image) - size:
        return
    values = derive.unpack(schema, bytes(image[at : at + size]))
    field = rng.choice([f for f in derive.fields(schema)
                        if not f.code.endswith("s") and f.name not in HOST_IS_STRICTER])
    top = (1 << (8 * field.size)) - 1
    values[field.name] = rng.choice([0, 1, top, top >> 1, values[field.name] ^ 1,
                                     min(values[field.name] + 1, top), rng.randrange(300)])
    data = derive.pack(schema, values)
    last = derive.fields(schema)[-1]
    image[at : at + size] = data[: last.offset] + crc32c(data[: last.offset]).to_bytes(4, "little")


def forge_payload(rng: random.Random, image: bytearray, at: int) -> None:
    """Change a byte of a frame's payload and mend payload_crc and header_crc (entries' own checksums stay)."""
    size = FRAME_HEADER.sizeof()
    values = derive.unpack(FRAME_HEADER, bytes(image[at : at + size]))
    length = values["payload_bytes"]
    if not 0 < length <= len(image) - at - size:
        return
    image[at + size + rng.randrange(length)] ^= 1 << rng.randrange(8)
    values["payload_crc"] = crc32c(bytes(image[at + size : at + size + length]))
    data = derive.pack(FRAME_HEADER, values)
    covered = derive.offset_of(FRAME_HEADER, "header_crc")
    image[at : at + size] = data[:covered] + crc32c(data[:covered]).to_bytes(4, "little")


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_verdicts_agree_on_good_images(number):
    assert host_verdict(SAMPLES[number]) == guest_verdict(SAMPLES[number])


@pytest.mark.parametrize("batch", range(10))
def test_verdicts_agree_on_damaged_images(rng, batch, tmp_path, request):
    examples = 400 if request.config.getoption("--full") else 40
    for number in range(examples):
        image = bytearray(rng.choice(SAMPLES))
        faults = [mutate(rng, image) for _ in range(rng.choice([1, 1, 2, 3]))]
        host, guest = host_verdict(bytes(image)), guest_verdict(bytes(image))
        if host != guest:
            kept = tmp_path / f"{number}.img"
            kept.write_bytes(image)
            if host[:3] == guest[:3] != ("refused",):
                host, guest = [{i: v for i, v in one[3].items() if other[3].get(i) != v}
                               for one, other in ((host, guest), (guest, host))]
            pytest.fail(f"{faults} ({kept}):\nhost  {str(host)[:500]}\nguest {str(guest)[:500]}")


def test_an_unbound_table_is_what_the_guest_would_make():
    table = LuaTable({1.0: "one", 2: "two", b"a": 1})
    table[True] = "yes"
    assert list(table) == [1, 2, True, "a"]
