"""What a check says of an answer that is not right, and how files of an answer are read."""

from __future__ import annotations

import shutil
from pathlib import Path

START = Path(__file__).parent / "start"


class Wrong(Exception):
    """One sentence for the student: what was expected, what was found."""


def copy_start(name: str, folder: Path) -> None:
    """A starting point that is a file of ours."""
    shutil.copyfile(START / name, folder / name)


def answer_file(folder: Path, name: str) -> Path:
    """A file of the answer."""
    if not (folder / name).is_file():
        raise Wrong(f"there is no {folder / name}")
    return folder / name


def answer_text(folder: Path, name: str) -> str:
    """A text of the answer."""
    try:
        return answer_file(folder, name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Wrong(f"{folder / name} is no UTF-8 text: {error}") from error
