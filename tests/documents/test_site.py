"""The site of the documents: every document has its page, every link leads to one. With --full the site is built.

Building it in every run would cost more than all documents' code: the builder and what it needs are 29 packages, over
half a minute to install and ten seconds of CPU time.
"""

from __future__ import annotations

import posixpath
import re
import subprocess

import pytest

from tests.documents.blocks import blocks, without_blocks
from tests.documents.test_documents import DOCUMENTS, anchors, name
from tests.support import scripts
from tests.support.guest import BUILD, REPOSITORY

CONFIGURATION = (REPOSITORY / "mkdocs.yml").read_text()
# Under a name of its own: `site` is Python's.
SITE = scripts.load(REPOSITORY / "docs/site.py", "khoros_site")
PAGES = {SITE.page_of(name(path)): path for path in DOCUMENTS}
FILES = {*PAGES, *(str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*") if path.is_file())}


def test_every_document_is_in_the_navigation_once():
    listed = re.findall(r"^ +- .+: (\S+\.md)$", CONFIGURATION, re.MULTILINE)
    assert sorted(listed) == sorted(map(str, PAGES))


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_pages_and_pictures(page):
    source = PAGES[page]
    text = SITE.for_site(source.read_text(), name(source), page, FILES)
    for picture, target, anchor in re.findall(r"(!?)\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)", without_blocks(text)):
        if "://" in target:
            continue
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page
        assert place in FILES, f"{target} in {page}"
        assert bool(picture) == (not place.endswith(".md")), place
        if anchor:
            assert anchor in anchors(PAGES[place].read_text())


def test_a_link_to_a_source_file_becomes_its_name_and_code_stays_as_it_is():
    text = "[the log](../lua/fs/log.lua), [bytes](../formats/SPEC.md#limits), [out](https://example.org)\n```khoros\n> [a](b)\n```\n"
    assert SITE.for_site(text, "docs/disk.md", "disk.md", FILES) == (
        "the log, [bytes](format.md#limits), [out](https://example.org)\n```console\n> [a](b)\n```\n")
    assert SITE.for_site("![x](docs/pictures/screen.png)", "README.md", "index.md", FILES) == "![x](pictures/screen.png)"


def test_every_language_of_a_block_is_one_that_the_site_can_show():
    shown = {"python", "console", "lua", "sh", "text"} | set(SITE._LANGUAGES)
    assert {block.language for path in DOCUMENTS for block in blocks(path.read_text())} <= shown


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_loads_nothing_from_elsewhere():
    built = subprocess.run([REPOSITORY / "khoros", "docs"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    for page in PAGES:
        html = (BUILD / "site" / str(page)).with_suffix(".html").read_text()
        assert not re.findall(r"<(?:script|img|iframe|source)[^>]*src=\"https?:|<link[^>]*stylesheet[^>]*href=\"https?:", html)
