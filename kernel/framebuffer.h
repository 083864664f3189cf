/* The picture on the screen where the loader has set one up, which under UEFI is the only screen.
 * Lua's driver draws on it (lua/drivers/framebuffer.lua); this is what it needs, and what a panic does.
 */
#ifndef KHOROS_FRAMEBUFFER_H
#define KHOROS_FRAMEBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot_info;

/* Needs the final page tables, in which the picture is mapped. */
void framebuffer_start(const struct boot_info *boot);

/* Does this memory lie within the picture? */
bool framebuffer_holds(uintptr_t address, size_t bytes);

/* For a panic: shows one character in VGA's colours. Does nothing without a picture, or outside it. */
void framebuffer_put(unsigned column, unsigned row, uint8_t character, uint8_t colours);

#endif
