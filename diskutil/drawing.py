"""The map of an image as rows of cells, whatever they are drawn with: text, SVG.

A row is a segment, or several where there are many; a cell is an equal piece of it, drawn as what most of its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .mapping import Cells, Layout

FREE, UNWRITTEN, OLD, INDEX, SPARSE, HALF, LIVE = range(7)
NAMES = ["free", "not yet written", "old (history, headers)", "index", "live, a little", "live, in part",
         "live"]
_HALF, _FULL = 0.4, 0.85


class Row(NamedTuple):
    """Segments `first` to `last` and the sorts of their cells."""

    first: int
    last: int
    cells: list[int]


def rows(layout: Layout, width: int, rows_max: int) -> Iterator[Row]:
    """The log from its start, at most `rows_max` rows of `width` cells."""
    geometry = layout.geometry
    together = -(-geometry.segment_count // rows_max)
    taken = {row.number for row in layout.segments}
    for first in range(0, geometry.segment_count, together):
        last = min(first + together, geometry.segment_count) - 1
        if not any(number in taken for number in range(first, last + 1)):
            yield Row(first, last, [FREE] * width)
            continue
        start = layout.start + first * geometry.segment_bytes
        cell_bytes = -(-(last + 1 - first) * geometry.segment_bytes // width)
        sorts = sort_cells(layout.cells(start, cell_bytes, width), cell_bytes)
        yield Row(first, last, _mark_unwritten(layout, first, last, start, cell_bytes, sorts))


def sort_cells(cells: Cells, cell_bytes: int) -> list[int]:
    """What most of each cell's bytes are."""
    import numpy

    live, used = cells.live / cell_bytes, cells.used > 0
    sorts = numpy.where(used, OLD, FREE)
    sorts = numpy.where(live > 0, SPARSE, sorts)
    sorts = numpy.where(live >= _HALF, HALF, sorts)
    sorts = numpy.where(live >= _FULL, LIVE, sorts)
    sorts = numpy.where(cells.pages > cells.live, INDEX, sorts)
    return [int(sort) for sort in sorts]


def _mark_unwritten(layout: Layout, first: int, last: int, start: int, cell_bytes: int,
                    sorts: list[int]) -> list[int]:
    """Unused cells of segments that are taken are room that the log has not reached yet."""
    size = layout.geometry.segment_bytes
    taken = {row.number for row in layout.segments if first <= row.number <= last}
    return [UNWRITTEN if sort == FREE and (start + n * cell_bytes - layout.start) // size in taken
            else sort for n, sort in enumerate(sorts)]


def runs(cells: list[int]) -> Iterator[tuple[int, int, int]]:
    """(first, count, sort) of the runs of equal cells."""
    first = 0
    for at in range(1, len(cells) + 1):
        if at == len(cells) or cells[at] != cells[first]:
            yield first, at - first, cells[first]
            first = at
