"""The shell of the booted system, row by row of what it promises: on the serial line, and on the screen with its keyboard.

What the serial line shows is read with pyte; what the screen shows from the text memory of the VGA card and, as pixels,
from a screendump. A guest serves many rows, because a boot costs more than all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guest import Guest

pytestmark = pytest.mark.guest

STANDS = rb"\x1b\[\?2004h> \Z"
VGA_MEMORY, COLUMNS, ROWS = 0xB8000, 80, 25
PATIENCE_SECONDS = 120.0


def new_disk(image: Path, size: str = "16M") -> Path:
    subprocess.run(
        [sys.executable, "-m", "khoros.diskutil.cli", "mkfs", image, "-s", size],
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return new_disk(tmp_path / "shell.img")


def start(boot: Callable[..., Guest], disk: Path, **more: object) -> Guest:
    guest = boot(disks=[disk], **more)
    guest.expect(STANDS)
    return guest


def shown(guest: Guest) -> list[str]:
    return [row for row in guest.screen() if row]


def type_row(guest: Guest, text: str) -> list[str]:
    """Types a row and Enter on a clear screen; the rows that stand there below it, before the next prompt."""
    guest.send("\x0c")
    wait_for(guest, lambda rows: rows == [">"], "a clear screen")
    guest.send(text + "\r")
    guest.expect(rb"\x1b\[\?2004l")
    guest.expect(STANDS)
    rows = shown(guest)
    entered = -(-(len(text) + 2) // (COLUMNS - 1))
    return rows[entered:-1]


def wait_for(guest: Guest, wanted: Callable[[list[str]], bool], what: str) -> list[str]:
    """Waits until the terminal's rows are as wanted; gives them."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        rows = shown(guest)
        if wanted(rows):
            return rows
        guest.wait(0.05)
    raise AssertionError(f"wanted {what}, the screen shows\n" + "\n".join(rows))


def last_row(guest: Guest, wanted: str) -> None:
    wait_for(guest, lambda rows: bool(rows) and rows[-1] == wanted, repr(wanted))


def clear_line(guest: Guest) -> None:
    guest.send("\x03")
    guest.expect(STANDS)


# --- the serial line -------------------------------------------------------------------------------------------------


def check_values(guest: Guest) -> None:
    """Echo without return, `_`, tables sorted, indented, cycles and depth marked."""
    assert type_row(guest, "6 * 7") == ["42"]
    assert type_row(guest, "_ + 1, nil") == ["43      nil"]
    assert type_row(guest, "t = {b = 2, a = {1, 2}, [1] = 'x'}; t.me = t; t") == [
        '{"x", a = {1, 2}, b = 2, me = <cycle .>}'
    ]
    assert type_row(guest, "{{{{{{{}}}}}}}") == ["{{{{{{...}}}}}}"]
    assert type_row(guest, "'Größe ½ ☺ 漢字 ✓'") == ["Größe ½ ☺ 漢字 ✓"]


def check_editing(guest: Guest) -> None:
    """Arrows, Home and End, Ctrl-A E K U W Y L, history, Ctrl-R."""
    assert type_row(guest, "root.ship = {name = 'Argo'}") == []
    guest.send("root.shop\x1b[D\x7fi\x01\x1b[C\x05.na\t")
    last_row(guest, "> root.ship.name")
    guest.send("\x17x\x15\x19\x1b[H(\x05)")
    last_row(guest, "> (x)")
    clear_line(guest)
    guest.send("\x1b[A")
    last_row(guest, "> root.ship = {name = 'Argo'}")
    guest.send("\x1b[H\x1b[C\x1b[3~\x05\x17")
    last_row(guest, "> rot.ship = {name =")
    clear_line(guest)
    guest.send("\x12name")
    last_row(guest, "(search) 'name': root.ship = {name = 'Argo'}")
    guest.send("\x07")
    last_row(guest, ">")


