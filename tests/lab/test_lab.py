"""The lab: a right answer to each exercise passes, the starting point and wrong answers do not, and are told why."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import khoros
from khoros.diskutil.device import FileDevice
from khoros.diskutil.dumping import Dump
from lab import clock, command, journal, repair, torn
from lab.wrong import Wrong
from tests.support.guest import REPOSITORY

ANSWERS = Path(__file__).parent / "answers"
# The system's own driver answers the first exercise.
RTC = (REPOSITORY / "lua/drivers/rtc.lua").read_text()
JOURNAL = (ANSWERS / "journal.lua").read_text()


def edited(text: str, old: str, new: str) -> str:
    """An answer with a mistake in it."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


@pytest.mark.parametrize("number", command.EXERCISES)
def test_the_starting_point_is_no_answer(number, tmp_path):
    exercise = command.EXERCISES[number]
    exercise.start(tmp_path)
    with pytest.raises(Wrong):
        exercise.check(tmp_path)


# --- 1: the clock ------------------------------------------------------------------------------------------------------


def clock_with(folder: Path, source: str) -> str:
    (folder / "clock.lua").write_text(source)
    return clock.check(folder)


def test_the_systems_own_clock_driver_is_right(tmp_path):
    assert clock_with(tmp_path, RTC).startswith("26 readings")


@pytest.mark.parametrize(("old", "new", "said"), [
    ("status_b & BIT.DM ~= 0 and function(value) return value end or from_bcd", "from_bcd", "numbers in binary"),
    ("if status_b & BIT.HOURS24 ~= 0 then return number(raw) end", "if true then return number(raw) end", "hours to 12"),
    ("raw & BIT.PM ~= 0 and hours + 12 or hours", "hours + 12", "hours to 12"),
    ("return century * 100 + year end", "return 2000 + year end", "1999"),
    ("return register(REGISTER.status_a) & BIT.UIP == 0", "return true", "update"),
    ("if plausible(time) then return time end", "if true then return time end", "month 13"),
    ("local clock <const>, sleep <const> = assert", "local clock <const>, sleep <const> = 1 + assert", "attempt to"),
    ("local rtc <const> = {}", "local rtc <const> =", "unexpected symbol"),
])
def test_a_clock_with_a_mistake_is_wrong(tmp_path, old, new, said):
    with pytest.raises(Wrong) as wrong:
        clock_with(tmp_path, edited(RTC, old, new))
    assert said in str(wrong.value)


def test_a_clock_that_waits_for_ever_is_wrong(tmp_path):
    source = edited(RTC, "return waiting.poll(clock, sleep, UPDATE_SECONDS, function()",
                    "return waiting.poll(clock, sleep, 1e6, function()")
    with pytest.raises(Wrong, match="needs a timeout"):
        clock_with(tmp_path, source)


# --- 2: the torn record ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_what_dump_shows_is_the_answer(tmp_path, seed):
    torn.make(tmp_path, seed)
    shown = subprocess.run([sys.executable, "-m", "khoros.diskutil.cli", "dump", tmp_path / "torn.img"],
                           capture_output=True, text=True).stdout
    frame, = [line for line in shown.splitlines() if "payload crc" in line and "BAD" in line and "frame" in line]
    offset = int(frame.split()[0], 16)
    image = (tmp_path / "torn.img").read_bytes()
    sector = next(place for place in range(offset, offset + 8192, 512) if not any(image[place:place + 512]))
    crc, = re.findall(r"payload crc (0x\w+)", frame)
    # The commits before it, which are whole.
    last = len(re.findall(r"  commit t\d+ ", shown.split(frame)[0]))
    answer = f"frame = {offset:#x}\npayload_crc = {crc}\nsector = {sector}\nlost = t{last + 1}\n"
    (tmp_path / "answer.txt").write_text(answer)
    assert torn.check(tmp_path)
    for name in torn.QUESTIONS:
        (tmp_path / "answer.txt").write_text(re.sub(rf"(?m)^{name} = .*", f"{name} = 7", answer))
        with pytest.raises(Wrong, match=f"^{name}, "):
            torn.check(tmp_path)
    (tmp_path / "answer.txt").write_text(answer.replace("sector = ", "sector = byte "))
    with pytest.raises(Wrong, match="no number"):
        torn.check(tmp_path)


