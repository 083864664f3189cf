"""The reader of documents itself."""

from __future__ import annotations

import click
import pytest

from tests.documents.blocks import (
    Block,
    blocks,
    matches,
    parse_shell,
    run_console,
    steps,
    write_file,
)


def test_blocks_have_language_text_line_and_title():
    found = blocks('# T\n\n```python\na = 1\n```\n\n1. one\n\n   ```lua title="a.lua"\n   if x then\n     y()\n   end\n   ```\n')
    assert found == [Block("python", "a = 1\n", 4), Block("lua", "if x then\n  y()\nend\n", 10, "a.lua")]


def test_steps_are_commands_with_answers():
    assert [tuple(step) for step in steps("> 1 + 1\n2\n> x\n", ["> "])] == [("> ", "1 + 1", ["2"]), ("> ", "x", [])]
    assert [tuple(step) for step in steps("$ a\n> f(\n>> 1)\n2\n", ["$ ", "> "])] == [
        ("$ ", "a", []), ("> ", "f(\n1)", ["2"])]
    with pytest.raises(ValueError, match="must begin"):
        steps("2\n> x", ["> "])


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


def test_files_stay_in_the_folder(tmp_path):
    write_file(Block("lua", "x\n", 1, "a/b.lua"), tmp_path)
    assert (tmp_path / "a/b.lua").read_text() == "x\n"
    with pytest.raises(AssertionError):
        write_file(Block("lua", "x\n", 1, "../b.lua"), tmp_path)


def test_commands_that_are_not_run_are_parsed():
    parse_shell("khoros-disk torture --full   # long\n./khoros run --iso -- -smp 2\nsudo dd if=a of=b\n")
    for wrong in ("khoros-disk tortoise\n", "khoros-disk torture --fuller\n", "./khoros run --isolate\n"):
        with pytest.raises(click.UsageError):
            parse_shell(wrong)
    with pytest.raises(AssertionError):
        parse_shell("if\n")
