"""khoros-disk repair: whatever is lost, every intact object comes back, and the damaged image stays as it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, codec, entries, reader
from khoros.diskutil.dumping import Dump
from khoros.diskutil.ordered import LuaMap
from khoros.diskutil.superblock import slot_lbas
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import Result, good, invoke
from tests.diskutil.test_writer import new_disk, table
from tests.support.store import Disk, Store

State = dict[int, tuple[int, bytes, int]]


def small_graph(path: Path, rng: random.Random) -> None:
    """Many small tables, some transactions, a log that fills a few segments."""
    images.empty(path, 4 << 20)
    with khoros.open(path, "r+") as image:
        image["graph"] = images.random_graph(rng, 300)
        image.commit()
        for number in range(12):
            image[f"list {number}"] = {"text": rng.randbytes(12_000).hex(), "n": number}
            image["last"] = image[f"list {number}"]
            image.commit(f"m{number}")


def round_the_log(path: Path, rng: random.Random) -> None:
    """The guest's writer, with its cleaner, long enough that every segment was used again."""
    data = new_disk()
    path.write_bytes(data)
    disk = bytearray(data)
    guest = Store(Disk(disk), payloads=True)
    ids: list[int] = []
    for number in range(120):
        objects = {}
        if len(ids) < 40:
            ids.append(guest.allocate())
            objects[ids[-1]] = table(n=number, s="k" * 2000)
        for identity in rng.sample(ids, min(len(ids), 4)):
            objects[identity] = table(n=number, r=rng.random(), s="x" * rng.randrange(4000))
        objects[1] = codec.encode_table([codec_reference(i) for i in ids], [])
        guest.commit(objects, f"m{number}")
    guest.close()
    path.write_bytes(disk)


def codec_reference(identity: int):
    from khoros.diskutil.values import Reference

    return Reference(identity)


IMAGES = {"small graph": small_graph, "round the log": round_the_log}


def state_of(path: Path) -> State:
    """id → (kind, payload, offset of the entry) of every object as it is now."""
    store = reader.mount(path)
    found = {}
    for identity, pointer in store.ids():
        stored = store.read_at(identity, pointer)
        found[identity] = stored.kind, stored.payload, pointer.offset
    store.close()
    return found


def intact(state: State, before: bytes, after: bytes) -> set[int]:
    """The objects whose bytes are as they were."""
    return {identity for identity, (_, payload, offset) in state.items()
            if before[offset : offset + 16 + len(payload)] == after[offset : offset + 16 + len(payload)]}


def repaired(path: Path, *words: str) -> tuple[Result, Path]:
    target = path.with_suffix(".repaired")
    before = images.digest(path)
    target.unlink(missing_ok=True)
    result = invoke("repair", path, target, "--json", *words)
    assert result.code in (0, 1), result.err
    assert images.digest(path) == before
    return result, target


def assert_whole(target: Path) -> None:
    store = reader.mount(target)
    report = check.check(store)
    assert [finding.text for finding in report.findings if finding.error] == []
    assert store.verdict == "clean"
    store.close()


def assert_recovered(state: State, whole: set[int], target: Path) -> None:
    """The intact objects are there, byte for byte; the root may have got lost+found."""
    found = state_of(target)
    for identity in whole - {C.ROOT_ID}:
        assert found[identity][:2] == state[identity][:2], f"object {identity}"
    if C.ROOT_ID in whole:
        old, new = (codec.decode_table(rows[C.ROOT_ID][1]) for rows in (state, found))
        assert new.array == old.array
        assert [pair for pair in new.pairs if pair[0] != "lost+found"] == old.pairs


# -- what may be lost -------------------------------------------------------------------------------------------


