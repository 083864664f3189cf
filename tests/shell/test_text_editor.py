"""The full-screen editor: what is typed, what stands on the screen, what is in root afterwards."""

from __future__ import annotations

import pytest

from tests.shell.terminal import SHARED, Shell
from tests.shell.test_session import WITH_SYSTEM

UP, DOWN, RIGHT, LEFT, HOME, END = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F"
SAVE, QUIT, CUT, PASTE, UNDO, FIND, RELOAD = "\x13", "\x11", "\x0b", "\x19", "\x1a", "\x06", "\x0f"


def edit(name: str, *before: str) -> Shell:
    """An editor of 40 columns and 8 rows, the last of which is its status."""
    shell = Shell(columns=60, rows=8, setup=WITH_SYSTEM)
    for row in before:
        shell.enter(row)
    press(shell, f'edit "{name}"\r')
    return shell


def press(shell: Shell, keys: str) -> None:
    """Types keys, and waits until the editor has drawn what they did: it asks for more keys without waiting before that."""
    shell.type_bytes(keys)
    while shell.timeout == 0:
        shell.time_passes()


def text(shell: Shell) -> str:
    """What was saved."""
    return shell.eval("return options_of_test.objects.root.programs.one.text").decode()


def status(shell: Shell) -> str:
    return shell.screen[-1]


NEW = "-- one: what it does, in one row\n"


def test_a_new_program_is_typed_saved_and_run_by_its_name() -> None:
    shell = edit("one")
    assert shell.screen[0] == NEW.strip()
    assert shell.cursor == (1, 0)
    press(shell, "if x then\r  y = 'ö'\rend")
    assert shell.screen[1:4] == ["if x then", "  y = 'ö'", "  end"]
    assert "one *  4:6" in status(shell)
    press(shell, LEFT * 3 + "\x7f\x7f" + SAVE)
    assert "saved, t1" in status(shell)
    assert text(shell) == NEW + "if x then\n  y = 'ö'\nend\n"
    press(shell, QUIT)
    assert shell.screen == ["one: saved", ">"]
    assert shell.eval("return getmetatable(options_of_test.objects.root.programs.one).__name") == b"program"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("abc" + LEFT + "\x7f", "ac\n"),
        ("abc" + HOME + "\x1b[3~", "bc\n"),
        ("a\rb" + UP + END + "!", "a!\nb\n"),
        ("a\rb" + HOME + "\x7f", "ab\n"),
        ("a\rb" + UP + END + "\x1b[3~", "ab\n"),
        ("one\rtwo\rthree" + UP + UP + CUT + DOWN + PASTE, "two\none\nthree\n"),
        ("1\r2\r3" + UP + UP + CUT + CUT + PASTE + PASTE, "1\n2\n1\n2\n3\n"),
        ("\tx\ry", "  x\n  y\n"),
        ("漢字" + LEFT + "ä", "漢ä字\n"),
        ("e\u0301x" + LEFT + LEFT + "1", "1e\u0301x\n"),
        ("\x1b[200~if a then\n  b()\nend\x1b[201~", "if a then\n  b()\nend\n"),
        ("abc def" + "\x1b[1;5D" + "x", "abc xdef\n"),
        ("abc" + UNDO, "\n"),
        ("abc" + HOME + CUT + UNDO, "abc\n"),
        ("ab\rcd" + UNDO + UNDO + "x", "abx\n"),
        ("find me\rme" + UP + FIND + "me\r" + "X", "find Xme\nme\n"),
        ("\x1b[31~\x00\x07\x1b", "\n"),
    ],
)
def test_keys(keys: str, expected: str) -> None:
    shell = edit("one", "root.programs = {one = program('', 'one')}", "commit()")
    press(shell, keys)
    shell.time_passes()  # a lone escape is a key
    press(shell, SAVE)
    assert text(shell) == expected


def test_rows_that_are_longer_than_the_screen_and_texts_that_are() -> None:
    shell = edit("one")
    press(shell, "x" * 70 + "end")
    assert shell.screen[1].endswith("end")
    assert len(shell.screen[1]) < 60
    press(shell, HOME)
    assert shell.screen[1].startswith("xxx")
    press(shell, END + "".join(f"\rrow {number}" for number in range(30)))
    assert shell.screen[6] == "row 29"
    press(shell, "\x1b[5~\x1b[5~")
    assert shell.screen[0] == "row 17"
    press(shell, "\x071\r")
    assert shell.screen[0] == NEW.strip()


