"""khoros-disk backup: whole, as of one transaction, with history, whatever happens to the image meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import khoros
from khoros.diskutil import backup as backups
from khoros.diskutil import check, reader, superblock
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import REPOSITORY, good, invoke

SMALL = C.SECTOR_BYTES * (C.LOG_LBA + 12 * C.SEGMENT_SECTORS_MIN + C.TAIL_BACK_EVEN)
# Commits for ever what `expected` says, and tells each number when its commit has returned.
WRITER = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "python")!r})
import khoros
with khoros.open(sys.argv[1], "r+") as image:
    number = image.transaction
    while True:
        number += 1
        image["n"] = number
        image[f"a{{number % 7}}"] = image[f"a{{number % 7}}"] if f"a{{number % 7}}" in image else {{}}
        image[f"a{{number % 7}}"]["n"] = number
        image[f"a{{number % 7}}"]["text"] = "x" * (number * 37 % 9000)
        image.commit(f"m{{number}}")
        print(number, flush=True)
"""


def assert_as_of(image: Any, number: int) -> None:
    """The state that WRITER's commit of that number left."""
    assert image["n"] == number
    for slot in range(7):
        last = number - (number - slot) % 7
        if last > 0:
            assert image[f"a{slot}"]["n"] == last
            assert image[f"a{slot}"]["text"] == "x" * (last * 37 % 9000)


def assert_whole(path: Path) -> None:
    store = reader.mount(path)
    report = check.check(store)
    assert [finding.text for finding in report.findings if finding.error] == []
    store.close()


class Writing:
    """A program that writes to an image until the block ends; `acknowledged` is the last commit that returned."""

    def __init__(self, path: Path) -> None:
        self.acknowledged = 0
        self._process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.acknowledged = int(line)

    def __enter__(self) -> Writing:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def reaches(self, number: int) -> None:
        while self.acknowledged < number:
            assert self._process.poll() is None
            time.sleep(0.001)


@pytest.mark.parametrize(("size_bytes", "moments"), [(SMALL, 20), (16 << 20, 5)],
                         ids=["used again and again", "roomy"])
def test_restored_at_random_moments_of_a_writing_loop(tmp_path, rng, size_bytes, moments):
    path, target = images.empty(tmp_path / "a.img", size_bytes), tmp_path / "backup.img"
    restored = tmp_path / "restored.img"
    numbers = []
    with Writing(path) as writing:
        for _ in range(moments):
            writing.reaches(writing.acknowledged + rng.randrange(1, 20))
            time.sleep(rng.uniform(0, 0.02))
            before = writing.acknowledged
            done = backups.backup(str(path), str(target))
            after = writing.acknowledged
            assert before <= done.transaction <= after + 1
            restored.write_bytes(target.read_bytes())
            assert_whole(restored)
            with khoros.open(restored) as image:
                assert image.transaction == done.transaction
                assert_as_of(image, done.transaction)
                oldest = image.store.oldest_transaction
                for number in {oldest, rng.randint(oldest, done.transaction)} if oldest else set():
                    assert_as_of(image.at(number), number)
            numbers.append(done.transaction)
    assert numbers == sorted(numbers)
    with khoros.open(restored, "r+") as image:
        image["after"] = "restored"
        image.commit()
    assert_whole(restored)


def test_a_copy_has_the_history(ship, tmp_path):
    target = tmp_path / "backup.img"
    assert "made" in good("backup", ship, target).text
    assert invoke("diff", ship, target).code == 0
    assert good("log", target).out == good("log", ship).out
    assert good("cat", target, "ship.fuel", "--at", "t1").text == "7\n"
    assert good("check", target).code == 0
    assert images.digest(target) != ""


def test_the_second_one_writes_only_what_changed(tmp_path):
    path, target = images.empty(tmp_path / "a.img", 16 << 20, segment_bytes=128 << 10), tmp_path / "backup.img"
    with khoros.open(path, "r+") as image:
        for number in range(40):
            image[f"n{number}"] = {"text": "x" * 50_000}
            image.commit()
    first = good("backup", path, target, "--json").json
    assert first["bytes_written"] > 2_000_000
    with khoros.open(path, "r+") as image:
        image["small"] = 1
        image.commit()
    second = good("backup", path, target, "--json").json
    assert second["incremental"]
    assert second["transaction"] == first["transaction"] + 1
    assert second["bytes_written"] < 300_000
    assert second["copied"] <= 3
    assert second["segments"] > 15
    assert good("cat", target, "small").text == "1\n"
    assert good("backup", path, target, "--json").json["bytes_written"] == 0


