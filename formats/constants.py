"""The numbers of the on-disk format that are not fields: geometry, kinds, states, limits.

Each is a row `(name, value, meaning)`, from which the Python names below, the table `constants` of
`lua/fs/layout.lua` and the constant tables of SPEC.md are made. Nothing else may restate them.
Sectors are 512 bytes everywhere; LBAs count sectors from the start of the store (a whole disk or
a partition), so that a store can be moved from one place to another.
"""

from typing import NamedTuple


class Constant(NamedTuple):
    """One number of the format: its name, its value and what it means."""

    name: str
    value: int
    meaning: str


GEOMETRY = [
    Constant("SECTOR_BYTES", 512, "Bytes of a sector, on every device."),
    Constant("BLOCK_SECTORS", 8, "Sectors of a physical block (4 KiB): superblock copies and,"
             " by default, appends never share one."),
    Constant("HEAD_LBA_EVEN", 8, "Head copy of the superblocks with an even generation."),
    Constant("HEAD_LBA_ODD", 16, "Head copy of the superblocks with an odd generation."),
    Constant("TAIL_BACK_EVEN", 24, "Tail copy of the even generations: this many sectors before the"
             " end, the end being the total rounded down to a block."),
    Constant("TAIL_BACK_ODD", 16, "Tail copy of the odd generations, counted likewise."),
    Constant("LOG_LBA", 64, "First sector of segment 0."),
    Constant("SEGMENT_SECTORS_DEFAULT", 2048, "Sectors of a segment unless mkfs is told otherwise"
             " or the device is small (1 MiB)."),
    Constant("SEGMENT_SECTORS_MIN", 256, "Smallest segment (128 KiB); a power of two."),
    Constant("SEGMENT_SECTORS_MAX", 32768, "Largest segment (16 MiB); a power of two."),
    Constant("SEGMENTS_MIN", 8, "Fewest segments of a store."),
    Constant("FRAME_TARGET_BYTES", 131072, "A writer closes a frame before it would grow beyond"
             " this; a single larger entry makes a larger frame, up to a segment."),
]

VERSION = [
    Constant("FORMAT_MAJOR", 1, "A reader refuses any other major version."),
    Constant("FORMAT_MINOR", 0, "Grows with compatible additions."),
    Constant("FEATURES_COMPAT", 0, "Compatible feature bits that 1.0 knows."),
    Constant("FEATURES_RO_COMPAT", 0, "Bits that 1.0 knows and that an older reader may read past."),
    Constant("FEATURES_INCOMPAT", 0, "Bits that 1.0 knows and that must be understood to read."),
]

STATE = [
    Constant("STATE_IN_USE", 1, "Superblock state: mounted for writing, or not unmounted cleanly."),
]

KIND = [
    Constant("KIND_TABLE", 1, "A Lua table: array part, map part and, if it has one, metatable."),
    Constant("KIND_FUNCTION", 2, "A Lua function: chunk, prototype, hash, upvalue cells."),
    Constant("KIND_CHUNK", 3, "The source text that functions were compiled from."),
    Constant("KIND_CELL", 4, "An upvalue that functions share."),
    Constant("KIND_TREE", 5, "Root of a table or string that is stored as a tree of chunks."),
    Constant("KIND_TREE_NODE", 6, "A node or leaf of such a tree."),
    Constant("KIND_MAP", 7, "Root of an ordered map (`store.map()`)."),
    Constant("KIND_MAP_NODE", 8, "A node or leaf of an ordered map."),
    Constant("KIND_DELETE", 16, "The object with this id exists no longer; no payload."),
    Constant("KIND_COMMIT", 32, "Commit record, the last entry of a transaction."),
    Constant("KIND_CHECKPOINT", 33, "Checkpoint record; the next entry is its commit record."),
    Constant("KIND_OBJECT_PAGE", 34, "Page of the object index."),
    Constant("KIND_SEGMENT_PAGE", 35, "Page of the segment table."),
    Constant("KIND_TRANSACTION_PAGE", 36, "Page of the transaction table."),
]

SEGMENT_STATE = [
    Constant("SEGMENT_FREE", 0, "Holds nothing that is needed."),
    Constant("SEGMENT_OPEN", 1, "The log is being appended to it."),
    Constant("SEGMENT_FULL", 2, "Written; may hold live entries."),
    Constant("SEGMENT_PENDING", 3, "Freed by this checkpoint; free once the next one is durable."),
    Constant("SEGMENT_BAD", 4, "Holds a record that cannot be read; kept, never reused."),
]

COMMIT = [
    Constant("COMMIT_USER", 0, "A transaction of a user: it has a number of its own."),
    Constant("COMMIT_SYSTEM", 1, "Checkpoints, moves by the cleaner, deletions of objects"
             " that nothing refers to: changes no value."),
]

