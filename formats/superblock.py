"""The superblock: one sector that says what the store is and where the log is read from.

There are four slots. Generation N stands in the pair N mod 2, one copy near the head and one near
the tail, each in a 4 KiB block of its own: while one pair is being written the other holds the
generation before. Order of an update: all data, FLUSH, head copy, FLUSH, read back, tail copy,
FLUSH. The copies of one generation differ in `own_lba` and `crc` only.
"""

from construct import Bytes, Const, Int16ul, Int32ul, Int64ul, Struct

from .entry import POINTER

MAGIC = b"KHOROSSB"
SIZE = 512

SUPERBLOCK = Struct(
    "magic" / Const(MAGIC) * "KHOROSSB",
    "format_major" / Int16ul * "another value than the reader's is refused",
    "format_minor" / Int16ul * "a larger value than the reader's is fine",
    "header_bytes" / Const(SIZE, Int32ul) * "size of this structure",
    "uuid" / Bytes(16) * "identity of the store, RFC 4122 byte order",
    "lineage" / Bytes(16) * "identity of this writable copy: new when a copy is made to be written",
    "epoch" / Int64ul * "random per mkfs (bits 0-62): what tells our frames from stale ones",
    "own_lba" / Int64ul * "the LBA of this copy",
    "generation" / Int64ul * "1 at mkfs, one more at each update",
    "parent_crc" / Int32ul * "crc of the head copy of the generation before; 0 for the first",
    "segment_sectors" / Int32ul * "sectors of a segment, a power of two",
    "total_sectors" / Int64ul * "sectors of the store; a smaller device is refused",
    "log_lba" / Int64ul * "first sector of segment 0",
    "segment_count" / Int32ul * "how many segments",
    "append_sectors" / Int32ul * "frames start on multiples of this (8 or 1)",
    "features_compat" / Int64ul * "features that an older program may ignore",
    "features_ro_compat" / Int64ul * "features that an older program may ignore when reading",
    "features_incompat" / Int64ul * "features that refuse an older program",
    "incarnation" / Int32ul * "what frames from the replay position on carry",
    "incarnation_claimed" / Int32ul * "the largest incarnation ever handed out",
    "state" / Int32ul * "bit 0: in use (mounted for writing, or not unmounted cleanly)",
    "replay_next_segment" / Int32ul * "the segment that follows the one of replay_lba",
    "checkpoint" / POINTER * "the checkpoint record; all zero: none yet, the store was empty",
    "replay_lba" / Int64ul * "where the first frame after the checkpoint is expected",
    "replay_segment_sequence" / Int64ul * "sequence of the segment that replay_lba lies in",
    "replay_lsn" / Int64ul * "the lsn expected there",
    "replay_sequence" / Int64ul * "sequence of the last transaction before it; 0 for none",
    "replay_transaction" / Int64ul * "number of the last user transaction before it; 0 for none",
    "replay_parent_crc" / Int32ul * "crc of the last commit record before it; 0 for none",
    "reserved_1" / Const(0, Int32ul) * "zero",
    "created_time" / Int64ul * "microseconds since 1970-01-01 UTC at mkfs",
    "written_time" / Int64ul * "microseconds since 1970-01-01 UTC of this generation",
    "label" / Bytes(64) * "name for people, UTF-8, padded with zeros",
    "reserved_2" / Const(bytes(220)) * "zeros",
    "crc" / Int32ul * "CRC32C of all bytes before this field",
)
