"""The host program of the process core, built once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.host import build


@pytest.fixture(scope="session")
def host() -> Path:
    """The process core as a Linux program, with sanitizers."""
    return build()
