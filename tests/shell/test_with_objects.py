"""The shell over the real objects module: what is printed, completed and reported of objects not loaded yet."""

from __future__ import annotations

from tests.shell.terminal import LUA, Shell
from tests.shell.test_session import rows

MEMORY_STORE = (LUA.parent / "tests" / "fs" / "memory_store.lua").read_text()
FIRST = f"store = (function() {MEMORY_STORE}\nend)().new() "
OPEN = """
local environment = {}
for name, value in pairs(_G) do environment[name] = value end
environment._G = environment
return {environment = environment,
        objects = require("fs.objects").open{store = store, environment = environment}}
"""


def reboot(shell: Shell) -> Shell:
    """A new session over the same store: nothing is loaded."""
    shell.eval("rawset(_G, 'store_of_last_session', store)")
    return Shell(setup="store = store_of_last_session " + OPEN)


def test_a_session_of_the_store_document() -> None:
    shell = Shell(setup=FIRST + OPEN)
    shown = rows(
        shell,
        'root.ship = {name="Argo", fuel=7, crew={"Jason","Orpheus"}}',
        "root.crew = root.ship.crew",
        'commit "first ship"',
        'root.ship.fuel = 5; root.crew[3] = "Medea"',
        "changes()",
        "commit()",
    )
    assert shown == [
        '> root.ship = {name="Argo", fuel=7, crew={"Jason","Orpheus"}}',
        "> root.crew = root.ship.crew",
        '> commit "first ship"',
        "t1: 3 objects, 60 bytes",
        '> root.ship.fuel = 5; root.crew[3] = "Medea"',
        "> changes()",
        '+ root.crew[3] "Medea"',
        "~ root.ship.fuel 7 -> 5",
        "> commit()",
        "t2: 2 objects, 48 bytes",
    ]
    again = reboot(shell)
    assert rows(again, "root.ship.fuel, root.crew == root.ship.crew")[1:] == ["5       true"]
    again = reboot(shell)
    assert rows(again, "root")[1:] == [
        "{",
        '  crew = {"Jason", "Orpheus", "Medea"},',
        '  ship = {crew = <shared .crew>, fuel = 5, name = "Argo"}',
        "}",
    ]


def test_completion_loads_what_it_looks_at() -> None:
    shell = Shell(setup=FIRST + OPEN)
    rows(shell, "root.ship = {name = 'Argo', crew = {{role = 'captain'}}}", "commit()")
    again = reboot(shell)
    again.type_bytes("root.ship.crew[1].ro\t")
    assert again.screen[-1] == "> root.ship.crew[1].role"


def test_one_object_that_cannot_be_read_spoils_nothing_else() -> None:
    shell = Shell(setup=FIRST + OPEN)
    rows(shell, "root.good = {1, 2}", "root.bad = {3}", "commit()")
    again = reboot(shell)
    again.eval(
        "for id in pairs(store.objects) do if id > 1 then last = math.max(last or 0, id) end end"
    )
    again.eval("store.bad[last] = {code = 'damaged', message = 'bad CRC at LBA 5'}")
    shown = "\n".join(rows(again, "root"))
    assert "<cannot load root." in shown
    assert "bad CRC at LBA 5" in shown
    assert "{1, 2}" in shown or "{3}" in shown
    again.type_bytes("root.bad.\troot.good.\t\x03")
    assert again.screen[-1] == ">"


def test_an_object_with_a_command_inside_is_saved_by_name() -> None:
    shell = Shell(setup=FIRST + OPEN)
    assert rows(shell, "root.f = commit", "commit().objects")[-1] == "1"
    again = reboot(shell)
    assert rows(again, "root.f == commit")[-1] == "true"


def test_what_cannot_be_saved_is_told_by_path() -> None:
    shell = Shell(setup=FIRST + OPEN)
    shown = rows(shell, "root.ship = {onclick = coroutine.create(print)}", "commit()")
    assert "cannot save root.ship.onclick" in shown[2]
    assert len(shown) == 3  # the frames of the store say nothing to who typed it


def test_the_examples_run_over_the_real_objects() -> None:
    shell = Shell(setup=FIRST + OPEN)
    examples = shell.eval(
        """
        local list = {}
        for _, entry in ipairs(require("shell.help_texts").entries) do
          if entry.group == "Objects" then list[#list + 1] = entry.example end
        end
        failed = {}
        session_of_test.show_error = function(_, report) failed[#failed + 1] = tostring(report.value or report) end
        return table.concat(list, "\\n")
        """
    )
    for row in examples.decode().split("\n"):
        shell.enter(row)
    assert shell.eval("return table.concat(failed, ' ')") == b""
