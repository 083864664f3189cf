/* What the value codec in C knows of the format: section 7 of formats/SPEC.md, beside MessagePack, and the header of entries.
 * Generated from formats/ by `python -m khoros.formats.generate`: change the schemas, not this file.
 */
#ifndef KHOROS_CODEC_FORMAT_H
#define KHOROS_CODEC_FORMAT_H

#define EXT_REFERENCE 1
#define EXT_PERMANENT 2
#define EXT_PACKED 3
#define EXT_STRING 4
#define EXT_FUNCTION 5
#define PACKED_I8 1
#define PACKED_I16 2
#define PACKED_I32 3
#define PACKED_I64 4
#define PACKED_F64 5
#define PACKED_MIN 16
#define ID_BITS 48
#define ID_MASK 0xffffffffffff
#define CHUNK_BYTES 65536
#define PLACE_UNIT_BYTES 8
#define ENTRY_TAG_OFFSET 0
#define ENTRY_PAYLOAD_BYTES_OFFSET 8
#define ENTRY_CRC_OFFSET 12
#define ENTRY_HEADER_BYTES 16
#define POINTER_BYTES 16

#endif
