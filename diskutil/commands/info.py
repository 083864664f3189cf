"""`khoros-disk info`: what an image is, how large, how full, and how it was left."""

from __future__ import annotations

from typing import Any

import click

from khoros.formats import constants as C

from .. import sizes, superblock
from ..errors import one_line
from ..image import Image
from ..mapping import segment_states
from ..reader import Store
from ..space import stored_bytes
from ..structures import SEGMENT_STATES
from . import options
from .log import time_text
from .opening import open_image


@click.command("info")
@options.reading_options()
def command(image: str, as_json: bool) -> None:
    """Say what IMAGE is: identity, size, objects, transactions, space, and whether it was left cleanly."""
    with open_image(image) as opened:
        facts = collect(opened)
    if as_json:
        options.print_json(options.document("info", **facts))
        return
    for name, text in _lines(facts):
        click.echo(f"{options.styled(f'{name:<13}', bold=True)} {text}")


def collect(opened: Image) -> dict[str, Any]:
    """The facts, named as --json prints them."""
    store, block = opened.store, opened.store.superblock
    counts = segment_counts(store)
    segment_bytes = store.geometry.segment_bytes
    return {
        "image": opened.path, "uuid": str(superblock.identity(block)),
        "label": superblock.label(block), "lineage": block.lineage.hex(),
        "format": f"{block.format_major}.{block.format_minor}", "state": store.verdict,
        "in_use": bool(block.state & C.STATE_IN_USE),
        "damage": str(store.replayed.damage) if store.replayed.damage else None,
        "generation": block.generation, "size_bytes": block.total_sectors * C.SECTOR_BYTES,
        "offset_bytes": store.device.base, "segment_bytes": segment_bytes,
        "append_bytes": store.geometry.append_bytes, "segments": counts,
        "free_bytes": counts["free"] * segment_bytes, "objects": store.object_count(),
        "live_bytes": stored_bytes(store), "transactions": store.transaction,
        "snapshots": len(store.snapshots), "frames_to_replay": store.replayed.frame_count,
        "created_time": time_text(block.created_time), "written_time": time_text(block.written_time),
    }


def segment_counts(store: Store) -> dict[str, int]:
    """How many segments are in each state, replay included."""
    counts = dict.fromkeys([*SEGMENT_STATES.values(), "total"], 0)
    states = segment_states(store)
    for state, _ in states.values():
        counts[state if state in counts else "bad"] += 1
    counts["total"] = store.geometry.segment_count
    counts["free"] = counts["total"] - len(states)
    return counts


_VERDICTS = {
    "clean": "clean",
    "torn": "in use, or not unmounted cleanly; the next mount for writing recovers it",
    "damaged": "DAMAGED: readable as of the last whole transaction, never written to",
}


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    counts = facts["segments"]
    rows = [
        ("image", f"{facts['image']}, format {facts['format']}"),
        ("label", one_line(facts["label"]) or "-"),
        ("uuid", facts["uuid"]),
        ("state", _VERDICTS[facts["state"]]),
        ("size", f"{sizes.text(facts['size_bytes'])}, {counts['total']} segments of "
                 f"{sizes.text(facts['segment_bytes'])}"),
        ("space", f"{sizes.text(facts['free_bytes'])} free ({counts['free']} segments), "
                  f"{sizes.text(facts['live_bytes'])} live"),
        ("objects", str(facts["objects"])),
        ("transactions", str(facts["transactions"])),
        ("snapshots", str(facts["snapshots"])),
        ("created", facts["created_time"]),
        ("written", f"{facts['written_time']}, generation {facts['generation']}"),
    ]
    if facts["offset_bytes"]:
        rows.insert(1, ("partition", f"at byte {facts['offset_bytes']}"))
    if facts["damage"]:
        rows.append(("damage", facts["damage"]))
    return rows
