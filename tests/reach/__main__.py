"""./khoros test --coverage: runs the tests of store and reader while lines are counted; shows which lines none of them reaches.

Lua is looked at in turns (lua_lines.py), so the figures are lower bounds; --whole looks at every line and takes much longer. More
arguments go to pytest: paths instead of the usual ones. build/coverage.json keeps the lines. The exit code is that of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from . import report

ROOT = Path(__file__).resolve().parents[2]
# What looks at store and reader inside this process; programs and guests are not seen.
PATHS = ("tests/fs", "tests/diskutil", "tests/golden", "tests/mutation/killers.py")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./khoros test --coverage", description=__doc__)
    parser.add_argument("--whole", action="store_true", help="look at every line that is executed")
    options, rest = parser.parse_known_args(words)
    place = ROOT / "build" / "coverage.json"
    environment = {**os.environ, "KHOROS_REACHED": str(place), **({"KHOROS_REACH_ALL": "1"} if options.whole else {})}
    paths = () if any(not word.startswith("-") for word in rest) else PATHS
    tests = subprocess.run([sys.executable, "-m", "pytest", "-p", "tests.reach.plugin", "-n", "0", "-q", *paths, *rest],
                           cwd=ROOT, env=environment)
    reached = json.loads(place.read_text(encoding="utf-8"))
    print(report.table("lua/fs", report.reach(ROOT, report.store_files(ROOT), reached)))
    print(report.table("the Python reader", report.reach(ROOT, report.reader_files(ROOT), reached)))
    return tests.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