def test_nothing_is_lost_without_a_question() -> None:
    shell = edit("one")
    press(shell, "unsaved" + QUIT)
    assert "save? y, n, or Escape to go on:" in status(shell)
    press(shell, "\x07" + "!")
    assert shell.screen[1] == "unsaved!"
    press(shell, QUIT + "n\r")
    assert shell.screen == ["one: not changed", ">"]
    assert shell.eval("return options_of_test.objects.root.programs") is None
    shell = edit("one")
    press(shell, "saved" + QUIT + "y\r")
    assert text(shell) == NEW + "saved\n"


def test_other_changes_are_not_committed_along() -> None:
    shell = edit("one", "root.half = 'done'")
    press(shell, "x = 1" + SAVE)
    assert "put under root; 1 other change: commit()" in status(shell)
    assert text(shell) == NEW + "x = 1\n"
    press(shell, QUIT)
    shell.enter("#log()")
    assert shell.screen[-2] == "0"


def test_what_is_no_lua_yet_is_saved_and_told() -> None:
    shell = edit("one")
    press(shell, "if" + SAVE)
    assert "not Lua yet: one:3:" in status(shell)
    assert text(shell) == NEW + "if\n"


def test_a_save_that_fails_leaves_the_text() -> None:
    shell = edit("one")
    shell.eval("options_of_test.objects.failure = {code = 'no_space', message = 'the disk is full'}")
    press(shell, "kept" + SAVE)
    assert "the disk is full" in status(shell)
    assert "*" in status(shell)
    press(shell, QUIT + "n\r")
    assert shell.screen[-1] == ">"


def test_reload_takes_what_is_stored() -> None:
    shell = edit("one")
    press(shell, "first" + SAVE)
    shell.eval("options_of_test.objects.root.programs.one.text = 'from elsewhere'")
    press(shell, " more" + RELOAD + "y\r")
    assert shell.screen[0] == "from elsewhere"
    assert "reloaded" in status(shell)


def test_strings_in_any_object() -> None:
    shell = edit("root.ship.log", "root.ship = {log = 'day 1'}")
    press(shell, END + "\rday 2" + SAVE + QUIT)
    assert shell.eval("return options_of_test.objects.root.ship.log") == b"day 1\nday 2\n"
    for wrong, said in {
        "edit 'root.ship'": "root.ship is a table, not text",
        "edit 'root.no.where'": "there is no table for root.no.where",
        "edit()": "edit what?",
        "edit(print)": "edit what?",
    }.items():
        shell.enter(wrong)
        assert said in "\n".join(shell.screen)


def test_random_keys_never_lose_the_editor(rng) -> None:
    """Whatever is typed, the buffer stays whole and the editor can be left."""
    keys = [UP, DOWN, LEFT, RIGHT, HOME, END, CUT, PASTE, UNDO, "\r", "\x7f", "\x1b[3~", "\t", "ä", "漢", "a\u0301", " x", "\x1b[5~",
            "\x1b[6~", "\x1b[200~p\nq\x1b[201~", "\x1b[1;5C", "\x1b[1;5D", "\xff", "\x0c"]  # fmt: skip
    shell = edit("one")
    shell.watched = False
    for _ in range(300):
        press(shell, rng.choice(keys))
    shell.watched = True
    press(shell, "\x0c" + QUIT)
    press(shell, "n\r")
    assert shell.screen[-1] == ">"


OPERATIONS = (
    "insert type newline delete_before delete_at cut_row paste_rows indent left right up down home finish undo"
    " word_left word_right"
).split()


def test_the_buffer_undoes_everything(rng) -> None:
    """Random edits, and as many undos: the text is what it was."""
    run = SHARED.execute(
        b"""
        local text, operations = ...
        local buffer = require("shell.text_buffer").new(text)
        local before = buffer:text()
        for operation in operations:gmatch("%S+") do
          if operation == "insert" then buffer:insert("x y") elseif operation == "type" then buffer:insert("t")
          else buffer[operation](buffer) end
          assert(buffer.rows[buffer.row] and buffer.at >= 1 and buffer.at <= #buffer.rows[buffer.row] + 1)
        end
        while #buffer.undone > 0 do buffer:undo() end
        return buffer:text() == before
        """.replace(b"local text", b"return (function(...) local text", 1)
        + b" end)(...)",
        b"one\ntwo\n\nthree",
        " ".join(
            rng.choice(OPERATIONS)
            for _ in range(200)
        ).encode(),
    )
    assert run is True
