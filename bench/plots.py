"""The pictures of docs/performance.md, from what a run has measured (its JSON): SVG, by hand, small enough to be committed.

`throughput`: each of ours beside each peer, as ratios on a logarithmic scale. `growth`: how cost grows with the store.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

WIDTH, LEFT, ROW = 860, 330, 22
GOOD, BAD = "#2f8f3d", "#c62828"
COLORS = ("#4c78c8", "#2f8f3d", "#d9b36c", "#6a3d9a", "#c62828", "#444444")


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{escape(words)}</text>'.replace(" >", ">")


def document(height: float, title: str, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="12">'
    background = f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>'
    return "\n".join([head, background, text(10, 20, title, 'font-weight="bold"'), *parts, "</svg>"]) + "\n"


def throughput(results: list[dict[str, Any]], title: str) -> str:
    """A bar for each row, to the right where it is in our favour."""
    rows = [row for row in results if row["ratio"] > 0]
    reach = max(abs(math.log10(row["ratio"])) for row in rows) or 1
    middle, scale = LEFT + (WIDTH - LEFT) / 2, ((WIDTH - LEFT) / 2 - 60) / reach
    parts = [f'<line x1="{middle:.0f}" y1="30" x2="{middle:.0f}" y2="{34 + ROW * len(rows)}" stroke="#888"/>']
    for number, row in enumerate(rows):
        y, length = 34 + ROW * number, math.log10(row["ratio"]) * scale
        parts.append(text(LEFT - 10, y + 15, row["name"], 'text-anchor="end"'))
        parts.append(f'<rect x="{min(middle, middle + length):.0f}" y="{y + 3}" width="{max(abs(length), 1):.0f}" height="15" '
                     f'fill="{GOOD if length >= 0 else BAD}"/>')
        end, anchor = (middle + length + 5, "start") if length >= 0 else (middle + length - 5, "end")
        parts.append(text(end, y + 15, f"{row['ratio']:.2f}", f'text-anchor="{anchor}"'))
    return document(44 + ROW * len(rows), title, parts)


def growth(curves: list[dict[str, Any]], title: str) -> str:
    """Both axes logarithmic: objects to the right, seconds upwards."""
    names = list(dict.fromkeys(row["what"] for row in curves))
    top, height, left, width = 40, 340, 70, 560
    sizes = [math.log10(row["objects"]) for row in curves]
    costs = [math.log10(row["value"]) for row in curves]
    x0, x1, y0, y1 = min(sizes), max(sizes), math.floor(min(costs)), math.floor(max(costs)) + 1

    def place(size: float, cost: float) -> tuple[float, float]:
        return left + (size - x0) / (x1 - x0) * width, top + height - (cost - y0) / (y1 - y0) * height

    parts = []
    for power in range(int(y0), int(y1) + 1):
        _, y = place(x0, power)
        parts += [f'<line x1="{left}" y1="{y:.0f}" x2="{left + width}" y2="{y:.0f}" stroke="#ddd"/>',
                  text(left - 6, y + 4, f"{10.0**power:g} s", 'text-anchor="end"')]  # fmt: skip
    for power in range(math.ceil(x0), math.floor(x1) + 1):
        x, _ = place(power, y0)
        parts += [f'<line x1="{x:.0f}" y1="{top}" x2="{x:.0f}" y2="{top + height}" stroke="#ddd"/>',
                  text(x, top + height + 16, f"{10**power:,}", 'text-anchor="middle"')]  # fmt: skip
    for number, name in enumerate(names):
        color = COLORS[number % len(COLORS)]
        points = [place(math.log10(row["objects"]), math.log10(row["value"])) for row in curves if row["what"] == name]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts += [f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>',
                  text(left + width + 12, top + 16 + 20 * number, name, f'fill="{color}"')]  # fmt: skip
    return document(top + height + 30, title, parts)
