"""A mutant: one change to one file. Its name stays the same while the file changes elsewhere.

Promise: `planted` leaves the file as it was, whatever happens inside the block.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """`path` in the repository; characters start … end of its text are replaced; `before` and `after`: the lines concerned."""

    path: str
    operator: str
    start: int
    end: int
    replacement: str
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it is known by: the file and what its lines become, wherever they stand."""
        digest = hashlib.sha256(f"{self.path}\n{self.before}\n{self.after}".encode()).hexdigest()
        return f"{Path(self.path).stem}-{digest[:10]}"

    def text(self, root: Path) -> str:
        """The file below `root` with the change made."""
        text = (root / self.path).read_text(encoding="utf-8")
        return text[:self.start] + self.replacement + text[self.end:]

    @property
    def story(self) -> str:
        """For people: where, and as a difference."""
        return f"{self.name}  {self.path}:{self.line}  ({self.operator})\n{self.difference}"

    @property
    def difference(self) -> str:
        lines = [f"- {line}" for line in self.before.split("\n")] + [f"+ {line}" for line in self.after.split("\n")]
        return "\n".join(lines)


def mutant(path: str, text: str, operator: str, start: int, end: int, replacement: str) -> Mutant:
    """The mutant of a file's text that has `replacement` instead of start … end."""
    changed = text[:start] + replacement + text[end:]
    first = text.rfind("\n", 0, start) + 1
    return Mutant(path, operator, start, end, replacement, text.count("\n", 0, start) + 1,
                  _stripped(text, first, end), _stripped(changed, first, start + len(replacement)))


def _stripped(text: str, first: int, end: int) -> str:
    last = text.find("\n", end)
    lines = text[first:last if last >= 0 else len(text)].split("\n")
    return "\n".join(line.strip() for line in lines)


def distinct(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Without those whose name another has: the same change to the same words, elsewhere in the file."""
    return list({one.name: one for one in mutants}.values())


@contextmanager
def planted(root: Path, one: Mutant) -> Iterator[None]:
    """The file below `root` has the change inside the block. Its time tells Python that compiled code is old."""
    path = root / one.path
    text, times = path.read_text(encoding="utf-8"), path.stat()
    try:
        path.write_text(one.text(root), encoding="utf-8")
        yield
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
