"""Recipes that are kept: in a folder one a file, whose name begins the digest of its bytes; or one a line, in hexadecimal, in one file.

The repository's own are lines of tests/diskutil/fuzzing/corpus.txt: each says in a comment what it is, and all run in every CI run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import UsageError
from . import recipes

BYTES_MOST = 1 + recipes.CHANGES_MOST * recipes.CHANGE.size


def load(place: Path) -> list[bytes]:
    """The recipes of a folder or a file of lines; none of a folder that is not there. UsageError for lines that are no recipes."""
    if place.is_dir():
        return [path.read_bytes()[:BYTES_MOST] for path in sorted(place.iterdir()) if path.is_file()]
    if not place.exists():
        return []
    try:
        return [bytes.fromhex(line) for line in _lines(place.read_text(encoding="utf-8"))]
    except ValueError as error:
        raise UsageError(what=f"{place} holds no recipes: {error}") from error


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        recipe = line.partition("#")[0].strip()
        if recipe:
            yield recipe


def add(folder: Path, data: bytes) -> Path:
    """Keeps a recipe in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def text(seeds: Iterable[bytes]) -> str:
    """Lines of a file, each with what it says."""
    return "".join(f"{seed.hex()}  # {recipes.describe(seed)}\n" for seed in seeds)
