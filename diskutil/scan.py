"""Walks segments frame by frame without believing the index: for `check`, `dump` and whatever repairs.

Pure over one segment's bytes. A segment in use begins with a frame of its sequence; frames follow each other; where one
is bad the walk says so and goes on at the next header that can belong there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from khoros.formats import constants as C

from . import frames
from .device import Device
from .errors import FrameError, KhorosError
from .geometry import Geometry
from .records import Record


class Found(NamedTuple):
    """A frame, or a place where one should be. `error` says what is wrong; `payload` is None then.

    `header` is None when not even the header can be believed. `offset` in bytes from the store's start; `length` up
    to the next append boundary after it (0 for a header that cannot be believed).
    """

    offset: int
    length: int
    header: Record | None
    payload: bytes | None
    error: KhorosError | None


def segment_bytes(device: Device, geometry: Geometry, segment: int) -> bytes:
    """A segment's bytes."""
    return device.read(geometry.segment_lba(segment) * C.SECTOR_BYTES, geometry.segment_bytes)


class Walk:
    """One walk over a segment. `epoch` and `sequence` None: those of the first frame found."""

    def __init__(self, data: bytes, base: int, geometry: Geometry, epoch: int | None,
                 sequence: int | None = None, *, loose: bool = False) -> None:
        """`loose` takes every frame that is valid where it stands, whatever stood before it."""
        self._data = data
        self._base = base
        self._geometry = geometry
        self._epoch = epoch
        self._sequence = sequence
        self._loose = loose
        self._lsn = 0
        self._incarnation = 0

    def frames(self) -> Iterator[Found]:
        """Frames in order. A bad one is followed by the next header that can belong to the same run."""
        at = 0
        while at < len(self._data):
            found = self._at(at)
            if found.header is None:
                following = self._resync(at + self._geometry.append_bytes)
                if following is None:
                    return
                if not self._loose:
                    yield found
                at = following
                continue
            yield found
            if not self._loose:
                self._sequence, self._epoch = found.header.segment_sequence, found.header.epoch
                self._lsn, self._incarnation = found.header.lsn, found.header.incarnation
            at += max(found.length, self._geometry.append_bytes)

    def _at(self, at: int) -> Found:
        try:
            header = frames.header(self._data[at : at + frames.HEADER_BYTES])
            self._check_run(header, at)
        except FrameError as error:
            return Found(self._base + at, 0, None, None, error)
        length = frames.span(header.payload_bytes, self._geometry.append_sectors)
        if at + length > len(self._data):
            room = len(self._data) - at - frames.HEADER_BYTES
            return Found(self._base + at, 0, header, None, FrameError(
                what="payload_bytes", expected=f"at most {room}", found=header.payload_bytes))
        try:
            payload = frames.body(header, self._data[at : at + length])
        except FrameError as error:
            return Found(self._base + at, length, header, None, error)
        return Found(self._base + at, length, header, payload, None)

    def _check_run(self, header: Record, at: int) -> None:
        """FrameError unless the header belongs to this store, this place, and the run of frames before it."""
        lba = (self._base + at) // C.SECTOR_BYTES
        sequence = header.segment_sequence if self._sequence is None else self._sequence
        epoch = header.epoch if self._epoch is None else self._epoch
        for name, expected in (("epoch", epoch), ("lba", lba), ("segment_sequence", sequence)):
            if header[name] != expected:
                raise FrameError(what=name, expected=expected, found=header[name])
        if header.lsn <= self._lsn or header.incarnation < self._incarnation:
            raise FrameError(what="lsn", expected=f"more than {self._lsn}", found=header.lsn)

    def _resync(self, at: int) -> int | None:
        """The next boundary at which a frame of this run stands."""
        unit = self._geometry.append_bytes
        at = self._data.find(frames.MAGIC, at)
        while at >= 0:
            if at % unit == 0 and self._at(at).header is not None:
                return at
            at = self._data.find(frames.MAGIC, (at // unit + 1) * unit)
        return None
