/* RDRAND (Intel SDM 1, 7.3.17) when the CPU has it, always mixed with the time stamp counter through
 * a splitmix64 step, so that a CPU without it still gives different values on each boot: the
 * emulator's timing is what is random then.
 */
#include "random.h"

#include <stdbool.h>

#define CPUID_1_ECX_RDRAND (1U << 30)
#define RDRAND_TRIES 10
#define GOLDEN_GAMMA 0x9e3779b97f4a7c15ULL

static bool has_rdrand(void)
{
    static enum { UNKNOWN, NO, YES } known;
    if (known == UNKNOWN) {
        uint32_t a = 1, b, c = 0, d;
        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        known = c & CPUID_1_ECX_RDRAND ? YES : NO;
    }
    return known == YES;
}

static uint64_t rdrand(void)
{
    uint64_t value = 0;
    unsigned char done = 0;
    for (int i = 0; i < RDRAND_TRIES && !done; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=q"(done) :: "cc");
    return value;
}

static uint64_t tsc_read(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

uint64_t random_u64(void)
{
    static uint64_t state;
    state = (state ^ tsc_read()) + GOLDEN_GAMMA;
    if (has_rdrand())
        state ^= rdrand();
    uint64_t mixed = state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
    return mixed ^ mixed >> 31;
}
