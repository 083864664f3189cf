"""The checkpoint record: the roots from which a mount begins instead of scanning the log.

It is written in a system transaction after the pages that it points to, and found through the
superblock. Reading on from the frame after it gives every later transaction. After the fixed part
come `snapshot_count` snapshot records. A root pointer of zero is an empty index; `levels` is 0
then, and 1 for a root that is a leaf page.
"""

from construct import Bytes, Int32ul, Int64ul, Struct

from .entry import POINTER

CHECKPOINT = Struct(
    "sequence" / Int64ul * "sequence of the system transaction that carries this record",
    "transaction" / Int64ul * "number of the last user transaction that it covers",
    "time" / Int64ul * "microseconds since 1970-01-01 UTC",
    "frame_lba" / Int64ul * "where the frame that holds this record starts",
    "next_id" / Int64ul * "the next object id to hand out",
    "object_count" / Int64ul * "objects in the index",
    "object_bytes" / Int64ul * "sum of the entry sizes (header, payload, padding) of these objects",
    "keep_transactions" / Int64ul * "how many transactions of history to keep; 0: as many as space allows",
    "oldest_transaction" / Int64ul * "the oldest user transaction that can still be read; 0 for none",
    "objects" / POINTER * "root page of the object index",
    "segments" / POINTER * "root page of the segment table",
    "transactions" / POINTER * "root page of the transaction table",
    "previous" / POINTER * "the checkpoint before this one; zero for none or no longer kept",
    "object_levels" / Int32ul * "levels of the object index",
    "segment_levels" / Int32ul * "levels of the segment table",
    "transaction_levels" / Int32ul * "levels of the transaction table",
    "incarnation" / Int32ul * "number of the mount that wrote it",
    "open_segment" / Int32ul * "the segment that the log stood in when this was written",
    "snapshot_count" / Int32ul * "how many snapshot records follow",
)

SNAPSHOT = Struct(
    "name" / Bytes(64) * "UTF-8, padded with zeros",
    "transaction" / Int64ul * "the user transaction whose state it keeps",
    "time" / Int64ul * "microseconds since 1970-01-01 UTC when it was taken",
    "object_count" / Int64ul * "objects in its index",
    "object_bytes" / Int64ul * "sum of the entry sizes of these objects",
    "objects" / POINTER * "root page of its object index",
    "segments" / POINTER * "root page of its segment table: live bytes count its objects, states mean nothing",
    "object_levels" / Int32ul * "levels of its object index",
    "segment_levels" / Int32ul * "levels of its segment table",
)
