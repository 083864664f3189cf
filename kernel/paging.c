/* Four levels of page tables (Intel SDM 3A 4.5), filled with 2 MiB pages and split into 4 KiB pages
 * where a border or a guard page needs it. Tables are never given back: there are at most as many
 * as RAM has pieces of 2 MiB, 0.2 % of it.
 */
#include "paging.h"

#include "boot_info.h"
#include "pages.h"
#include "panic.h"
#include "preempt.h"

#define ENTRY_PRESENT (1ULL << 0)
#define ENTRY_WRITABLE (1ULL << 1)
#define ENTRY_WRITE_THROUGH (1ULL << 3)
#define ENTRY_CACHE_DISABLE (1ULL << 4)
#define ENTRY_COMBINING ENTRY_WRITE_THROUGH     /* as memory_types_start has it */
#define ENTRY_LARGE (1ULL << 7)
#define ENTRY_NO_EXECUTE (1ULL << 63)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL
#define ENTRIES 512
#define LARGE_BYTES 0x200000UL
#define LEVEL_TOP 3                 /* PML4; 1 is a page directory, 0 a page table */

#define MSR_EFER 0xc0000080
#define EFER_NXE (1 << 11)
#define MSR_PAT 0x277
#define PAT_LOW 0x00070106      /* entries 0 to 3: write-back, write-combining, uncached-, uncached */
#define PAT_HIGH 0x00070406     /* entries 4 to 7, which nobody uses, as after reset */

#define VGA_TEXT 0xb8000UL
#define VGA_TEXT_BYTES 0x8000UL

extern uint8_t kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_end[];

static uint64_t *top_table;
static uint64_t no_execute;         /* ENTRY_NO_EXECUTE where the CPU has it */

static void no_execute_start(void)
{
    uint32_t a = 0x80000001, b, c, d, low, high;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (!(d >> 20 & 1))
        return;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_EFER));
    __asm__ volatile("wrmsr" :: "a"(low | EFER_NXE), "d"(high), "c"(MSR_EFER));
    no_execute = ENTRY_NO_EXECUTE;
}

/* What the bits write-through and cache-disable choose (Intel SDM 3A 11.12): as after reset, but
 * write-combining in the place of write-through, which nobody uses. */
static void memory_types_start(void)
{
    __asm__ volatile("wrmsr" :: "a"(PAT_LOW), "d"(PAT_HIGH), "c"(MSR_PAT));
}

static uint64_t entry_flags(enum paging_access access)
{
    switch (access) {
    case PAGING_READ: return ENTRY_PRESENT | no_execute;
    case PAGING_EXECUTE: return ENTRY_PRESENT;
    case PAGING_WRITE: return ENTRY_PRESENT | ENTRY_WRITABLE | no_execute;
    case PAGING_COMBINING: return ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_COMBINING | no_execute;
    case PAGING_DEVICE: break;
    }
    return ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_WRITE_THROUGH | ENTRY_CACHE_DISABLE | no_execute;
}

static void address_flush(uintptr_t address)
{
    __asm__ volatile("invlpg (%0)" :: "r"(address) : "memory");
}

static unsigned entry_index(uintptr_t address, unsigned level)
{
    return address >> (12 + 9 * level) & (ENTRIES - 1);
}

/* Turns a large page into a table of 4 KiB pages that maps the same. */
static bool entry_split(uint64_t *entry, uintptr_t address)
{
    uint64_t *table = page_alloc(1);
    if (table == NULL)
        return false;
    uint64_t first = *entry & ~ENTRY_LARGE;
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = first + i * PAGE_SIZE;
    *entry = (uint64_t)(uintptr_t)table | ENTRY_PRESENT | ENTRY_WRITABLE;
    address_flush(address);
    return true;
}

/* The table below an entry, made or split if need be; NULL without memory. */
static uint64_t *entry_table(uint64_t *entry, uintptr_t address)
{
    if (*entry & ENTRY_LARGE && !entry_split(entry, address))
        return NULL;
    if (!(*entry & ENTRY_PRESENT)) {
        void *table = page_alloc(1);
        if (table == NULL)
            return NULL;
        *entry = (uint64_t)(uintptr_t)table | ENTRY_PRESENT | ENTRY_WRITABLE;
    }
    return (uint64_t *)(uintptr_t)(*entry & ENTRY_ADDRESS);
}

