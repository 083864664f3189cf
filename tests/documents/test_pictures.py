"""The pictures of the documents: made by docs/pictures/make.py, of the system as it is."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pyte
import pytest

from tests.documents.test_documents import DOCUMENTS
from tests.support import scripts
from tests.support.guest import REPOSITORY

PICTURES = REPOSITORY / "docs/pictures"
LARGEST_BYTES = 64 << 10
# What ps() shows of one process.
PROCESS_ROW = re.compile(r" *\d+  (ready|running|waiting) ")
MAKER = scripts.load(PICTURES / "make.py", "khoros_pictures")


def read_cast(file: Path) -> tuple[dict, list[tuple[float, str]]]:
    """Header and events of an asciicast v2."""
    header, *events = map(json.loads, file.read_text().splitlines())
    assert header["version"] == 2
    assert all(kind == "o" for _, kind, _ in events)
    times = [time for time, _, _ in events]
    assert times == sorted(times)
    return header, [(time, text) for time, _, text in events]


def last_screen(events: list[tuple[float, str]]) -> list[str]:
    screen = pyte.Screen(MAKER.COLUMNS, MAKER.ROWS)
    stream = pyte.Stream(screen)
    for _, text in events:
        stream.feed(text)
    return [row.rstrip() for row in screen.display]


@pytest.mark.parametrize("name", MAKER.SESSIONS)
def test_a_cast_shows_its_session_and_the_animation_is_made_of_it(name):
    header, events = read_cast(PICTURES / f"{name}.cast")
    assert header["title"] == MAKER.TITLES[name]
    rows = "\n".join(last_screen(events))
    for entry in MAKER.SESSIONS[name][-3:]:
        assert f"> {entry}" in rows
    assert (PICTURES / f"{name}.svg").read_text() == MAKER.animated(header["title"], events)


def test_pictures_are_small_whole_and_shown_somewhere():
    shown = "".join(path.read_text() for path in DOCUMENTS)
    for file in (*PICTURES.iterdir(), *(REPOSITORY / "docs/drawings").iterdir()):
        if file.suffix not in (".png", ".svg", ".cast"):
            continue
        assert file.stat().st_size < LARGEST_BYTES, file
        assert file.name in shown or file.with_suffix(".svg").name in shown, file
        if file.suffix == ".svg":
            root = ElementTree.fromstring(file.read_text())
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert not root.findall(".//{http://www.w3.org/2000/svg}script")
        elif file.suffix == ".png":
            assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.slow
@pytest.mark.guest
def test_the_system_still_gives_these_pictures(tmp_path, kernel):
    """Which processes are still there, and what they use, differs each time."""
    MAKER.main(tmp_path)
    for name in MAKER.SESSIONS:
        now, then = ([row for row in last_screen(read_cast(folder / f"{name}.cast")[1]) if row and not PROCESS_ROW.match(row)]
                     for folder in (tmp_path, PICTURES))
        assert now == then
    assert {file.name for file in tmp_path.iterdir()} == {
        file.name for file in PICTURES.iterdir() if file.suffix in (".png", ".svg", ".cast")}