def check_completion(guest: Guest) -> None:
    """Globals, fields, methods, paths in root, keys in brackets, and what help and run take."""
    type_row(guest, "root.ship['odd name'] = 1; greeting = 'hi'")
    for typed, completed in {
        "gree": "greeting",
        "string.for": "string.format",
        "greeting:rev": "greeting:reverse",
        "root.sh": "root.ship",
        "root.ship['odd": "root.ship['odd name",
        'help "comm': 'help "commit',
        'run "sna': 'run "snake',
        'source "con': 'source "console',
    }.items():
        guest.send(typed + "\t")
        last_row(guest, "> " + completed)
        clear_line(guest)


def check_unfinished_and_wrong(guest: Guest) -> None:
    """Continuation rows, the note about locals, errors with their row and trace, a word of what to do."""
    guest.send("for i = 1, 2 do\rprint(i)\rend\r")
    wait_for(guest, lambda rows: rows and rows[-5:-1] == [">> print(i)", ">> end", "1", "2"], "the loop's rows")
    guest.send("x = {\r")
    last_row(guest, ">>")
    clear_line(guest)
    assert "a local ends with its line" in type_row(guest, "local y = 1")[0]
    assert type_row(guest, "nofn()")[0].endswith("attempt to call a nil value (global 'nofn')")
    assert type_row(guest, "nofn()")[1:] == ["   1 | nofn()"]
    assert type_row(guest, "error({code = 3})") == ["error object: {code = 3}"]
    trace = type_row(guest, "function f(n) return n == 0 and error('deep') or 1 + f(n - 1) end f(2)")
    assert "deep" in trace[0]
    assert any(row.strip().startswith("stdin:") and " in global 'f'" in row for row in trace)
    assert "string" in type_row(guest, 'x = "abc')[0]
    assert type_row(guest, "quit") == ["poweroff() leaves, reboot() starts again, help() shows what there is"]
    assert "help() lists" in type_row(guest, 'help "comit"')[0]
    assert 'edit "nope" writes it' in type_row(guest, 'run "nope"')[0]
    assert "jobs() lists them" in type_row(guest, "front(77)")[0]
    assert "services() lists them" in type_row(guest, 'replace("nope", "x")')[0]
    assert type_row(guest, '("a"):rep(1e9)') == ["not enough memory"]


def check_junk(guest: Guest, junk: bytes) -> None:
    """Bytes that mean nothing: what of them is text stands there to be seen, and Ctrl-C brings a clean prompt."""
    guest.send(junk.translate(None, b"\x03\x04\x0d\x0a\x12\x1a"))
    guest.wait(0.5)
    # Whatever was begun (a paste, a sequence, a search) ends.
    guest.send("\x1b[201~\x07")
    guest.wait(0.3)
    guest.send("\x03\x03")
    guest.wait(0.2)
    guest.send("\x15\x0c")
    assert type_row(guest, "'still ' .. 'here'") == ["still here"]


def check_paste(guest: Guest) -> None:
    """100 KB at once."""
    body = "".join(f"t[{number}] = {number:010}\n" for number in range(1, 5001))
    assert len(body) > 100_000
    type_row(guest, "t = {}")
    guest.send("\x1b[200~" + body + "\x1b[201~")
    guest.expect(r"t\[5000\] = 0000005000")
    guest.expect(STANDS)
    guest.send("print(#t .. '!' .. t[5000])\r")
    guest.expect(r"5000!5000")


def check_raw_mode(guest: Guest) -> None:
    guest.send("\x1b_khoros:raw\x1b\\")
    guest.expect(rb"x 3\nraw\n")
    guest.send(b"print('hi') return 1.5\x04")
    guest.expect(rb"^.*o 3\nhi\n\nr 3\n1\.5\nx 1\n0\n\Z")
    guest.send(b"\x02")
    guest.expect(STANDS)