# --- 3: the commit -----------------------------------------------------------------------------------------------------


def journal_with(folder: Path, source: str) -> str:
    (folder / "journal.lua").write_text(source)
    return journal.check(folder)


def test_two_places_in_turn_survive(tmp_path):
    assert int(journal_with(tmp_path, JOURNAL).split()[0]) > 50


@pytest.mark.parametrize(("old", "new", "said"), [
    ("    disk.flush()\n", "", "which was committed"),
    ("if disk.crc32c(body) ~= sum then return nil end", "", "cut after"),
    ("local other <const> = 1 - at", "local other <const> = at", "cut after"),
    ("found.number > newest.number", "found.number >= 1", "a commit afterwards"),
    ("string.pack(\"<i8\", newest.number + 1) .. text", "string.pack(\"<i8\", 1) .. text", "a commit afterwards"),
    ("function journal.open(disk)", "function journal.close(disk)", "open"),
    ("padded(string.pack", "(string.pack", "whole sectors"),
])
def test_a_journal_with_a_mistake_is_wrong(tmp_path, old, new, said):
    with pytest.raises(Wrong, match=said):
        journal_with(tmp_path, edited(JOURNAL, old, new))


# --- 4: the image --------------------------------------------------------------------------------------------------------


def object_offset(image: Path, path: str) -> int:
    """Where the payload of an object begins."""
    with khoros.open(image) as opened:
        identity = opened.at_path(path).id
    device = FileDevice(str(image))
    try:
        row, = [row for row in Dump(device).rows() if row.level == "entry" and row.kind == 1 and row.id == identity]
    finally:
        device.close()
    return row.offset + 16


def broken_in(folder: Path, path: str) -> None:
    data = bytearray((folder / "fleet.img").read_bytes())
    data[object_offset(folder / "fleet.img", path) + 3] ^= 0x10
    (folder / "broken.img").write_bytes(data)


def repaired(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "khoros.diskutil.cli", "repair", "broken.img", "repaired.img", "-f"], cwd=folder,
                   capture_output=True)


def test_one_flipped_bit_and_a_repair(tmp_path):
    repair.start(tmp_path)
    broken_in(tmp_path, "root.fleet.pequod")
    repaired(tmp_path)
    assert repair.check(tmp_path).startswith("1 byte cost one ship")
    shutil.copy(tmp_path / "fleet.img", tmp_path / "repaired.img")
    with pytest.raises(Wrong, match=r"repair broken\.img"):
        repair.check(tmp_path)
    shutil.copy(tmp_path / "broken.img", tmp_path / "repaired.img")
    with pytest.raises(Wrong, match=r"^repaired\.img"):
        repair.check(tmp_path)
    shutil.copy(tmp_path / "fleet.img", tmp_path / "broken.img")
    with pytest.raises(Wrong, match=r"differs from fleet\.img in 0 bytes"):
        repair.check(tmp_path)
    broken_in(tmp_path, "root.fleet")
    with pytest.raises(Wrong, match=r"root\.fleet\.argo should be as it was"):
        repair.check(tmp_path)
    (tmp_path / "broken.img").write_bytes(bytes(100))
    with pytest.raises(Wrong, match="remove and insert none"):
        repair.check(tmp_path)


# --- the command ---------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main([]) == command.RIGHT
    assert len(capsys.readouterr().out.splitlines()) == len(command.EXERCISES) + 1
    for wrong in (["start"], ["check", "9"], ["solve", "1"], ["start", "1", "a", "b"]):
        assert command.main(wrong) == command.WRONG_USE
    assert command.main(["start", "3"]) == command.RIGHT
    assert capsys.readouterr().out == "lab-3: journal.lua\n"
    assert command.main(["start", "3"]) == command.NOT_YET
    assert command.main(["check", "3"]) == command.NOT_YET
    assert "not yet: cut after operation" in capsys.readouterr().err
    (tmp_path / "lab-3/journal.lua").write_text(JOURNAL)
    assert command.main(["check", "3"]) == command.RIGHT
    assert capsys.readouterr().out.startswith("right: ")
    assert command.main(["check", "3", "elsewhere"]) == command.NOT_YET
