/* The PIT (8254) as a 1000 Hz tick and as the reference for the time stamp counter.
 *
 * Calibration reads TSC and PIT together, bracketed: TSC, PIT, TSC. However long the emulator was
 * away in between, the bracket shows it, so each window knows the bound of its own error. Windows
 * are added until one has a bound that will do, and the best of all is used.
 */
#include "timer.h"

#include <stdbool.h>

#include "io.h"
#include "panic.h"
#include "trap.h"

#define PIT_CHANNEL0 0x40
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_HERTZ 1193182ULL
#define PIT_RATE_GENERATOR_0 0x34       /* 8254 control word: channel 0, low then high, mode 2 */
#define PIT_ONE_SHOT_2 0xb0             /* channel 2, low then high, mode 0 */
#define PIT_READ_BACK_2 0xc8            /* read-back: latch count and status of channel 2 */
#define PIT_STATUS_OUT 0x80
#define PIT_STATUS_NULL_COUNT 0x40
#define PORT_B 0x61                     /* gate of channel 2 (bit 0), speaker (bit 1) */

#define CALIBRATION_PIT_TICKS 9546      /* 8 ms */
#define CALIBRATION_WINDOWS_MOST 20
#define CALIBRATION_WANTED_PPM 300
#define SAMPLE_TRIES 4

struct sample {
    uint64_t tsc_before, tsc_after;
    uint32_t elapsed;                   /* PIT ticks since channel 2 was loaded */
    bool valid;
};

struct window {
    uint64_t tsc_hertz;
    unsigned error_ppm;
};

static uint64_t tsc_at_start;
static uint64_t tsc_hertz;
static unsigned tsc_error_ppm;
/* ns = ticks * ns_multiplier / 2^32 */
static uint64_t ns_multiplier;

static uint64_t tsc_read(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) :: "memory");
    return (uint64_t)high << 32 | low;
}

static struct sample sample_once(void)
{
    struct sample sample;
    sample.tsc_before = tsc_read();
    io_out8(PIT_COMMAND, PIT_READ_BACK_2);
    sample.tsc_after = tsc_read();
    uint8_t status = io_in8(PIT_CHANNEL2);
    uint32_t count = io_in8(PIT_CHANNEL2);
    count |= (uint32_t)io_in8(PIT_CHANNEL2) << 8;
    sample.elapsed = 0xffff - count;
    /* OUT high: it has counted through, so the count says nothing. */
    sample.valid = !(status & (PIT_STATUS_OUT | PIT_STATUS_NULL_COUNT));
    return sample;
}

static struct sample sample_tightest(void)
{
    struct sample best = sample_once();
    for (unsigned i = 1; i < SAMPLE_TRIES; i++) {
        struct sample next = sample_once();
        if (next.valid
            && (!best.valid
                || next.tsc_after - next.tsc_before < best.tsc_after - best.tsc_before))
            best = next;
    }
    return best;
}

static void pit_one_shot_load(void)
{
    io_out8(PORT_B, (io_in8(PORT_B) & 0xfc) | 1);
    io_out8(PIT_COMMAND, PIT_ONE_SHOT_2);
    io_out8(PIT_CHANNEL2, 0xff);
    io_out8(PIT_CHANNEL2, 0xff);
}

/* One window; an error of UINT32_MAX marks one that cannot be used. */
static struct window window_measure(void)
{
    struct window window = {0, UINT32_MAX};
    pit_one_shot_load();
    struct sample start = sample_tightest();
    struct sample end = start;
    while (end.valid && end.elapsed - start.elapsed < CALIBRATION_PIT_TICKS)
        end = sample_once();
    end = sample_tightest();
    if (!start.valid || !end.valid || end.elapsed <= start.elapsed)
        return window;
    uint64_t tsc = (end.tsc_before + end.tsc_after - start.tsc_before - start.tsc_after) / 2;
    uint64_t pit = end.elapsed - start.elapsed;
    uint64_t doubt = end.tsc_after - end.tsc_before + start.tsc_after - start.tsc_before;
    window.tsc_hertz = tsc * PIT_HERTZ / pit;
    window.error_ppm = tsc ? (unsigned)(doubt * 500000 / tsc + 1000000 / pit) : UINT32_MAX;
    return window;
}

static void tsc_calibrate(void)
{
    struct window best = {0, UINT32_MAX};
    for (unsigned i = 0;
         i < CALIBRATION_WINDOWS_MOST && best.error_ppm > CALIBRATION_WANTED_PPM; i++) {
        struct window window = window_measure();
        if (window.error_ppm < best.error_ppm)
            best = window;
    }
    if (best.tsc_hertz < 1000000)
        panic("timer", "the time stamp counter runs at %lu Hz by the PIT", best.tsc_hertz);
    tsc_hertz = best.tsc_hertz;
    tsc_error_ppm = best.error_ppm;
    ns_multiplier = ((uint64_t)NANOSECONDS_PER_SECOND << 32) / tsc_hertz;
}

static void tick_start(void)
{
    uint16_t reload = (PIT_HERTZ + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND;
    io_out8(PIT_COMMAND, PIT_RATE_GENERATOR_0);
    io_out8(PIT_CHANNEL0, reload & 0xff);
    io_out8(PIT_CHANNEL0, reload >> 8);
    irq_listen(IRQ_TIMER);
}

void timer_start(void)
{
    tsc_calibrate();
    tsc_at_start = tsc_read();
    tick_start();
}

int64_t clock_ns(void)
{
    uint64_t ticks = tsc_read() - tsc_at_start;
    return (int64_t)(uint64_t)((unsigned __int128)ticks * ns_multiplier >> 32);
}

void timer_halt(int64_t deadline_ns)
{
    for (;;) {
        if (irq_take_event() || clock_ns() >= deadline_ns)
            return;
        /* An interrupt between the check and hlt must wake it: sti holds interrupts back for one
         * instruction, so nothing comes in between. */
        __asm__ volatile("cli" ::: "memory");
        if (irq_event_pending())
            __asm__ volatile("sti" ::: "memory");
        else
            __asm__ volatile("sti; hlt" ::: "memory");
    }
}

uint64_t timer_tsc_hertz(void)
{
    return tsc_hertz;
}

unsigned timer_tsc_error_ppm(void)
{
    return tsc_error_ppm;
}
