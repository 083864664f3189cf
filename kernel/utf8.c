/* See utf8.h. */
#include "utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

/* How many bytes at the start are ASCII, at least: whole words of eight. */
static size_t ascii_words(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    for (; length - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        if (word & HIGH_BITS)
            break;
    }
    return at;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character at the start, which is none of ASCII; 0: it is none at all. */
static size_t character_bytes(const uint8_t *bytes, size_t length)
{
    uint8_t first = bytes[0], second = length > 1 ? bytes[1] : 0;
    if (first < 0xc2 || !is_continuation(second))
        return 0;
    if (first < 0xe0)
        return 2;
    if (length < 3 || !is_continuation(bytes[2]))
        return 0;
    if (first < 0xf0) {
        bool longer_than_needed = first == 0xe0 && second < 0xa0;
        bool surrogate = first == 0xed && second >= 0xa0;
        return longer_than_needed || surrogate ? 0 : 3;
    }
    if (length < 4 || !is_continuation(bytes[3]) || first > 0xf4)
        return 0;
    return (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90) ? 0 : 4;
}

bool utf8_valid(const uint8_t *bytes, size_t length)
{
    for (size_t at = ascii_words(bytes, length); at < length;) {
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        size_t step = character_bytes(bytes + at, length - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}
