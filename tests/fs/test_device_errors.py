"""Device errors at every call: the answer is a typed error, nothing acknowledged is lost, and nothing goes on silently.

A fixed workload meets one fault at its n-th device call, once or from then on, for every n and every sort of fault. What was
acknowledged before is there after the disk works again; after a write or flush error the mount is read-only at once.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import crash
from tests.support import lua as lua_support
from tests.support import store as store_support
from tests.support.disk import DriverFailed, Fault, SimulatedDisk

CODES = ("unc", "idnf", "abort", "fault", "timeout", "gone")
ALLOWED = {"io", "read_only", "corrupt", "stale", "damaged", "no_store", "closed"}


class Workload:
    """Mount, commits, a checkpoint, reads, an unmount, a second mount. Notes what was acknowledged."""

    def __init__(self, disk: SimulatedDisk, lua: Any) -> None:
        self.disk, self.lua = disk, lua
        self.acknowledged: dict[int, bytes] = {1: b"\x90\x80"}
        # What an object may show besides: the outcome of a commit that failed is not known until the next mount.
        self.possible: dict[int, set[bytes]] = {}
        self.write_failed = False
        self.errors: list[str] = []
        self.after_write_error: list[str] = []

    def open(self) -> store_support.Store:
        return store_support.Store(None, self.lua, device=self.disk.device(self.lua))

    def run(self) -> None:
        """Two mounts, one after the other; the second may be of a store that the first could not unmount."""
        for _ in range(2):
            self.in_this_mount: list[str] = []
            try:
                self._steps(self.open())
            except store_support.StoreError as error:
                self.errors.append(error.code)

    def _steps(self, store: store_support.Store) -> None:
        first = store.allocate(3)
        self._commit(store, {1: b"root", first: b"a" * 40, first + 1: b"b" * 9000})
        self._attempt(store.checkpoint)
        self._commit(store, {first: b"changed", first + 2: b"c"})
        self._attempt(lambda: store.read(*self.acknowledged))
        self._attempt(store.info)
        self._attempt(store.close)

    def _commit(self, store: store_support.Store, objects: dict[int, bytes]) -> None:
        broken = self.write_failed and "io" in self.in_this_mount
        try:
            store.commit(objects)
        except store_support.StoreError as error:
            self._note(error)
            for number, payload in objects.items():
                self.possible.setdefault(number, set()).add(payload)
            if broken:
                self.after_write_error.append(error.code)
            return
        assert not broken, "a commit was acknowledged after a write or flush error"
        self.acknowledged.update(objects)
        for number in objects:
            self.possible.pop(number, None)

    def _note(self, error: store_support.StoreError) -> None:
        self.errors.append(error.code)
        self.in_this_mount.append(error.code)

    def _attempt(self, function: Any) -> None:
        try:
            function()
        except store_support.StoreError as error:
            self._note(error)


class KeepingWorkload(Workload):
    """As Workload, with snapshots, views, a collection and limited history."""

    def __init__(self, disk: SimulatedDisk, lua: Any) -> None:
        super().__init__(disk, lua)
        # name → what it must show; None: the outcome of taking or dropping it is not known.
        self.snapshots: dict[str, dict[int, bytes] | None] = {}

    def _steps(self, store: store_support.Store) -> None:
        first = store.allocate(3)
        self._commit(store, {1: b"root", first: b"a" * 40, first + 1: b"b" * 9000})
        self._keep(store, "snapshot", f"s{first}")
        self._commit(store, {1: b"other", first: b"changed"})
        self._attempt(lambda: self._look(store))
        # Nothing refers to the others: they are garbage, and may be gone from now on.
        for number in list(self.acknowledged):
            if number != 1:
                self.possible.setdefault(number, set()).add(b"absent")
        self._attempt(lambda: store.call("gc", "run"))
        self._attempt(lambda: store.call("keep", 2))
        if first > 2:
            self._keep(store, "delete_snapshot", next(iter(self.snapshots)))
        self._attempt(store.info)
        self._attempt(store.close)

    def _look(self, store: store_support.Store) -> None:
        """Reads a snapshot, the past, and the present through a view."""
        for which in ([f"s{number}" for number in (2, 5)] + [1, None]):
            try:
                store.read(1, view=store.view(*([] if which is None else [which])))
            except store_support.StoreError as error:
                if error.code not in ("absent", "not_kept"):
                    raise

    def _keep(self, store: store_support.Store, operation: str, name: str) -> None:
        self.snapshots[name] = None
        try:
            store.call(operation, name)
        except store_support.StoreError as error:
            self._note(error)
            return
        if operation == "snapshot":
            self.snapshots[name] = dict(self.acknowledged)
        else:
            del self.snapshots[name]

    def check_snapshots(self, store: store_support.Store, where: str) -> None:
        found = {record["name"].decode() for record in store.call("snapshots") or []}
        assert found >= {name for name, model in self.snapshots.items() if model is not None}, where
        assert found <= set(self.snapshots), where
        for name, model in self.snapshots.items():
            for number, payload in (model or {}).items():
                assert shown(store, number, store.view(name)) in {payload} | self.possible.get(number, set()), where


def prepared() -> SimulatedDisk:
    return SimulatedDisk(64 + 8 * 256 + 24, store_support.format_disk())


def calls_of_a_good_run(kind: type[Workload]) -> list[str]:
    disk = prepared()
    work = kind(disk, lua_support.runtime())
    work.run()
    assert work.errors == []
    return disk.calls


CALLS = calls_of_a_good_run(Workload)


def shown(store: store_support.Store, number: int, view: int | None = None) -> bytes:
    """What an object shows; b"absent" for none."""
    try:
        return store.read(number, view=view)[0]
    except store_support.StoreError as error:
        if error.code != "absent":
            raise
        return b"absent"


def check_after(work: Workload, disk: SimulatedDisk, where: str) -> None:
    """The disk works again: every acknowledged value is there, or that of a commit whose outcome was not known."""
    disk.faults, disk._lasting, disk.powered = {}, {}, True
    store = work.open()
    assert store.status() in ("clean", "recovered"), where
    for number, payload in work.acknowledged.items():
        assert shown(store, number) in {payload} | work.possible.get(number, set()), (where, number)
    if isinstance(work, KeepingWorkload):
        work.check_snapshots(store, where)
    store.commit({1: b"afterwards"})
    store.close()
    assert work.open().read(1) == [b"afterwards"], where


@pytest.mark.timeout(0)
@pytest.mark.parametrize("forever", [False, True], ids=["once", "for-ever"])
@pytest.mark.parametrize("code", CODES)
def test_an_error_at_every_call(code: str, forever: bool, request: pytest.FixtureRequest):
    for number, operation in enumerate(CALLS):
        disk = prepared()
        work = Workload(disk, lua_support.runtime())
        disk.fail(number, Fault("error", code=code, forever=forever))
        work.write_failed = operation in ("write", "flush")
        work.run()
        assert set(work.errors) <= ALLOWED, (number, work.errors)
        # The rest of the workload went on in a mount that knows that something failed, or in a new one.
        assert set(work.after_write_error) <= {"read_only", "io"}, (number, work.after_write_error)
        check_after(work, disk, f"call {number} ({operation}) answers {code}")


@pytest.mark.timeout(0)
@pytest.mark.parametrize("forever", [False, True], ids=["once", "for-ever"])
@pytest.mark.parametrize("code", ["unc", "fault"])
def test_an_error_at_every_call_of_snapshots_views_and_collections(code: str, forever: bool):
    for number, operation in enumerate(calls_of_a_good_run(KeepingWorkload)):
        disk = prepared()
        work = KeepingWorkload(disk, lua_support.runtime())
        disk.fail(number, Fault("error", code=code, forever=forever))
        work.write_failed = operation in ("write", "flush")
        work.run()
        assert set(work.errors) <= ALLOWED | {"absent"}, (number, work.errors)
        assert set(work.after_write_error) <= {"read_only", "io"}, (number, work.after_write_error)
        check_after(work, disk, f"call {number} ({operation}) answers {code}")


@pytest.mark.timeout(0)
@pytest.mark.parametrize("sectors", [1, 3])
def test_a_write_that_fails_after_some_sectors(sectors: int):
    for number, operation in enumerate(CALLS):
        if operation != "write":
            continue
        disk = prepared()
        work = Workload(disk, lua_support.runtime())
        disk.fail(number, Fault("error", code="fault", sectors=sectors))
        work.write_failed = True
        work.run()
        check_after(work, disk, f"call {number} writes {sectors} sectors and fails")


@pytest.mark.timeout(0)
def test_power_goes_at_every_call():
    for number in range(len(CALLS)):
        disk = prepared()
        work = Workload(disk, lua_support.runtime())
        disk.fail(number, Fault("cut", sectors=2))
        work.run()
        for keep in (lambda write, at: True, lambda write, at: False, lambda write, at: (write + at) % 2 == 0):
            after = disk.survivors(keep)
            again = Workload(after, work.lua)
            again.acknowledged, again.possible = work.acknowledged, work.possible
            check_after(again, after, f"power goes at call {number}")


# Plain Lua from end to end: an allocation that fails inside a call from Lua into Python could not be survived.
PLAIN_PRIMITIVES = rb"""
local disk <const>, store <const>, limit <const> = ...
local polynomial <const>, row <const> = 0x82F63B78, {}
for byte = 0, 255 do
  local value = byte
  for _ = 1, 8 do value = value & 1 ~= 0 and value >> 1 ~ polynomial or value >> 1 end
  row[byte] = value
