/* See fingerprint.h: the field, the hash, keys and values. SipHash is that of Aumasson and Bernstein with
 * one round a word and three at the end; the best known way to a collision inside it has a probability
 * of 2^-167 (Dobraunig, Mendel, Schlaeffer 2014).
 */
#include "fingerprint.h"

#include <string.h>

#include "messagepack.h"

#define FINAL_ROUNDS 3
#define TEXT_SHORT 15
#define TAG_SHIFT 120

/* In the seven bits above those that hold what is tagged. Short texts: TAG_TEXT plus their length. */
enum tag { TAG_FALSE = 1, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_OBJECT, TAG_TEXT = 16 };

/* --- the field ------------------------------------------------------------------------------- */

/* Of any number of 128 bits: at most the prime plus 1, and below 2^127 if its highest bit is clear. */
static fingerprint fold(fingerprint number)
{
    return (number & FINGERPRINT_PRIME) + (number >> 127);
}

static fingerprint reduce(fingerprint number)
{
    number = fold(number);
    return number >= FINGERPRINT_PRIME ? number - FINGERPRINT_PRIME : number;
}

fingerprint fingerprint_add(fingerprint a, fingerprint b)
{
    return reduce(a + b);
}

/* With 2^127 = 1, so 2^128 = 2. Both are below 2^127: no sum here reaches 2^128. */
fingerprint fingerprint_multiply(fingerprint a, fingerprint b)
{
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64), b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    fingerprint low = (fingerprint)a0 * b0;
    fingerprint middle = (fingerprint)a0 * b1 + (fingerprint)a1 * b0;
    fingerprint high = (fingerprint)a1 * b1;                        /* below 2^126 */
    fingerprint sum = fold(fold(low) + 2 * high);
    return reduce(sum + fold(middle << 64) + 2 * (middle >> 64));
}

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
    return reduce(((fingerprint)squeeze(&s) << 64 | low) >> 1);
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

static fingerprint tagged(unsigned tag, fingerprint what)
{
    return (fingerprint)tag << TAG_SHIFT | what;
}

fingerprint fingerprint_boolean(bool value)
{
    return tagged(value ? TAG_TRUE : TAG_FALSE, 0);
}

fingerprint fingerprint_integer(int64_t integer)
{
    return tagged(TAG_INTEGER, (uint64_t)integer);
}

fingerprint fingerprint_float(double number)
{
    return tagged(TAG_FLOAT, bits_of(number));
}

fingerprint fingerprint_object(int64_t id)
{
    return tagged(TAG_OBJECT, (uint64_t)id);
}

/* At most 15 bytes as a number. */
static fingerprint load_short(const uint8_t *bytes, size_t length)
{
    uint64_t low = 0, high = 0;
    if (length >= 8) {
        memcpy(&low, bytes, 8);
        memcpy(&high, bytes + 8, length - 8);
    } else {
        memcpy(&low, bytes, length);
    }
    return (fingerprint)high << 64 | low;
}

fingerprint fingerprint_text(const struct fingerprint_key *key, const void *bytes, size_t length)
{
    if (length > TEXT_SHORT)
        return fingerprint_hash(key, DOMAIN_VALUE_TEXT, bytes, length);
    return tagged(TAG_TEXT + (unsigned)length, load_short(bytes, length));
}
