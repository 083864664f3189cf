/* First bytes of MessagePack's forms (its specification, section "Formats"), as far as the format uses
 * them. A fixed form holds a small number in its low bits.
 */
#ifndef KHOROS_MESSAGEPACK_H
#define KHOROS_MESSAGEPACK_H

enum messagepack {
    MP_POSITIVE_LAST = 0x7f,
    MP_FIXMAP = 0x80,
    MP_FIXARRAY = 0x90,
    MP_FIXSTR = 0xa0, MP_FIXSTR_LAST = 0xbf,
    MP_NIL = 0xc0,
    MP_FALSE = 0xc2, MP_TRUE = 0xc3,
    MP_BIN8 = 0xc4, MP_BIN16 = 0xc5, MP_BIN32 = 0xc6,
    MP_EXT8 = 0xc7, MP_EXT16 = 0xc8, MP_EXT32 = 0xc9,
    MP_FLOAT64 = 0xcb,
    MP_UINT8 = 0xcc, MP_UINT16 = 0xcd, MP_UINT32 = 0xce, MP_UINT64 = 0xcf,
    MP_INT8 = 0xd0, MP_INT16 = 0xd1, MP_INT32 = 0xd2, MP_INT64 = 0xd3,
    MP_FIXEXT1 = 0xd4, MP_FIXEXT2 = 0xd5, MP_FIXEXT4 = 0xd6, MP_FIXEXT8 = 0xd7, MP_FIXEXT16 = 0xd8,
    MP_STR8 = 0xd9, MP_STR16 = 0xda, MP_STR32 = 0xdb,
    MP_ARRAY16 = 0xdc, MP_ARRAY32 = 0xdd,
    MP_MAP16 = 0xde, MP_MAP32 = 0xdf,
    MP_NEGATIVE_FIRST = 0xe0,
};

/* Most that the fixed forms hold. */
#define MP_FIXSTR_MAX 31
#define MP_FIXCOUNT_MAX 15

/* The one NaN of the format, as the bits of a double. */
#define CANONICAL_NAN 0x7ff8000000000000u

#endif
