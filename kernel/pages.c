/* The page allocator: two-level segregated fit over runs of pages.
 *
 * A bitmap says of every page whether it is free. A free run carries its own description: links and
 * length in its first page, its length again in the last word of its last page, so that the run
 * before and the run after a freed one are found and joined at once. Free runs hang in lists by
 * size class (powers of two, each in 16 steps); two levels of bits find the first list that fits.
 * Both calls cost O(1) plus the pages they mark, or zero.
 *
 * Small runs are cut from the end of a free run and large ones from its start, so that small ones
 * do not scatter over the room into which a large one may want to grow.
 */
#include "pages.h"

#include <string.h>

#include "boot_info.h"
#include "paging.h"
#include "panic.h"
#include "preempt.h"

#define STEP_BITS 4
#define STEPS (1u << STEP_BITS)
#define CLASSES 40
#define SMALL_RUN_PAGES 64
#define GUARD_PAGES 4           /* the C library's printf has the largest frame, 8 KiB */
#define RESERVE_PART 16         /* of all pages, kept for who is essential */
#define FOUR_GIB 0x100000000ULL

struct free_run {
    size_t pages;
    struct free_run *previous, *next;
};

extern uint8_t kernel_start[], kernel_end[];

static struct {
    uint64_t *bitmap;               /* bit set = page is free */
    size_t page_limit;              /* pages below this number have a bit */
    size_t free_pages, total_pages;
    uint64_t classes_filled;        /* bit per class */
    uint32_t steps_filled[CLASSES]; /* bit per step of a class */
    struct free_run *lists[CLASSES][STEPS];
    const struct boot_info *boot;
} allocator;

struct size_class {
    unsigned class, step;
};

/* --- bitmap ---------------------------------------------------------------------------------- */

static size_t page_number(const void *page)
{
    return (uintptr_t)page / PAGE_SIZE;
}

static bool page_is_free(size_t page)
{
    return page < allocator.page_limit && (allocator.bitmap[page / 64] >> page % 64 & 1);
}

/* Sets or clears the bits of a run; true if each of them had the other value before. */
static bool bits_flip(size_t page, size_t pages, bool to_free)
{
    bool right = true;
    while (pages > 0) {
        unsigned offset = page % 64;
        size_t count = pages < 64 - offset ? pages : 64 - offset;
        uint64_t bits = (count == 64 ? ~0ULL : (1ULL << count) - 1) << offset;
        uint64_t *word = &allocator.bitmap[page / 64];
        right = right && (*word & bits) == (to_free ? 0 : bits);
        *word = to_free ? *word | bits : *word & ~bits;
        page += count;
        pages -= count;
    }
    return right;
}

/* --- lists ----------------------------------------------------------------------------------- */

static struct size_class class_of(size_t pages)
{
    if (pages < STEPS)
        return (struct size_class){0, (unsigned)pages};
    unsigned log = 63 - (unsigned)__builtin_clzl(pages);
    return (struct size_class){log - STEP_BITS + 1,
                               (unsigned)(pages >> (log - STEP_BITS)) & (STEPS - 1)};
}

static size_t *run_footer(struct free_run *run, size_t pages)
{
    return (size_t *)((uint8_t *)run + pages * PAGE_SIZE) - 1;
}

static void run_insert(struct free_run *run, size_t pages)
{
    struct size_class at = class_of(pages);
    struct free_run **list = &allocator.lists[at.class][at.step];
    run->pages = pages;
    run->previous = NULL;
    run->next = *list;
    if (*list != NULL)
        (*list)->previous = run;
    *list = run;
    *run_footer(run, pages) = pages;
    allocator.steps_filled[at.class] |= 1u << at.step;
    allocator.classes_filled |= 1ULL << at.class;
}

