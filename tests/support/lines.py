"""How much of the kernel is Lua and how much is C: a figure for honesty, printed at the end of each test run."""

from __future__ import annotations

import re
from pathlib import Path


def lines_of_code(repository: Path) -> str:
    """One line with the counts; blank lines, comments and generated files are not counted."""
    lua = sum(_lua(path) for path in (repository / "lua").rglob("*.lua"))
    c = sum(
        _c(path)
        for suffix in ("c", "h", "S")
        for path in (repository / "kernel").rglob(f"*.{suffix}")
    )
    share = 100 * lua / (lua + c) if lua + c else 0
    return f"the system in lines of code: {lua} Lua, {c} C and assembly ({share:.0f} % Lua)"


def _lua(path: Path) -> int:
    text = path.read_text()
    if "generated" in text[:300].lower():
        return 0
    text = re.sub(r"--\[(=*)\[.*?\]\1\]", "", text, flags=re.DOTALL)
    return sum(
        1 for line in text.splitlines() if line.strip() and not line.strip().startswith("--")
    )


def _c(path: Path) -> int:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return sum(
        1 for line in text.splitlines() if line.strip() and not line.strip().startswith("//")
    )
