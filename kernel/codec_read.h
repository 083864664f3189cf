/* Reading canonical MessagePack, one value at a time (formats/SPEC.md, section 7): the ground of the C
 * codec's decoder and of fingerprints of payloads. Knows no Lua.
 *
 * Promises: what is accepted is what the encoder makes; no byte outside the payload is read and no
 * length in it is believed; a refusal says offset, expected and found in the words of the
 * reference (lua/fs/value_decoder.lua).
 */
#ifndef KHOROS_CODEC_READ_H
#define KHOROS_CODEC_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_TEXT_BYTES 64

/* The rest of a payload is looked at from `at`, an offset. */
struct codec_input {
    const uint8_t *bytes;
    size_t length;
};

/* Why a payload is refused. `found` may be followed by bytes of the payload, in hexadecimal. */
struct codec_error {
    size_t offset;
    char expected[CODEC_TEXT_BYTES], found[CODEC_TEXT_BYTES];
    size_t shown_from, shown_bytes;
};

enum codec_type {
    CODEC_FALSE, CODEC_TRUE, CODEC_INTEGER, CODEC_FLOAT, CODEC_STRING, CODEC_REFERENCE, CODEC_PERMANENT,
    CODEC_LONG_STRING, CODEC_FUNCTION,
};

struct codec_value {
    enum codec_type type;
    int64_t integer;                    /* CODEC_INTEGER; an id: of a reference, long string, function */
    double number;                      /* CODEC_FLOAT */
    const uint8_t *text;                /* CODEC_STRING, CODEC_PERMANENT; inside the payload */
    size_t length;
};

struct codec_extension {
    uint8_t kind;
    size_t start, length;               /* of the content */
};

/* Of a packed array: code, place and number of its elements. */
struct codec_packed {
    uint8_t code;
    size_t start, count;
    unsigned element_bytes;
};

enum codec_part { CODEC_ARRAY_PART, CODEC_MAP_PART };

/* Each reads what stands at *at and moves *at behind it, or fills `error` and gives false. A string of
 * more than CHUNK_BYTES is an object of its own where it is a value, and stands in full as a key. */
bool codec_read_value(struct codec_input input, size_t *at, struct codec_value *value,
                      struct codec_error *error);
bool codec_read_key(struct codec_input input, size_t *at, struct codec_value *key,
                    struct codec_error *error);
bool codec_read_count(struct codec_input input, size_t *at, enum codec_part part, uint32_t *count,
                      struct codec_error *error);
/* Also checks that the elements are canonical. */
bool codec_read_packed(struct codec_input input, size_t *at, struct codec_packed *packed,
                       struct codec_error *error);
/* A reference or permanent; there must be an extension. */
bool codec_read_name(struct codec_input input, size_t *at, struct codec_value *value,
                     struct codec_error *error);

/* Is there an extension at `at`? */
bool codec_at_extension(struct codec_input input, size_t at);

/* Element `index` of a packed array of integers, of floats. */
int64_t codec_packed_integer(struct codec_input input, const struct codec_packed *packed, size_t index);
double codec_packed_float(struct codec_input input, const struct codec_packed *packed, size_t index);

/* What a key must not be in a table whose array part has n elements: one of the array part or next to it, NaN, a float
 * with an integer's value. That it is above the key before it. Of an array of n values, so many integers and so
 * many floats: that it need not be packed. `offset`: where it stands. */
bool codec_check_key(const struct codec_value *key, size_t n, size_t offset, struct codec_error *error);
bool codec_check_order(const struct codec_value *before, const struct codec_value *key, size_t offset,
                       struct codec_error *error);
bool codec_check_array(uint32_t n, size_t integers, size_t floats, size_t offset, struct codec_error *error);

/* For the above: the extension at `at`, whatever its type; a length of `size` bytes after the first
 * byte at `at`, at least `least`. */
bool codec_read_extension(struct codec_input input, size_t at, struct codec_extension *extension,
                          struct codec_error *error);
bool codec_read_length(struct codec_input input, size_t at, unsigned size, uint32_t least,
                       uint32_t *length, const char *of_what, struct codec_error *error);

/* Fills an error; `expected` and `found` are printf formats without and with arguments. Always false. */
bool codec_refuse(struct codec_error *error, size_t offset, const char *expected, const char *found, ...)
    __attribute__((format(printf, 4, 5)));
bool codec_refuse_end(struct codec_input input, struct codec_error *error, size_t offset,
                      const char *expected);

#endif
