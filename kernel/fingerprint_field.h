/* The field of 2^127 - 1, a prime: the arithmetic of fingerprints, in the caller's registers. */
#ifndef KHOROS_FINGERPRINT_FIELD_H
#define KHOROS_FINGERPRINT_FIELD_H

#include <stdint.h>

/* An element, below FINGERPRINT_PRIME. Aligned as Lua aligns userdata. */
typedef unsigned __int128 fingerprint __attribute__((aligned(8)));
#define FINGERPRINT_PRIME ((((fingerprint)1) << 127) - 1)

/* Of any number of 128 bits: at most the prime plus 1. */
static inline fingerprint fingerprint_fold(fingerprint number)
{
    return (number & FINGERPRINT_PRIME) + (number >> 127);
}

static inline fingerprint fingerprint_reduce(fingerprint number)
{
    number = fingerprint_fold(number);
    return number >= FINGERPRINT_PRIME ? number - FINGERPRINT_PRIME : number;
}

static inline fingerprint fingerprint_add(fingerprint a, fingerprint b)
{
    return fingerprint_reduce(a + b);
}

/* A sum of products that is reduced once, at its end: low + high * 2^64, of up to 2^60 products. */
struct fingerprint_sum {
    unsigned __int128 low, high;
};

/* Both are below 2^127. With 2^127 = 1, 2^128 = 2: what stands there counts twice at the bottom. */
static inline void fingerprint_add_product(struct fingerprint_sum *sum, fingerprint a, fingerprint b)
{
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64), b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    unsigned __int128 bottom = (unsigned __int128)a0 * b0, top = (unsigned __int128)a1 * b1;
    unsigned __int128 left = (unsigned __int128)a0 * b1, right = (unsigned __int128)a1 * b0;
    unsigned __int128 twice_low = (left >> 64) + (right >> 64) + (uint64_t)top;
    sum->low += (uint64_t)bottom + 2 * twice_low;
    sum->high += (bottom >> 64) + (unsigned __int128)(uint64_t)left + (uint64_t)right + 2 * (top >> 64);
}

static inline fingerprint fingerprint_sum_end(const struct fingerprint_sum *sum)
{
    fingerprint low = fingerprint_reduce(sum->low + 2 * (sum->high >> 64));
    return fingerprint_add(low, fingerprint_reduce(sum->high << 64));
}

static inline fingerprint fingerprint_multiply(fingerprint a, fingerprint b)
{
    struct fingerprint_sum sum = {0, 0};
    fingerprint_add_product(&sum, a, b);
    return fingerprint_sum_end(&sum);
}

#endif
