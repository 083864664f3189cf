/* The port instructions of kernel/lua_dma.c in the host program: a device that moves bytes by itself.
 * The compiler reads this before the source, so that kernel/io.h finds its name taken. See
 * dma_model.c. */
#ifndef KHOROS_IO_H
#define KHOROS_IO_H

#include <stdbool.h>
#include <stdint.h>

struct lua_State;

void io_out8(uint16_t port, uint8_t value);
void io_out32(uint16_t port, uint32_t value);
uint8_t io_in8(uint16_t port);

/* What the running engines would do by now: moves everything that their tables describe. Memory is
 * filled with `value`, or read. False when no engine runs. */
bool dma_model_move(uint8_t value);

int l_dma_moves(struct lua_State *L);

#endif
