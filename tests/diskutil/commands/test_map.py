"""khoros-disk map: terminal, SVG, HTML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

import khoros
from khoros.diskutil import mapping, reader
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke

SVG = "{http://www.w3.org/2000/svg}"


def busy(path, rng):
    """A small image that was written round its log, with live, old and free segments."""
    images.empty(path, C.SECTOR_BYTES * (64 + 8 * 256 + 24))
    with khoros.open(path, "r+") as image:
        image["keep"] = {"text": "k" * 30_000}
        for number in range(60):
            image["new"] = image["new"] if "new" in image else {}
            image["new"]["text"] = rng.randbytes(9000).hex()
            image.commit(f"m{number}")
    return path


def exact(store: reader.Store) -> dict[str, int]:
    """Live and index bytes by the slow way: every pointer."""
    from khoros.diskutil import entries

    live = sum(entries.size(pointer.payload_bytes) for _, pointer in store.ids())
    index = sum(entries.size(4096) for tree in (store.objects, store.segments, store.transactions)
                for _ in tree.pages())
    return {"live": live, "index": index}


@pytest.mark.parametrize("closed", [True, False])
def test_sums_are_exact(tmp_path, rng, closed):
    path = busy(tmp_path / "a.img", rng)
    image = khoros.open(path, "r+")
    if not closed:
        image["x"] = {"more": 1}
        image.commit()
        path = tmp_path / "b.img"
        path.write_bytes((tmp_path / "a.img").read_bytes())
    image.close()
    store = reader.mount(path)
    layout = mapping.Layout(store)
    totals, truth = layout.totals(), exact(store)
    record = store.superblock.pointer("checkpoint")
    assert record is not None
    assert totals["live"] == truth["live"]
    assert totals["index"] == truth["index"] + (record.payload_bytes + 16 + 7 & ~7)
    assert sum(totals[name] for name in ("live", "index", "old", "unwritten", "free")) == totals["total"]
    assert sum(row.live_bytes for row in layout.segments) == truth["live"]
    cells = layout.cells(layout.start, 1000, -(-totals["total"] // 1000))
    assert (int(cells.live.sum()), int(cells.pages.sum())) == (totals["live"], totals["index"])
    store.close()


def test_the_terminal(tmp_path, rng):
    path = busy(tmp_path / "a.img", rng)
    lines = good("map", path, "-w", "40").lines
    assert "8 segments of 128K" in lines[0]
    assert lines[1].count("generation") == 4
    rows = [line for line in lines if re.match(r"\d  \S{40}$", line)]
    facts = good("map", path, "--json").json
    assert [int(line.split()[0]) for line in rows] == [row["number"] for row in facts["segments"]]
    assert all(mark in "".join(rows) for mark in "█-i")
    free = sum(int(line.split()[0]) for line in lines if line.endswith(" free"))
    assert free + len(rows) == 8
    assert "live " in lines[-1]


def test_an_empty_store(empty):
    lines = good("map", empty).lines
    assert lines[1].count("never written") == 2
    assert any("free" in line for line in lines)


def test_many_segments_share_rows(tmp_path):
    path = images.ship(tmp_path / "large.img", 1 << 40)
    lines = good("map", path, "-w", "20").lines
    assert len(lines) < 50
    assert lines[2].startswith(" " * (6 - 1) + "0  ") or lines[2].split()[0] == "0"
    assert good("map", path, "--json").json["segment_count"] > 1_000_000


def test_a_bad_superblock_copy_is_shown(ship):
    images.flip(ship, C.HEAD_LBA_EVEN * 512 + 100)
    assert "bad checksum of the superblock at byte 4096" in good("map", ship).lines[1]


def test_svg_is_a_picture(tmp_path, rng):
    path = busy(tmp_path / "<&>.img", rng)
    root = ElementTree.fromstring(good("map", path, "--svg", "-").out)
    assert root.tag == f"{SVG}svg"
    texts = [node.text or "" for node in root.iter(f"{SVG}text")]
    facts = good("map", path, "--json").json
    for row in facts["segments"]:
        assert f"segment {row['number']}" in texts
    assert sum(text.startswith("superblock, generation") for text in texts) == 4
    out = tmp_path / "map.svg"
    assert good("map", path, "--svg", out).out == b""
    assert out.read_bytes().startswith(b"<svg")


class Links(HTMLParser):
    """Ids, links and resources of a page; checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.outside, self.open = [], [], [], []
        self.text: dict[str, str] = {}
        self.section = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag not in ("meta", "rect") and tag != "br":
            self.open.append(tag)
        if tag == "section":
            self.section = named["id"]
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"]] if "href" in named else []
        self.outside += [named[name] for name in ("src", "srcset", "action", "data") if name in named]
        assert not any(name.startswith("on") for name in named)
        assert tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data


def test_html_leads_down_to_a_record(ship):
    page = Links(good("map", ship, "--html", "-").out.decode())
    assert page.outside == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    with khoros.open(ship) as image:
        pointer = image.store.pointer(image["ship"].id)
    assert pointer is not None
    record = f"record-{pointer.offset}"
    frame = next(name for name in page.ids if name.startswith("frame-") and record in
                 links_of(ship, name))
    assert frame in links_of(ship, "segment-0")
    assert "segment-0" in page.ids
    assert "value of name" in page.text[record]
    assert "root.ship" in page.text[frame]
    assert "live" in page.text[frame]


def links_of(path, section: str) -> list[str]:
    text = good("map", path, "--html", "-").out.decode()
    body = text.split(f'<section id="{section}">')[1].split("</section>")[0]
    return [link[1:] for link in Links(body).links]


def test_html_escapes_what_is_in_the_image(empty):
    with khoros.open(empty, "r+") as image:
        image["<script>alert(1)</script>"] = {"</td>": "<img src=x onerror=alert(1)>"}
        image.commit("<b>message</b>")
    text = good("map", empty, "--html", "-").out.decode()
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>message" not in text
    Links(text)


def test_html_says_what_it_leaves_out(ship):
    text = good("map", ship, "--html", "-", "--records", "3").out.decode()
    assert "The 3 newest records are described" in text
    assert text.count('id="record-') == 3
    Links(text)
    assert 'id="record-' not in good("map", ship, "--html", "-", "--records", "0").out.decode()


def test_html_of_bad_bytes(ship):
    images.flip(ship, ship.read_bytes().rindex(b"\xa4name\xa4Argo"))
    page = Links(good("map", ship, "--html", "-").out.decode())
    assert any("checksum" in text for name, text in page.text.items() if name.startswith("record-"))


def test_one_form_at_a_time(ship, tmp_path):
    assert invoke("map", ship, "--svg", "-", "--json").code == 2


def test_an_output_that_cannot_be_written(ship, tmp_path):
    result = invoke("map", ship, "--svg", tmp_path / "no" / "map.svg")
    assert result.code == 7
    assert "no/map.svg" in result.complaint
    assert invoke("map", ship, "--svg", "/dev/full").code == 7