def check_help(guest: Guest) -> None:
    assert len(type_row(guest, "help()")) <= 23
    text = type_row(guest, 'help "undo"')
    examples = [row.strip().removeprefix("> ") for row in text[text.index("Example:") + 1 :]]
    assert len(examples) >= 4
    for row in examples:
        answer = type_row(guest, row)
    assert answer == ["nil     1"]  # root.colour is as before, root.other stays


def check_processes_and_jobs(guest: Guest) -> None:
    """spawn, ps, kill, wait; run, start, jobs, output, front; Ctrl-C and Ctrl-Z for what is in front."""
    assert type_row(guest, "wait(spawn 'return 6 * 7')") == ["finished        42"]
    type_row(guest, "p = spawn('while true do end', {name = 'busy'})")
    listed = type_row(guest, "ps()")
    assert listed[0].split() == ["id", "state", "memory", "of", "cpu", "s", "mail", "name"]
    assert any(row.endswith(" busy") for row in listed)
    assert type_row(guest, "kill(p)") == ["true"]
    assert type_row(guest, "wait(p)") == ["killed"]

    type_row(guest, "talker = function() for i = 1, 1e9 do print('row ' .. i) require('system').sleep(0.1) end end")
    type_row(guest, "job = start(talker)")
    type_row(guest, "repeat sleep(0.1) until output(job):find('row 3')")
    assert re.search(r"^ *\d+  function  running  row \d+$", type_row(guest, "jobs()")[0])
    # Brought to the front, what it printed comes first; Ctrl-Z puts it behind again, Ctrl-C ends it.
    guest.send("front(job)\r")
    guest.expect(rb"row 1\r\nrow 2\r\n.*row 9\r\n")
    guest.send("\x1a")
    guest.expect(r"front\(\d+\) brings it here")
    guest.expect(STANDS)
    guest.send("front(job)\r")
    guest.expect(rb"row \d+\r\n")
    guest.send("\x03")
    guest.expect("interrupted")
    guest.expect(STANDS)
    assert "no jobs" in type_row(guest, "jobs()")[0]
    type_row(guest, "start(function() error 'gone wrong' end)")
    told = wait_for_news(guest)
    assert re.search(r"job \d+, function: ended after an error", told)


def wait_for_news(guest: Guest) -> str:
    for _ in range(50):
        rows = type_row(guest, "sleep(0.2)")
        if any(row.startswith("job ") for row in rows):
            return "\n".join(rows)
    raise AssertionError("the end of the job was not told")


def check_programs(guest: Guest) -> None:
    """Those that come with it: listed, run, installed, edited, run again."""
    assert [row.split()[0] for row in type_row(guest, "programs()")] == ["clock", "life", "notes", "snake"]
    assert type_row(guest, 'run("notes", "add buy milk")') == ["  1 [ ] buy milk"]
    assert type_row(guest, "root.notes[1].text") == ["buy milk"]
    guest.send('run("clock", 2)\r')
    guest.expect("UTC. q ends the clock")
    guest.expect(STANDS)
    guest.send('run("snake", 3)\r')
    guest.expect(r"snake: 0 eaten in \d steps")
    guest.expect(STANDS)
    guest.send('run "life"\r')
    guest.expect("generation 2 ")
    guest.send("\x03")
    guest.expect("interrupted")
    guest.expect(STANDS)
    assert "commit() keeps them" in type_row(guest, "install()")[-1]
    assert "already" in type_row(guest, "install()")[-1]
    type_row(guest, "commit()")


