/* Time: a tick at 1000 Hz, a monotonic clock in nanoseconds, and idling. */
#ifndef KHOROS_TIMER_H
#define KHOROS_TIMER_H

#include <stdint.h>

#define TICKS_PER_SECOND 1000
#define NANOSECONDS_PER_SECOND 1000000000LL

void timer_start(void);

/* Nanoseconds since timer_start(). Never goes back. Callable anywhere, interrupts included. */
int64_t clock_ns(void);

/* Halts the CPU until a listened interrupt line fires (or has fired since the last call returned)
 * or clock_ns() reaches the deadline; resolution is one tick. Interrupts must be on. */
void timer_halt(int64_t deadline_ns);

/* The rate of the time stamp counter, and the bound on its error that calibration reached. */
uint64_t timer_tsc_hertz(void);
unsigned timer_tsc_error_ppm(void);

#endif