/* Sets the entry for one piece at `address` and returns the size of the piece, 0 without memory.
 * A large page is used where it fits and no table is there yet. */
static size_t piece_set(uintptr_t address, size_t bytes, uint64_t flags)
{
    uint64_t *table = top_table;
    for (unsigned level = LEVEL_TOP; level > 0; level--) {
        uint64_t *entry = &table[entry_index(address, level)];
        bool is_table = *entry & ENTRY_PRESENT && !(*entry & ENTRY_LARGE);
        if (level == 1 && !is_table && address % LARGE_BYTES == 0 && bytes >= LARGE_BYTES) {
            *entry = flags ? address | flags | ENTRY_LARGE : 0;
            address_flush(address);
            return LARGE_BYTES;
        }
        table = entry_table(entry, address);
        if (table == NULL)
            return 0;
    }
    table[entry_index(address, 0)] = flags ? address | flags : 0;
    address_flush(address);
    return PAGE_SIZE;
}

static bool range_set(uintptr_t address, size_t bytes, uint64_t flags)
{
    uintptr_t end = (address + bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    bool done = true;
    address &= ~(PAGE_SIZE - 1);
    preempt_disable();
    while (address < end && done) {
        size_t piece = piece_set(address, end - address, flags);
        address += piece;
        done = piece != 0;
    }
    preempt_enable();
    return done;
}

bool paging_map(uintptr_t address, size_t bytes, enum paging_access access)
{
    return range_set(address, bytes, entry_flags(access));
}

bool paging_unmap(uintptr_t address, size_t bytes)
{
    return range_set(address, bytes, 0);
}

bool paging_is_mapped(uintptr_t address)
{
    const uint64_t *table = top_table;
    if (address >> 47 != 0)
        return false;
    for (unsigned level = LEVEL_TOP;; level--) {
        uint64_t entry = table[entry_index(address, level)];
        if (!(entry & ENTRY_PRESENT))
            return false;
        if (level == 0 || entry & ENTRY_LARGE)
            return true;
        table = (const uint64_t *)(uintptr_t)(entry & ENTRY_ADDRESS);
    }
}

static void map_or_panic(uintptr_t start, uintptr_t end, enum paging_access access)
{
    if (start < end && !paging_map(start, end - start, access))
        panic("paging", "no memory for the page tables of %#lx to %#lx", start, end);
}

/* Whole pages of available memory from the end of the kernel image on. */
static void map_region(const struct boot_region *region)
{
    uintptr_t start = (region->address + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    uintptr_t end = (region->address + region->length) & ~(PAGE_SIZE - 1);
    if (start < (uintptr_t)kernel_end)
        start = (uintptr_t)kernel_end;
    if (region->kind == REGION_AVAILABLE)
        map_or_panic(start, end, PAGING_WRITE);
}

void paging_start(const struct boot_info *boot)
{
    no_execute_start();
    memory_types_start();
    top_table = page_alloc(1);
    if (top_table == NULL)
        panic("paging", "no memory for the page tables");
    map_or_panic((uintptr_t)kernel_start, (uintptr_t)kernel_text_end, PAGING_EXECUTE);
    map_or_panic((uintptr_t)kernel_text_end, (uintptr_t)kernel_rodata_end, PAGING_READ);
    map_or_panic((uintptr_t)kernel_rodata_end, (uintptr_t)kernel_end, PAGING_WRITE);
    map_or_panic(VGA_TEXT, VGA_TEXT + VGA_TEXT_BYTES, PAGING_DEVICE);
    const struct boot_framebuffer *picture = &boot->framebuffer;
    map_or_panic(picture->address, picture->address + (size_t)picture->pitch_bytes * picture->height,
                 PAGING_COMBINING);
    for (size_t i = 0; i < boot->region_count; i++)
        map_region(&boot->regions[i]);
    __asm__ volatile("movq %0, %%cr3" :: "r"(top_table) : "memory");
}
