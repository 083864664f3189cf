"""A guest with faults to order: the product's kernel and Lua, with a few lines more that break it on request.

From the prompt (the shell is a service, so it reaches others by number) or from a program:

    require "system".send(1, "explode")      the console service fails 0.3 s later, outside of any handler
    require "system".send(2, "explode")      the disk service does
    require "system".fault()                 the supervisor itself fails, outside of any protected call
    hang = true                              the shell loops for ever, outside of any evaluation
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
IMAGE = "test-faulty"

EXPLODE = """
local function explode(operation)
  if operation ~= "explode" then return operation end
  system.sleep(0.3)
  error("exploded")
end
"""
# File → [(text that stands there once, text instead)].
FAULTS = {
    "services/disk.lua": [
        (
            "\nservice.serve(handlers, {together = {commit = commit_together}, idle = tidy})\n",
            EXPLODE
            + """
function handlers.commit(client, ...)
  local answer <const> = commit_together{{client = client, ...}}[1]
  return table.unpack(answer, 1, answer.n or 2)
end

while true do
  local function took(sender, operation, ...)
    service.handle(handlers, system.log, sender, explode(operation), ...)
  end
  took(system.receive())
end
""",
        )
    ],
    "services/console.lua": [
        ("\nlocal function took(sender, operation, ...)\n",
         EXPLODE + "\nlocal function took(sender, operation, ...)\n  explode(operation)\n"),
    ],
    "shell/session.lua": [
        ("\nlocal function guard_root(self)\n", "\nlocal function guard_root(self)\n  while self.environment.hang do end\n"),
    ],
    "kernel/calls.lua": [
        ("\n  function answers.yield()\n", """
  function answers.fault()
    scheduler.after(0, function() error("injected fault") end)
    return true
  end

  function answers.yield()
"""),
    ],
    "kernel/runtime.lua": [
        ("\nfunction system.machine()\n",
         "\nfunction system.fault() return call('fault', 0) end\n\nfunction system.machine()\n"),
    ],
}  # fmt: skip


def image(kind: str = "elf") -> Path:
    """Path of the up-to-date image; kind is "elf" or "iso"."""
    with (BUILD / f"{IMAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write_lua(BUILD / f"{IMAGE}-lua")
        # Relative, since make takes no path with a space.
        built = subprocess.run(
            ["make", "-C", REPOSITORY / "kernel", f"IMAGE={IMAGE}", f"LUA_DIR=../build/{IMAGE}-lua", kind],
            capture_output=True,
            text=True,
        )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return BUILD / f"{IMAGE}.{kind}"


def _write_lua(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPOSITORY / "lua", folder)
    for name, replacements in FAULTS.items():
        text = (folder / name).read_text()
        for there, instead in replacements:
            assert text.count(there) == 1, f"lua/{name} has no place for a fault: {there!r}"
            text = text.replace(there, instead)
        (folder / name).write_text(text)
