"""The command line of the lab; `main(arguments)` gives the exit status."""

from __future__ import annotations

import sys
from pathlib import Path

from lab import clock, journal, repair, torn
from lab.wrong import Wrong

EXERCISES = {"1": clock, "2": torn, "3": journal, "4": repair}
USAGE = "usage: ./khoros lab [start N [FOLDER] | check N [FOLDER]]"
RIGHT, NOT_YET, WRONG_USE = 0, 1, 2


def main(arguments: list[str]) -> int:
    if not arguments:
        for number, exercise in EXERCISES.items():
            print(f"{number}  {exercise.TITLE}")
        print("Their texts: lab/README.md. Begin with ./khoros lab start 1")
        return RIGHT
    action, number, *more = [*arguments, ""] if len(arguments) == 1 else arguments
    if action not in ("start", "check") or number not in EXERCISES or len(more) > 1:
        print(USAGE, file=sys.stderr)
        return WRONG_USE
    folder = Path(more[0] if more else f"lab-{number}")
    try:
        return start(number, folder) if action == "start" else check(number, folder)
    except Wrong as wrong:
        print(f"not yet: {wrong}", file=sys.stderr)
        return NOT_YET


def start(number: str, folder: Path) -> int:
    """The starting point, in a folder that does not exist yet."""
    if folder.exists():
        raise Wrong(f"{folder} is there already; name another folder, or remove it")
    folder.mkdir(parents=True)
    EXERCISES[number].start(folder)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return RIGHT


def check(number: str, folder: Path) -> int:
    """What the check of an exercise says."""
    print(f"right: {EXERCISES[number].check(folder)}")
    return RIGHT
