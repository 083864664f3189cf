"""`khoros run -e CODE` and `FILE.lua` in the booted system: output, errors, status, and an object that stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]


def run(code: str, *options: object) -> subprocess.CompletedProcess[bytes]:
    return guest.run("--no-disk", *map(str, options), "-e", code)


def disk(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "khoros.diskutil.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=guest.PATIENCE_SECONDS)


def test_an_object_outlives_the_machine_and_the_host_reads_it(tmp_path):
    image = tmp_path / "a.img"
    first = guest.run(
        *("--disk", image, "-e"),
        'root.ship={name="Argo",crew={"Jason","Orpheus"}}; root.ship.me=root.ship; commit("first")',
    )
    assert first.returncode == 0, first.stderr
    assert b"a.img" in first.stderr  # said that it was made
    second = guest.run(
        "--disk", image, "-e", "print(root.ship.crew[2], root.ship.me==root.ship, math.type(1.0))"
    )
    assert (second.stdout, second.stderr, second.returncode) == (b"Orpheus\ttrue\tfloat\n", b"", 0)
    assert disk("ls", image).stdout == "ship\n"
    assert disk("cat", image, "root.ship.crew", "--json").stdout == '["Jason", "Orpheus"]\n'
    assert disk("check", image).returncode == 0


def test_an_error_is_a_traceback_on_stderr_and_status_1():
    result = run('local function f() error("no") end f()')
    assert (result.stdout, result.returncode) == (b"", 1)
    assert b"(command line):1: no" in result.stderr
    assert b"stack traceback:" in result.stderr
    assert result.stderr.endswith(b"\n")


def test_an_error_that_is_no_string_is_shown_too():
    result = run("error({code=7})")
    assert (result.stdout, result.returncode) == (b"", 1)
    assert b"code" in result.stderr


def test_a_syntax_error_is_said_with_its_place_and_status_1():
    result = run("print(1)\nx = = 2")
    assert (result.stdout, result.returncode) == (b"", 1)
    assert b"(command line):2: unexpected symbol near '='" in result.stderr


def test_output_before_an_error_arrives():
    result = run("print('before') error('after')")
    assert (result.stdout, result.returncode) == (b"before\n", 1)


def test_every_byte_is_printed_as_it_is():
    result = run(
        "for b = 0, 255 do io.write(string.char(b)) end io.write('no line end')", "--memory", "64M"
    )
    assert (result.stdout, result.returncode) == (bytes(range(256)) + b"no line end", 0), (
        result.stderr
    )


def test_print_and_io_write_are_luas():
    result = run("print(1, 1.0, nil, true, 'x') print() io.write(2, '-', 2.5, '\\n')")
    assert result.stdout == b"1\t1.0\tnil\ttrue\tx\n\n2-2.5\n"


def test_much_output_is_complete():
    result = run("for i = 1, 20000 do print(i) end")
    assert result.stdout == "".join(f"{i}\n" for i in range(1, 20001)).encode()


def test_a_file_runs_under_its_name(tmp_path):
    file = tmp_path / "ship, and crew.lua"
    file.write_text("#!/usr/bin/env khoros run\nlocal x <const> = 6\nprint(x * 7)\nerror('here')\n")
    result = guest.run("--no-disk", file)
    assert (result.stdout, result.returncode) == (b"42\n", 1)
    assert b"ship, and crew.lua:4: here" in result.stderr


def test_an_empty_program_succeeds():
    assert run("").returncode == 0


def test_what_a_program_prints_cannot_be_a_status():
    """A frame on COM1 is output like any other: only the guest's runner writes to COM2."""
    from khoros.diskutil.launch.frames import encode

    frame = encode(b"x", b"\x05")
    text = "".join(f"\\x{byte:02x}" for byte in frame)
    result = run(f'io.write("{text}")')
    assert (result.stdout, result.returncode) == (frame, 0)


def test_without_a_disk_the_session_is_in_memory_with_a_warning():
    result = run("root.x = 1; print(root.x)")
    assert (result.stdout, result.returncode) == (b"1\n", 0)
    assert b"no disk" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_what_a_dry_run_prints_works_when_it_is_pasted():
    printed = run("print(6 * 7)", "--dry-run").stdout.decode()
    pasted = subprocess.run(["sh", "-c", printed], capture_output=True, timeout=guest.PATIENCE_SECONDS)
    assert (pasted.stdout, pasted.returncode) == (b"42\n", 0), pasted.stderr


def test_the_program_has_the_cpu_only_in_turns():
    """An endless loop in a process of its own does not keep the main chunk from ending."""
    result = run("spawn('while true do end') print('on')")
    assert (result.stdout, result.returncode) == (b"on\n", 0), result.stderr


def test_a_program_that_never_ends_is_ended_by_the_timeout():
    result = guest.run("--no-disk", "--timeout", "8", "-e", "while true do end")
    assert result.returncode == 124


def test_the_smallest_memory_boots():
    result = run("print('small')", "--memory", "32M")
    assert (result.stdout, result.returncode) == (b"small\n", 0), result.stderr


def test_two_machines_on_one_image_the_second_is_refused(boot, tmp_path):
    image = tmp_path / "a.img"
    assert guest.run("--disk", image, "-e", "commit()").returncode == 0
    boot(disks=[image])
    second = guest.run("--disk", image, "-e", "print(1)")
    assert second.returncode == 1
    assert second.stdout == b""
    assert second.stderr == f"khoros: {image} is in use: another QEMU has it open\n".encode()


def test_safe_libraries_are_the_rule_and_unsafe_ones_a_wish():
    code = "print(string.dump and true, debug.getlocal and true)"
    assert run(code).stdout == b"nil\tnil\n"
    assert run(code, "--unsafe-libraries").stdout == b"true\ttrue\n"
