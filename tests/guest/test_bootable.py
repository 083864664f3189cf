"""A bootable disk boots by itself, as the only disk of the machine, and keeps what is committed on it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import creation
from tests.support.guest import PATIENCE_SECONDS

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

BOCHS = """
megs: 64
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
com1: enabled=1, mode=file, dev={com1}
log: {log}
panic: action=fatal
display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=0
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
"""


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
    program = shutil.which("bochs")
    if program is None or not Path("/usr/share/bochs/VGABIOS-lgpl-latest").exists():
        pytest.skip("bochs and bochsbios are not installed")
    com1 = tmp_path / "com1"
    (tmp_path / "bochsrc").write_text(BOCHS.format(disk=disk, com1=com1, log=tmp_path / "log"))
    (tmp_path / "continue").write_text("c\n")
    bochs = subprocess.Popen(
        [program, "-q", "-f", tmp_path / "bochsrc", "-rc", tmp_path / "continue"], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (com1.exists() and b"help() shows" in com1.read_bytes()):
            assert time.monotonic() < deadline and bochs.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.2)
    finally:
        bochs.kill()
        bochs.wait()
    assert b"0 objects, clean" in com1.read_bytes()
