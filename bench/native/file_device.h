/* A file as the block device that lua/fs takes: {sector_count, read, write, flush, description}. */
#ifndef BENCH_FILE_DEVICE_H
#define BENCH_FILE_DEVICE_H

#include "lua.h"

/* native.device(path) → device; raises what cannot be opened. flush is fdatasync. */
int l_device(lua_State *L);

#endif
