"""The cleaner: what is needed is moved whole, what cannot be read stays where it is, and nothing else suffers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from khoros.diskutil import checksums, device, entries, frames
from khoros.diskutil.index import Index
from khoros.formats import FRAME_HEADER, constants, derive
from tests.support import crash
from tests.support import store as store_support
from tests.support.store import Disk, Store, StoreError, format_disk


def refused(code: str) -> Any:
    return pytest.raises(StoreError, match=f"^{code}: ")


class Churn:
    """A store of small segments in which objects are overwritten at random, so that segments must be cleaned."""

    def __init__(self, segments: int, count: int, size: int, seed: int = 1) -> None:
        self.source = random.Random(seed)
        self.store = Store(Disk(format_disk(total_sectors=64 + segments * 256 + 24)))
        first = self.store.allocate(count)
        self.model: dict[int, bytes] = {}
        self.size = size
        self.write(range(first, first + count))

    def write(self, ids: Any) -> None:
        for number in ids:
            data = self.source.randbytes(self.size)
            self.store.commit({number: data})
            self.model[number] = data

    def churn(self, times: int, spare: Any = ()) -> None:
        ids = [number for number in self.model if number not in spare]
        self.write(self.source.choice(ids) for _ in range(times))

    def place(self, number: int) -> int:
        """Where the current version of an object lies in the image."""
        payload = store_support.stored(self.model[number])
        at = self.store.disk.image.find(payload)
        assert at >= 0
        return at

    def remount(self) -> None:
        self.store = Store(self.store.disk)


def test_a_record_that_cannot_be_read_pins_its_segment_and_the_rest_goes_on():
    work = Churn(24, 250, 4_000)
    work.churn(150)
    bad = next(iter(work.model))
    at = work.place(bad) + 2000
    work.store.disk.image[at] ^= 1
    work.remount()
    work.churn(2500, spare=[bad])
    assert work.store.info()["segments_cleaned"] > 20
    with refused("corrupt") as caught:
        work.store.read(bad)
    assert caught.value.facts["id"] == bad
    others = [number for number in work.model if number != bad]
    assert work.store.read(*others) == [work.model[number] for number in others]
    # It was neither moved nor written over: the bit turned back, it is whole again, after all that.
    work.store.disk.image[at] ^= 1
    work.remount()
    assert work.store.read(bad) == [work.model[bad]]
    # It can be replaced, and then its segment is what stays lost.
    work.write([bad])
    assert work.store.read(bad) == [work.model[bad]]


def test_rot_in_what_is_dead_hinders_nothing():
    work = Churn(24, 250, 4_000)
    image = work.store.disk.image
    victim = list(work.model)[10]
    at = work.place(victim)
    work.write([victim])
    work.store.checkpoint()
    image[at + 100] ^= 1
    work.remount()
    work.churn(2500)
    assert work.store.read(*work.model) == list(work.model.values())


def test_an_unreadable_page_of_a_snapshot_keeps_everything_until_the_snapshot_is_dropped():
    work = Churn(24, 200, 3_000)
    work.store.call("snapshot", "s")
    work.write(list(work.model))
    work.store.close()
    image = work.store.disk.image
    mounted = crash.python_store(image)
    leaf = snapshot_leaf(mounted)
    assert leaf not in [pointer.offset for _, _, pointer, _ in mounted.objects.pages()]
    image[leaf + 200] ^= 1
    work.remount()
    with pytest.raises(StoreError, match=r"^no_space: .*a page is unreadable and keeps what may be needed"):
        work.churn(3000)
    assert work.store.read(*work.model) == list(work.model.values())
    with refused("corrupt"):
        work.store.read(*work.model, view=work.store.view("s"))
    work.store.call("delete_snapshot", "s")
    work.churn(1000)
    assert work.store.read(*work.model) == list(work.model.values())


def snapshot_leaf(mounted: Any) -> int:
    """Offset of a leaf of the first snapshot's object index."""
    record = mounted.snapshots[0]
    tree = Index(record.pointer("objects"), record.object_levels, constants.KIND_OBJECT_PAGE, mounted.follow)
    return next(pointer.offset for level, _, pointer, _ in tree.pages() if level == 0)


def test_tidying_cleans_before_a_commit_has_to():
    work = Churn(40, 300, 4_000)
    for _ in range(30):
        work.churn(60)
        for _ in range(200):
            if not work.store.call("tidy"):
                break
        else:
            raise AssertionError("tidying does not end")
    assert work.store.read(*work.model) == list(work.model.values())
    assert work.store.info()["segments_cleaned"] > 0


def test_one_checkpoint_moves_nothing_twice():
    """However many segments it empties, a transaction has one entry for each object."""
    work = Churn(24, 250, 4_000)
    work.churn(800)
    assert work.store.info()["segments_cleaned"] > 0
    image = device.MemoryDevice(work.store.disk.image)
    moved = set[tuple[int, int]]()
    for offset, payload_bytes, count in checksums.frames_of(image):
        header = derive.unpack(FRAME_HEADER, image.read(offset, frames.HEADER_BYTES))
        payload = image.read(offset + frames.HEADER_BYTES, payload_bytes)
        for row in entries.walk(payload, count):
            if row.kind < constants.KIND_DELETE:
                assert (header["sequence"], row.id) not in moved
                moved.add((header["sequence"], row.id))
    assert max(Counter(sequence for sequence, _ in moved).values()) > 16, "no checkpoint moved the objects of more than one segment"


def test_objects_are_the_same_to_clients_after_they_were_moved():
    """A move is no change: what a client expects of an object still holds."""
    work = Churn(16, 120, 5_000)
    still = list(work.model)[:5]
    versions = {number: work.store.records(number)[0]["version"] for number in still}
    work.churn(1500, spare=still)
    assert work.store.info()["segments_cleaned"] > 0
    work.store.commit(dict.fromkeys(still, b"x"), expected=versions)
