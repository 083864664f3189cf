"""A state machine over the real store and its sessions: random programs of two sessions, power cuts, faults, snapshots.

Every run is one disk: roomy, where nothing may ever be refused or trimmed, or tight, where "no room" is an answer as long as
something can be let go of. The model (machine_model.py) is compared after every operation; what is cut or meets an
error must afterwards be there wholly or not at all; the host's `check` must find nothing in the end.

    KHOROS_MACHINE_RUNS, KHOROS_MACHINE_STEPS     how many runs of how many steps (500 of 50; --full: 20,000 of 50)

Runs go in batches of BATCH, each from a seed of its own, the run's seed plus its number: a failure names it. What is drawn
for an operation is one seed where its parts need not shrink one by one: hypothesis' draws cost more than the store.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from khoros.diskutil import check, reader
from khoros.diskutil.device import MemoryDevice
from khoros.formats import constants
from tests.fs.machine_model import (
    ROOT,
    Large,
    Link,
    World,
    copied,
    listing,
    merge,
    merged,
    reachable,
)
from tests.support import lua as lua_support
from tests.support.disk import Fault, SimulatedDisk
from tests.support.store import Store, StoreError, format_disk

BATCH = 500
MACHINE = (Path(__file__).parent / "machine.lua").read_bytes()
ROOMY, TIGHT = 48, (8, 9, 12)
SEGMENT_BYTES = 256 * 512
LARGE_SIZES = (3_000, 20_000, 70_000)

PROGRAMS = st.sampled_from([0, 1])
PICKS = st.integers(0, 63)
SEEDS = st.integers(0, 2**32 - 1)
KEYS = st.sampled_from(["a", "b", "c", "d", 1, 2, 3, 1.5])
SCALARS = st.sampled_from(["", "x", "text" * 40, 2.5, -0.0, True, False, 0, 1, 2, -3, 300])
NAMES = st.sampled_from(["s", "t", "u"])
OPERATIONS = st.sampled_from(["commit", "commit", "commit", "checkpoint", "close", "snapshot", "drop", "keep", "gc", "tidy"])

EMPTY_ROOT = {"entries": [{"id": ROOT, "kind": constants.KIND_TABLE, "payload": b"\x90\x80"}]}


@functools.cache
def lua_state() -> Any:
    """One Lua state for all runs: loading the modules costs more than a run does."""
    return lua_support.runtime()


@functools.cache
def machine_module() -> Any:
    return lua_state().execute(MACHINE, name=b"=machine")


class Program:
    """A session, what it has in hand (`mine`), what it began from (`base`), and whether that is the present still."""

    def __init__(self, store: Store, world: World) -> None:
        self.session = machine_module()[b"new"](store.handle)
        self.began(world)

    def began(self, world: World) -> None:
        self.base, self.mine, self.fresh = world.tables, copied(world.tables), True

    def pick(self, number: int) -> int:
        numbers = reachable(self.mine)
        return numbers[number % len(numbers)]

    def shown(self) -> str:
        return self.session[b"list"]().decode()

    def compare(self) -> None:
        shown, model = self.shown(), listing(self.mine)
        assert shown == model, f"shows\n{shown}\nand not\n{model}"

    def grow_stale(self) -> None:
        """Somebody else is about to commit: a session that has not loaded everything would see a mixture later."""
        if self.fresh:
            self.compare()
        self.fresh = False

    def abort(self, world: World) -> None:
        self.session[b"abort"]()
        assert not self.session[b"changed"]()
        # What others wrote meanwhile is taken over by refresh.
        assert self.session[b"refresh"]() == 0
        self.began(world)
        self.compare()


Outcome = tuple[bool, str]


def told(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Calls a function of the store: whether it succeeded, and what it said."""
    try:
        return True, str(function(*arguments))
    except StoreError as error:
        return False, str(error)
    except Exception as error:
        if "DriverFailed" not in repr(error):
            raise
        return False, "raised"


