"""`khoros-disk map`: draws what lies where, in the terminal, as SVG, or as one HTML page down to single records."""

from __future__ import annotations

import shutil
from typing import Any

import click

from .. import drawing, sizes
from ..mapping import Layout
from . import options
from .opening import open_image
from .output import write_output

# Character and colour of each sort of cell, in the order of drawing.NAMES.
_GLYPHS = [("·", "bright_black"), (".", "bright_black"), ("-", "yellow"), ("i", "blue"), ("░", "green"),
           ("▒", "green"), ("█", "green")]
_ROWS_MAX = 40
_WIDTH_LEAST, _WIDTH_PIPED = 16, 64


@click.command("map")
@options.reading_options()
@click.option("--svg", metavar="FILE", help="Write an SVG picture (- for stdout).")
@click.option("--html", metavar="FILE", help="Write one HTML page on which one can click down to a record.")
@click.option("--records", type=click.IntRange(0), default=2000, show_default=True,
              help="At most so many records in the HTML page, the newest.")
@click.option("-w", "--width", type=click.IntRange(_WIDTH_LEAST, 1000),
              help="Cells of a row; the terminal's width without it.")
def command(image: str, svg: str | None, html: str | None, records: int, width: int | None,
            as_json: bool) -> None:
    """Draw IMAGE: superblocks, segments, and in them what is live, index, old, not yet written, free.

    A row is a segment, or several of a large image; each cell is drawn as what most of it is.
    """
    if (svg is not None) + (html is not None) + as_json > 1:
        raise click.UsageError("Choose one of --svg, --html and --json.")
    with open_image(image) as opened:
        layout = Layout(opened.store)
        if as_json:
            options.print_json(options.document("map", image=image, **_facts(layout)))
        elif svg is not None:
            from ..map_svg import picture

            write_output(svg, picture(layout, image).encode())
        elif html is not None:
            from ..map_html import page

            write_output(html, page(opened, layout, records).encode())
        else:
            _print(image, layout, width)


def _facts(layout: Layout) -> dict[str, Any]:
    geometry = layout.geometry
    return {"segment_bytes": geometry.segment_bytes, "segment_count": geometry.segment_count,
            "log_offset": layout.start, "log_end_offset": layout.log_end, "bytes": layout.totals(),
            "superblocks": [copy._asdict() for copy in layout.copies],
            "segments": [{**row._asdict(), "old_bytes": row.old_bytes} for row in layout.segments]}


def _print(image: str, layout: Layout, width: int | None) -> None:
    geometry = layout.geometry
    click.echo(f"{options.styled(image, bold=True)}: {geometry.segment_count} segments of "
               f"{sizes.text(geometry.segment_bytes)}, log from byte {layout.start}")
    click.echo(f"superblock copies: {', '.join(map(_copy_text, layout.copies))}")
    digits = len(str(geometry.segment_count - 1))
    cells = width or max(_width() - digits - 2, _WIDTH_LEAST)
    pending = 0
    for row in drawing.rows(layout, cells, _ROWS_MAX):
        if all(sort == drawing.FREE for sort in row.cells):
            pending += row.last + 1 - row.first
            continue
        _print_free(pending, digits)
        pending = 0
        click.echo(f"{row.first:>{digits}}  {''.join(_run(*run) for run in drawing.runs(row.cells))}")
    _print_free(pending, digits)
    legend = "  ".join(f"{options.styled(glyph, fg=color)} {name}" for (glyph, color), name in zip(
        _GLYPHS, drawing.NAMES, strict=True))
    click.echo(legend)
    totals = layout.totals()
    parts = [f"{name} {sizes.text(totals[name])} ({100 * totals[name] / totals['total']:.1f} %)"
             for name in ("live", "index", "old", "unwritten", "free")]
    click.echo(", ".join(parts))


def _copy_text(copy: Any) -> str:
    text = copy.problem or f"generation {copy.generation}"
    bad = copy.problem and copy.problem != "never written"
    return f"{options.styled(text, fg='red' if bad else None)} at byte {copy.offset}"


def _width() -> int:
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_PIPED


def _run(first: int, count: int, sort: int) -> str:
    glyph, color = _GLYPHS[sort]
    return options.styled(glyph * count, fg=color)


def _print_free(count: int, digits: int) -> None:
    if count:
        click.echo(f"{'':>{digits}}  {options.styled(f'{count} free', fg='bright_black')}")
