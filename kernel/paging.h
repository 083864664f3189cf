/* The page tables: everything is mapped one to one, nothing that is not needed is mapped at all.
 * Page 0, low memory and firmware areas stay unmapped, so a null or wild pointer traps.
 */
#ifndef KHOROS_PAGING_H
#define KHOROS_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum paging_access {
    PAGING_READ,            /* read only data */
    PAGING_EXECUTE,         /* code: read and execute */
    PAGING_WRITE,           /* data: read and write */
    PAGING_DEVICE,          /* read and write, not cached */
    PAGING_COMBINING,       /* the same, but writes may be gathered on their way: for pictures */
};

struct boot_info;
/* Builds the final tables: RAM, the kernel image by its parts, the screen. Needs pages. */
void paging_start(const struct boot_info *boot);

/* Maps or unmaps whole pages (address and bytes are rounded outward). False, with the pages before
 * the failing one mapped, when there is no memory for a table. */
bool paging_map(uintptr_t address, size_t bytes, enum paging_access access);
bool paging_unmap(uintptr_t address, size_t bytes);

bool paging_is_mapped(uintptr_t address);

#endif
