/* Random bytes for epochs, ids and hash seeds. Never for security. */
#ifndef KHOROS_RANDOM_H
#define KHOROS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

uint64_t random_u64(void);

#endif
