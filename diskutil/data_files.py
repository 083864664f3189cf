"""Data from files and folders: what a new store is filled with.

A file is a value, by the form that its name's end says; a folder is a table of what is in it, by names without that end.
Promise: the same files give the same values in the same order; what is neither is refused by name, and nothing is skipped but
hidden files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import interchange
from .errors import BadInput

_ENDS = (".json", ".msgpack")


def read(place: str) -> dict[str, Any]:
    """name -> value of a folder's files, or of one file. BadInput that names what cannot be read; OSError."""
    path = Path(place)
    return _folder(path) if path.is_dir() else {path.stem: _file(path)}


def _folder(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise BadInput(file=str(path), what=f"two things here are called {name}")
        found[name] = _folder(path) if path.is_dir() else _file(path)
    return found


def _file(path: Path) -> Any:
    if path.suffix not in _ENDS:
        raise BadInput(file=str(path), what="neither a folder nor a file of a known kind",
                       expected=" or ".join(_ENDS), found=path.suffix or "no ending")
    data = path.read_bytes()
    return interchange.read(data, str(path), interchange.guess(str(path), data))