static void run_remove(struct free_run *run)
{
    struct size_class at = class_of(run->pages);
    if (run->next != NULL)
        run->next->previous = run->previous;
    if (run->previous != NULL) {
        run->previous->next = run->next;
        return;
    }
    allocator.lists[at.class][at.step] = run->next;
    if (run->next != NULL)
        return;
    allocator.steps_filled[at.class] &= ~(1u << at.step);
    if (allocator.steps_filled[at.class] == 0)
        allocator.classes_filled &= ~(1ULL << at.class);
}

/* The first run of a list at or above a class, NULL if there is none. */
static struct free_run *run_at_or_above(struct size_class at)
{
    uint32_t steps = allocator.steps_filled[at.class] & (~0u << at.step);
    if (steps == 0) {
        uint64_t classes = allocator.classes_filled & (~0ULL << at.class << 1);
        if (classes == 0)
            return NULL;
        at.class = (unsigned)__builtin_ctzl(classes);
        steps = allocator.steps_filled[at.class];
    }
    return allocator.lists[at.class][__builtin_ctz(steps)];
}

/* Any run of the class above fits; failing that, one in the class itself may. */
static struct free_run *run_find(size_t pages)
{
    size_t rounded = pages;
    if (pages >= STEPS)
        rounded += (1UL << (63 - (unsigned)__builtin_clzl(pages) - STEP_BITS)) - 1;
    struct free_run *run = run_at_or_above(class_of(rounded));
    if (run != NULL)
        return run;
    struct size_class at = class_of(pages);
    for (run = allocator.lists[at.class][at.step]; run != NULL; run = run->next)
        if (run->pages >= pages)
            return run;
    return NULL;
}

/* The first run of a list that begins with `pages` pages below the limit. */
static struct free_run *list_find_below(struct free_run *run, size_t pages, uintptr_t limit)
{
    while (run != NULL && (run->pages < pages || (uintptr_t)run + pages * PAGE_SIZE > limit))
        run = run->next;
    return run;
}

/* A walk over all lists: only addresses decide here. */
static struct free_run *run_find_below(size_t pages, uintptr_t limit)
{
    for (unsigned class = class_of(pages).class; class < CLASSES; class++)
        for (unsigned step = 0; step < STEPS; step++) {
            struct free_run *run = list_find_below(allocator.lists[class][step], pages, limit);
            if (run != NULL)
                return run;
        }
    return NULL;
}

/* --- runs ------------------------------------------------------------------------------------ */

static void *run_take(struct free_run *run, size_t pages, bool from_end)
{
    size_t rest = run->pages - pages;
    uint8_t *first = (uint8_t *)run;
    run_remove(run);
    if (rest > 0 && from_end) {
        run_insert(run, rest);
        first += rest * PAGE_SIZE;
    } else if (rest > 0) {
        run_insert((struct free_run *)(first + pages * PAGE_SIZE), rest);
    }
    if (!bits_flip(page_number(first), pages, false))
        panic("pages", "free run %p of %zu pages holds a page in use", (void *)first, pages);
    allocator.free_pages -= pages;
    return first;
}

/* Joins the run with its free neighbours and puts it into its list. */
static void run_give(uint8_t *first, size_t pages)
{
    size_t page = page_number(first);
    if (page + pages > allocator.page_limit || !bits_flip(page, pages, true))
        panic("pages", "page_free(%p, %zu): a page in it is free or not ours", (void *)first, pages);
    allocator.free_pages += pages;
    if (page_is_free(page + pages)) {
        struct free_run *after = (struct free_run *)(first + pages * PAGE_SIZE);
        pages += after->pages;
        run_remove(after);
    }
    if (page > 0 && page_is_free(page - 1)) {
        size_t before_pages = *((size_t *)first - 1);
        first -= before_pages * PAGE_SIZE;
        pages += before_pages;
        run_remove((struct free_run *)first);
    }
    run_insert((struct free_run *)first, pages);
}

void *page_alloc_raw(size_t pages)
{
    if (pages == 0 || pages > allocator.free_pages)
        return NULL;
    preempt_disable();
    struct free_run *run = run_find(pages);
    void *first = run != NULL ? run_take(run, pages, pages < SMALL_RUN_PAGES) : NULL;
    preempt_enable();
    return first;
}

