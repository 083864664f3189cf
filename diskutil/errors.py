"""Every failure that a user can meet, as one hierarchy.

A class's docstring is its message, its `exit_code` is what `khoros-disk` exits with, and its `code` is the word
that programs compare (the same as the `err.code` of lua/fs where both can meet the failure). Promise: the message
is one line with the file, the place, what was expected, what was found, and what to do, as far as each is known.
The table of exit codes in the docs is made from this file.
"""

from __future__ import annotations

from typing import Any, ClassVar


class KhorosError(Exception):
    """{what}"""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(
        self,
        *,
        file: str | None = None,
        offset: int | None = None,
        expected: object = None,
        found: object = None,
        advice: str | None = None,
        **details: Any,
    ) -> None:
        """`offset` in bytes from the start of the file; `details` fill the blanks of the message."""
        super().__init__()
        self.file = file
        self.offset = offset
        self.expected = expected
        self.found = found
        self.advice = advice
        self.details = details

    @property
    def summary(self) -> str:
        """What is wrong, without file, place, expectation and advice."""
        return (type(self).__doc__ or "").strip().splitlines()[0].format(**self.details)

    def __str__(self) -> str:
        text = self.summary
        if self.offset is not None:
            text += f" at byte {self.offset}"
        if self.expected is not None:
            text += f": expected {self.expected}, found {self.found}"
        elif self.found is not None:
            text += f": found {self.found}"
        if self.file is not None:
            text = f"{self.file}: {text}"
        return one_line(f"{text}; {self.advice}" if self.advice else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__)

    def in_file(self, file: str) -> KhorosError:
        """The same error, with the name of the file if it had none; for `raise error.in_file(f)`."""
        if self.file is None:
            self.file = file
        return self


def _rebuild(kind: type[KhorosError], state: dict[str, Any]) -> KhorosError:
    error = kind()
    error.__dict__.update(state)
    return error


def one_line(text: str, longest: int = 400) -> str:
    """Text that is safe to show in one line of a terminal: control characters escaped, length bounded."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


# -- The image is not what it should be: exit 1 ------------------------------------------------------------------


class FormatError(KhorosError):
    """{what}"""

    code = "format"


class NotAStore(FormatError):
    """not a Khoros store ({holds})"""

    code = "no_store"


class ForeignPartitions(NotAStore):
    """the disk is partitioned and no partition is a Khoros store ({holds})"""

    code = "no_store"


class NoSuperblock(NotAStore):
    """no superblock can be used: {what}"""


class NewerFormat(FormatError):
    """made by a newer format"""

    code = "newer_format"


class UnknownFeature(NewerFormat):
    """uses features that this program does not know"""

    code = "unknown_feature"


class TruncatedImage(FormatError):
    """the image is truncated"""

    code = "too_small"


class SuperblockError(FormatError):
    """bad superblock: {what}"""

    code = "corrupt"


class SuperblocksDisagree(SuperblockError):
    """the superblocks disagree: {what}"""

    code = "disagree"


class ChecksumError(FormatError):
    """bad checksum of {what}"""

    # As in the guest: `expected` is what the record states, `found` what its bytes come to.

    code = "corrupt"


class FrameError(FormatError):
    """bad frame: {what}"""

    code = "corrupt"


class EntryError(FormatError):
    """bad entry: {what}"""

    code = "corrupt"


class ObjectError(FormatError):
    """object {id} cannot be read: {what}"""

    code = "corrupt"


class ValueFormatError(FormatError):
    """bad value: {what}"""

    code = "corrupt"


class CheckpointError(FormatError):
    """bad checkpoint: {what}"""

    code = "corrupt"


class PageError(FormatError):
    """bad index page: {what}"""

    code = "corrupt"


class DamagedLog(FormatError):
    """the log is damaged: {what}"""

    code = "damaged"


class StaleSuperblock(FormatError):
    """the superblock is older than the log: a superblock write was lost"""

    code = "stale"


class SourceDamaged(FormatError):
    """not backed up, the image is damaged: {what}"""

    code = "damaged"


class LimitError(FormatError):
    """a limit is exceeded: {what}"""

    code = "limit"


# -- What was asked for cannot be done --------------------------------------------------------------------------


class UsageError(KhorosError):
    """{what}"""

    exit_code = 2
    code = "usage"


class NotFound(KhorosError):
    """no such name: {name}"""

    exit_code = 3
    code = "absent"


class NoSuchTransaction(NotFound):
    """no such transaction: {name}"""

    code = "absent"


class NoLongerKept(NotFound):
    """{name} is no longer kept: its log was given up for space"""

    code = "absent"


class InUse(KhorosError):
    """in use by another program ({holder})"""

    exit_code = 4
    code = "in_use"


class ReadOnly(KhorosError):
    """cannot be written: {what}"""

    exit_code = 5
    code = "read_only"


class NotEmpty(KhorosError):
    """not overwritten: it holds {holds}"""

    exit_code = 5
    code = "not_empty"


class NoSpace(KhorosError):
    """no space: {what}"""

    exit_code = 6
    code = "no_space"


class DeviceError(KhorosError):
    """{what}"""

    exit_code = 7
    code = "io"


class CannotStore(KhorosError):
    """cannot save {path}: {what}"""

    exit_code = 8
    code = "cannot_save"


class CannotUndo(KhorosError):
    """cannot undo {path}: {what}"""

    exit_code = 8
    code = "conflict"


class CannotExport(KhorosError):
    """cannot export {path}: {what}"""

    exit_code = 8
    code = "cannot_export"


class BadInput(KhorosError):
    """{what}"""

    exit_code = 9
    code = "invalid"


class NotBuilt(KhorosError):
    """there is no {name}; ./khoros build makes it"""

    code = "not_built"


class BisectionFailed(KhorosError):
    """the test does not tell: {what}"""

    exit_code = 10
    code = "invalid"


def exit_codes() -> list[tuple[int, str, str]]:
    """Rows (exit code, code, message) of every error class of this file, for the documented table."""
    rows = []
    pending: list[type[KhorosError]] = [KhorosError]
    while pending:
        kind = pending.pop()
        if kind.__module__ == __name__:
            rows.append((kind.exit_code, kind.code, (kind.__doc__ or "").strip().splitlines()[0]))
        pending += kind.__subclasses__()
    return sorted(rows)
