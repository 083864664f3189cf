"""The prompt of the booted system: on the serial line, on the screen with its keyboard, and from the ISO."""

from __future__ import annotations

import pytest

from khoros.diskutil.writer import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]


def test_the_prompt_evaluates_and_remembers_across_a_power_off(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 8 << 20)
    machine = boot(disks=[image])
    machine.expect_prompt()
    assert machine.enter("1 + 1") == "2"
    machine.enter('root.ship = {name = "Argo"}')
    assert "t1" in machine.enter("commit()")
    machine.send("poweroff()\r")
    assert machine.wait_for_power_off() == 0

    again = boot(disks=[image])
    again.expect_prompt()
    assert again.enter("root.ship.name") == "Argo"


def test_the_iso_boots_under_seabios_to_the_prompt(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 8 << 20)
    machine = boot(disks=[image], boot=guest.ISO)
    machine.expect_prompt()
    assert machine.enter("6 * 7") == "42"
    assert machine.enter("root.x == nil") == "true"


def test_without_a_disk_there_is_a_prompt_and_a_warning(boot):
    machine = boot()
    machine.expect("memory")
    machine.expect_prompt()
    assert machine.enter("1 + 1") == "2"


def test_the_keyboard_types_too(boot):
    machine = boot()
    machine.expect_prompt()
    for key in ("4", "shift-8", "5", "ret"):
        machine.press(*key.split("-"))
    machine.expect("20")
    machine.expect_prompt()


def test_reboot_comes_back_to_the_prompt(boot, tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 8 << 20)
    machine = boot(disks=[image])
    machine.expect_prompt()
    machine.enter("root.x = 5; commit()")
    machine.send("reboot()\r")
    machine.expect("Khoros")
    machine.expect_prompt()
    assert machine.enter("root.x") == "5"
