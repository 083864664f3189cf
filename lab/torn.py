"""Exercise 2: an image whose machine lost power in the middle of a commit. Which record is torn, and what was lost?"""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import khoros
from khoros.diskutil.creation import mkfs
from khoros.diskutil.device import FileDevice
from khoros.diskutil.dumping import Dump
from khoros.diskutil.frames import HEADER_BYTES
from lab.wrong import Wrong, answer_file, answer_text, copy_start

TITLE = "Find the torn record in a dump"
IMAGE_BYTES = 4 << 20
SECTOR_BYTES = 512
QUESTIONS = {
    "frame": "the byte of the image where the torn frame begins",
    "payload_crc": "the checksum that its header states for its payload",
    "sector": "the byte where the first sector begins that was not written",
    "lost": "the transaction that is lost",
}


def start(folder: Path) -> None:
    make(folder, random.SystemRandom().randrange(1 << 32))


def make(folder: Path, seed: int) -> None:
    """An image that is the work of some commits, the last of which was cut, and the form for the answer."""
    chance = random.Random(seed)
    whole = folder / "whole.img"
    mkfs(whole, IMAGE_BYTES)
    with khoros.open(whole, "r+") as image:
        for number in range(chance.randint(4, 9)):
            image.root[f"voyage {number}"] = {"log": chance.randbytes(chance.randint(1500, 6000)), "port": number}
            image.commit(f"voyage {number}")
        # As it is while it is mounted: what a power cut leaves.
        shutil.copyfile(whole, folder / "torn.img")
    whole.unlink()
    # Never its first, which has the header; what comes after a hole may have been written all the same.
    with (folder / "torn.img").open("r+b") as file:
        file.seek(chance.choice(_sectors(_frames(folder / "torn.img")[-1])[1:]))
        file.write(bytes(SECTOR_BYTES))
    copy_start("answer.txt", folder)


def check(folder: Path) -> str:
    answer = _answer(answer_text(folder, "answer.txt"))
    for name, value in solve(answer_file(folder, "torn.img")).items():
        if name not in answer:
            raise Wrong(f"answer.txt has no line for {name}: {QUESTIONS[name]}")
        if answer[name] != value:
            raise Wrong(f"{name}, {QUESTIONS[name]}, is not {answer[name]:#x}" if name != "lost" else
                        f"{name}, {QUESTIONS[name]}, is not t{answer[name]}")
    return "the frame, its checksum, the sector and the transaction"


def solve(image: Path) -> dict[str, int]:
    """The answer, from the image."""
    frame = _frames(image)[-1]
    (stated,) = [stated for name, stated, _ in frame.crcs if name == "payload crc"]
    data = image.read_bytes()
    missing = next(place for place in _sectors(frame) if not any(data[place:place + SECTOR_BYTES]))
    with khoros.open(image) as opened:
        last = int([*opened.history()][-1].id.removeprefix("t"))
    return {"frame": frame.offset, "payload_crc": stated, "sector": missing, "lost": last + 1}


def _sectors(frame: Any) -> list[int]:
    """Where the sectors of a frame begin that its header and its entries reach into."""
    (payload,) = re.findall(r"(\d+) bytes", frame.text)
    return [*range(frame.offset, frame.offset + HEADER_BYTES + int(payload), SECTOR_BYTES)]


def _frames(image: Path) -> list[Any]:
    device = FileDevice(str(image))
    try:
        return [row for row in Dump(device).rows() if row.level == "frame" and row.length]
    finally:
        device.close()


def _answer(text: str) -> dict[str, int]:
    """Lines `name = number`, hexadecimal or decimal, or a transaction `t7`."""
    found = {}
    for name, value in re.findall(r"^(\w+) *= *(\S+)", text, re.MULTILINE):
        try:
            found[name] = int(value.removeprefix("t"), 0)
        except ValueError as error:
            raise Wrong(f"answer.txt: {name} is no number: {value}") from error
    return found
