/* See fingerprint.h: the hash, keys and values. SipHash is that of Aumasson and Bernstein with
 * one round a word and three at the end; the best known way to a collision inside it has a probability
 * of 2^-167 (Dobraunig, Mendel, Schlaeffer 2014).
 */
#include "fingerprint.h"

#include <string.h>

#include "messagepack.h"

#define FINAL_ROUNDS 3
#define PIECE_BYTES 15

/* --- SipHash --------------------------------------------------------------------------------- */

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline struct state round_of(struct state s)
{
    s.a += s.b;
    s.c += s.d;
    s.b = rotate(s.b, 13) ^ s.a;
    s.d = rotate(s.d, 16) ^ s.c;
    s.a = rotate(s.a, 32) + s.d;
    s.c += s.b;
    s.d = rotate(s.d, 21) ^ s.a;
    s.b = rotate(s.b, 17) ^ s.c;
    s.c = rotate(s.c, 32);
    return s;
}

static inline struct state absorb(struct state s, uint64_t word)
{
    s.d ^= word;
    s = round_of(s);
    s.a ^= word;
    return s;
}

static uint64_t squeeze(struct state *s)
{
    for (int i = 0; i < FINAL_ROUNDS; i++)
        *s = round_of(*s);
    return s->a ^ s->b ^ s->c ^ s->d;
}

static fingerprint finish(struct state s)
{
    s.c ^= 0xee;
    uint64_t low = squeeze(&s);
    s.b ^= 0xdd;
    return fingerprint_reduce(((fingerprint)squeeze(&s) << 64 | low) >> 1);
}

/* The last, incomplete word: the bytes that are left, and the length in the highest byte. */
static uint64_t last_word(const uint8_t *bytes, size_t left, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, bytes, left);
    return word | (uint64_t)length << 56;
}

fingerprint fingerprint_hash(const struct fingerprint_key *key, enum fingerprint_domain domain,
                             const void *text, size_t length)
{
    const uint64_t *start = key->start[domain];
    struct state s = {start[0], start[1], start[2], start[3]};
    const uint8_t *bytes = text;
    size_t left = length;
    for (; left >= 8; left -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        s = absorb(s, word);
    }
    return finish(absorb(s, last_word(bytes, left, length)));
}

static fingerprint hash_number(const struct fingerprint_key *key, enum fingerprint_domain domain,
                               uint64_t tag, uint64_t number)
{
    uint64_t words[] = {tag, number};
    return fingerprint_hash(key, domain, words, sizeof words);
}

/* The constants are those of SipHash; a domain is the first word of everything hashed in it. */
void fingerprint_key_make(struct fingerprint_key *key, const uint8_t secret[FINGERPRINT_KEY_BYTES])
{
    uint64_t k[2];
    memcpy(k, secret, sizeof k);
    struct state s = {k[0] ^ 0x736f6d6570736575u, k[1] ^ 0x646f72616e646f6du ^ 0xee,
                      k[0] ^ 0x6c7967656e657261u, k[1] ^ 0x7465646279746573u};
    for (enum fingerprint_domain domain = 0; domain < DOMAIN_COUNT; domain++) {
        struct state of_domain = absorb(s, domain);
        memcpy(key->start[domain], &of_domain, sizeof of_domain);
    }
    for (size_t i = 0; i < 1 << FINGERPRINT_BLOCK_BITS; i++)
        key->places[i] = hash_number(key, DOMAIN_KEY_PLACE, 0, i);
    for (size_t i = 0; i < FINGERPRINT_PIECES; i++)
        key->pieces[i] = hash_number(key, DOMAIN_VALUE_PIECE, 0, i);
    key->first_block = hash_number(key, DOMAIN_KEY_BLOCK, 0, 0);
    key->metatable = hash_number(key, DOMAIN_METATABLE, 0, 0);
}

/* --- keys ------------------------------------------------------------------------------------ */

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return number == number ? bits : CANONICAL_NAN;
}

fingerprint fingerprint_block(const struct fingerprint_key *key, int64_t number)
{
    return number == 0 ? key->first_block : hash_number(key, DOMAIN_KEY_BLOCK, 0, (uint64_t)number);
}

fingerprint fingerprint_integer_key(const struct fingerprint_key *key, int64_t integer)
{
    fingerprint place = key->places[integer & ((1 << FINGERPRINT_BLOCK_BITS) - 1)];
    return fingerprint_multiply(place, fingerprint_block(key, integer >> FINGERPRINT_BLOCK_BITS));
}

fingerprint fingerprint_boolean_key(const struct fingerprint_key *key, bool value)
{
    return hash_number(key, DOMAIN_KEY_SCALAR, value ? TAG_TRUE : TAG_FALSE, 0);
}

fingerprint fingerprint_float_key(const struct fingerprint_key *key, double number)
{
    return hash_number(key, DOMAIN_KEY_SCALAR, TAG_FLOAT, bits_of(number));
}

fingerprint fingerprint_object_key(const struct fingerprint_key *key, int64_t id)
{
    return hash_number(key, DOMAIN_KEY_SCALAR, TAG_OBJECT, (uint64_t)id);
}

/* --- values ---------------------------------------------------------------------------------- */

fingerprint fingerprint_float(double number)
{
    return fingerprint_tagged(TAG_FLOAT, bits_of(number));
}

/* 1 to 8 bytes as a number, by two loads that overlap; 0: 0. */
static inline uint64_t load_word(const uint8_t *bytes, size_t length)
{
    uint64_t word = 0;
    uint32_t low, high;
    if (length >= 4) {
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + length - 4, 4);
        return low | (uint64_t)high << (8 * length - 32);
    }
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

/* At most 15 bytes as a number. */
static inline fingerprint load_piece(const uint8_t *bytes, size_t length)
{
    uint64_t low;
    if (length < 8)
        return load_word(bytes, length);
    memcpy(&low, bytes, 8);
    return (fingerprint)load_word(bytes + 8, length - 8) << 64 | low;
}

/* Whole pieces, then one that may be short, with its length in the tag: of two texts that differ in length one has
 * a tag at a piece where the other has none or a different one. */
static fingerprint sum_of_pieces(const struct fingerprint_key *key, const uint8_t *bytes, size_t length)
{
    struct fingerprint_sum sum = {0, 0};
    size_t left = length, piece = 0;
    for (; left > PIECE_BYTES; left -= PIECE_BYTES, bytes += PIECE_BYTES, piece++)
        fingerprint_add_product(&sum, key->pieces[piece], load_piece(bytes, PIECE_BYTES));
    fingerprint last = fingerprint_tagged(TAG_TEXT + (unsigned)left, load_piece(bytes, left));
    fingerprint_add_product(&sum, key->pieces[piece], last);
    return fingerprint_sum_end(&sum);
}

fingerprint fingerprint_text(const struct fingerprint_key *key, const void *bytes, size_t length)
{
    if (length <= PIECE_BYTES)
        return fingerprint_tagged(TAG_TEXT + (unsigned)length, load_piece(bytes, length));
    if (length <= PIECE_BYTES * FINGERPRINT_PIECES)
        return sum_of_pieces(key, bytes, length);
    return fingerprint_hash(key, DOMAIN_VALUE_TEXT, bytes, length);
}
