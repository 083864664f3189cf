"""The ISO on a picture instead of VGA's text screen: with a BIOS, chosen in GRUB's menu, and under UEFI. What stands there is read
off the screen's pixels."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import creation
from tests.support import bochs
from tests.support.guest import ISO, PATIENCE_SECONDS, Guest, plain
from tests.support.picture import Font, Picture

pytestmark = pytest.mark.guest

OVMF_CODE, OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")
BOCHS_DRIVE = """ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom"""


def picture(guest: Guest, file: Path) -> Picture:
    """The screen as it is now, by QEMU's screendump."""
    guest.command("screendump", filename=str(file))
    return Picture.of_screendump(file, Font.built())


def expect_on_screen(guest: Guest, file: Path, *rows: str) -> None:
    """Waits until the last rows on the screen are these."""
    wanted = [Font.built().seen(row) for row in rows]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := picture(guest, file).text())[-len(rows):] != wanted:
        assert time.monotonic() < deadline, f"wanted {wanted}, the screen shows {seen}"
        guest.wait(0.1)


def use_it(guest: Guest, file: Path) -> None:
    """A prompt, letters of several alphabets, the keyboard, scrolling back, and the power switch."""
    guest.expect_prompt()
    guest.send('print("Привет, κόσμε → ✓")\r')
    guest.expect_prompt()
    expect_on_screen(guest, file, '> print("Привет, κόσμε → √")', "Привет, κόσμε → √", ">")
    for key in ("6", "asterisk", "7", "ret"):
        guest.press(key)
    guest.expect_prompt()
    expect_on_screen(guest, file, "> 6*7", "42", ">")
    guest.send("for n = 1, 60 do print('line ' .. n) end\r")
    guest.expect_prompt()
    expect_on_screen(guest, file, "line 59", "line 60", ">")
    guest.press("shift", "pgup")
    expect_on_screen(guest, file, "line 35", "line 36", "line 37")
    guest.send("poweroff()\r")
    guest.wait_for_power_off()


def hold_shift_until_the_menu(guest: Guest) -> None:
    """The BIOS remembers that the key is down from the moment at which it listens: pressed again and again, never let go."""
    shift = {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "shift"}}}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"GNU GRUB" not in guest.output:
        assert time.monotonic() < deadline
        guest.command("input-send-event", events=[shift])
        guest.wait(0.05)
    shift["data"]["down"] = False  # type: ignore[index]
    guest.command("input-send-event", events=[shift])


def test_a_graphics_screen_is_chosen_in_the_menu(boot, tmp_path):
    guest = boot(boot=ISO)
    hold_shift_until_the_menu(guest)
    guest.expect("graphics screen")
    guest.send("\x1b[B")
    guest.send("\x1b[B")
    guest.send("\r")
    use_it(guest, tmp_path / "screen.ppm")


# --- UEFI and Bochs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def firmware(tmp_path) -> list[str]:
    """QEMU's arguments for UEFI, with variables of the machine's own."""
    if not OVMF_CODE.exists():
        pytest.skip("ovmf is not installed")
    variables = shutil.copy(OVMF_VARIABLES, tmp_path / "variables.fd")
    return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]


@pytest.mark.slow
def test_the_iso_boots_under_uefi(boot, firmware, tmp_path):
    use_it(boot(boot=ISO, extra=firmware), tmp_path / "screen.ppm")


@pytest.mark.slow
def test_the_iso_boots_under_uefi_as_a_disk(boot, firmware, tmp_path):
    """The same file written to a USB stick."""
    stick = shutil.copy(ISO, tmp_path / "stick.img")
    machine = boot(boot=None, disks=[stick], extra=firmware)
    machine.expect_prompt()
    assert "this session lives in memory" in plain(bytes(machine.output))


@pytest.mark.slow
def test_a_bootable_disk_boots_under_uefi_and_keeps_its_store(boot, firmware, tmp_path):
    disk = tmp_path / "disk.img"
    creation.mkfs(disk, 32 << 20, bootable=True)
    machine = boot(boot=None, disks=[disk], extra=firmware)
    machine.expect_prompt()
    machine.enter("root.n = {1, 2}")
    assert "t1" in machine.enter('commit "first"')
    expect_on_screen(machine, tmp_path / "screen.ppm", "t1: 2 objects, 11 bytes", ">")
    machine.send("poweroff()\r")
    machine.wait_for_power_off()
    with khoros.open(disk) as image:
        assert image["n"] == [1, 2]


@pytest.mark.slow
def test_a_safe_start_is_chosen_in_the_menu_under_uefi(boot, firmware):
    """The menu is there for a second: a key in that second stops the clock."""
    machine = boot(boot=ISO, extra=firmware)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"safe start (" not in machine.output:
        assert time.monotonic() < deadline
        machine.wait(0.05)
    machine.press("down")
    machine.press("ret")
    machine.expect("safe start: nothing runs by itself")
    machine.expect_prompt()


@pytest.mark.slow
def test_the_iso_boots_in_bochs(tmp_path, kernel):
    shown = bochs.serial_output(tmp_path, BOCHS_DRIVE.format(iso=ISO), lambda text: text.endswith(b"> "))
    assert b"help() shows" in shown
