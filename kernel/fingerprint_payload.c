/* The fingerprint that a table has which holds what a payload says; see fingerprint.h. */
#include "fingerprint.h"

#include "codec_format.h"

#define BLOCK_MASK ((1 << FINGERPRINT_BLOCK_BITS) - 1)

/* A payload on its way; the error that a refused one leaves is not told to anyone. */
struct reading {
    const struct fingerprint_key *key;
    struct codec_input input;
    size_t at;
    fingerprint sum;
    struct codec_error error;
};

static fingerprint of_value(const struct fingerprint_key *key, const struct codec_value *value)
{
    switch (value->type) {
    case CODEC_FALSE:
    case CODEC_TRUE:
        return fingerprint_boolean(value->type == CODEC_TRUE);
    case CODEC_INTEGER:
        return fingerprint_integer(value->integer);
    case CODEC_FLOAT:
        return fingerprint_float(value->number);
    case CODEC_STRING:
        return fingerprint_text(key, value->text, value->length);
    case CODEC_REFERENCE:
    case CODEC_FUNCTION:
        return fingerprint_object(value->integer);
    default:
        return fingerprint_hash(key, DOMAIN_VALUE_PERMANENT, value->text, value->length);
    }
}

static fingerprint of_key(const struct fingerprint_key *key, const struct codec_value *value)
{
    switch (value->type) {
    case CODEC_FALSE:
    case CODEC_TRUE:
        return fingerprint_boolean_key(key, value->type == CODEC_TRUE);
    case CODEC_INTEGER:
        return fingerprint_integer_key(key, value->integer);
    case CODEC_FLOAT:
        return fingerprint_float_key(key, value->number);
    case CODEC_STRING:
        return fingerprint_hash(key, DOMAIN_KEY_TEXT, value->text, value->length);
    case CODEC_REFERENCE:
    case CODEC_FUNCTION:
        return fingerprint_object_key(key, value->integer);
    default:
        return fingerprint_hash(key, DOMAIN_KEY_PERMANENT, value->text, value->length);
    }
}

/* Reads a value. Of a long string the payload knows the id, a table the text: that cannot be told. */
static bool next_value(struct reading *reading, fingerprint *result)
{
    struct codec_value value;
    if (!codec_read_value(reading->input, &reading->at, &value, &reading->error)
        || value.type == CODEC_LONG_STRING)
        return false;
    *result = of_value(reading->key, &value);
    return true;
}

static void add(struct reading *reading, fingerprint key, fingerprint value)
{
    reading->sum = fingerprint_add(reading->sum, fingerprint_multiply(key, value));
}

/* Elements of an array come in the order of their indexes, so that a block's are added up first. */
struct block_sum {
    int64_t block;
    fingerprint sum;
};

static void end_block(struct reading *reading, struct block_sum *block)
{
    add(reading, fingerprint_block(reading->key, block->block), block->sum);
    block->sum = 0;
}

static void add_element(struct reading *reading, struct block_sum *block, int64_t index, fingerprint value)
{
    if (index >> FINGERPRINT_BLOCK_BITS != block->block) {
        end_block(reading, block);
        block->block = index >> FINGERPRINT_BLOCK_BITS;
    }
    fingerprint product = fingerprint_multiply(reading->key->places[index & BLOCK_MASK], value);
    block->sum = fingerprint_add(block->sum, product);
}

static bool read_packed(struct reading *reading)
{
    struct codec_packed packed;
    struct block_sum block = {0};
    if (!codec_read_packed(reading->input, &reading->at, &packed, &reading->error))
        return false;
    for (size_t i = 0; i < packed.count; i++) {
        fingerprint value = packed.code == PACKED_F64
            ? fingerprint_float(codec_packed_float(reading->input, &packed, i))
            : fingerprint_integer(codec_packed_integer(reading->input, &packed, i));
        add_element(reading, &block, (int64_t)i + 1, value);
    }
    end_block(reading, &block);
    return true;
}

static bool read_array(struct reading *reading)
{
    uint32_t count;
    struct block_sum block = {0};
    if (codec_at_extension(reading->input, reading->at))
        return read_packed(reading);
    if (!codec_read_count(reading->input, &reading->at, CODEC_ARRAY_PART, &count, &reading->error))
        return false;
    for (int64_t i = 1; i <= count; i++) {
        fingerprint value;
        if (!next_value(reading, &value))
            return false;
        add_element(reading, &block, i, value);
    }
    end_block(reading, &block);
    return true;
}

static bool read_map(struct reading *reading)
{
    uint32_t count;
    if (!codec_read_count(reading->input, &reading->at, CODEC_MAP_PART, &count, &reading->error))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct codec_value key;
        fingerprint value;
        if (!codec_read_key(reading->input, &reading->at, &key, &reading->error)
            || !next_value(reading, &value))
            return false;
        add(reading, of_key(reading->key, &key), value);
    }
    return true;
}

static bool read_metatable(struct reading *reading)
{
    fingerprint value;
    if (reading->at == reading->input.length)
        return true;
    if (!next_value(reading, &value))
        return false;
    add(reading, reading->key->metatable, value);
    return reading->at == reading->input.length;
}

bool fingerprint_of_payload(const struct fingerprint_key *key, struct codec_input payload,
                            fingerprint *result)
{
    struct reading reading = {.key = key, .input = payload};
    if (!read_array(&reading) || !read_map(&reading) || !read_metatable(&reading))
        return false;
    *result = reading.sum;
    return true;
}
