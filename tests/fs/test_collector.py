"""Garbage collection: what the root leads to stays, the rest goes, whatever is committed in between."""

from __future__ import annotations

import random
from typing import Any

import pytest

from khoros.diskutil import codec
from khoros.diskutil.values import Reference
from khoros.formats import constants
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.disk import DriverFailed, Fault, SimulatedDisk
from tests.support.store import Disk, Store, StoreError, format_disk

ROOT = 1


def fresh(segments: int = 32) -> Store:
    return Store(Disk(format_disk(total_sectors=64 + segments * 256 + 24)))


def refused(code: str) -> Any:
    return pytest.raises(StoreError, match=f"^{code}: ")


def alive(store: Store, ids: Any) -> set[int]:
    ids = list(ids)
    gone: set[int] = set()
    for start in range(0, len(ids), 4096):
        gone |= set(store.call("missing", ids[start:start + 4096]) or [])
    return set(ids) - gone


def reachable(graph: dict[int, list[int]], start: int = ROOT) -> set[int]:
    found, pending = {start}, [start]
    while pending:
        for number in graph.get(pending.pop(), []):
            if number not in found:
                found.add(number)
                pending.append(number)
    return found


def step(store: Store, command: str, budget: int | None = None) -> dict[str, Any]:
    return store.call("gc", command, *([] if budget is None else [budget]))


def test_what_the_root_leads_to_stays_and_the_rest_goes():
    store = fresh()
    a = store.allocate(6)
    # Cycles in both, and garbage that refers to what lives.
    graph = {ROOT: [a], a: [a + 1, a], a + 1: [ROOT], a + 2: [a + 3, a], a + 3: [a + 2], a + 4: []}
    store.link(graph)
    assert step(store, "run")["swept"] == 3
    assert alive(store, range(a, a + 6)) == {a, a + 1}
    for again in (store, Store(store.disk)):
        assert again.info()["objects"] == 3
        assert again.info()["transactions"] == 1
        with refused("absent"):
            again.read(a + 2)


def test_every_kind_of_object_is_followed():
    store = fresh()
    a = store.allocate(12)
    ref = [b"\xd4\1" + bytes([number]) for number in range(a, a + 12)]
    payloads = {
        ROOT: (constants.KIND_TABLE, b"\x91" + ref[0] + b"\x81" + ref[1] + b"\xd4\4" + bytes([a + 2]) + ref[3]),
        a: (constants.KIND_TABLE, b"\x90\x80"),
        a + 1: (constants.KIND_TREE, b"\x96\1\xc0\1\x91" + ref[4] + b"\0\x90"),
        a + 2: (constants.KIND_TREE, b"\x94\0\5\1\x91" + ref[5]),
        a + 3: (constants.KIND_FUNCTION, b"\x96" + ref[6] + b"\0\0\0\xa0" + ref[7]),
        a + 4: (constants.KIND_TREE_NODE, b"\x91" + ref[8]),
        a + 5: (constants.KIND_TREE_NODE, b"\xc4\1a"),
        a + 6: (constants.KIND_CHUNK, b"\x92\xa0\xa0"),
        a + 7: (constants.KIND_CELL, ref[9]),
        a + 8: (constants.KIND_MAP, b"\x93\1\1" + ref[10]),
        a + 9: (constants.KIND_TABLE, b"\x90\x80"),
        a + 10: (constants.KIND_MAP_NODE, b"\x81\1\1"),
        a + 11: (constants.KIND_CELL, b"\xc0"),
    }
    store.call("commit", {"entries": [{"id": number, "kind": kind, "payload": payload}
                                      for number, (kind, payload) in payloads.items()]})
    assert step(store, "run")["swept"] == 1
    assert alive(store, payloads) == set(payloads) - {a + 11}


