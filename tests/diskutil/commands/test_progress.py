"""The progress line: nothing without a terminal, a bar on one, and nothing left of it."""

from __future__ import annotations

import io
import sys

import pytest

from khoros.diskutil.commands import progress


class Screen(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "_FIRST_SECONDS", -1)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0)
    monkeypatch.setenv("COLUMNS", "60")


def drawn(monkeypatch, screen, *steps):
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.progress_line() as show:
        for step in steps:
            show(*step)
    return screen.getvalue().split("\r\x1b[K")


def test_a_bar_and_what_else_there_is_to_say(monkeypatch, at_once):
    lines = drawn(monkeypatch, Screen(), ("log", 1, 4), ("log", 4, 4, "done"), ("objects", 12, 0))
    assert lines == ["", f"log: [{'█' * 5}{'·' * 15}]  25%", f"log: [{'█' * 20}] 100%  done", "objects: 12", ""]


def test_the_line_fits_the_terminal(monkeypatch, at_once):
    assert max(map(len, drawn(monkeypatch, Screen(), ("log", 1, 4, "x" * 200)))) == 59


def test_nothing_is_drawn_in_the_first_half_second(monkeypatch):
    assert drawn(monkeypatch, Screen(), ("log", 1, 4)) == [""]


def test_nothing_is_drawn_into_a_file(monkeypatch, at_once):
    assert drawn(monkeypatch, io.StringIO(), ("log", 1, 4)) == [""]
