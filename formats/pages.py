"""Index pages: 256 slots of 16 bytes, in a copy-on-write radix tree.

A key (object id, segment number, transaction number) is split into bytes: the lowest selects the
slot of the leaf, the next one the slot of its parent, and so on for `levels` levels. Slots of
interior pages are pointers to pages of the level below. Leaf slots are pointers to entries (object
index: the object; transaction table: the commit record) or segment records. A page without any
used slot is not stored: the slot above it is zero.
"""

from construct import Array, Int32ul, Int64ul, Struct

from .constants import PAGE_FANOUT
from .entry import POINTER

PAGE = Struct("slots" / Array(PAGE_FANOUT, POINTER) * "one slot a value of the key's byte")

SEGMENT_RECORD = Struct(
    "tag" / Int64ul * "segment_sequence when it was last opened in bits 0-47, state in bits 48-62",
    "live_bytes" / Int32ul * "entry sizes of the objects of the current index that lie in it",
    "age" / Int32ul * "low 32 bits of the user transaction at which it was closed",
)
