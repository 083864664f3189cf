"""Fixtures of the diskutil tests: `ship` is an image file with the example of the docs, `empty` one without objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diskutil import images


@pytest.fixture
def ship(tmp_path: Path) -> Path:
    """See images.ship."""
    return images.ship(tmp_path / "ship.img")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A new store of 4 MiB."""
    return images.empty(tmp_path / "empty.img")
