/* Deferring the switch away from a process.
 *
 * Between preempt_disable() and preempt_enable() interrupts stay on (ticks and interrupt latches
 * go on counting), but process_tick() must leave the interrupted code where it is: whatever it was
 * changing is not consistent yet. The next tick tries again, 1 ms later. The pairs nest. Held by
 * the page allocator, by every system call of the C library and by whoever else touches state that
 * two processes can reach. Never hold it across Lua code or anything that may raise a Lua error.
 *
 * The counter lives in `struct cpu` (cpu.h), so that a second CPU could have its own.
 */
#ifndef KHOROS_PREEMPT_H
#define KHOROS_PREEMPT_H

#include <stdbool.h>

#include "cpu.h"

static inline void preempt_disable(void)
{
    this_cpu()->preempt_depth++;
    __asm__ volatile("" ::: "memory");
}

static inline void preempt_enable(void)
{
    __asm__ volatile("" ::: "memory");
    this_cpu()->preempt_depth--;
}

/* For process_tick(): may the interrupted code be parked now? */
static inline bool preempt_allowed(void)
{
    return this_cpu()->preempt_depth == 0;
}

#endif