@pytest.mark.parametrize("seed", range(6))
def test_collections_in_the_midst_of_commits(seed: int):
    """A graph changes at random while collections go on step by step; ids that were let go of are taken up again."""
    source, store = random.Random(seed), fresh(64)
    graph: dict[int, list[int]] = {ROOT: []}
    known: set[int] = {ROOT}   # every id that a client may still hold
    collected = 0
    for turn in range(500):
        if source.random() < 0.6:
            first = store.allocate(3)
            changes = {number: source.sample(sorted(known), min(len(known), source.randrange(3)))
                       for number in range(first, first + source.randrange(1, 4))}
            for number in source.sample(sorted(known & set(graph)), min(2, len(known & set(graph)))):
                changes[number] = source.sample([*changes, *sorted(known)], source.randrange(3))
            if turn % 7 == 0:
                changes[ROOT] = source.sample(sorted({*known, *changes}), min(2, len({*known, *changes})))
            expected = sorted({to for targets in changes.values() for to in targets} - set(changes) - alive_now(store, known))
            if expected:
                with refused("missing_reference") as caught:
                    store.link(changes)
                assert caught.value.facts["ids"] == expected
                known -= set(expected)
                continue
            store.link(changes)
            graph |= changes
            known |= set(changes)
        else:
            step(store, "begin")
            step(store, "step", source.choice([1, 3, 20]))
        there = alive_now(store, graph)
        collected += len(set(graph) - there)
        assert reachable(graph) <= there, turn
        graph = {number: targets for number, targets in graph.items() if number in there}
        if turn % 97 == 0:
            # Clients end with the machine: nobody holds an id that the root does not lead to.
            store = Store(store.disk)
            known = reachable(graph)
    step(store, "run")
    step(store, "run")
    assert alive_now(store, graph) == reachable(graph)
    for number in reachable(graph):
        assert store.read(number)
    assert collected > 50


def alive_now(store: Store, ids: Any) -> set[int]:
    return alive(store, sorted(ids))


def test_an_object_that_cannot_be_read_ends_the_collection_and_nothing_is_deleted():
    store = fresh()
    a = store.allocate(3)
    store.link({ROOT: [a], a: [a + 1], a + 1: [], a + 2: []})
    store.commit({a + 2: b"garbage"})
    store.close()
    at = store.disk.image.find(store_support.stored(b"", [a + 1]), 64 * 512)
    store.disk.image[at] ^= 1
    again = Store(store.disk)
    with refused("corrupt") as caught:
        step(again, "run")
    assert caught.value.facts["id"] == a
    status = step(again, "status")
    assert status["phase"] == b"idle"
    assert status["error"]["id"] == a
    assert alive(again, range(a, a + 3)) == {a, a + 1, a + 2}


def test_a_store_whose_root_is_gone_is_not_swept():
    store = fresh()
    a = store.allocate()
    store.commit({ROOT: b"", a: b"x"})
    store.commit({ROOT: None})
    with refused("corrupt"):
        step(store, "run")
    assert alive(store, [a]) == {a}


def test_snapshots_and_history_keep_what_was_collected():
    store = fresh()
    a = store.allocate()
    store.link({ROOT: [a], a: []})
    store.call("snapshot", "s")
    store.link({ROOT: []})
    view = store.view(1)
    assert step(store, "run")["swept"] == 1
    for again, which in ((store, view), (store, store.view("s")), (store, store.view(1))):
        assert again.read(a, view=which) == [b""]
    later = Store(store.disk)
    for which in (1, "s"):
        assert later.read(a, view=later.view(which)) == [b""]
    with refused("absent"):
        later.read(a)


def test_a_view_of_the_present_still_sees_what_is_collected():
    store = fresh()
    a = store.allocate()
    store.link({ROOT: [], a: []})
    view = store.view()
    step(store, "run")
    assert store.read(a, view=view) == [b""]
    with refused("absent"):
        store.read(a)


def test_a_full_store_collects_before_it_refuses():
    store, source = fresh(16), random.Random(1)
    for _ in range(6):
        # Each turn lets go of everything that the one before stored.
        ids = []
        for _ in range(60):
            ids.append(store.allocate())
            store.call("commit", {"entries": [
                {"id": ids[-1], "kind": constants.KIND_TABLE, "payload": store_support.stored(source.randbytes(12_000))},
                {"id": ROOT, "kind": constants.KIND_TABLE, "payload": store_support.stored(b"", ids)}]})
    assert step(store, "status")["rounds"] >= 3
    assert [len(data) for data in store.read(*ids)] == [12_000] * 60
    with refused("no_space"):
        while True:
            ids.append(store.allocate())
            store.call("commit", {"entries": [
                {"id": ids[-1], "kind": constants.KIND_TABLE, "payload": store_support.stored(source.randbytes(12_000))},
                {"id": ROOT, "kind": constants.KIND_TABLE, "payload": store_support.stored(b"", ids)}]})


