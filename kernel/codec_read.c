/* See codec_read.h. The checks stand in the order of the reference, lua/fs/value_decoder.lua: when two
 * things are wrong, both name the same one.
 */
#include "codec_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec_format.h"
#include "messagepack.h"
#include "utf8.h"

/* --- refusing -------------------------------------------------------------------------------- */

bool codec_refuse(struct codec_error *error, size_t offset, const char *expected, const char *found, ...)
{
    va_list arguments;
    va_start(arguments, found);
    error->offset = offset;
    error->shown_bytes = 0;
    snprintf(error->expected, sizeof error->expected, "%s", expected);
    vsnprintf(error->found, sizeof error->found, found, arguments);
    va_end(arguments);
    return false;
}

bool codec_refuse_end(struct codec_input input, struct codec_error *error, size_t offset,
                      const char *expected)
{
    return codec_refuse(error, offset, expected, "the end after %zu bytes", input.length - offset);
}

/* What was found are these bytes. */
static bool refuse_bytes(struct codec_error *error, size_t offset, const char *expected, size_t from,
                         size_t bytes)
{
    codec_refuse(error, offset, expected, "%s", "");
    error->shown_from = from;
    error->shown_bytes = bytes;
    return false;
}

/* --- numbers --------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool fits(struct codec_input input, size_t at, size_t bytes)
{
    return input.length - at >= bytes;
}

/* The integers that a form holds which has no shorter one: above `above`, or below `below`. */
static const struct integer_form {
    uint8_t bytes;
    bool is_signed;
    int64_t limit;
} integer_forms[] = {
    [MP_UINT8 - MP_UINT8] = {1, false, 0x7f},
    [MP_UINT16 - MP_UINT8] = {2, false, 0xff},
    [MP_UINT32 - MP_UINT8] = {4, false, 0xffff},
    [MP_UINT64 - MP_UINT8] = {8, false, 0xffffffff},
    [MP_INT8 - MP_UINT8] = {1, true, -0x20},
    [MP_INT16 - MP_UINT8] = {2, true, -0x80},
    [MP_INT32 - MP_UINT8] = {4, true, -0x8000},
    [MP_INT64 - MP_UINT8] = {8, true, -0x80000000LL},
};

static bool read_integer(struct codec_input input, size_t *at, uint8_t head, struct codec_value *value,
                         struct codec_error *error)
{
    const struct integer_form *form = &integer_forms[head - MP_UINT8];
    bool wide = head == MP_UINT64;
    if (!fits(input, *at + 1, form->bytes))
        return codec_refuse_end(input, error, *at, wide ? "an integer up to 2^63-1" : "an integer");
    uint64_t bits = big_endian(input.bytes + *at + 1, form->bytes);
    unsigned unused = 64 - 8 * form->bytes;
    int64_t integer = form->is_signed ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    if (form->is_signed ? integer >= form->limit : integer <= form->limit)
        return refuse_bytes(error, *at, wide ? "an integer up to 2^63-1 in its shortest form"
                            : "an integer in its shortest form", *at, 1 + form->bytes);
    value->type = CODEC_INTEGER;
    value->integer = integer;
    *at += 1 + form->bytes;
    return true;
}

static bool read_float(struct codec_input input, size_t *at, struct codec_value *value,
                       struct codec_error *error)
{
    if (!fits(input, *at + 1, 8))
        return codec_refuse_end(input, error, *at, "a float of 64 bits");
    uint64_t bits = big_endian(input.bytes + *at + 1, 8);
    value->type = CODEC_FLOAT;
    memcpy(&value->number, &bits, sizeof bits);
    if (value->number != value->number && bits != CANONICAL_NAN)
        return refuse_bytes(error, *at, "the NaN 7ff8000000000000", *at + 1, 8);
    *at += 9;
    return true;
}

/* --- strings --------------------------------------------------------------------------------- */

/* Its bytes begin at `start`. */
static bool read_string(struct codec_input input, size_t *at, size_t start, size_t length, bool is_text,
                        struct codec_value *value, struct codec_error *error)
{
    if (!fits(input, start, length)) {
        char expected[CODEC_TEXT_BYTES];
        snprintf(expected, sizeof expected, "a string of %zu bytes", length);
        return codec_refuse_end(input, error, *at, expected);
    }
    if (utf8_valid(input.bytes + start, length) != is_text)
        return codec_refuse(error, *at, is_text ? "str to be valid UTF-8"
                            : "bin to hold other than valid UTF-8", "%zu bytes", length);
    value->type = CODEC_STRING;
    value->text = input.bytes + start;
    value->length = length;
    *at = start + length;
    return true;
}

