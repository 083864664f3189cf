"""Opens an image for a command, and says on stderr what a reader should know about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import image as images
from ..device import FileDevice
from ..errors import KhorosError
from ..image import Image
from . import options


@contextmanager
def open_image(path: str, mode: str = "r", at: str | None = None) -> Iterator[Image]:
    """The image, as of `at` if that is given, closed afterwards; errors from inside carry the file's name."""
    with images.open(path, mode) as opened:
        describe_state(opened)
        try:
            yield opened if at is None else opened.at(at)
        except KhorosError as error:
            raise error.in_file(path) from error.__cause__


def describe_state(opened: Image) -> None:
    """One line each: a machine is writing to it, or its log is damaged."""
    device = opened.store.device
    if isinstance(device, FileDevice) and not device.writable and device.in_use():
        options.note(f"{opened.path}: a running machine has it open; this is the state as of "
                     f"t{opened.transaction}")
    if opened.store.replayed.damage is not None:
        options.note(f"warning: {opened.store.replayed.damage}; showing t{opened.transaction}, "
                     "the last whole transaction")