end
local function crc32c(bytes, seed)
  local crc = (seed or 0) ~ 0xFFFFFFFF
  for at = 1, #bytes do crc = crc >> 8 ~ row[(crc ~ bytes:byte(at)) & 0xFF] end
  return crc ~ 0xFFFFFFFF
end
-- A table that holds a string, as the store wants to have it.
local function stored(text)
  if #text < 32 then return "\x91" .. string.char(0xa0 + #text) .. text .. "\x80" end
  return "\x91" .. (#text < 256 and string.pack(">Bs1", 0xd9, text) or string.pack(">Bs2", 0xda, text)) .. "\x80"
end
local primitives <const> = {crc32c = crc32c, now = function() return 1 end, random = function(n) return ("r"):rep(n) end}
"""
COMMIT_UNDER_A_LIMIT = PLAIN_PRIMITIVES + b"""
local entries <const> = {}
local function work()
  local handle <const> = assert(store.open {device = disk.device, primitives = primitives})
  local first <const> = assert(handle.allocate(60))
  for at = 1, 60 do entries[at] = {id = first + at - 1, kind = 1, payload = stored(("x"):rep(50))} end
  assert(handle.commit {entries = entries})
  assert(handle.checkpoint())
  assert(handle.close())
end
collectgarbage()
limit(true)
local worked <const>, problem = pcall(work)
limit(false)
return worked, tostring(problem)
"""
GO_ON_AFTER_A_LIMIT = PLAIN_PRIMITIVES + b"""
local handle <const> = assert(store.open {device = disk.device, primitives = primitives})
local first <const> = assert(handle.allocate(60))
local entries <const> = {{id = 1, kind = 1, payload = stored("root"), expected = 0}}
for at = 1, 60 do entries[at + 1] = {id = first + at - 1, kind = 1, payload = stored(("x"):rep(2000)), expected = 0} end
collectgarbage()
limit(true)
local worked <const> = pcall(function() assert(handle.commit {entries = entries}) end)
limit(false)
local record <const> = assert(handle.read {1})[1]
entries[1].payload = stored("on")
for at = 1, 61 do entries[at].expected = record.version > 0 and handle.read({entries[at].id})[1].version or 0 end
local done <const> = assert(handle.commit {entries = entries})
assert(done.transaction == (record.version > 0 and 2 or 1))
local again <const> = assert(store.open {device = disk.device, primitives = primitives})
for at = 2, 61 do assert(again.read({entries[at].id})[1].payload == entries[at].payload) end
return worked, again.read({1})[1].payload == stored("on"), #entries - 1, again.status() == "recovered" and "ok" or again.status()
"""


@pytest.mark.timeout(60)
def test_an_allocation_that_fails_anywhere():
    """Lua runs out of memory somewhere between mount and unmount: the store on the disk is whole, mounts and goes on."""
    outcomes = set()
    image = store_support.format_disk()
    first = store_support.Store(store_support.Disk(image))
    first.commit({1: b"root"})
    for spare in range(4_000, 4_000_000, 11_000):
        lua = lua_support.runtime(max_memory=1 << 30)
        disk = crash.disk_of(lua, image)

        def limit(on: bool, lua: Any = lua, spare: int = spare) -> None:
            lua.set_max_memory(lua.get_memory_used() + spare if on else 1 << 30)

        worked, problem = lua.execute(COMMIT_UNDER_A_LIMIT, disk, lua_support.require(lua, "fs.store"), limit)
        assert worked or b"not enough memory" in problem, problem
        outcomes.add(worked)
        after = store_support.Store(store_support.Disk(crash.image_of(disk, len(image) // 512)))
        assert after.status() in ("clean", "recovered")
        assert after.read(1) == [b"root"]
        after.commit({1: b"on"})
        if worked:
            break
    assert outcomes == {True, False}


@pytest.mark.timeout(60)
def test_after_an_allocation_that_fails_the_next_commit_works():
    """The same mount goes on, with what the disk has, however far the commit that failed had come."""
    outcomes = set()
    for spare in range(2_000, 4_000_000, 9_000):
        lua = lua_support.runtime(max_memory=1 << 30)
        disk = crash.disk_of(lua, store_support.format_disk())

        def limit(on: bool, lua: Any = lua, spare: int = spare) -> None:
            lua.set_max_memory(lua.get_memory_used() + spare if on else 1 << 30)

        result = lua.execute(GO_ON_AFTER_A_LIMIT, disk, lua_support.require(lua, "fs.store"), limit)
        assert result[1:] == (True, 60, b"ok"), (spare, result)
        outcomes.add(result[0])
        if result[0]:
            break
    assert outcomes == {True, False}


@pytest.mark.parametrize("parity", [0, 1])
def test_a_pair_of_superblocks_that_cannot_be_read_is_not_passed_over(parity: int):
    """A drive that gives nothing back from some moment of a mount on: what it gave before is not taken for all there is."""
    disk = prepared()
    lua = lua_support.runtime()
    store = store_support.Store(None, lua, device=disk.device(lua))
    store.commit({1: b"precious"})
    slots = superblock_slots(parity)
    for lba in slots:
        disk.unreadable = {lba}
        assert store_support.Store(None, lua, device=disk.device(lua), read_only=True).read(1) == [b"precious"]
    disk.unreadable = set(slots)
    writes = disk.calls.count("write")
    with pytest.raises(store_support.StoreError, match=r"^io: neither copy"):
        store_support.Store(None, lua, device=disk.device(lua))
    assert disk.calls.count("write") == writes


def superblock_slots(parity: int) -> tuple[int, int]:
    fields = store_support.superblock_fields(64 + 8 * 256 + 24)
    return store_support.slots(fields | {"generation": parity})


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_what_was_shown_after_an_error_in_the_driver_is_still_there_after_a_power_cut(operation: str):
    """It was read from the drive's cache: the mount that shows it makes it durable first."""
    shown_and_not_acknowledged = 0
    for call in range(9):
        disk, lua = prepared(), lua_support.runtime()
        store = store_support.Store(None, lua, device=disk.device(lua))
        store.commit({1: b"first"})
        disk.fail(call, Fault("raise"), operation)
        acknowledged = 0
        try:
            store.commit({1: b"second"})
            acknowledged += 1
            store.call("snapshot", "s")
            acknowledged += 1
        except DriverFailed:
            disk.heal()
        seen = store.read(1)[0], len(store.call("snapshots"))
        shown_and_not_acknowledged += (seen[0] == b"second" and acknowledged == 0) or (seen[1] > 0 and acknowledged == 1)
        after = disk.survivors(lambda write, at: False)
        again = store_support.Store(None, lua, device=after.device(lua))
        assert (again.read(1)[0], len(again.call("snapshots"))) == seen, call
    assert shown_and_not_acknowledged


@pytest.mark.parametrize("operation", ["read", "write", "flush"])
def test_a_view_of_a_snapshot_whose_deletion_raised_never_shows_another_of_that_name(operation: str):
    deleted = 0
    for call in range(9):
        disk, lua = prepared(), lua_support.runtime()
        store = store_support.Store(None, lua, device=disk.device(lua), cache_bytes=1)
        store.commit({1: b"then"})
        store.call("snapshot", "s")
        view = store.view("s")
        disk.fail(call, Fault("raise"), operation)
        try:
            store.call("delete_snapshot", "s")
        except DriverFailed:
            pass
        disk.heal()
        store.commit({1: b"now"})
        if store.call("snapshots"):
            assert store.read(1, view=view) == [b"then"]
            continue
        deleted += 1
        store.call("snapshot", "s")
        with pytest.raises(store_support.StoreError) as caught:
            store.read(1, view=view)
        assert caught.value.code == "view_too_old"
    assert deleted
