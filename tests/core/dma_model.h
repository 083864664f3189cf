/* The port instructions of kernel/lua_dma.c and lua_port.c in the host program: a device that moves bytes by itself.
 * The compiler reads this before the source, so that kernel/io.h finds its name taken. See
 * dma_model.c. */
#ifndef KHOROS_IO_H
#define KHOROS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct lua_State;

void io_out8(uint16_t port, uint8_t value);
void io_out32(uint16_t port, uint32_t value);
uint8_t io_in8(uint16_t port);

/* What the running engines would do by now: moves everything that their tables describe. Memory is
 * filled with `value`, or read. False when no engine runs. */
bool dma_model_move(uint8_t value);

int l_dma_moves(struct lua_State *L);
int l_port_writes(struct lua_State *L);

/* The model has no registers of other widths, and takes no bursts. */
#define NO_SUCH_PORTS(bits)                                                                                       \
    static inline void io_in##bits##s(uint16_t port, void *to, size_t count) { (void)port, (void)to, (void)count, abort(); } \
    static inline void io_out##bits##s(uint16_t port, const void *from, size_t count) { (void)port, (void)from, (void)count, abort(); }
NO_SUCH_PORTS(8)
NO_SUCH_PORTS(16)
NO_SUCH_PORTS(32)
static inline void io_out16(uint16_t port, uint16_t value) { (void)port, (void)value, abort(); }
static inline uint16_t io_in16(uint16_t port) { (void)port, abort(); }
static inline uint32_t io_in32(uint16_t port) { (void)port, abort(); }

#endif
