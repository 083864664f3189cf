"""The line editor on a terminal: after any keys the screen is what drawing from scratch would show."""

from __future__ import annotations

import re

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcwidth

from tests.shell.terminal import Shell

KEYS = {
    "left": b"\x1b[D",
    "right": b"\x1b[C",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "ctrl-a": b"\x01",
    "ctrl-e": b"\x05",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "ctrl-d": b"\x04",
    "kill-end": b"\x0b",
    "kill-start": b"\x15",
    "kill-word": b"\x17",
    "yank": b"\x19",
    "word-left": b"\x1bb",
    "word-right": b"\x1bf",
    "newline": b"\x1b\r",
    "transpose": b"\x14",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "clear": b"\x0c",
}


class Model:
    """The text as a list of characters without marks: written anew, not after the Lua."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.at = 0
        self.killed = ""
        self.joins = False

    def row(self) -> tuple[int, int]:
        start = self.at
        while start > 0 and self.text[start - 1] != "\n":
            start -= 1
        end = self.at
        while end < len(self.text) and self.text[end] != "\n":
            end += 1
        return start, end

    def kill(self, start: int, end: int) -> None:
        if start == end:
            return
        gone = "".join(self.text[start:end])
        if not self.joins:
            self.killed = gone
        elif end == self.at:
            self.killed = gone + self.killed
        else:
            self.killed += gone
        del self.text[start:end]
        self.at = start

    def word_left(self) -> int:
        before = "".join(self.text[: self.at])
        match = re.search(r"[A-Za-z0-9_\u0080-\U0010ffff]+[^A-Za-z0-9_\u0080-\U0010ffff]*$", before)
        return match.start() if match else 0

    def word_right(self) -> int:
        after = "".join(self.text[self.at :])
        match = re.match(r"[^A-Za-z0-9_\u0080-\U0010ffff]*[A-Za-z0-9_\u0080-\U0010ffff]+", after)
        return self.at + match.end() if match else len(self.text)

    def vertical(self, direction: int) -> None:
        start, end = self.row()
        column = sum(width(c) for c in self.text[start : self.at])
        if direction < 0:
            if start == 0:
                return
            self.at = start - 1
            target = self.row()[0]
        else:
            if end == len(self.text):
                return
            target = end + 1
        self.at = target
        end = self.row()[1]
        while self.at < end and width(self.text[self.at]) <= column and column > 0:
            column -= width(self.text[self.at])
            self.at += 1

    def press(self, key: str) -> None:
        start, end = self.row()
        kills = key.startswith("kill")
        if key in ("left", "right"):
            self.at = max(0, min(len(self.text), self.at + (1 if key == "right" else -1)))
        elif key in ("home", "ctrl-a"):
            self.at = start
        elif key in ("end", "ctrl-e"):
            self.at = end
        elif key == "backspace":
            if self.at > 0:
                self.at -= 1
                del self.text[self.at]
        elif key in ("delete", "ctrl-d"):
            del self.text[self.at : self.at + 1]
        elif key == "kill-end":
            self.kill(self.at, end if end > self.at else min(end + 1, len(self.text)))
        elif key == "kill-start":
            self.kill(start, self.at)
        elif key == "kill-word":
            match = re.search(r"[^ \n]+[ \n]*$", "".join(self.text[: self.at]))
            self.kill(match.start() if match else 0, self.at)
        elif key == "yank":
            self.insert(self.killed)
        elif key == "newline":
            self.insert("\n")
        elif key == "word-left":
            self.at = self.word_left()
        elif key == "word-right":
            self.at = self.word_right()
        elif key == "up":
            self.vertical(-1)
        elif key == "down":
            self.vertical(1)
        elif key == "transpose":
            at = self.at - 1 if self.at == len(self.text) else self.at
            if at >= 1 and "\n" not in self.text[at - 1 : at + 1]:
                self.text[at - 1], self.text[at] = self.text[at], self.text[at - 1]
                self.at = at + 1
        self.joins = kills

    def insert(self, text: str) -> None:
        self.text[self.at : self.at] = list(text)
        self.at += len(text)


def width(character: str) -> int:
    return max(0, wcwidth(character))


def picture(
    text: str, cursor: int, columns: int, prompt: str = "> "
) -> tuple[list[str], tuple[int, int]]:
    """Rows and cursor of the text drawn from scratch, the last column left free."""
    usable = max(columns - 1, 2)
    rows, row, used, where = [], prompt, len(prompt), None
    if used > usable:
        raise ValueError("prompt wider than the screen")
    for index, character in enumerate(text):
        if character == "\n":
            if index == cursor:
                where = (len(rows), used)
            rows.append(row)
            row, used = ">> ", 3
            while used > usable:
                rows.append(row[:usable])
                row, used = row[usable:], used - usable
            continue
        if used + width(character) > usable:
            rows.append(row)
            row, used = "", 0
        if index == cursor:
            where = (len(rows), used)
        row, used = row + character, used + width(character)
    if where is None:
        where = (len(rows), used)
    return [*rows, row], where


def shown_by_terminal(rows: list[str], columns: int, lines: int) -> list[str]:
    """What a terminal shows of rows of text (wide characters fill two cells, marks none)."""
    screen = pyte.Screen(columns, lines)
    pyte.Stream(screen).feed("\r\n".join(rows))
    return [row.rstrip() for row in screen.display]


ALPHABET = "ab1 .,(é漢ж😀"
# A finished chunk is not wanted here: Enter is not among the keys.
presses = st.lists(
    st.one_of(st.sampled_from(sorted(KEYS)), st.text(ALPHABET, min_size=1, max_size=12)),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(presses, st.integers(4, 30), st.booleans())
def test_the_screen_equals_the_model(keys: list[str], columns: int, at_once: bool) -> None:
    shell = Shell(columns, 24)
    model = Model()
    data = b""
    for key in keys:
        if key in KEYS:
            if key == "ctrl-d" and not model.text:
                continue
            model.press(key)
            data = KEYS[key]
        else:
            model.insert(key)
            model.joins = False
            data = key.encode()
        shell.type_bytes(data)
        text = "".join(model.text)
        assert shell.eval("return session_of_test.editor.line.text").decode() == text
        rows, cursor = picture(text, model.at, columns)
        if len(rows) <= 24:
            assert [row.rstrip() for row in shell.terminal.display] == shown_by_terminal(
                rows, columns, 24
            )
            assert shell.cursor == cursor


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [KEYS[k] for k in sorted(KEYS)]
                + [b"\x1b[200~p\nq\x1b[201~", b"\t", b"\x12", b"\x07"]
            ),
            st.text("ab é漢\u0301\u200b\t", min_size=1, max_size=6).map(str.encode),
            st.binary(min_size=1, max_size=3),
        ),
        max_size=30,
    ),
    st.integers(3, 40),
    st.integers(1, 12),
)
def test_any_bytes_on_any_screen_leave_the_prompt_alive(
    keys: list[bytes], columns: int, lines: int
) -> None:
    shell = Shell(columns, lines)
    for data in keys:
        shell.type_bytes(data)
        assert shell.cursor[1] <= columns
    shell.time_passes()
    shell.type_bytes(b"\x07\x03")
    shell.type_bytes(b"answer = 6 * 7\r")
    assert shell.eval("return options_of_test.environment.answer") == 42


@settings(deadline=None, max_examples=30)
@given(
    st.text("abcd é漢e\u0301\u0302", min_size=1, max_size=80),
    st.lists(
        st.sampled_from(["left", "right", "home", "end", "backspace", "delete", "yank"]),
        max_size=25,
    ),
    st.integers(5, 20),
)
def test_marks_stay_with_their_characters(text: str, keys: list[str], columns: int) -> None:
    """Redrawing step by step and drawing from scratch give the same screen, with combining marks too."""
    shell = Shell(columns, 40)
    shell.type_bytes(text)
    for key in keys:
        shell.type_bytes(KEYS[key])
        line = shell.eval("return session_of_test.editor.line.text").decode()
        fresh = Shell(columns, 40)
        fresh.type_bytes(line) if line else None
        assert shell.screen == fresh.screen


def test_a_text_taller_than_the_screen_shows_the_part_with_the_cursor() -> None:
    shell = Shell(20, 5)
    for number in range(12):
        shell.type_bytes(f"x{number} = {number}" + ("\x1b\r" if number < 11 else ""))
    assert shell.screen == [f">> x{number} = {number}" for number in range(7, 12)]
    for _ in range(11):
        shell.type_bytes(KEYS["up"])
    assert shell.screen[0] == "> x0 = 0"
    assert shell.cursor[0] == 0


def test_drawing_is_small() -> None:
    """One typed character costs one byte; a character in the middle costs its row's rest and little more."""
    shell = Shell()
    shell.type_bytes("x" * 50)
    before = len(shell.written)
    shell.type_bytes("y")
    assert len(shell.written) - before == 1
    for _ in range(10):
        shell.type_bytes(KEYS["left"])
    before = len(shell.written)
    shell.type_bytes("z")
    assert len(shell.written) - before < 11 + 12
    before = len(shell.written)
    shell.type_bytes(KEYS["home"])
    assert len(shell.written) - before <= 6


