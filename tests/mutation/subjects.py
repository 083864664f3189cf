"""What is mutated, in five groups, and the tests that look at each.

Which of them goes first is learned from what killed before. `SLOW` are left out: each takes as long as all the others together.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from . import lua_operators, python_operators
from .mutant import Mutant, mutant


class Subject(NamedTuple):
    """A group: its name, its files, the tests that are to notice."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


KILLERS = "tests/mutation/killers.py"
STORE_TESTS = (KILLERS, "tests/fs/test_store.py", "tests/fs/test_device_errors.py", "tests/fs/test_index.py")
KEEPING_TESTS = ("tests/fs/test_cleaner.py", "tests/fs/test_snapshots.py", "tests/fs/test_space.py", "tests/fs/test_views.py")
READER_TESTS = (
    "tests/diskutil/test_superblock.py", "tests/diskutil/test_entries.py", "tests/diskutil/test_check.py",
    "tests/diskutil/test_history.py", "tests/diskutil/test_hostile.py", "tests/golden/test_golden.py", KILLERS,
)  # fmt: skip

SUBJECTS = (
    Subject("commit", ("lua/fs/log.lua", "lua/fs/frame.lua", "lua/fs/placement.lua", "lua/fs/writing.lua", "lua/fs/entry.lua",
                       "lua/fs/checkpoint.lua", "lua/fs/joining.lua"),
            (*STORE_TESTS, "tests/fs/test_joining.py")),
    Subject("recovery", ("lua/fs/superblock.lua", "lua/fs/replay.lua", "lua/fs/scanner.lua", "lua/fs/volume.lua"),
            (*STORE_TESTS, "tests/fs/test_corruption.py", "tests/golden/test_golden.py")),
    Subject("cleaner", ("lua/fs/cleaner.lua", "lua/fs/survey.lua", "lua/fs/retention.lua", "lua/fs/segments.lua", "lua/fs/space.lua"),
            (KILLERS, "tests/fs/test_store.py", *KEEPING_TESTS)),
    Subject("flush", ("lua/drivers/ata/drive.lua", "lua/drivers/ata/channel.lua", "lua/drivers/ata/pio.lua", "lua/drivers/ata/dma.lua",
                      "lua/drivers/ata/errors.lua"),
            ("tests/drivers/test_ata.py", "tests/drivers/test_ata_dma.py")),
    Subject("reader", ("diskutil/reader.py", "diskutil/superblock.py", "diskutil/replay.py", "diskutil/frames.py", "diskutil/entries.py",
                       "diskutil/index.py"), READER_TESTS),
)

SLOW = (
    "test_filled_half_emptied_and_filled_again_ten_times", "test_sequences_equal_an_array", "test_every_byte",
    "test_snapshots_stay_equal_while_everything_is_overwritten_again_and_again[1-300]",
    "test_a_snapshot_taken_first_stays_equal_while_everything_is_overwritten_ten_times", "test_rot_in_what_is_dead",
    "test_a_full_store_is_overwritten_again_and_again", "test_at_every_size_of_store", "test_an_allocation_that_fails_anywhere",
    "test_power_goes_at_every_call", "test_an_error_at_every_call", "test_after_an_allocation",
    "test_a_full_store_refuses_before_anything_changes_and_can_always_delete", "test_every_sector_zeroed",
    "test_tidying_cleans_before_a_commit_has_to", "test_random_damage_never_raises_anything_else",
    "test_every_byte_that_is_used_is_covered", "test_the_guests_store_opens_every_kind", "test_when_space_ran_out",
    "test_every_sector_zeroed_or_swapped_is_found", "test_a_write_that_fails_after_some_sectors",
)  # fmt: skip


def mutants(subject: Subject, root: Path) -> list[Mutant]:
    """Every mutant of a group, those that do not compile among them."""
    return [one for path in subject.files for one in operators(path).mutants(path, (root / path).read_text(encoding="utf-8"))]


def operators(path: str) -> ModuleType:
    return lua_operators if path.endswith(".lua") else python_operators


def compiles(one: Mutant, root: Path) -> bool:
    """Whether the mutant is a program at all."""
    return bool(operators(one.path).compiles(one.text(root)))


def canary(subject: Subject, root: Path) -> Mutant:
    """One that no test can kill: words in a file's first comment. A test set that kills it kills whatever it is given."""
    path = subject.files[0]
    text = (root / path).read_text(encoding="utf-8")
    end = text.index("\n") if path.endswith(".lua") else 3
    return mutant(path, text, "canary", end, end, " A canary.")