void *page_alloc(size_t pages)
{
    preempt_disable();
    void *first = page_alloc_raw(pages);
    if (first != NULL)
        memset(first, 0, pages * PAGE_SIZE);
    preempt_enable();
    return first;
}

void *page_alloc_below_raw(size_t pages, uintptr_t limit)
{
    if (pages == 0 || pages > allocator.free_pages)
        return NULL;
    preempt_disable();
    struct free_run *run = run_find_below(pages, limit);
    void *first = NULL;
    if (run != NULL)
        first = run_take(run, pages, (uintptr_t)run + run->pages * PAGE_SIZE <= limit);
    preempt_enable();
    return first;
}

void page_free(void *run, size_t pages)
{
    if (run == NULL || pages == 0)
        return;
    if ((uintptr_t)run % PAGE_SIZE != 0)
        panic("pages", "page_free(%p, %zu): not on a page boundary", run, pages);
    preempt_disable();
    run_give(run, pages);
    preempt_enable();
}

bool page_extend_raw(void *run, size_t old_pages, size_t new_pages)
{
    uint8_t *after = (uint8_t *)run + old_pages * PAGE_SIZE;
    size_t added = new_pages - old_pages;
    bool fits = false;
    preempt_disable();
    if (page_is_free(page_number(after)) && ((struct free_run *)after)->pages >= added) {
        struct free_run *rest = (struct free_run *)after;
        size_t left = rest->pages - added;
        run_remove(rest);
        if (left > 0)
            run_insert((struct free_run *)(after + added * PAGE_SIZE), left);
        if (!bits_flip(page_number(after), added, false))
            panic("pages", "free run %p of %zu pages holds a page in use", (void *)after, added);
        allocator.free_pages -= added;
        fits = true;
    }
    preempt_enable();
    return fits;
}

bool pages_hold_any(uintptr_t address, size_t bytes)
{
    const struct boot_info *boot = allocator.boot;
    if (address < (uintptr_t)kernel_end && address + bytes > (uintptr_t)kernel_start)
        return true;
    for (size_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        if (region->kind == REGION_AVAILABLE && address + bytes > (uintptr_t)kernel_start
            && address < region->address + region->length && address + bytes > region->address)
            return true;
    }
    return false;
}

bool pages_spare(size_t pages)
{
    size_t kept = pages_total_count() / RESERVE_PART, left = allocator.free_pages;
    return pages <= left && left - pages >= kept;
}

size_t pages_free_count(void)
{
    return allocator.free_pages;
}

size_t pages_total_count(void)
{
    return allocator.total_pages;
}

/* --- stacks ---------------------------------------------------------------------------------- */

/* Cannot fail: the tables are there since the guard was unmapped, page by page. */
static void guard_map(uint8_t *guard)
{
    if (!paging_map((uintptr_t)guard, GUARD_PAGES * PAGE_SIZE, PAGING_WRITE))
        panic("pages", "guard %p cannot be mapped again", (void *)guard);
}

void *stack_alloc(size_t bytes)
{
    size_t pages = PAGES_OF(bytes);
    preempt_disable();
    uint8_t *guard = pages > 0 ? page_alloc(GUARD_PAGES + pages) : NULL;
    if (guard != NULL && !paging_unmap((uintptr_t)guard, GUARD_PAGES * PAGE_SIZE)) {
        guard_map(guard);
        page_free(guard, GUARD_PAGES + pages);
        guard = NULL;
    }
    preempt_enable();
    return guard != NULL ? guard + GUARD_PAGES * PAGE_SIZE : NULL;
}

void stack_free(void *stack, size_t bytes)
{
    if (stack == NULL)
        return;
    uint8_t *guard = (uint8_t *)stack - GUARD_PAGES * PAGE_SIZE;
    preempt_disable();
    guard_map(guard);
    page_free(guard, GUARD_PAGES + PAGES_OF(bytes));
    preempt_enable();
}

