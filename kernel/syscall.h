/* The C library's system calls, answered in ring 0. */
#ifndef KHOROS_SYSCALL_H
#define KHOROS_SYSCALL_H

#include <stdint.h>

/* Points the SYSCALL instruction at us. */
void syscall_start(void);

/* Starts the C library with made-up process start data; it calls `main`, which must not return. */
_Noreturn void libc_start(int (*main)(int, char **, char **));

/* Runs function on the stack that ends at `top`. */
_Noreturn void stack_enter(void *top, void (*function)(void));

/* Wall clock for time() and os.time: microseconds from 1970 to the start of clock_ns(). */
void syscall_set_epoch(int64_t microseconds);

#endif
