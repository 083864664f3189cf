"""Row 6 of the torture: a workload meets a device error at its n-th call, once or from then on, and the disk works again later.

    names = faults(workload)                 every fault that a good run of the workload could meet: "17.unc.once"
    judge(workload, name)                    None, or (what is wrong, the disk)

What is asked: every failure is a typed error; after a failed write or flush the mount acknowledges nothing more; once the disk
works again the store mounts, shows every acknowledged commit, of the one whose outcome was not known all or nothing, and goes on;
and the Python reader finds it clean (of a share of the states).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import crash, mounted, runtime
from .agreement import disagreement
from .crash import Model, Operation
from .disk import Fault, SimulatedDisk

CODES = ("unc", "idnf", "abort", "fault", "timeout", "protocol", "gone")
LASTING = {"once": False, "ever": True}
# What a store may answer while its disk fails.
ANSWERS = {"io", "read_only", "corrupt", "stale", "damaged", "no_store", "closed", "no_space"}
STEPS, LARGEST = 9, 2500
# The Python reader takes longer than all the rest: it looks at the outcome of every so many-th call.
AGREE_EVERY = 8


class Wrong(Exception):
    """A promise is broken."""


class Workload:
    """Seeded steps, and the sources of the store that does them."""

    def __init__(self, seed: int, edits: dict[str, tuple[str, str]] | None = None, sources: Path = runtime.LUA) -> None:
        self.lua = runtime.runtime(edits=edits, sources=sources)
        self.operations = crash.seeded_operations(seed, STEPS, LARGEST)
        self.empty = bytes(mounted.format_disk())

    def disk(self) -> SimulatedDisk:
        return SimulatedDisk(len(self.empty) // mounted.SECTOR, self.empty)


class Attempt:
    """One run of a workload on a disk that fails at call `at`. Looks like crash.Run to the steps."""

    def __init__(self, workload: Workload, disk: SimulatedDisk, at: int | None) -> None:
        self.lua, self.disk, self.at = workload.lua, disk, at
        self.model = Model()
        self.doubt: tuple[Any, ...] | None = None     # a commit whose outcome is not known
        self.mounted_at = 0
        self.store = self._open()

    def snapshots(self) -> tuple[dict[str, int], dict[str, int]]:
        """This workload takes none."""
        return {}, {}

    def step(self, operation: Operation) -> None:
        if operation.name == "commit":
            self._commit(operation)
        elif operation.name == "checkpoint":
            self.store.checkpoint()
        else:
            self.remount(operation.name == "remount")

    def remount(self, unmount: bool) -> None:
        if unmount:
            try:
                self.store.close()
            except mounted.StoreError as error:
                accept(error)
        self.store = self._open()

    def _open(self) -> mounted.Store:
        self.mounted_at = len(self.disk.calls)
        store = mounted.Store(None, self.lua, device=self.disk.device(self.lua), collect=False)
        self._settle(store.call("transaction"), store.status())
        return store

    def _settle(self, transaction: int, status: str) -> None:
        """A mount shows whether the commit in doubt is there."""
        newest = len(self.model.states) - 1
        if self.doubt is not None and transaction == newest + 1:
            self.model.commit(self.doubt)
        elif transaction != newest and status != "read_only":
            raise Wrong(f"mounted with transaction {transaction}, acknowledged {newest}")
        if status != "read_only":
            self.doubt = None

    def _broken(self) -> bool:
        """Whether a write or a flush has failed in this mount."""
        return (self.at is not None and self.mounted_at <= self.at < len(self.disk.calls)
                and self.disk.calls[self.at] != "read")

    def _commit(self, operation: Operation) -> None:
        broken = self._broken()
        try:
            self.store.call("commit", {"entries": crash.entries(operation), "message": operation.message})
        except mounted.StoreError as error:
            if error.code != "no_space":
                self.doubt = self.doubt or operation.objects
            raise
        if broken:
            raise Wrong("a commit was acknowledged after a failed write or flush")
        self.doubt = None
        self.model.commit(operation.objects)


def accept(error: mounted.StoreError) -> None:
    """Wrong if this is not what a store may answer while its disk fails."""
    if error.code not in ANSWERS:
        raise Wrong(f"a failing disk is answered by {error}")


def run(workload: Workload, disk: SimulatedDisk, at: int | None) -> Attempt | None:
    """The workload on that disk, as far as it comes; None if it never mounted."""
    attempt: Attempt | None = None
    try:
        attempt = Attempt(workload, disk, at)
    except mounted.StoreError as error:
        accept(error)
        return None
    for operation in workload.operations:
        try:
            operation(attempt)
        except mounted.StoreError as error:
            accept(error)
    return attempt


def faults(workload: Workload) -> Iterator[str]:
    """"CALL.CODE.once" and "CALL.CODE.ever" of every call of a good run."""
    disk = workload.disk()
    run(workload, disk, None)
    for number in range(len(disk.calls)):
        for code in CODES:
            for lasting in LASTING:
                yield f"{number}.{code}.{lasting}"


def judge(workload: Workload, name: str) -> tuple[str, bytes] | None:
    """Runs the workload with that fault. What is wrong and the disk as it then stands, or None."""
    number, code, lasting = name.split(".")
    disk = workload.disk()
    disk.fail(int(number), Fault("error", code=code, forever=LASTING[lasting]))
    try:
        attempt = run(workload, disk, int(number))
        disk.heal()
        _check(workload, disk, attempt, int(number) % AGREE_EVERY == 0)
    except (Wrong, mounted.StoreError, runtime.LuaError) as error:
        return str(error), bytes(disk.image())
    return None


def _check(workload: Workload, disk: SimulatedDisk, attempt: Attempt | None, agree: bool) -> None:
    """The disk works again."""
    if attempt is None:
        attempt = Attempt(workload, disk, None)
    attempt.at = None
    attempt.remount(False)
    status = attempt.store.status()
    if status not in ("clean", "recovered"):
        raise Wrong(f"mounted as {status} once the disk works again")
    payloads = attempt.model.payloads(attempt.model.now)
    records = attempt.store.records(*payloads)
    for (identity, payload), record in zip(payloads.items(), records, strict=True):
        if record["payload"] != payload:
            raise Wrong(f"object {identity} has another value")
    attempt.step(Operation("commit", ((1, b"afterwards"),), "afterwards"))
    attempt.remount(True)
    why = disagreement(disk.image(), attempt.lua) if agree else None
    if why is not None:
        raise Wrong(why)


