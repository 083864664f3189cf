/* Physical memory in pages of 4 KiB, and guarded stacks.
 *
 * Every run is contiguous and identity mapped (a pointer is its physical address). All functions may be called from any stack, never from an interrupt. They defer
 * the switch away from a process while they touch shared state (preempt.h), but a caller that may
 * be killed between receiving pages and noting whose they are must itself hold preempt_disable()
 * around both.
 */
#ifndef KHOROS_PAGES_H
#define KHOROS_PAGES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#undef PAGE_SIZE         /* limits.h has one, an int */
#define PAGE_SIZE 4096UL
#define PAGES_OF(bytes) (((size_t)(bytes) + PAGE_SIZE - 1) / PAGE_SIZE)

/* A zeroed, contiguous run, or NULL when no run of that length is free (or pages is 0). */
void *page_alloc(size_t pages);

/* The same, but it holds what its last owner left. For runs that may be so large that zeroing them would
 * hold up the others: the caller notes whose the run is, lets others have the CPU again, and zeroes it
 * before anybody can read it. */
void *page_alloc_raw(size_t pages);

/* The same, but the whole run lies below `limit`: for devices that know fewer address bits. Slower
 * where memory is in many pieces. */
void *page_alloc_below_raw(size_t pages, uintptr_t limit);

/* Gives back a run, or any part of one that begins and ends on page boundaries (so a tail can be
 * cut off). Freeing a page that is free already is a kernel bug and panics. NULL is ignored. */
void page_free(void *run, size_t pages);

/* Grows a run in place from old_pages to new_pages; the added pages are raw, as above. False, and
 * nothing has changed, when the pages after it are not free. */
bool page_extend_raw(void *run, size_t old_pages, size_t new_pages);

/* A stack of at least `bytes` (rounded up to pages) with an unmapped guard below it, which is larger
 * than any frame of Lua, of the C library or of ours, so that none reaches over it. Returns the
 * lowest usable address; the initial stack pointer is that plus the rounded size. NULL: no memory.
 * stack_free takes the same pointer and the same number of bytes. */
void *stack_alloc(size_t bytes);
void stack_free(void *stack, size_t bytes);

/* True when the address lies in the guard of a stack. */
bool stack_guard_holds(uintptr_t address);

/* True when any byte of the range belongs to the kernel image or to memory that page_alloc may hand
 * out or has handed out. */
bool pages_hold_any(uintptr_t address, size_t bytes);

/* May somebody who is not essential take so many pages? Some are kept for the supervisor and the
 * services, so that the machine lives on when processes have taken all others. */
bool pages_spare(size_t pages);

size_t pages_free_count(void);
size_t pages_total_count(void);

struct boot_info;
/* Puts all available memory above the kernel image into the allocator. Called once, early. */
void pages_start(const struct boot_info *boot);

#endif
