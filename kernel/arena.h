/* The allocator of one process: everything its lua_State asks for comes from here.
 *
 * Small requests (up to ARENA_SMALL_BYTES) come from pages that each hold one size class; larger
 * ones are runs of pages of their own. The quota counts whole pages, so it bounds the memory really
 * taken; `used_bytes` counts what was asked for, exactly. arena_drop gives every page back, whatever its
 * owner was doing: the lists of pages change only with pre-emption deferred, and nothing else is needed
 * to find them.
 *
 * What an arena hands out in large blocks was zeroed, so that no process ever has before it what another
 * has left behind; `raw` leaves that out, for what the kernel alone reads, and arena_alloc_unfilled for one block.
 *
 * One owner at a time: no locking. Not for interrupts.
 */
#ifndef KHOROS_ARENA_H
#define KHOROS_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account.h"

#define ARENA_CLASSES 29
#define ARENA_SMALL_BYTES 2016

struct arena_page;
struct arena_run;

struct arena {
    struct arena_page *partial[ARENA_CLASSES];  /* pages of the class that have room */
    struct arena_page *pages;                   /* every page of small blocks */
    struct arena_run *runs;                     /* every larger block */
    size_t page_count;                          /* pages taken, small and large */
    size_t page_limit;                          /* the quota; SIZE_MAX: none */
    bool essential;                             /* may take the pages kept back, see pages_spare */
    bool raw;                                   /* large blocks are not zeroed */
    const size_t *bytes_elsewhere;              /* what counts against it besides, or NULL */
    struct account *account;                    /* where its pages count as well, or NULL */
    size_t used_bytes;                          /* sum of the sizes asked for and not freed */
};

void arena_start(struct arena *arena, size_t page_limit);

/* NULL when the quota or the machine is exhausted. 16-byte aligned. bytes > 0. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* The same, not zeroed: for what is filled to its last byte before its owner can read it. */
void *arena_alloc_unfilled(struct arena *arena, size_t bytes);

/* `bytes` is the size that was asked for. NULL is ignored. */
void arena_free(struct arena *arena, void *block, size_t bytes);

/* Moves or grows a block; NULL leaves the old one as it was. Shrinking fails only
 * when the machine has no page left. */
void *arena_resize(struct arena *arena, void *block, size_t old_bytes, size_t new_bytes);

/* Gives back everything, at most *budget pages and larger blocks, which it counts down; nothing is
 * allocated from the arena any more. → is it empty? */
bool arena_drop(struct arena *arena, size_t *budget);

#endif
