"""Services that fail, a disk that vanishes, a supervisor that breaks: everyone else goes on, or says what happened."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import khoros
from khoros.diskutil.launch import program
from khoros.diskutil.launch.errors import LaunchError
from khoros.diskutil.launch.machine import Machine
from khoros.diskutil.writer import mkfs
from tests.kernel import faulty
from tests.support.guest import plain, run

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

CONSOLE, DISK = 1, 2
# Lines 14 and 15 at the second controller.
DISK_LINES = 0xC0


def explode(service: int) -> str:
    return f'require "system".send({service}, "explode")'


def masked_lines(machine) -> int:
    """The mask of the second interrupt controller."""
    shown = machine.command("human-monitor-command", **{"command-line": "info pic"})
    return int(re.search(r"pic1: .*?imr=(\w+)", shown)[1], 16)


def check(image) -> None:
    checked = subprocess.run(
        [sys.executable, "-I", "-m", "khoros.diskutil.cli", "check", image],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_services_that_throw_or_are_killed_come_back(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    machine = boot(disks=[image], boot=faulty.image())
    machine.expect_prompt()
    machine.enter("root.kept = {1}; root.other = {2}; commit()")
    machine.enter("root.other[2] = 3; commit()")

    # Who already waits for the service gets an error, the log a traceback; the next one finds the store mounted again.
    lost = machine.enter(f"root.lost = 1; {explode(DISK)}; commit()")
    assert "the disk service ended during the commit: it may be on disk or not" in lost
    said = machine.enter("#log()") + lost
    assert "service disk ended and starts again: lua/services/disk.lua" in said
    assert "exploded" in said
    assert "stack traceback:" in said
    # Ids that the earlier life gave out, and objects that were loaded before, are good in the new one.
    assert "t3: 3 objects" in machine.enter("root.kept[2] = {}; print(commit())")
    assert "t4: 1 object" in machine.enter("root.other[2] = 4; print(commit())")
    assert machine.enter("root.lost, #changes()").endswith("1\t0")

    # What only asks is asked again.
    assert machine.enter(f"{explode(DISK)}; print(#log())").endswith("4")
    assert machine.enter("kill(2)").endswith("true")

    # The fourth end within a minute: a pause, in which the interrupt lines are masked; then it is there again.
    assert masked_lines(machine) & DISK_LINES == 0
    machine.enter("kill(2)")
    assert masked_lines(machine) & DISK_LINES == DISK_LINES
    assert "t5" in machine.enter("root.after = true; print(commit())")
    assert masked_lines(machine) & DISK_LINES == 0

    # The console: serial line, screen and keyboard work in its next life, with their interrupts.
    said = machine.enter(explode(CONSOLE))
    assert "service console ended and starts again: lua/services/console.lua" in said
    assert "stack traceback:" in said
    assert machine.enter("6 * 7").endswith("42")
    machine.enter("kill(1)")
    machine.wait(0.5)  # the keyboard is started when nothing else is to be done
    machine.press("7")
    machine.expect("7")
    machine.press("ret")
    machine.expect_prompt()

    assert "service console, error" in machine.enter("crashes()")
    machine.send('poweroff "now"\r')
    assert machine.wait_for_power_off() == 0
    check(image)
    with khoros.open(image) as opened:
        assert opened.root["after"] is True
        assert opened.root["lost"] == 1
        assert (opened.root["other"][1], opened.root["other"][2]) == (2, 4)


def test_a_disk_that_vanishes_is_named_and_the_session_goes_on(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    drive = f"if=none,id=victim,format=raw,file={image}"
    machine = boot(extra=["-drive", drive, "-device", "ide-hd,drive=victim,bus=ide.0,unit=0"])
    machine.expect_prompt()
    machine.enter("root.a = {1}; commit()")
    machine.command("human-monitor-command", **{"command-line": "drive_del victim"})
    failed = machine.enter("root.a[2] = 2; commit()", timeout=120)
    assert len([row for row in failed.splitlines() if row.strip()]) == 1, failed
    assert re.search("disk|drive", failed), failed
    assert "read-only" in machine.enter("root.b = 5; commit()", timeout=120)
    assert machine.enter("root.a[2] + root.b").endswith("7")


def test_a_supervisor_error_is_a_panic_and_harms_no_store(tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    loop = """
    for number = 1, math.maxinteger do
      root.last = number
      root[number % 20 + 1] = {number}
      commit()
      print(number)
      if number == 30 then require "system".fault() end
    end
    """
    machine = Machine(boot=faulty.image(), disks=(image,), strings={"run": loop, "name": "=loop"})
    output = bytearray()
    with pytest.raises(LaunchError) as failure:
        program.run(machine, output.extend, lambda _: None, timeout=60)
    assert failure.value.exit_code == 1
    assert "the kernel panicked in supervisor: lua/kernel/calls.lua" in str(failure.value)
    assert "injected fault" in str(failure.value)
    assert "\n" not in str(failure.value).strip()
    said = plain(bytes(output))
    assert "KHOROS PANIC in supervisor" in said
    assert "stack traceback:" in said
    assert re.search(r"lua/kernel/scheduler\.lua:\d+: in ", said)
    acknowledged = max(map(int, re.findall(r"^(\d+)$", said, re.MULTILINE)))
    check(image)
    with khoros.open(image) as opened:
        assert acknowledged <= opened.root["last"] <= acknowledged + 1


def test_a_safe_start_writes_nothing(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    before = image.read_bytes()
    machine = boot(disks=[image], extra=["-append", "safe"])
    machine.expect("warning: safe start: nothing runs by itself, the store is read-only")
    machine.expect_prompt()
    assert "read-only" in machine.enter("root.a = 1; commit()")
    machine.send('poweroff "now"\r')
    assert machine.wait_for_power_off() == 0
    assert image.read_bytes() == before

    ended = run(
        "--safe", "--disk", image, "-e", "print(1) print(pcall(commit)) root.x = 1 commit()"
    )
    assert ended.stdout.startswith(b"1\n")
    assert ended.returncode == 1
    assert b"safe start: nothing runs by itself, the store is read-only" in ended.stderr
    assert image.read_bytes() == before
