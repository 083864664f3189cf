"""Views and history: every state that is kept is read exactly, and one that is not says so, never a mixture."""

from __future__ import annotations

import random
from typing import Any

import pytest

from khoros.formats import constants
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.store import Disk, Store, StoreError, format_disk

SECTOR = 512


def fresh(segments: int = 8, **options: Any) -> Store:
    return Store(Disk(format_disk(total_sectors=64 + segments * 256 + 24)), **options)


def refused(code: str) -> Any:
    return pytest.raises(StoreError, match=f"^{code}: ")


class History:
    """A store, and what it held after each transaction."""

    def __init__(self, segments: int, source: random.Random) -> None:
        self.store, self.source = fresh(segments), source
        self.states: list[dict[int, bytes]] = [{1: b"\x90\x80"}]

    def commit(self, changes: dict[int, bytes | None]) -> None:
        self.store.commit(changes)
        state = self.states[-1] | {number: data for number, data in changes.items() if data is not None}
        for number, data in changes.items():
            if data is None:
                del state[number]
        self.states.append(state)

    def step(self, largest: int = 300, objects: int = 5) -> None:
        """A random transaction, and sometimes a checkpoint, a clean or an unclean mount."""
        source, now = self.source, self.states[-1]
        changes: dict[int, bytes | None] = {}
        for _ in range(source.randrange(1, objects + 1)):
            number = self.store.allocate() if source.random() < 0.4 else source.choice(list(now))
            changes[number] = source.randbytes(source.randrange(largest))
        if source.random() < 0.2 and len(now) > 1:
            changes[source.choice([number for number in now if number != 1])] = None
        self.commit(changes)
        kind = source.random()
        if kind < 0.05:
            self.store.checkpoint()
        elif kind < 0.1:
            if kind < 0.07:
                self.store.close()
            self.store = Store(self.store.disk)

    def check(self, transaction: int, view: int) -> None:
        """The view shows the state after that transaction, and nothing else."""
        state = self.states[transaction]
        assert self.store.read(*state, view=view) == list(state.values()), transaction
        for number in set(self.states[-1]) - set(state):
            with refused("absent"):
                self.store.read(number, view=view)


def test_every_transaction_answers_while_there_is_room(rng: random.Random):
    history = History(64, rng)
    for _ in range(120):
        history.step()
    store = history.store
    assert store.info()["oldest_transaction"] == 1
    for transaction in rng.sample(range(1, 121), 40):
        view = store.view(transaction)
        history.check(transaction, view)
        store.call("close_view", view)
    history.check(0, store.view({"before": 1}))


def test_what_a_transaction_wrote(rng: random.Random):
    history = History(64, rng)
    for _ in range(80):
        history.step()
    for transaction in rng.sample(range(1, 81), 30):
        before, after = history.states[transaction - 1], history.states[transaction]
        expected = {}
        rows = history.store.call("written", transaction)
        for row in rows:
            expected[row["id"]] = (row["kind"], row["existed"])
        changed = {number for number in {*before, *after} if before.get(number) != after.get(number)}
        assert changed <= set(expected)
        for number, (kind, existed) in expected.items():
            # The root can be read before it was ever written.
            assert existed == (number in before and (number != 1 or any(1 in _written(history, t)
                                                                        for t in range(1, transaction))))
            assert kind == (constants.KIND_TABLE if number in after else constants.KIND_DELETE)


def _written(history: History, transaction: int) -> set[int]:
    before, after = history.states[transaction - 1], history.states[transaction]
    return {number for number in {*before, *after} if before.get(number) is not after.get(number)}


def test_an_open_view_shows_its_state_while_commits_go_on(rng: random.Random):
    history = History(64, rng)
    views: dict[int, int] = {}
    for _ in range(150):
        store = history.store
        if rng.random() < 0.3:
            transaction = len(history.states) - 1
            views[store.view()] = transaction
        history.step()
        if history.store is not store:
            views.clear()
        for view, transaction in rng.sample(list(views.items()), min(3, len(views))):
            history.check(transaction, view)
        if views and rng.random() < 0.2:
            view = rng.choice(list(views))
            history.store.call("close_view", view)
            del views[view]
        while len(views) > 60:
            history.store.call("close_view", views.popitem()[0])


def test_a_commit_may_expect_what_a_view_said():
    store = fresh()
    first = store.allocate()
    store.commit({1: b"a", first: b"x"})
    view = store.view()
    versions = {number: store.records(number, view=view)[0]["version"] for number in (1, first)}
    store.commit({1: b"b"})
    versions[1] = store.records(1, view=view)[0]["version"]
    with refused("conflict") as caught:
        store.commit({1: b"c"}, expected=versions)
    assert caught.value.facts["ids"] == [1]
    store.commit({first: b"y"}, expected=versions)


def test_a_view_that_loses_its_notes_is_rebuilt_from_the_log():
    """More is replaced than a view of the present notes."""
    store = fresh(256)
    first = store.allocate(70_000)
    ids = range(first, first + 70_000)
    for start in range(0, 70_000, 10_000):
        store.commit(dict.fromkeys(ids[start:start + 10000], b"1"))
    view, other = store.view(), store.view()
    for start in range(0, 70_000, 10_000):
        store.commit(dict.fromkeys(ids[start:start + 10000], b"2"))
    for number in (first, first + 35_000, first + 69_999):
        assert store.read(number, view=view) == store.read(number, view=other) == [b"1"]
        assert store.read(number) == [b"2"]


