"""khoros-disk fixsum: an edit with right checksums reaches the check behind them; nothing else changes."""

from __future__ import annotations

import pytest

import khoros
from khoros.diskutil import check, checksums, entries, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.dumping import Dump
from khoros.diskutil.superblock import slot_lbas
from khoros.formats import SUPERBLOCK, derive
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke
from tests.diskutil.test_history import new_disk, one_commit
from tests.diskutil.test_writer import Recorder, workload


def edit(path, old: bytes, new: bytes) -> None:
    """Change bytes of the same length, wherever they stand last."""
    assert len(old) == len(new)
    images.patch(path, path.read_bytes().rindex(old), new)


def test_an_edited_value_is_a_value(ship):
    edit(ship, b"\xa4name\xa4Argo", b"\xa4name\xa4Ogra")
    assert invoke("cat", ship, "ship.name").code == 1
    result = good("fixsum", ship)
    assert any(line.startswith("entry: ") for line in result.lines)
    assert good("cat", ship, "ship.name").text == "Ogra\n"
    assert good("check", ship).code == 0
    assert good("fixsum", ship).lines == [f"{ship}: all checksums are right"]


def test_the_edit_of_an_old_version_reaches_the_past(ship):
    data = ship.read_bytes()
    first = data.index(b"\xa4name\xa4Argo")
    images.patch(ship, first, b"\xa4name\xa4Ogra")
    good("fixsum", ship)
    assert good("cat", ship, "ship.name", "--at", "t1").text == "Ogra\n"
    assert good("cat", ship, "ship.name").text == "Argo\n"
    assert good("check", ship).code == 0


def test_an_edit_that_is_wrong_gets_its_own_error(ship):
    edit(ship, b"\x84\xa4crew", b"\x85\xa4crew")
    good("fixsum", ship)
    result = invoke("cat", ship, "ship")
    assert result.code == 1
    assert "checksum" not in result.complaint
    assert "object 2" in result.complaint


@pytest.mark.parametrize(("field", "value", "word"), [
    ("segment_count", 1 << 20, "segment_count"), ("features_incompat", 1 << 40, "features"),
    ("format_major", 9, "newer format"), ("replay_lba", 3, "replay_lba")])
def test_an_edited_superblock_gets_its_own_error(ship, field, value, word):
    for lba, _, _ in slot_lbas(ship.stat().st_size // 512):
        row = next(f for f in derive.fields(SUPERBLOCK) if f.name == field)
        images.patch(ship, lba * 512 + row.offset, value.to_bytes(row.size, "little"))
    assert "checksum" in invoke("ls", ship).complaint
    good("fixsum", ship)
    assert word in invoke("ls", ship).complaint


def test_good_images_stay_as_they_are(ship, rng):
    before = images.digest(ship)
    assert good("fixsum", ship).lines == [f"{ship}: all checksums are right"]
    assert images.digest(ship) == before
    device = Recorder(new_disk())
    workload(device, rng, 150, 12_000)  # used again and again: old frames everywhere
    assert checksums.mend(MemoryDevice(bytearray(device.data)), write=False).total() == 0


def test_every_edit_of_a_payload_leaves_only_right_checksums(rng):
    """A byte in any live entry: afterwards each structure on disk matches its checksum, and the log is whole."""
    from khoros.diskutil.writer import Writer

    device, states = MemoryDevice(new_disk()), [{}]
    writer = Writer(reader.Store(device))
    for _ in range(8):
        one_commit(writer, states, rng, 200)
    writer.close()
    good_image = bytes(device.data)
    rows = [row for row in Dump(MemoryDevice(bytearray(good_image))).rows() if row.level == "entry"
            and row.length > 40 and row.kind in entries.OBJECT_KINDS]
    for row in rng.sample(rows, min(len(rows), 20)):
        data = bytearray(good_image)
        data[row.offset + 16 + rng.randrange(row.length - 40)] ^= 1 << rng.randrange(8)
        checksums.mend(MemoryDevice(data))
        store = reader.Store(MemoryDevice(data))
        assert store.verdict == "clean"
        texts = [f.text for f in check.check(store).findings if f.error]
        assert not any("checksum" in text or "pointer says" in text for text in texts), texts
        for found in Dump(MemoryDevice(data)).rows():
            assert all(stated == computed for _, stated, computed in found.crcs)


def test_a_dry_run_changes_nothing(ship):
    edit(ship, b"\xa4name\xa4Argo", b"\xa4name\xa4Ogra")
    before = images.digest(ship)
    counts = good("fixsum", ship, "-n", "--json").json["changed"]
    assert counts["entry"] >= 1
    assert counts["superblock"] >= 1
    assert images.digest(ship) == before


def test_a_lost_geometry_is_no_reason_to_stop(ship):
    images.patch(ship, C.HEAD_LBA_ODD * 512 + 96, b"\xff\xff\xff\xff")
    good("fixsum", ship)
    assert "disagree" in invoke("ls", ship).complaint


def test_what_has_no_superblock(tmp_path):
    path = tmp_path / "zeros"
    path.write_bytes(bytes(1 << 20))
    result = invoke("fixsum", path)
    assert (result.code, "magic" in result.complaint) == (1, True)


def test_an_image_in_use_is_refused(ship):
    with khoros.open(ship, "r+"):
        assert invoke("fixsum", ship).code == 4


def test_bytes_that_are_no_value_get_their_checksum_too(ship):
    edit(ship, b"\xa4name\xa4Argo", b"\xc1" * 10)
    good("fixsum", ship)
    result = invoke("cat", ship, "ship")
    assert (result.code, "object 2" in result.complaint, "checksum" in result.complaint) == (1, True, False)
