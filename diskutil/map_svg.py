"""The map of an image as an SVG picture: a bar for each segment (or several), the superblock copies above, sums below.

Needs nothing but itself: styles are inside, text is escaped. With `linked`, bars lead to `#segment-N` of the page that
holds the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from . import drawing, sizes
from .errors import one_line
from .mapping import Layout, Segment

# One for each of drawing.NAMES.
COLORS = ["#e8e8e8", "#f7f2d8", "#d9b36c", "#4c78c8", "#b7dfb0", "#71b96d", "#2f8f3d"]
_BAD, _COPY = "#c62828", "#6a3d9a"
_CELLS, _CELL, _BAR, _STEP, _LEFT, _TOP, _WIDTH = 192, 4, 12, 16, 70, 84, 860
_ROWS_MAX = 200


def picture(layout: Layout, title: str, *, linked: bool = False) -> str:
    """The whole SVG document."""
    body, y = _bars(layout, linked)
    totals = layout.totals()
    sums = ", ".join(f"{name} {sizes.text(totals[name])}"
                     for name in ("live", "index", "old", "unwritten", "free"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 30}" '
        f'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{y + 30}" fill="white"/>',
        _text(8, 18, one_line(title, 100), 'font-size="14" font-weight="bold"'),
        *_copies(layout), *_legend(), *body,
        _text(8, y + 18, f"{layout.geometry.segment_count} segments of "
                         f"{sizes.text(layout.geometry.segment_bytes)}: {sums}"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {more}>{escape(text)}</text>'.replace(" >", ">")


def _copies(layout: Layout) -> Iterator[str]:
    """The four copies, with their generations."""
    x = 8
    for copy in layout.copies:
        bad = copy.problem not in ("", "never written")
        text = copy.problem or f"generation {copy.generation}"
        yield (f'<g><title>superblock copy at byte {copy.offset}: {escape(text)}</title>'
               f'<rect x="{x}" y="30" width="10" height="10" fill="{_BAD if bad else _COPY}"/>'
               f'{_text(x + 14, 39, f"superblock, {one_line(text, 24)}")}</g>')
        x += 205


def _legend() -> Iterator[str]:
    x = 8
    for color, name in zip(COLORS, drawing.NAMES, strict=True):
        yield f'<rect x="{x}" y="56" width="10" height="10" fill="{color}" stroke="#888"/>'
        yield _text(x + 14, 65, name)
        x += 30 + 6 * len(name)


def _bars(layout: Layout, linked: bool) -> tuple[list[str], int]:
    """The bars, and the y below them. Rows without anything taken are drawn as one line of text."""
    segments = {row.number: row for row in layout.segments}
    parts: list[str] = []
    y, free = _TOP, 0
    for row in drawing.rows(layout, _CELLS, _ROWS_MAX):
        taken = [segments[n] for n in range(row.first, row.last + 1) if n in segments]
        if not taken:
            free += row.last + 1 - row.first
            continue
        y = _free_line(parts, free, y)
        free = 0
        bar = _bar(row, taken, y)
        parts.append(f'<a href="#segment-{taken[0].number}">{bar}</a>' if linked else bar)
        y += _STEP
    return parts, _free_line(parts, free, y)


def _free_line(parts: list[str], free: int, y: int) -> int:
    if not free:
        return y
    parts.append(_text(_LEFT, y + 10, f"{free} free segment{'s' if free != 1 else ''}", 'fill="#777"'))
    return y + _STEP


def _bar(row: drawing.Row, taken: list[Segment], y: int) -> str:
    name = f"segment {row.first}" if row.first == row.last else f"{row.first}-{row.last}"
    tip = "; ".join(f"segment {s.number}: {s.state}, live {sizes.text(s.live_bytes)}, index "
                    f"{sizes.text(s.index_bytes)}, old {sizes.text(s.old_bytes)}" for s in taken[:8])
    cells = "".join(
        f'<rect x="{_LEFT + first * _CELL}" y="{y}" width="{count * _CELL}" height="{_BAR}" '
        f'fill="{COLORS[sort]}"/>' for first, count, sort in drawing.runs(row.cells))
    return (f"<g><title>{escape(tip)}</title>{_text(2, y + 10, name)}{cells}"
            f'<rect x="{_LEFT}" y="{y}" width="{_CELLS * _CELL}" height="{_BAR}" fill="none" '
            f'stroke="#999" stroke-width="0.5"/></g>')