static bool refuse_length(struct codec_input input, size_t at, unsigned size, const char *of_what,
                          bool is_there, struct codec_error *error)
{
    char expected[CODEC_TEXT_BYTES];
    snprintf(expected, sizeof expected, "the length of %s%s", of_what,
             is_there ? " in its shortest form" : "");
    return is_there ? refuse_bytes(error, at, expected, at, 1 + size)
                    : codec_refuse_end(input, error, at, expected);
}

/* A length of `size` bytes after the first byte, that must not be below `least`. */
bool codec_read_length(struct codec_input input, size_t at, unsigned size, uint32_t least,
                       uint32_t *length, const char *of_what, struct codec_error *error)
{
    bool is_there = fits(input, at + 1, size);
    if (is_there)
        *length = (uint32_t)big_endian(input.bytes + at + 1, size);
    if (!is_there || *length < least)
        return refuse_length(input, at, size, of_what, is_there, error);
    return true;
}

/* Bytes of the length, and the least that has no shorter form, of the 1st, 2nd, 3rd of three. */
static const unsigned length_bytes[] = {1, 2, 4};
static const uint32_t length_least[] = {0, 0x100, 0x10000};

static bool read_long_string(struct codec_input input, size_t *at, uint8_t head,
                             struct codec_value *value, struct codec_error *error)
{
    bool is_text = head >= MP_STR8;
    unsigned size = head - (is_text ? MP_STR8 : MP_BIN8);
    uint32_t least = head == MP_STR8 ? MP_FIXSTR_MAX + 1 : length_least[size], length;
    if (!codec_read_length(input, *at, length_bytes[size], least, &length, "a string", error))
        return false;
    return read_string(input, at, *at + 1 + length_bytes[size], length, is_text, value, error);
}

/* --- extensions ------------------------------------------------------------------------------ */

static bool is_extension(uint8_t head)
{
    return (head >= MP_EXT8 && head <= MP_EXT32) || (head >= MP_FIXEXT1 && head <= MP_FIXEXT16);
}

bool codec_at_extension(struct codec_input input, size_t at)
{
    return at < input.length && is_extension(input.bytes[at]);
}

static bool has_fixed_form(size_t length)
{
    return length == 1 || length == 2 || length == 4 || length == 8 || length == 16;
}

bool codec_read_extension(struct codec_input input, size_t at, struct codec_extension *extension,
                          struct codec_error *error)
{
    uint8_t head = input.bytes[at];
    unsigned size = 0;
    uint32_t length = 1u << ((head - MP_FIXEXT1) & 7);
    if (head <= MP_EXT32) {
        size = length_bytes[head - MP_EXT8];
        if (!codec_read_length(input, at, size, length_least[head - MP_EXT8], &length, "an extension", error))
            return false;
        if (has_fixed_form(length))
            return refuse_bytes(error, at, "the length of an extension in its shortest form", at, 1 + size);
    }
    extension->start = at + size + 2;
    extension->length = length;
    if (extension->start > input.length || !fits(input, extension->start, length)) {
        char expected[CODEC_TEXT_BYTES];
        snprintf(expected, sizeof expected, "an extension of %u bytes", length);
        return codec_refuse_end(input, error, at, expected);
    }
    extension->kind = input.bytes[at + size + 1];
    return true;
}

static bool read_id(struct codec_input input, size_t *at, struct codec_extension extension,
                    enum codec_type type, struct codec_value *value, struct codec_error *error)
{
    size_t size = extension.length;
    bool known_size = size == 1 || size == 2 || size == 4 || size == 8;
    uint64_t id = known_size ? big_endian(input.bytes + extension.start, (unsigned)size) : 0;
    uint64_t least = size == 1 || !known_size ? 1 : (uint64_t)1 << (4 * size);  /* half the bytes do */
    if (id < least || id > ID_MASK)
        return refuse_bytes(error, *at, "an object id in the fewest bytes", extension.start, size);
    value->type = type;
    value->integer = (int64_t)id;
    *at = extension.start + size;
    return true;
}

