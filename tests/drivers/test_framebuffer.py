"""lua/drivers/framebuffer over a picture in memory; glyphs are found again in its pixels. What the kernel's draw_cells does is
modelled here, pixel by pixel; tests/kernel compares the kernel's with the same model."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.support.machine import Machine
from tests.support.picture import Font, Format, Picture, draw_cells

MACHINE = Machine()
FONT = Font.built()
# As QEMU's and most machines' is; the other way round with 3 bytes; the old 5-6-5; ten bits a colour.
FORMATS = {
    "8888": (4, (16, 8), (8, 8), (0, 8)),
    "888": (3, (0, 8), (8, 8), (16, 8)),
    "565": (2, (11, 5), (5, 6), (0, 5)),
    "2101010": (4, (20, 10), (10, 10), (0, 10)),
}


class Screen:
    """A picture, its memory, and the driver."""

    def __init__(self, width: int = 640, height: int = 400, kind: str = "8888", columns: int = 80, rows: int = 25) -> None:
        pixel_bytes, red, green, blue = FORMATS[kind]
        self.format = Format(width, height, width * pixel_bytes + 64, pixel_bytes, red, green, blue)
        self.picture = Picture(self.format, bytearray(b"\xAA" * self.format.size), FONT)
        self.drawn = 0                 # cells
        block = MACHINE.block(self.picture.memory)
        block[b"draw_cells"] = self.draw_cells
        block[b"fill"] = self.fill
        self.driver = MACHINE.require("drivers.framebuffer")[b"new"](MACHINE.parts(
            memory=block, format=MACHINE.table(self.format.table()), font=MACHINE.table(FONT.table()),
            columns=columns, rows=rows))

    def fill(self, _: Any, value: int) -> None:
        self.picture.memory[:] = bytes([value]) * len(self.picture.memory)

    def draw_cells(self, _: Any, *arguments: Any) -> None:
        self.drawn += draw_cells(self.picture.memory, *arguments)

    def write(self, data: bytes | str) -> None:
        self.driver[b"write"](data.encode() if isinstance(data, str) else data)

    def text(self) -> list[str]:
        return self.picture.text()


def shown(data: bytes | str, **arguments: Any) -> Screen:
    screen = Screen(**arguments)
    screen.write(data)
    return screen


@pytest.mark.parametrize("kind", FORMATS)
def test_text_colours_and_cursor_in_every_format(kind):
    screen = shown("Grüße\x1b[1;31;44m κόσμε\x1b[0m Привет", kind=kind)
    assert screen.text() == [FONT.seen("Grüße κόσμε Привет")]
    assert screen.picture.colours(0, 0) == ((0xAA, 0xAA, 0xAA), (0, 0, 0))
    assert screen.picture.colours(6, 0) == ((0xFF, 0x55, 0x55), (0, 0, 0xAA))
    screen.write("\x1b[33mx\b")
    assert screen.picture.colours(18, 0) == ((0, 0, 0), (0xAA, 0x55, 0)), "brown, as on VGA; the cursor is its cell turned over"
    screen.write("\b")
    assert screen.picture.colours(17, 0) == ((0, 0, 0), (0xAA, 0xAA, 0xAA))
    screen.write("\x1b[?25l")
    assert screen.picture.colours(17, 0) == ((0xAA, 0xAA, 0xAA), (0, 0, 0))


@pytest.mark.parametrize("size, scale, place", [
    ((640, 400), 1, (0, 0)), ((1024, 768), 1, (192, 184)), ((1280, 800), 2, (0, 0)), ((1366, 768), 1, (363, 184)),
    ((1920, 1080), 2, (320, 140)), ((2560, 1440), 3, (320, 120)),
])
def test_it_is_as_large_as_fits_and_in_the_middle(size, scale, place):
    screen = shown("ab\r\nc", width=size[0], height=size[1])
    assert (screen.picture.scale, screen.picture.place) == (scale, place)
    assert screen.driver[b"size"]() == (80, 25) and screen.text() == ["ab", "c"]


def test_what_is_around_it_is_black():
    screen = shown("x" * 4000, width=1024, height=768)
    memory, pitch = screen.picture.memory, screen.format.pitch
    assert not any(memory[:184 * pitch]) and not any(memory[(184 + 400) * pitch:])
    for y in range(184, 184 + 400):
        line = memory[y * pitch:(y + 1) * pitch]
        assert not any(line[:192 * 4]) and not any(line[(192 + 640) * 4:])


def test_a_small_picture_has_fewer_cells():
    screen = shown("a" * 45, width=320, height=200)
    assert screen.driver[b"size"]() == (40, 12) and screen.text() == ["a" * 40, "a" * 5]
    with pytest.raises(Exception, match="too small"):
        Screen(width=7, height=200)


def test_scrolling_draws_only_what_differs():
    screen = shown("".join(f"line {n}\r\n" for n in range(100)))
    assert screen.text() == [f"line {n}" for n in range(76, 100)]
    screen.drawn = 0
    screen.write("line 100\r\n")
    # Each row's last digit, where the tens change the one before too, the new line, the cursor.
    assert screen.drawn < 40 and screen.text()[-1] == "line 100"
    screen.drawn = 0
    screen.write("x")
    assert screen.drawn == 2, "the letter, and the cursor behind it"


def test_it_scrolls_back_like_every_screen():
    screen = shown("".join(f"line {n}\r\n" for n in range(100)))
    assert screen.driver[b"scroll_pages"](1) == 24
    assert screen.text()[0] == "line 52" and screen.text()[-1] == "line 76"
    assert screen.picture.colours(0, 24)[1] == (0, 0, 0)
    screen.write("y")
    assert screen.text()[-1] == "y"


def test_letters_that_the_font_lacks_are_question_marks():
    assert shown("─║½“x”…€☺✓⠿ 漢").text() == [FONT.seen("─║½“x”…€☺√⠿ ??")], "two cells for a wide one"


def test_every_glyph_of_the_font_is_shown_for_its_letter():
    everything = [chr(code) for code in FONT.codes]
    for start in range(0, len(everything), 2000):
        part = everything[start:start + 2000]
        screen = shown("".join(part) + "\x1b[?25l")
        seen = [lines for row in screen.picture.bitmaps(paper=0) for lines in row]
        assert seen[:len(part)] == [FONT.bitmap(letter) for letter in part]


def test_the_font_has_what_people_write():
    for letters in ("ąćęłńóśźż ÀÉÎÕÜß ĞİŞ Žč", "αβγδεζηθ Ωάέ", "абвгдежзийклмнопрстуфхцчшщъыьэюя ЁёЇї", "եզէ აბგ",
                    "←↑→↓ ∀∃∈∑√∞≤≥ ⌘ ■□▲● ♠♥ ⠁ ╔═╗ ░▒▓ ₿ № ™"):
        assert [letter for letter in letters if ord(letter) not in FONT.codes and not letter.isascii()] == []


def test_the_font_is_refused_when_it_is_not_whole():
    table = FONT.table() | {"codes": FONT.table()["codes"] + struct.pack("<IH", 0x20000, 1)}
    with pytest.raises(Exception, match="not those that it lists"):
        MACHINE.require("drivers.framebuffer.font")[b"new"](MACHINE.table(table))
