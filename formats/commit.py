"""The commit record: the last entry of a transaction, and what makes it one.

A transaction exists if, and only if, all its frames are valid and its commit record agrees with
them. The record covers the logical content, not the places, so that a log can be shipped to another
disk. `content_crc` is the CRC32C over the headers (16 bytes each) of the transaction's entries in
order, without the commit record itself; each header holds id, kind, length and the CRC of its
payload. The entry's id is the low 48 bits of `sequence`. After the fixed part comes the message.
"""

from construct import Int32ul, Int64ul, Struct

from .entry import POINTER

COMMIT = Struct(
    "sequence" / Int64ul * "1 for the first transaction ever, system ones included, then one more",
    "transaction" / Int64ul * "number of this user transaction; of a system one: of the last user's",
    "time" / Int64ul * "microseconds since 1970-01-01 UTC; says nothing about order",
    "entry_count" / Int64ul * "entries of the transaction, this record not counted",
    "content_bytes" / Int64ul * "sum of their payload_bytes",
    "next_id" / Int64ul * "no object with this id or a larger one exists",
    "content_crc" / Int32ul * "CRC32C over their headers",
    "parent_crc" / Int32ul * "crc of the commit record before; 0 for the first",
    "commit_kind" / Int32ul * "0 user, 1 system",
    "message_bytes" / Int32ul * "length of the message that follows, UTF-8",
    "checkpoint" / POINTER * "the checkpoint that this transaction follows; zero for none",
)
