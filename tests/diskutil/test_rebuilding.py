"""New images from objects: whole or not there, ids kept, any size."""

from __future__ import annotations

import pytest

import khoros
from khoros.diskutil import check, codec, reader, rebuilding
from khoros.diskutil.errors import KhorosError, NoSpace, NotEmpty
from khoros.diskutil.rebuilding import Plan
from khoros.diskutil.writer import Item
from khoros.formats import constants as C
from tests.diskutil import images


def table(**pairs):
    return codec.encode_table([], list(pairs.items()))


def plan(size_bytes=4 << 20, next_id=100):
    return Plan(size_bytes, 128 << 10, 8, next_id, "copy")


def test_a_state_is_copied_with_its_ids(ship, tmp_path):
    target = tmp_path / "copy.img"
    with khoros.open(ship) as image:
        past = image.at(1).store
        rebuilding.write_image(str(target), rebuilding.plan_like(past), rebuilding.items_of(past), "as of t1")
        identity, uuid, end = image["ship"].id, image.store.superblock.uuid, image.store.next_id
    with khoros.open(target) as copy:
        assert copy["ship"]["fuel"] == 7
        assert copy["ship"].id == identity
        assert copy.store.superblock.uuid == uuid
        assert copy.store.next_id == end
        assert [t.message for t in copy.history()] == ["as of t1"]
        assert copy.store.verdict == "clean"
        assert check.check(copy.store).errors == 0


def test_more_than_one_transaction_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilding, "_BATCH_BYTES", 10_000)
    target = tmp_path / "copy.img"
    objects = [Item(n, C.KIND_TABLE, table(n=n, s="x" * 1000)) for n in range(1, 60)]
    rebuilding.write_image(str(target), plan(), iter(objects), "many")
    store = reader.mount(target)
    assert store.transaction > 3
    assert {i: store.read(i).payload for i, _ in store.ids()} == {o.id: o.payload for o in objects}
    store.close()


def test_on_an_error_nothing_is_left(tmp_path):
    target = tmp_path / "copy.img"

    def failing():
        yield Item(1, C.KIND_TABLE, table())
        raise KhorosError(what="no more")

    with pytest.raises(KhorosError, match="no more"):
        rebuilding.write_image(str(target), plan(), failing(), "")
    with pytest.raises(NoSpace):
        rebuilding.write_image(str(target), plan(2 << 20), (
            Item(n, C.KIND_TABLE, table(s="x" * 60_000)) for n in range(1, 80)), "")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(tmp_path):
    target = tmp_path / "precious"
    target.write_text("once upon a time")
    with pytest.raises(NotEmpty):
        rebuilding.write_image(str(target), plan(), [Item(1, C.KIND_TABLE, table())], "")
    assert target.read_text() == "once upon a time"
    rebuilding.write_image(str(target), plan(), [Item(1, C.KIND_TABLE, table())], "", force=True)
    assert images.digest(target)
    with khoros.open(target) as image:
        assert image.transaction == 1
