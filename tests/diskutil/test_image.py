"""khoros.open: images as Python objects."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import khoros
from khoros.diskutil import check, image, reader
from khoros.diskutil.errors import (
    CannotStore,
    InUse,
    KhorosError,
    NotFound,
    ObjectError,
    ReadOnly,
    UsageError,
)
from khoros.diskutil.values import LuaTable
from khoros.diskutil.writer import open_writer
from tests.diskutil import images


def test_the_example_of_the_package(ship):
    with khoros.open(ship) as opened:
        assert opened.root["ship"]["fuel"] == 5
        assert opened["ship"]["crew"] == ["Jason", "Orpheus"]
        assert opened["crew"] is opened["ship"]["crew"]
        assert opened["ship"]["me"] is opened["ship"]
        assert list(opened) == ["crew", "ship"]
        assert "ship" in opened
        assert [t.id for t in opened.history()] == ["t1", "t2"]


def test_a_new_image_has_an_empty_root(empty):
    with khoros.open(empty) as opened:
        assert len(opened.root) == 0
        assert opened.transaction == 0


def test_nested_changes_are_found_and_only_they_are_written(ship):
    with khoros.open(ship, "r+") as opened:
        opened["ship"]["crew"].array.append("Medea")
        done = opened.commit("one more")
        assert done is not None
        assert (done.transaction, done.objects) == (3, 1)
        assert str(done).startswith("t3: 1 object, ")
    with khoros.open(ship) as opened:
        assert opened["crew"] == ["Jason", "Orpheus", "Medea"]


def test_a_change_that_changes_nothing_is_not_written(ship):
    before = images.digest(ship)
    with khoros.open(ship, "r+") as opened:
        opened["ship"]["fuel"] = 6
        opened["ship"]["fuel"] = 5
        assert opened.commit() is None
    assert images.digest(ship) == before


def test_leaving_without_commit_drops_changes_and_writes_nothing(ship):
    before = images.digest(ship)
    with khoros.open(ship, "r+") as opened:
        opened["x"] = 1
        assert opened.changed
    assert images.digest(ship) == before


def test_abort(ship):
    with khoros.open(ship, "r+") as opened:
        crew = opened["crew"]
        crew.array.append("Medea")
        opened["new"] = {"a": 1}
        opened.abort()
        assert not opened.changed
        assert crew == ["Jason", "Orpheus"]
        assert "new" not in opened
        assert opened.commit() is None


def test_reading_does_not_write(ship):
    before = images.digest(ship)
    with khoros.open(ship) as opened:
        with pytest.raises(ReadOnly):
            opened["x"] = 1
        with pytest.raises(ReadOnly):
            opened["crew"].array.append("Medea")
        with pytest.raises(ReadOnly):
            opened.commit()
    assert images.digest(ship) == before


def test_tables_of_one_image_can_be_put_into_another(ship, empty):
    with khoros.open(ship) as source, khoros.open(empty, "r+") as target:
        target["copy"] = source["ship"]
        target.commit()
        images.same_graph(source["ship"], target["copy"])


def test_what_cannot_be_saved_is_named_and_nothing_is_written(ship):
    before = images.digest(ship)
    with khoros.open(ship, "r+") as opened:
        table = LuaTable()
        table["x"] = LuaTable({"y": "fine"})
        opened["t"] = table
        with pytest.raises(CannotStore, match=r"value\.z\[2\]"):
            opened["u"] = {"z": [1, object()]}
        assert "u" not in opened
    assert images.digest(ship) == before


def test_an_object_larger_than_a_segment_is_refused_before_anything_is_written(ship):
    before = images.digest(ship)
    with khoros.open(ship, "r+") as opened:
        opened["large"] = {"x" * 300_000: "a key stands in full"}
        with pytest.raises(CannotStore, match="larger than a segment"):
            opened.commit()
    assert images.digest(ship) == before


def test_two_writers_exclude_each_other(ship):
    with khoros.open(ship, "r+"):
        with pytest.raises(InUse):
            khoros.open(ship, "r+")
        with khoros.open(ship) as reading:
            assert reading["ship"]["fuel"] == 5


def test_a_cut_after_a_commit_loses_nothing_and_the_next_writer_recovers(ship):
    opened = khoros.open(ship, "r+")
    opened["x"] = 1
    opened.commit()
    opened.store.close()  # as if the program was killed
    with khoros.open(ship) as again:
        assert again.store.verdict == "torn"
        assert again["x"] == 1
    with khoros.open(ship, "r+") as again:
        again["y"] = 2
        again.commit()
    with khoros.open(ship) as again:
        assert again.store.verdict == "clean"
        assert (again["x"], again["y"]) == (1, 2)


def test_clean_tables_that_nobody_holds_are_dropped(empty):
    with khoros.open(empty, "r+") as opened:
        opened["list"] = [{"n": n} for n in range(500)]
        opened.commit()
    with khoros.open(empty) as opened:
        assert sum(row["n"] for row in opened["list"].array) == sum(range(500))
        gc.collect()
        assert len(opened._session._known) < 10


def test_paths(ship):
    with khoros.open(ship) as opened:
        assert opened.at_path("root.ship.crew[2]") == "Orpheus"
        assert opened.at_path("root") is opened.root
        with pytest.raises(NotFound, match=r"did you mean root\.ship\?"):
            opened.at_path("root.shop")
        with pytest.raises(NotFound, match=r"did you mean root\.ship\.crew\[2\]\?"):
            opened.at_path("ship.crew.2")
        with pytest.raises(NotFound, match="is no table"):
            opened.at_path("ship.name.first")


def test_a_dangling_reference_is_an_error_that_names_the_object(ship):
    writer = open_writer(ship)
    with khoros.open(ship) as opened:
        identity = opened["crew"].id
    from khoros.diskutil.writer import Item
    from khoros.formats import constants as C

    assert identity is not None
    writer.commit([Item(identity, C.KIND_DELETE, b"")], "break it")
    writer.close()
    writer.store.close()
    with khoros.open(ship) as opened:
        assert opened["ship"]["name"] == "Argo"
        with pytest.raises(ObjectError, match=f"object {identity} cannot be read"):
            _ = opened["crew"]
    store = reader.mount(ship)
    report = check.check(store)
    store.close()
    assert any(f"refers to object {identity}" in f.text for f in report.findings if f.error)


def test_modes():
    with pytest.raises(UsageError):
        khoros.open("x.img", "w")
    with pytest.raises(KhorosError, match="no such file"):
        khoros.open("nowhere.img")


def test_the_public_names():
    assert khoros.open is image.open
    assert khoros.Image is image.Image
    assert khoros.KhorosError is KhorosError


SCALARS = st.one_of(st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False),
                    st.text(st.characters(exclude_categories=["Cs"])), st.binary())
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=3).filter(
        lambda s: s.isprintable()), inner, max_size=5)), max_leaves=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(value=VALUES)
def test_any_value_comes_back(tmp_path, value):
    path = images.empty(tmp_path / "any.img", force=True)
    with khoros.open(path, "r+") as opened:
        opened["value"] = value
        kept = opened["value"]
        opened.commit()
    with khoros.open(path) as opened:
        images.same_graph(kept, opened["value"])


@pytest.mark.parametrize("count", [1, 30, 3000])
def test_graphs_come_back_isomorphic(tmp_path, rng, count):
    path = images.empty(tmp_path / "graph.img", 8 * images.MEBIBYTE)
    graph = images.random_graph(rng, count)
    with khoros.open(path, "r+") as opened:
        opened["graph"] = graph
        opened.commit()
    with khoros.open(path) as opened:
        images.same_graph(graph, opened["graph"])
