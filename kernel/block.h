/* Bounded memory blocks: bytes that Lua may read and write, inside the block and nowhere else.
 *
 * A block is a window on memory that it shares with the blocks it was sliced from; a slice only
 * narrows. b:free() gives the memory back at once and leaves every window on it dead. Offsets count
 * from 0. Every check is written so that no offset and length can overflow it.
 *
 * Memory that a device moves bytes of is pinned. It may be freed all the same, by whoever holds a
 * window on it or by the end of the process: then the transfer is broken off first, so that no device
 * ever writes into memory that belongs to somebody else by then.
 */
#ifndef KHOROS_BLOCK_H
#define KHOROS_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "lua.h"

/* For other bindings (port bursts, CRC): the address of `length` bytes at `offset` in the block at
 * argument `index`; raises unless it is a live block and the range lies inside it. The pointer is
 * good until Lua runs again. */
uint8_t *block_range(lua_State *L, int index, lua_Integer offset, lua_Integer length);

/* The same for the whole block. */
uint8_t *block_whole(lua_State *L, int index, size_t *size_bytes);

/* A device's hold on memory. `break_off` is called, with pre-emption deferred, when the memory is
 * about to be freed: it must stop the device for good before it returns. */
struct block_pin {
    void (*break_off)(struct block_pin *pin);
    struct block_memory *memory;        /* NULL: holds nothing */
};

/* Pins the memory of the block at argument `index`; → the address of `length` bytes at `offset` in
 * it. Raises as block_range does, and if the memory is pinned already or is not ours. */
uint8_t *block_pin(lua_State *L, int index, lua_Integer offset, lua_Integer length,
                   struct block_pin *pin);
void block_unpin(struct block_pin *pin);

/* Pushes a new block of zeroed memory that lies below `limit`, charged to the process of L. */
void block_push_below(lua_State *L, lua_Integer size_bytes, uintptr_t limit);

/* Pushes a block over memory that is not ours to free (device memory, firmware tables). */
void block_push_physical(lua_State *L, uintptr_t address, size_t size_bytes);

/* Adds `memory` to the table on top of the stack: memory(bytes) → zeroed block, charged to the
 * process that asks. */
void block_open(lua_State *L);

#endif
