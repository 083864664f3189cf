"""The crash log: what a panic and a dead service leave for the next boot, and when it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from khoros.diskutil.launch.machine import Machine
from tests.kernel import faulty
from tests.support.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]


@dataclass(frozen=True)
class RealMachine(Machine):
    """A panic stops it, as it stops hardware: without the device by which it ends QEMU."""

    def command(self) -> list[str]:
        words = super().command()
        place = next(i for i, word in enumerate(words) if word.startswith("isa-debug-exit"))
        return words[: place - 1] + words[place + 1 :]


def text_on_the_screen(guest: Guest, folder: Path) -> str:
    """The characters in the memory of the VGA's text screen."""
    file = folder / "screen"
    guest.command("human-monitor-command", **{"command-line": f'pmemsave 0xb8000 4000 "{file}"'})
    return file.read_bytes()[::2].decode("cp437")


@pytest.mark.parametrize("kind", ["elf", "iso"])
def test_panics_and_deaths_are_there_after_a_reset(kind, tmp_path):
    guest = Guest(boot=faulty.image(kind), log=tmp_path / "guest.log")
    guest.machine = RealMachine(**guest.machine.__dict__)
    with guest:
        guest.expect_prompt()
        assert "no panic and no service that ended" in guest.enter("crashes()")
        guest.enter("kill(2)")
        guest.send("reboot 'now'\r") if kind == "iso" else guest.command("system_reset")
        guest.expect("last time: service disk ended: killed; crashes\\(\\) shows it")
        guest.expect_prompt()

        guest.send('require "system".fault()\r')
        guest.expect("KHOROS PANIC in supervisor: .*stack traceback:.*The machine is stopped")
        shown = text_on_the_screen(guest, tmp_path)
        assert "stack traceback:" in shown and "The machine is stopped" in shown
        guest.command("system_reset")
        guest.expect(
            r"last time: KHOROS PANIC in supervisor: [^\n]*injected fault; crashes\(\) shows it"
        )
        guest.expect_prompt()
        shown = guest.enter("crashes()")
        assert "service disk, killed  (2 boots ago)" in shown
        assert "panic  (the boot before)" in shown
        assert "stack traceback:" in shown
        assert "time unknown" not in shown
        assert guest.enter("crashes()[1].kind, #crashes()").endswith("service\t2")

        # Bounded: 16 entries, the oldest go.
        if kind == "elf":
            guest.enter("for _ = 1, 20 do kill(1); sleep(0.01) end", timeout=120)
            assert guest.enter("#crashes() <= 16, #crashes() > 3").endswith("true\ttrue")

        guest.enter('crashes "forget"')
        assert "no panic" in guest.enter("crashes()")
        guest.command("system_reset")
        guest.expect("Khoros 0")
        guest.expect_prompt()
        assert "last time" not in "\n".join(guest.screen()).split("Khoros 0")[-1]
