"""Frames: the unit in which the log is written.

A frame starts on an append boundary (superblock `append_sectors`), lies within one segment, and
belongs to one transaction; the last frame of a transaction ends with its commit record. The header
carries the full identity: a frame is accepted only if every field is what the reader expects at
that place, because recycled segments and earlier formats leave perfectly valid stale frames behind.
`header_crc` is checked before any length is believed. After the payload come zeros up to the next
append boundary; they are verified.
"""

from construct import Const, Int32ul, Int64ul, Struct

MAGIC = b"KHOROSFR"

FRAME_HEADER = Struct(
    "magic" / Const(MAGIC) * "KHOROSFR",
    "epoch" / Int64ul * "superblock epoch: tells this format from an earlier one on the same disk",
    "lba" / Int64ul * "the LBA where this frame starts",
    "lsn" / Int64ul * "log sequence number: 1 for the first frame ever, then one more each",
    "segment_sequence" / Int64ul * "grows by one each time the log opens a segment",
    "generation" / Int64ul * "generation of the superblock that was in force",
    "durable_lsn" / Int64ul * "every frame up to this lsn was flushed when this one was written",
    "sequence" / Int64ul * "number of the transaction, system ones included, that it belongs to",
    "incarnation" / Int32ul * "number of the mount that wrote it",
    "next_segment" / Int32ul * "the segment that the log goes on in after this one",
    "parent_crc" / Int32ul * "crc of the commit record of the transaction before this one",
    "payload_bytes" / Int32ul * "length of the entries that follow, padding of each included",
    "entry_count" / Int32ul * "how many entries",
    "payload_crc" / Int32ul * "CRC32C of the payload",
    "reserved" / Const(0, Int32ul) * "zero",
    "header_crc" / Int32ul * "CRC32C of the 92 bytes before this field",
)
