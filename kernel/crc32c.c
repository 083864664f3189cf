/* CRC32C by the SSE4.2 instruction when the CPU has it, else by slicing: eight tables, eight bytes a
 * step. Tables and choice are made on first use.
 */
#include "crc32c.h"

#include <string.h>

#define POLYNOMIAL_REFLECTED 0x82f63b78U
#define CPUID_1_ECX_SSE42 (1U << 20)

typedef uint32_t crc_function(uint32_t crc, const uint8_t *bytes, size_t length);

static uint32_t tables[8][256];

static void tables_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL_REFLECTED : 0);
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 0xff];
}

static uint64_t load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint32_t sliced(uint32_t crc, const uint8_t *bytes, size_t length)
{
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t v = load64(bytes) ^ crc;
        crc = tables[7][v & 0xff] ^ tables[6][v >> 8 & 0xff] ^ tables[5][v >> 16 & 0xff]
              ^ tables[4][v >> 24 & 0xff] ^ tables[3][v >> 32 & 0xff] ^ tables[2][v >> 40 & 0xff]
              ^ tables[1][v >> 48 & 0xff] ^ tables[0][v >> 56];
    }
    for (; length > 0; bytes++, length--)
        crc = crc >> 8 ^ tables[0][(crc ^ *bytes) & 0xff];
    return crc;
}

static uint32_t by_instruction(uint32_t crc, const uint8_t *bytes, size_t length)
{
    uint64_t wide = crc;
    for (; length >= 8; bytes += 8, length -= 8)
        __asm__("crc32q %1, %0" : "+r"(wide) : "rm"(load64(bytes)));
    crc = (uint32_t)wide;
    for (; length > 0; bytes++, length--)
        __asm__("crc32b %1, %0" : "+r"(crc) : "rm"(*bytes));
    return crc;
}

static crc_function *choose(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (c & CPUID_1_ECX_SSE42)
        return by_instruction;
    tables_fill();
    return sliced;
}

uint32_t crc32c(uint32_t seed, const void *bytes, size_t length)
{
    static crc_function *chosen;
    if (chosen == NULL)
        chosen = choose();
    return ~chosen(~seed, bytes, length);
}

uint32_t crc32c_sliced(uint32_t seed, const void *bytes, size_t length)
{
    if (tables[0][1] == 0)
        tables_fill();
    return ~sliced(~seed, bytes, length);
}
