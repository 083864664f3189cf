/* Reads multiboot2 information (multiboot2 3.6) and PVH start information (Xen, hvm_start_info).
 * Both are trusted as much as the loader is: they come from outside any process's reach.
 */
#include "boot_info.h"

#include <stdbool.h>
#include <string.h>

#include "panic.h"

#define MULTIBOOT2_MAGIC 0xe85250d6     /* as boot.S passes it */
#define PVH_MAGIC 0x336ec578

enum multiboot2_tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_LOADER = 2,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15,
};

struct multiboot2_tag {
    uint32_t type, size;
};

struct multiboot2_memory_map {
    struct multiboot2_tag tag;
    uint32_t entry_size, entry_version;
};

struct multiboot2_framebuffer {         /* 3.6.12; colours as for FRAMEBUFFER_RGB */
    struct multiboot2_tag tag;
    uint64_t address;
    uint32_t pitch_bytes, width, height;
    uint8_t pixel_bits, kind;
    uint16_t reserved;
    struct boot_channel red, green, blue;
} __attribute__((packed));

#define FRAMEBUFFER_LIMIT (1ULL << 40)  /* as of lua_physical.c */
#define FRAMEBUFFER_RGB 1               /* others: a palette, VGA's text screen */

struct memory_entry {                   /* the same in multiboot2 and PVH */
    uint64_t address, length;
    uint32_t kind, reserved;
};

struct pvh_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp;
    uint64_t memory_map;                /* from version 1 on */
    uint32_t memory_map_entries, reserved;
};

static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static void copy_rsdp(struct boot_info *boot, const uint8_t *from)
{
    /* ACPI 5.2.5.3: revision at offset 15; 20 bytes in revision 0, 36 from 2 on. */
    boot->rsdp_bytes = from[15] == 0 ? 20 : sizeof boot->rsdp;
    memcpy(boot->rsdp, from, boot->rsdp_bytes);
}

static void add_region(struct boot_info *boot, const struct memory_entry *entry)
{
    if (entry->length == 0 || entry->address + entry->length <= entry->address)
        return;
    /* UEFI's map has a piece for each use that the firmware made of memory which is free now. */
    if (boot->region_count > 0) {
        struct boot_region *last = &boot->regions[boot->region_count - 1];
        if (last->kind == entry->kind && last->address + last->length == entry->address) {
            last->length += entry->length;
            return;
        }
    }
    if (boot->region_count == BOOT_REGIONS)
        panic("boot", "more than %d regions in the memory map", BOOT_REGIONS);
    boot->regions[boot->region_count++] =
        (struct boot_region){entry->address, entry->length, entry->kind};
}

static bool channel_is_usable(const struct boot_channel *channel, unsigned pixel_bits)
{
    return channel->bits >= 1 && channel->bits <= 16 && channel->shift + channel->bits <= pixel_bits;
}

/* Another kind of screen than one of coloured pixels counts as none, and so does an odd description. */
static void read_framebuffer(struct boot_info *boot, const struct multiboot2_framebuffer *tag)
{
    uint32_t pixel_bytes = (tag->pixel_bits + 7) / 8;
    uint64_t bytes = (uint64_t)tag->pitch_bytes * tag->height;
    if (tag->kind != FRAMEBUFFER_RGB || pixel_bytes < 2 || pixel_bytes > 4 || tag->width == 0
        || tag->height == 0 || tag->pitch_bytes / pixel_bytes < tag->width || tag->address == 0
        || tag->address + bytes < bytes || tag->address + bytes > FRAMEBUFFER_LIMIT
        || !channel_is_usable(&tag->red, pixel_bytes * 8)
        || !channel_is_usable(&tag->green, pixel_bytes * 8)
        || !channel_is_usable(&tag->blue, pixel_bytes * 8))
        return;
    boot->framebuffer = (struct boot_framebuffer){
        .address = tag->address, .pitch_bytes = tag->pitch_bytes, .width = tag->width,
        .height = tag->height, .pixel_bytes = pixel_bytes,
        .red = tag->red, .green = tag->green, .blue = tag->blue,
    };
}

static void read_multiboot2_tag(struct boot_info *boot, const struct multiboot2_tag *tag)
{
    const char *body = (const char *)(tag + 1);
    switch (tag->type) {
    case TAG_COMMAND_LINE:
        copy_text(boot->command_line, sizeof boot->command_line, body);
        break;
    case TAG_LOADER:
        copy_text(boot->loader, sizeof boot->loader, body);
        break;
    case TAG_ACPI_OLD:
    case TAG_ACPI_NEW:
        copy_rsdp(boot, (const uint8_t *)body);
        break;
    case TAG_FRAMEBUFFER:
        read_framebuffer(boot, (const void *)tag);
        break;
    case TAG_MEMORY_MAP: {
        const struct multiboot2_memory_map *map = (const void *)tag;
        for (uint32_t at = sizeof *map; at < tag->size; at += map->entry_size)
            add_region(boot, (const void *)((const char *)tag + at));
        break;
    }
    }
}

static void read_multiboot2(struct boot_info *boot, const void *information)
{
    const struct multiboot2_tag *tag = (const void *)((const char *)information + 8);
    while (tag->type != TAG_END) {
        read_multiboot2_tag(boot, tag);
        tag = (const void *)((const char *)tag + ((tag->size + 7) & ~7U));
    }
}

static void read_pvh(struct boot_info *boot, const struct pvh_info *pvh)
{
    if (pvh->magic != PVH_MAGIC || pvh->version < 1)
        panic("boot", "PVH information: magic %#x version %u", pvh->magic, pvh->version);
    copy_text(boot->loader, sizeof boot->loader, "PVH");
    if (pvh->command_line != 0)
        copy_text(boot->command_line, sizeof boot->command_line,
                  (const char *)(uintptr_t)pvh->command_line);
    if (pvh->rsdp != 0)
        copy_rsdp(boot, (const uint8_t *)(uintptr_t)pvh->rsdp);
    const struct memory_entry *entries = (const void *)(uintptr_t)pvh->memory_map;
    for (uint32_t i = 0; i < pvh->memory_map_entries; i++)
        add_region(boot, &entries[i]);
}

void boot_info_read(struct boot_info *boot, uint32_t magic, const void *information)
{
    if (magic == MULTIBOOT2_MAGIC)
        read_multiboot2(boot, information);
    else
        read_pvh(boot, information);
    if (boot->region_count == 0)
        panic("boot", "%s gave no memory map", boot->loader);
}

uint64_t boot_info_memory_bytes(const struct boot_info *boot)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < boot->region_count; i++)
        if (boot->regions[i].kind == REGION_AVAILABLE)
            bytes += boot->regions[i].length;
    return bytes;
}
