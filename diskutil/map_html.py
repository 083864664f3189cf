"""The map of an image as one HTML page: a picture whose segments lead to their frames, those to records, those to bytes.

Promise: one file that needs no network, no script and no other file; every text from the image is escaped. Each thing
is a section that shows when its link is followed. Only so many records are described, the newest; the page says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from khoros.formats import constants as C

from . import entries, sizes
from .dumping import Dump, Row, slot_row
from .errors import one_line
from .image import Image
from .map_svg import picture
from .mapping import Layout, Segment
from .places import Places
from .structures import Part

_HEX_BYTES, _PARTS_MAX, _TEXT_MAX = 16, 400, 120
_STYLE = """
body{font:14px/1.4 sans-serif;margin:1em auto;max-width:60em;padding:0 1em;color:#222;background:#fff}
svg{width:100%;height:auto} svg a{cursor:pointer}
section{display:none;border-top:2px solid #888;margin-top:1em} section:target{display:block}
table{border-collapse:collapse;width:100%} td,th{text-align:left;padding:2px 8px;vertical-align:top}
tr:nth-child(even){background:#f4f4f4} code{font-family:monospace;font-size:12px;word-break:break-all}
.live{color:#1b6e28} .index{color:#2a53a0} .old{color:#8a6414} .bad{color:#c62828;font-weight:bold}
"""


class Frame(NamedTuple):
    """A frame's row of the dump, those of its entries that are described, and how many are not."""

    row: Row
    entries: list[Row]
    left_out: int


def page(image: Image, layout: Layout, records: int) -> str:
    """The whole page, with at most `records` records described."""
    return _Page(image, layout, records).text()


class _Page:
    def __init__(self, image: Image, layout: Layout, records: int) -> None:
        self._image = image
        self._layout = layout
        self._base = image.store.device.base
        self._index_offsets = _index_offsets(layout)
        self._frames = self._newest(Dump(image.store.device), records)
        self._names = self._find_names()

    def _newest(self, dump: Dump, limit: int) -> dict[int, list[Frame]]:
        """The frames of each segment; the newest records are described, the others only counted."""
        found: dict[int, list[Frame]] = {}
        for segment in sorted(self._layout.segments, key=lambda row: -row.sequence):
            frames = _frames(dump, segment.number)
            for at in range(len(frames) - 1, -1, -1):
                rows = frames[at].entries
                kept = rows[max(len(rows) - limit, 0) :]
                limit -= len(kept)
                frames[at] = Frame(frames[at].row, kept, len(rows) - len(kept))
            found[segment.number] = frames
        return found

    def _is_live(self, row: Row) -> bool:
        pointer = self._image.store.pointer(row.id) if row.kind in entries.OBJECT_KINDS else None
        return pointer is not None and pointer.offset == row.offset

    def _use(self, row: Row) -> str:
        if row.bad:
            return "bad"
        if row.offset in self._index_offsets:
            return "index"
        return "live" if self._is_live(row) else "old"

    def _find_names(self) -> dict[int, str]:
        """Paths of the described objects that are live."""
        ids = {row.id for frames in self._frames.values() for frame in frames
               for row in frame.entries if self._is_live(row)}
        places = Places(self._image, ids, bad=lambda identity, error: None)
        owners = {identity: places.owner(identity) for identity in ids}
        return {identity: places.path(owner) for identity, owner in owners.items() if owner is not None}

    # -- the page ---------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The document."""
        title = escape(one_line(self._image.path, 100))
        parts = [
            "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f'<h1 id="top">{title}</h1>',
            f"<p>{escape(self._summary())}</p>",
            picture(self._layout, self._image.path, linked=True),
            self._table(["byte", "superblock copy", ""], self._copies()),
        ]
        for slot in self._image.store.slots:
            parts.append(self._record(slot_row(slot), f"copy-{slot.lba}", [("#top", "image")]))
        for segment in self._layout.segments:
            parts += self._segment(segment)
        return "\n".join([*parts, "</body></html>"]) + "\n"

    def _summary(self) -> str:
        frames = [frame for rows in self._frames.values() for frame in rows]
        left_out = sum(frame.left_out for frame in frames)
        described = sum(len(frame.entries) for frame in frames)
        return (f"t{self._image.transaction}, {self._image.store.object_count()} objects. Click a segment, "
                f"then a frame, then a record." + (
                    f" The {described} newest records are described, {left_out} older ones are left "
                    "out (--records)." if left_out else ""))

    def _copies(self) -> Iterator[list[str]]:
        for copy in self._layout.copies:
            text = copy.problem or f"generation {copy.generation}"
            yield [str(copy.offset + self._base),
                   _link(f"#copy-{copy.offset // C.SECTOR_BYTES}", text), ""]

    def _segment(self, segment: Segment) -> Iterator[str]:
        name = f"segment-{segment.number}"
        sums = ", ".join(f"{what} {sizes.text(getattr(segment, f'{what}_bytes'))}"
                         for what in ("live", "index", "old"))
        frames = self._frames[segment.number]
        rows = ([str(frame.row.offset + self._base),
                 _link(f"#frame-{frame.row.offset}", frame.row.text or frame.row.title),
                 _problem(frame.row)] for frame in frames)
        yield self._section(
            name, [("#top", "image")], f"segment {segment.number}",
            f"<p>{escape(segment.state)}, sequence {segment.sequence}: {sums}</p>"
            + self._table(["byte", "frame", ""], rows))
        for frame in frames:
            yield from self._frame(frame, (f"#{name}", f"segment {segment.number}"))

    def _frame(self, frame: Frame, above: tuple[str, str]) -> Iterator[str]:
        crumbs = [("#top", "image"), above]
        name = f"frame-{frame.row.offset}"
        left_out = f"<p>and {frame.left_out} records that are left out</p>" if frame.left_out else ""
        yield self._section(
            name, crumbs, f"frame at byte {frame.row.offset + self._base}",
            self._table(["byte", "record", "", "bytes"], map(self._entry, frame.entries)) + left_out
            + self._parts(frame.row))
        for row in frame.entries:
            yield self._record(row, f"record-{row.offset}", [*crumbs, (f"#{name}", "frame")])

    def _entry(self, row: Row) -> list[str]:
        use = self._use(row)
        name = self._names.get(row.id, "") if use == "live" else ""
        return [str(row.offset + self._base), _link(f"#record-{row.offset}", row.title),
                f'<span class="{use}">{use}</span> {escape(one_line(name, _TEXT_MAX))}{_problem(row)}',
                str(row.length)]

    def _record(self, row: Row, name: str, crumbs: list[tuple[str, str]]) -> str:
        text = f"<p>{escape(row.text)} {_problem(row)}</p>"
        crcs = "".join(
            f"<p>{escape(what)} {stated:#010x} {'matches' if stated == computed else '<b class=bad>is wrong</b>'}"
            "</p>" for what, stated, computed in row.crcs)
        return self._section(name, crumbs, f"{row.title} at byte {row.offset + self._base}",
                             text + crcs + self._parts(row))

    def _parts(self, row: Row) -> str:
        parts = row.parts()
        rows = ([str(row.offset + self._base + part.offset), escape(one_line(part.name, _TEXT_MAX)),
                 escape(one_line(part.text, _TEXT_MAX)), _hex(row, part)] for part in parts[:_PARTS_MAX])
        more = f"<p>and {len(parts) - _PARTS_MAX} more parts</p>" if len(parts) > _PARTS_MAX else ""
        return self._table(["byte", "part", "meaning", "bytes"], rows) + more

    # -- HTML -------------------------------------------------------------------------------------------------

    def _section(self, name: str, crumbs: list[tuple[str, str]], title: str, body: str) -> str:
        way = " › ".join(_link(*crumb) for crumb in crumbs)
        return f'<section id="{name}"><p>{way}</p><h2>{escape(title)}</h2>{body}</section>'

    def _table(self, head: list[str], rows: Iterator[list[str]]) -> str:
        cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return (f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"
                if cells else "")


def _link(target: str, text: str) -> str:
    return f'<a href="{target}">{escape(one_line(text, _TEXT_MAX))}</a>'


def _problem(row: Row) -> str:
    return f'<span class="bad">{escape(row.bad)}</span>' if row.bad else ""


def _hex(row: Row, part: Part) -> str:
    data = row.data[part.offset : part.offset + part.length]
    return f"<code>{data[:_HEX_BYTES].hex(' ')}{' …' if len(data) > _HEX_BYTES else ''}</code>"


def _frames(dump: Dump, segment: int) -> list[Frame]:
    found: list[Frame] = []
    for row in dump.segment_rows(segment, all_segments=True):
        if row.level == "frame":
            found.append(Frame(row, [], 0))
        elif row.level == "entry":
            found[-1].entries.append(row)
    return found


def _index_offsets(layout: Layout) -> set[int]:
    store = layout.store
    found = {pointer.offset for index in (store.objects, store.segments, store.transactions)
             for _, _, pointer, _ in index.pages()}
    pointer = store.superblock.pointer("checkpoint")
    return found | ({pointer.offset} if pointer is not None else set())
