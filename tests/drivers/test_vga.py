"""lua/drivers/vga over a block for text memory and a modelled CRT controller; pyte says what a terminal shows."""

from __future__ import annotations

import copy
from typing import Any

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.machine import Machine

COLUMNS, ROWS = 80, 25
CP437_TO_UNICODE = [bytes([byte]).decode("cp437") for byte in range(256)]
# What the font shows for control codes.
for index, glyph in enumerate("☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼", start=1):
    CP437_TO_UNICODE[index] = glyph
# ANSI colours in VGA's order, and pyte's names for them.
COLOURS = ["black", "blue", "green", "cyan", "red", "magenta", "brown", "white"]


class Crtc:
    """Index and data port."""

    def __init__(self) -> None:
        self.index = 0
        self.registers = {0x0C: 7, 0x0D: 7}

    def read(self, offset: int, width: int) -> int:
        return self.registers.get(self.index, 0)

    def write(self, offset: int, width: int, value: int) -> None:
        if offset == 0:
            self.index = value
        else:
            self.registers[self.index] = value


class Screen:
    """Memory, controller and driver."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS, machine: Machine | None = None) -> None:
        self.machine = machine or MACHINE
        self.columns, self.rows = columns, rows
        self.memory = bytearray(b"\xAA" * (columns * rows * 2))
        self.crtc = Crtc()
        self.replies = b""
        self.written: list[tuple[int, int]] = []
        self.driver = self.machine.require("drivers.vga")[b"new"](self.machine.parts(
            memory=self.machine.block(self.memory), crtc=self.machine.ports(self.crtc, 2), columns=columns, rows=rows, reply=self.reply))

    def reply(self, data: bytes) -> None:
        self.replies += data

    def write(self, data: bytes | str) -> None:
        self.driver[b"write"](data.encode() if isinstance(data, str) else data)

    def line(self, y: int) -> str:
        """Row y (from 0) as text."""
        cells = self.memory[y * self.columns * 2:(y + 1) * self.columns * 2:2]
        return "".join(CP437_TO_UNICODE[byte] for byte in cells)

    def lines(self) -> list[str]:
        return [self.line(y) for y in range(self.rows)]

    def text(self) -> list[str]:
        """Rows without blanks at their ends and without empty rows below."""
        rows = [line.rstrip() for line in self.lines()]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def attribute(self, x: int, y: int) -> int:
        return self.memory[(y * self.columns + x) * 2 + 1]

    def cursor(self) -> tuple[int, int] | None:
        if self.crtc.registers[0x0A] & 0x20:
            return None
        cell = self.crtc.registers[0x0E] << 8 | self.crtc.registers[0x0F]
        return cell % self.columns, cell // self.columns


MACHINE = Machine()


def shown(data: bytes | str) -> Screen:
    screen = Screen()
    screen.write(data)
    return screen


def test_it_clears_the_screen_and_takes_the_cursor_home():
    screen = Screen()
    assert screen.memory == b" \x07" * (COLUMNS * ROWS) and screen.cursor() == (0, 0)
    assert screen.crtc.registers[0x0C] == screen.crtc.registers[0x0D] == 0 and screen.driver[b"size"]() == (80, 25)


def test_text_wraps_scrolls_and_moves_the_cursor():
    screen = shown("a" * 80)
    assert screen.cursor() == (79, 0), "the cursor waits in the last column"
    screen.write("b")
    assert screen.text() == ["a" * 80, "b"] and screen.cursor() == (1, 1)
    screen = shown("".join(f"line {n}\r\n" for n in range(100)))
    assert screen.text() == [f"line {n}" for n in range(76, 100)] and screen.cursor() == (0, 24)


@pytest.mark.parametrize("sequence, attribute", [
    ("", 0x07), ("1", 0x0F), ("7", 0x70), ("31", 0x04), ("1;31", 0x0C), ("34", 0x01), ("33", 0x06), ("92", 0x0A), ("44", 0x17),
    ("41;37", 0x47), ("31;42;7", 0x42), ("1;31;0", 0x07), ("1;22", 0x07), ("31;39", 0x07), ("42;49", 0x07), ("7;27", 0x07),
    ("38;5;9", 0x0C),
    ("48;5;4", 0x17), ("38;5;200;31", 0x04), ("38;2;1;2;3;32", 0x02), ("104", 0x17), ("4", 0x07), ("999", 0x07), ("90", 0x08),
])
def test_colours(sequence, attribute):
    assert shown(f"\x1b[{sequence}mx").attribute(0, 0) == attribute


def test_utf8_becomes_the_font():
    screen = shown("Grüße π ║ █ ½ “x” – … € ☺ Ж 漢")
    assert screen.text() == ["Grüße π ║ █ ½ \"x\" - . E ☺ ? ??"], "a wide character takes two cells, as on other terminals"
    assert shown("e\u0301x").text() == ["ex"]


@pytest.mark.parametrize("text", ["Grüße │ 漢 \x1b[31mred\x1b[0m \x1b[5;7Hthere", "\x1b]0;title\x07after", "\x1b]0;t\x1b\\after",
                                  "\x1b(Bafter"])
def test_it_does_not_matter_where_output_is_cut(text):
    whole, pieces = shown(text), Screen()
    for byte in text.encode():
        pieces.write(bytes([byte]))
    assert whole.memory == pieces.memory and whole.cursor() == pieces.cursor()


@pytest.mark.parametrize("data, expected", [
    (b"\xff\xfea", ["??a"]), (b"\xc3(", ["?("]), (b"\xe2\x82", []), (b"\xe2\x82x", ["??x"]), (b"\xed\xa0\x80", ["???"]),
    (b"\xf4\x90\x80\x80", ["????"]), (b"\xc0\x80", ["??"]),
])
def test_broken_utf8_shows_a_mark_and_goes_on(data, expected):
    assert shown(data).text() == expected


@pytest.mark.parametrize("data", ["\x1b]0;title\x07", "\x1bP1$r0m\x1b\\", "\x1b[?2004h", "\x1b[?1049h", "\x1b[>4;2m",
                                  "\x1b[!p", "\x1b(0", "\x1b[6 q", "\x1b=",
                                  "\x1b[", "\x1b", "\x07", "\x00", "\x1b[1;2;3", "\x1b[200~"])
def test_what_it_does_not_know_is_not_shown(data):
    assert shown(data).text() == []


def test_queries_are_answered():
    screen = shown("\x1b[5;7H\x1b[6n\x1b[5n\x1b[c")
    assert screen.replies == b"\x1b[5;7R\x1b[0n\x1b[?1;2c"


def test_the_cursor_can_be_hidden():
    screen = shown("ab\x1b[?25l")
    assert screen.cursor() is None
    screen.write("c\x1b[?25h")
    assert screen.cursor() == (3, 0)


def test_next_line_and_restoring_what_was_never_saved():
    assert shown("ab\x1bEc\x1bDd").text() == ["ab", "c", " d"]
    screen = shown("\x1b[31;7m\x1b[5;5H\x1b8x")
    assert screen.text() == ["x"] and screen.attribute(0, 0) == 0x07


def test_without_autowrap_the_last_column_is_overwritten():
    assert shown("\x1b[?7l" + "a" * 79 + "bcd").text() == ["a" * 79 + "d"]


def test_lines_are_deleted():
    # Not left to pyte, which keeps a row when the one that should take its place was never written.
    screen = shown("one\r\ntwo\r\nthree\r\nfour\x1b[2;3H\x1b[M")
    assert screen.text() == ["one", "three", "four"] and screen.cursor() == (0, 1)
    screen = shown("1\r\n2\r\n3\r\n4\r\n5\x1b[2;4r\x1b[2;1H\x1b[2M")
    assert screen.text() == ["1", "4", "", "", "5"]
    screen.write("\x1b[5;1H\x1b[M")
    assert screen.text() == ["1", "4", "", "", "5"], "outside the region nothing happens"


def test_scroll_back():
    screen = shown("".join(f"line {n}\r\n" for n in range(100)))
    assert screen.driver[b"scroll"](10) == 10
    assert screen.text()[0] == "line 66" and screen.text()[-1] == "line 90" and screen.cursor() is None
    assert screen.driver[b"scroll_pages"](1) == 34 and screen.text()[0] == "line 42"
    assert screen.driver[b"scroll"](1000) == 76 and screen.text()[0] == "line 0"
    assert screen.driver[b"scroll_pages"](-1) == 52
    screen.write("x")
    assert screen.text()[-1] == "x" and screen.cursor() == (1, 24)
    assert screen.driver[b"scroll"](-5) == 0


def test_the_history_is_bounded_and_not_fed_by_regions():
    screen = shown("".join(f"line {n}\r\n" for n in range(2000)))
    assert screen.driver[b"scroll"](5000) == 500
    screen = shown("\x1b[2;10r\x1b[10;1H" + "x\r\n" * 50)
    assert screen.driver[b"scroll"](5) == 0
    assert shown("one\r\ntwo\x1b[H\x1b[2M").driver[b"scroll"](5) == 0


def test_a_change_writes_only_its_rows():
    screen = shown("\x1b[2J")
    seen = []
    block = screen.machine.glue[b"block"](len(screen.memory), lambda o, n: bytes(screen.memory[o:o + n]),
                                          lambda offset, data: seen.append((offset, len(data))))
    screen.driver = screen.machine.require("drivers.vga")[b"new"](
        screen.machine.parts(memory=block, crtc=screen.machine.ports(screen.crtc, 2)))
    seen.clear()
    screen.write("x\r\n\r\nyz")
    assert seen == [(0, 160), (320, 160)]
    seen.clear()
    screen.write("".join(f"{n}\r\n" for n in range(100)))
    assert len(seen) == 1, "forty rows scrolled, one write"


# --- against pyte ---

NUMBER = st.sampled_from(["", "0", "1", "2", "3", "5", "7", "12", "19", "20", "21", "99"])
WORDS = st.text(st.sampled_from("abcXYZ 01─│█é"), min_size=1, max_size=25)
MOVES = st.builds(lambda n, final: f"\x1b[{n}{final}", NUMBER, st.sampled_from("ABCDEFGPX@Ld"))
# pyte raises on other modes.
ERASURES = st.builds(lambda n, final: f"\x1b[{n}{final}", st.sampled_from(["", "0", "1", "2"]), st.sampled_from("JK"))
POSITIONS = st.builds(lambda y, x: f"\x1b[{y};{x}H", NUMBER, NUMBER)
REGIONS = st.builds(lambda top, bottom: f"\x1b[{top};{bottom}r", st.integers(1, 8), st.integers(1, 12))
COLOUR = st.builds(lambda n: f"\x1b[{n}m", st.sampled_from([0, 7, 27, 30, 31, 32, 33, 34, 35, 36, 37, 39, 40, 41, 44, 47, 49]))
CONTROLS = st.sampled_from(["\r", "\n", "\r\n", "\b", "\t", "\x1bM", "\x1b7", "\x1b8"])
OUTPUT = st.lists(st.one_of(WORDS, MOVES, ERASURES, POSITIONS, REGIONS, COLOUR, CONTROLS), max_size=25).map("".join)
SMALL_COLUMNS, SMALL_ROWS = 20, 12


class Oracle(pyte.Screen):
    """pyte with three ways of VT100 and xterm: while a wrap is pending the cursor is on the last column, not one beyond; a cursor
    outside the scrolling region is not pulled into it; what was saved can be restored again and again."""

    def save_cursor(self) -> None:
        self.saved = copy.copy(self.cursor)

    def restore_cursor(self) -> None:
        self.cursor = copy.copy(self.saved)

    def _region(self) -> tuple[int, int]:
        return self.margins or (0, self.lines - 1)

    def cursor_up(self, count: int | None = None) -> None:
        self._on_screen()
        top = self._region()[0]
        self.cursor.y = max(self.cursor.y - (count or 1), 0 if self.cursor.y < top else top)

    def cursor_down(self, count: int | None = None) -> None:
        self._on_screen()
        bottom = self._region()[1]
        self.cursor.y = min(self.cursor.y + (count or 1), self.lines - 1 if self.cursor.y > bottom else bottom)

    def _on_screen(self) -> None:
        self.cursor.x = min(self.cursor.x, self.columns - 1)

    def linefeed(self) -> None:
        self._on_screen()
        super().linefeed()

    def reverse_index(self) -> None:
        self._on_screen()
        super().reverse_index()

    def cursor_to_line(self, line: int | None = None) -> None:
        self._on_screen()
        super().cursor_to_line(line)

    def delete_characters(self, count: int | None = None) -> None:
        self._on_screen()
        super().delete_characters(count)

    def insert_characters(self, count: int | None = None) -> None:
        self._on_screen()
        super().insert_characters(count)

    def erase_characters(self, count: int | None = None) -> None:
        self._on_screen()
        super().erase_characters(count)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        self._on_screen()
        super().erase_in_line(how, private)

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        self._on_screen()
        super().erase_in_display(how, *args, **kwargs)


def pyte_attribute(cell: Any) -> int:
    def colour(name: str, default: int) -> int:
        return default if name == "default" else COLOURS.index(name)

    foreground, background = colour(cell.fg, 7), colour(cell.bg, 0)
    return foreground << 4 | background if cell.reverse else background << 4 | foreground


@given(OUTPUT)
@example("\x1b[31;44mab\x1b[2K\x1b[1;3r\x1b[3;1H\n\n")
def test_the_screen_equals_pytes(output):
    # Where nothing was saved, restoring differs: save first.
    output = "\x1b7" + output
    oracle = Oracle(SMALL_COLUMNS, SMALL_ROWS)
    pyte.Stream(oracle).feed(output)
    ours = Screen(SMALL_COLUMNS, SMALL_ROWS)
    ours.write(output)
    assert ours.lines() == oracle.display
    x, y = min(oracle.cursor.x, SMALL_COLUMNS - 1), oracle.cursor.y
    assert ours.cursor() == (x, y)
    for row in range(SMALL_ROWS):
        for column in range(SMALL_COLUMNS):
            cell = oracle.buffer[row][column]
            if cell.data != " ":
                assert ours.attribute(column, row) == pyte_attribute(cell), (column, row)


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data):
    ours = Screen(SMALL_COLUMNS, SMALL_ROWS)
    ours.write(data)
    ours.write("\x18\x1b\\\x1bc" + "ok")
    assert ours.text()[0] == "ok"


@given(st.lists(st.binary(max_size=20).map(lambda tail: b"\x1b[" + tail), max_size=20).map(b"".join))
def test_any_sequences_are_survived(data):
    Screen(SMALL_COLUMNS, SMALL_ROWS).write(data)


def test_a_huge_parameter_costs_no_more_than_the_screen():
    screen = shown("\x1b[99999999999999999999S\x1b[99999L\x1b[99999@\x1b[99999P\x1b[9999999999X\x1b[99999Mend")
    assert screen.text() == ["end"]
