/* Texts that survive a warm reset: a reserved place in low memory with two records, each with its
 * length and CRC. C writes what a panic says into the first, Lua keeps what it likes in the second
 * (lua/kernel/crash_log.lua decides what is worth it).
 *
 * The place is RAM below 1 MiB, which the page allocator never hands out. Firmware and GRUB leave it
 * alone as far as is known; should one not, or the power go, the CRC is wrong and the text is gone.
 */
#ifndef KHOROS_CRASH_RECORD_H
#define KHOROS_CRASH_RECORD_H

#include <stddef.h>

struct boot_info;

/* Looks whether the place exists and maps it. Without it, nothing is kept and nothing fails. */
void crash_record_start(const struct boot_info *boot);

/* Adds to the panic's text; the first call after boot drops what was there. What does not fit is
 * dropped. The record is valid after each call. */
void crash_record_panic(const char *bytes, size_t length);

#endif
