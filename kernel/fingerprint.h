/* Fingerprints: has a table changed since its payload was read or written? Answered without encoding or
 * sorting, by a number of 127 bits that table and payload have in common.
 *
 *     F(table) = sum over its pairs of R(key) * V(value), metatable included, in the field of 2^127 - 1
 *
 * R and V are functions with a secret key, made anew for each session:
 *     R(text), R(boolean, float, object id, permanent)    SipHash-1-3 with 128 bits of output
 *     R(integer i)       B(i >> 6) * C[i & 63]; B is SipHash, C are 64 random numbers
 *     V(number, boolean, object id, text up to 15 bytes)  themselves, with a tag for the type
 *     V(text up to 240 bytes)     sum of its pieces of 15 bytes, each times one of T; T are random numbers
 *     V(longer text, permanent)                           SipHash, with another key than R's
 * The order of pairs does not matter, nor how Lua lays a table out. Integers and floats differ, so do
 * 0.0 and -0.0; any NaN is like any other; objects count by id: as the codec has it.
 *
 * Promise: two tables that encode differently have the same fingerprint with a probability of at most
 * 4 / (2^127 - 1) over the choice of the key, SipHash taken for a random function: their
 * difference is a polynomial of degree 4 in what SipHash and chance gave, and not zero, because the
 * random factors of different keys are different ones (Schwartz-Zippel). What a program does cannot
 * raise it, because no program sees key or fingerprint.
 */
#ifndef KHOROS_FINGERPRINT_H
#define KHOROS_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec_read.h"
#include "fingerprint_field.h"

#define FINGERPRINT_KEY_BYTES 16
#define FINGERPRINT_BLOCK_BITS 6
#define FINGERPRINT_PIECES 16

enum fingerprint_domain {
    DOMAIN_KEY_TEXT, DOMAIN_KEY_PERMANENT, DOMAIN_KEY_SCALAR, DOMAIN_KEY_BLOCK, DOMAIN_KEY_PLACE,
    DOMAIN_VALUE_TEXT, DOMAIN_VALUE_PIECE, DOMAIN_VALUE_PERMANENT, DOMAIN_METATABLE, DOMAIN_COUNT,
};

struct fingerprint_key {
    uint64_t start[DOMAIN_COUNT][4];                        /* SipHash's state for each domain */
    fingerprint places[1 << FINGERPRINT_BLOCK_BITS];        /* C */
    fingerprint pieces[FINGERPRINT_PIECES];                 /* T */
    fingerprint first_block;                                /* B(0) */
    fingerprint metatable;                                  /* stands for its key */
};

void fingerprint_key_make(struct fingerprint_key *key, const uint8_t secret[FINGERPRINT_KEY_BYTES]);

/* SipHash of a text in a domain. */
fingerprint fingerprint_hash(const struct fingerprint_key *key, enum fingerprint_domain domain,
                             const void *bytes, size_t length);

/* R. Of integers: of the block that i >> 6 numbers, and times places[i & 63]. */
fingerprint fingerprint_block(const struct fingerprint_key *key, int64_t number);
fingerprint fingerprint_integer_key(const struct fingerprint_key *key, int64_t integer);
fingerprint fingerprint_boolean_key(const struct fingerprint_key *key, bool value);
fingerprint fingerprint_float_key(const struct fingerprint_key *key, double number);
fingerprint fingerprint_object_key(const struct fingerprint_key *key, int64_t id);

/* V. In the seven bits above what is tagged; of short texts TAG_TEXT plus their length. */
enum fingerprint_tag { TAG_FALSE = 1, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_OBJECT, TAG_TEXT = 16 };

static inline fingerprint fingerprint_tagged(unsigned tag, fingerprint what)
{
    return (fingerprint)tag << 120 | what;
}

static inline fingerprint fingerprint_boolean(bool value)
{
    return fingerprint_tagged(value ? TAG_TRUE : TAG_FALSE, 0);
}

static inline fingerprint fingerprint_integer(int64_t integer)
{
    return fingerprint_tagged(TAG_INTEGER, (uint64_t)integer);
}

static inline fingerprint fingerprint_object(int64_t id)
{
    return fingerprint_tagged(TAG_OBJECT, (uint64_t)id);
}

fingerprint fingerprint_float(double number);
fingerprint fingerprint_text(const struct fingerprint_key *key, const void *bytes, size_t length);

/* Of a payload of KIND_TABLE. False: it is not one that can be read. */
bool fingerprint_of_payload(const struct fingerprint_key *key, struct codec_input payload,
                            fingerprint *result);

#endif
