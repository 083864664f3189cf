"""docs/disk.md: its tables are what the program gives, and completion answers in every shell that it names."""

from __future__ import annotations

import pytest

from khoros.diskutil import cli, errors, reference
from tests.diskutil.commandline import REPOSITORY, spawn

DOCUMENT = REPOSITORY / "docs" / "disk.md"


def test_the_tables_are_those_of_the_program():
    assert reference.document(DOCUMENT.read_text()) == DOCUMENT.read_text(), (
        "run ./khoros python -m khoros.diskutil.reference")


def test_every_exit_code_has_a_meaning():
    assert {number for number, _, _ in errors.exit_codes()} == set(reference._MEANINGS)


def test_a_table_that_there_is_not():
    with pytest.raises(KeyError):
        reference.document("<!-- table of contents -->\n<!-- end -->")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell):
    result = spawn(_KHOROS_DISK_COMPLETE=f"{shell}_source")
    assert result.code == 0 and result.err == b""
    assert "_KHOROS_DISK_COMPLETE" in result.text


@pytest.mark.parametrize(("words", "place", "found"), [
    ("khoros-disk ", 1, set(cli.COMMANDS)),
    ("khoros-disk b", 1, {"backup", "bisect"}),
    ("khoros-disk mkfs --boot", 2, {"--bootable"}),
    ("khoros-disk ls --color n", 3, {"never"}),
])
def test_words_are_completed(words, place, found):
    result = spawn(_KHOROS_DISK_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(place))
    assert {line.partition(",")[2] for line in result.lines} == found


def test_files_are_completed_where_an_image_belongs():
    result = spawn(_KHOROS_DISK_COMPLETE="bash_complete", COMP_WORDS="khoros-disk ls k", COMP_CWORD="2")
    assert result.lines == ["file,k"]
