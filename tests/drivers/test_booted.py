"""The drivers on QEMU's emulated hardware. One boot a test, each well under a second on a quiet machine."""

from __future__ import annotations

import datetime
import re
import struct
from pathlib import Path

import google_crc32c
import pytest

from tests.drivers import booted

SECTOR = 512


def crc(data: bytes) -> str:
    return f"{google_crc32c.value(data):08x}"


def rewritten(disk: int, sectors: int) -> bytes:
    """What guest/cases/disks.lua writes."""
    return b"".join(struct.pack("<QQ", lba, disk) * 32 for lba in range(sectors))


def ide(path: Path, index: int) -> list[str]:
    return ["-drive", f"file={path},format=raw,if=ide,index={index}"]


PIO = "PIO 32-bit, 16 sectors a block"


@pytest.mark.parametrize(("case", "way"), [("disks", "DMA"), ("disks pio", PIO)])
def test_four_disks_on_two_channels(case, way, tmp_path, rng):
    arguments, sums = [], []
    sectors = [1024 + 100 * index for index in range(4)]
    for index, count in enumerate(sectors):
        data = rng.randbytes(count * SECTOR)
        sums.append(crc(data))
        path = tmp_path / f"{index}.img"
        path.write_bytes(data)
        arguments += ide(path, index)
    result = booted.run(case, *arguments)
    result.assert_well()
    assert [kind for _, _, kind, _ in result.values("found")] == ["disk"] * 4
    assert [found for _, found in result.values("crc")] == sums
    assert all(text.endswith(f"LBA48, {way}") for (text,) in result.values("disk"))
    for index, count in enumerate(sectors):
        assert (tmp_path / f"{index}.img").read_bytes() == rewritten(index + 1, count)


@pytest.mark.parametrize(
    ("machine", "way"),
    [
        # No PCI, so no bus master; memory that 32 bits of address do not reach; a controller in a slot of its own.
        (["-M", "isapc", "-cpu", "max"], PIO),
        (["-m", "6G"], "DMA"),
        (["-M", "q35", "-device", "piix4-ide,id=ide"], "DMA"),
    ],
    ids=["without PCI", "above 4 GiB", "q35"],
)
def test_a_disk_in_other_machines(machine, way, tmp_path, rng):
    path = tmp_path / "disk.img"
    data = rng.randbytes(3000 * SECTOR)
    path.write_bytes(data)
    disk = ide(path, 0)
    if "q35" in machine:
        disk = ["-drive", f"file={path},format=raw,if=none,id=disk", "-device", "ide-hd,bus=ide.0,drive=disk"]
    result = booted.run("disks", *machine, *disk)
    result.assert_well()
    assert result.values("disk")[0][0].endswith(f"LBA48, {way}")
    assert result.values("crc") == [["1", crc(data)]] and path.read_bytes() == rewritten(1, 3000)


def slow(path: Path) -> list[str]:
    """A disk that moves 100,000 bytes a second once the first have been let pass."""
    return ["-drive", f"file={path},format=raw,if=ide,index=0,throttling.bps-total=100000"]


@pytest.mark.parametrize("way", ["kill", "error", "free"])
def test_memory_that_a_transfer_had_belongs_to_its_next_owner(way, tmp_path, rng):
    path = tmp_path / "disk.img"
    path.write_bytes(rng.randbytes(2000 * SECTOR))
    booted.run(f"killed {way}", *slow(path), "-m", "64").assert_well()


def test_a_transfer_that_takes_too_long_is_broken_off(tmp_path, rng):
    path = tmp_path / "disk.img"
    data = rng.randbytes(20000 * SECTOR)
    path.write_bytes(data)
    result = booted.run("slow", *slow(path))
    result.assert_well()
    assert result.values("crc") == [[crc(data[:SECTOR])]]


def test_a_cd_drive_beside_a_disk_and_nothing_else(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(64 * SECTOR))
    result = booted.run("disks", *ide(disk, 3), "-drive", "if=ide,index=0,media=cdrom")
    result.assert_well()
    kinds = [(channel, position, kind) for channel, position, kind, _ in result.values("found")]
    assert kinds == [("ata0", "master", "atapi"), ("ata0", "slave", "absent"), ("ata1", "master", "absent"), ("ata1", "slave", "disk")]
    assert disk.read_bytes() == rewritten(1, 64)


def test_no_disk_at_all():
    result = booted.run("disks")
    result.assert_well()
    assert [kind for _, _, kind, _ in result.values("found")] == ["absent"] * 4


