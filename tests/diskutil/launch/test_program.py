"""What `khoros run -e` makes of everything that QEMU and the guest can do, with a program in QEMU's place."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import fake_qemu, guest


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(body, *arguments) → the finished launcher, with `body` as QEMU and something to boot."""

    def run_with(
        body: str, *arguments: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        programs = fake_qemu.install(tmp_path / "bin", body)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        usual = arguments or ("-e", "print(1)")
        return guest.run("--no-disk", "--accel", "tcg", *usual, stdin=stdin)

    return run_with


pytestmark = pytest.mark.usefixtures("kernel")


def test_stdout_is_com1_byte_for_byte_and_the_status_is_the_guests(run):
    every_byte = bytes(range(256)) * 1000
    result = run(
        """
        com1.sendall(bytes(range(256)) * 1000)
        com2.sendall(frame(b"e", b"said to stderr\\n") + frame(b"x", b"\\x07"))
        """
    )
    assert (result.stdout, result.stderr, result.returncode) == (every_byte, b"said to stderr\n", 7)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", b"khoros: the guest gave no exit status: it stopped or restarted by itself\n"),
        (
            "com2.sendall(frame(b'x', b'\\0')[:-1])",
            b"khoros: the guest gave no exit status: it stopped in the middle of a frame\n",
        ),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            b"khoros: the guest gave no exit status: QEMU was ended by SIGKILL\n",
        ),
        (
            "com2.sendall(b'hello')",
            b"khoros: bad frame on COM2 at byte 0: magic: expected 4b46, found 6865\n",
        ),
        (
            "print('qemu-system-x86_64: -m 1: too small\\nhint', file=sys.stderr); sys.exit(1)",
            b"khoros: QEMU failed: -m 1: too small\n",
        ),
        (
            """print('qemu-system-x86_64: -device ide-hd: Failed to get "write" lock\\n'
                  'Is another process using the image [a b.img]?', file=sys.stderr); sys.exit(1)""",
            b"khoros: a b.img is in use: another QEMU has it open\n",
        ),
    ],
)
def test_no_status_is_one_clear_line_and_status_1(run, body, message):
    result = run(body)
    assert (result.stderr, result.returncode) == (message, 1)


def test_a_guest_that_hangs_is_stopped_at_the_timeout(run):
    result = run("time.sleep(600)", "-e", "x", "--timeout", "0.5")
    assert result.stderr == b"khoros: the guest gave no status within 0.5 s\n"
    assert result.returncode == 124


def test_qemu_does_not_outlive_a_launcher_that_is_killed(tmp_path, kernel):
    pid_file = tmp_path / "pid"
    programs = fake_qemu.install(
        tmp_path / "bin", f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    command = [*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg", "-e", "x"]
    launcher = subprocess.Popen(
        command, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    )
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.02)
    launcher.kill()
    launcher.wait()
    assert _ends(int(pid_file.read_text()))


def test_sigterm_stops_qemu_and_the_status_says_so(tmp_path, kernel):
    pid_file = tmp_path / "pid"
    programs = fake_qemu.install(
        tmp_path / "bin", f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    command = [*guest.LAUNCHER, "run", "--no-disk", "--accel", "tcg", "-e", "x"]
    launcher = subprocess.Popen(
        command, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    )
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.02)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(30) == 128 + signal.SIGTERM
    assert _ends(int(pid_file.read_text()))


def _ends(pid: int) -> bool:
    """True once no such process runs (a zombie does not run)."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path, kernel, monkeypatch):
    programs = fake_qemu.install(tmp_path / "bin", "while True: com1.sendall(b'y\\n' * 1000)")
    result = subprocess.run(
        [
            "sh",
            "-c",
            '"$@" | head -n 1',
            "sh",
            *guest.LAUNCHER,
            "run",
            "--no-disk",
            "--accel",
            "tcg",
            "-e",
            "x",
        ],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    assert (result.stdout, result.stderr) == (b"y\n", b"")


def test_the_program_reaches_the_guest_exactly(run, tmp_path):
    """Code as a string, a file with its name, standard input, an empty program, and one too long for an argument."""
    show = """
        def item(name):
            for argument in arguments:
                if match := re.fullmatch(f"name=opt/khoros/{name},(string|file)=(.*)", argument, re.DOTALL):
                    value = match[2].replace(",,", ",")
                    return value.encode() if match[1] == "string" else open(value, "rb").read()
        com1.sendall(repr((item("run"), item("name"), item("options"))).encode())
        com2.sendall(frame(b"x", b"\\0"))
        """
    file = tmp_path / "a, b.lua"
    file.write_bytes(b"print('\xff\0,')")
    empty = tmp_path / "empty.lua"
    empty.touch()
    long = "--" + "x" * 200_000

    def arrives(*arguments: str, stdin: bytes = b"") -> tuple[bytes, bytes, bytes | None]:
        return eval(run(show, *arguments, stdin=stdin).stdout)

    assert arrives("-e", "print(1, 2,,3)") == (b"print(1, 2,,3)", b"=(command line)", None)
    assert arrives("-e", "") == (b"\n", b"=(command line)", None)
    assert arrives("-", stdin=b"print(3)") == (b"print(3)", b"=stdin", None)
    assert arrives(str(file)) == (b"print('\xff\0,')", f"@{file}".encode(), None)
    script = tmp_path / "script"
    script.write_bytes(b"#!/usr/bin/env -S khoros run\nprint(1)\n")
    assert arrives(str(script))[0] == b"--#!/usr/bin/env -S khoros run\nprint(1)\n"
    assert arrives(str(empty)) == (b"\n", f"@{empty}".encode(), None)
    assert (
        arrives("-e", "x", "--unsafe-libraries", "--headless")[2]
        == b"unsafe_libraries=1\nheadless=1\n"
    )
    # Longer than one argument of a process may be.
    assert run(show, "-e", long[:100_000]).returncode == 0


def test_qemu_missing_is_one_line_that_says_how_to_get_it(tmp_path, kernel):
    (tmp_path / "bin").mkdir()
    result = guest.run(
        "--no-disk", "--accel", "tcg", "-e", "x", environment={"PATH": str(tmp_path / "bin")}
    )
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1
    assert b"apt-get install qemu-system-x86" in result.stderr
