/* Writes to several ports by one call from Lua. A device's command takes some ten registers, and a call costs many
 * times what the write does.
 */
#ifndef KHOROS_LUA_PORT_H
#define KHOROS_LUA_PORT_H

#include <stdint.h>

#include "lua.h"

#define PORT_WRITES_MOST 16

struct port_writes {
    unsigned count;
    uint16_t ports[PORT_WRITES_MOST];
    uint8_t values[PORT_WRITES_MOST];
};

/* The writes that the arguments from `index` to the last describe: a port range, offsets in it with their
 * values, perhaps another range with its own. Raises if one of them is wrong. */
void port_writes_check(lua_State *L, int index, struct port_writes *writes);

/* Writes them in their order. */
void port_writes_do(const struct port_writes *writes);

#endif