def check_editor(guest: Guest) -> None:
    """A text typed on the full screen, saved, run with an error, mended, and run from the prompt."""
    guest.send('edit "hello"\r')
    wait_for(guest, lambda rows: rows and rows[-1].startswith("hello") and rows[0].startswith("-- hello"), "the editor")
    guest.send("\x05local name <const> = ...\rprint('hi ' .. (nam))\x13")
    wait_for(guest, lambda rows: "saved, t" in rows[-1], "what saving says")
    guest.send("\x12")
    wait_for(guest, lambda rows: any("attempt to concatenate a nil" in row for row in rows), "the error")
    guest.send(" ")
    wait_for(guest, lambda rows: rows and rows[-1].startswith("hello"), "the text again")
    guest.send("\x1b[D\x1b[De or 'you'\x13")
    wait_for(guest, lambda rows: "saved, t" in rows[-1], "what saving says")
    guest.send("\x11")
    guest.expect("hello: saved")
    guest.expect(STANDS)
    assert type_row(guest, "root.programs.hello 'Größe'") == ["hi Größe"]
    assert type_row(guest, "#changes()") == ["0"]
    assert "hello, " in type_row(guest, "root.programs.hello")[0]


def check_interrupts(guest: Guest) -> None:
    """One Ctrl-C, and the session is as it was."""
    type_row(guest, "kept = 7")
    looping = "print('be' .. 'gun') while true do pcall(error) end"
    for program in (looping, "print('be' .. 'gun') sleep(1000)", f"run(function() {looping} end)"):
        guest.send(program + "\r")
        guest.expect("begun")
        guest.wait(0.1)
        guest.send("\x03")
        guest.expect("interrupted")
        guest.expect(STANDS)
    # Before its program begins, a job is just ended.
    guest.send("run(function() sleep(1000) end)\r")
    guest.expect(rb"\x1b\[\?2004l")
    guest.wait(0.1)
    guest.send("\x03")
    guest.expect("was ended|interrupted")
    guest.expect(STANDS)
    assert type_row(guest, "kept") == ["7"]


def check_services(guest: Guest) -> None:
    """Code of a service: looked at, broken and taken back, replaced and kept."""
    assert [row.split()[1] for row in type_row(guest, "services()")] == ["service", "console", "disk", "shell"]
    assert type_row(guest, 'source("console"):match "[^:]*"') == ["-- The console service"]
    assert type_row(guest, 'replace("console", "nonsense =")')[0].startswith("lua/services/console.lua:1:")
    guest.send('replace("console", "system.sleep(0.2) error(\'broken\')")\r')
    guest.expect("console: the code before runs again: it ended: lua/services/console.lua:1: broken")
    guest.expect(STANDS)
    assert type_row(guest, "6 * 7") == ["42"]
    guest.send("""replace("console", (source("console"):gsub('"console: "', '"Console: "')))\r""")
    guest.expect("keeps the new console: ")
    guest.send("n")
    guest.expect("the console before runs again")
    guest.expect(STANDS)
    guest.send("""replace("console", (source("console"):gsub('"console: "', '"Console: "')))\r""")
    guest.expect("keeps the new console: ")
    guest.send("y")
    guest.expect("console runs the new code")
    guest.expect(STANDS)
    assert type_row(guest, "services()[1].replaced[1]") == ["services.console"]


def test_the_serial_line(boot: Callable[..., Guest], disk: Path, rng) -> None:
    guest = start(boot, disk)
    banner = shown(guest)
    assert banner[0].startswith("Khoros ")
    assert banner[1].endswith("0 objects, clean")
    assert "help()" in banner[2]
    check_values(guest)
    check_editing(guest)
    check_completion(guest)
    check_unfinished_and_wrong(guest)
    check_junk(guest, bytes(range(256)) + rng.randbytes(300))
    check_raw_mode(guest)
    check_help(guest)
    check_interrupts(guest)


