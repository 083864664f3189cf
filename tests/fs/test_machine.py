"""A state machine over the real store and its sessions: random programs, power cuts, faults, a second program.

The model is a dict of tables that carry numbers. A session's working state and the committed state are two such models;
a commit merges three ways, key by key. After every cut the store must show the state of the last acknowledged commit, or
of the one that was under way; whatever was refused must have changed nothing. `check` of the host must find nothing.

    KHOROS_MACHINE_RUNS, KHOROS_MACHINE_STEPS     how many runs of how many steps (--full: 20,000 of 50)
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from khoros.diskutil import check, reader
from khoros.diskutil.device import MemoryDevice
from tests.support import lua as lua_support
from tests.support.disk import Fault, SimulatedDisk
from tests.support.store import Store, StoreError, format_disk

SECTORS = 64 + 24 * 256 + 24
MACHINE = (Path(__file__).parent / "machine.lua").read_bytes()
Tables = dict[int, dict[Any, Any]]
KEYS = st.sampled_from(["a", "b", "c", "d", 1, 2, 3, 1.5])
SCALARS = st.one_of(st.integers(-3, 300), st.sampled_from(["", "x", "text" * 40, 2.5, -0.0, True, False]))


@functools.cache
def lua_state() -> Any:
    """One Lua state for all runs: loading the modules costs more than a run does."""
    return lua_support.runtime()


@functools.cache
def machine_module() -> Any:
    return lua_state().execute(MACHINE, name=b"=machine")


def new_session(handle: Any) -> Any:
    """A session over a store: machine.lua."""
    return machine_module()[b"new"](handle)


class Link(int):
    """A value of the model that is a table, by number."""


def copied(tables: Tables) -> Tables:
    return {number: dict(fields) for number, fields in tables.items()}


def reachable(tables: Tables) -> list[int]:
    found, pending = {1: None}, [1]
    while pending:
        for value in tables[pending.pop()].values():
            if isinstance(value, Link) and int(value) not in found:
                found[int(value)] = None
                pending.append(int(value))
    return list(found)


def text(value: Any) -> str:
    """A scalar as machine.lua writes it."""
    if isinstance(value, Link):
        return f"@{int(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {2.5: "0x1.4p+1", 1.5: "0x1.8p+0"}.get(value, "-0x0p+0")
    return str(value) if isinstance(value, int) else f'"{value}"'


def listing(tables: Tables) -> str:
    lines = []
    for number in reachable(tables):
        fields = dict(tables[number])
        if number != 1:
            fields["id"] = number
        lines.append(f"{number}|" + "|".join(sorted(f"{text(k)}={text(v)}" for k, v in fields.items())))
    return "\n".join(sorted(lines, key=lambda line: line.encode()))


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


class StoreMachine(RuleBasedStateMachine):
    """See the module. `committed` is what is durable, `mine` what the session has in hand, `base` what it began from."""

    @initialize()
    def begin(self) -> None:
        self.disk = SimulatedDisk(SECTORS, format_disk(SECTORS))
        self.committed: Tables = {1: {}}
        self.numbers = 1
        self.open_session()

    # -- the machine under test -------------------------------------------------------------------------------

    def open_session(self) -> None:
        """Another mount. The Lua state stays: its modules keep nothing of a store."""
        self.lua = lua_state()
        self.store = Store(self.disk, self.lua, device=self.disk.device(self.lua))
        self.session = new_session(self.store.handle)
        self.base = copied(self.committed)
        self.mine = copied(self.committed)

    def other_session(self) -> Any:
        """A program that opens the same store meanwhile."""
        return new_session(self.store.handle)

    def commit(self) -> tuple[bool, Any]:
        return self.session[b"commit"](b"step")

    # -- editing ----------------------------------------------------------------------------------------------

    def pick(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(reachable(self.mine)))

    @rule(data=st.data(), key=KEYS, value=SCALARS)
    def set_scalar(self, data, key, value):
        number = self.pick(data)
        self.session[b"set"](number, lua_support.to_lua(self.lua, key), lua_support.to_lua(self.lua, value))
        self.mine[number][key] = value

    @rule(data=st.data(), key=KEYS)
    def remove(self, data, key):
        number = self.pick(data)
        self.session[b"set"](number, lua_support.to_lua(self.lua, key), None)
        self.mine[number].pop(key, None)

    @rule(data=st.data(), key=KEYS)
    def make(self, data, key):
        number = self.pick(data)
        self.numbers += 1
        self.session[b"make"](number, lua_support.to_lua(self.lua, key), self.numbers)
        self.mine[number][key] = Link(self.numbers)
        self.mine[self.numbers] = {}

    @rule(data=st.data(), key=KEYS)
    def link(self, data, key):
        number, target = self.pick(data), self.pick(data)
        self.session[b"link"](number, lua_support.to_lua(self.lua, key), target)
        self.mine[number][key] = Link(target)

    # -- committing -------------------------------------------------------------------------------------------

    def merged(self) -> Tables | None:
        """What a commit makes of the committed state; None when it must be refused as a conflict."""
        result = copied(self.committed)
        for number, fields in self.mine.items():
            base = self.base.get(number)
            if base is None:
                result[number] = dict(fields)
                continue
            theirs = self.committed.get(number, base)
            changed = {k for k in base.keys() | fields.keys() if not same(base.get(k), fields.get(k))}
            if not changed:
                continue
            if not self.array_merges(base, fields, theirs):
                return None
            for key in changed:
                was, now, there = base.get(key), fields.get(key), theirs.get(key)
                if not same(was, there) and not same(now, there):
                    return None
                result[number].pop(key, None)
                if now is not None:
                    result[number][key] = now
        return result

    @staticmethod
    def array(fields: dict[Any, Any]) -> list[Any]:
        values: list[Any] = []
        while len(values) + 1 in fields:
            values.append(fields[len(values) + 1])
        return values

    def array_merges(self, base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]) -> bool:
        """An array part is one thing: only one side may have changed it, or both alike."""
        rows = [[text(v) for v in self.array(fields)] for fields in (base, mine, theirs)]
        return rows[0] == rows[1] or rows[0] == rows[2] or rows[1] == rows[2]

    @rule()
    def commit_changes(self):
        expected = self.merged()
        ok, result = self.commit()
        if expected is None:
            assert not ok and b"conflict" in result, result
            return
        assert ok, result
        self.take(expected)

    def take(self, expected: Tables) -> None:
        self.committed = {n: expected[n] for n in reachable(expected)} | expected
        assert self.session[b"refresh"]() == 0
        self.base, self.mine = copied(self.committed), copied(self.committed)

    @rule()
    def abort(self):
        self.session[b"abort"]()
        assert not self.session[b"changed"]()
        # What others wrote meanwhile is taken over by refresh.
        self.session[b"refresh"]()
        self.base, self.mine = copied(self.committed), copied(self.committed)

    @rule(data=st.data(), key=KEYS, value=SCALARS)
    def somebody_else_commits(self, data, key, value):
        number = data.draw(st.sampled_from(reachable(self.committed)))
        other = self.other_session()
        other[b"set"](number, lua_support.to_lua(self.lua, key), lua_support.to_lua(self.lua, value))
        ok, result = other[b"commit"](b"other")
        assert ok, result
        self.committed[number][key] = value

    @rule(data=st.data())
    @precondition(lambda self: self.mine == self.base)
    def forget(self, data):
        number = self.pick(data)
        if listing(self.mine) == listing(self.committed):
            self.session[b"forget"](number)

    # -- the store below --------------------------------------------------------------------------------------

    @rule()
    def checkpoint(self):
        self.store.checkpoint()

    @rule()
    def unmount(self):
        self.store.close()
        self.open_session()

    @rule(data=st.data())
    def power_cut(self, data):
        """Power goes in the middle of nothing: what was acknowledged is there."""
        self.disk = self.disk.survivors(lambda write, sector: data.draw(st.booleans()))
        self.open_session()
        self.compare()

    @rule(data=st.data(), call=st.integers(0, 3), sectors=st.integers(0, 4))
    def power_cut_in_a_commit(self, data, call, sectors):
        expected = self.merged()
        self.disk.fail(call, Fault("cut", sectors=sectors))
        ok, _ = self.commit()
        before = self.committed
        self.disk = self.disk.survivors(lambda write, sector: data.draw(st.booleans()))
        if ok and expected is not None:
            self.committed = expected
        self.open_session()
        shown = self.session[b"list"]().decode()
        if shown != listing(before) and expected is not None and not ok:
            self.committed = expected
            self.base, self.mine = copied(expected), copied(expected)
        assert shown == listing(self.committed)

    @rule(call=st.integers(0, 2), kind=st.sampled_from(["write", "flush"]))
    def device_error_in_a_commit(self, call, kind):
        expected = self.merged()
        self.disk.fail(call, Fault("error", code="fault"))
        ok, result = self.commit()
        if ok:
            if expected is not None:
                self.committed = expected
            self.disk.faults.clear()
        else:
            assert expected is None or self.store.status() == "read_only" or self.is_untouched(), result
        self.disk.faults.clear()
        before = self.committed
        self.open_session()
        shown = self.session[b"list"]().decode()
        if shown != listing(before) and not ok and expected is not None:
            self.committed = expected
            self.base, self.mine = copied(expected), copied(expected)
        assert shown == listing(self.committed)

    def is_untouched(self) -> bool:
        """A read failed before anything was written."""
        try:
            self.store.checkpoint()
        except StoreError:
            return False
        return True

    # -- what must hold always --------------------------------------------------------------------------------

    def compare(self) -> None:
        assert self.session[b"list"]().decode() == listing(self.mine)

    @invariant()
    def sees_its_own(self):
        if hasattr(self, "session") and self.committed == self.base:
            self.compare()

    def teardown(self):
        if not hasattr(self, "session"):
            return
        self.open_session()
        self.compare()
        report = check.check(reader.Store(MemoryDevice(self.disk.image())))
        assert [finding.text for finding in report.findings if finding.error] == []
        self.store.commit({1: b"\x90\x80"})
        self.store.close()


def budget(full: bool) -> tuple[int, int]:
    return (int(os.environ.get("KHOROS_MACHINE_RUNS", 20_000 if full else 500)),
            int(os.environ.get("KHOROS_MACHINE_STEPS", 50)))


def test_random_programs(request: pytest.FixtureRequest) -> None:
    runs, steps = budget(request.config.getoption("--full"))
    run_state_machine_as_test(StoreMachine, settings=settings(
        max_examples=runs, stateful_step_count=steps, deadline=None,
        suppress_health_check=list(HealthCheck), print_blob=True))