def test_a_sweep_that_is_cut_leaves_less_garbage_and_nothing_else():
    store = fresh(64)
    first = store.allocate(9000)
    for start in range(first, first + 9000, 3000):
        store.link({number: [] for number in range(start, start + 3000)})
    store.link({ROOT: [first + 5000]})
    step(store, "begin")
    while step(store, "status")["swept"] == 0:
        step(store, "step", 3000)
    swept = step(store, "status")["swept"]
    assert 0 < swept < 9000
    again = Store(store.disk)
    assert again.info()["objects"] == 9001 - swept
    assert alive(again, [first + 5000]) == {first + 5000}
    assert step(again, "run")["swept"] == 8999 - swept


def test_tidying_goes_on_in_small_steps_until_there_is_nothing_to_do():
    store = fresh(16)
    assert store.call("tidy") is False
    assert store.disk.writes == 0
    first = store.allocate(400)
    store.link({ROOT: list(range(first, first + 200)), **{number: [] for number in range(first, first + 400)}})
    step(store, "begin")
    steps = 0
    while store.call("tidy", 10):
        steps += 1
        assert steps < 1000
    assert steps >= 6
    assert step(store, "status")["swept"] == 200


@pytest.mark.parametrize("arguments", [["stop"], ["step", 0], ["step", 1.5], [7]])
def test_commands_that_do_not_exist(arguments: list[Any]):
    with refused("invalid"):
        fresh().call("gc", *arguments)


# A chain that lives, and a chain that is garbage; a client knows the first of both.
LIVING, GARBAGE = 6, 8
# So large that each is read for itself.
CONTENT = b"x" * 30_000


def with_chains() -> tuple[SimulatedDisk, int, int]:
    sectors = 64 + 16 * 256 + 24
    disk = SimulatedDisk(sectors, format_disk(sectors))
    store = opened(disk)
    a = store.allocate(LIVING + GARBAGE)
    b = a + LIVING
    graph = {ROOT: [a]}
    graph |= {number: [number + 1] for number in range(a, a + LIVING - 1)} | {a + LIVING - 1: []}
    # What refers has the larger id, so that the parts go before it.
    graph |= {number: [number - 1] for number in range(b + 1, b + GARBAGE)} | {b: []}
    store.call("commit", {"entries": [
        {"id": number, "kind": constants.KIND_TABLE, "payload": store_support.stored(CONTENT, ids)}
        for number, ids in graph.items()]})
    store.close()
    return disk, a, b


def opened(disk: SimulatedDisk) -> Store:
    lua = lua_support.runtime()
    return Store(disk, lua, device=disk.device(lua), cache_bytes=1)


def attempt(store: Store, *arguments: Any) -> bool:
    """A step of the collector; whether it succeeded."""
    try:
        store.call("gc", *arguments)
    except StoreError:
        return False
    except DriverFailed:
        return False
    return True


@pytest.mark.parametrize("kind", ["raise", "error"])
@pytest.mark.parametrize("operation", ["read", "write", "flush"])
def test_whatever_fails_in_a_collection_what_lives_stays_and_garbage_is_whole_or_gone(kind: str, operation: str):
    """At every call: marking does not go on from what it had not looked at, and no client can refer to what lost its parts."""
    fired = 0
    for call in range(12):
        disk, a, b = with_chains()
        store = opened(disk)
        last = b + GARBAGE - 1
        store.link({ROOT: [a, a + 1]})  # claims the store
        disk.fail(call, Fault(kind, code="unc"), operation)
        attempt(store, "run")
        fired += bool(disk.fired)
        disk.heal()
        if store.status() == "read_only":
            continue
        # A client that had the garbage's head from before puts it under the root, if it can.
        try:
            store.link({ROOT: [a, last]})
        except StoreError as error:
            assert error.code == "missing_reference"
        for turn in range(2):
            assert attempt(store, "run"), (call, turn)
        graph = walked(store)
        assert {a + number for number in range(LIVING)} <= graph
        assert not graph & set(range(b, b + GARBAGE)) or set(range(b, b + GARBAGE)) <= graph, (call, sorted(graph))
        assert store.info()["objects"] == len(graph)
    assert fired


def walked(store: Store) -> set[int]:
    """Every object that the root leads to; reading one that is not there raises."""
    found, pending = {ROOT}, [ROOT]
    while pending:
        contents = codec.decode_table(store.records(pending.pop())[0]["payload"])
        for value in contents.array:
            if isinstance(value, Reference) and value.id not in found:
                found.add(value.id)
                pending.append(value.id)
    return found
