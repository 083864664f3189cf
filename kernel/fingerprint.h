/* Fingerprints: has a table changed since its payload was read or written? Answered without encoding or
 * sorting, by a number of 127 bits that table and payload have in common.
 *
 *     F(table) = sum over its pairs of R(key) * V(value), metatable included, in the field of 2^127 - 1
 *
 * R and V are functions with a secret key, made anew for each session:
 *     R(text), R(boolean, float, object id, permanent)    SipHash-1-3 with 128 bits of output
 *     R(integer i)       B(i >> 6) * C[i & 63]; B is SipHash, C are 64 random numbers
 *     V(number, boolean, object id, text up to 15 bytes)  themselves, with a tag for the type
 *     V(longer text, permanent)                           SipHash, with another key than R's
 * The order of pairs does not matter, nor how Lua lays a table out. Integers and floats differ, so do
 * 0.0 and -0.0; any NaN is like any other; objects count by id: as the codec has it.
 *
 * Promise: two tables that encode differently have the same fingerprint with a probability of at most
 * 3 / (2^127 - 1) over the choice of the key, SipHash taken for a random function: their
 * difference is a polynomial of degree 3 in what SipHash and chance gave, and not zero, because the
 * random factors of different keys are different ones (Schwartz-Zippel). What a program does cannot
 * raise it, because no program sees key or fingerprint.
 */
#ifndef KHOROS_FINGERPRINT_H
#define KHOROS_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec_read.h"

/* An element of the field, below FINGERPRINT_PRIME. */
typedef unsigned __int128 fingerprint __attribute__((aligned(8)));     /* as Lua aligns userdata */
#define FINGERPRINT_PRIME ((((fingerprint)1) << 127) - 1)

#define FINGERPRINT_KEY_BYTES 16
#define FINGERPRINT_BLOCK_BITS 6

enum fingerprint_domain {
    DOMAIN_KEY_TEXT, DOMAIN_KEY_PERMANENT, DOMAIN_KEY_SCALAR, DOMAIN_KEY_BLOCK, DOMAIN_KEY_PLACE,
    DOMAIN_VALUE_TEXT, DOMAIN_VALUE_PERMANENT, DOMAIN_METATABLE, DOMAIN_COUNT,
};

struct fingerprint_key {
    uint64_t start[DOMAIN_COUNT][4];                        /* SipHash's state for each domain */
    fingerprint places[1 << FINGERPRINT_BLOCK_BITS];        /* C */
    fingerprint first_block;                                /* B(0) */
    fingerprint metatable;                                  /* stands for its key */
};

void fingerprint_key_make(struct fingerprint_key *key, const uint8_t secret[FINGERPRINT_KEY_BYTES]);

fingerprint fingerprint_multiply(fingerprint a, fingerprint b);
fingerprint fingerprint_add(fingerprint a, fingerprint b);

/* SipHash of a text in a domain. */
fingerprint fingerprint_hash(const struct fingerprint_key *key, enum fingerprint_domain domain,
                             const void *bytes, size_t length);

/* R. Of integers: of the block that i >> 6 numbers, and times places[i & 63]. */
fingerprint fingerprint_block(const struct fingerprint_key *key, int64_t number);
fingerprint fingerprint_integer_key(const struct fingerprint_key *key, int64_t integer);
fingerprint fingerprint_boolean_key(const struct fingerprint_key *key, bool value);
fingerprint fingerprint_float_key(const struct fingerprint_key *key, double number);
fingerprint fingerprint_object_key(const struct fingerprint_key *key, int64_t id);

/* V. */
fingerprint fingerprint_boolean(bool value);
fingerprint fingerprint_integer(int64_t integer);
fingerprint fingerprint_float(double number);
fingerprint fingerprint_object(int64_t id);
fingerprint fingerprint_text(const struct fingerprint_key *key, const void *bytes, size_t length);

/* Of a payload of KIND_TABLE. False: it is not one that can be read. */
bool fingerprint_of_payload(const struct fingerprint_key *key, struct codec_input payload,
                            fingerprint *result);

#endif
