"""Where the built guest is: beside the launcher in an installed package, in build/ of a clone."""

from __future__ import annotations

from pathlib import Path

from .errors import NotBuilt


def find(name: str) -> Path:
    """The path of `khoros.elf` or `khoros.iso`. NotBuilt if it is not there."""
    here = Path(__file__).resolve().parent
    for place in (here / "launch" / name, here.parent / "build" / name):
        if place.is_file():
            return place
    raise NotBuilt(name=name)
