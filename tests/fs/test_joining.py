"""Commits that meet: one transaction, one FLUSH, each client told of its own; refusals hit only whom they concern."""

from __future__ import annotations

from typing import Any

import pytest

from khoros.formats import constants
from tests.support import lua as lua_support
from tests.support.store import Disk, Store, format_disk


@pytest.fixture
def store() -> Store:
    return Store(Disk(format_disk()))


def entry(number: int, payload: bytes, **more: Any) -> dict[str, Any]:
    return {"id": number, "kind": constants.KIND_TABLE, "payload": payload} | more


def table(text: bytes) -> bytes:
    """A table with one string in it, as its payload."""
    return b"\x91" + bytes([0xA0 + len(text)]) + text + b"\x80"


def together(store: Store, *requests: Any) -> list[Any]:
    """Outcomes: a result, or the code of an error."""
    values = lua_support.to_lua(store.lua, list(requests))
    outcomes = store.handle[b"commit_all"](values)
    found = []
    for number in range(1, len(requests) + 1):
        result, err = outcomes[number][1], outcomes[number][2]
        found.append(lua_support.to_python(result) if result is not None
                     else lua_support.to_python(err)["code"].decode())
    return found


LARGER_THAN_WHAT_IS_REMEMBERED = b"""
local handle <const> = ...
local count <const>, empty <const> = 17000, "\\x90\\x80"
local first <const> = assert(handle.allocate(count + 1))
local since <const> = assert(handle.commit {entries = {{id = 1, kind = 1, payload = empty}}}).sequence
assert(handle.commit {entries = {{id = first, kind = 1, payload = empty}}})
local large <const> = {ids = {}, kinds = {}, payloads = {}, expected = {}, since = since}
for n = 1, count do large.ids[n], large.kinds[n], large.payloads[n], large.expected[n] = first + n, 1, empty, 0 end
local others <const> = assert(handle.commit(large)).others
return #others, others[1] == first, handle.view(nil, since).changed
"""


def test_a_commit_larger_than_what_is_remembered_still_tells_what_others_wrote_before_it():
    store = Store(Disk(format_disk(64 + 60 * 256 + 24)))
    assert store.lua.execute(LARGER_THAN_WHAT_IS_REMEMBERED, store.handle) == (1, True, False)


def test_commits_that_meet_are_one_transaction_and_one_flush(store):
    first = store.allocate(3)
    store.commit({1: b"root"})
    before = store.disk.writes, store.disk.flushes
    outcomes = together(store, *[
        {"entries": [entry(first + n, table(b"object %d" % n))], "message": f"from {n}"} for n in range(3)])
    assert (store.disk.writes - before[0], store.disk.flushes - before[1]) == (1, 1)
    assert [o["transaction"] for o in outcomes] == [2, 2, 2]
    assert [(o["objects"], o["bytes"], o["sequence"]) for o in outcomes] == [(1, 11, 2)] * 3
    assert store.log()[-1]["message"] == b"from 0; from 1; from 2"
    again = Store(store.disk)
    assert again.read(first, first + 1, first + 2) == [b"object %d" % n for n in range(3)]


def test_a_second_writer_of_the_same_object_meets_the_first(store):
    version = store.records(1)[0]["version"]
    outcomes = together(store, {"entries": [entry(1, table(b"a"), expected=version)]},
                        {"entries": [entry(1, table(b"b"), expected=version)]},
                        {"entries": [entry(1, table(b"c"))]})
    assert outcomes[0]["transaction"] == 1 and outcomes[1] == "conflict"
    assert outcomes[2]["transaction"] == 2
    assert store.read(1) == [b"c"]


def test_a_bad_request_hits_nobody_else(store):
    first = store.allocate(1)
    outcomes = together(store, {"entries": [entry(first, table(b"good"))]}, {}, {"entries": [entry(99, table(b"x"))]},
                        {"entries": [entry(1, table(b"root"))], "message": "ok"})
    assert [o if isinstance(o, str) else o["transaction"] for o in outcomes] == [1, "invalid", "invalid", 1]


def test_what_does_not_fit_is_refused_alone(store):
    first = store.allocate(12)
    large = b"\x91\xda\xff\xff" + b"z" * 65_535 + b"\x80"
    outcomes = together(store, {"entries": [entry(first, table(b"small"))]},
                        {"entries": [entry(first + 1 + n, large) for n in range(11)]})
    assert outcomes[0]["objects"] == 1 and outcomes[1] == "no_space"
    assert store.read(first) == [b"small"]


class BrokenDisk(Disk):
    """A disk whose writes to the log fail."""

    def write(self, lba: int, data: bytes) -> Any:
        return (None, "broken") if constants.LOG_LBA <= lba < 2000 else super().write(lba, data)


def test_a_device_error_fails_them_all():
    store = Store(BrokenDisk(format_disk()))
    outcomes = together(store, {"entries": [entry(1, table(b"a"))]},
                        {"entries": [entry(store.allocate(), table(b"b"))]})
    assert outcomes == ["io", "io"]
    assert store.status() == "read_only"


@pytest.mark.parametrize("prefix", ["", "x"])
def test_a_long_list_of_messages_is_cut_between_characters(store, prefix):
    """The limit lies between two characters, or in the middle of one."""
    first = store.allocate(3)
    together(store, *[{"entries": [entry(first + n, table(b"a"))], "message": f"{'' if n else prefix}{n}" + "é" * 1500} for n in range(3)])
    message = store.log()[-1]["message"]
    assert constants.MESSAGE_BYTES_MAX - 2 < len(message) <= constants.MESSAGE_BYTES_MAX and message.decode()


def test_a_message_that_several_give_is_said_once(store):
    first = store.allocate(3)
    together(store, *[{"entries": [entry(first + n, table(b"a"))], "message": "the same" if n else "another"} for n in range(3)])
    assert store.log()[-1]["message"] == b"another; the same"
