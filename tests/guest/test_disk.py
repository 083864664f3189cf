"""The disk under the store in the booted guest: which commands a commit is, and what a service that is killed leaves behind.

QEMU's trace of IDE commands is the witness: what the guest says about itself counts for nothing here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import khoros
from khoros.diskutil.writer import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

READ_DMA, WRITE_DMA = {0xC8, 0x25}, {0xCA, 0x35}
WRITE_PIO = {0x30, 0x34, 0xC5, 0x39}
FLUSH = {0xE7, 0xEA}
WRITES = WRITE_DMA | WRITE_PIO


def run_traced(folder: Path, code: str, *more: str) -> list[int]:
    """Runs a program in the guest on a new disk; gives the codes of the IDE commands from boot to power-off."""
    image, log = folder / "traced.img", folder / "trace"
    mkfs(image, 64 << 20, force=True)
    result = guest.run("--disk", image, "-e", code, "--", "-trace", "ide_exec_cmd", "-D", log, *more)
    assert result.returncode == 0, result.stderr.decode()
    return [int(code, 16) for code in re.findall(r"ide_exec_cmd .* cmd 0x(\w+)", log.read_text())]


def writing(commands: list[int]) -> list[str]:
    """The commands that change the disk, in order: "write" or "flush"."""
    return ["flush" if code in FLUSH else "write" for code in commands if code in WRITES | FLUSH]


def commits(count: int) -> str:
    return f"root.n = 0; commit(); for i = 1, {count} do root.n = i; commit() end"


@pytest.mark.parametrize("more", [[], ["-fw_cfg", "name=opt/khoros/options,string=dma=0"]], ids=["dma", "pio"])
def test_a_commit_of_one_object_is_one_write_and_one_flush(more, tmp_path):
    few = run_traced(tmp_path, commits(0), *more)
    many = run_traced(tmp_path, commits(50), *more)
    other = (WRITE_PIO if not more else WRITE_DMA) | (READ_DMA if more else set())
    assert not set(many) & other, "the other way of moving data was not used"
    # Mounting, the first commit and unmounting are the same in both; so is what the commits are made of.
    assert len(writing(many)) - len(writing(few)) == 2 * 50
    text = " ".join(writing(many))
    assert "write flush " * 51 in text, text


def test_a_large_commit_is_few_commands(tmp_path):
    code = 'root.big = {}; for i = 1, 200 do root.big[i] = {("x"):rep(10000) .. i} end; print(commit())'
    nothing = [command for command in run_traced(tmp_path, "commit()") if command in WRITES]
    written = [command for command in run_traced(tmp_path, code) if command in WRITES]
    assert set(written) <= WRITE_DMA
    # Two million bytes in frames of 128 KiB, a checkpoint when the store is closed.
    assert 2_000_000 // 131072 <= len(written) - len(nothing) <= 2_000_000 // 131072 + 12


def throttle(machine: guest.Guest, direction: str, bytes_a_second: int) -> None:
    limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
    limits["bps_rd" if direction == "read" else "bps_wr"] = bytes_a_second
    machine.command("block_set_io_throttle", id="victim", **limits)


def wait_for_transfers(machine: guest.Guest, log: Path, direction: str, before: int) -> None:
    """Until the controller has begun two large transfers more than `before`: the second waits for the slow disk."""
    deadline = time.monotonic() + guest.PATIENCE_SECONDS
    while large_transfers(log, direction) < before + 2:
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        machine.wait(0.05)


def large_transfers(log: Path, direction: str) -> int:
    return len(re.findall(rf"ide_dma_cb .* n=2\d\d cmd=DMA {direction.upper()}", log.read_text()))


@pytest.mark.parametrize("direction", ["write", "read"])
def test_a_service_killed_in_the_middle_of_a_transfer_leaves_a_good_disk(direction, boot, tmp_path):
    """What was acknowledged before is there, and so is what the service's next lives write."""
    image, log = tmp_path / "a.img", tmp_path / "trace"
    mkfs(image, 32 << 20)
    drive = ["-drive", f"if=none,id=drive,format=raw,file={image}"]
    device = ["-device", "ide-hd,id=victim,drive=drive,bus=ide.0,unit=0"]
    machine = boot(extra=[*drive, *device, "-trace", "ide_dma_cb", "-trace", "ide_cancel_dma_sync_remaining", "-D", str(log)])
    machine.expect_prompt()
    machine.enter("root.kept = {1}; commit()")
    for number in range(2 if direction == "write" else 1):
        before = large_transfers(log, direction)
        throttle(machine, direction, 100_000)
        if direction == "write":
            # All different: strings and pieces that are alike are stored once.
            machine.enter(f'root.big = {{}}; for i = 1, 20 do root.big[i] = {{("{number} " .. i .. ";"):rep(20000)}} end')
            machine.send("commit()\r")
            wait_for_transfers(machine, log, direction, before)
            machine.send(b"\x03")
            machine.expect_prompt()
        else:
            # The next life mounts, which reads all of the segment that is being written, and the one that follows.
            machine.enter("kill(2)")
            wait_for_transfers(machine, log, direction, before)
        machine.send("kill(2)\r")
        machine.expect("service disk ended")
        throttle(machine, direction, 0)
        # The service's line comes when it will, before or after the prompt.
        machine.expect("mounted again[^\n]*\n")
        machine.enter("1")
    assert re.search(r"t\d+", machine.enter("root.big = nil; root.after = true; print(commit())"))
    assert re.search(r"t\d+", machine.enter("root.more = {{}, {}}; print(commit())"))
    machine.send("poweroff()\r")
    assert machine.wait_for_power_off() == 0
    assert "ide_cancel_dma_sync_remaining" in log.read_text(), "no kill met a transfer under way"
    check(image)
    with khoros.open(image) as opened:
        assert opened.root["kept"][1] == 1
        assert opened.root["after"] is True
        assert len(opened.root["more"]) == 2


def check(image: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-I", "-m", "khoros.diskutil.cli", "check", image], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