@pytest.mark.parametrize("way", ["dma", "pio"])
def test_errors_of_the_disk(way, tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    rules = [
        f"file.inject-error.{index}.{option}"
        for index, (direction, sector) in enumerate((("read", 100), ("write", 304)))
        for option in ("event=none", f"iotype={direction}", f"sector={sector}", "errno=5", "once=off")
    ]
    node = ["driver=raw", "node-name=disk", "file.driver=blkdebug", "file.image.driver=file", f"file.image.filename={path}", *rules]
    result = booted.run(f"errors {way}", "-blockdev", ",".join(node),
                        "-device", "ide-hd,drive=disk,bus=ide.0,rerror=report,werror=report")
    result.assert_well()
    ((code, lba, message),) = result.values("read error")
    assert (code, lba) == ("abort", "100") and "LBA 100" in message
    assert result.values("write error")[0][1] == "abort"


def test_the_small_devices(tmp_path, rng):
    large = tmp_path / "large"
    large.write_bytes(rng.randbytes(100_000))
    typed = rng.randbytes(3000)
    then = datetime.datetime(2031, 12, 31, 23, 59, 10, tzinfo=datetime.UTC)
    with booted.Machine("small", "-fw_cfg", f"name=opt/khoros/large,file={large}",
                        "-fw_cfg", "name=opt/khoros/small,string=as it is", "-vga", "std",
                        "-rtc", f"base={then:%Y-%m-%dT%H:%M:%S}", com2=True) as machine:
        assert machine.com2
        machine.until("absent_microseconds")
        sent = b""
        while not sent.endswith(b"ready\n"):
            sent += machine.com2.recv(1 << 16)
        assert sent == b"0123456789abcdef" * 640 + b"ready\n"
        machine.com2.sendall(typed)
        result = machine.end()
    result.assert_well()
    assert result.values("large") == [["100000", crc(large.read_bytes())]]
    assert result.values("received") == [["3000", crc(typed)]]
    ((seconds,),) = result.values("time")
    assert 0 <= int(seconds) - int(then.timestamp()) <= 60


@pytest.mark.parametrize("chip_set", ["pc", "q35"])
@pytest.mark.parametrize("way", ["off", "reboot"])
def test_power_on_both_chip_sets(chip_set, way):
    with booted.Machine(f"power {way}", "-M", chip_set) as machine:
        result = machine.end()
        assert machine.ended_by() == {"off": "guest-shutdown", "reboot": "guest-reset"}[way]
    result.assert_well(status=0)


def test_bytes_that_come_before_the_driver_are_read(rng):
    typed = rng.randbytes(3000)
    with booted.Machine("early", com2=True) as machine:
        assert machine.com2
        machine.com2.sendall(typed)
        result = machine.end()
    result.assert_well()
    assert result.values("received") == [["3000", crc(typed)]]


KEYS = [
    (["a"], "61"), (["shift", "a"], "41"), (["ctrl", "c"], "03"), (["up"], "1b5b41"), (["ctrl", "left"], "1b5b313b3544"),
    (["f5"], "1b5b31357e"), (["f1"], "1b4f50"), (["alt", "x"], "1b78"), (["ret"], "0d"), (["backspace"], "7f"), (["kp_7"], "37"),
    (["shift", "slash"], "3f"), (["delete"], "1b5b337e"), (["pgdn"], "1b5b367e"), (["spc"], "20"), (["esc"], "1b"),
]


def test_keys_and_screen(tmp_path):
    dump = tmp_path / "screen.ppm"
    with booted.Machine("keys", "-vga", "std") as machine:
        machine.until("ready")

        def press(*names: str) -> str:
            machine.execute("send-key", keys=[{"type": "qcode", "data": name} for name in names])
            return machine.until("key").split("\t")[1]

        for names, expected in KEYS:
            assert press(*names) == expected, names
        machine.execute("send-key", keys=[{"type": "qcode", "data": "caps_lock"}])
        assert press("k") == "4b"
        machine.execute("screendump", filename=str(dump))
        assert press("ctrl", "d") == "04"
        machine.end().assert_well()
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", dump.read_bytes())
    assert header and (int(header[1]), int(header[2])) == (720, 400)
    pixels = dump.read_bytes()[header.end():]
    first_row, below = pixels[:720 * 3 * 16], pixels[720 * 3 * 48:]
    assert any(first_row) and not any(below), "text in the first row only"


def test_a_german_keyboard():
    with booted.Machine("keys de", "-vga", "std") as machine:
        machine.until("ready")
        for names, expected in ((["y"], "z"), (["bracket_left"], "ü"), (["alt_r", "q"], "@"), (["alt_r", "e"], "€"), (["shift", "2"], '"')):
            machine.execute("send-key", keys=[{"type": "qcode", "data": name} for name in names])
            assert machine.until("key").split("\t")[1] == expected.encode().hex(), names
        machine.execute("send-key", keys=[{"type": "qcode", "data": "ctrl"}, {"type": "qcode", "data": "d"}])
        machine.end().assert_well()
