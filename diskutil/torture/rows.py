"""The rows of the plan of proof that torture runs, and what one workload of each goes through.

    row.examine(name, subject, look) → Findings      every state of one workload, until `look.stop()` or the first that is wrong

A state's name together with its workload's is a case, which reruns it alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import UsageError
from . import agreement, crash, faults, filling, mounted, runtime, workloads
from .crash import Explorer, Inspector, Recovery, Run
from .disk import SECTOR, State, Write
from .workloads import Name, Subject

# Of the states that power cuts leave, the Python reader looks at every so many-th.
AGREE_EVERY = 500
TORN = ("whole", "garbage", "unreadable")


class Failure(NamedTuple):
    """A state that breaks a promise. `image` is the disk in that state."""

    name: Name
    state: str
    why: str
    image: bytes
    steps: tuple[str, ...]

    @property
    def case(self) -> str:
        return f"{self.name}:{self.state}"


@dataclass
class Look:
    """What is looked for: all states or one; how thoroughly; until when."""

    only: str = ""
    full: bool = False
    stop: Callable[[], bool] = lambda: False
    seen: Callable[[], None] = lambda: None

    def wants(self, state: str) -> bool:
        return self.only in ("", state)


@dataclass
class Findings:
    """What one workload came to. `units` are those of its row; `whole`: nothing was left out."""

    states: int = 0
    units: int = 0
    failure: Failure | None = None
    whole: bool = True


class Row(NamedTuple):
    """One row: its number and title, the unit of its goals, the goals of a run and of the full campaign, how it goes."""

    number: int
    title: str
    unit: str
    goal: int
    full_goal: int
    names: Callable[[int, int, bool], Name]
    examine: Callable[[Name, Subject, Look], Findings]


# --- Rows 1 to 3: power cuts ------------------------------------------------------------------------------------------


def describe(run: Run) -> tuple[str, ...]:
    """The steps that a run made, a line each."""
    lines = []
    for step in run.steps:
        if step.name == "commit":
            parts = [f"{number} deleted" if value is None else f"{number} of {len(crash.payload_of(value))} bytes"
                     for number, value in step.objects]
            lines.append(f"commit {', '.join(parts[:6])}{f' and {len(parts) - 6} more' if len(parts) > 6 else ''}")
        else:
            lines.append(" ".join(filter(None, [step.name, step.message, str(step.number or "")])))
    return tuple(lines)


def recorded(name: Name, subject: Subject) -> Run | Failure:
    """The workload's run; a failure if the store fails without any fault of the disk."""
    try:
        return workloads.record(name, subject)
    except (mounted.StoreError, runtime.LuaError) as error:
        return Failure(name, "run", f"without a fault: {error}", b"", ())


def judged(explorer: Explorer, state: State, agree: bool) -> str | None:
    """What is wrong with a state, an error inside the store included."""
    try:
        why = explorer.judge(state)
    except runtime.LuaError as error:
        return f"error in the store: {error}"
    if why is None and agree:
        return agreement.disagreement(explorer.image(), explorer.run.lua)
    return why


def cut(name: Name, subject: Subject, look: Look, states_of: Callable[[Run], tuple[int, Iterable[State]]]) -> Findings:
    """Judges the states of a workload, which come in the order of their events."""
    found, run = Findings(), recorded(name, subject)
    if isinstance(run, Failure):
        found.failure = run
        return found
    units, states = states_of(run)
    explorer = Explorer(run)
    for state in states:
        if not look.wants(state.name):
            continue
        if look.stop():
            found.whole = False
            return found
        why = judged(explorer, state, bool(look.only) or found.states % AGREE_EVERY == 0)
        found.states += 1
        look.seen()
        if why is not None:
            explorer.prepare(state)
            found.failure = Failure(name, state.name, why, bytes(explorer.image()), describe(run))
            return found
    found.units = units or found.states
    return found


