"""khoros-disk dump."""

from __future__ import annotations

import re

import pytest

import khoros
from khoros.diskutil import superblock
from khoros.diskutil.ordered import LuaMap
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def test_every_structure_with_its_checksum(ship):
    lines = good("dump", ship).lines
    assert sum("superblock" in line for line in lines) == 4
    for word in ("segment 0", "frame", "table 1", "table 2", "commit t1", "'burn'", "object page 0",
                 "segment page 0", "transaction page 0", "checkpoint", "system commit"):
        assert any(word in line for line in lines), word
    for line in lines:
        if not line.split("  ")[1].startswith("segment 0"):
            assert re.search(r"crc 0x[0-9a-f]{8} \[match\]", line), line


def test_head(ship):
    lines = good("dump", ship, "--head").lines
    assert not any("table 2" in line for line in lines)
    assert any("frame" in line for line in lines)


def test_bad_records_are_shown_and_the_scan_goes_on(ship):
    images.flip(ship, ship.read_bytes().rindex(b"\xa4name\xa4Argo"))
    result = invoke("dump", ship)
    assert result.code == 1
    assert "BAD" in result.text
    assert re.search(r"table 2 .*BAD", result.text)
    assert result.lines[-1].count("[match]") == 1


def test_a_bad_frame_header_is_skipped(ship):
    with khoros.open(ship, "r+") as image:
        image["x"] = 1
        image.commit()
    data = ship.read_bytes()
    frames = [at for at in range(0, len(data), 4096) if data[at : at + 8] == b"KHOROSFR"]
    images.flip(ship, frames[1] + 30)
    result = invoke("dump", ship)
    assert result.code == 1
    assert any("frame" in line and "BAD" in line for line in result.lines)
    assert any("table 2" in line for line in result.lines)
    assert result.text.count("frame ") >= len(frames) - 1


def test_hex_shows_every_byte_of_a_structure_once(ship):
    result = good("dump", ship, "root.ship", "--hex")
    rows = [line for line in result.lines if line.startswith("  0x")]
    at = None
    for line in rows:
        found = re.match(r"  0x([0-9a-f]+)  ((?:[0-9a-f]{2} ?)+)", line)
        assert found, line
        start, count = int(found[1], 16), len(found[2].split())
        if at is not None and start != at:
            assert start > at
        at = start + count
    assert any("key fuel" in line for line in rows)
    assert any("value of name" in line for line in rows)
    assert any("segment_sequence = 1" in line for line in rows)


def test_raw(ship):
    data = good("dump", ship, "root.ship", "--raw").out
    assert b"\xa4name\xa4Argo" in data
    assert data in ship.read_bytes()
    assert invoke("dump", ship, "--raw").code == 2


def test_an_offset_is_explained(ship):
    at = ship.read_bytes().index(b"\xa4name\xa4Argo") + 6
    lines = good("dump", ship, f"@{at}").lines
    assert lines[-2].strip().endswith('(5 bytes: a4 41 72 67 6f)')
    assert "value of name" in lines[-2]
    assert "an old version of object 2" in lines[-1]
    assert good("dump", ship, f"@{at:#x}").lines == lines
    result = good("dump", ship, f"@{C.HEAD_LBA_ODD * 512 + 65}")
    assert "generation" in result.lines[-2]


@pytest.mark.parametrize(("offset", "word"), [(0, "before the log"), (5000 + 200, "before the log"),
                                              ((4 << 20) - 1, "after the last segment")])
def test_bytes_that_are_nothing(ship, offset, word):
    assert word in good("dump", ship, f"@{offset}").text


def test_every_offset_is_explained(ship, rng):
    size = ship.stat().st_size
    for offset in [rng.randrange(size) for _ in range(20)] + [rng.randrange(200_000) for _ in range(40)]:
        assert good("dump", ship, f"@{offset}").out


@pytest.mark.parametrize("what", ["@", "@x", "@99999999999", "@-1", "root.nowhere", "ship.fuel"])
def test_what_is_nowhere(ship, what):
    result = invoke("dump", ship, what)
    assert result.code in (2, 3)
    assert len(result.err.splitlines()) == 1


def test_json(ship):
    rows = good("dump", ship, "--json", "--hex").json["structures"]
    assert [row["level"] for row in rows[:4]] == ["superblock"] * 4
    assert all(crc["match"] for row in rows for crc in row["crcs"])
    magic = next(part for part in rows[0]["parts"] if part["name"] == "magic")
    assert bytes.fromhex(magic["hex"]) == b"KHOROSSB"


