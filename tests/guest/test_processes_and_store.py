"""Processes that are started with the store: one root, a session each; what they may and what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from khoros.diskutil.writer import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "store.img"
    mkfs(path, 64 << 20)
    return path


def run(image: Path, code: str) -> list[str]:
    result = guest.run("--disk", image, "-e", code, timeout=200)
    assert (result.returncode, result.stderr) == (0, b""), result.stderr
    return result.stdout.decode().splitlines()


def test_two_processes_add_a_thousand_names_each_at_once(image):
    shown = run(image, """
        root.n = 0
        commit()
        local function add(letter)
          for i = 1, 1000 do
            root[letter .. i] = {i}
            if i % 50 == 0 then commit() end
          end
          return letter .. " is done"
        end
        local a, b = spawn(add, {args = {"a"}, store = true}), spawn(add, {args = {"b"}, store = true})
        print(a:wait())
        print(b:wait())
        print(root.a1)
        refresh()
        local count = 0
        for key, value in pairs(root) do
          if type(value) == "table" and tonumber(key:sub(2)) == value[1] then count = count + 1 end
        end
        print(count)
        spawn("root.same = 1 commit()", {store = true}):wait()
        root.same = 2
        print(pcall(commit))
        print(#changes())
    """)
    assert shown[:4] == ["finished\ta is done", "finished\tb is done", "nil", "2000"]
    assert shown[4].startswith("false\tconflict: root.same changed both here and in the store")
    assert shown[5] == "1"


def test_a_process_has_no_store_unless_it_is_given_one(image):
    shown = run(image, """
        print(spawn("return root == nil and commit == nil"):wait())
        print(spawn("return spawn == nil"):wait())
        print(spawn([[local system = require "system"
                      return pcall(system.spawn, "return root", {store = true})]]):wait())
        print(spawn([[local child = spawn("root.grandchild = 1 commit()", {store = true})
                      return child:wait()]], {store = true}):wait())
        refresh()
        print(root.grandchild)
    """)
    assert shown[:2] == ["finished\ttrue", "finished\ttrue"]
    assert shown[2].startswith("finished\tfalse\t") and "this process has no store to share" in shown[2]
    assert shown[3:] == ["finished\tfinished", "1"]


def test_the_modules_under_a_session_are_out_of_its_program_s_reach(image):
    """What a program puts into modules that it can name is not what its session calls with raw access in hand."""
    shown = run(image, """
        local p = spawn(function()
          local seen = {}
          for _, name in ipairs {"fs.changes", "fs.committing", "fs.refreshing", "fs.loading", "fs.functions", "fs.raw_tables"} do
            local module = require(name)
            for key in pairs(module) do
              if type(module[key]) == "function" then module[key] = function(...) seen[#seen + 1] = name return nil, {} end end
            end
          end
          root.x = {1}
          local changed = #changes()
          commit()
          root.x[1] = 2
          abort()
          return changed, root.x[1], #seen
        end, {store = true})
        print(p:wait())
    """)
    assert shown == ["finished\t1\t1\t0"]


def test_other_times_in_the_guest(image):
    shown = run(image, """
        root.ship = {fuel = 7}
        local first = commit "first"
        root.ship.fuel = 5
        local second = commit()
        print(at(first).ship.fuel, at "t2".ship.fuel, root.ship.fuel)
        print(snapshot "five".transaction)
        print(undo(second).id, root.ship.fuel, at "five".ship.fuel)
        print(#snapshots(), pcall(at, "t9"))
        delete_snapshot "five"
        root.rubbish = {{}, {}}
        commit()
        root.rubbish = nil
        commit()
        print(gc())
        keep(2)
        print(select(2, pcall(at, "t3")))
    """)
    assert shown[:3] == ["7\t5\t5", "2", "t3\t7\t5"]
    assert shown[3].startswith("1\tfalse\t") and shown[3].endswith("at: there is no transaction 9")
    assert shown[4].startswith("3 objects removed, ")
    assert shown[5].endswith("transaction 3 is no longer kept")
