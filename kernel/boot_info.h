/* What the loader told us, in one shape for multiboot2 (GRUB) and PVH (qemu -kernel). Copied out of
 * the loader's memory before anything else may overwrite it. */
#ifndef KHOROS_BOOT_INFO_H
#define KHOROS_BOOT_INFO_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_REGIONS 256

enum boot_region_kind {             /* values of multiboot2 3.6.8 and of PVH alike (both are E820) */
    REGION_AVAILABLE = 1,
    REGION_RESERVED = 2,
    REGION_ACPI_RECLAIMABLE = 3,
    REGION_ACPI_NVS = 4,
    REGION_DEFECTIVE = 5,
};

struct boot_region {
    uint64_t address, length;
    uint32_t kind;
};

/* A linear picture in memory, as the loader has set it up: a pixel is a number of pixel_bytes bytes
 * (little endian), in which each colour has `bits` bits from `shift` on. */
struct boot_channel {
    uint8_t shift, bits;
};

struct boot_framebuffer {
    uint64_t address;               /* 0: there is none */
    uint32_t pitch_bytes;           /* from one line to the next */
    uint32_t width, height;         /* in pixels */
    uint32_t pixel_bytes;           /* 2, 3 or 4 */
    struct boot_channel red, green, blue;
};

struct boot_info {
    char loader[64];
    char command_line[1024];
    uint8_t rsdp[36];               /* copy of the ACPI root pointer, if the loader gave one */
    size_t rsdp_bytes;
    struct boot_framebuffer framebuffer;
    size_t region_count;
    struct boot_region regions[BOOT_REGIONS];
};

/* Fills the structure from what the loader left in eax and ebx. Panics if it is neither loader. */
void boot_info_read(struct boot_info *boot, uint32_t magic, const void *information);

/* Sum of all available memory. */
uint64_t boot_info_memory_bytes(const struct boot_info *boot);

#endif