def test_programs_and_what_stays(boot: Callable[..., Guest], disk: Path) -> None:
    guest = start(boot, disk)
    check_processes_and_jobs(guest)
    check_programs(guest)
    check_editor(guest)
    check_services(guest)
    type_row(guest, "root.autorun = 'print(\"good \" .. \"morning\")'")
    type_row(guest, "commit 'all of it'")
    guest.send("last_entry = true; poweroff()\r")
    assert guest.wait_for_power_off() == 0

    again = start(boot, disk)
    assert "good morning" in shown(again)
    assert type_row(again, "services()[1].replaced[1]") == ["services.console"]
    again.send("\x12last_e")
    wait_for(again, lambda rows: rows and rows[-1].endswith("last_entry = true; poweroff()"), "the entry of before")
    again.send("\x07")
    clear_line(again)
    assert type_row(again, "root.programs.hello()") == ["hi you"]
    assert type_row(again, 'root.programs.notes "list"') == ["  1 [ ] buy milk"]
    again.kill()

    safe = start(boot, disk, extra=["-append", "safe"])
    assert not any("good morning" in row for row in shown(safe))
    assert any(row.startswith("warning: safe start") for row in shown(safe))
    assert type_row(safe, "#services()[1].replaced, root.autorun ~= nil") == ["0       true"]


def test_a_large_paste_arrives_whole(boot: Callable[..., Guest], disk: Path) -> None:
    check_paste(start(boot, disk))


@pytest.mark.slow
def test_a_full_disk_keeps_no_history_and_says_so(boot: Callable[..., Guest], tmp_path: Path) -> None:
    guest = start(boot, new_disk(tmp_path / "small.img", "2M"))
    for name in "ab":
        guest.send(f"{name} = '{'x' * 8000}'\r")
        guest.expect(STANDS)
    # So many as there is room for, of one size after the other.
    guest.send("function fill(size) local n = 0 repeat n = n + 1 kept, why = pcall(save, size .. '.' .. n, ('x'):rep(size)) "
               "until not kept abort() end\r")
    guest.expect(STANDS)
    guest.send("for _, size in ipairs{40000, 4000, 4000, 2000} do fill(size) end\r")
    guest.expect(STANDS)
    assert "space" in type_row(guest, "why")[0]
    guest.send("poweroff()\r")
    guest.expect("the history is not saved: [^\r]*space")
    assert guest.wait_for_power_off() == 0


# --- the screen ------------------------------------------------------------------------------------------------------

KEYS = {" ": "spc", "\r": "ret", '"': "shift-apostrophe", "(": "shift-9", ")": "shift-0", "=": "equal", ".": "dot",
        "{": "shift-bracket_left", "}": "shift-bracket_right", ",": "comma", "*": "shift-8", "+": "shift-equal",
        "'": "apostrophe", ":": "shift-semicolon", "\t": "tab"}  # fmt: skip


def press_all(guest: Guest, text: str) -> None:
    for character in text:
        key = KEYS.get(character, f"shift-{character.lower()}" if character.isupper() else character)
        guest.press(*key.split("-"))


def text_memory(guest: Guest, tmp_path: Path) -> bytes:
    """What the VGA card shows as text: character and attribute of each cell."""
    file = tmp_path / "vga.bin"
    guest.command("pmemsave", val=VGA_MEMORY, size=2 * COLUMNS * ROWS, filename=str(file))
    return file.read_bytes()


def screen_rows(guest: Guest, tmp_path: Path) -> list[str]:
    characters = text_memory(guest, tmp_path)[::2].decode("cp437")
    rows = [characters[place : place + COLUMNS].rstrip(" \0") for place in range(0, COLUMNS * ROWS, COLUMNS)]
    return rows


def wait_for_screen(guest: Guest, tmp_path: Path, wanted: Callable[[list[str]], bool], what: str) -> list[str]:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        rows = screen_rows(guest, tmp_path)
        if wanted([row for row in rows if row]):
            return rows
        guest.wait(0.1)
    raise AssertionError(f"wanted {what}, the screen shows\n" + "\n".join(rows))


def glyphs(guest: Guest, tmp_path: Path) -> list[bytes]:
    """The pixels of each cell, as the monitor would show them."""
    file = tmp_path / "screen.ppm"
    guest.command("screendump", filename=str(file))
    magic, size, _, pixels = file.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    assert magic == b"P6"
    across, down = width // COLUMNS, height // ROWS
    cells = []
    for place in range(COLUMNS * ROWS):
        x, y = place % COLUMNS * across, place // COLUMNS * down
        cells.append(b"".join(
            pixels[3 * ((y + row) * width + x) : 3 * ((y + row) * width + x + across)] for row in range(down)
        ))  # fmt: skip
    return cells


