"""What was reached of which files: a table, and what was not, as ranges of lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from . import lua_lines, python_lines

# What a module imports is part of the reader if importing the reader loads it.
_READER = """
import sys
import khoros.diskutil.reader, khoros.diskutil.codec, khoros.diskutil.check, khoros.diskutil.history, khoros.diskutil.trees
print(*(name.rpartition(".")[2] for name in sys.modules if name.startswith("khoros.diskutil.")))
"""


class Reach(NamedTuple):
    """One file: its executable lines, and those of them that were reached."""

    path: str
    lines: frozenset[int]
    reached: frozenset[int]

    @property
    def missed(self) -> list[int]:
        return sorted(self.lines - self.reached)


def store_files(root: Path) -> list[str]:
    return sorted(f"lua/fs/{path.name}" for path in (root / "lua/fs").glob("*.lua"))


def reader_files(root: Path) -> list[str]:
    """The modules that reading an image needs."""
    told = subprocess.run([sys.executable, "-c", _READER], capture_output=True, text=True, check=True, cwd=root)
    names = (f"diskutil/{name}.py" for name in told.stdout.split())
    return sorted(name for name in names if (root / name).is_file())


def reach(root: Path, files: Iterable[str], reached: dict[str, list[int]]) -> list[Reach]:
    found = []
    for path in files:
        text = (root / path).read_text(encoding="utf-8")
        lines = lua_lines.executable(text) if path.endswith(".lua") else python_lines.executable(text)
        found.append(Reach(path, frozenset(lines), frozenset(reached.get(path, ())) & lines))
    return found


def ranges(numbers: Iterable[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(numbers))


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if first is not None and last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def table(title: str, files: list[Reach]) -> str:
    """A line for each file that is not reached as a whole, and the total."""
    rows = [f"{len(one.reached):>6} of {len(one.lines):>5}  {one.path}  not: {ranges(one.missed)}" for one in files if one.missed]
    lines, got = sum(len(one.lines) for one in files), sum(len(one.reached) for one in files)
    rows.append(f"{got:>6} of {lines:>5}  {title}: {100 * got / max(lines, 1):.1f} % of the lines, "
                f"{sum(not one.missed for one in files)} of {len(files)} files as a whole")
    return "\n".join(rows)
