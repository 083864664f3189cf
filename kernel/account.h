/* What a process and all that it has started may hold together: their heaps, what the kernel holds for them
 * and their C stacks. A program that starts others divides what it has, and cannot fill the machine with them.
 *
 * An account lives as long as a process or a handle of the supervisor refers to it. Changed only with
 * pre-emption deferred. NULL is an account without a limit.
 */
#ifndef KHOROS_ACCOUNT_H
#define KHOROS_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

struct account {
    size_t bytes, bytes_limit;
    size_t holders;
};

static inline bool account_can_pay(const struct account *account, size_t bytes)
{
    return !account || (account->bytes <= account->bytes_limit
                        && bytes <= account->bytes_limit - account->bytes);
}

static inline void account_add(struct account *account, size_t bytes)
{
    if (account)
        account->bytes += bytes;
}

static inline void account_subtract(struct account *account, size_t bytes)
{
    if (account)
        account->bytes -= bytes;
}

/* With no holder yet; NULL without memory. */
struct account *account_new(size_t bytes_limit);

/* The next step in giving back what killed processes held (process.c), which counts until then. Whoever
 * finds no memory takes it and tries again; → was there anything? */
bool memory_reclaim(void);

/* The last holder that lets go of it destroys it. */
void account_hold(struct account *account);
void account_let_go(struct account *account);

#endif
