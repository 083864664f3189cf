"""Snapshots: the state that they keep stays, whatever is written, cleaned, deleted or cut afterwards."""

from __future__ import annotations

import random
from typing import Any

import pytest

from khoros.formats import constants
from tests.support import crash
from tests.support.store import Disk, Store, StoreError, format_disk


def fresh(segments: int = 8) -> Store:
    return Store(Disk(format_disk(total_sectors=64 + segments * 256 + 24)))


def refused(code: str) -> Any:
    return pytest.raises(StoreError, match=f"^{code}: ")


def show(store: Store, which: Any, ids: list[int]) -> dict[int, bytes | None]:
    """Objects as a view has them; None for one that is not there."""
    view = store.view(which)
    found: dict[int, bytes | None] = {}
    for number in ids:
        try:
            found[number] = store.read(number, view=view)[0]
        except StoreError as error:
            assert error.code == "absent"
            found[number] = None
    store.call("close_view", view)
    return found


def test_a_snapshot_keeps_what_was_there():
    store = fresh()
    first = store.allocate(2)
    store.commit({1: b"a", first: b"x"})
    taken = store.call("snapshot", "before")
    assert (taken["name"], taken["transaction"], taken["objects"]) == (b"before", 1, 2)
    store.commit({1: b"b", first: None, first + 1: b"new"})
    for again in (store, Store(store.disk)):
        assert show(again, "before", [1, first, first + 1]) == {1: b"a", first: b"x", first + 1: None}
        assert again.read(1, first + 1) == [b"b", b"new"]
        assert again.call("snapshots") == [taken]


def test_a_snapshot_of_an_empty_store():
    store = fresh()
    store.call("snapshot", "empty")
    store.commit({1: b"a"})
    assert show(store, "empty", [1]) == {1: b"\x90\x80"}
    assert show(Store(store.disk), "empty", [1]) == {1: b"\x90\x80"}


def test_names_and_their_limits():
    store = fresh()
    for name in ("", "x" * 65, b"\xff", "a\0b", 5, None):
        with refused("invalid"):
            store.call("snapshot", name)
    store.call("snapshot", "ü" * 32)
    with refused("exists"):
        store.call("snapshot", "ü" * 32)
    for number in range(constants.SNAPSHOTS_MAX - 1):
        store.call("snapshot", f"s{number}")
    with refused("limit"):
        store.call("snapshot", "one more")
    assert len(Store(store.disk).call("snapshots")) == constants.SNAPSHOTS_MAX
    with refused("absent"):
        store.call("delete_snapshot", "another")
    with refused("absent"):
        store.view("another")


def test_a_deleted_snapshot_gives_its_room_back():
    store, source = fresh(12), random.Random(1)
    ids = list(range(store.allocate(100), 102))
    for number in ids:
        store.commit({number: source.randbytes(6000)})
    store.call("snapshot", "kept")
    written = 0
    with refused("no_space"):
        for number in ids:
            store.commit({number: source.randbytes(6000)})
            written += 1
    # All but what lies in the segment that the log stood in when it was taken.
    assert written * 6000 - 128 * 1024 <= store.info()["snapshot_bytes"] <= written * 6100
    view = store.view("kept")
    store.call("delete_snapshot", "kept")
    with refused("view_too_old"):
        store.read(ids[0], view=view)
    for number in ids * 3:
        store.commit({number: source.randbytes(6000)})
    assert store.info()["snapshot_bytes"] == 0


@pytest.mark.parametrize(("seed", "payload_bytes"), [(1, 300), (2, 3000), (3, 20_000)])
def test_snapshots_stay_equal_while_everything_is_overwritten_again_and_again(seed: int, payload_bytes: int):
    """A store at 90 % of what it takes, three snapshots of different times, cleaning under all of them."""
    source, store = random.Random(seed), fresh(24)
    now: dict[int, bytes] = {}
    kept: dict[str, dict[int, bytes]] = {}

    def write(number: int) -> bool:
        data = source.randbytes(source.randrange(payload_bytes // 2, payload_bytes))
        try:
            store.commit({number: data})
        except StoreError as error:
            assert error.code == "no_space"
            return False
        now[number] = data
        return True

    # A third of the room for the present, and as much for each of two snapshots that differ from it wholly. Small objects need
    # many pages besides, and a transaction for each.
    room = 24 * 128 * 1024 // (6 if payload_bytes > 1000 else 9)
    while sum(map(len, now.values())) < room:
        assert write(store.allocate())
    refusals = 0
    for turn in range(8):
        if turn in (0, 2):
            store.call("snapshot", f"turn {turn}")
            kept[f"turn {turn}"] = dict(now)
        if turn == 5:
            store.call("delete_snapshot", "turn 0")
            del kept["turn 0"]
        for number in source.sample(list(now), len(now)):
            refusals += not write(number)
        if turn == 3:
            store.close()
            store = Store(store.disk)
        for name, model in kept.items():
            view = store.view(name)
            assert store.read(*model, view=view) == list(model.values()), (turn, name)
    assert store.read(*now) == list(now.values())
    assert store.info()["segments_cleaned"] > 0
    check_image(store, now)
    print(f"{refusals} refused")


def check_image(store: Store, now: dict[int, bytes]) -> None:
    """The Python reader finds nothing wrong in the image, snapshots included."""
    from khoros.diskutil import check

    store.close()
    report = check.check(crash.python_store(store.disk.image))
    assert [finding.text for finding in report.findings
            if finding.error and "no root" not in finding.text] == []


def test_pages_that_trees_share_are_written_once_when_they_move():
    """64 snapshots of one state cost a move hardly more than one."""
    written = []
    for count in (1, constants.SNAPSHOTS_MAX):
        store, source = fresh(24), random.Random(5)
        ids = list(range(store.allocate(300), 302))
        store.commit(dict.fromkeys(ids, b""))
        # Every segment holds much that was overwritten before the snapshots are taken: that is what cleaning gains.
        for _ in range(60):
            store.commit({number: source.randbytes(2500) for number in source.sample(ids, 10)})
        for number in range(count):
            store.call("snapshot", f"s{number}")
        kept, before = show(store, "s0", ids), store.info()
        for _ in range(400):
            store.commit({number: source.randbytes(2500) for number in source.sample(ids, 4)})
            if store.info()["segments_cleaned"] > 4:
                break
        else:
            raise AssertionError("nothing was cleaned")
        written.append(store.info()["bytes_written"] - before["bytes_written"])
        assert show(store, "s0", ids) == kept == show(store, f"s{count - 1}", ids)
    print(written)
    assert written[1] < 2 * written[0]


@pytest.mark.parametrize("tree", ["objects", "segments"])
def test_information_where_a_page_of_a_snapshot_cannot_be_read(tree: str):
    """What snapshots hold is not known then; all else is."""
    store = fresh()
    first = store.allocate(300)
    store.commit(dict.fromkeys(range(first, first + 300), b"x" * 40))
    store.call("snapshot", "kept")
    # Of another length: else the present's segment table is the snapshot's.
    store.commit(dict.fromkeys(range(first, first + 300), b"y" * 48))
    store.checkpoint()
    store.close()
    image = store.disk.image
    (record,) = crash.python_store(image).snapshots
    image[record.pointer(tree).offset + 16] ^= 1
    information = Store(Disk(image)).info()
    assert "snapshot_bytes" not in information and information["snapshots"] == 1
    assert information["objects"] == 300
