"""./khoros test --mutants: how many mutants of the sources the tests notice, and which they do not.

Exit code 0 if each was killed or is explained in explained.txt, 1 if one is neither, 3 if the canary was killed, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from . import subjects
from .campaign import EXPLAINED, REPOSITORY, Campaign, Canary, Drawn, commit_of, drawn, explained
from .verdict import KILLED, Verdict

COUNT = 300
FAILED, CANARY, INTERRUPTED = 1, 3, 130


def main(words: list[str]) -> int:
    options = _options(words)
    chosen = [subject for subject in subjects.SUBJECTS if not options.group or subject.name == options.group]
    every = drawn(options.seed, options.count, of=chosen)
    if options.name:
        every = [one for one in drawn(options.seed, sys.maxsize, of=chosen) if one.mutant.name == options.name]
        if not every:
            print(f"there is no mutant {options.name}", file=sys.stderr)
            return 2
    build = REPOSITORY / "build"
    work = Campaign(options.seed, build / "mutants", build / "mutants.json")
    if options.name:
        work.verdicts.pop(options.name, None)
    started, ended = time.monotonic(), 0
    try:
        work.run(every, lambda one, found, number: _tell(one, found, number, len(every)), options.again)
    except KeyboardInterrupt:
        ended = INTERRUPTED
    except Canary as error:
        print(f"the canary was killed: {error}", file=sys.stderr)
        return CANARY
    left = _summary(work, every, options.seed, time.monotonic() - started)
    if options.name:
        print(work.output(every[0].mutant))
    return ended or (FAILED if left else 0)


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./khoros test --mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn (default: 1)")
    parser.add_argument("--count", type=int, default=COUNT, help=f"how many (default: {COUNT}); the first ones are the same")
    parser.add_argument("--group", choices=[subject.name for subject in subjects.SUBJECTS], help="only of this part")
    parser.add_argument("--again", action="store_true", help="judge the survivors once more, by all tests")
    parser.add_argument("--name", help="only this mutant; shows what the tests say")
    return parser.parse_args(words)


def _tell(one: Drawn, found: Verdict, number: int, count: int) -> None:
    by = f" by {found.by}" if found.by else ""
    print(f"{number}/{count} {found.verdict}{by} ({sum(found.seconds.values()):.1f} s): {one.mutant.name}", flush=True)


def _summary(work: Campaign, every: list[Drawn], seed: int, seconds: float) -> list[Drawn]:
    """Prints the totals. Returns the survivors that nothing explains."""
    reasons = explained(EXPLAINED.read_text(encoding="utf-8"))
    judged = [one for one in every if one.mutant.name in work.verdicts]
    survivors = work.survivors(every)
    left = [one for one in survivors if one.mutant.name not in reasons]
    for one in left:
        print(f"\n{one.mutant.story}")
    drawn_of, killed_of = Counter(one.subject.name for one in judged), Counter[str]()
    for one in judged:
        killed_of[one.subject.name] += work.verdicts[one.mutant.name]["verdict"] == KILLED
    print(f"\n{'':10} {'drawn':>6} {'killed':>6} {'explained':>9} {'left':>5}")
    for name in drawn_of:
        mine = [one for one in survivors if one.subject.name == name]
        print(f"{name:10} {drawn_of[name]:>6} {killed_of[name]:>6} {sum(one not in left for one in mine):>9} "
              f"{sum(one in left for one in mine):>5}")
    print(f"{'all':10} {len(judged):>6} {len(judged) - len(survivors):>6} {len(survivors) - len(left):>9} {len(left):>5}")
    print(f"seed {seed}, sources {commit_of()}, {len(judged)} of {len(every)} judged, {seconds:.0f} s of this run")
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
