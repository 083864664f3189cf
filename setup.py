"""Puts the built guest into the package, so that an installed `khoros run` boots without a clone.

All that is declarative stands in pyproject.toml. `./khoros build` makes build/khoros.elf and build/khoros.iso first.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithGuest(build_py):
    """build_py, and then the guest beside the launcher that boots it (khoros.diskutil.launch.process.boot_file)."""

    def run(self) -> None:
        super().run()
        launcher = Path(self.build_lib) / "khoros" / "diskutil" / "launch"
        for name in ("khoros.elf", "khoros.iso"):
            if not (built := Path("build") / name).is_file():
                raise SystemExit(
                    f"{built} is missing: run ./khoros build before the package is made"
                )
            if launcher.is_dir():
                shutil.copy2(built, launcher / name)


setup(cmdclass={"build_py": BuildWithGuest})
