/* CRC32C (Castagnoli; RFC 3720 appendix B.4). */
#ifndef KHOROS_CRC32C_H
#define KHOROS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues a checksum: crc32c(crc32c(0, a), b) is that of a followed by b. */
uint32_t crc32c(uint32_t seed, const void *bytes, size_t length);

/* The same by tables, whatever the CPU has; what the instruction is measured against. */
uint32_t crc32c_sliced(uint32_t seed, const void *bytes, size_t length);

#endif
