"""Hooks of the site (mkdocs.yml): documents from outside of docs/, and links between all of them.

A document of the repository keeps its links as they are right there, so that it can be read without a site; here they are
turned into links of the site. What is no page or picture of the site, such as a source file, becomes its name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
# Where documents outside of docs/ stand in the site.
BROUGHT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "formats/SPEC.md": "format.md", "lab/README.md": "lab.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
# Sessions with the guest are shown as Pygments shows sessions with a shell.
_LANGUAGES = {"khoros": "console", "text": "text"}


def on_files(files: Any, config: Any) -> Any:
    """Adds the documents that stand beside the code."""
    from mkdocs.structure.files import File

    for source, page in BROUGHT.items():
        files.append(File.generated(config, page, content=(REPOSITORY / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links and languages of one page."""
    site_path = page.file.src_uri
    return for_site(markdown, source_of(site_path), site_path, {file.src_uri for file in files})


def source_of(site_path: str) -> str:
    """Where the document of a page stands in the repository."""
    for source, page in BROUGHT.items():
        if page == site_path:
            return source
    return "docs/" + site_path


def page_of(source: str) -> str | None:
    """Where a file of the repository stands in the site."""
    if source in BROUGHT:
        return BROUGHT[source]
    return source.removeprefix("docs/") if source.startswith("docs/") else None


def for_site(markdown: str, source: str, site_path: str, known: set[str]) -> str:
    """A document's text as a page: `known` are the pages and files of the site."""
    def link(match: re.Match[str]) -> str:
        picture, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        if "://" in target or not target:
            return match[0]
        page = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if page not in known:
            return words
        return f"{picture}[{words}]({posixpath.relpath(page, posixpath.dirname(site_path) or '.')}{anchor})"

    parts = _FENCE.split(markdown)
    for place, part in enumerate(parts):
        if not part.startswith("```"):
            parts[place] = _LINK.sub(link, part)
        else:
            language = re.match(r"```(\w+)", part)
            if language and language[1] in _LANGUAGES:
                parts[place] = part.replace(language[0], "```" + _LANGUAGES[language[1]], 1)
    return "".join(parts)
