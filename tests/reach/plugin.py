"""Collects the lines that a run of tests reaches: pytest -p tests.reach.plugin, with KHOROS_REACHED naming the file that gets them.

It is loaded before any test, and wraps the one function that makes Lua states. States with a limit of memory are left alone: the hook
needs some.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from . import lua_lines, python_lines

ROOT = Path(__file__).resolve().parents[2]
FIRST, EACH, REST = 300_000, 60_000, 3_000_000

reached: dict[str, set[int]] = defaultdict(set)


def _lua(source: str, line: int) -> None:
    if source.startswith("@lua/fs/"):
        reached[source[1:]].add(line)


def _watch_lua() -> None:
    # Imported only here: Python's lines are watched by then, and errors.py is among what this imports.
    from khoros.diskutil.torture import runtime

    make, whole = runtime.runtime, bool(os.environ.get("KHOROS_REACH_ALL"))

    def watched(max_memory: int | None = None, *arguments: Any, **options: Any) -> Any:
        lua = make(max_memory, *arguments, **options)
        if max_memory is None and not options.get("edits"):
            lua_lines.watch(lua, _lua, FIRST, EACH, None if whole else REST)
        return lua

    runtime.runtime = watched


def _watch_python() -> None:
    parts = (str(ROOT / "diskutil") + os.sep, str(ROOT / "python/khoros/diskutil") + os.sep)

    def report(name: str, line: int) -> None:
        reached[f"diskutil/{os.path.basename(name)}"].add(line)

    def wanted(name: str) -> bool:
        return os.path.dirname(name) + os.sep in parts

    python_lines.watch(wanted, report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    place = os.environ.get("KHOROS_REACHED")
    if place:
        Path(place).write_text(json.dumps({name: sorted(lines) for name, lines in sorted(reached.items())}), encoding="utf-8")


_watch_python()
_watch_lua()