def cut_everywhere(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 1. Of the long runs only a share."""
    def states(run: Run) -> tuple[int, Iterable[State]]:
        share = 0.004 if workloads.kind_of(name) == "full" else 1
        return 0, sampled(run.trace().prefixes(), share, name.number, look)

    return cut(name, subject, look, states)


def sampled(states: Iterable[State], share: float, seed: int, look: Look) -> Iterator[State]:
    """A share of the states; all, where one is looked for."""
    source = random.Random(seed)
    return (state for state in states if share == 1 or look.only or source.random() < share)


def reorder(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 2."""
    def states(run: Run) -> tuple[int, Iterable[State]]:
        trace, share = run.trace(), 0.02 if workloads.kind_of(name) == "full" else 1
        windows = list(trace.windows())
        every = (state for first, last in windows for state in trace.reorderings(first, last))
        return len(windows), sampled(every, share, name.number, look)

    return cut(name, subject, look, states)


def short_sequence(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 3: prefixes and reorderings of one short sequence."""
    def states(run: Run) -> tuple[int, Iterable[State]]:
        trace = run.trace()
        every = list(trace.prefixes())
        for first, last in trace.windows():
            every += trace.reorderings(first, last, all_up_to=8, samples=40)
        return 1, sorted(every, key=lambda state: state.event)

    return cut(name, subject, look, states)


# --- Row 4: cuts during recovery --------------------------------------------------------------------------------------


def cut_twice(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 4: the recovery of each state of a short sequence is itself cut at every sector write."""
    found, run = Findings(), recorded(name, subject)
    if isinstance(run, Failure):
        found.failure = run
        return found
    outer, _, inner = look.only.partition("/")
    for first in run.trace().prefixes(TORN):
        if outer not in ("", first.name):
            continue
        again = recovered(run, first)
        if isinstance(again, str):
            found.failure = Failure(name, f"{first.name}/", again, b"", describe(run))
            return found
        _cut_again(found, again, name, Look(inner, look.full, look.stop, look.seen))
        if found.failure or not found.whole:
            return found
    found.units = 1
    return found


def recovered(run: Run, state: State) -> Recovery | str:
    try:
        return Recovery(run, state)
    except (crash.Broken, runtime.LuaError) as error:
        return str(error)


def _cut_again(found: Findings, recovery: Recovery, name: Name, look: Look) -> None:
    explorer = Explorer(recovery.run)
    explorer.prepare(recovery.state)
    for state in recovery.trace().prefixes(TORN):
        if not look.wants(state.name):
            continue
        if look.stop():
            found.whole = False
            return
        sectors = recovery.sectors_of(state)
        explorer.reset(sectors)
        try:
            why = explorer.judge_again(recovery.state.event)
        except runtime.LuaError as error:
            why = f"error in the store: {error}"
        found.states += 1
        look.seen()
        if why is not None:
            explorer.reset(sectors)
            found.failure = Failure(name, f"{recovery.state.name}/{state.name}", why, bytes(explorer.image()),
                                    describe(recovery.run))
            return


# --- Row 5: wrong bytes -----------------------------------------------------------------------------------------------

PARTS = workloads.DAMAGE_PARTS


def damages(run: Run, part: int, full: bool, every: bool) -> Iterator[tuple[str, dict[int, bytes | None]]]:
    """(name, sectors instead) of one part in PARTS of all damages: bytes, bits (`full`) or whatever a name may say
    (`every`); sectors zeroed, unreadable, stale, another's."""
    image = run.image_at()
    used = {lba: bytes(image[lba * SECTOR:(lba + 1) * SECTOR]) for lba in range(len(image) // SECTOR)
            if any(image[lba * SECTOR:(lba + 1) * SECTOR])}
    source, numbers = random.Random(part), sorted(used)
    for lba in numbers[part::PARTS]:
        data = used[lba]
        for at in range(SECTOR):
            for flip in range(1, 256) if every else [1 << bit for bit in range(8)] if full else [source.randrange(1, 256)]:
                yield f"{lba}.{at}.{flip}", {lba: data[:at] + bytes([data[at] ^ flip]) + data[at + 1:]}
        yield f"{lba}.zero", {lba: bytes(SECTOR)}
        yield f"{lba}.unreadable", {lba: None}
        for other in numbers if every else [source.choice(numbers)]:
            yield f"{lba}.holds.{other}", {lba: used[other]}
    yield from stale_sectors(run, part)


def stale_sectors(run: Run, part: int) -> Iterator[tuple[str, dict[int, bytes | None]]]:
    """What stood at a place before something else was written over it."""
    now: dict[int, bytes] = {}
    for number, event in enumerate(run.events()):
        if isinstance(event, Write):
            for at in range(event.count):
                lba = event.lba + at
                if (number + at) % PARTS == part:
                    yield f"{lba}.before.{number}", {lba: now.get(lba, bytes(SECTOR))}
                now[lba] = event.sector(at)


def damage(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 5: one part of the damages of one image. Its number says which: PARTS numbers for each image."""
    run = recorded(Name(5, name.number // PARTS, name.steps), subject)
    if isinstance(run, Failure):
        return Findings(failure=run._replace(name=name))
    found, inspector = Findings(), Inspector(run)
    inspector.finish()
    for state, sectors in damages(run, name.number % PARTS, look.full, bool(look.only)):
        if not look.wants(state):
            continue
        if look.stop():
            found.whole = False
            break
        wrong = inspected(inspector, sectors)
        found.states += 1
        look.seen()
        if wrong is not None:
            inspector.reset(sectors)
            found.failure = Failure(name, state, wrong, bytes(inspector.image()), describe(run))
            break
    found.units = found.states
    return found


def inspected(inspector: Inspector, sectors: dict[int, bytes | None]) -> str | None:
    try:
        return inspector.inspect(sectors)[1]
    except runtime.LuaError as error:
        return f"error in the store: {error}"


# --- Rows 6 and 10 ----------------------------------------------------------------------------------------------------


def device_errors(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 6: an error at every call of one workload."""
    found, workload = Findings(), faults.Workload(name.number, subject.edits, subject.sources)
    for state in faults.faults(workload):
        if not look.wants(state):
            continue
        if look.stop():
            found.whole = False
            return found
        wrong = faults.judge(workload, state)
        found.states += 1
        look.seen()
        if wrong is not None:
            found.failure = Failure(name, state, *wrong, ())
            return found
    found.units = 1
    return found


def full_store(name: Name, subject: Subject, look: Look) -> Findings:
    """Row 10: one store is filled, emptied and filled again."""
    found = Findings(states=1, units=1)
    look.seen()
    try:
        filling.turn(name.number, {"lua": runtime.runtime(edits=subject.edits, sources=subject.sources)})
    except filling.Filled as error:
        found.failure = Failure(name, "fill", str(error), bytes(error.work.store.disk.image), ())
    except (mounted.StoreError, runtime.LuaError) as error:
        found.failure = Failure(name, "fill", f"error in the store: {error}", b"", ())
    return found


# --- All --------------------------------------------------------------------------------------------------------------

# Seeds are far apart, so that one seed's numbers never reach another's.
NUMBERS_OF_A_SEED = 10**9


def seeded(row: int) -> Callable[[int, int, bool], Name]:
    """The names of a row whose numbers are seeds."""
    return lambda seed, turn, full: Name(row, seed * NUMBERS_OF_A_SEED + turn)


def short(row: int, longest: int, longest_full: int) -> Callable[[int, int, bool], Name]:
    """The names of a row of short sequences: all in turn in the full campaign, else drawn by the seed."""
    def name(seed: int, turn: int, full: bool) -> Name:
        count = workloads.sequences(longest_full if full else longest)
        number = turn % count if full or row == 4 else random.Random(f"{seed} {turn}").randrange(count)
        return Name(row, number)

    return name


def all_rows() -> dict[int, Row]:
    """The rows, by number."""
    rows = [
        Row(1, "power cut at every sector write", "states", 30_000, 3_000_000, seeded(1), cut_everywhere),
        Row(2, "writes of a flush window in any order", "windows", 100, 5_000, seeded(2), reorder),
        Row(3, "short sequences of operations", "sequences", 60, workloads.sequences(3), short(3, 2, 3), short_sequence),
        Row(4, "power cut during recovery", "sequences", workloads.sequences(1), workloads.sequences(2), short(4, 1, 2), cut_twice),
        Row(5, "wrong bytes and sectors", "damages", 32_768, 2_097_152, seeded(5), damage),
        Row(6, "device error at every call", "workloads", 1, 50, seeded(6), device_errors),
        Row(10, "full stores", "fills", 20, 2_000, seeded(10), full_store),
    ]
    return {row.number: row for row in rows}


def judge_case(name: Name, state: str, subject: Subject, stop: Callable[[], bool]) -> Findings:
    """One case, or all states of one workload. UsageError if there is no such row."""
    row = all_rows().get(name.row)
    if row is None:
        raise UsageError(what=f"torture has no row {name.row}", advice=f"it has {', '.join(map(str, all_rows()))}")
    return row.examine(name, subject, Look("" if state in ("run", "fill") else state, stop=stop))
