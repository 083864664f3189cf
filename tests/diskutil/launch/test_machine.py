"""The QEMU command: what is in it, and names that look like QEMU's own syntax."""

from __future__ import annotations

from pathlib import Path

from khoros.diskutil.launch.machine import Machine

BOOT = Path("build/khoros.elf")


def test_disks_take_the_four_places_of_two_channels_as_raw_files():
    command = Machine(boot=BOOT, disks=tuple(Path(f"{n}.img") for n in range(4))).command()
    devices = [word for word in command if word.startswith("ide-hd")]
    assert devices == [
        "ide-hd,drive=disk0,bus=ide.0,unit=0",
        "ide-hd,drive=disk1,bus=ide.0,unit=1",
        "ide-hd,drive=disk2,bus=ide.1,unit=0",
        "ide-hd,drive=disk3,bus=ide.1,unit=1",
    ]
    assert all("driver=raw" in word for word in command if "node-name=disk" in word)


def test_a_comma_in_a_name_or_in_code_is_no_option():
    machine = Machine(boot=BOOT, disks=(Path("a,b.img"),), strings={"run": "f(1,2)"})
    command = machine.command()
    assert "driver=raw,node-name=disk0,file.driver=file,file.filename=a,,b.img" in command
    assert "name=opt/khoros/run,string=f(1,,2)" in command


def test_the_escape_key_leaves_ctrl_a_to_the_guest():
    command = Machine(boot=BOOT).command()
    assert command[command.index("-echr") + 1] == "0x1d"
    assert "stdio,id=com1,mux=on,signal=off" in command


def test_memory_is_whole_mebibytes_and_extra_arguments_come_last():
    command = Machine(boot=BOOT, memory_bytes=(32 << 20) + 1, extra=("-S", "-s")).command()
    assert command[command.index("-m") + 1] == "33M"
    assert command[-2:] == ["-S", "-s"]
