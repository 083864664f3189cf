"""The wheel: one installed name, the guest inside, and both commands, in an environment that knows no clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.guest import REPOSITORY

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the wheel's contents, made from a copy of the clone (setuptools writes into its source)."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("README.md", "pyproject.toml", "setup.py"):
        shutil.copy2(REPOSITORY / name, source)
    for name in ("python", "diskutil", "formats"):
        shutil.copytree(REPOSITORY / name, source / name, symlinks=True)
    (source / "build").mkdir()
    for name in ("khoros.elf", "khoros.iso"):
        shutil.copy2(REPOSITORY / "build" / name, source / "build")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*command, "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python that finds the installed package before the clone."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True
    )


def test_the_wheel_claims_only_the_name_khoros(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"khoros"}
    assert (installed / "khoros/diskutil/launch/khoros.elf").is_file()
    assert (installed / "khoros/formats/SPEC.md").is_file()


def test_the_commands_are_declared(installed):
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    text = entry_points.read_text()
    assert "khoros = khoros.diskutil.launch.cli:main" in text
    assert "khoros-disk = khoros.diskutil.cli:main" in text


def test_the_installed_launcher_boots_its_own_guest_and_the_folder_s_image(installed, tmp_path):
    result = python(installed, "-m", "khoros.diskutil.launch", "run", "--dry-run", cwd=tmp_path)
    assert str(installed / "khoros/diskutil/launch/khoros.elf") in result.stdout
    assert "file.filename=khoros.img" in result.stdout


@pytest.mark.slow
def test_the_installed_launcher_needs_qemu_and_nothing_else(installed, tmp_path):
    """A PATH on which only QEMU is: no compiler, no GRUB, no shell, and no clone in sight. The second run finds what the first left."""
    (tmp_path / "bin").mkdir()
    qemu = shutil.which("qemu-system-x86_64")
    assert qemu is not None
    (tmp_path / "bin" / "qemu-system-x86_64").symlink_to(qemu)
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "PYTHONPATH": str(installed)}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "khoros.diskutil.launch", "run", "-e", code], env=environment, cwd=tmp_path,
                              capture_output=True, text=True, timeout=120)  # fmt: skip

    first = run('root.n = 6 * 7; commit(); print(root.n)')
    assert (first.returncode, first.stdout) == (0, "42\n"), first.stderr
    second = run('print(root.n); error "no more"')
    assert (second.returncode, second.stdout) == (1, "42\n") and "no more" in second.stderr


def test_import_khoros_loads_nothing_until_it_is_used(installed, tmp_path):
    code = (
        "import sys, khoros; before = set(sys.modules); khoros.open; "
        "print('numpy' in before, 'khoros.diskutil' in before, khoros.__file__)"
    )
    result = python(installed, "-c", code, cwd=tmp_path)
    assert result.stdout.split()[:2] == ["False", "False"], result.stderr
    assert str(installed) in result.stdout