def lose_superblocks(path: Path) -> None:
    for lba, _, _ in slot_lbas(path.stat().st_size // 512):
        images.patch(path, lba * 512, b"\xaa" * 512)


def lose_index(path: Path) -> None:
    """Every index page and checkpoint record, of now and of the past."""
    device = reader.open_device(path)
    rows = [row for row in Dump(device).rows(all_segments=True)
            if row.kind in entries.PAGE_KINDS | {C.KIND_CHECKPOINT}]
    device.close()
    assert len(rows) > 2
    for row in rows:
        images.patch(path, row.offset + 16, b"\x55" * (row.length - 16))


def lose_pages(path: Path) -> None:
    """The index pages, but not the checkpoint records."""
    store = reader.mount(path)
    places = [pointer.offset for _, _, pointer, _ in store.objects.pages()]
    store.close()
    for place in places:
        images.patch(path, place + 100, b"\x55" * 3000)


def lose_first_sectors(path: Path) -> None:
    images.patch(path, 0, bytes(64 * 512))


LOSSES: dict[str, Callable[[Path], None]] = {
    "all superblocks": lose_superblocks, "the index": lose_index, "the object pages": lose_pages,
    "superblocks and index": lambda path: (lose_superblocks(path), lose_index(path)),
    "everything before the log": lose_first_sectors,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", IMAGES)
def test_nothing_is_lost_when_no_object_was(tmp_path, rng, kind, loss):
    path = tmp_path / "a.img"
    IMAGES[kind](path, rng)
    original = tmp_path / "original.img"
    original.write_bytes(path.read_bytes())
    state, before = state_of(path), path.read_bytes()
    LOSSES[loss](path)
    result, target = repaired(path)
    assert result.code == 0, result.out
    assert intact(state, before, path.read_bytes()) == set(state)
    assert_recovered(state, set(state), target)
    assert_whole(target)
    assert invoke("diff", original, target).lines == []


@pytest.mark.parametrize("with_superblocks", [True, False])
@pytest.mark.parametrize("kind", IMAGES)
def test_any_one_segment_lost(tmp_path, rng, kind, with_superblocks):
    path = tmp_path / "a.img"
    IMAGES[kind](path, rng)
    original = path.read_bytes()
    state = state_of(path)
    store = reader.mount(path)
    geometry = store.geometry
    store.close()
    for segment in range(geometry.segment_count):
        start = geometry.segment_lba(segment) * 512
        if not any(original[start : start + geometry.segment_bytes]):
            continue
        damaged = bytearray(original)
        damaged[start : start + geometry.segment_bytes] = (
            bytes(geometry.segment_bytes) if rng.random() < 0.5 else rng.randbytes(geometry.segment_bytes))
        path.write_bytes(damaged)
        if not with_superblocks:
            lose_superblocks(path)
        result, target = repaired(path)
        whole = intact(state, original, damaged)
        assert_whole(target)
        if with_superblocks:
            assert_recovered(state, whole, target)
            assert result.code == (0 if whole == set(state) and not result.json["missing_frames"] else 1)


def test_random_damage(tmp_path, rng):
    """Sectors zeroed, swapped, garbled; bits flipped: the intact objects come back, and the result is whole."""
    path = tmp_path / "a.img"
    small_graph(path, rng)
    original, state = path.read_bytes(), state_of(path)
    end = max(offset for _, _, offset in state.values()) + 40_000
    for _ in range(12):
        damaged = bytearray(original)
        for _ in range(rng.choice([1, 3, 30])):
            at = rng.randrange(8, end // 512) * 512
            damaged[at : at + 512] = rng.choice([
                lambda: bytes(512), lambda: rng.randbytes(512),
                lambda: original[(other := rng.randrange(end // 512) * 512) : other + 512],
                lambda at=at: bytes([original[at] ^ 1]) + original[at + 1 : at + 512]])()
        path.write_bytes(damaged)
        result, target = repaired(path)
        assert_whole(target)
        whole = intact(state, original, damaged)
        if result.json["index"] != "whole":
            whole -= unnamed(state, original, damaged)
        assert_recovered(state, whole, target)


def unnamed(state: State, before: bytes, after: bytes) -> set[int]:
    """Objects whose frame's header is damaged: without the index, nothing says where they are."""
    starts = [at for at in range(0, len(before), 4096) if before[at : at + 8] == b"KHOROSFR"]
    return {identity for identity, (_, _, offset) in state.items()
            if (start := max(at for at in starts if at < offset)) is not None
            and before[start : start + 512] != after[start : start + 512]}


# -- what is made of what is left -------------------------------------------------------------------------------


@pytest.fixture
def composites(tmp_path):
    """A large table, an ordered map, a long string."""
    path = images.empty(tmp_path / "a.img", 16 << 20)
    with khoros.open(path, "r+") as image:
        image["table"] = {f"key {n}": {"n": n} if n % 100 == 0 else n for n in range(9000)}
        image["list"] = [f"value {n}" for n in range(9000)]
        image["map"] = LuaMap({n: n * n for n in range(4000)})
        image["text"] = "abcdefgh" * 12_000
        image["other"] = {"fine": True}
        image.commit()
    return path


def damage_nodes(path: Path, kind: int, which: slice, levels: range = range(1)) -> int:
    """Flip a byte in some of the leaves of a kind; how many."""
    store = reader.mount(path)
    places = [pointer.offset for _, pointer in store.ids() if pointer.kind == kind and (
        pointer.payload_bytes > 2000)]
    store.close()
    for place in places[which]:
        images.flip(path, place + 1000)
    return len(places[which])


def test_a_map_keeps_the_pairs_that_are_left(composites):
    assert damage_nodes(composites, C.KIND_MAP_NODE, slice(3, 4)) == 1
    result, target = repaired(composites)
    assert result.code == 1
    assert_whole(target)
    with khoros.open(target) as image:
        pairs = dict(image["map"].items())
        assert 3000 < len(pairs) < 4000
        assert all(pairs[key] == key * key for key in pairs)
        assert len(image["table"]) == 9000
        assert image["other"]["fine"] is True
        assert len(image["text"]) == 96_000


def test_large_tables_and_strings_keep_what_is_left(composites):
    """Every fourth piece of all trees is lost."""
    with khoros.open(composites) as image:
        before = image["table"].to_python()
    assert damage_nodes(composites, C.KIND_TREE_NODE, slice(1, None, 4)) > 5
    result, target = repaired(composites)
    assert result.code == 1
    assert_whole(target)
    with khoros.open(target) as image:
        found = image["table"]
        assert 4000 < len(found) < 9000
        for key in found:
            value = found[key]
            assert value == before[key]
        array = list(image["list"].array)
        assert array == [f"value {n}" for n in range(len(array))]
        rest = [row for table in image["lost+found"].values() for row in getattr(table, "array", [])]
        assert len(array) + len([row for row in rest if str(row).startswith("value ")]) > 4000
        assert "a part of this string is lost" in image["text"]
        assert len(image["text"]) > 40_000
        assert len(image["map"]) == 4000


def test_lost_objects_are_replaced_by_words(ship):
    """The ship was written once only and is lost; what it led to is found."""
    with khoros.open(ship, "r+") as image:
        image["fleet"] = {"flag": {"name": "Pegasus", "crew": ["Bellerophon"]}}
        image.commit()
        crew = image["fleet"]["flag"]["crew"].id
    data = ship.read_bytes()
    images.flip(ship, data.rindex(b"\xa4name\xa7Pegasus") + 1)
    result, target = repaired(ship)
    assert result.code == 1
    facts = result.json
    assert facts["lost_count"] == 1
    with khoros.open(target) as image:
        assert "lost" in image["fleet"]["flag"]["lost"]
        assert image["lost+found"][crew] == ["Bellerophon"]
        assert image["ship"]["name"] == "Argo"


def test_an_older_version_comes_back(ship):
    """root.ship as of t2 is lost, as of t1 it is not."""
    images.flip(ship, ship.read_bytes().rindex(b"\xa4name\xa4Argo") + 1)
    result, target = repaired(ship)
    assert (result.code, result.json["older"]) == (1, [2])
    with khoros.open(target) as image:
        assert image["ship"]["fuel"] == 7
        assert image["ship"]["crew"] == ["Jason", "Orpheus"]


def test_the_root_is_lost(ship):
    data = ship.read_bytes()
    at = data.index(b"\xa4crew")
    for place in range(data.count(b"\x90\x82\xa4crew")):
        images.flip(ship, data.index(b"\x90\x82\xa4crew"))
        assert place == 0
    assert at
    result, target = repaired(ship)
    assert result.code == 1
    assert_whole(target)
    with khoros.open(target) as image:
        assert list(image.root) == ["lost+found"]
        assert image["lost+found"][2]["name"] == "Argo"


def test_a_torn_tail_is_not_taken_for_data(tmp_path, rng):
    """What was never acknowledged does not appear, whatever else is lost."""
    from tests.diskutil.test_writer import Recorder, workload

    device = Recorder(new_disk())
    states = workload(device, rng, 8)
    writes = [(offset, data) for kind, offset, data in device.events if kind == "write"]
    for count in rng.sample(range(4, len(writes)), 12):
        disk = bytearray(device.start)
        for offset, data in writes[:count]:
            disk[offset : offset + len(data)] = data
        path = tmp_path / "cut.img"
        path.write_bytes(disk)
        store = reader.mount(path)
        expected = states[store.transaction]
        store.close()
        if not expected:
            continue
        lose_superblocks(path)
        result, target = repaired(path)
        found = {i: row[1] for i, row in state_of(target).items()}
        assert {i: found[i] for i in expected if i != C.ROOT_ID} == {
            i: expected[i] for i in expected if i != C.ROOT_ID}
        assert len(found.keys() - expected.keys()) <= 1  # lost+found: no object of this store is in the root
        assert result.code == 0


# -- the command ------------------------------------------------------------------------------------------------


def test_a_good_image_gives_an_equal_one(ship, tmp_path):
    result = good("repair", ship, tmp_path / "new.img")
    assert "nothing was lost" in result.lines[-1]
    assert invoke("diff", ship, tmp_path / "new.img").code == 0
    with khoros.open(ship) as old, khoros.open(tmp_path / "new.img") as new:
        assert old.store.superblock.uuid == new.store.superblock.uuid
        assert old.store.superblock.lineage != new.store.superblock.lineage


def test_the_input_is_never_the_target(ship, tmp_path):
    (tmp_path / "link.img").symlink_to(ship)
    before = images.digest(ship)
    for target in (ship, tmp_path / "link.img"):
        assert invoke("repair", ship, target, "-f").code == 2
    assert images.digest(ship) == before


def test_the_target_is_not_overwritten(ship, tmp_path):
    (tmp_path / "precious").write_text("once upon a time\n")
    result = invoke("repair", ship, tmp_path / "precious")
    assert (result.code, "text" in result.complaint) == (5, True)
    assert (tmp_path / "precious").read_text() == "once upon a time\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["precious", "ship.img"]


def test_a_partition_whose_table_is_lost(ship, tmp_path):
    """The store's own words say where it starts."""
    shifted = tmp_path / "disk.img"
    shifted.write_bytes(bytes(1 << 20) + ship.read_bytes() + bytes(4096))
    result, target = repaired(shifted)
    assert result.code == 0
    assert invoke("diff", ship, target).code == 0


def test_traces_of_several_stores(tmp_path, ship):
    """An image made anew over an old one: the new one is taken, the old one on demand."""
    old = ship.read_bytes()
    disk = tmp_path / "a.img"
    images.empty(disk, len(old))
    with khoros.open(disk, "r+") as image:
        image["new"] = {"here": 1}
        image.commit()
    new = bytearray(disk.read_bytes())
    used = max(at for at in range(0, len(new), 4096) if any(new[at : at + 4096]) and at < (3 << 20)) + 4096
    new[used : 3 << 20] = old[used : 3 << 20]
    disk.write_bytes(new)
    lose_superblocks(disk)
    result = invoke("repair", disk, tmp_path / "new.img")
    with khoros.open(tmp_path / "new.img") as image:
        assert list(image.root)[:1] == ["new"]
    other = [line for line in result.lines if "another store" in line]
    if other:
        epoch = other[0].split("--epoch ")[1].rstrip(")")
        assert invoke("repair", disk, tmp_path / "old.img", "--epoch", epoch).code in (0, 1)


def test_json_and_wrong_use(ship, tmp_path):
    facts = good("repair", ship, tmp_path / "new.img", "--json").json
    assert (facts["objects"], facts["index"], facts["superblocks"], facts["check_errors"]) == (3, "whole", 4, 0)
    assert invoke("repair", ship, tmp_path / "b.img", "--epoch", "xyz").code == 2
    assert invoke("repair", ship, tmp_path / "b.img", "--epoch", "1234").code == 1
    assert invoke("repair", ship, tmp_path / "b.img", "-s", "12").code == 2
