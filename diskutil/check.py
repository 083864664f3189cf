"""Verifies everything in an image: what `khoros-disk check` reports. Reads only.

    superblocks → checkpoint and replay (mount) → indexes → log frame by frame, and the values of the live objects in each
    → every object that was not met there → references → segment table against the index → transactions → snapshots

The log is read once, in its order; columns (live.py) say which of its entries are objects. What is in order is only counted:
all that is reported comes from the functions that read one object through its pointer, as any reader does.

A finding is an error (bytes that are wrong: fsck's bit 4) or a note (a torn tail, garbage: nothing to worry about).
Damage to one thing does not end the check of the others; what cannot be mounted at all raises its KhorosError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy

from khoros.formats import constants as C

from . import bulk, composites, entries, frames, kinds, replay, scan
from .errors import KhorosError, ObjectError
from .index import Index, Slot
from .live import Live
from .reader import Store
from .records import Pointer, Record
from .segments import parse as parse_segment

Progress = Callable[[str, int, int], None]


class Finding(NamedTuple):
    """One thing that was found. `offset` in bytes of the file, or None."""

    error: bool
    text: str
    offset: int | None = None


class _Run(NamedTuple):
    """The frames found in a segment: numbers of the first and last (0: none), where they start and end."""

    first_lsn: int
    last_lsn: int
    start_offset: int
    end_offset: int


class Report(NamedTuple):
    """The outcome: findings, and how much was verified."""

    findings: list[Finding]
    objects: int
    frames: int
    pages: int
    bytes_read: int
    unreachable: int

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.error for finding in self.findings)


class Check:
    """One check of a mounted store. `run` gives the report; `progress(stage, done, total)` is called now and then."""

    def __init__(self, store: Store, progress: Progress | None = None) -> None:
        self._store = store
        self._progress = progress or (lambda stage, done, total: None)
        self._findings: list[Finding] = []
        self._composites: list[int] = []
        self._live = Live()
        self._frames = self._pages = self._objects = self._bytes = self._unreachable = 0

    def run(self) -> Report:
        """Verify everything once."""
        self._check_superblocks()
        self._check_end()
        self._check_index_pages()
        self._check_log()
        self._check_objects()
        self._check_segments()
        self._check_transactions()
        self._check_snapshots()
        return Report(self._findings, self._objects, self._frames, self._pages, self._bytes,
                      self._unreachable)

    def _error(self, text: str, offset: int | None = None) -> None:
        base = self._store.device.base
        self._findings.append(Finding(True, text, None if offset is None else base + offset))

    def _bad(self, error: KhorosError, what: str = "") -> None:
        """A finding from an error that says where it is itself."""
        error.file = None
        text = f"{what}: {error}" if what else str(error)
        self._findings.append(Finding(True, text, error.offset))

    def errors_so_far(self, what: str) -> int:
        """How many errors of that beginning were found already, of which others may only be a consequence."""
        return sum(f.error and f.text.startswith(what) for f in self._findings)

    def _note(self, text: str) -> None:
        self._findings.append(Finding(False, text))

    # -- superblocks and the end of the log -------------------------------------------------------------------

    def _check_superblocks(self) -> None:
        """Which copies may be bad follows from the order in which they are written (SPEC 2, "Updating").

        A cut in an update leaves one copy unwritten or torn: the tail of the generation in force, or the head of the
        next one, in the place of the generation before. That is no damage, and the next writer mends it. The other
        two copies are durable before those are touched: if one of them is bad, it rotted.
        """
        chosen = self._store.superblock
        for slot in self._store.slots:
            current = slot.parity == chosen.generation % 2
            expected = chosen.generation if current else chosen.generation - 1
            if expected < 1 or (slot.superblock and slot.superblock.generation == expected):
                continue
            why = "an older generation" if slot.superblock else slot.error.summary if (
                slot.error) else "absent"
            text = f"superblock copy at LBA {slot.lba}: {why}"
            if current == slot.head:
                self._error(text, slot.lba * C.SECTOR_BYTES)
            else:
                self._note(f"{text}; cut off while it was written, or damaged since: "
                           "the next mount for writing mends it")

    def _check_end(self) -> None:
        if self._store.replayed.damage is not None:
            self._bad(self._store.replayed.damage)
        elif self._store.verdict == "torn":
            what = self._store.replayed.reason
            self._note("not unmounted cleanly; the next mount for writing recovers it"
                       + (f" (an unfinished transaction ends with: {what})" if what else ""))

    # -- the log ----------------------------------------------------------------------------------------------

    def _check_log(self) -> None:
        """Every frame and entry of every segment in use; holes between frames whose numbers are known."""
        used, end = self._used_segments(), self._store.replayed.position
        runs: dict[int, _Run] = {}
        for number, (sequence, segment) in enumerate(sorted(used.items())):
            self._progress("log", number, len(used))
            runs[sequence] = self._check_segment_frames(segment, sequence)
        for sequence, run in sorted(runs.items()):
            following = runs[sequence + 1].first_lsn if sequence + 1 in runs else 0
            if sequence == end.segment_sequence:
                following = end.lsn
            self._check_run(used[sequence], run, following)

    def _check_run(self, segment: int, run: _Run, following: int) -> None:
        """A segment's frames must reach up to the first one that follows; 0 for not known."""
        if self._store.replayed.damage is not None:
            return  # reported, and what follows it cannot be judged
        if not run.first_lsn:
            # Only a store to which nothing was ever written stands in a segment without a frame.
            if following != 1:
                self._error(f"no frame of segment {segment} can be read", run.end_offset)
        elif run.start_offset != self._store.geometry.segment_lba(segment) * C.SECTOR_BYTES:
            self._error(f"the first frame of segment {segment} is unreadable",
                        self._store.geometry.segment_lba(segment) * C.SECTOR_BYTES)
        elif following and run.last_lsn + 1 < following:
            self._error(f"frames {run.last_lsn + 1} to {following - 1} of segment {segment} "
                        "are unreadable", run.end_offset)

    def _used_segments(self) -> dict[int, int]:
        """sequence -> number of every segment that holds log, replayed ones included."""
        used = {}
        try:
            for segment, fields in self._store.segments.items():
                row = parse_segment(fields)
                if row.state in (C.SEGMENT_OPEN, C.SEGMENT_FULL, C.SEGMENT_BAD):
                    used[row.sequence] = segment
        except KhorosError as error:
            self._bad(error, "segment table")
        position = self._store.replayed.position
        used[position.segment_sequence] = position.segment
        used.update({sequence: segment for segment, sequence in self._store.replayed.opened})
        return used

    def _check_segment_frames(self, segment: int, sequence: int) -> _Run:
        """Verify the frames of a segment up to the end of the log; what the walk saw."""
        store, end = self._store, self._store.replayed.position.lsn
        data = scan.segment_bytes(store.device, store.geometry, segment)
        self._bytes += len(data)
        base = store.geometry.segment_lba(segment) * C.SECTOR_BYTES
        run = _Run(0, 0, base, base)
        for found in scan.Walk(data, base, store.geometry, store.superblock.epoch, sequence).frames():
            if found.header is None:
                continue  # judged by the numbers of the frames around it
            if found.header.lsn >= end:
                break
            if run.last_lsn and found.header.lsn != run.last_lsn + 1:
                self._error(f"frames {run.last_lsn + 1} to {found.header.lsn - 1} of segment "
                            f"{segment} are unreadable", run.end_offset)
            start = run.start_offset if run.first_lsn else found.offset
            run = _Run(run.first_lsn or found.header.lsn, found.header.lsn, start,
                       found.offset + max(found.length, store.geometry.append_bytes))
            self._check_frame(found)
        return run

    def _check_frame(self, found: scan.Found) -> None:
        self._frames += 1
        if found.error is not None or found.payload is None or found.header is None:
            self._error(f"frame: {found.error}", found.offset)
            return
        start = found.offset + frames.HEADER_BYTES
        try:
            offsets, headers = entries.headers(found.payload, found.header.entry_count)
            payloads = entries.verified(found.payload, offsets, headers)
            for place in (headers["tag"] >> C.ID_BITS == C.KIND_COMMIT).nonzero()[0].tolist():
                replay.commit_record(payloads[place])
        except KhorosError as error:
            self._error(f"frame {found.header.lsn}: {error}", start)
            return
        if offsets:
            places, rows = self._live.of_frame(start, offsets, headers)
            self._read_live(rows, headers[places], [payloads[place] for place in places.tolist()])

    def _read_live(self, rows: numpy.ndarray, headers: numpy.ndarray, payloads: list[bytes]) -> None:
        """Live objects whose entries are good. What is wrong with their values is told in its turn."""
        kinds_found = headers["tag"] >> C.ID_BITS
        tables = (kinds_found == C.KIND_TABLE).nonzero()[0]
        found = bulk.table_references([payloads[place] for place in tables.tolist()])
        refused = [number for number, references in enumerate(found) if references is None]
        self._live.sound(numpy.delete(rows[tables], refused))
        for number, references in enumerate(found):
            if references:
                self._live.refers(int(self._live.ids[rows[tables[number]]]), references)
        for place in (kinds_found != C.KIND_TABLE).nonzero()[0].tolist():
            self._read_value(int(rows[place]), int(kinds_found[place]), payloads[place])

    def _read_value(self, row: int, kind: int, payload: bytes) -> None:
        if kind not in entries.OBJECT_KINDS:
            return
        with suppress(KhorosError):
            self._note_object(int(self._live.ids[row]), kind, kinds.references(kind, payload))
            self._live.sound(row)

    def _note_object(self, identity: int, kind: int, references: list[int]) -> None:
        if references:
            self._live.refers(identity, references)
        if kind in composites.KINDS:
            self._composites.append(identity)

    # -- indexes ----------------------------------------------------------------------------------------------

    def _check_index_pages(self) -> None:
        """Every page of the indexes; those of the objects say where each stands, as far as they can be read."""
        for name, index in (("object", self._store.objects), ("segment", self._store.segments),
                            ("transaction", self._store.transactions)):
            for level, number, data in self._pages_of(index, f"{name} index"):
                if data.count(0) == len(data):
                    self._error(f"{name} index: page {number} of level {level} is empty and stored")
                if index is self._store.objects and level == 0:
                    self._live.add_page(number, data)
        self._footprint = self._live.footprint(self._store.geometry)
        self._live.replace(self._store.replayed.objects)
        self._live.arrange()

    def _pages_of(self, index: Index, name: str) -> Iterator[tuple[int, int, bytes]]:
        """Every page that can be read; a bad one is a finding, and its siblings go on."""
        pending: list[tuple[Pointer, int, int]] = []
        if index.root is not None:
            pending.append((index.root, index.levels - 1, 0))
        while pending:
            pointer, level, number = pending.pop()
            try:
                data = index.page(pointer, level, number)
            except KhorosError as error:
                self._bad(error, f"{name}, page {number} of level {level}")
                continue
            self._pages += 1
            yield level, number, data
            if level:
                pending += index.children(data, level, number)

    def _leaves(self, index: Index, name: str) -> Iterator[tuple[int, Slot]]:
        for level, number, data in self._pages_of(index, name):
            if level == 0:
                yield from index.leaf_items(data, number)

    # -- objects ----------------------------------------------------------------------------------------------

    def _readable_leaves(self, index: Index) -> Iterator[tuple[int, Slot]]:
        """As `_leaves`, in key order, without reporting again what `_check_index_pages` reported."""
        quiet = Check(self._store)
        return quiet._leaves(index, "")

    def _check_objects(self) -> None:
        """Every object: id, entry, canonical value, references; then what the root reaches."""
        live, next_id = self._live, self._store.next_id
        self._objects = len(live)
        for identity in live.ids[(live.ids < C.ROOT_ID) | (live.ids >= next_id)].tolist():
            self._error(f"object {identity}: its id was never handed out (next is {next_id})")
        for number, (identity, pointer) in enumerate(live.unsound()):
            if not number & 4095:
                self._progress("objects", number, 0)
            found = self._check_object(identity, pointer)
            if found is not None:
                self._note_object(identity, pointer.kind, found)
        self._check_composites()
        if self._objects and C.ROOT_ID not in live.ids:
            self._error("there are objects and no root (object 1)")
        self._check_references()

    def _check_object(self, identity: int, pointer: Pointer) -> list[int] | None:
        """The ids that an object mentions; None, and a finding, when it cannot be read."""
        try:
            stored = self._store.read_at(identity, pointer)
            self._bytes += entries.size(pointer.payload_bytes)
            return kinds.references(stored.kind, stored.payload)
        except KhorosError as error:
            if not isinstance(error, ObjectError):
                error.offset = self._store.device.base + pointer.offset
            self._bad(error, "" if isinstance(error, ObjectError) else f"object {identity}")
        return None

    def _check_composites(self) -> None:
        """What is made of several objects holds together, and no node is part of two."""
        owners: dict[int, int] = {}
        pieces: dict[int, int] = {}
        for number, identity in enumerate(sorted(self._composites)):
            if not number & 1023:
                self._progress("trees and functions", number, len(self._composites))
            try:
                nodes = composites.check(self._store, identity, pieces)
            except KhorosError as error:
                self._bad(error, f"object {identity}")
                continue
            for node in nodes:
                other = owners.setdefault(node, identity)
                if other != identity:
                    self._error(f"object {node} is a part of object {other} and of object {identity}")

    def _check_references(self) -> None:
        reached = self._live.reach(C.ROOT_ID)
        for identity, target in reached.dangling:
            self._error(f"object {identity} refers to object {target}, which does not exist")
        self._unreachable = len(self._live) - reached.objects
        if self._unreachable and not self.errors_so_far("object"):
            self._note(f"{self._unreachable} objects cannot be reached from the root (garbage)")

    # -- tables -----------------------------------------------------------------------------------------------

    def _check_segments(self) -> None:
        """Live bytes, states and counts of the last checkpoint against the object index that it has."""
        record = self._store.checkpoint
        if record is None:
            return
        found = self._footprint
        for identity in found.outside:
            self._error(f"object {identity}: its pointer leaves the log")
        self._compare("object_count of the checkpoint", record.object_count, found.objects)
        self._compare("object_bytes of the checkpoint", record.object_bytes, sum(found.sizes.values()))
        self._check_segment_rows(dict(found.sizes), record)

    def _check_segment_rows(self, live: dict[int, int], record: Record) -> None:
        store = self._store
        seen: dict[int, int] = {}
        for segment, fields in self._readable_leaves(store.segments):
            row = parse_segment(fields)
            if segment >= store.geometry.segment_count:
                self._error(f"segment table: segment {segment} is beyond the store")
                continue
            if row.state > C.SEGMENT_BAD:
                self._error(f"segment {segment}: state {row.state} is none that exists")
            self._compare(f"live bytes of segment {segment}", row.live_bytes, live.pop(segment, 0))
            if row.state in (C.SEGMENT_OPEN, C.SEGMENT_FULL):
                other = seen.setdefault(row.sequence, segment)
                if other != segment:
                    self._error(f"segments {other} and {segment} have the same sequence")
            if (row.state == C.SEGMENT_OPEN) != (segment == record.open_segment):
                self._error(f"segment {segment}: open in the table or in the checkpoint, not in both")
            if row.live_bytes and row.state in (C.SEGMENT_FREE, C.SEGMENT_PENDING):
                self._error(f"segment {segment} is free and holds {row.live_bytes} live bytes")
        for segment, size in live.items():
            self._error(f"segment {segment} holds {size} live bytes and is not in the segment table")

    def _compare(self, what: str, stated: int, counted: int) -> None:
        if stated != counted:
            self._error(f"{what}: {stated} stated, {counted} counted")

    def _check_transactions(self) -> None:
        """Each transaction from the oldest one kept has a commit record that says its number."""
        store = self._store
        record = store.checkpoint
        if record is None:
            return
        numbers = []
        before = self.errors_so_far("transaction index")
        for number, fields in self._readable_leaves(store.transactions):
            pointer = Pointer.of(*fields)
            if pointer is None:
                continue
            numbers.append(number)
            try:
                store.transaction_at(number, pointer)
            except KhorosError as error:
                self._bad(error, f"transaction t{number}")
        oldest = record.oldest_transaction
        if oldest and not before and numbers != list(range(oldest, record.transaction + 1)):
            missing = sorted(set(range(oldest, record.transaction + 1)) - set(numbers))
            extra = sorted(set(numbers) - set(range(1, record.transaction + 1)))
            if missing:
                self._error(f"the transaction table lacks t{missing[0]}"
                            f"{' and others' if len(missing) > 1 else ''}")
            if extra:
                self._error(f"the transaction table has t{extra[0]}, which never was")
        if oldest > record.transaction:
            self._error(f"the oldest transaction is t{oldest}, and the newest t{record.transaction}")

    def _check_snapshots(self) -> None:
        store = self._store
        for snapshot in store.snapshots:
            name = bytes(snapshot.name).rstrip(b"\0").decode("utf-8", "replace")
            try:
                objects = Index(snapshot.pointer("objects"), snapshot.object_levels, C.KIND_OBJECT_PAGE, store.follow)
                segments = Index(snapshot.pointer("segments"), snapshot.segment_levels, C.KIND_SEGMENT_PAGE, store.follow)
            except KhorosError as error:
                self._bad(error, f"snapshot {name}")
                continue
            self._check_snapshot(f"snapshot {name}", objects, segments)

    def _check_snapshot(self, name: str, objects: Index, segments: Index) -> None:
        """Its objects, as far as they are not also the present's, and its segment table, which counts their bytes."""
        before = self.errors_so_far(name)
        counted: Counter[int] = Counter()
        for level, number, data in self._pages_of(objects, name):
            if level:
                continue
            for identity, pointer in self._live.not_sound(number, data):
                self._check_object(identity, pointer)
            leaf = Live()
            leaf.add_page(number, data)
            counted.update(leaf.footprint(self._store.geometry).sizes)
        rows = {segment: parse_segment(fields).live_bytes
                for segment, fields in self._leaves(segments, f"{name}, index of its segments")}
        if self.errors_so_far(name) == before:
            for segment in sorted(rows.keys() | counted.keys()):
                self._compare(f"{name}: live bytes of segment {segment}", rows.get(segment, 0), counted[segment])


def check(store: Store, progress: Progress | None = None) -> Report:
    """Verify a mounted store."""
    with bulk.collector_off():
        return Check(store, progress).run()
