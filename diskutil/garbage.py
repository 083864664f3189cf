"""Objects that nothing refers to: finds them, and takes them away.

Promise: nothing that the root, or anything reachable from it, refers to is touched; if one reachable object cannot be read,
what it refers to is not known, so nothing is deleted and the error says which. Snapshots and history keep what they need
through indexes of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

from khoros.formats import constants as C

from . import entries
from .graph import Marks, walk
from .reader import Store
from .writer import Writer


def find(store: Store, held: Iterable[int] = ()) -> list[int]:
    """Ids of all objects that neither the root nor `held` ones reach, ascending. Raises where one of those is unreadable."""
    reached = Marks(store.next_id)
    for _ in walk(store, [C.ROOT_ID, *held], reached):
        pass
    return sorted(identity for identity, _ in store.ids() if identity not in reached)


def collect(writer: Writer, held: Iterable[int] = ()) -> tuple[int, int]:
    """Delete them. Returns how many there were and the bytes of their entries; nothing is written if there are none."""
    ids = find(writer.store, held)
    pointers = [writer.store.pointer(identity) for identity in ids]
    size = sum(entries.size(pointer.payload_bytes) for pointer in pointers if pointer is not None)
    if ids:
        writer.delete_garbage(ids)
    return len(ids), size