def test_history_up_down_keeps_drafts_and_edits() -> None:
    shell = Shell()
    shell.enter("a = 1")
    shell.enter("b = 2")
    shell.type_bytes("draft")
    shell.type_bytes(KEYS["up"])
    assert shell.screen[-1] == "> b = 2"
    shell.type_bytes("5")
    shell.type_bytes(KEYS["up"])
    assert shell.screen[-1] == "> a = 1"
    shell.type_bytes(KEYS["down"])
    assert shell.screen[-1] == "> b = 25"
    shell.type_bytes(KEYS["down"])
    assert shell.screen[-1] == "> draft"
    shell.type_bytes(KEYS["down"])
    assert shell.screen[-1] == "> draft"
    shell.type_bytes(KEYS["up"] + b"\r")
    assert shell.eval("return options_of_test.environment.b") == 25
    shell.type_bytes(KEYS["up"] * 2)
    assert shell.screen[-1] == "> b = 2"


def test_search_finds_goes_on_and_gives_up() -> None:
    shell = Shell()
    for row in ["alpha = 1", "beta = 2", "alphabet = 3"]:
        shell.enter(row)
    shell.type_bytes("draft\x12alp")
    assert shell.screen[-1] == "(search) 'alp': alphabet = 3"
    shell.type_bytes(b"\x12")
    assert shell.screen[-1] == "(search) 'alp': alpha = 1"
    shell.type_bytes(b"\x12")
    assert shell.screen[-1] == "(no match) 'alp': alpha = 1"
    shell.type_bytes(b"\x07")
    assert shell.screen[-1] == "> draft"
    shell.type_bytes(b"\x03\x12bet\x12\x7f\x7f\x7fbeta\r")
    assert shell.screen[-1] == ">"
    assert "(search) 'beta': beta = 2" not in shell.screen
    assert "> beta = 2" in shell.screen[-2]


