"""Runs a workload on the real store, then looks at every state in which a power cut could have left its disk.

    run = record(seed, 14)                         events, models and acknowledgements of one run
    run.explore(run.trace().prefixes(), rerun)     raises Broken at the first state that breaks a promise

The oracle (crash.lua): the store mounts; it shows the model of the last acknowledged transaction or of the one that was
being committed; every snapshot that was acknowledged is there and shows its state, and so does the history that is kept; then a
commit, a checkpoint, a collection of garbage, an unmount and a clean mount succeed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from khoros.formats import constants

from .. import device, reader
from . import mounted as store_support
from . import runtime as lua_support
from .disk import Flush, State, Trace, Write

HERE = Path(__file__).parent
# The root before it was ever committed.
EMPTY = b"\x90\x80"


class Broken(AssertionError):
    """A state that breaks a promise; says which, and how to see it again."""


class Links(NamedTuple):
    """An object that refers to others."""

    data: bytes
    ids: tuple[int, ...]


Value = bytes | Links


class Operation(NamedTuple):
    """One step of a workload: commit {id: value, None deletes}, checkpoint, remount, crash, snapshot, drop, keep, gc."""

    name: str
    objects: tuple[tuple[int, Value | None], ...] = ()
    message: str = ""
    number: int = 0


class Model:
    """What the store holds, transaction by transaction; and of that, what nothing leads to, so that it may be collected."""

    def __init__(self) -> None:
        self.states: list[dict[int, Value]] = [{1: EMPTY}]
        self.loose: list[set[int]] = [set()]

    @property
    def now(self) -> dict[int, Value]:
        return self.states[-1]

    def commit(self, objects: Iterable[tuple[int, Value | None]], collecting: bool = False) -> None:
        state = dict(self.now)
        for number, payload in objects:
            if payload is None:
                del state[number]
            else:
                state[number] = payload
        root, loose = state[1], set()
        if collecting:
            loose = set(state) - {1} - set(root.ids if isinstance(root, Links) else ())
        self.states.append(state)
        self.loose.append(loose)

    def payloads(self, state: dict[int, Value]) -> dict[int, bytes]:
        return {number: payload_of(value) for number, value in state.items()}


def payload_of(value: Value) -> bytes:
    """The payload that an object with that value has."""
    if value == EMPTY:
        return EMPTY
    if isinstance(value, Links):
        return store_support.stored(value.data, value.ids)
    return store_support.stored(value)


def entries(operation: Operation) -> list[dict[str, Any]]:
    """The entries of a commit, as the store takes them."""
    rows: list[dict[str, Any]] = []
    for number, value in operation.objects:
        if value is None:
            rows.append({"id": number, "kind": constants.KIND_DELETE})
        else:
            kind = constants.KIND_TABLE if isinstance(value, Links) else store_support.kind_of(value)
            rows.append({"id": number, "kind": kind, "payload": payload_of(value)})
    return rows


class Ack(NamedTuple):
    """Transaction `number` wrote events from `first` on and had been acknowledged when `last` events had happened."""

    number: int
    first: int
    last: int


class Kept(NamedTuple):
    """A snapshot was taken of transaction `number`, or (None) dropped, by events from `first` on, before `last` had happened."""

    name: str
    number: int | None
    first: int
    last: int


def load(lua: Any, name: str) -> Any:
    """A Lua file of tests/support."""
    return lua.execute((HERE / name).read_bytes(), name="@diskutil/torture/" + name)


def disk_of(lua: Any, image: bytes | bytearray) -> Any:
    """A disk.lua disk with these contents."""
    disk = load(lua, "disk.lua")[b"new"](len(image) // store_support.SECTOR)
    for lba in range(len(image) // store_support.SECTOR):
        data = bytes(image[lba * store_support.SECTOR:(lba + 1) * store_support.SECTOR])
        if any(data):
            disk[b"base_write"](lba, data)
    return disk


def image_of(disk: Any, sector_count: int) -> bytearray:
    """The contents of a disk.lua disk."""
    return bytearray(b"".join(disk[b"sector"](lba) for lba in range(sector_count)))


class Run:
    """A store on a recording disk; `step` drives it, afterwards `explore` judges states."""

    def __init__(self, image: bytes | bytearray, seed: int = 0,
                 edits: dict[str, tuple[str, str]] | None = None, collecting: bool = False,
                 sources: Path = lua_support.LUA) -> None:
        """`edits` breaks the store on purpose (runtime.py). `collecting`: garbage may be collected in this run."""
        self.collecting = collecting
        self.kept: list[Kept] = []
        self.steps: list[Operation] = []
        self.lua = lua_support.runtime(edits=edits, sources=sources)
        self.seed = seed
        self.image = bytes(image)
        self.primitives = lua_support.primitives(self.lua)
        self.recorder = self._disk()
        self.recorded = self.recorder[b"record"]()
        self.model = Model()
        self.acks: list[Ack] = []
        self.refused = self.cleaned = 0
        self.store = self._open()

    def _disk(self) -> Any:
        return disk_of(self.lua, self.image)

    def _open(self) -> store_support.Store:
        # Objects that nothing refers to are all that most workloads have: they are not to go by themselves.
        return store_support.Store(None, self.lua, device=self.recorder[b"device"], collect=self.collecting)

    def event_count(self) -> int:
        return len(list(self.recorded.keys())) if self.recorded is not None else 0

    def step(self, operation: Operation) -> None:
        self.steps.append(operation)
        if operation.name in ("crash", "remount"):
            self.cleaned += self.store.info()["segments_cleaned"]
        if operation.name == "commit":
            self._commit(operation)
        elif operation.name == "checkpoint":
            self.store.checkpoint()
        elif operation.name in ("snapshot", "drop"):
            self._keep(operation)
        elif operation.name == "keep":
            self.store.call("keep", operation.number or None)
        elif operation.name == "gc":
            self.store.call("gc", "begin")
            self.store.call("gc", "step", operation.number)
        elif operation.name == "crash":
            self.store = self._open()
        elif operation.name == "remount":
            self.store.close()
            self.store = self._open()
        else:
            raise ValueError(operation.name)

    def _keep(self, operation: Operation) -> None:
        """Takes or drops a snapshot."""
        first, taken = self.event_count(), operation.name == "snapshot"
        try:
            self.store.call(operation.name if taken else "delete_snapshot", operation.message)
        except store_support.StoreError as error:
            if error.code != "no_space" or not taken:
                raise
            self.refused += 1
            return
        number = len(self.model.states) - 1 if taken else None
        self.kept.append(Kept(operation.message, number, first, self.event_count()))

    def snapshots(self, event: int | None = None) -> tuple[dict[str, int], dict[str, int]]:
        """(those that must be there, those that may be) on a disk on which `event` was not finished; name → transaction."""
        there: dict[str, int] = {}
        maybe: dict[str, int] = {}
        for item in self.kept:
            if event is not None and item.first > event:
                break
            if item.number is not None and (event is None or item.last <= event):
                there[item.name] = item.number
            elif item.number is not None:
                maybe[item.name] = item.number
            else:
                number = there.pop(item.name)
                if event is not None and item.last > event:
                    maybe[item.name] = number
        return there, maybe

    def _commit(self, operation: Operation) -> None:
        first = self.event_count()
        try:
            result = self.store.call("commit", {"entries": entries(operation), "message": operation.message})
        except store_support.StoreError as error:
            if error.code != "no_space":
                raise
            self.refused += 1
            return
        self.model.commit(operation.objects, self.collecting)
        self.acks.append(Ack(result["transaction"], first, self.event_count()))

    def image_at(self, event: int | None = None) -> bytearray:
        """The disk after the first `event` events (default: all)."""
        image = bytearray(self.image)
        for item in self.events()[:event]:
            if isinstance(item, Write):
                image[item.lba * store_support.SECTOR:item.lba * store_support.SECTOR + len(item.data)] = item.data
        return image

    def events(self) -> list[Write | Flush]:
        rows = [self.recorded[number] for number in range(1, self.event_count() + 1)]
        return [Flush() if row[b"data"] is None else Write(row[b"lba"], row[b"data"]) for row in rows]

    def trace(self) -> Trace:
        return Trace(self.events(), self.seed)

    def expected(self, event: int) -> tuple[int, int]:
        """(last acknowledged, last that may be there) for a disk on which `event` was not finished."""
        acknowledged = max((ack.number for ack in self.acks if ack.last <= event), default=0)
        possible = max((ack.number for ack in self.acks if ack.first <= event), default=0)
        return acknowledged, max(acknowledged, possible)

    def explore(self, states: Iterable[State], rerun: str) -> int:
        """Judges states, which come in the order of their events. Returns how many. Broken at the first bad one."""
        explorer = Explorer(self)
        count = 0
        for state in states:
            why = explorer.judge(state)
            if why is not None:
                raise Broken(f"state {state.name}: {why}\nrerun: {rerun}")
            count += 1
        return count


class Explorer:
    """A second disk that is put into one state after the other."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.disk = run._disk()
        self.events = run.events()
        self.done = 0
        lua = run.lua
        self.models = lua_support.to_lua(lua, [run.model.payloads(state) for state in run.model.states])
        self.loose = lua_support.to_lua(lua, [dict.fromkeys(loose, True) for loose in run.model.loose])
        self._explore = load(lua, "crash.lua")[b"explore"]

    def prepare(self, state: State) -> None:
        """Brings the disk into the state."""
        if state.event < self.done:
            raise ValueError("states go forward")
        for event in self.events[self.done:state.event]:
            if isinstance(event, Write):
                self.disk[b"base_write"](event.lba, event.data)
        self.done = max(self.done, state.event)
        self.reset(state.sectors)

    def reset(self, sectors: dict[int, bytes | None]) -> None:
        """The base with these sectors instead."""
        self.disk[b"reset"](self.run.lua.table_from(
            {lba: False if data is None else data for lba, data in sectors.items()}))

    def image(self) -> bytearray:
        """The disk as it stands now; an unreadable sector as zeros."""
        return image_of(self.disk, len(self.run.image) // store_support.SECTOR)

    def judge(self, state: State, leave: bool = False) -> str | None:
        """None, or what is wrong with the state. `leave` stops after the first commit, without unmounting."""
        self.prepare(state)
        return self.judge_prepared(state, leave)

    def _arguments(self, **more: Any) -> Any:
        table = {b"disk": self.disk, b"primitives": self.run.primitives, b"models": self.models, b"loose": self.loose}
        return self.run.lua.table_from(table | {name.encode(): value for name, value in more.items()})

    def judge_prepared(self, state: State, leave: bool = False) -> str | None:
        """As `judge`, of the disk as it stands."""
        return self._judge(state.event, leave, False)

    def judge_again(self, event: int) -> str | None:
        """As `judge`, of a disk on which the oracle itself may already have committed once after the cut."""
        return self._judge(event, False, True)

    def _judge(self, event: int, leave: bool, again: bool) -> str | None:
        acknowledged, in_flight = self.run.expected(event)
        there, maybe = (lua_support.to_lua(self.run.lua, names) for names in self.run.snapshots(event))
        why = self._explore(self._arguments(
            acknowledged=acknowledged, in_flight=in_flight, leave=leave, again=again, there=there, maybe=maybe,
            collecting=self.run.collecting))
        return why if why is None else why.decode("utf-8", "replace")


class Recovery:
    """The recovery of one state as a run of its own: its writes are recorded and can be cut in turn."""

    def __init__(self, run: Run, state: State) -> None:
        self.run, self.state = run, state
        self.explorer = Explorer(run)
        self.explorer.prepare(state)
        recorded = self.explorer.disk[b"record"]()
        why = self.explorer.judge_prepared(state, leave=True)
        if why is not None:
            raise Broken(f"state {state.name}: {why}")
        rows = [recorded[number] for number in range(1, len(list(recorded.keys())) + 1)]
        self.events = [Flush() if row[b"data"] is None else Write(row[b"lba"], row[b"data"]) for row in rows]

    def trace(self) -> Trace:
        return Trace(self.events, self.run.seed)

    def sectors_of(self, state: State) -> dict[int, bytes | None]:
        """What differs from the base when the recovery was cut in that state."""
        sectors = dict(self.state.sectors)
        for event in self.events[:state.event]:
            if isinstance(event, Write):
                sectors.update((event.lba + at, event.sector(at)) for at in range(event.count))
        return sectors | state.sectors

    def explore(self, states: Iterable[State], rerun: str) -> int:
        """Judges states of the recovery. What the recovered store committed may be there: the models allow it."""
        explorer = Explorer(self.run)
        explorer.prepare(self.state)
        count = 0
        for state in states:
            explorer.reset(self.sectors_of(state))
            why = explorer.judge_again(self.state.event)
            if why is not None:
                raise Broken(f"state {self.state.name}, then {state.name}: {why}\nrerun: {rerun}")
            count += 1
        return count


class Inspector(Explorer):
    """Judges disks whose bytes are wrong: a typed error or unaffected data, never a wrong value."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._inspect = load(run.lua, "crash.lua")[b"inspect"]
        self.newest = len(run.model.states) - 1

    def finish(self) -> None:
        """Brings the disk to the end of the run."""
        self.prepare(State("end", len(self.events), {}))

    def inspect(self, sectors: dict[int, bytes | None], oldest: int | None = None) -> tuple[str, str | None]:
        """(what the store makes of it, what is wrong with that or None) of the final disk with these sectors instead.
        `oldest`: the oldest transaction that may be shown without a word; by default the last but one, because rot in
        the very last commit cannot be told from a torn write."""
        self.disk[b"reset"](self.run.lua.table_from(
            {lba: False if data is None else data for lba, data in sectors.items()}))
        there, _ = self.run.snapshots()
        verdict, wrong = self._inspect(self._arguments(
            newest=self.newest, oldest=self.newest - 1 if oldest is None else oldest,
            there=lua_support.to_lua(self.run.lua, there)))
        return verdict.decode(), None if wrong is None else wrong.decode("utf-8", "replace")


def python_store(image: bytes | bytearray) -> reader.Store:
    """The same disk, mounted by the Python reader."""
    return reader.Store(device.MemoryDevice(bytearray(image)))


def seeded_operations(seed: int, count: int, largest: int = 3000) -> list[Any]:
    """`count` steps drawn from `seed`: callables Run → None, since ids are handed out while running."""
    source = random.Random(seed)
    return [_draw(source, largest) for _ in range(count)]


def _draw(source: random.Random, largest: int) -> Any:
    kind = source.choices(["new", "change", "delete", "mixed", "checkpoint", "remount", "crash", "large"],
                          [20, 20, 8, 12, 6, 4, 4, 2])[0]
    number = source.randrange(1, 9)
    token = source.randrange(1 << 30)

    def apply(run: Run) -> None:
        inner = random.Random(token)
        if kind in ("checkpoint", "remount", "crash"):
            run.step(Operation(kind))
            return
        objects = _objects(run, inner, kind, number, largest)
        if objects:
            run.step(Operation("commit", tuple(objects.items()), f"{kind} {token}"))

    return apply


def _objects(run: Run, source: random.Random, kind: str, number: int, largest: int) -> dict[int, Value | None]:
    known = [identity for identity in run.model.now if identity != 1]
    objects: dict[int, Value | None] = {}
    if kind == "large":
        return {run.store.allocate(): source.randbytes(source.randrange(60_000, 110_000)) for _ in range(2)}
    if kind in ("new", "mixed"):
        first = run.store.allocate(number)
        for identity in range(first, first + number):
            objects[identity] = source.randbytes(source.randrange(largest))
    if kind in ("change", "mixed"):
        for identity in source.sample([1, *known], min(number, len(known) + 1)):
            objects[identity] = source.randbytes(source.randrange(largest))
    if kind in ("delete", "mixed"):
        for identity in source.sample(known, min(number // 2, len(known))):
            objects[identity] = None
    return objects


def keeping_operations(seed: int, count: int, largest: int = 3000, living: int = 25) -> list[Any]:
    """As `seeded_operations`, of a run with collections: the root refers to what lives, about `living` objects; snapshots are
    taken and dropped, history is limited, garbage is collected step by step."""
    source = random.Random(seed)
    return [_draw_keeping(source, largest, living) for _ in range(count)]


def _draw_keeping(source: random.Random, largest: int, most: int) -> Any:
    kind = source.choices(["commit", "snapshot", "drop", "gc", "keep", "checkpoint", "remount", "crash"],
                          [40, 9, 6, 15, 3, 3, 4, 4])[0]
    token = source.randrange(1 << 30)

    def apply(run: Run) -> None:
        inner = random.Random(token)
        names = sorted(run.snapshots()[0])
        if kind == "commit":
            objects = _linked_objects(run, inner, largest, most)
            run.step(Operation("commit", tuple(objects.items()), f"t {token}"))
        elif kind == "snapshot" and len(names) < 4:
            run.step(Operation("snapshot", message=f"s{token}"))
        elif kind == "drop" and names:
            run.step(Operation("drop", message=inner.choice(names)))
        elif kind == "keep":
            run.step(Operation("keep", number=inner.choice([0, 1, 3, 10])))
        elif kind == "gc":
            run.step(Operation("gc", number=inner.choice([1, 5, 1000])))
        elif kind in ("checkpoint", "remount", "crash"):
            run.step(Operation(kind))

    return apply


def _linked_objects(run: Run, source: random.Random, largest: int, most: int) -> dict[int, Value | None]:
    """Changes to some objects that live, some new ones; the root refers to those that are to live on."""
    root = run.model.now[1]
    living = list(root.ids) if isinstance(root, Links) else []
    objects: dict[int, Value | None] = {}
    for identity in source.sample(living, min(len(living), source.randrange(4))):
        objects[identity] = source.randbytes(source.randrange(largest))
    first = run.store.allocate(3)
    new = list(range(first, first + source.randrange(1, 4)))
    objects |= {identity: source.randbytes(source.randrange(largest)) for identity in new}
    dropped = set(source.sample(living, min(len(living), source.choice([0, 0, 1, 4, 8]) if len(living) < most else 12)))
    objects[1] = Links(source.randbytes(20), tuple(i for i in [*living, *new] if i not in dropped))
    return objects


def record(seed: int, count: int, largest: int = 3000, **options: Any) -> Run:
    """A run of `count` seeded steps on a small store."""
    run = Run(store_support.format_disk(**options), seed)
    for operation in seeded_operations(seed, count, largest):
        operation(run)
    return run


def record_keeping(seed: int, count: int, largest: int = 3000, living: int = 25,
                   edits: dict[str, tuple[str, str]] | None = None, **options: Any) -> Run:
    """A run with snapshots, limited history and collections."""
    run = Run(store_support.format_disk(**options), seed, edits, collecting=True)
    for operation in keeping_operations(seed, count, largest, living):
        operation(run)
    return run