def test_without_any_superblock_the_frames_are_found(ship):
    for lba, _, _ in superblock.slot_lbas(ship.stat().st_size // 512):
        images.patch(ship, lba * 512, bytes(512))
    result = invoke("dump", ship)
    assert result.code == 1
    assert any("table 2" in line for line in result.lines)
    assert any("commit t2" in line for line in result.lines)


def test_free_segments_only_on_demand(ship):
    assert good("dump", ship, "-a").lines == good("dump", ship).lines


def test_a_place_as_it_was(ship):
    then, now = (good("dump", ship, "ship", *words).text for words in (["--at", "t1"], []))
    assert then != now
    assert "table 2" in then
    assert invoke("dump", ship, "--at", "t1").code == 2
    assert invoke("dump", ship, "@4096", "--at", "t1").code == 2


def last_place(ship, offset):
    facts = good("dump", ship, f"@{offset}", "--json").json
    assert good("dump", ship, f"@{offset}").lines[-1] == f"byte {offset}: {facts['place']}"
    return facts["place"]


def test_what_an_entry_is_to_the_store(ship):
    data = ship.read_bytes()
    first, last = data.index(b"\xa4name\xa4Argo"), data.rindex(b"\xa4name\xa4Argo")
    assert last_place(ship, last) == "object 2 as it is now: root.ship"
    assert "an old version of object 2, which stands at byte" in last_place(ship, first)
    good("rm", ship, "ship")
    assert "nothing leads to" not in last_place(ship, data.index(b"\x92\xa5Jason"))
    good("rm", ship, "crew")
    assert last_place(ship, data.index(b"\x92\xa5Jason")) == "object 3 as it is now, which nothing leads to"
    good("gc", ship)
    assert last_place(ship, last) == "object 2, which exists no longer"


def test_pages_checkpoints_and_padding(ship):
    with khoros.open(ship) as image:
        store = image.store
        page, record = store.objects.root, store.superblock.pointer("checkpoint")
        assert page is not None and record is not None
    assert last_place(ship, page.offset + 16) == "a page of a current index"
    assert last_place(ship, page.offset + 16 + 4000) == "a page of a current index"
    assert "unused" in good("dump", ship, f"@{page.offset + 16 + 4000}").text
    assert last_place(ship, record.offset) == "the newest checkpoint"
    good("put", ship, "x", "1")
    assert last_place(ship, page.offset + 16) == "a page of an index of the past"
    assert last_place(ship, record.offset) == "a checkpoint of the past"
    frame = ship.read_bytes().index(b"KHOROSFR")
    assert last_place(ship, frame + 4095) == "padding after the entries of a frame"


def test_a_partitioned_disk(tmp_path):
    from tests.diskutil.test_partition import DISKS

    path = tmp_path / "disk.img"
    path.write_bytes(DISKS["gpt"]())
    good("mkfs", path)
    for offset, words in [(3, "boot code"), (442, "disk signature"), (470, "entry 2 of the MBR"),
                          (511, "signature"), (512, "header of the first copy"), (1300, "entry 3 of the first"),
                          (50 * 512, "partition 1"), (200 * 512, "between"),
                          (19_999 * 512, "header of the second copy")]:
        assert "outside of the store: " in last_place(path, offset)
        assert words in last_place(path, offset), offset
    assert "superblock" in good("dump", path, f"@{2048 * 512 + 16 * 512}").text


def parts_cover(row) -> bool:
    """Whether the parts of a structure are all of its bytes, each once."""
    at = row["offset"]
    for part in row["parts"]:
        if part["length"] and part["offset"] != at:
            return False
        at += part["length"]
    return at >= row["offset"] + row["length"] or row["level"] in ("segment", "frame")


def test_every_byte_of_every_structure_has_a_meaning(tmp_path):
    """Tables, trees, ordered maps, long strings, pages, checkpoints, commits: byte for byte."""
    path = images.empty(tmp_path / "a.img", 16 << 20)
    with khoros.open(path, "r+") as image:
        image["table"] = {f"key {n}": n for n in range(9000)}
        image["list"] = [f"value {n}" for n in range(9000)]
        image["numbers"] = list(range(100))
        image["map"] = LuaMap({n: {} if n == 5 else n for n in range(2000)})
        image["text"] = "abcdefgh" * 12_000
        image["odd"] = {1.5: b"\xff", True: {}, "x": float("nan")}
        image.commit("all kinds")
    rows = good("dump", path, "--json", "--hex").json["structures"]
    kinds = {row["what"].rsplit(" ", 1)[0] for row in rows}
    assert {"table", "tree", "tree node", "map", "map node", "checkpoint", "object page", "segment page",
            "transaction page", "superblock", "frame"} <= kinds
    for row in rows:
        assert parts_cover(row), row["what"]
        assert all("not canonical" not in part["text"] for part in row["parts"])


def test_bytes_that_are_no_table_are_taken_apart_all_the_same(ship):
    images.patch(ship, ship.read_bytes().rindex(b"\x84\xa4crew"), b"\x85")
    good("fixsum", ship)
    text = invoke("dump", ship, "--hex").text
    assert "not canonical" in text
    assert '"Argo"' in text
