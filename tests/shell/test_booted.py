"""The shell of the booted system: on the serial line, on the screen, with a real keyboard and a real store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guest import Guest

pytestmark = pytest.mark.guest

STANDS = rb"\x1b\[\?2004h> \Z"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    image = tmp_path / "shell.img"
    subprocess.run(
        [sys.executable, "-m", "khoros.diskutil.cli", "mkfs", image, "-s", "16M"],
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture
def guest(boot: Callable[..., Guest], disk: Path) -> Guest:
    guest = boot(disks=[disk])
    guest.expect(STANDS)
    return guest


def type_row(guest: Guest, text: str) -> list[str]:
    """Types a row and Enter; what stands on the screen below it, before the next prompt."""
    before = len([row for row in guest.screen() if row])
    guest.send(text + "\r")
    guest.expect(rb"\x1b\[\?2004l")
    guest.expect(STANDS)
    rows = [row for row in guest.screen() if row]
    return rows[before:-1]


def test_a_session_that_stays(guest: Guest, boot: Callable[..., Guest], disk: Path) -> None:
    banner = guest.screen()
    assert banner[0].startswith("Khoros ")
    assert banner[1].endswith("clean")
    assert type_row(guest, 'root.ship = {name = "Argo", crew = {"Jason"}}') == []
    assert type_row(guest, 'commit "first ship"')[0].startswith("t1: 3 objects, ")
    assert type_row(guest, "root.ship.crew[2] = 'Medea'") == []
    assert type_row(guest, "changes()") == ['+ root.ship.crew[2] "Medea"']
    assert type_row(guest, "nofn()") == [
        "stdin:5:1: attempt to call a nil value (global 'nofn')",
        "   1 | nofn()",
    ]
    guest.send("commit(); poweroff()\r")
    guest.wait_for_power_off()
    again = boot(disks=[disk])
    again.expect(STANDS)
    # With the history: root.shell and its list.
    assert "5 objects, clean" in again.screen()[1]
    assert type_row(again, "root.ship") == ['{crew = {"Jason", "Medea"}, name = "Argo"}']


def last_row(guest: Guest, wanted: str) -> None:
    """Waits until the last row on the screen is this one."""
    for _ in range(200):
        rows = [row for row in guest.screen() if row]
        if rows and rows[-1] == wanted:
            return
        guest.wait(0.05)
    raise AssertionError(f"wanted {wanted!r}, the screen shows {rows}")


def test_keys_completion_history_and_search(guest: Guest) -> None:
    type_row(guest, "root.ship = {name = 'Argo'}")
    guest.send("roo\t.sh\t.na\t")
    last_row(guest, "> root.ship.name")
    assert type_row(guest, "") == ["Argo"]
    guest.send("\x1b[A\x1b[A")
    last_row(guest, "> root.ship = {name = 'Argo'}")
    guest.send("\x1b[H\x1b[C\x1b[3~\x05\x17")
    last_row(guest, "> rot.ship = {name =")
    guest.send("\x03")
    guest.expect(STANDS)
    guest.send("\x12ship.")
    last_row(guest, "(search) 'ship.': root.ship.name")
    guest.send("\x07")
    last_row(guest, ">")


@pytest.mark.parametrize(
    "program",
    [
        "while true do end",
        "while true do pcall(error) end",
        "sleep(1000)",
        "repeat until pcall(nil)",
    ],
)
def test_control_c_brings_the_prompt_back(guest: Guest, program: str) -> None:
    type_row(guest, "kept = 7")
    guest.send(program + "\r")
    guest.wait(0.3)
    guest.send(b"\x03")
    guest.expect(r"interrupted")
    guest.expect(STANDS)
    assert type_row(guest, "kept") == ["7"]


def test_100_kb_pasted_arrive_whole(guest: Guest) -> None:
    body = "".join(f"t[{number}] = {number}\n" for number in range(1, 7001))
    type_row(guest, "t = {}")
    guest.send("\x1b[200~" + body + "\x1b[201~")
    guest.expect(r"t\[7000\] = 7000")
    guest.expect(STANDS)
    guest.send("print(#t .. '!' .. t[7000])\r")
    guest.expect(r"7000!7000")


def test_raw_mode(guest: Guest) -> None:
    guest.send("\x1b_khoros:raw\x1b\\")
    guest.expect(rb"x 3\nraw\n")
    guest.send(b"print('hi') return 1.5\x04")
    guest.expect(rb"^.*o 3\nhi\n\nr 3\n1\.5\nx 1\n0\n\Z")
    guest.send(b"\x02")
    guest.expect(STANDS)


def test_keyboard_and_screen(guest: Guest, tmp_path: Path) -> None:
    for key in ("a", "equal", "7", "ret"):
        guest.press(key)
    guest.expect(STANDS)
    guest.press("a")
    guest.press("ret")
    guest.expect(rb"l7\r\n")
    guest.expect(STANDS)
    guest.press("up")
    guest.expect(r"a\Z")
    assert guest.screenshot(tmp_path / "screen.png").stat().st_size > 500
