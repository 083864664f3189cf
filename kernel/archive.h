/* The Lua sources embedded in the image (archive.S is generated from the tree by the Makefile). */
#ifndef KHOROS_ARCHIVE_H
#define KHOROS_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

struct archive_entry {
    const char *name;           /* "kernel.scheduler" */
    const char *chunk;          /* "=lua/kernel/scheduler.lua" */
    const char *text;           /* followed by a NUL that is not part of it */
    size_t length;
};

extern const struct archive_entry archive_entries[];
extern const uint64_t archive_count;

/* NULL when there is no such module. */
const struct archive_entry *archive_find(const char *name);

#endif
