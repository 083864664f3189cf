"""The reader of documents itself."""

from __future__ import annotations

import pytest

from tests.documents.blocks import blocks, matches, run_console, steps


def test_blocks_have_language_text_and_line():
    found = blocks("# T\n\n```python\na = 1\n```\n\n```console\n$ ls\n```\n")
    assert [(b.language, b.text, b.line) for b in found] == [("python", "a = 1\n", 4), ("console", "$ ls\n", 8)]


def test_steps_are_commands_with_answers():
    assert [tuple(step) for step in steps("> 1 + 1\n2\n> x\n", "> ")] == [("1 + 1", ["2"]), ("x", [])]
    with pytest.raises(ValueError, match="must begin"):
        steps("2\n> x", "> ")


@pytest.mark.parametrize(("expected", "found", "same"), [
    (["a…c"], ["abc"], True), (["a…c"], ["abd"], False), (["a", "…", "z"], ["a", "b", "c", "z"], True),
    (["a", "…"], ["a"], True), (["a"], ["a", "b"], False), (["a.c"], ["abc"], False), ([], ["x"], False),
])
def test_dots_stand_for_anything(expected, found, same):
    assert matches(expected, found) is same


def test_a_wrong_answer_is_found(tmp_path):
    run_console("$ echo hello\nhello\n", tmp_path)
    with pytest.raises(AssertionError, match="expected"):
        run_console("$ echo hello\ngoodbye\n", tmp_path)
