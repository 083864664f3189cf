"""The C core in QEMU: it boots in every way it claims, and Lua on it is Lua.

The cases themselves are Lua, in guest/cases; a line "FAIL …" there fails the test here.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import pytest

from tests.kernel.machine import (
    BUILD,
    HERE,
    PANICKED,
    PATIENCE_SECONDS,
    image,
    make,
    power_on,
    run_case,
)
from tests.support.picture import Font, Picture, draw_cells


@pytest.fixture(autouse=True)
def sources(kernel: Path) -> None:
    """What the test image is made from is there once the product has been built."""


@pytest.mark.parametrize("case", ["language", "capabilities", "pages", "float", "syscall"])
def test_case(case: str) -> None:
    run_case(case, "-m", "64M").assert_well()


def test_big_table() -> None:
    run_case("table", "-m", "512M").assert_well()


@pytest.mark.parametrize("cpu", ["qemu64", "max"])
def test_crc32c_agrees_with_the_host_by_table_and_by_instruction(cpu: str) -> None:
    """qemu64 has no SSE4.2, max has it."""
    ending = run_case("capabilities", "-cpu", cpu)
    ending.assert_well()
    found = re.findall(r"^crc\t(\d+)\t(\d+)$", ending.output, re.MULTILINE)
    assert len(found) == 41
    for length, crc in found:
        assert int(crc) == google_crc32c.value(b"\xff" * int(length))


def test_cells_are_drawn_as_the_model_of_the_drivers_tests_draws_them() -> None:
    ending = run_case("cells", "-m", "64M")
    ending.assert_well()
    glyphs = bytes((i * 37 + i // 7) & 0xFF for i in range(300 * 16))
    palette = b"".join(struct.pack("<I", 0x01020304 * colour) for colour in range(16))

    def row(step: int) -> bytes:
        return b"".join(struct.pack("<HH", i * step % 300, i * 11 & 0xFF) for i in range(7))

    found = re.findall(r"^(cells|again)\t(\d)\t(\d)\t(\d+)$", ending.output, re.MULTILINE)
    assert len(found) == 2 * 3 * 8
    for kind, pixel_bytes, scale, crc in found:
        memory = bytearray(b"\xa5" * 65536)
        before = row(40) if kind == "again" else None
        draw_cells(memory, 13, row(41), before, glyphs, 16, palette, 300, int(pixel_bytes), int(scale))
        assert int(crc) == google_crc32c.value(bytes(memory)), (kind, pixel_bytes, scale)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_machines(machine: str) -> None:
    run_case("capabilities", "-machine", machine, "-smp", "2").assert_well()


@pytest.mark.parametrize("memory", ["32M", "33M", "100M", "1G", "3G", "3500M", "4G", "6G"])
def test_memory_sizes(memory: str) -> None:
    """Below, at and above the hole for devices under 4 GiB. QEMU backs only what the guest touches."""
    run_case("memory", "-m", memory).assert_well()


def test_iso_boots_through_grub() -> None:
    ending = power_on("-cdrom", image("iso"), "-m", "64M")
    ending.assert_well()
    assert "GRUB" in ending.output


def test_iso_boots_as_a_disk() -> None:
    """The same file written to a USB stick."""
    iso = image("iso")
    ending = power_on("-drive", f"file={iso},format=raw,if=ide,readonly=off,snapshot=on")
    ending.assert_well()


def test_iso_is_small(kernel: Path) -> None:
    """For BIOS and UEFI together, GRUB included."""
    assert (BUILD / "khoros.iso").stat().st_size < 2_000_000


def test_iso_has_both_boot_images(kernel: Path) -> None:
    """El Torito: one for BIOS without emulation, one for UEFI, a FAT; and the same FAT in the partition table for USB sticks."""
    iso = (BUILD / "khoros.iso").read_bytes()
    assert iso[17 * 2048 + 7 : 17 * 2048 + 30] == b"EL TORITO SPECIFICATION"
    (catalog_block,) = struct.unpack_from("<I", iso, 17 * 2048 + 0x47)
    catalog = iso[catalog_block * 2048 :][:2048]
    assert catalog[0:2] == b"\x01\x00" and catalog[32] == 0x88
    assert catalog[64:68] == b"\x91\xef\x01\x00" and catalog[96] == 0x88
    (uefi_block,) = struct.unpack_from("<I", catalog, 96 + 8)
    fat = iso[uefi_block * 2048 :]
    assert fat[510:512] == b"\x55\xaa" and b"FAT12" in fat[:512] and b"BOOTX64 EFI" in fat
    rows = [struct.unpack_from("<B3sB3sII", iso, 446 + 16 * number) for number in range(4)]
    assert [(row[4] * 512, (row[4] + row[5]) * 512) for row in rows if row[2] == 0xEF] == [(uefi_block * 2048, len(iso))]


def test_multiboot2_header_is_where_grub_looks(kernel: Path) -> None:
    magic = bytes.fromhex("d65052e8")
    assert 0 <= kernel.read_bytes().find(magic) < 32768
    assert subprocess.run(["grub-file", "--is-x86-multiboot2", kernel]).returncode == 0


PANICS = {
    "null": ["in CPU: page fault", "reading 0x8: a null pointer"],
    "wild": ["in CPU: page fault", "reading 0x123456789000: nothing is mapped there"],
    "noncanonical": ["in CPU: general protection"],
    "text": ["in CPU: page fault", "writing 0x", "the page is protected"],
    "constant": ["in CPU: page fault", "writing 0x", "the page is protected"],
    "data": ["in CPU: page fault", "executing 0x", "the page is protected"],
    "undefined": ["in CPU: invalid opcode"],
    "divide": ["in CPU: divide error"],
    "overflow": ["in CPU: page fault", "a stack has overflowed into its guard"],
    "free_twice": ["in pages: page_free(0x", ", 3): a page in it is free or not ours"],
    "error": ["in supervisor: ", "on purpose", "in local 'culprit'", "in main chunk"],
    "exit": ["in libc: exit(3)"],
}


@pytest.mark.parametrize("ending", PANICS)
def test_panic_says_what_and_where(ending: str) -> None:
    panic = run_case(f"panic {ending}", "-cpu", "max")
    assert panic.status == PANICKED, panic.output
    assert "KHOROS PANIC" in panic.output, panic.output
    assert "still alive" not in panic.output, panic.output
    for words in PANICS[ending]:
        assert words in panic.output, panic.output
    if ending != "error":  # there the stack is unwound; its traceback is in the message
        assert re.search(r"lua/cases/panic\.lua:\d+: in \w* ?culprit", panic.output), panic.output
    if "in CPU" in PANICS[ending][0]:
        assert re.search(r"rip [0-9a-f]{16}  rsp [0-9a-f]{16}", panic.output), panic.output


def test_nothing_is_built_twice() -> None:
    image("elf")
    again = make("elf")
    assert "gcc" not in again.stdout, again.stdout


def test_another_flag_builds_anew(tmp_path: Path) -> None:
    target = (f"BUILD={tmp_path}", f"{tmp_path}/kernel/crc32c.c.o")
    assert "gcc" in make(*target).stdout
    assert "gcc" not in make(*target).stdout
    assert "gcc" in make(*target, "EXTRA_CFLAGS=-DANOTHER").stdout


def stopped_by_a_panic(serial: Path, boot: Sequence[str | Path], commands: str) -> None:
    """Boots so, and once the panic stands on the serial line gives these commands to the monitor."""
    with subprocess.Popen(
        [
            "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-vga", "std",
            "-accel", "tcg", *boot, "-serial", f"file:{serial}", "-monitor", "stdio",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    ) as machine:  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (serial.exists() and b"The machine is stopped" in serial.read_bytes()):
                assert machine.poll() is None, serial.read_bytes()
                assert time.monotonic() < deadline, serial.read_bytes()
                time.sleep(0.02)
            machine.communicate(f"{commands}\nquit\n".encode(), PATIENCE_SECONDS)
        finally:
            machine.kill()


def test_panic_is_on_the_screen_too(tmp_path: Path) -> None:
    """White on red from the first line; read out of the VGA memory by the monitor."""
    serial, screen = tmp_path / "serial", tmp_path / "screen"
    stopped_by_a_panic(serial, ("-kernel", image("elf"), "-append", "panic undefined"), f'pmemsave 0xb8000 4000 "{screen}"')
    cells = screen.read_bytes()
    rows = [cells[row : row + 160 : 2].decode("cp437").rstrip() for row in range(0, 4000, 160)]
    assert "KHOROS PANIC in CPU: invalid opcode (vector 6)" in rows, rows
    assert any("lua/cases/panic.lua" in row for row in rows), rows
    assert cells[1] == 0x4F


def test_panic_is_drawn_where_the_screen_is_a_picture(tmp_path: Path) -> None:
    """GRUB sets a graphics mode up, as it does under UEFI. QEMU's framebuffer is where its screendump comes from."""
    iso, serial, screen = tmp_path / "graphics.iso", tmp_path / "serial", tmp_path / "screen.ppm"
    # Relative to the Makefile: a path with a space in it is two words to make.
    settings = os.path.relpath(HERE / "graphics.cfg", HERE.parents[1] / "kernel")
    made = make("iso", f"ISO={os.path.relpath(iso, HERE.parents[1] / 'kernel')}", f"BIOS_SETTINGS={settings}")
    assert made.returncode == 0, made.stdout + made.stderr
    stopped_by_a_panic(serial, ("-cdrom", iso), f'screendump "{screen}"')
    picture = Picture.of_screendump(screen, Font.built())
    text = picture.text(place=(0, 0))
    assert "KHOROS PANIC in CPU: invalid opcode (vector 6)" in text, text
    assert any("lua/cases/panic.lua" in row for row in text), text
    assert picture.colours(0, 1, place=(0, 0)) == ((0xFF, 0xFF, 0xFF), (0xAA, 0, 0))
