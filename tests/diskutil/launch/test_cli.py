"""`khoros run`: options, wrong use, and the dry run that does nothing."""

from __future__ import annotations

import os
import shlex
import stat

import pytest

from tests.support import guest

pytestmark = pytest.mark.usefixtures("kernel")


def test_a_dry_run_prints_the_command_and_does_nothing(tmp_path):
    result = guest.run(
        "--dry-run", "--disk", "new disk.img", "-e", "print('a b')", "--", "-S", cwd=tmp_path
    )
    command = shlex.split(result.stdout.decode())
    assert (result.returncode, result.stderr) == (0, b"")
    assert command[0] == "qemu-system-x86_64"
    assert "name=opt/khoros/run,string=print('a b')" in command
    assert command[-1] == "-S"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "x", "y.lua"], b"either -e CODE or FILE.lua, not both"),
        (["--no-disk", "--disk", "a.img"], b"either --disk or --no-disk, not both"),
        ([*["--disk", "a.img"] * 5], b"at most 4 disks"),
        (["--timeout", "3"], b"--timeout needs -e CODE or FILE.lua"),
        (["--memory", "64"], b"did you mean 64M?"),
        (["--memory", "many"], b"many is no size"),
        (["--accel", "hvf"], b"'hvf' is not one of 'auto', 'kvm', 'tcg'"),
        (["--nonsense"], b"No such option"),
    ],
)
def test_wrong_use_is_status_2_and_says_what(arguments, message, tmp_path):
    result = guest.run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.lua"], b"khoros: cannot read missing.lua: No such file or directory\n"),
        (["."], b"khoros: cannot read .: Is a directory\n"),
        (
            ["--disk", ".", "-e", "x"],
            b"khoros: . is no disk image: neither a file nor a block device\n",
        ),
        (["--disk", "no/a.img", "-e", "x"], b"khoros: no/a.img: there is no folder no\n"),
        (
            ["--disk", "empty.img", "-e", "x"],
            b"khoros: empty.img is empty; remove it, and it will be made\n",
        ),
        (
            ["--window", "--no-disk"],
            b"khoros: --window needs a graphical session: neither DISPLAY nor WAYLAND_DISPLAY is set\n",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_1(arguments, message, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "empty.img").touch()
    result = guest.run("--accel", "tcg", *arguments, cwd=tmp_path)
    assert (result.stderr, result.returncode) == (message, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_an_image_that_may_not_be_written_is_said(tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(b"x" * 512)
    image.chmod(stat.S_IRUSR)
    result = guest.run("--disk", "a.img", "-e", "x", cwd=tmp_path)
    assert result.stderr == b"khoros: a.img: no permission to read and write it\n"


def test_help_names_every_option_and_goes_to_stdout():
    result = guest.run("--help")
    assert result.returncode == 0
    for option in (
        "--disk",
        "--no-disk",
        "-e",
        "--window",
        "--accel",
        "--memory",
        "--headless",
        "--dry-run",
    ):
        assert option.encode() in result.stdout
