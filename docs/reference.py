"""Makes docs/reference.md of the help texts: `./khoros python docs/reference.py [--check]`.

What help() tells in the guest (lua/shell/help_texts.lua, help_lua.lua) is all that it knows. With --check nothing is
written, and the status is 1 where the page is not what the texts give.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lupa.lua55 import LuaRuntime

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "reference.md"
HEAD = """# Guest reference

What there is at the prompt, and in programs that `khoros run` starts. The same stands in the guest: `help()`, `help "commit"`. This page
is made from those texts by `docs/reference.py`.
"""
LUA_HEAD = """## Lua's own functions

Those of Lua 5.5, as far as a process has them; `help "string.format"` shows one. Their full description is Lua's reference
manual. What differs: `load` takes text only, no precompiled chunks; `debug` has `traceback` and no more; there are no files for `io`, only
the streams of the console.

| function | what it does |
|---|---|
"""
INTRODUCTIONS = {
    "Objects": "The store: what `root` leads to stays. [The tutorial](tutorial.md) shows it in use.",
    "Processes": "Programs beside the prompt. [Write a program](program.md) shows how they talk to each other.",
    "Programs": "Programs that are objects: written, kept and started at the prompt.",
    "Shell": "The machine and the prompt itself.",
}


def help_entries() -> tuple[list[str], list[dict[str, str]], list[dict[str, str]]]:
    """The groups, our entries, and Lua's, each a table of texts (true for flags)."""
    lua = LuaRuntime(encoding="utf-8")
    lua.execute("package.path = ...", str(REPOSITORY / "lua" / "?.lua"))
    texts, lua_texts = (lua.execute(f'return (require "shell.{name}")') for name in ("help_texts", "help_lua"))
    ours, theirs = ([dict(entry) for entry in found.entries.values()] for found in (texts, lua_texts))
    return list(texts.groups.values()), ours, theirs


def entry_text(entry: dict[str, str]) -> str:
    """One command or topic."""
    text = entry["description"].strip()
    description = f"```text\n{text}\n```" if entry.get("arranged") else _escaped(text)
    parts = [f"### {_escaped(entry['name'])}", f"`{entry['usage']}`: {entry['summary']}", description]
    if entry.get("example"):
        example = "\n".join(row.rstrip() for row in entry["example"].splitlines())
        # Programs take the screen, or go on beside the prompt: tests/shell runs these rows, the documents' tests do not.
        language = "text" if entry["group"] == "Programs" else "lua"
        parts.append(f"```{language}\n{example}\n```")
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Plain text as Markdown: nothing in it is markup."""
    for mark in ("\\", "`", "*", "_", "<", "[", "]", "#"):
        text = text.replace(mark, "\\" + mark)
    return text


def page() -> str:
    """The whole page."""
    groups, ours, theirs = help_entries()
    parts = [HEAD]
    for group in groups:
        parts.append(f"## {group}\n\n{INTRODUCTIONS[group]}\n")
        parts += [entry_text(entry) for entry in ours if entry["group"] == group]
    rows = [f"| `{_cell(entry['usage'])}` | {_cell(_escaped(entry['summary']))} |\n" for entry in theirs]
    return "\n".join(parts) + "\n" + LUA_HEAD + "".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def main(arguments: list[str]) -> int:
    text = page()
    if arguments == ["--check"]:
        if PAGE.read_text() == text:
            return 0
        print("docs/reference.md is not what the help texts give: ./khoros python docs/reference.py", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
