/* What a payload consists of: counts of array and map part, packed arrays, keys. See codec_read.h. */
#include "codec_read.h"

#include <stdio.h>
#include <string.h>

#include "codec_format.h"
#include "codec_order.h"
#include "messagepack.h"

bool codec_read_count(struct codec_input input, size_t *at, enum codec_part part, uint32_t *count,
                      struct codec_error *error)
{
    static const struct {
        uint8_t fixed, two, four;
        const char *name;
    } forms[] = {
        [CODEC_ARRAY_PART] = {MP_FIXARRAY, MP_ARRAY16, MP_ARRAY32, "an array part"},
        [CODEC_MAP_PART] = {MP_FIXMAP, MP_MAP16, MP_MAP32, "a map part"},
    };
    const char *name = forms[part].name;
    if (*at >= input.length)
        return codec_refuse_end(input, error, *at, name);
    uint8_t head = input.bytes[*at];
    if (head >= forms[part].fixed && head <= forms[part].fixed + MP_FIXCOUNT_MAX) {
        *count = head - forms[part].fixed;
        ++*at;
        return true;
    }
    if (head != forms[part].two && head != forms[part].four)
        return codec_refuse(error, *at, name, "the byte %02x", head);
    unsigned size = head == forms[part].two ? 2 : 4;
    uint32_t least = size == 2 ? MP_FIXCOUNT_MAX + 1 : 0x10000;
    if (!codec_read_length(input, *at, size, least, count, name, error))
        return false;
    *at += 1 + size;
    return true;
}

/* --- packed arrays --------------------------------------------------------------------------- */

static const uint8_t packed_bytes[] = {
    [PACKED_I8] = 1, [PACKED_I16] = 2, [PACKED_I32] = 4, [PACKED_I64] = 8, [PACKED_F64] = 8,
};

/* On x86 a little-endian number is a number. */
int64_t codec_packed_integer(struct codec_input input, const struct codec_packed *packed, size_t index)
{
    const uint8_t *element = input.bytes + packed->start + index * packed->element_bytes;
    uint64_t bits = 0;
    memcpy(&bits, element, packed->element_bytes);
    unsigned unused = 64 - 8 * packed->element_bytes;
    return (int64_t)(bits << unused) >> unused;
}

double codec_packed_float(struct codec_input input, const struct codec_packed *packed, size_t index)
{
    double number;
    memcpy(&number, input.bytes + packed->start + 8 * index, sizeof number);
    return number;
}

static bool check_floats(struct codec_input input, const struct codec_packed *packed,
                         struct codec_error *error)
{
    for (size_t i = 0; i < packed->count; i++) {
        double number = codec_packed_float(input, packed, i);
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        if (number != number && bits != CANONICAL_NAN)
            return codec_refuse(error, packed->start + 8 * i, "the NaN 7ff8000000000000", "another");
    }
    return true;
}

/* At least one must need its bytes. */
static bool check_integers(struct codec_input input, const struct codec_packed *packed,
                           struct codec_error *error)
{
    if (packed->element_bytes == 1)
        return true;
    int64_t greatest = ((int64_t)1 << (4 * packed->element_bytes - 1)) - 1;
    for (size_t i = 0; i < packed->count; i++) {
        int64_t integer = codec_packed_integer(input, packed, i);
        if (integer > greatest || integer < -greatest - 1)
            return true;
    }
    return codec_refuse(error, packed->start - 1, "integers packed in the narrowest element",
                        "%u bytes each", packed->element_bytes);
}

bool codec_read_packed(struct codec_input input, size_t *at, struct codec_packed *packed,
                       struct codec_error *error)
{
    struct codec_extension extension;
    if (!codec_read_extension(input, *at, &extension, error))
        return false;
    if (extension.kind != EXT_PACKED)
        return codec_refuse(error, *at, "an array part", "extension type %u", extension.kind);
    packed->code = extension.length > 0 ? input.bytes[extension.start] : 0;
    if (packed->code < PACKED_I8 || packed->code > PACKED_F64)
        return codec_refuse(error, *at, "a packed array with a known element", "element code %u",
                            packed->code);
    packed->element_bytes = packed_bytes[packed->code];
    packed->start = extension.start + 1;
    size_t bytes = extension.length - 1;
    packed->count = bytes / packed->element_bytes;
    if (bytes % packed->element_bytes != 0 || packed->count < PACKED_MIN) {
        char expected[CODEC_TEXT_BYTES];
        snprintf(expected, sizeof expected, "at least %d elements of %u bytes", PACKED_MIN,
                 packed->element_bytes);
        return codec_refuse(error, *at, expected, "%zu bytes", bytes);
    }
    *at = extension.start + extension.length;
    return packed->code == PACKED_F64 ? check_floats(input, packed, error)
                                      : check_integers(input, packed, error);
}

/* --- keys ------------------------------------------------------------------------------------ */

static enum codec_rank rank_of(const struct codec_value *key)
{
    static const enum codec_rank ranks[] = {
        [CODEC_FALSE] = RANK_FALSE, [CODEC_TRUE] = RANK_TRUE, [CODEC_INTEGER] = RANK_INTEGER,
        [CODEC_FLOAT] = RANK_FLOAT, [CODEC_STRING] = RANK_STRING, [CODEC_REFERENCE] = RANK_REFERENCE,
        [CODEC_FUNCTION] = RANK_REFERENCE, [CODEC_PERMANENT] = RANK_PERMANENT,
    };
    return ranks[key->type];
}

static bool text_less(const struct codec_value *a, const struct codec_value *b)
{
    size_t common = a->length < b->length ? a->length : b->length;
    int difference = memcmp(a->text, b->text, common);
    return difference != 0 ? difference < 0 : a->length < b->length;
}

static bool is_less(const struct codec_value *a, const struct codec_value *b)
{
    if (rank_of(a) != rank_of(b))
        return rank_of(a) < rank_of(b);
    switch (rank_of(a)) {
    case RANK_INTEGER:
    case RANK_REFERENCE:
        return a->integer < b->integer;
    case RANK_FLOAT:
        return a->number < b->number;
    case RANK_STRING:
    case RANK_PERMANENT:
        return text_less(a, b);
    default:
        return false;
    }
}

bool codec_check_order(const struct codec_value *before, const struct codec_value *key, size_t offset,
                       struct codec_error *error)
{
    return is_less(before, key) || codec_refuse(error, offset, "keys in ascending order",
                                                "one that is not above the key before");
}

/* Has this float the value of an integer of 64 bits? */
static bool is_whole(double number)
{
    return number >= -0x1p63 && number < 0x1p63 && (double)(int64_t)number == number;
}

bool codec_check_key(const struct codec_value *key, size_t n, size_t offset, struct codec_error *error)
{
    if (key->type == CODEC_INTEGER && key->integer >= 1 && (uint64_t)key->integer - 1 <= n)
        return codec_refuse(error, offset, "a key outside the array part", "%lld", (long long)key->integer);
    if (key->type == CODEC_FLOAT && (key->number != key->number || is_whole(key->number)))
        return codec_refuse(error, offset, "a float key without an integer's value", "%.17g", key->number);
    return true;
}

bool codec_check_array(uint32_t n, size_t integers, size_t floats, size_t offset, struct codec_error *error)
{
    if (n < PACKED_MIN || (integers != n && floats != n))
        return true;
    return codec_refuse(error, offset, "a packed array", "an array of %u numbers", n);
}
