"""The driver of docs/driver.md in a booted machine: built into an image of its own, granted its port, asked for a line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.documents.blocks import blocks
from tests.support.guest import BUILD, REPOSITORY

IMAGE = "driver-guide"
# What stands after the rows that the guide adds.
AFTER = {"lua/kernel/capabilities.lua": ("capabilities.row", "--- When a program runs"),
         "lua/init.lua": ("init.row", "describe_disk(DESCRIBE_TRIES)\n")}


def lua_of_the_guide(folder: Path) -> list[str]:
    """The system's Lua with what the guide adds, in a folder; what is typed at the prompt."""
    files = {block.title: block.text for block in blocks((REPOSITORY / "docs/driver.md").read_text()) if block.title}
    shutil.copytree(REPOSITORY / "lua", folder, dirs_exist_ok=True)
    for name, text in files.items():
        if name.startswith("lua/"):
            (folder.parent / name).write_text(text)
    for name, (row, after) in AFTER.items():
        source = (folder.parent / name).read_text()
        assert source.count(after) == 1
        (folder.parent / name).write_text(source.replace(after, files[row] + after))
    return files["at-the-prompt.lua"].splitlines()


@pytest.mark.slow
@pytest.mark.guest
def test_it_runs_in_a_machine(boot, tmp_path, kernel):
    folder = BUILD / IMAGE / "lua"
    shutil.rmtree(folder.parent, ignore_errors=True)
    entries = lua_of_the_guide(folder)
    relative = os.path.relpath(folder, REPOSITORY / "kernel")
    made = subprocess.run(["make", "-C", REPOSITORY / "kernel", f"IMAGE={IMAGE}", f"LUA_DIR={relative}", "elf"],
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    trace = tmp_path / "trace.txt"
    machine = boot(boot=BUILD / f"{IMAGE}.elf", extra=["-debugcon", f"file:{trace}"])
    machine.expect_prompt()
    for entry in entries:
        machine.enter(entry)
    assert trace.read_text() == "hello from the guest\n"
    without = boot(boot=BUILD / f"{IMAGE}.elf")
    without.expect_prompt()
    for entry in entries[:-1]:
        without.enter(entry)
    assert "nothing answers at its port" in without.enter(entries[-1])
