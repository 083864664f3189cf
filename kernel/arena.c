/* See arena.h. A page of small blocks:
 *
 *     struct arena_page | block | block | … | never used yet
 *                         └ freed blocks are chained through their first word
 *
 * The page of a block is found by masking its address, its class by the size that Lua passes along
 * when it frees, so a small block carries no header. A larger block is a run of pages that begins
 * with struct arena_run.
 */
#include "arena.h"

#include <string.h>

#include "pages.h"
#include "preempt.h"

/* On the host, the address sanitizer watches the blocks inside the pages as well. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

struct arena_page {
    struct arena_page *next, *previous;                 /* all pages of the arena */
    struct arena_page *next_partial, *previous_partial; /* those of the class that have room */
    void *free;
    uint16_t class, live, fresh;                        /* fresh: blocks handed out at least once */
};

struct arena_run {
    struct arena_run *next, *previous;
    size_t pages;
    size_t reserved;        /* keeps what follows 16-byte aligned */
};

_Static_assert(sizeof(struct arena_page) == 48, "the class sizes assume this");
_Static_assert(sizeof(struct arena_run) == 32, "blocks are 16-byte aligned");

/* The largest multiples of 16 of which 14, 13, … 2 fit into a page after its header. */
static const uint16_t class_bytes[ARENA_CLASSES] = {
    16,  32,  48,  64,  80,  96,  112, 128, 144, 160, 176, 192, 208,  224,  240,
    256, 288, 304, 336, 368, 400, 448, 496, 576, 672, 800, 1008, 1344, 2016,
};

/* Index: size in units of 16 bytes, rounded up. */
static const uint8_t class_of_units[ARENA_SMALL_BYTES / 16 + 1] = {
    [1] = 0, [2] = 1, [3] = 2, [4] = 3, [5] = 4, [6] = 5, [7] = 6, [8] = 7, [9] = 8, [10] = 9,
    [11] = 10, [12] = 11, [13] = 12, [14] = 13, [15] = 14, [16] = 15, [17 ... 18] = 16, [19] = 17,
    [20 ... 21] = 18, [22 ... 23] = 19, [24 ... 25] = 20, [26 ... 28] = 21, [29 ... 31] = 22,
    [32 ... 36] = 23, [37 ... 42] = 24, [43 ... 50] = 25, [51 ... 63] = 26, [64 ... 84] = 27,
    [85 ... 126] = 28,
};

static unsigned class_of(size_t bytes)
{
    return class_of_units[(bytes + 15) / 16];
}

static unsigned class_capacity(unsigned class)
{
    return (PAGE_SIZE - sizeof(struct arena_page)) / class_bytes[class];
}

static struct arena_page *page_of(void *block)
{
    return (struct arena_page *)((uintptr_t)block & ~(uintptr_t)(PAGE_SIZE - 1));
}

static bool within_quota(const struct arena *arena, size_t pages)
{
    if ((!arena->essential && !pages_spare(pages))
        || !account_can_pay(arena->account, pages * PAGE_SIZE))
        return false;
    size_t taken = arena->page_count;
    if (arena->bytes_elsewhere)
        taken += PAGES_OF(*arena->bytes_elsewhere);
    return pages <= arena->page_limit && taken <= arena->page_limit - pages;
}

static void count_taken(struct arena *arena, size_t pages)
{
    arena->page_count += pages;
    account_add(arena->account, pages * PAGE_SIZE);
}

static void count_given_back(struct arena *arena, size_t pages)
{
    arena->page_count -= pages;
    account_subtract(arena->account, pages * PAGE_SIZE);
}

/* --- pages of small blocks ------------------------------------------------------------------- */

static void partial_link(struct arena *arena, struct arena_page *page)
{
    struct arena_page **first = &arena->partial[page->class];
    page->next_partial = *first;
    page->previous_partial = NULL;
    if (*first)
        (*first)->previous_partial = page;
    *first = page;
}

static void partial_unlink(struct arena *arena, struct arena_page *page)
{
    if (page->previous_partial)
        page->previous_partial->next_partial = page->next_partial;
    else
        arena->partial[page->class] = page->next_partial;
    if (page->next_partial)
        page->next_partial->previous_partial = page->previous_partial;
}