EXTENSION = [
    Constant("EXT_REFERENCE", 1, "Reference to an object: its id, big-endian in the fewest of"
             " 1, 2, 4, 8 bytes."),
    Constant("EXT_PERMANENT", 2, "A value known by name (library table, registered function,"
             " named class): the name, UTF-8."),
    Constant("EXT_PACKED", 3, "Packed array of numbers: one byte of element code, then the"
             " elements, little-endian."),
    Constant("EXT_STRING", 4, "Long string that is an object of its own (KIND_TREE): its id, like"
             " a reference."),
    Constant("EXT_FUNCTION", 5, "Function (KIND_FUNCTION): its id, like a reference."),
]

TREE = [
    Constant("CHUNK_BYTES", 65536, "A string longer than this, and a table whose array and map part"
             " encode to more, is stored as a tree."),
    Constant("TREE_LEAF_BYTES", 16384, "Most bytes of a leaf of such a tree; one pair or element"
             " that is larger makes a leaf alone."),
    Constant("TREE_FANOUT", 256, "Children of a node above the pieces of a string or array part."),
    Constant("TREE_HASH_BITS", 7, "A leaf of a map part ends with a key whose hash has this many"
             " low zero bits; a node of level l with one that has l + 1 times as many."),
    Constant("TREE_STRING", 0, "First element of a KIND_TREE: it is a string."),
    Constant("TREE_TABLE", 1, "First element of a KIND_TREE: it is a table."),
    Constant("MAP_NODE_BYTES", 4096, "A node of an ordered map that encodes to more is split."),
    Constant("MAP_LEVELS_MAX", 255, "Most levels of an ordered map."),
]

PACKED = [
    Constant("PACKED_I8", 1, "Signed integers of 1 byte."),
    Constant("PACKED_I16", 2, "Signed integers of 2 bytes."),
    Constant("PACKED_I32", 3, "Signed integers of 4 bytes."),
    Constant("PACKED_I64", 4, "Signed integers of 8 bytes."),
    Constant("PACKED_F64", 5, "IEEE 754 doubles; any NaN is 7ff8000000000000."),
    Constant("PACKED_MIN", 16, "Fewest elements of a packed array: an array part at least this"
             " long, all integers or all floats, is packed; any other is not."),
]

LIMIT = [
    Constant("ROOT_ID", 1, "Id of the root table; it exists from the first transaction on."),
    Constant("FIRST_FREE_ID", 2, "The first id that is handed out."),
    Constant("ID_BITS", 48, "Bits of an object id and of a place."),
    Constant("ID_MASK", 0xFFFFFFFFFFFF, "The low bits of a tag that hold the id, the place, or a"
             " segment's sequence."),
    Constant("PLACE_UNIT_BYTES", 8, "A place counts these from the start of the store."),
    Constant("PAGE_FANOUT", 256, "Slots of an index page."),
    Constant("PAGE_LEVEL_SHIFT", 44, "A page's id is its level shifted by this, plus its number on"
             " that level (first key divided by 256^(level+1))."),
    Constant("LEVELS_MAX", 6, "Most levels of an index: 256^6 keys; and of a tree of chunks."),
    Constant("MESSAGE_BYTES_MAX", 4096, "Longest message of a commit."),
    Constant("LABEL_BYTES", 64, "Room for the label, UTF-8, padded with zeros."),
    Constant("SNAPSHOTS_MAX", 64, "Most snapshots of a store."),
    Constant("REPLAY_SEGMENTS_MAX", 16, "A writer makes a checkpoint before the log since the last"
             " one spans more segments than this (one transaction may exceed it)."),
]

PARTITION = [
    Constant("MBR_TYPE", 0x4B, "Partition type of a store in an MBR."),
]

# Partition type of a store in a GPT, in the usual notation.
GPT_TYPE_GUID = "8b0c4c2e-6f52-4a6e-9d5a-4b686f726f73"

GROUPS: dict[str, list[Constant]] = {
    "Version and features": VERSION,
    "Geometry": GEOMETRY,
    "Superblock state": STATE,
    "Kinds of entries": KIND,
    "Segment states": SEGMENT_STATE,
    "Kinds of commits": COMMIT,
    "Extension types of the value codec": EXTENSION,
    "Packed arrays": PACKED,
    "Trees and ordered maps": TREE,
    "Limits": LIMIT,
    "Partition types": PARTITION,
}

ALL: dict[str, int] = {row.name: row.value for rows in GROUPS.values() for row in rows}
globals().update(ALL)


def __getattr__(name: str) -> int:
    """Let type checkers know that every constant is an int; never reached for a known name."""
    raise AttributeError(f"the format has no constant {name}")
