"""./khoros: installs what is missing and says so, does nothing twice, works from anywhere, fails in one line.

The tests work on a copy of the clone in a folder with a space in its name, with this clone's build and environment
beside it (links), and with programs of our own where apt-get, sudo or pip would change this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.guest import REPOSITORY
from tests.test_house import FILES

pytestmark = pytest.mark.usefixtures("kernel")

# All that ./khoros itself runs; a PATH of only these has no QEMU and no compiler.
ESSENTIAL = """bash basename cat chmod cmp cp dirname echo env find flock grep head id ls make mkdir mktemp mv nproc readlink
               rm sed sh sleep sort tail tar touch tr uname python3""".split()


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy of the clone, ready to run."""
    copy = tmp_path / "a clone"
    for path in FILES:
        place = copy / path.relative_to(REPOSITORY)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    for link in ("diskutil", "formats"):
        (copy / "python/khoros" / link).symlink_to(f"../../{link}")
    (copy / ".venv").symlink_to(REPOSITORY / ".venv")
    shutil.copytree(
        REPOSITORY / "build", copy / "build", symlinks=True, ignore=shutil.ignore_patterns("lock")
    )
    return copy


@pytest.fixture
def programs(tmp_path) -> Path:
    """A folder for PATH with the essential programs only; tests add their own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ESSENTIAL:
        if found := shutil.which(name):
            (folder / name).symlink_to(os.path.realpath(found))
    return folder


def program(folder: Path, name: str, body: str) -> None:
    """A shell script in place of a program."""
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def khoros(clone: Path, *arguments: str, path: str | Path | None = None, **environment: str):
    return subprocess.run(
        [clone / "khoros", *arguments],
        cwd="/",
        env={
            "PATH": str(path or os.environ["PATH"]),
            "HOME": environment.pop("HOME", "/nonexistent"),
            **environment,
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_help_and_wrong_commands():
    told = khoros(REPOSITORY, "help")
    assert (told.returncode, told.stderr) == (0, "")
    for command in ("run", "disk", "python", "test", "build", "docs", "lab", "bench", "debug", "clean"):
        assert f"  {command} " in told.stdout
    assert khoros(REPOSITORY).stdout == told.stdout
    wrong = khoros(REPOSITORY, "dance")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("khoros: there is no command dance\n")


def test_from_another_folder_with_an_empty_environment_nothing_is_done_twice(clone):
    elf = clone / "build/khoros.elf"
    elf.unlink()
    first = khoros(clone, "build")
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("khoros: building\n")
    built = elf.stat().st_mtime_ns
    second = khoros(clone, "build")
    assert second.stderr == f"khoros: built {elf} and {clone}/build/khoros.iso\n"
    assert (second.stdout, second.returncode) == ("", 0)
    assert elf.stat().st_mtime_ns == built


def test_a_changed_source_is_built(clone):
    khoros(clone, "build")
    elf = clone / "build/khoros.elf"
    built = elf.stat().st_mtime_ns
    source = next((clone / "lua").rglob("*.lua"))
    source.write_text(source.read_text() + "-- changed\n")
    assert khoros(clone, "build").returncode == 0
    assert elf.stat().st_mtime_ns != built


def test_a_source_that_does_not_compile_is_a_failed_build(clone):
    with (clone / "kernel/main.c").open("a") as file:
        file.write("\nthis is no C\n")
    result = khoros(clone, "build")
    assert result.returncode == 1
    assert result.stderr.endswith("khoros: the build failed\n")
    assert "main.c" in result.stderr


def test_the_tools_run_in_the_clones_environment(clone):
    result = khoros(clone, "python", "-c", "import khoros; print(khoros.__version__, 'run')")
    assert result.stdout.split()[1] == "run"
    assert khoros(clone, "disk", "--help").returncode == 0


def test_missing_packages_without_root_are_named_in_one_line(clone, programs):
    program(programs, "id", "echo 1000")
    program(programs, "apt-get", "exit 1")
    result = khoros(clone, "run", "-e", "x", path=programs)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "khoros: not root and no sudo here; as root: apt-get install gcc "
    )
    assert "qemu-system-x86" in result.stderr
    assert result.stderr.count("\n") == 1


def test_on_another_system_the_packages_are_named(clone, programs):
    result = khoros(clone, "run", "-e", "x", path=programs)
    assert result.returncode == 1
    assert "finds no apt-get: gcc" in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_packages_are_installed_through_sudo_and_said(clone, programs, tmp_path):
    asked = tmp_path / "asked"
    program(programs, "id", "echo 1000")
    program(programs, "sudo", f'echo "$*" >>"{asked}"')
    program(programs, "apt-get", "exit 1")
    result = khoros(clone, "build", path=programs)
    said = result.stderr.splitlines()[0]
    assert said.startswith(
        "khoros: installing Debian packages (sudo may ask for your password): gcc "
    )
    update, install = asked.read_text().splitlines()
    assert "apt-get" in update
    assert update.endswith(" update")
    assert "install --no-install-recommends gcc" in install


def test_offline_is_one_line_with_the_place_of_the_log(clone, programs):
    program(programs, "id", "echo 0")
    program(programs, "apt-get", 'echo "Temporary failure resolving the mirror"; exit 100')
    result = khoros(clone, "build", path=programs)
    assert result.returncode == 1
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("khoros: could not install gcc")
    assert "Temporary failure resolving the mirror" in last
    assert "build/install.log" in last


def test_python_packages_that_cannot_be_fetched_are_one_line(clone):
    (clone / ".venv").unlink()
    result = khoros(
        clone, "python", PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE="/dev/null"
    )
    assert (result.returncode, result.stdout) == (1, "")
    said, failed = result.stderr.splitlines()
    assert said == "khoros: installing the Python packages into .venv"
    assert failed.startswith(
        "khoros: could not install the Python packages (offline?): ERROR: No matching"
    )


def test_a_first_run_installs_what_running_needs_and_tests_install_the_rest(clone, tmp_path):
    """With a Python that notes what it is asked for, and that has been given the packages for running."""
    (clone / ".venv").unlink()
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/lib/python3.11/site-packages").mkdir(parents=True)
    asked = tmp_path / "asked"
    program(clone / ".venv/bin", "python", f'echo "$*" >>"{asked}"')
    stamp = clone / ".venv/khoros-requirements.txt"
    shutil.copy(clone / "requirements-build.txt", stamp)
    assert khoros(clone, "disk", "ls", "x").returncode == 0
    assert asked.read_text() == "-I -m khoros.diskutil.cli ls x\n"
    for arguments in (("python", "y"), ("disk", "torture")):
        shutil.copy(clone / "requirements-build.txt", stamp)
        asked.unlink()
        assert khoros(clone, *arguments).returncode == 0
        assert "-r " + str(clone / "requirements-dev.txt") in asked.read_text()
        assert stamp.read_text() == (clone / "requirements-dev.txt").read_text()
    asked.unlink()
    assert khoros(clone, "disk", "ls", "x").returncode == 0
    assert "pip" not in asked.read_text()


def test_what_running_needs_has_the_versions_that_are_tested():
    tested = pins("requirements-dev.txt")
    assert pins("requirements-build.txt") <= tested
    assert pins("requirements.txt") <= pins("requirements-build.txt")
    both = {name for name, _ in tested} & {name for name, _ in pins("requirements-docs.txt")}
    assert {pin for pin in pins("requirements-docs.txt") if pin[0] in both} <= tested


def pins(name: str) -> set[tuple[str, str]]:
    found = re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / name).read_text(), re.MULTILINE)
    assert found
    return set(found)


def test_a_second_one_waits_for_the_first(clone):
    subprocess.run(["mkdir", "-p", clone / "build"], check=True)
    holder = subprocess.Popen(
        ["flock", clone / "build/lock", "sleep", "600"], start_new_session=True
    )
    try:
        while subprocess.run(["flock", "-n", clone / "build/lock", "true"]).returncode == 0:
            time.sleep(0.01)
        waiting = subprocess.Popen([clone / "khoros", "build"], stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert (
            waiting.stderr.readline()
            == "khoros: waiting for another ./khoros that installs or builds\n"
        )
    finally:
        os.killpg(holder.pid, 9)
        holder.wait()
    assert waiting.wait(60) == 0
    waiting.stderr.close()


def test_clean_removes_what_was_built_and_no_disk(clone):
    (clone / "khoros.img").write_bytes(b"precious")
    (clone / "tests/__pycache__").mkdir()
    assert khoros(clone, "clean").returncode == 0
    assert not (clone / "build").exists()
    assert not (clone / "tests/__pycache__").exists()
    assert (clone / ".venv").exists()
    assert khoros(clone, "clean", "--everything").returncode == 1
    assert khoros(clone, "clean", "--all").returncode == 0
    assert not (clone / ".venv").is_symlink()
    assert (clone / "khoros.img").read_bytes() == b"precious"