def test_an_earlier_backup_that_rotted_is_copied_anew(tmp_path):
    path, target = images.empty(tmp_path / "a.img", 16 << 20, segment_bytes=128 << 10), tmp_path / "backup.img"
    with khoros.open(path, "r+") as image:
        for number in range(40):
            image[f"n{number}"] = {"text": "x" * 50_000}
            image.commit()
    good("backup", path, target)
    images.flip(target, 200_000)
    assert invoke("check", target).code == 4
    good("backup", path, target)
    assert good("check", target).code == 0


def test_an_image_that_went_back_in_time(ship, tmp_path):
    """The image was restored from before the last backup, and went another way: the backup follows it."""
    target = tmp_path / "backup.img"
    old = ship.read_bytes()
    with khoros.open(ship, "r+") as image:
        for number in range(30):
            image["one way"] = {"text": "x" * 20_000, "n": number}
            image.commit()
    good("backup", ship, target)
    ship.write_bytes(old)
    with khoros.open(ship, "r+") as image:
        for number in range(14):
            image["another"] = {"text": "y" * 20_000, "n": number}
            image.commit()
    good("backup", ship, target)
    assert invoke("diff", ship, target).lines == []
    assert good("check", target).code == 0
    assert good("log", target).out == good("log", ship).out


@pytest.mark.parametrize("earlier", [True, False])
def test_a_damaged_image_is_not_backed_up(ship, tmp_path, earlier):
    target = tmp_path / "backup.img"
    if earlier:
        good("backup", ship, target)
    before = images.digest(target) if earlier else None
    images.flip(ship, ship.read_bytes().rindex(b"\xa4name\xa4Argo") + 2)
    with khoros.open(ship, "r+") as image:
        image["x"] = 1
        image.commit()
    source = images.digest(ship)
    result = invoke("backup", ship, target)
    assert (result.code, "damaged" in result.complaint) == (1, True)
    assert images.digest(ship) == source
    assert (images.digest(target) if earlier else None) == before
    assert target.exists() == earlier
    assert [name for name in tmp_path.iterdir() if "tmp" in name.name] == []


def test_what_is_no_earlier_backup_is_kept(ship, tmp_path):
    other = images.ship(tmp_path / "other.img")
    text = tmp_path / "text"
    text.write_text("once upon a time\n")
    for target in (other, text):
        before = images.digest(target)
        result = invoke("backup", ship, target)
        assert (result.code, images.digest(target)) == (5, before)
        assert "-f" in result.complaint
        good("backup", ship, target, "-f")
        assert invoke("diff", ship, target).code == 0
    assert invoke("backup", ship, ship).code == 2


def test_a_superblock_copy_that_is_lost_is_made_good(ship, tmp_path):
    slots = superblock.slot_lbas(ship.stat().st_size // 512)
    for lba, parity, _ in slots:
        if parity == 0:
            images.patch(ship, lba * 512, bytes(512))
    good("backup", ship, tmp_path / "backup.img")
    assert good("check", tmp_path / "backup.img").code == 0
    assert invoke("diff", ship, tmp_path / "backup.img").code == 0


def test_an_empty_store(empty, tmp_path):
    assert ": t0, " in good("backup", empty, tmp_path / "backup.img").text
    with khoros.open(tmp_path / "backup.img", "r+") as image:
        image["x"] = 1
        image.commit()
    assert_whole(tmp_path / "backup.img")


def test_the_copy_is_sparse(tmp_path):
    path = images.ship(tmp_path / "large.img", 1 << 36)
    good("backup", path, tmp_path / "backup.img")
    assert (tmp_path / "backup.img").stat().st_size == 1 << 36
    assert (tmp_path / "backup.img").stat().st_blocks * 512 < 4 << 20


def test_reading_is_tried_again_while_a_machine_writes(ship, monkeypatch):
    """Between two reads of a mount the machine may have written: that is no damage."""
    from khoros.diskutil.errors import StaleSuperblock

    failures = [StaleSuperblock(file="a"), StaleSuperblock(file="a")]
    real = reader.Store.__init__

    def sometimes(self, device):
        if failures:
            raise failures.pop()
        real(self, device)

    monkeypatch.setattr(reader.Store, "__init__", sometimes)
    with pytest.raises(StaleSuperblock):
        reader.mount(ship)
    monkeypatch.setattr(reader.FileDevice, "in_use", lambda self: True)
    failures.append(StaleSuperblock(file="a"))
    reader.mount(ship).close()
