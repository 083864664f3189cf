"""Every code block of the documents runs and gives what it says; every link between them leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from khoros.diskutil.creation import mkfs
from tests.documents.blocks import (
    LANGUAGES,
    Block,
    blocks,
    parse_shell,
    run_console,
    run_python,
    without_blocks,
    write_file,
)
from tests.documents.machine import Sessions, switches_on
from tests.support.guest import REPOSITORY, Guest

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md")),
             *sorted((REPOSITORY / "lab").rglob("*.md")), REPOSITORY / "formats" / "SPEC.md"]
RUNNABLE = [path for path in DOCUMENTS if {block.language for block in blocks(path.read_text())} - {"text"}]
DISK_BYTES = 16 << 20


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture(scope="module")
def guest(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The machine that documents share which start none; it is booted when the first of them needs it."""
    folder = tmp_path_factory.mktemp("shared")
    mkfs(folder / "khoros.img", DISK_BYTES)
    with Guest(disks=[folder / "khoros.img"]) as machine:
        machine.expect_prompt()
        yield machine


@pytest.fixture
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    """What runs the sessions of the document that is being tested."""
    found = blocks(request.getfixturevalue("path").read_text())
    typed = any(block.language == "khoros" or is_typed(block) for block in found)
    if typed:
        request.getfixturevalue("kernel")
    shared = request.getfixturevalue("guest") if typed and not switches_on(found) else None
    running = Sessions(tmp_path, shared)
    yield running
    running.close()


@pytest.mark.guest
@pytest.mark.parametrize("path", RUNNABLE, ids=name)
def test_the_code_of_a_document_runs(path, tmp_path, monkeypatch, sessions):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks(path.read_text()):
        run_block(block, name(path), tmp_path, namespace, sessions)


def is_typed(block: Block) -> bool:
    """Lua that is no file."""
    return block.language == "lua" and not block.title


def run_block(block: Block, document: str, folder: Path, namespace: dict[str, Any], sessions: Sessions) -> None:
    if block.title:
        write_file(block, folder)
    elif block.language == "python":
        run_python(block, document, namespace)
    elif block.language == "console":
        run_console(block.text, folder)
    elif block.language == "khoros":
        sessions.run(block.text)
    elif block.language == "lua":
        sessions.type_rows(block.text)
    elif block.language == "sh":
        parse_shell(block.text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_code_escapes_the_tests(path):
    """A block has a language whose blocks are run. Nothing is shown as code by indenting."""
    text = path.read_text()
    for block in blocks(text):
        assert block.language in LANGUAGES, f"{name(path)}:{block.line}: {block.language}"
    assert text.count("```") == 2 * len(blocks(text)), f"{name(path)} has a block without a language, or without an end"
    prose = without_blocks(text)
    assert not re.search(r"\n\n {4,}(?! *([-*]|\d+\.) )\S", prose), f"{name(path)} has code by indentation"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    for target, anchor in links(path):
        place = (path.parent / target).resolve() if target else path
        assert place.exists(), f"{target} in {name(path)}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place.read_text()), f"{target}#{anchor} in {name(path)}"


def test_the_reference_is_what_the_help_texts_give():
    done = subprocess.run([sys.executable, REPOSITORY / "docs/reference.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def links(path: Path) -> list[tuple[str, str]]:
    """(file, anchor) of every link of a document that stays in the repository; pictures, too."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", without_blocks(path.read_text()))
    return [(target, anchor) for target, anchor in found if "://" not in target]


def anchors(document: str) -> set[str]:
    """The anchors of the headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
