/* See codec_order.h. Insertion for a handful, as most tables have; heap sort beyond. */
#include "codec_order.h"

#include <stdbool.h>
#include <string.h>

#define HANDFUL 16
#define SIGN ((uint64_t)1 << 63)

uint64_t codec_weight_of_integer(int64_t integer)
{
    return (uint64_t)integer ^ SIGN;
}

/* The bits of a double are sign and magnitude. */
uint64_t codec_weight_of_float(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits & SIGN ? ~bits : bits | SIGN;
}

/* The first eight bytes, zeros where there are fewer. */
uint64_t codec_weight_of_text(const char *text, size_t length)
{
    uint64_t bytes = 0;
    memcpy(&bytes, text, length < 8 ? length : 8);
    return __builtin_bswap64(bytes);
}

static bool less(const struct codec_key *a, const struct codec_key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->weight != b->weight || !a->text)
        return a->weight < b->weight;
    size_t common = a->length < b->length ? a->length : b->length;
    int difference = memcmp(a->text, b->text, common);
    return difference != 0 ? difference < 0 : a->length < b->length;
}

static void insertion_sort(struct codec_key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct codec_key key = keys[i];
        size_t place = i;
        for (; place > 0 && less(&key, &keys[place - 1]); place--)
            keys[place] = keys[place - 1];
        keys[place] = key;
    }
}

/* Puts `key`, whose place is the root of a subtree, where it belongs in it. */
static void sift(struct codec_key *keys, size_t root, size_t count, struct codec_key key)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && less(&keys[child], &keys[child + 1]))
            child++;
        if (!less(&key, &keys[child]))
            break;
        keys[root] = keys[child];
        root = child;
    }
    keys[root] = key;
}

static void heap_sort(struct codec_key *keys, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sift(keys, root, count, keys[root]);
    for (size_t last = count - 1; last > 0; last--) {
        struct codec_key key = keys[last];
        keys[last] = keys[0];
        sift(keys, 0, last, key);
    }
}

void codec_sort_keys(struct codec_key *keys, size_t count)
{
    if (count <= HANDFUL)
        insertion_sort(keys, count);
    else
        heap_sort(keys, count);
}
