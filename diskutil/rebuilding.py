"""Writes a new image that holds given objects: a state of the past, or what a repair has found.

    mkfs beside the target ──▶ transactions of bounded size ──▶ clean unmount ──▶ rename

Objects keep their ids. Promise: the target appears when it is whole and durable, and what stood there stays on any error;
a block device is written in place. Memory is one transaction's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from khoros.formats import constants as C

from . import creation
from .creation import Created
from .device import is_block_device
from .reader import Store
from .writer import Item, open_writer

_BATCH_BYTES = 8 << 20


class Plan(NamedTuple):
    """What the new image is like. `next_id`: no object has this id or a larger one."""

    size_bytes: int
    segment_bytes: int | None
    append_sectors: int
    next_id: int
    label: str = ""
    uuid: str | None = None


def plan_like(store: Store) -> Plan:
    """A new image of the same size, shape, name and identity."""
    from . import superblock

    block = store.superblock
    return Plan(block.total_sectors * C.SECTOR_BYTES, store.geometry.segment_bytes,
                block.append_sectors, store.next_id, superblock.label(block),
                str(superblock.identity(block)))


def write_image(target: str, plan: Plan, objects: Iterable[Item], message: str, *,
                force: bool = False) -> Created:
    """Make the image. NotEmpty without `force` when something is there; NoSpace when the objects do not fit."""
    if is_block_device(target):
        made = _make(target, plan, force)
        _fill(target, plan, objects, message)
        return made
    creation.refuse_to_overwrite(target, force)
    temporary = f"{Path(target).resolve()}.{os.getpid()}.tmp"
    try:
        made = _make(temporary, plan, False)
        _fill(temporary, plan, objects, message)
        creation.rename_into_place(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return made._replace(path=target)


def _make(path: str, plan: Plan, force: bool) -> Created:
    return creation.mkfs(path, plan.size_bytes, label=plan.label, uuid=plan.uuid, force=force,
                         segment_bytes=plan.segment_bytes, append_sectors=plan.append_sectors)


def _fill(path: str, plan: Plan, objects: Iterable[Item], message: str) -> None:
    writer = open_writer(path)
    try:
        writer.next_id = max(writer.next_id, plan.next_id)
        for batch in _batches(objects):
            writer.commit(batch, message)
        writer.close()
    finally:
        writer.store.close()


def _batches(objects: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in objects:
        batch.append(item)
        size += len(item.payload)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def items_of(store: Store) -> Iterator[Item]:
    """Every object of a store, in the order of its index. KhorosError at the first that cannot be read."""
    for identity, pointer in store.ids():
        stored = store.read_at(identity, pointer)
        yield Item(identity, stored.kind, stored.payload)