class StoreMachine(RuleBasedStateMachine):
    """See the module. `world` is what is durable, `programs` the two sessions."""

    @initialize(segments=st.sampled_from([ROOMY, ROOMY, *TIGHT]), seed=SEEDS)
    def begin(self, segments, seed):
        self.roomy = segments == ROOMY
        sectors = 64 + segments * 256 + 24
        self.disk = SimulatedDisk(sectors, empty_disk(sectors))
        self.world = World({ROOT: {}})
        self.numbers = 1
        self.unsure: set[int] = set()
        self.mount()
        if not self.roomy:
            self.fill_half(segments, random.Random(seed))

    # -- the machine under test -------------------------------------------------------------------------------

    def mount(self) -> None:
        """Another mount. The Lua state stays: its modules keep nothing of a store."""
        self.lua = lua_state()
        self.store = Store(self.disk, self.lua, device=self.disk.device(self.lua))
        self.world = self.world.swept()
        self.unsure = set()
        self.views: list[tuple[int, str]] = []
        self.programs = [Program(self.store, self.world) for _ in range(2)]

    def fill_half(self, segments: int, rng: random.Random) -> None:
        """Takes so much of a tight disk that the rest of the run has to do with space."""
        program, owner = self.programs[0], ROOT
        for number in range(int((segments - 4) * SEGMENT_BYTES * rng.uniform(0.2, 0.6)) // 20_000):
            if number % 3 == 0:
                self.put_table(program, owner, "a")
                owner = self.numbers
            self.put(program, owner, number % 3 + 1, self.large(20_000))
        self.commit(program)

    def put(self, program: Program, number: int, key: Any, value: Any) -> None:
        plain = value.value if isinstance(value, Large) else lua_support.to_lua(self.lua, value)
        program.session[b"set"](number, lua_support.to_lua(self.lua, key), plain)
        if value is None:
            program.mine[number].pop(key, None)
        else:
            program.mine[number][key] = value

    def put_table(self, program: Program, number: int, key: Any) -> None:
        self.numbers += 1
        program.session[b"make"](number, lua_support.to_lua(self.lua, key), self.numbers)
        program.mine[number][key] = Link(self.numbers)
        program.mine[self.numbers] = {}

    def large(self, size: int) -> Large:
        self.numbers += 1
        return Large(f"{self.numbers:08d}", size // 8 * 8)

    # -- editing ----------------------------------------------------------------------------------------------

    @rule(which=PROGRAMS, pick=PICKS, key=KEYS, value=SCALARS)
    def set_scalar(self, which, pick, key, value):
        program = self.programs[which]
        self.put(program, program.pick(pick), key, value)

    @rule(which=PROGRAMS, pick=PICKS, key=KEYS, size=st.sampled_from(LARGE_SIZES))
    def set_large(self, which, pick, key, size):
        program = self.programs[which]
        self.put(program, program.pick(pick), key, self.large(size))

    @rule(which=PROGRAMS, pick=PICKS, key=KEYS)
    def remove(self, which, pick, key):
        program = self.programs[which]
        self.put(program, program.pick(pick), key, None)

    @rule(which=PROGRAMS, pick=PICKS, key=KEYS)
    def make(self, which, pick, key):
        program = self.programs[which]
        self.put_table(program, program.pick(pick), key)

    @rule(which=PROGRAMS, pick=PICKS, other=PICKS, key=KEYS)
    def link(self, which, pick, other, key):
        program = self.programs[which]
        number, target = program.pick(pick), program.pick(other)
        program.session[b"link"](number, lua_support.to_lua(self.lua, key), target)
        program.mine[number][key] = Link(target)

    # -- committing -------------------------------------------------------------------------------------------

    def expected(self, program: Program) -> tuple[list[World], bool]:
        """The worlds that a commit may make, and whether it may be a conflict. What nothing led to for a while may have
        been collected since, or not."""
        doubtful = [number for number in self.unsure if number in program.base and number in program.mine
                    and number in self.world.tables]
        worlds: dict[str, list[World]] = {}
        conflicts = False
        for mask in range(1 << len(doubtful)):
            gone = frozenset(number for bit, number in enumerate(doubtful) if mask >> bit & 1)
            tables, conflict = merged(program.base, program.mine, self.world.tables, gone)
            conflicts = conflicts or conflict
            if not conflict:
                worlds.setdefault(listing(tables), self.world.committed(tables))
        return [world for group in worlds.values() for world in group], conflicts

    def commit(self, program: Program, must: bool = False) -> bool:
        """Commits and compares. must: whatever is full, this has to go. Returns whether it went."""
        self.limit_doubt(program)
        worlds, conflicts = self.expected(program)
        for other in self.programs:
            if other is not program:
                other.grow_stale()
        ok, message = program.session[b"commit"](b"step")
        if ok:
            assert worlds, message
            program.session[b"refresh"]()
            program.began(self.world)
            self.become(worlds, program)
            return True
        if b"no room" in message:
            assert not self.roomy and not must, message
            program.abort(self.world)
        else:
            assert conflicts and b"conflict" in message, message
        return False

    def limit_doubt(self, program: Program) -> None:
        """Asks the collector to make an end if there are too many tables of which it cannot be told whether they are left."""
        if len(self.unsure & program.base.keys()) > 4:
            self.collect()

    def become(self, worlds: Iterable[World], program: Program) -> None:
        """One of these worlds has come true: finds out which by what the program sees."""
        facts = (self.store.call("transaction"), program.shown())
        matching = [world for world in worlds if (world.transaction, world.listing) == facts]
        assert matching, f"transaction {facts[0]}:\n{facts[1]}"
        self.world = matching[0]
        program.began(self.world)
        self.note_garbage()

    def note_garbage(self) -> None:
        """What nothing leads to now may be collected from here on; what was led to again has been stored."""
        self.unsure = self.world.tables.keys() - set(reachable(self.world.tables))

    @rule(which=PROGRAMS)
    def commit_changes(self, which):
        self.commit(self.programs[which])

    @rule(which=PROGRAMS)
    def abort(self, which):
        self.programs[which].abort(self.world)

    @rule(which=PROGRAMS)
    def look(self, which):
        self.programs[which].compare()

    @rule(which=PROGRAMS)
    def refresh(self, which):
        """Takes over what the other has committed, under the changes made here."""
        program = self.programs[which]
        if self.unsure & program.mine.keys():
            self.collect()
        mine, conflicts = copied(self.world.tables), False
        for number, fields in program.mine.items():
            before, there = program.base.get(number), self.world.tables.get(number)
            if before is None or there is None:
                mine[number] = fields
            else:
                mine[number], clash = merge(before, fields, there)
                conflicts = conflicts or clash
        assert (program.session[b"refresh"]() > 0) == conflicts
        program.began(self.world)
        program.mine = mine
        program.compare()

    @rule(which=PROGRAMS, pick=PICKS)
    def forget(self, which, pick):
        program = self.programs[which]
        if program.fresh and listing(program.mine) == self.world.listing and repr(program.mine) == repr(program.base):
            program.session[b"forget"](program.pick(pick))

    @rule(which=PROGRAMS)
    def start_again(self, which):
        self.programs[which] = Program(self.store, self.world)

    @precondition(lambda self: not self.roomy)
    @rule(which=PROGRAMS)
    def let_go(self, which):
        """Whatever is full, something can be removed."""
        program = self.programs[which]
        program.abort(self.world)
        for number in reachable(program.mine):
            for key, value in program.mine[number].items():
                if isinstance(value, Large):
                    self.put(program, number, key, None)
                    self.commit(program, must=True)
                    return

    # -- the store below --------------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 4))
    def tidy(self, steps):
        for _ in range(steps):
            self.store.call("tidy", 64)

    @rule(what=st.sampled_from(["begin", "step"]))
    def collect_a_little(self, what):
        self.store.call("gc", what, *([3] if what == "step" else []))

    @rule()
    def collect(self):
        """What nothing leads to is gone afterwards; what programs still have of it is nobody's any more."""
        for _ in range(2):  # one that was under way lets what became garbage meanwhile live
            self.store.call("gc", "run")
        self.world = self.world.swept()
        self.unsure = set()
        if self.world.transaction > 0 and not any(
                isinstance(value, Large) for fields in self.world.tables.values() for value in fields.values()):
            assert self.store.info()["objects"] == len(self.world.tables)

    @rule()
    def checkpoint(self):
        self.store.checkpoint()

    @rule(name=NAMES)
    def snapshot(self, name):
        ok, message = told(self.store.call, "snapshot", name)
        if self.world.has_snapshot(name):
            assert message.startswith("exists"), message
        elif ok:
            self.world = self.world.taken(name)
        else:
            assert not self.roomy and message.startswith("no_space"), message

    @rule(name=NAMES)
    def drop_snapshot(self, name):
        ok, message = told(self.store.call, "delete_snapshot", name)
        if not self.world.has_snapshot(name):
            assert message.startswith("absent"), message
            return
        assert ok, message
        self.world = self.world.dropped(name)

    @rule(count=st.sampled_from([1, 2, 5, None]))
    def keep(self, count):
        ok, message = told(self.store.call, "keep", count)
        assert ok or (not self.roomy and message.startswith("no_space")), message
        if ok:
            self.world = self.world.keeping(count or 0)

    @rule(pick=PICKS)
    def open_view(self, pick):
        """Of the present, of a snapshot, of the past: it is looked at later."""
        oldest = self.store.info()["oldest_transaction"]
        which: list[tuple[Any, str]] = [(None, self.world.listing)]
        which += [(name, shown) for name, _, shown in self.world.snapshots]
        which += [(number, self.world.states[number]) for number in range(oldest, self.world.transaction) if oldest > 0]
        chosen, shown = which[pick % len(which)]
        self.views.append((self.store.view(*([] if chosen is None else [chosen])), shown))

    def shown_by(self, view: int) -> str:
        return machine_module()[b"look"](self.store.handle, view)[b"list"]().decode()

    @precondition(lambda self: self.views)
    @rule(pick=PICKS)
    def look_at_view(self, pick):
        view, shown = self.views[pick % len(self.views)]
        try:
            assert self.shown_by(view) == shown
        except lua_support.LuaError as error:
            # One of a snapshot goes with it; else only space can be the reason.
            assert ("had to make room" in str(error) and not self.roomy) or "no such view" in str(error), error
            self.views.remove((view, shown))

    @rule(pick=PICKS)
    def look_back(self, pick):
        """Each transaction that is kept answers with exactly its state, an older one not at all."""
        oldest = self.store.info()["oldest_transaction"]
        assert oldest == self.world.oldest or (not self.roomy and (oldest > self.world.oldest or oldest == 0))
        if self.world.transaction == 0:
            return
        number = pick % self.world.transaction + 1
        ok, message = told(self.store.view, number)
        if ok:
            assert 0 < oldest <= number or number == self.world.transaction
            assert self.shown_by(int(message)) == self.world.states[number]
            self.store.call("close_view", int(message))
        else:
            assert (message.startswith("not_kept") and number < max(2, oldest)) or oldest == 0, message

    @rule()
    def unmount(self):
        self.store.close()
        self.mount()

    # -- cuts and faults --------------------------------------------------------------------------------------

    def operation(self, what: str, rng: random.Random) -> tuple[Callable[[], Outcome], list[World], bool]:
        """Something to do while something goes wrong: what to call, the worlds that it may make, and whether it makes one of
        them when it succeeds (if not, none is made)."""
        if what == "commit":
            program = rng.choice(self.programs)
            self.limit_doubt(program)
            worlds, _ = self.expected(program)
            for other in self.programs:
                other.grow_stale()
            return lambda: outcome(program.session[b"commit"](b"step")), worlds, True
        if what == "snapshot":
            name = rng.choice("stu")
            worlds = [] if self.world.has_snapshot(name) else [self.world.taken(name)]
            return lambda: told(self.store.call, "snapshot", name), worlds, True
        if what == "drop":
            name = rng.choice("stu")
            worlds = [self.world.dropped(name)] if self.world.has_snapshot(name) else []
            return lambda: told(self.store.call, "delete_snapshot", name), worlds, True
        if what == "keep":
            count = rng.choice((1, 3, 6))
            return lambda: told(self.store.call, "keep", count), [self.world.keeping(count)], True
        arguments = {"gc": ["run"]}.get(what, [])
        return lambda: told(self.store.call, what, *arguments), [self.world], True

    def now_one_of(self, worlds: list[World]) -> None:
        """One of these worlds has come true: finds out which, by everything that can be seen."""
        program = Program(self.store, self.world)
        names = tuple((one["name"].decode(), one["transaction"]) for one in self.store.call("snapshots") or [])
        info = self.store.info()
        facts = (info["transactions"], program.shown(), names, info["keep_transactions"])
        matching = [world for world in worlds if world.facts == facts]
        assert matching, f"{facts} is none of {[world.facts for world in worlds]}"
        # Two worlds that look alike differ in what a session could tell at most: no session has lived through it.
        self.world = matching[-1]
        if self.roomy:
            matching = [world for world in matching if world.oldest == info["oldest_transaction"]]
            assert matching, info["oldest_transaction"]
            self.world = matching[-1]

    @rule(what=OPERATIONS, call=st.integers(0, 6), sectors=st.sampled_from([0, 0, 1, 3, 8, 9]), seed=SEEDS)
    def power_cut(self, what, call, sectors, seed):
        """Power goes in the middle of an operation, if it makes so many calls, else behind it."""
        rng = random.Random(seed)
        act, worlds, _ = self.operation(what, rng)
        self.disk.fail(call, Fault("cut", sectors=sectors), rng.choice(("write", "write", "flush")))
        ok, _ = act()
        self.disk = self.disk.survivors_by(rng)
        self.mount()
        # What was acknowledged is there.
        self.now_one_of(worlds if ok else [self.world, *worlds])
        self.mount()

    @rule(what=OPERATIONS, operation=st.sampled_from(["read", "write", "flush"]), call=st.integers(0, 6),
          sectors=st.integers(0, 9), seed=SEEDS)
    def device_error(self, what, operation, call, sectors, seed):
        rng = random.Random(seed)
        act, worlds, _ = self.operation(what, rng)
        code, forever = rng.choice(("unc", "fault", "gone", "timeout")), rng.random() < 0.3
        self.disk.fail(call, Fault("error", code=code, sectors=sectors, forever=forever), operation)
        ok, message = act()
        fired = bool(self.disk.fired)
        if fired and operation != "read":
            # Errors stick, and what could not be written is never acknowledged.
            assert not ok and self.store.status() == "read_only", message
            assert told(self.store.call, "commit", EMPTY_ROOT)[1].startswith("read_only")
        read_only = self.store.status() == "read_only"
        self.disk.heal()
        self.disk.fired.clear()
        if read_only or (what == "close" and ok):
            self.mount()
        self.now_one_of(worlds if ok else [self.world, *worlds])
        self.recover()

    def recover(self) -> None:
        """After something went wrong, with the same mount or the next: programs drop what they had in hand."""
        for program in self.programs:
            program.abort(self.world)
        self.note_garbage()

    @rule(what=OPERATIONS, operation=st.sampled_from(["read", "write", "flush"]), call=st.integers(0, 6), seed=SEEDS)
    def raise_in_the_driver(self, what, operation, call, seed):
        """As when memory runs out in the middle: the store goes on from what the disk has, without another mount."""
        act, worlds, _ = self.operation(what, random.Random(seed))
        self.disk.fail(call, Fault("raise"), operation)
        ok, _ = act()
        self.disk.heal()
        self.disk.fired.clear()
        if what == "close" and ok:
            self.mount()
        self.now_one_of(worlds if ok else [self.world, *worlds])
        self.recover()

    @rule(seed=SEEDS)
    def rot(self, seed):
        """A bit flips somewhere, on a copy of the disk: a mount shows the truth, or an error, or the truth of before and says
        that it is damaged; only the last commit may be taken for one that was cut."""
        rng = random.Random(seed)
        scratch = self.disk.copy()
        # Where a segment begins may be the header of a frame that fills it: then nothing says where the log went on.
        sectors = [lba for lba in sorted(scratch.view) if (lba - constants.LOG_LBA) % 256]
        scratch.rot(rng.choice(sectors), rng.randrange(4096))
        try:
            store = Store(scratch, self.lua, device=scratch.device(self.lua))
            transaction, shown = store.call("transaction"), Program(store, self.world).shown()
        except (StoreError, lua_support.LuaError):
            return
        assert shown == self.world.states[transaction]
        assert transaction >= self.world.transaction - 1 or store.status() == "read_only"

    # -- the end ----------------------------------------------------------------------------------------------

    def teardown(self):
        if not hasattr(self, "programs"):
            return
        for program in self.programs:
            program.compare()
        self.mount()
        self.now_one_of([self.world])
        for name, _, shown in self.world.snapshots:
            assert self.shown_by(self.store.view(name)) == shown
        report = check.check(reader.Store(MemoryDevice(self.disk.image())))
        assert [finding.text for finding in report.findings if finding.error] == []
        # Whatever is full, everything can be let go of.
        if self.roomy or self.world.listing != "1|":
            self.store.call("commit", EMPTY_ROOT)
        self.store.close()


def outcome(result: Any) -> Outcome:
    return result[0], result[1].decode("utf-8", "replace")


@functools.cache
def empty_disk(sectors: int) -> bytes:
    return bytes(format_disk(sectors))


def budget(full: bool) -> tuple[int, int]:
    return (int(os.environ.get("KHOROS_MACHINE_RUNS", 20_000 if full else 500)),
            int(os.environ.get("KHOROS_MACHINE_STEPS", 50)))


@pytest.mark.timeout(0)
def test_random_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, steps = budget(request.config.getoption("--full"))
    seed = int(os.environ["KHOROS_SEED"])
    for first in range(0, runs, BATCH):
        count, own_seed = min(BATCH, runs - first), seed + first // BATCH
        monkeypatch.setattr(hypothesis.core, "global_force_seed", own_seed)
        started = time.process_time()
        try:
            run_state_machine_as_test(StoreMachine, settings=settings(
                max_examples=count, stateful_step_count=steps, deadline=None, database=None,
                suppress_health_check=list(HealthCheck), print_blob=False))
        except BaseException as error:
            error.add_note(f"KHOROS_SEED={own_seed} KHOROS_MACHINE_RUNS={count} KHOROS_MACHINE_STEPS={steps}"
                           f" ./khoros test -n 0 '{request.node.nodeid}'")
            raise
        print(f"runs {first} to {first + count - 1} of {steps} steps, seed {own_seed}: "
              f"{time.process_time() - started:.0f} s of CPU")
