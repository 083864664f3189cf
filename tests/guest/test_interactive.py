"""`khoros run` on a terminal, as a person has it, and `khoros debug` as gdb has it."""

from __future__ import annotations

import re
import socket
import subprocess
import time

import pexpect
import pytest

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
    assert b"`khoros run -` runs it as a program" in said


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