def test_control_c_clears_the_line_and_control_d_tells_how_to_leave() -> None:
    shell = Shell()
    shell.type_bytes("half a row\x03")
    assert shell.screen == ["> half a row", ">"]
    shell.type_bytes(b"\x04")
    assert "poweroff() leaves" in "\n".join(shell.screen)


def test_control_l_clears_and_redraws() -> None:
    shell = Shell()
    shell.enter("x = 1")
    shell.type_bytes("abc")
    shell.type_bytes(KEYS["left"] + KEYS["clear"])
    assert shell.screen == ["> abc"]
    assert shell.cursor == (0, 4)


def test_the_terminal_is_asked_for_its_width_and_believed_when_narrower() -> None:
    shell = Shell(setup="return {asks_width = true}")
    assert b"\x1b[6n" in shell.written
    shell.type_bytes(b"\x1b[1;40R")
    assert shell.eval("return session_of_test.editor.columns") == 40
    shell.type_bytes(b"\x1b[1;132R")
    assert shell.eval("return session_of_test.editor.columns") == 40


def test_tabs_controls_and_broken_utf8_are_shown_and_kept() -> None:
    shell = Shell()
    shell.type_bytes(b"a\xff")
    shell.time_passes()
    shell.type_bytes(b"b\x1b[200~\t\x01\x1b[201~c")
    assert shell.screen == ["> a\\xFFb    ^Ac"]
    assert shell.eval("return session_of_test.editor.line.text") == b"a\xffb\t\x01c"
    for _ in range(4):
        shell.type_bytes(b"\x7f")
    assert shell.screen == ["> a\\xFF"]
