"""Makes the screen's font: `font.py FONT.pf2 GLYPHS CODES`, at build time.

Input: a font in GRUB's format PF2 (GNU GRUB manual, "PFF2 font file format"), of which glyphs 8 pixels wide and 16 high are taken,
in the blocks of Unicode below. GLYPHS: 16 bytes a glyph, a byte a line, the highest bit on the left. The first 128 glyphs are those of
ASCII in their order, so that a byte of plain text is the number of its glyph; the others follow in the order of their code
points. CODES: for each run of consecutive code points from 128 on, the first (4 bytes, little endian) and how many (2 bytes).
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

WIDTH, HEIGHT = 8, 16
ASCII_GLYPHS = 128
# Letters that stand one beside the other from left to right, and signs. Nothing that combines or changes with its neighbours.
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0x2FF), (0x370, 0x482), (0x48A, 0x58F), (0x10A0, 0x10FF), (0x1D00, 0x1DBF), (0x1E00, 0x1FFF),
    (0x2010, 0x2027), (0x2030, 0x205E), (0x2070, 0x20CF), (0x2100, 0x2BFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF),
    (0xFB00, 0xFB06), (0xFFFD, 0xFFFD),
]  # fmt: skip


def sections(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Name → (offset, length) of each section; DATA, the last one, goes to the end of the file."""
    found: dict[bytes, tuple[int, int]] = {}
    position = 0
    while position + 8 <= len(data) and b"DATA" not in found:
        name, length = struct.unpack_from(">4sI", data, position)
        found[name] = (position + 8, length)
        position += 8 + length
    return found


def bitmap(data: bytes, offset: int, ascent: int) -> bytes | None:
    """The glyph at an offset as 16 bytes, None unless it fits into a cell."""
    width, height, left, bottom, advance = struct.unpack_from(">HHhhh", data, offset)
    top = ascent - bottom - height
    if advance != WIDTH or left < 0 or left + width > WIDTH or top < 0 or top + height > HEIGHT:
        return None
    size = (width * height + 7) // 8
    bits = int.from_bytes(data[offset + 10 : offset + 10 + size], "big") >> (8 * size - width * height)
    lines = bytearray(HEIGHT)
    for y in range(height):
        line = bits >> width * (height - 1 - y) & ((1 << width) - 1)
        lines[top + y] = line << (WIDTH - left - width)
    return bytes(lines)


def glyphs(data: bytes) -> dict[int, bytes]:
    """Code point → lines, of everything that is wanted and there."""
    parts = sections(data)
    if parts.get(b"FILE", (0, 0))[1] != 4 or not {b"CHIX", b"ASCE", b"DATA"} <= parts.keys():
        raise SystemExit("font.py: this is no font in GRUB's format PF2")
    (ascent,) = struct.unpack_from(">H", data, parts[b"ASCE"][0])
    start, length = parts[b"CHIX"]
    found: dict[int, bytes] = {}
    for position in range(start, start + length, 9):
        code, flags, offset = struct.unpack_from(">IBI", data, position)
        if flags == 0 and any(first <= code <= last for first, last in BLOCKS):
            lines = bitmap(data, offset, ascent)
            if lines is not None:
                found[code] = lines
    missing = [code for code in range(0x20, 0x7F) if code not in found]
    if missing:
        raise SystemExit(f"font.py: the font has no {chr(missing[0])!r} of {WIDTH} x {HEIGHT} pixels")
    return found


def runs(codes: list[int]) -> list[tuple[int, int]]:
    """(first, count) of each run of consecutive numbers; sorted in, sorted out."""
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and sum(found[-1]) == code:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((code, 1))
    return found


def main() -> None:
    """Reads, writes."""
    source, glyph_file, code_file = map(Path, sys.argv[1:])
    found = glyphs(source.read_bytes())
    others = sorted(code for code in found if code >= ASCII_GLYPHS)
    order = [*range(ASCII_GLYPHS), *others]
    glyph_file.write_bytes(b"".join(found.get(code, bytes(HEIGHT)) for code in order))
    code_file.write_bytes(b"".join(struct.pack("<IH", *run) for run in runs(others)))


if __name__ == "__main__":
    main()
