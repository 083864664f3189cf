"""Which transaction wrote an object as it stands: its place leads to a frame, the frame's sequence to a commit record.

An object that the cleaner has moved stands in a frame of the system's; which transaction wrote it is then not known any more,
and so is what history has given up. Promise: at most the frame headers of the segments that are asked about are read, and for
each new sequence about log2 of the transactions.
"""

from __future__ import annotations

from bisect import bisect_right

from khoros.formats import constants as C

from . import frames
from .errors import KhorosError
from .reader import Store
from .records import Pointer
from .replay import Transaction


class Origins:
    """Answers for one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._segments: dict[int, tuple[list[int], list[int]]] = {}
        self._numbers: dict[int, Transaction | None] = {}
        self._recent = {int(item.record.sequence): item for item in store.replayed.transactions
                        if item.record.commit_kind == C.COMMIT_USER}

    def of(self, pointer: Pointer | None) -> Transaction | None:
        """The user transaction that wrote the entry there; None when that is not known."""
        if pointer is None or not pointer.kind:
            return None
        sequence = self._sequence(pointer.offset)
        return None if sequence is None else self._recent.get(sequence) or self._find(sequence)

    def _sequence(self, offset: int) -> int | None:
        """The sequence in the header of the frame around a place."""
        segment = self._store.geometry.segment_of_offset(offset)
        if segment not in self._segments:
            self._segments[segment] = self._walk(segment)
        starts, sequences = self._segments[segment]
        at = bisect_right(starts, offset) - 1
        return sequences[at] if at >= 0 else None

    def _walk(self, segment: int) -> tuple[list[int], list[int]]:
        """Offsets and sequences of the frames of a segment, going from one to the next by their lengths."""
        geometry, device = self._store.geometry, self._store.device
        at, end = (geometry.segment_lba(number) * C.SECTOR_BYTES for number in (segment, segment + 1))
        starts: list[int] = []
        sequences: list[int] = []
        while at < end:
            try:
                header = frames.header(device.read(at, frames.HEADER_BYTES))
            except KhorosError:
                break  # the end of the log, or a bad header: what is behind it has no origin
            starts.append(at)
            sequences.append(header.sequence)
            at += frames.span(header.payload_bytes, geometry.append_sectors)
        return starts, sequences

    def _find(self, sequence: int) -> Transaction | None:
        """By halving the transaction table: numbers and sequences grow together."""
        covered = self._store.checkpoint.transaction if self._store.checkpoint is not None else 0
        low, high = self._store.oldest_transaction, int(covered)
        while 0 < low <= high:
            middle = (low + high) // 2
            found = self._transaction(middle)
            if found is None or found.record.sequence == sequence:
                return found
            if found.record.sequence < sequence:
                low = middle + 1
            else:
                high = middle - 1
        return None

    def _transaction(self, number: int) -> Transaction | None:
        if number not in self._numbers:
            pointer = self._store.transactions.pointer(number)
            try:
                self._numbers[number] = None if pointer is None else self._store.transaction_at(number, pointer)
            except KhorosError:
                self._numbers[number] = None  # `log` and `check` say what is wrong with it
        return self._numbers[number]