def test_the_screen_and_its_keyboard(boot: Callable[..., Guest], disk: Path, tmp_path: Path) -> None:
    guest = start(boot, disk)

    def screen(wanted: Callable[[list[str]], bool], what: str) -> list[str]:
        return wait_for_screen(guest, tmp_path, wanted, what)

    screen(lambda rows: rows[0].startswith("Khoros ") and rows[-1] == ">", "the banner and a prompt")
    press_all(guest, "root.ship = {Name = 'Argo'}\rroot.sh")
    guest.press("tab")
    press_all(guest, ".Na")
    guest.press("tab")
    screen(lambda rows: rows and rows[-1] == "> root.ship.Name", "the completed path")
    guest.press("ret")
    screen(lambda rows: rows and rows[-2:] == ["Argo", ">"], "the value")
    guest.press("up")
    guest.press("home")
    guest.press("delete")
    screen(lambda rows: rows and rows[-1] == "> oot.ship.Name", "the edited entry")
    guest.press("ctrl", "c")
    guest.press("ctrl", "r")
    press_all(guest, "Argo")
    screen(lambda rows: rows and rows[-1].startswith("(search) 'Argo': root.ship ="), "the search")
    guest.press("ctrl", "g")

    # Characters that the font has, a likeness for some that it has not; and the pixels are those of the characters.
    guest.send("print('Größe ½ ╔═╗ ☺ € 漢')\r")
    # Python's code page 437 has controls where the card has signs: the smiling face is the first of them.
    screen(lambda rows: "Größe ½ ╔═╗ \1 E ??" in rows, "the printed row")
    shapes: dict[int, set[bytes]] = {}
    memory = text_memory(guest, tmp_path)
    for cell, pixels in zip(range(COLUMNS * (ROWS - 13)), glyphs(guest, tmp_path), strict=False):
        if memory[2 * cell + 1] == 7:
            shapes.setdefault(memory[2 * cell], set()).add(pixels)
    assert len(shapes) > 30
    # One shape a character, but for the one under the cursor.
    assert sum(len(of) - 1 for of in shapes.values()) <= 1

    # Scroll-back, and back again with what is typed next.
    guest.send("for i = 1, 60 do print('row ' .. i) end\r")
    screen(lambda rows: rows and rows[-2:] == ["row 60", ">"], "the last rows")
    guest.press("shift", "pgup")
    screen(lambda rows: "row 20" in rows and "row 60" not in rows, "earlier rows")
    guest.press("shift", "pgdn")
    screen(lambda rows: "row 60" in rows, "the last rows again")
    guest.press("shift", "pgup")
    press_all(guest, "x = 5\rx\r")
    screen(lambda rows: rows and rows[-3:] == ["> x", "5", ">"], "what was typed")

    # The editor, a program and Ctrl-C with the keys of this keyboard.
    press_all(guest, 'edit "one"\r')
    screen(lambda rows: rows and rows[-1].startswith("one") and rows[0].startswith("-- one"), "the editor")
    press_all(guest, "print(6 * 7)")
    guest.press("ctrl", "s")
    screen(lambda rows: "saved" in rows[-1] or "put under root" in rows[-1], "what saving says")
    guest.press("ctrl", "q")
    press_all(guest, 'run "one"\r')
    screen(lambda rows: rows and rows[-2:] == ["42", ">"], "what it prints")
    press_all(guest, 'run "life"\r')
    screen(lambda rows: rows and rows[-1].startswith("generation 2 "), "the third generation")
    guest.press("ctrl", "c")
    screen(lambda rows: rows and rows[-2:] == ["interrupted", ">"], "the prompt")
