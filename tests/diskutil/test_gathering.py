"""Tables read many at once: what comes out is what reading one by one gives, and what is damaged does not come out."""

from __future__ import annotations

import random

import khoros
from khoros.diskutil import reader
from khoros.diskutil.bulk import TOGETHER_BYTES
from khoros.diskutil.errors import KhorosError
from khoros.formats import constants as C
from tests.diskutil import images


def mixed(path):
    """Small tables in several commits, long ones, strings and maps of their own, and some that are gone."""
    images.empty(path, 8 * images.MEBIBYTE)
    with khoros.open(path, "r+") as image:
        for part in range(4):
            image[f"part {part}"] = [{"n": number, "text": "x" * (number % 50)} for number in range(300)]
            image.commit()
        image["long"] = {"text": "y" * (TOGETHER_BYTES + 1), "string": "z" * 200_000}
        image["crowd"] = list(range(40_000))
        image["map"] = khoros.LuaMap({number: {"n": number} for number in range(50)})
        image.commit()
        image["part 1"] = {"again": image["part 2"][7]}
        image.commit()
        image.gc()
    return path


def one_by_one(store, identity):
    try:
        stored = store.read(identity)
    except KhorosError:
        return None
    small = stored.kind == C.KIND_TABLE and len(stored.payload) <= TOGETHER_BYTES
    return stored.payload if small and stored.pointer.kind else None


def test_what_comes_out_is_what_reading_one_by_one_gives(tmp_path, rng: random.Random):
    store = reader.mount(mixed(tmp_path / "k.img"))
    ids = list(range(store.next_id + 5))
    rng.shuffle(ids)
    found = store.tables(ids)
    assert found == [one_by_one(store, identity) for identity in ids]
    assert sum(payload is not None for payload in found) > 900
    store.close()


def test_nothing_that_is_damaged_comes_out(tmp_path, rng: random.Random):
    path = mixed(tmp_path / "k.img")
    store = reader.mount(path)
    pointers = [pointer for _, pointer in store.ids()]
    store.close()
    for pointer in rng.sample(pointers, 60):
        images.flip(path, pointer.offset + rng.randrange(16 + pointer.payload_bytes), 1 << rng.randrange(8))
    store = reader.mount(path)
    ids = list(range(store.next_id))
    found = store.tables(ids)
    assert found == [one_by_one(store, identity) for identity in ids]
    assert sum(one_by_one(store, identity) is None for identity in ids) > 60
    store.close()
