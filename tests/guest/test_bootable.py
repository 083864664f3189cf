"""A bootable disk boots by itself, as the only disk of the machine, and keeps what is committed on it."""

from __future__ import annotations

from pathlib import Path

import pytest

import khoros
from khoros.diskutil import creation
from tests.support import bochs

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

BOCHS_DRIVE = """ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk"""


@pytest.fixture
def disk(tmp_path) -> Path:
    path = tmp_path / "disk.img"
    creation.mkfs(path, 32 << 20, bootable=True)
    return path


def test_it_boots_commits_and_is_read_on_the_host(boot, disk):
    machine = boot(boot=None, disks=[disk])
    machine.expect_prompt()
    machine.enter("root.n = {1, 2}")
    assert "t1" in machine.enter('commit "first"')
    machine.send("poweroff()\r")
    machine.wait_for_power_off()
    with khoros.open(disk, "r+") as image:
        assert image["n"] == [1, 2]
        image["host"] = "here"
        image.commit()
    machine = boot(boot=None, disks=[disk])
    machine.expect_prompt()
    assert "here" in machine.enter("root.host")


@pytest.mark.slow
def test_it_boots_in_bochs(disk, tmp_path):
    """Up to the banner that names the disk; Bochs has no keyboard here."""
    shown = bochs.serial_output(tmp_path, BOCHS_DRIVE.format(disk=disk), lambda text: b"help() shows" in text)
    assert b"0 objects, clean" in shown