def test_more_views_than_there_may_be_close_the_one_not_used_for_longest():
    store = fresh()
    store.commit({1: b"a"})
    views = [store.view() for _ in range(64)]
    store.read(1, view=views[0])
    views.append(store.view())
    with refused("view_too_old"):
        store.read(1, view=views[1])
    for view in views[:1] + views[2:]:
        assert store.read(1, view=view) == [b"a"]


def test_what_was_never_is_not_taken_for_what_is_no_longer_kept():
    store = fresh()
    store.commit({1: b"a"})
    for which in (2, -1):
        with refused("absent"):
            store.view(which)
    for which in (0, 1.5, True, {"before": "x"}):
        with refused("not_kept" if which == 0 and which is not True else "[a-z]+"):
            store.view(which)
    for number in (0, 2):
        with refused("absent"):
            store.call("written", number)


# --- keep ------------------------------------------------------------------------------------------------------------


def test_keep_answers_for_the_last_transactions_and_says_that_older_ones_are_gone(rng: random.Random):
    history = History(64, rng)
    for _ in range(30):
        history.step()
    history.store.call("keep", 10)
    for _ in range(30):
        history.step()
        store, last = history.store, len(history.states) - 1
        assert store.info()["oldest_transaction"] == last - 9
        assert store.info()["keep_transactions"] == 10
        for transaction in (last - 9, last - 5, last):
            history.check(transaction, store.view(transaction))
        history.check(last - 10, store.view({"before": last - 9}))
        for transaction in (last - 10, 1):
            with refused("not_kept"):
                store.view(transaction)
        with refused("not_kept"):
            store.call("written", last - 10)
        assert [row["transaction"] for row in store.log()] == list(range(last - 9, last + 1))


def test_keep_can_be_taken_back_but_what_is_gone_is_gone():
    store = fresh(64)
    for number in range(20):
        store.commit({1: b"%d" % number})
    store.call("keep", 5)
    store.commit({1: b"x"})
    store.call("keep", None)
    for number in range(20):
        store.commit({1: b"%d" % number})
    assert store.info()["oldest_transaction"] == 17
    for wrong in (0, -1, 1.5, "3"):
        with refused("invalid"):
            store.call("keep", wrong)


def test_history_gives_way_when_room_is_needed_the_oldest_first(rng: random.Random):
    """Twenty times what the store takes is written: always the newest part of the past answers, exactly."""
    history = History(16, rng)
    first = history.store.allocate(20)
    history.commit(dict.fromkeys(range(first, first + 20), b""))
    oldest = []
    for turn in range(1200):
        number = rng.randrange(first, first + 20)
        history.commit({number: rng.randbytes(rng.randrange(60_000) if turn % 10 == 0 else 2000)})
        if turn % 50 == 0:
            store, last = history.store, len(history.states) - 1
            oldest.append(store.info()["oldest_transaction"])
            assert oldest == sorted(oldest)
            for transaction in {oldest[-1], last, rng.randrange(max(1, oldest[-1]), last + 1)} - {0}:
                history.check(transaction, store.view(transaction))
            if oldest[-1] > 2:
                with refused("not_kept"):
                    store.view(oldest[-1] - 2)
    assert oldest[-1] > 600
    assert history.store.read(*history.states[-1]) == list(history.states[-1].values())


def test_a_view_in_the_way_of_what_is_needed_fails_and_never_lies(rng: random.Random):
    history = History(12, rng)
    first = history.store.allocate(10)
    ids = list(range(first, first + 10))
    history.commit({number: rng.randbytes(10_000) for number in ids})
    transaction = len(history.states) - 1
    view, model = history.store.view(), dict(history.states[-1])
    told = 0
    for turn in range(400):
        history.commit({rng.choice(ids): rng.randbytes(10_000)})
        if turn % 5:
            continue
        try:
            assert history.store.read(*model, view=view) == list(model.values()), transaction
            assert not told
        except StoreError as error:
            assert error.code == "view_too_old"
            told += 1
    assert told > 10


# --- what the past looks like when it cannot be read ----------------------------------------------------------------------


def test_a_hole_in_the_past_is_an_error_for_the_past_alone():
    store = fresh(64)
    for number in range(30):
        store.commit({1: b"%d" % number * 3000})
    store.close()
    image = store.disk.image
    frames = [at for at in range(64 * SECTOR, len(image), 8 * SECTOR) if image[at:at + 8] == b"KHOROSFR"]
    image[frames[9] + 500] ^= 1
    again = Store(store.disk)
    again.read(1, view=again.view(5))
    again.read(1)
    with refused("corrupt"):
        again.read(1, view=again.view(10))
    with refused("corrupt"):
        again.view(20)


def test_memory_of_views_is_bounded():
    """However many views of the past are open, few of them hold an index."""
    lua = lua_support.runtime()
    disk = Disk(format_disk(total_sectors=64 + 128 * 256 + 24))
    store = Store(disk, lua)
    first = store.allocate(3000)
    for turn in range(12):
        store.commit(dict.fromkeys(range(first, first + 3000), b"%d" % turn))
    views = [store.view(transaction) for transaction in range(1, 12)]
    for turn in (0, 1):
        for transaction, view in enumerate(views):
            assert store.read(first + turn, view=view) == [b"%d" % transaction]
    lua.execute(b"collectgarbage() collectgarbage()")
    used = lua.eval(b'collectgarbage("count")') * 1024
    # One index of 3000 changes a transaction takes a megabyte at most here.
    assert used < 12 << 20, store_support.SECTOR
