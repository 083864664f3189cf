"""The booted system on a disk that fails: QEMU's blkdebug answers an error to the n-th flush or write, or the disk is taken away.

The guest says what failed and at which LBA, commits nothing any more until it is started again, still works in memory; and what it had
acknowledged is on the disk, as the host's reader sees it. The simulator (tests/fs/test_device_errors.py) goes through every call; these
go through kernel and driver.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import khoros
from khoros.diskutil.writer import mkfs
from tests.support.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

READ_ONLY = "the store is read-only after an error: "
REPORT = "rerror=report,werror=report"
COMMITS_MOST = 60
# Mounting and the first commit's claim flush and write some, so a later one is a commit's.
FIRST_OF_COMMITS = 12
RUNS = 20


def failing(image: Path, event: str, count: int, what: str) -> list[str]:
    """The first disk, whose `count`-th event of that kind ends in an error: a chain of states, one for each before it."""
    rules = [f"set-state.{number}.{option}" for number in range(count - 1)
             for option in (f"event={event}", f"state={number + 1}", f"new_state={number + 2}")]
    rules += [f"inject-error.0.{option}" for option in (f"event={event}", f"state={count}", f"iotype={what}", "errno=5", "once=on")]
    node = ["driver=raw", "node-name=disk", "file.driver=blkdebug", "file.image.driver=file", f"file.image.filename={image}",
            *(f"file.{rule}" for rule in rules)]
    return ["-blockdev", ",".join(node), "-device", f"ide-hd,drive=disk,bus=ide.0,unit=0,{REPORT}"]


def commit_until_it_fails(guest: Guest) -> tuple[int, str]:
    """(how many commits were acknowledged, what was said of the next one)."""
    for number in range(1, COMMITS_MOST):
        said = guest.enter(f"root.number = {number} commit('number {number}')")
        if said:
            return number - 1, said
    raise AssertionError("nothing failed")


def look_at(image: Path, acknowledged: int) -> None:
    """What was acknowledged is there; what failed may be."""
    with khoros.open(image) as opened:
        assert opened.root.get("number", 0) in (acknowledged, acknowledged + 1)


def check_that_it_stays_read_only(guest: Guest, said: str) -> None:
    assert guest.enter("root.number = 1000 commit()") == READ_ONLY + said
    assert guest.enter("root.number") == "1000"
    assert guest.enter("print(info().reason)") == said


def one_error(boot, image: Path, what: str, count: int) -> None:
    mkfs(image, 4 << 20)
    guest = boot(extra=failing(image, {"flush": "flush_to_disk", "write": "write_aio"}[what], count, what))
    guest.expect_prompt()
    acknowledged, said = commit_until_it_fails(guest)
    assert acknowledged > 0
    assert f"ata0-master: {what} failed at LBA" in said and "the drive refused the command" in said
    check_that_it_stays_read_only(guest, said)
    guest.kill()
    guest.close()
    look_at(image, acknowledged)


def test_a_flush_that_fails(boot, tmp_path, rng):
    one_error(boot, tmp_path / "a.img", "flush", rng.randrange(FIRST_OF_COMMITS, FIRST_OF_COMMITS + 12))


def test_after_a_failed_commit_a_restart_goes_on(boot, tmp_path):
    """The error happens once: the next start finds a disk that works, and what was acknowledged."""
    image = tmp_path / "a.img"
    mkfs(image, 4 << 20)
    guest = boot(extra=failing(image, "write_aio", FIRST_OF_COMMITS + 3, "write"))
    guest.expect_prompt()
    acknowledged, said = commit_until_it_fails(guest)
    assert "ata0-master: write failed at LBA" in said
    check_that_it_stays_read_only(guest, said)
    # What is not committed is asked about once.
    assert "1 change is not committed" in guest.enter("reboot()")
    guest.send("reboot()\r")
    guest.expect_prompt()
    assert int(guest.enter("root.number")) in (acknowledged, acknowledged + 1)
    assert guest.enter("root.number = 7 commit()") == ""
    guest.kill()
    guest.close()
    with khoros.open(image) as opened:
        assert opened.root["number"] == 7


def test_a_disk_that_vanishes(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 4 << 20)
    guest = boot(extra=["-drive", f"if=none,id=gone,file={image},format=raw", "-device", f"ide-hd,drive=gone,bus=ide.0,unit=0,{REPORT}"])
    guest.expect_prompt()
    assert guest.enter("root.number = 1 commit()") == ""
    guest.command("human-monitor-command", **{"command-line": "drive_del gone"})
    said = guest.enter("root.number = 2 commit()")
    assert "ata0-master: write failed at LBA" in said
    check_that_it_stays_read_only(guest, said)
    # Reading from the disk fails by name as well, and the shell goes on.
    assert "ata0-master: read failed at LBA" in guest.enter("log()")
    assert guest.enter("1 + 1") == "2"
    guest.kill()
    guest.close()
    look_at(image, 1)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_errors_at_many_places(boot, tmp_path, rng):
    """KHOROS_BOOTS says how many."""
    for number in range(int(os.environ.get("KHOROS_BOOTS", RUNS))):
        one_error(boot, tmp_path / f"{number}.img", rng.choice(["flush", "write"]), rng.randrange(FIRST_OF_COMMITS, 45))
        (tmp_path / f"{number}.img").unlink()
