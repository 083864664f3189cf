"""A few seconds of the long proofs, against mutants: power cuts, device errors, wrong bytes, full stores, both readers.

Collected only when named: what these look at, the whole suite looks at for much longer. The states are fixed, not drawn anew by each run:
a mutant that was killed is killed again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from khoros.diskutil.fuzzing import corpus, engines, verdicts
from khoros.diskutil.torture import faults, rows, workloads
from khoros.diskutil.torture.rows import Look
from khoros.diskutil.torture.workloads import Subject
from tests.support import crash

CORPUS = Path(__file__).parents[1] / "diskutil" / "fuzzing" / "corpus.txt"


def explore_some(run: crash.Run, step: int, torn: tuple[str, ...] = ("whole", "garbage", "unreadable")) -> None:
    """Every `step`-th state that a power cut can leave, and orders of the writes between two flushes."""
    trace = run.trace()
    states = list(trace.prefixes(torn))
    for first, last in trace.windows():
        states += trace.reorderings(first, last, all_up_to=4, samples=6)
    states.sort(key=lambda state: state.event)
    run.explore(states[::step], "killers.py")


@pytest.mark.parametrize("seed", range(4))
def test_power_cuts_of_short_runs(seed: int):
    explore_some(crash.record(seed, 14), 24)


@pytest.mark.parametrize("seed", range(3))
def test_power_cuts_with_snapshots_and_collections(seed: int):
    explore_some(crash.record_keeping(7000 + seed, 20, 1500), 40)


def test_power_cuts_of_a_store_that_cleans():
    run = crash.record_keeping(8000, 200, 7000, 60)
    assert run.cleaned + run.store.info()["segments_cleaned"] > 0
    explore_some(run, 4000)


def test_power_cuts_of_a_full_store():
    explore_some(crash.record(2000, 220), 6000)


def test_a_cut_during_recovery():
    run = crash.record(4000, 10)
    for state in list(run.trace().prefixes(("whole",)))[::60]:
        again = crash.Recovery(run, state)
        again.explore(list(again.trace().prefixes(("whole", "garbage")))[::12], "killers.py")


@pytest.mark.parametrize("number", range(2))
def test_wrong_bytes(number: int):
    """Row 5 for a while: it stops by itself after so many damages, at places far apart."""
    subject = Subject()
    run = workloads.record(workloads.Name(5, number), subject)
    inspector = crash.Inspector(run)
    inspector.finish()
    every = list(rows.damages(run, number, False, False))
    for name, sectors in every[::len(every) // 200]:
        assert inspector.inspect(sectors)[1] is None, name


@pytest.mark.parametrize("part", range(2))
def test_device_errors(part: int):
    """Every so many-th fault of one workload of row 6."""
    workload = faults.Workload(3, Subject().edits, Subject().sources)
    for state in list(faults.faults(workload))[part::20]:
        assert faults.judge(workload, state) is None, state


@pytest.mark.parametrize("number", range(2))
def test_a_full_store(number: int):
    found = rows.full_store(workloads.Name(10, number), Subject(), Look())
    assert found.failure is None, found.failure and found.failure.why


@pytest.mark.parametrize("part", range(6))
def test_both_readers_agree(part: int):
    found = engines.replay(corpus.load(CORPUS)[part::24], verdicts.Lua(), lambda so_far, number: None, lambda: False)
    assert {kind: finding.text for kind, (_, finding) in found.findings.items()} == {}
