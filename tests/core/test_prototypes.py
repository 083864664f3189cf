"""The C that takes compiled chunks apart against the plain Lua that does it: over Lua's own test suite and this system."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core import host as core_host

#: Folder below the repository -> fewest functions that must have been compared.
FOLDERS = {"build/lua55/testes": 1000, "lua": 1500}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_function_is_the_same(host: Path, folder: str) -> None:
    paths = sorted(str(path.relative_to(core_host.ROOT)) for path in (core_host.ROOT / folder).rglob("*.lua"))
    printed = core_host.run(host, "tests/core/prototypes.lua", "tests/core", *paths)
    assert int(printed) >= FOLDERS[folder]
