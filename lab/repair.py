"""Exercise 4: break an image in one object and no other, then get everything else back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import khoros
from khoros.diskutil.creation import mkfs
from lab.wrong import Wrong, answer_file

TITLE = "Break an image, and repair it"
IMAGE_BYTES = 4 << 20
CHANGED_MOST_BYTES = 4
FLEET = {"argo": {"captain": "Jason", "crew": 50}, "pequod": {"captain": "Ahab", "crew": 30},
         "beagle": {"captain": "FitzRoy", "crew": 74}}
VICTIM = "pequod"


def start(folder: Path) -> None:
    with _new(folder / "fleet.img") as image:
        image.root["fleet"] = FLEET
        image.root["letters"] = [{"to": name, "text": f"Dear {ship['captain']}, " + "wind " * 20} for name, ship in FLEET.items()]
        image.commit("three ships")


def _new(path: Path) -> khoros.Image:
    mkfs(path, IMAGE_BYTES)
    return khoros.open(path, "r+")


def check(folder: Path) -> str:
    whole = answer_file(folder, "fleet.img")
    broken, repaired = answer_file(folder, "broken.img"), answer_file(folder, "repaired.img")
    changed = _changed(whole.read_bytes(), broken.read_bytes())
    if not 1 <= changed <= CHANGED_MOST_BYTES:
        raise Wrong(f"broken.img differs from fleet.img in {changed} bytes, and it should be 1 to {CHANGED_MOST_BYTES}")
    _check_broken(broken)
    _check_repaired(repaired)
    return f"{changed} byte{'s' * (changed > 1)} cost one ship, and the rest came back"


def _changed(whole: bytes, broken: bytes) -> int:
    if len(whole) != len(broken):
        raise Wrong(f"broken.img has {len(broken)} bytes, fleet.img {len(whole)}: change bytes, remove and insert none")
    return sum(a != b for a, b in zip(whole, broken, strict=True))


def _check_broken(path: Path) -> None:
    """One ship cannot be read, the others and the letters can."""
    try:
        with khoros.open(path) as image:
            for name, ship in FLEET.items():
                found = _ship(image, name)
                if name == VICTIM and not isinstance(found, khoros.KhorosError):
                    raise Wrong(f"broken.img: root.fleet.{VICTIM} can still be read: {found}")
                if name != VICTIM and found != ship:
                    raise Wrong(f"broken.img: root.fleet.{name} should be as it was: {found}")
            if len(image.root["letters"].to_python()) != len(FLEET):
                raise Wrong("broken.img: root.letters should be as it was")
    except khoros.KhorosError as error:
        raise Wrong(f"broken.img: only root.fleet.{VICTIM} should be hurt, but: {error}") from error


def _ship(image: khoros.Image, name: str) -> Any:
    """The ship, or the error that reading it gives."""
    try:
        return image.root["fleet"][name].to_python()
    except khoros.KhorosError as error:
        return error


def _check_repaired(path: Path) -> None:
    try:
        with khoros.open(path) as image:
            fleet = image.root["fleet"].to_python()
            letters = image.root["letters"].to_python()
    except (KeyError, khoros.KhorosError) as error:
        raise Wrong(f"repaired.img: {error}") from error
    rest = {name: ship for name, ship in FLEET.items() if name != VICTIM}
    if {name: fleet.get(name) for name in rest} != rest or len(letters) != len(FLEET):
        raise Wrong(f"repaired.img: the other ships and the letters should be as they were: {fleet}, {len(letters)} letters")
    if fleet.get(VICTIM) == FLEET[VICTIM]:
        raise Wrong(f"repaired.img: {VICTIM} is there, though broken.img has lost it; repair broken.img, not fleet.img")
