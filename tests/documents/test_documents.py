"""Every code block of the documents runs and gives what it says; every link between them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.documents.blocks import blocks, run_console, run_python
from tests.support.guest import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")),
             REPOSITORY / "formats" / "SPEC.md"]
RUNNABLE = [path for path in DOCUMENTS
            if {block.language for block in blocks(path.read_text())} & {"python", "console"}]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", RUNNABLE, ids=name)
def test_the_code_of_a_document_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks(path.read_text()):
        if block.language == "python":
            run_python(block, name(path), namespace)
        elif block.language == "console":
            run_console(block.text, tmp_path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{target} in {name(path)}"


