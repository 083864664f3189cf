"""Entries and pointers: how one record is stored in a frame and how it is pointed to.

An entry is a header of 16 bytes, the payload, and zeros up to a multiple of 8 bytes. Its `tag`
holds the id in the low 48 bits and the kind (constants.KIND) above them. A pointer has the same
three fields, with the entry's place (offset from the start of the store in units of 8 bytes) where
the header has the id. Pointer and header must agree on kind, length and CRC, and the id must be
the one that was looked up: so a lost or misdirected write is caught by whoever follows a pointer.
A pointer of sixteen zero bytes points to nothing.
"""

from construct import Int32ul, Int64ul, Struct

ENTRY_HEADER = Struct(
    "tag" / Int64ul * "id in bits 0-47, kind in bits 48-62",
    "payload_bytes" / Int32ul * "length of the payload, without padding",
    "crc" / Int32ul * "CRC32C of the 12 bytes before this field and the payload",
)

POINTER = Struct(
    "tag" / Int64ul * "place in bits 0-47, kind in bits 48-62",
    "payload_bytes" / Int32ul * "the entry's payload_bytes",
    "crc" / Int32ul * "the entry's crc",
)