bool stack_guard_holds(uintptr_t address)
{
    size_t page = address / PAGE_SIZE;
    return address >= (uintptr_t)kernel_end && page < allocator.page_limit && !page_is_free(page)
           && !paging_is_mapped(address);
}

/* --- start ----------------------------------------------------------------------------------- */

static size_t region_first_page(const struct boot_region *region)
{
    return (region->address + PAGE_SIZE - 1) / PAGE_SIZE;
}

static size_t region_end_page(const struct boot_region *region)
{
    return (region->address + region->length) / PAGE_SIZE;
}

/* Marks what a region covers: available memory inward to whole pages, all else outward. */
static void region_mark(const struct boot_region *region)
{
    bool available = region->kind == REGION_AVAILABLE;
    size_t page = available ? region_first_page(region) : region->address / PAGE_SIZE;
    size_t end = available ? region_end_page(region)
                           : (region->address + region->length + PAGE_SIZE - 1) / PAGE_SIZE;
    if (available && page < page_number(kernel_end))
        page = page_number(kernel_end);
    if (end > allocator.page_limit)
        end = allocator.page_limit;
    if (page < end)
        bits_flip(page, end - page, available);
}

/* The first page from `page` on whose bit is not `is_free`, at most `end`. */
static size_t page_that_differs(size_t page, size_t end, bool is_free)
{
    uint64_t uniform = is_free ? ~0ULL : 0;
    while (page < end && page_is_free(page) == is_free)
        page += page % 64 == 0 && allocator.bitmap[page / 64] == uniform ? 64 : 1;
    return page < end ? page : end;
}

/* Turns the marked pages between two limits into free runs. */
static void runs_from_bitmap(size_t page, size_t end)
{
    while (page < end) {
        size_t first = page;
        page = page_that_differs(page, end, true);
        if (page > first) {
            run_insert((struct free_run *)(first * PAGE_SIZE), page - first);
            allocator.free_pages += page - first;
            allocator.total_pages += page - first;
        }
        page = page_that_differs(page, end, false);
    }
}

/* Room for the bitmap: the first available pages above the kernel. */
static void bitmap_place(const struct boot_info *boot)
{
    size_t words = (allocator.page_limit + 63) / 64;
    for (size_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        size_t page = region_first_page(region);
        if (page < page_number(kernel_end))
            page = page_number(kernel_end);
        if (region->kind != REGION_AVAILABLE || region->address >= FOUR_GIB
            || page + PAGES_OF(words * 8) > region_end_page(region))
            continue;
        allocator.bitmap = (uint64_t *)(page * PAGE_SIZE);
        memset(allocator.bitmap, 0, words * 8);
        return;
    }
    panic("pages", "no memory for the bitmap of %zu pages", allocator.page_limit);
}

void pages_start(const struct boot_info *boot)
{
    allocator.boot = boot;
    for (size_t i = 0; i < boot->region_count; i++)
        if (boot->regions[i].kind == REGION_AVAILABLE
            && region_end_page(&boot->regions[i]) > allocator.page_limit)
            allocator.page_limit = region_end_page(&boot->regions[i]);
    bitmap_place(boot);
    for (size_t i = 0; i < boot->region_count; i++)
        if (boot->regions[i].kind == REGION_AVAILABLE)
            region_mark(&boot->regions[i]);
    for (size_t i = 0; i < boot->region_count; i++)
        if (boot->regions[i].kind != REGION_AVAILABLE)
            region_mark(&boot->regions[i]);
    size_t bitmap_pages = PAGES_OF((allocator.page_limit + 63) / 64 * 8);
    bits_flip(page_number(allocator.bitmap), bitmap_pages, false);

    /* The boot tables map 4 GiB: what lies above becomes free once the final tables map it. */
    size_t border = FOUR_GIB / PAGE_SIZE;
    size_t low_limit = allocator.page_limit < border ? allocator.page_limit : border;
    runs_from_bitmap(0, low_limit);
    paging_start(boot);
    runs_from_bitmap(border, allocator.page_limit);
}
