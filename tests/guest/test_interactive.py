"""`khoros run` on a terminal, as a person has it, and `khoros debug` as gdb has it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time

import pexpect
import pytest

import khoros
from khoros.diskutil.creation import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]
CTRL_A, CTRL_C, CTRL_BRACKET = "\x01", "\x03", "\x1d"


@pytest.fixture
def terminal(tmp_path):
    """A started `khoros run` without disks, at its prompt."""
    program, *arguments = guest.LAUNCHER
    child = pexpect.spawn(
        program,
        [*arguments, "run", "--no-disk", "--accel", "tcg"],
        timeout=guest.PATIENCE_SECONDS,
        encoding="utf-8",
        cwd=str(tmp_path),
        dimensions=(25, 80),
    )
    child.expect_exact("Ctrl-] then x")
    child.expect_exact("Khoros")
    child.expect_exact("> ")
    yield child
    child.close(force=True)


def test_ctrl_a_is_the_start_of_the_line_and_poweroff_leaves(terminal):
    terminal.send("* 7" + CTRL_A + "6\r")
    terminal.expect_exact("42")
    terminal.send("poweroff()\r")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0


def test_ctrl_c_interrupts_the_guest_and_not_the_launcher(terminal):
    terminal.send("while true do end\r")
    terminal.expect_exact("\n")
    terminal.send(CTRL_C)
    terminal.expect_exact("> ")
    terminal.send("6 * 7\r")
    terminal.expect_exact("42")


def test_the_escape_key_then_x_leaves(terminal):
    terminal.send(CTRL_BRACKET + "x")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0


def test_a_program_at_the_other_end_of_a_pipe_gets_the_answers(tmp_path):
    with subprocess.Popen(
        [*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as machine:
        assert machine.stdout is not None
        output = b""
        while not output.endswith(b"> "):
            output += machine.stdout.read(1)
        answer, said = machine.communicate(b"6 * 7\rpoweroff()\r", timeout=guest.PATIENCE_SECONDS)
    assert machine.returncode == 0
    assert b"42" in answer
    assert b"booting with no disk" in said


def piped(data: bytes, *options: object) -> subprocess.CompletedProcess[bytes]:
    """A launcher that gets all of its input at once, before the machine has booted."""
    command = [*guest.LAUNCHER, "run", "--accel", "tcg", *map(str, options)]
    return subprocess.run(command, input=data, capture_output=True, timeout=guest.PATIENCE_SECONDS)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_what_comes_through_a_pipe_is_typed_and_at_its_end_the_machine_is_switched_off(tmp_path, end):
    image = tmp_path / "a.img"
    mkfs(image, 8 << 20)
    done = piped(b"6 * 7\nroot.x = 5\ncommit()" + end, "--disk", image)
    assert done.returncode == 0, done.stderr
    assert b"42" in done.stdout
    with khoros.open(image) as opened:
        assert opened["x"] == 5
        assert opened.store.verdict == "clean"


def test_an_empty_pipe_is_a_machine_that_boots_and_is_switched_off():
    done = piped(b"", "--no-disk")
    assert done.returncode == 0
    assert b"help()" in done.stdout


@pytest.mark.parametrize(("program", "output", "status"), [
    (b"", b"", 0), (b"print(6 * 7)", b"42\n", 0), (b"print(1) error('no')", b"1\n", 1)])
def test_a_file_as_the_input_is_a_program(tmp_path, program, output, status):
    (tmp_path / "program").write_bytes(program)
    with (tmp_path / "program").open("rb") as source:
        done = subprocess.run([*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg"], stdin=source,
                              capture_output=True, timeout=guest.PATIENCE_SECONDS)
    assert (done.stdout, done.returncode) == (output, status), done.stderr


def test_nothing_as_the_input_is_an_empty_program():
    done = subprocess.run([*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=guest.PATIENCE_SECONDS)
    assert (done.stdout, done.returncode) == (b"", 0), done.stderr


def test_a_closed_output_ends_the_machine():
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg"], input=b"", stdout=write_end,
                          stderr=subprocess.PIPE, timeout=guest.PATIENCE_SECONDS)
    os.close(write_end)
    assert done.returncode == 1


def test_gdb_can_connect_before_the_first_instruction(tmp_path):
    debugged = subprocess.Popen(
        [*guest.LAUNCHER, "debug", "--no-disk", "--accel", "tcg", "-e", "print(6 * 7)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert debugged.stderr is not None
        told = debugged.stderr.readline().decode()
        place = re.search(r"target remote (\S+?)'", told)
        assert place, told
        assert "khoros.elf" in told
        with socket.socket(socket.AF_UNIX) as gdb:
            connect(gdb, place[1])
            gdb.sendall(b"$?#3f")
            assert receive(gdb).startswith(b"T05")  # stopped by a trap: nothing has run
            gdb.sendall(b"+$c#63")
            output, errors = debugged.communicate(timeout=guest.PATIENCE_SECONDS)
        assert output == b"42\n", errors
        assert debugged.returncode == 0
    finally:
        debugged.kill()
        debugged.communicate()


def connect(gdb: socket.socket, place: str) -> None:
    """The socket appears when QEMU has started."""
    deadline = time.monotonic() + guest.PATIENCE_SECONDS
    while True:
        try:
            return gdb.connect(place)
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def receive(gdb: socket.socket) -> bytes:
    """The payload of one packet of gdb's remote protocol: $payload#checksum."""
    data = b""
    while not (packet := re.search(rb"\$([^#]*)#..", data)):
        data += gdb.recv(4096)
    return packet[1]
