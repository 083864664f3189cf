/* The canonical order of keys in a table's map part (formats/SPEC.md, section 7): false, true, integers,
 * floats, strings, references by id, permanents by name; numbers by value, texts as unsigned bytes
 * with a prefix before what it is a prefix of.
 */
#ifndef KHOROS_CODEC_ORDER_H
#define KHOROS_CODEC_ORDER_H

#include <stddef.h>
#include <stdint.h>

enum codec_rank {
    RANK_FALSE, RANK_TRUE, RANK_INTEGER, RANK_FLOAT, RANK_STRING, RANK_REFERENCE, RANK_PERMANENT,
};

/* One key. `weight` orders keys of one rank as far as 64 bits can; texts need all their bytes. */
struct codec_key {
    uint64_t weight;
    const char *text;           /* string or name; NULL: none */
    size_t length;
    enum codec_rank rank;
    int slot;                   /* where the caller keeps key and value */
};

uint64_t codec_weight_of_integer(int64_t integer);
uint64_t codec_weight_of_float(double number);      /* not NaN */
uint64_t codec_weight_of_text(const char *text, size_t length);

/* In place, in time proportional to count * log(count), without more memory. */
void codec_sort_keys(struct codec_key *keys, size_t count);

#endif
