"""A checkpoint: the changed pages of the three indexes, a record with their roots, a commit record (SPEC 5).

    plan (pages, places, segment table: settled on paper) → frames → FLUSH → superblock → adopted

Nothing is written here: `prepare` gives the entries and the plan, and the writer writes them like any transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from khoros.formats import CHECKPOINT, derive
from khoros.formats import constants as C

from . import entries, placement, replay
from .cleaner import Touched
from .errors import NoSpace
from .pages import TreeUpdate, slot_bytes
from .placement import Plan
from .reader import CHECKPOINT_BYTES, SNAPSHOT_BYTES, Store
from .records import Pointer, Record, pointer_fields
from .replay import Position
from .retention import Release
from .segments import Segments, Totals
from .space import PAGE_ENTRY_BYTES

COMMIT_ENTRY_BYTES = entries.size(replay.COMMIT_BYTES)


class Prepared(NamedTuple):
    """A checkpoint ready to be written: its entries but for the commit record, where they stand, the new record."""

    plan: Plan
    entries: list[bytes]
    record: Record
    pointer: Pointer


def prepare(store: Store, segments: Segments, position: Position, incarnation: int, now: int,
            release: Release | None = None, touched: Touched | None = None) -> Prepared:
    """Work out the checkpoint that follows the log at `position`, letting go of `release`.

    `touched` pages are written anew wherever they stood.

    NoSpace when it does not fit; the segment table is then as it was.
    """
    before = dict(segments.changed)
    try:
        return _prepare(store, segments, position, incarnation, now, release, touched or {})
    except NoSpace:
        segments.changed = before
        raise


def _prepare(store: Store, segments: Segments, position: Position, incarnation: int, now: int,
             release: Release | None, touched: Touched) -> Prepared:
    totals = segments.account_changes(store)
    segments.promote_pending()
    for segment in release.segments if release else []:
        segments.release(segment)
    oldest = release.oldest if release else store.oldest_transaction
    objects = TreeUpdate(store.objects, {
        key: slot_bytes(pointer) for key, pointer in store.replayed.objects.items()},
        touched.get("objects", ()))
    numbers = TreeUpdate(store.transactions, _transaction_slots(store, oldest),
                         touched.get("transactions", ()))
    record_bytes = entries.size(CHECKPOINT_BYTES + len(store.snapshots) * SNAPSHOT_BYTES)
    fixed = len(objects.pages) + len(numbers.pages)
    plan, table = _settle(store, segments, position, (fixed, record_bytes),
                          touched.get("segments", ()))
    return _build(store, (objects, numbers, table), plan, totals, oldest, incarnation, now)


def _transaction_slots(store: Store, oldest: int) -> dict[int, bytes]:
    """What changes in the transaction table: new ones come in, those before `oldest` (0: all) go out."""
    last = store.transaction
    before = store.checkpoint.oldest_transaction if store.checkpoint else 0
    gone = range(before, min(oldest or last + 1, last + 1)) if before else range(0)
    changes = {number: slot_bytes(None) for number in gone}
    for item in store.replayed.transactions:
        number = item.record.transaction
        if item.record.commit_kind == C.COMMIT_USER and oldest and number >= oldest:
            changes[number] = slot_bytes(item.commit)
    return changes


def pages_bound(store: Store, more_objects: int, next_id: int, more_segments: int) -> int:
    """At most how many page-sized entries the next checkpoint has after that many further changes."""
    objects = len(store.replayed.objects) + more_objects
    numbers = len(store.replayed.transactions) + 1
    segments = store.geometry.segment_count
    touched = min(2 * objects + len(store.replayed.opened) + more_segments + 2, segments)
    return (_bound(objects, next_id) + _bound(numbers, store.transaction + 2)
            + _bound(touched, segments) + 2)


def _bound(changes: int, keys: int) -> int:
    """Pages that so many changes among so many keys touch, all levels together."""
    width = -(-keys // C.PAGE_FANOUT)
    total = min(changes, width)
    while width > 1:
        width = -(-width // C.PAGE_FANOUT)
        total += min(changes, width)
    return total


def _settle(store: Store, segments: Segments, position: Position, fixed: tuple[int, int],
            touched: Collection[tuple[int, int]]) -> tuple[Plan, TreeUpdate]:
    """The plan, and the segment table as it is once the plan is carried out, its own pages included.

    `fixed`: how many pages come before its own, bytes of the checkpoint record's entry. Each round can only add
    pages of the table, so this ends.
    """
    pages_before, record_bytes = fixed
    pages = -1
    while True:
        before = dict(segments.changed)
        sizes = [PAGE_ENTRY_BYTES] * (pages_before + max(pages, 0)) + [record_bytes, COMMIT_ENTRY_BYTES]
        plan = placement.plan(store.geometry, position, sizes, segments.free_after)
        segments.follow(position.segment, plan.opened, store.replayed.chain.transaction)
        table = TreeUpdate(store.segments, {
            number: row.pack() for number, row in segments.changed.items()}, touched)
        segments.changed = before
        if len(table.pages) == pages:
            return plan, table
        pages = len(table.pages)


def _build(store: Store, trees: tuple[TreeUpdate, TreeUpdate, TreeUpdate], plan: Plan,
           totals: Totals, oldest: int, incarnation: int, now: int) -> Prepared:
    objects, numbers, table = trees
    built: list[bytes] = []
    roots: list[Pointer | None] = []
    for tree in trees:
        pages, root = tree.build(plan.offsets[len(built) : len(built) + len(tree.pages)])
        built += pages
        roots.append(root)
    offset = plan.offsets[len(built)]
    chain, base = store.replayed.chain, store.checkpoint
    frame = next(f for f in plan.frames if f.first <= len(built) < f.first + f.entry_count)
    record = Record(
        sequence=chain.sequence + 1, transaction=chain.transaction, time=now, frame_lba=frame.lba,
        next_id=store.next_id, object_count=totals.objects, object_bytes=totals.size,
        keep_transactions=base.keep_transactions if base else 0,
        oldest_transaction=oldest if oldest <= chain.transaction else 0, **pointer_fields("objects", roots[0]),
        **pointer_fields("segments", roots[2]), **pointer_fields("transactions", roots[1]),
        **pointer_fields("previous", store.superblock.pointer("checkpoint")),
        object_levels=_levels(objects, roots[0]), segment_levels=_levels(table, roots[2]),
        transaction_levels=_levels(numbers, roots[1]), incarnation=incarnation,
        open_segment=plan.end.segment, snapshot_count=len(store.snapshots),
    )
    payload = derive.pack(CHECKPOINT, record) + store.snapshot_bytes
    data, crc = entries.encode(C.KIND_CHECKPOINT, record.sequence & C.ID_MASK, payload)
    pointer = Pointer(offset // C.PLACE_UNIT_BYTES, C.KIND_CHECKPOINT, len(payload), crc)
    return Prepared(plan, [*built, data], record, pointer)


def _levels(tree: TreeUpdate, root: Pointer | None) -> int:
    return tree.levels if root is not None else 0
