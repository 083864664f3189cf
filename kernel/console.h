/* The early console: COM1, polled. Used by the C library's stdout until the console service takes
 * over, and together with the VGA text screen by a panic. */
#ifndef KHOROS_CONSOLE_H
#define KHOROS_CONSOLE_H

#include <stddef.h>

void console_start(void);
void console_write(const char *bytes, size_t length);        /* COM1 */
void console_write_panic(const char *bytes, size_t length);  /* COM1 and VGA */

#endif
