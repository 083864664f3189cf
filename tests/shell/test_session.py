"""A session as a person has it: what is typed, and what stands on the screen afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.shell.terminal import LUA, Shell, new_lua

FAKE = (Path(__file__).parent / "fake_objects.lua").read_text()
WITH_OBJECTS = f"local fake = (function() {FAKE} end)() return {{objects = fake()}}"
WITH_SYSTEM = (
    f"local fake = (function() {FAKE} end)() calls = {{}} local lua_folder = '{LUA}' "
    "return {objects = fake(), system = {"
    "power = function(what) calls[#calls + 1] = what return true end,"
    "spawn = function(program) calls[#calls + 1] = program return {id = 7} end,"
    "crashes = function() return {{time = 0, boot = 0, kind = 'panic', name = 'x', how = 'panic', text = 'KHOROS PANIC'}} end, "
    "ps = function() return {{id = 1, name = 'console', state = 'waiting', memory = 50000, memory_limit = 1048576,"
    " cpu_ns = 1500000, mailbox = 0}} end,"
    "kill = function(id) if id == 9 then return nil, {code = 'gone', message = 'no process 9'} end return true end,"
    "sleep = function() end, wait = function() return 'finished' end, self = function() return {id = 7} end,"
    "services = function() return {{name = 'console', id = 1, state = 'running', lives = 1, module = 'services.console',"
    " replaced = {}}, {name = 'disk', id = 2, state = 'running', lives = 1, module = 'services.disk', replaced = {}}} end,"
    "replace = function(...) calls[#calls + 1] = table.concat({...}, ' ', 1, 2) return true end,"
    "source = function(name) local file = io.open(lua_folder .. '/' .. name:gsub('%.', '/') .. '.lua') "
    "if not file then return nil, 'there is no module ' .. name end "
    "local text = file:read('a') file:close() return text end}}"
)


def rows(shell: Shell, *typed: str) -> list[str]:
    """What the screen shows for these rows, without the final prompt."""
    shell.type_bytes(b"\x0c")
    for row in typed:
        shell.enter(row)
    assert shell.screen[-1] == ">"
    return shell.screen[:-1]


def results(*typed: str, setup: str = "return {}") -> list[str]:
    """The rows that are no echo."""
    shown = rows(Shell(rows=60, setup=setup), *typed)
    return [row for row in shown if not row.startswith((">", ">>"))]


def test_expressions_print_without_return_and_underscore_is_the_last_value() -> None:
    assert results("6 * 7", "_ + 1", "x = 5", "x, nil, 1.0", "_") == [
        "42",
        "43",
        "5       nil     1.0",
        "5",
    ]
    assert results("nil") == ["nil"]
    assert results("(function() end)()") == []
    assert results("x = 3; x * 2", "local y = 4; y") == ["6", "4", NOTE_OF_LOCAL]
    assert results("return 1, 2") == ["1       2"]
    assert results("-- a remark", "", "   ") == []


NOTE_OF_LOCAL = "note: a local ends with its line; without `local` the name stays"


def test_the_note_about_locals_comes_once() -> None:
    assert results("local a = 1", "local b = 2", "a") == [NOTE_OF_LOCAL, "nil"]


def test_unfinished_chunks_go_on_in_the_next_row() -> None:
    assert rows(Shell(), "for i = 1, 2 do", "print(i)", "end") == [
        "> for i = 1, 2 do",
        ">> print(i)",
        ">> end",
        "1",
        "2",
    ]
    assert results("s = [[one", "two]]", "s") == ["one", "two"]
    assert results("--[[ a", "remark ]] 5") == ["5"]
    assert results("1 +", "2") == ["3"]
    assert results("x = {", "1, 2", "}", "#x") == ["2"]
    assert results('s = "a\\', 'b"', "#s") == ["3"]


def test_what_can_never_be_finished_is_an_error_at_once() -> None:
    assert results('x = "abc') == ["stdin:1:1: unfinished string near '\"abc'", '   1 | x = "abc']
    assert results("x = = 2") == ["stdin:1:1: unexpected symbol near '='", "   1 | x = = 2"]
    assert results("1 + + 2")[0] == "stdin:1:1: unexpected symbol near '+'"
    assert results("1 2")[0] == "stdin:1:1: <eof> expected near '2'"


def test_errors_show_the_row_and_a_short_trace() -> None:
    typed = ["function f(x)", "  return y + x", "end", "f(1)"]
    assert results(*typed) == [
        "stdin:1:2: attempt to perform arithmetic on a nil value (global 'y')",
        "   2 |   return y + x",
        "  stdin:1:2: in global 'f'",
        "  stdin:2:1: in main chunk",
    ]
    assert results("nofn()") == [
        "stdin:1:1: attempt to call a nil value (global 'nofn')",
        "   1 | nofn()",
    ]
    assert results("root = {} root.a.b = 1")[:1] == [
        "stdin:1:1: attempt to index a nil value (field 'a')"
    ]


def test_a_c_function_in_the_row_just_entered_needs_no_trace() -> None:
    assert results("('x'):rep(-1, {})") == [
        "stdin:1:1: bad argument #2 to 'rep' (string expected, got table)",
        "   1 | ('x'):rep(-1, {})",
    ]


def test_error_objects_are_shown() -> None:
    assert results("error({code = 5})")[0] == "error object: {code = 5}"
    assert results('error("no", 0)') == ["no"]
    assert (
        results("error(setmetatable({}, {__tostring = function() return 'mine' end}))")[0] == "mine"
    )
    assert results("error()")[0] == "error without a value (nil)"


def test_a_deep_trace_is_cut() -> None:
    shown = results("function f(n) if n == 0 then error('deep') end f(n - 1) return 1 end", "f(50)")
    assert len(shown) <= 11
    assert any("more)" in row for row in shown)


def test_output_without_line_end_does_not_swallow_the_prompt() -> None:
    shell = Shell()
    shell.enter('io.write("abc", 1)')
    assert shell.screen == ['> io.write("abc", 1)', "abc1", ">"]


def test_io_read_takes_a_line() -> None:
    shell = Shell()
    shell.enter("name = io.read()")
    shell.type_bytes("Medea\r")
    assert shell.eval("return options_of_test.environment.name") == b"Medea"
    shell.enter("n = io.read('n')")
    shell.type_bytes("12\r")
    assert shell.eval("return options_of_test.environment.n") == 12


def test_paste_of_one_chunk_keeps_its_locals() -> None:
    shell = Shell()
    shell.type_bytes("\x1b[200~local a = 1\nlocal b = 2\nprint(a + b)\n\x1b[201~")
    assert shell.screen[-2:] == ["3", ">"]


def test_paste_of_rows_runs_as_if_typed_and_the_rest_waits() -> None:
    shell = Shell()
    shell.type_bytes("pr\x1b[200~int(1)\n2 + 2\nfor i = 5, 5 do\nprint(i)\nend\nla\x1b[201~st")
    assert shell.screen[-4:] == ["1", "4", "5", "> last"]


def test_paste_that_is_not_finished_goes_on() -> None:
    shell = Shell()
    shell.type_bytes("\x1b[200~function f()\n  return 1\n\x1b[201~")
    assert shell.screen[-3:] == ["> function f()", ">>   return 1", ">>"]
    shell.type_bytes("end\r")
    shell.enter("f()")
    assert shell.screen[-2] == "1"


def test_100_kb_arrive_whole_as_one_chunk_and_as_rows() -> None:
    body = "".join(f"t[{number}] = {number}\n" for number in range(1, 7001))
    assert len(body) > 100_000
    for size in (64, 4096):
        shell = Shell()
        shell.enter("t = {}")
        data = b"\x1b[200~" + body.encode() + b"\x1b[201~"
        for start in range(0, len(data), size):
            shell.type_bytes(data[start : start + size])
        assert shell.eval("local t = options_of_test.environment.t return #t, t[7000]") == (
            7000,
            7000,
        )
        # The screen shows the end of it, not all of it.
        assert len(shell.written) < 5000
    # A long string, to the byte.
    shell = Shell()
    text = "0123456789 é漢\n" * 6000
    shell.type_bytes("\x1b[200~s = [==[\n" + text + "]==]\n\x1b[201~")
    assert shell.eval("return options_of_test.environment.s").decode() == text


def test_100_kb_without_bracketed_paste_arrive_whole() -> None:
    shell = Shell(watched=False)
    shell.enter("t = {}")
    data = "".join(f"t[{number}] = {number}\r" for number in range(1, 7001)).encode()
    for start in range(0, len(data), 1000):
        shell.type_bytes(data[start : start + 1000])
    assert shell.eval("local t = options_of_test.environment.t return #t, t[7000]") == (7000, 7000)


def test_paste_with_expressions_and_a_long_function() -> None:
    shell = Shell()
    long = "function f()\n" + "  x = 1\n" * 3000 + "end\n"
    shell.type_bytes("\x1b[200~1 + 1\n" + long + "type(f)\n\x1b[201~")
    assert shell.screen[-2:] == ["function", ">"]


def test_commands_over_a_store() -> None:
    assert results(
        'root.ship = {name = "Argo", fuel = 7}',
        'commit "first ship"',
        'root.fuel = 5; root.note = "x\\0"',
        "changes()",
        "commit()",
        "root.fuel = 6; root.note = nil",
        "changes()",
        "abort()",
        "root.fuel",
        "#log(), log()[1].message",
        "info()",
        'save("a", 1)',
        'fetch "a"',
        setup=WITH_OBJECTS,
    ) == [
        "t1: 3 objects, 196 bytes",
        "+ root.fuel 5",
        '+ root.note "x\\x00"',
        "t2: 3 objects, 196 bytes",
        "~ root.fuel 5 -> 6",
        "- root.note",
        "5",
        "2       first ship",
        "{bytes = 196, objects = 3}",
        "t3: 3 objects, 196 bytes",
        "1",
    ]


def test_the_log_is_a_table_of_rows() -> None:
    shown = results('commit "one"', "commit()", "log()", setup=WITH_OBJECTS)[2:]
    assert shown == [
        "t1  2026-11-22 15:00:01  3 objects  196 bytes  one",
        "t2  2026-11-22 15:00:01  3 objects  196 bytes",
    ]


def test_a_failing_commit_is_an_error() -> None:
    shell = Shell(setup=WITH_OBJECTS)
    shell.eval(
        "options_of_test.objects.failure = {code = 'unsaveable', message = 'cannot save root.f: C function'}"
    )
    shell.eval(
        "setmetatable(options_of_test.objects.failure, {__tostring = function(e) return e.message end})"
    )
    assert rows(shell, "commit()")[1] == "cannot save root.f: C function"
    assert rows(shell, "commit(5)")[1].endswith(
        "commit: the message must be a string, not a number"
    )


def test_root_cannot_be_replaced_by_accident() -> None:
    shell = Shell(setup=WITH_OBJECTS)
    shown = rows(shell, "root = {a = 1}", "root.b = 2", "root")
    assert "root stays the store's own table" in shown[1]
    assert shown[-1] == "{b = 2}"


def test_without_a_disk_root_lives_and_commit_says_so() -> None:
    shown = results("root.a = 1", "root.a", "commit()")
    assert shown[0] == "1"
    assert "no disk with a store" in shown[1]


def test_processes_and_power() -> None:
    shell = Shell(setup=WITH_SYSTEM, columns=90)
    shown = rows(shell, "ps()", 'spawn("x = 1").id', "kill(9)", "wait(7)")
    assert shown[1].split() == ["id", "state", "memory", "of", "cpu", "s", "mail", "name"]
    assert shown[2].split() == ["1", "waiting", "48K", "1024K", "0.002", "0", "console"]
    assert shown[4] == "7"
    assert "no process 9" in "\n".join(shown)
    shell.enter("root.unsaved = 1")
    assert "1 change is not committed" in rows(shell, "poweroff()")[1]
    shell.enter("poweroff()")
    assert shell.eval("return calls[#calls]") == b"off"
    shell.enter('reboot "now"')
    assert shell.eval("return calls[#calls]") == b"reboot"


def test_an_interrupted_evaluation_leaves_the_session_whole() -> None:
    setup = (
        "return {evaluate = function(f) local co = coroutine.create(f) coroutine.resume(co) "
        "if coroutine.status(co) == 'dead' then return true end return nil, 'interrupted' end}"
    )
    shell = Shell(setup=setup)
    shown = rows(shell, "x = 1; io.write('half'); coroutine.yield()", "x")
    assert shown == [
        "> x = 1; io.write('half'); coroutine.yield()",
        "half",
        "interrupted",
        "> x",
        "1",
    ]


def half_a_minute(shell: Shell) -> None:
    for _ in range(6):
        shell.time_passes()


def test_history_is_loaded_saved_when_idle_and_bounded() -> None:
    setup = (
        "kept = {'old = 1'} saves = 0 "
        "return {history = {load = function() return kept end, "
        "save = function(list) kept = list saves = saves + 1 return true end}}"
    )
    shell = Shell(setup=setup)
    shell.type_bytes(b"\x1b[A")
    assert shell.screen == ["> old = 1"]
    shell.type_bytes(b"\x03")
    shell.enter("new = 1")
    shell.enter("new = 1")
    shell.time_passes()
    assert shell.eval("return saves") == 0  # not after each pause: a save is a transaction
    half_a_minute(shell)
    assert shell.eval("return #kept, kept[2], saves") == (2, b"new = 1", 1)
    half_a_minute(shell)
    assert shell.eval("return saves") == 1
    shell.watched = False
    for number in range(600):
        shell.enter(f"x = {number}")
    shell.close()
    assert shell.eval("return #kept, kept[#kept]") == (500, b"x = 599")


def test_a_history_that_cannot_be_saved_is_told_once() -> None:
    setup = "return {history = {load = function() error('bad') end, save = function() return nil, 'disk full' end}}"
    shell = Shell(setup=setup)
    assert "the history cannot be read" in shell.screen[0]
    shell.enter("x = 1")
    half_a_minute(shell)
    shell.enter("x = 2")
    half_a_minute(shell)
    shell.enter("x = 3")
    assert "\n".join(shell.screen).count("disk full") == 1


def test_who_wants_to_leave_is_told_how() -> None:
    for word in ("exit", "quit()", "bye"):
        assert "poweroff() leaves" in results(word)[0]
    assert results("exit = 5", "exit") == ["5"]


def test_banner() -> None:
    shell = Shell(
        setup="return {banner = {version = '0.1', disk = 'QEMU HARDDISK, 64 MiB', objects = 3, state = 'clean', "
        "warnings = {'something'}}}"
    )
    assert shell.screen[:4] == [
        "Khoros 0.1, Lua 5.5",
        "disk: QEMU HARDDISK, 64 MiB, 3 objects, clean",
        "warning: something",
        "help() shows what there is, Tab completes, poweroff() leaves.",
    ]
    long = "QEMU HARDDISK (QM00001), 64 MiB, LBA48, PIO 32-bit, 16 sectors a block"
    assert Shell(setup=f"return {{banner = {{disk = '{long}', objects = 1}}}}").screen[1] == (
        "disk: QEMU HARDDISK (QM00001), 64 MiB, LBA48, PIO 32-bit, 1 object"
    )
    assert Shell(setup="return {banner = {}}").screen[1] == (
        "warning: no disk with a store: this session lives in memory until power-off"
    )


def test_shell_modules_do_not_touch_the_environment_they_run_in() -> None:
    lua = new_lua()
    lua.execute(b'before = {} for k in pairs(_G) do before[k] = true end require "shell.session"')
    assert (
        lua.eval(
            b"(function() for k in pairs(_G) do if not before[k] and k ~= 'before' then return k end end end)()"
        )
        is None
    )
