"""A linear framebuffer as a test sees it: the kernel's draw_cells, modelled, and text found again in pixels.

    picture = Picture(format, memory, Font.built())
    picture.text()                    # rows as strings, whatever their colours
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BUILD = Path(__file__).resolve().parents[2] / "build" / "kernel"
WIDTH, LINES, COLUMNS, ROWS = 8, 16, 80, 25
ASCII_GLYPHS = 128
Channel = tuple[int, int]       # shift, bits
Colour = tuple[int, int, int]


class Font:
    """The font as kernel/font.py leaves it."""

    def __init__(self, glyphs: bytes, codes: bytes) -> None:
        self.glyph_bytes, self.code_bytes = glyphs, codes
        self.codes: dict[int, int] = {}
        glyph = ASCII_GLYPHS
        for first, count in struct.iter_unpack("<IH", codes):
            for code in range(first, first + count):
                self.codes[code] = glyph
                glyph += 1

    @classmethod
    def built(cls) -> Font:
        """What the build has made."""
        return cls((BUILD / "font.glyphs").read_bytes(), (BUILD / "font.codes").read_bytes())

    def table(self) -> dict[str, bytes]:
        """core.font."""
        return {"glyphs": self.glyph_bytes, "codes": self.code_bytes}

    def bitmap(self, letter: str) -> bytes:
        """The lines of a character that the font has."""
        glyph = ord(letter) if letter.isascii() else self.codes[ord(letter)]
        return self.glyph_bytes[glyph * LINES:(glyph + 1) * LINES]

    def seen(self, text: str) -> str:
        """A text as it is read from a picture, where an A is an A, whether Latin, Greek or Cyrillic."""
        return "".join(self.letters[self.bitmap(letter)] for letter in text)

    @cached_property
    def letters(self) -> dict[bytes, str]:
        """Lines → character; of those that look the same, that with the lowest code."""
        known: dict[bytes, str] = {}
        for code in [*range(0x20, 0x7F), *self.codes]:
            known.setdefault(self.bitmap(chr(code)), chr(code))
        return known


@dataclass
class Format:
    """core.framebuffer."""

    width: int
    height: int
    pitch: int
    pixel_bytes: int
    red: Channel
    green: Channel
    blue: Channel

    @property
    def size(self) -> int:
        return self.pitch * self.height

    def table(self) -> dict[str, Any]:
        channels = {name: dict(zip(("shift", "bits"), getattr(self, name), strict=True)) for name in ("red", "green", "blue")}
        return {"width": self.width, "height": self.height, "pitch": self.pitch, "pixel_bytes": self.pixel_bytes, **channels}

    def colour(self, pixel: int) -> Colour:
        """A pixel as red, green and blue from 0 to 255, rounded as few bits are."""
        values = []
        for shift, bits in (self.red, self.green, self.blue):
            value = pixel >> shift & (1 << bits) - 1
            # The sixteen colours are made of multiples of 0x55, which any number of bits from 5 on tells apart.
            values.append(round(value / ((1 << bits) - 1) * 3) * 0x55)
        return values[0], values[1], values[2]


def draw_cells(memory: bytearray, offset: int, cells: bytes, before: bytes | None, glyphs: bytes, lines: int,
               palette: bytes, pitch: int, pixel_bytes: int, scale: int) -> int:
    """What block:draw_cells of the kernel does; gives how many cells it drew."""
    drawn = 0
    for place in range(0, len(cells), 4):
        if before is not None and before[place:place + 4] == cells[place:place + 4]:
            continue
        drawn += 1
        glyph, attribute = struct.unpack_from("<HH", cells, place)
        paper, ink = (palette[4 * index:4 * index + pixel_bytes] for index in (attribute >> 4 & 15, attribute & 15))
        at = offset + place // 4 * WIDTH * scale * pixel_bytes
        for line in glyphs[glyph * lines:(glyph + 1) * lines]:
            pixels = b"".join((ink if line >> 7 - x & 1 else paper) * scale for x in range(WIDTH))
            for _ in range(scale):
                memory[at:at + len(pixels)] = pixels
                at += pitch
    return drawn


class Picture:
    """Pixels in memory, with the text screen that the driver lays out in them: at `place`, which a caller may say otherwise."""

    def __init__(self, form: Format, memory: bytearray, font: Font) -> None:
        self.format, self.memory, self.font = form, memory, font
        self.columns = min(COLUMNS, form.width // WIDTH)
        self.rows = min(ROWS, form.height // LINES)
        if self.columns and self.rows:
            self.scale = min(8, form.width // (self.columns * WIDTH), form.height // (self.rows * LINES))
            self.place = ((form.width - self.columns * WIDTH * self.scale) // 2,
                          (form.height - self.rows * LINES * self.scale) // 2)

    @classmethod
    def of_screendump(cls, file: Path, font: Font) -> Picture:
        """What QEMU's `screendump` wrote, a PPM."""
        magic, width, height, most = file.read_bytes().split(maxsplit=4)[:4]
        assert (magic, most) == (b"P6", b"255")
        form = Format(int(width), int(height), 3 * int(width), 3, (0, 8), (8, 8), (16, 8))
        # A pixel that is white space to split would have gone with the header.
        return cls(form, bytearray(file.read_bytes()[-form.size:]), font)

    def _cells(self, place: tuple[int, int] | None = None) -> npt.NDArray[np.int64]:
        """Pixels by row, column, line and place in the line, one for each square of `scale`."""
        form, scale, (left, top) = self.format, self.scale, place or self.place
        lines = np.frombuffer(self.memory, np.uint8).reshape(form.height, form.pitch)[:, :form.width * form.pixel_bytes]
        parts = lines.reshape(form.height, form.width, form.pixel_bytes).astype(np.int64)
        pixels = sum(parts[:, :, place] << 8 * place for place in range(form.pixel_bytes))
        height, width = self.rows * LINES * scale, self.columns * WIDTH * scale
        squares = pixels[top:top + height, left:left + width].reshape(height // scale, scale, width // scale, scale)
        assert (squares == squares[:, :1, :, :1]).all(), "a square of a glyph is not of one colour"
        cells = squares[:, 0, :, 0].reshape(self.rows, LINES, self.columns, WIDTH)
        return cells.transpose(0, 2, 1, 3)

    def bitmaps(self, paper: int | None = None, place: tuple[int, int] | None = None) -> list[list[bytes]]:
        """The lines of each cell's glyph; without a given paper it is of the two colours that which makes a glyph of the font."""
        cells = self._cells(place)
        least, most = cells.min((2, 3), keepdims=True), cells.max((2, 3), keepdims=True)
        assert ((cells == least) | (cells == most)).all(), "a cell has more than two colours"
        one, other = (np.packbits(cells != (least if paper is None else paper), axis=3), np.packbits(cells != most, axis=3))
        found = []
        for row in range(self.rows):
            line = []
            for column in range(self.columns):
                lines = one[row, column].tobytes()
                if paper is None and lines not in self.font.letters:
                    lines = other[row, column].tobytes()
                line.append(lines)
            found.append(line)
        return found

    def text(self, place: tuple[int, int] | None = None) -> list[str]:
        """Rows without blanks at their ends and without empty rows below. Look-alikes are the first of them: see Font.seen."""
        rows = ["".join(self.font.letters[lines] for lines in row).rstrip() for row in self.bitmaps(place=place)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def colours(self, column: int, row: int, place: tuple[int, int] | None = None) -> tuple[Colour, Colour]:
        """Ink and paper of a cell with two colours; the paper is that of the corner, which no letter fills."""
        cell = self._cells(place)[row, column]
        (ink,) = {int(shade) for shade in np.unique(cell)} - {int(cell[0, 0])}
        return self.format.colour(ink), self.format.colour(int(cell[0, 0]))