static struct arena_page *page_take(struct arena *arena, unsigned class)
{
    preempt_disable();
    struct arena_page *page = page_alloc(1);
    if (page) {
        page->next = arena->pages;
        page->previous = NULL;
        if (page->next)
            page->next->previous = page;
        arena->pages = page;
        count_taken(arena, 1);
    }
    preempt_enable();
    if (page) {
        ASAN_POISON_MEMORY_REGION(page + 1, PAGE_SIZE - sizeof *page);
        page->free = NULL;
        page->class = (uint16_t)class;
        page->live = page->fresh = 0;
        partial_link(arena, page);
    }
    return page;
}

static void page_give_back(struct arena *arena, struct arena_page *page)
{
    partial_unlink(arena, page);
    preempt_disable();
    if (page->previous)
        page->previous->next = page->next;
    else
        arena->pages = page->next;
    if (page->next)
        page->next->previous = page->previous;
    count_given_back(arena, 1);
    ASAN_UNPOISON_MEMORY_REGION(page, PAGE_SIZE);
    page_free(page, 1);
    preempt_enable();
}

/* Empty pages that were kept for their class go back when the quota gets tight. */
static void pages_trim(struct arena *arena)
{
    for (unsigned class = 0; class < ARENA_CLASSES; class++) {
        struct arena_page *page = arena->partial[class], *next;
        for (; page; page = next) {
            next = page->next_partial;
            if (page->live == 0)
                page_give_back(arena, page);
        }
    }
}

static bool make_room(struct arena *arena, size_t pages)
{
    if (within_quota(arena, pages))
        return true;
    pages_trim(arena);
    return within_quota(arena, pages);
}

static void *small_alloc(struct arena *arena, unsigned class, bool beyond_quota)
{
    struct arena_page *page = arena->partial[class];
    if (!page) {
        if (!make_room(arena, 1) && !beyond_quota)
            return NULL;
        page = page_take(arena, class);
        if (!page)
            return NULL;
    }
    void *block = page->free;
    if (block) {
        ASAN_UNPOISON_MEMORY_REGION(block, sizeof(void *));
        memcpy(&page->free, block, sizeof(void *));
    } else {
        block = (char *)(page + 1) + (size_t)page->fresh++ * class_bytes[class];
    }
    if (++page->live == class_capacity(class))
        partial_unlink(arena, page);
    return block;
}

static void small_free(struct arena *arena, void *block)
{
    struct arena_page *page = page_of(block);
    ASAN_UNPOISON_MEMORY_REGION(block, class_bytes[page->class]);
    memcpy(block, &page->free, sizeof(void *));
    page->free = block;
    ASAN_POISON_MEMORY_REGION(block, class_bytes[page->class]);
    if (page->live-- == class_capacity(page->class))
        partial_link(arena, page);
    /* One empty page a class is kept, so that a loop at the edge of a page does not thrash. */
    if (page->live == 0 && (page->next_partial || page->previous_partial))
        page_give_back(arena, page);
}

/* --- runs ------------------------------------------------------------------------------------ */

static size_t run_pages(size_t bytes)
{
    return PAGES_OF(bytes + sizeof(struct arena_run));
}

static struct arena_run *run_of(void *block)
{
    return (struct arena_run *)block - 1;
}

static void *run_alloc(struct arena *arena, size_t bytes, bool zeroed)
{
    if (bytes > SIZE_MAX / 2 || !make_room(arena, run_pages(bytes)))
        return NULL;
    size_t pages = run_pages(bytes);
    preempt_disable();
    struct arena_run *run = page_alloc_raw(pages);
    if (run) {
        run->pages = pages;
        run->next = arena->runs;
        run->previous = NULL;
        if (run->next)
            run->next->previous = run;
        arena->runs = run;
        count_taken(arena, pages);
    }
    preempt_enable();
    if (!run)
        return NULL;
    if (zeroed)
        memset(run + 1, 0, pages * PAGE_SIZE - sizeof *run);
    return run + 1;
}

static void run_free(struct arena *arena, void *block)
{
    struct arena_run *run = run_of(block);
    preempt_disable();
    if (run->previous)
        run->previous->next = run->next;
    else
        arena->runs = run->next;
    if (run->next)
        run->next->previous = run->previous;
    count_given_back(arena, run->pages);
    page_free(run, run->pages);
    preempt_enable();
}

