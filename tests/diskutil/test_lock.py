"""QEMU's locks: a machine's image is refused here, and an image that is written here is refused there."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

import khoros
from khoros.diskutil.device import FileDevice
from khoros.diskutil.errors import InUse
from tests.diskutil import images
from tests.diskutil.commandline import invoke

QEMU = shutil.which("qemu-system-x86_64")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")


def machine(path):
    """A paused machine with the image as its disk."""
    return subprocess.Popen(
        [str(QEMU), "-display", "none", "-S", "-nodefaults", "-drive", f"file={path},format=raw,if=ide"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_until_locked(path):
    device = FileDevice(path)
    deadline = time.monotonic() + 30
    while not device.in_use() and time.monotonic() < deadline:
        time.sleep(0.02)
    locked = device.in_use()
    device.close()
    assert locked


@needs_qemu
def test_an_image_that_a_machine_has_open_can_be_read_and_not_written(ship):
    running = machine(ship)
    try:
        wait_until_locked(ship)
        before = images.digest(ship)
        with pytest.raises(InUse):
            khoros.open(ship, "r+")
        for command in (["put", ship, "x", "1"], ["rm", ship, "ship"], ["mkfs", ship, "-f", "-s", "4M"]):
            result = invoke(*command)
            assert result.code == 4
            assert "QEMU" in result.complaint
        result = invoke("ls", ship)
        assert result.code == 0
        assert "a running machine has it open" in result.complaint
        assert images.digest(ship) == before
    finally:
        running.kill()
        running.communicate()
    assert invoke("put", ship, "x", "1").code == 0


@needs_qemu
def test_a_machine_does_not_start_with_an_image_that_is_being_written(ship):
    with khoros.open(ship, "r+"):
        running = machine(ship)
        _, words = running.communicate(timeout=30)
        assert running.returncode != 0
        assert b"lock" in words


def test_readers_do_not_exclude_each_other(ship):
    with khoros.open(ship) as one, khoros.open(ship) as other:
        assert one["ship"]["fuel"] == other["ship"]["fuel"]


def test_the_lock_goes_with_the_descriptor(ship):
    FileDevice(ship, writable=True).close()
    with khoros.open(ship, "r+"):
        pass
    khoros.open(ship, "r+").close()