static bool read_permanent(struct codec_input input, size_t *at, struct codec_extension extension,
                           struct codec_value *value, struct codec_error *error)
{
    if (!utf8_valid(input.bytes + extension.start, extension.length))
        return codec_refuse(error, *at, "a name in UTF-8", "%zu bytes", extension.length);
    value->type = CODEC_PERMANENT;
    value->text = input.bytes + extension.start;
    value->length = extension.length;
    *at = extension.start + extension.length;
    return true;
}

/* Where an extension stands. */
enum place { AS_NAME, AS_KEY, AS_VALUE };

static bool read_object(struct codec_input input, size_t *at, enum place place,
                        struct codec_value *value, struct codec_error *error)
{
    struct codec_extension extension;
    if (!codec_read_extension(input, *at, &extension, error))
        return false;
    switch (extension.kind) {
    case EXT_REFERENCE:
        return read_id(input, at, extension, CODEC_REFERENCE, value, error);
    case EXT_PERMANENT:
        return read_permanent(input, at, extension, value, error);
    case EXT_FUNCTION:
        if (place >= AS_KEY)
            return read_id(input, at, extension, CODEC_FUNCTION, value, error);
        break;
    case EXT_STRING:
        if (place >= AS_VALUE)
            return read_id(input, at, extension, CODEC_LONG_STRING, value, error);
        break;
    }
    return codec_refuse(error, *at, "a reference or a permanent", "extension type %u", extension.kind);
}

bool codec_read_name(struct codec_input input, size_t *at, struct codec_value *value,
                     struct codec_error *error)
{
    return read_object(input, at, AS_NAME, value, error);
}

/* --- any value ------------------------------------------------------------------------------- */

/* One byte says it all. */
static bool read_small(uint8_t head, struct codec_value *value)
{
    if (head <= MP_POSITIVE_LAST || head >= MP_NEGATIVE_FIRST) {
        value->type = CODEC_INTEGER;
        value->integer = (int8_t)head;
        return true;
    }
    value->type = head == MP_TRUE ? CODEC_TRUE : CODEC_FALSE;
    return head == MP_TRUE || head == MP_FALSE;
}

/* No extension. */
static bool read_plain(struct codec_input input, size_t *at, struct codec_value *value,
                       struct codec_error *error)
{
    uint8_t head = input.bytes[*at];
    if (head >= MP_UINT8 && head <= MP_INT64)
        return read_integer(input, at, head, value, error);
    if (head == MP_FLOAT64)
        return read_float(input, at, value, error);
    if ((head >= MP_STR8 && head <= MP_STR32) || (head >= MP_BIN8 && head <= MP_BIN32))
        return read_long_string(input, at, head, value, error);
    if (head == MP_NIL)
        return codec_refuse(error, *at, "a value", "nil");
    return codec_refuse(error, *at, "a value", "the byte %02x", head);
}

static bool read_any(struct codec_input input, size_t *at, enum place place, struct codec_value *value,
                     struct codec_error *error)
{
    if (*at >= input.length)
        return codec_refuse_end(input, error, *at, "a value");
    uint8_t head = input.bytes[*at];
    if (head >= MP_FIXSTR && head <= MP_FIXSTR_LAST)
        return read_string(input, at, *at + 1, head - MP_FIXSTR, true, value, error);
    if (read_small(head, value)) {
        ++*at;
        return true;
    }
    if (is_extension(head))
        return read_object(input, at, place, value, error);
    return read_plain(input, at, value, error);
}

bool codec_read_value(struct codec_input input, size_t *at, struct codec_value *value,
                      struct codec_error *error)
{
    size_t offset = *at;
    if (!read_any(input, at, AS_VALUE, value, error))
        return false;
    if (value->type != CODEC_STRING || value->length <= CHUNK_BYTES)
        return true;
    return codec_refuse(error, offset, "a string of that length to be an object of its own", "%zu bytes",
                        value->length);
}

bool codec_read_key(struct codec_input input, size_t *at, struct codec_value *key,
                    struct codec_error *error)
{
    return read_any(input, at, AS_KEY, key, error);
}