/* Changes the length of a run where it stands. */
static bool run_resize(struct arena *arena, void *block, size_t pages)
{
    struct arena_run *run = run_of(block);
    size_t old_pages = run->pages;
    if (pages > old_pages && !make_room(arena, pages - old_pages))
        return false;
    preempt_disable();
    bool done = true;
    if (pages < old_pages)
        page_free((char *)run + pages * PAGE_SIZE, old_pages - pages);
    else if (pages > old_pages)
        done = page_extend_raw(run, old_pages, pages);
    if (done && pages < old_pages)
        count_given_back(arena, old_pages - pages);
    else if (done)
        count_taken(arena, pages - old_pages);
    if (done)
        run->pages = pages;
    preempt_enable();
    if (done && pages > old_pages && !arena->raw)
        memset((char *)run + old_pages * PAGE_SIZE, 0, (pages - old_pages) * PAGE_SIZE);
    return done;
}

/* --- the interface --------------------------------------------------------------------------- */

void arena_start(struct arena *arena, size_t page_limit)
{
    memset(arena, 0, sizeof *arena);
    arena->page_limit = page_limit;
}

static void *alloc(struct arena *arena, size_t bytes, bool zeroed)
{
    void *block = bytes <= ARENA_SMALL_BYTES ? small_alloc(arena, class_of(bytes), false)
                                             : run_alloc(arena, bytes, zeroed);
    if (!block)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    arena->used_bytes += bytes;
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return alloc(arena, bytes, !arena->raw);
}

void *arena_alloc_unfilled(struct arena *arena, size_t bytes)
{
    return alloc(arena, bytes, false);
}

void arena_free(struct arena *arena, void *block, size_t bytes)
{
    if (!block)
        return;
    arena->used_bytes -= bytes;
    if (bytes <= ARENA_SMALL_BYTES)
        small_free(arena, block);
    else
        run_free(arena, block);
}

static bool resize_in_place(struct arena *arena, void *block, size_t old_bytes, size_t new_bytes)
{
    if (old_bytes > ARENA_SMALL_BYTES && new_bytes > ARENA_SMALL_BYTES)
        return new_bytes <= SIZE_MAX / 2 && run_resize(arena, block, run_pages(new_bytes));
    return old_bytes <= ARENA_SMALL_BYTES && new_bytes <= ARENA_SMALL_BYTES
           && class_of(old_bytes) == class_of(new_bytes);
}

void *arena_resize(struct arena *arena, void *block, size_t old_bytes, size_t new_bytes)
{
    if (!block)
        return arena_alloc(arena, new_bytes);
    if (resize_in_place(arena, block, old_bytes, new_bytes)) {
        arena->used_bytes += new_bytes - old_bytes;
        ASAN_POISON_MEMORY_REGION(block, old_bytes);
        ASAN_UNPOISON_MEMORY_REGION(block, new_bytes);
        return block;
    }
    void *moved;
    if (new_bytes < old_bytes && new_bytes <= ARENA_SMALL_BYTES) {
        /* Shrinking may pass the quota by a page: Lua counts on it to succeed. */
        moved = small_alloc(arena, class_of(new_bytes), true);
        if (moved) {
            ASAN_UNPOISON_MEMORY_REGION(moved, new_bytes);
            arena->used_bytes += new_bytes;
        }
    } else {
        moved = arena_alloc(arena, new_bytes);
    }
    if (!moved)
        return NULL;
    memcpy(moved, block, old_bytes < new_bytes ? old_bytes : new_bytes);
    arena_free(arena, block, old_bytes);
    return moved;
}

bool arena_drop(struct arena *arena, size_t *budget)
{
    for (; arena->pages && *budget > 0; --*budget) {
        struct arena_page *page = arena->pages;
        arena->pages = page->next;
        ASAN_UNPOISON_MEMORY_REGION(page, PAGE_SIZE);
        page_free(page, 1);
        count_given_back(arena, 1);
    }
    for (; arena->runs && *budget > 0; --*budget) {
        struct arena_run *run = arena->runs;
        size_t pages = run->pages;
        arena->runs = run->next;
        page_free(run, pages);
        count_given_back(arena, pages);
    }
    if (arena->pages || arena->runs)
        return false;
    arena_start(arena, arena->page_limit);
    return true;
}
