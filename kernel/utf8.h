/* UTF-8 as the format means it: Unicode scalar values only, each in its shortest form (Unicode 15,
 * table 3-7). What Lua's utf8.len accepts without "lax".
 */
#ifndef KHOROS_UTF8_H
#define KHOROS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const uint8_t *bytes, size_t length);

#endif
