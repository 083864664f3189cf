/* See dma_model.h. Engines whose command register is at port n and table register at port n + 4; the
 * numbers are the ones that the cases give to core.dma: bit 0 starts, bit 3 is the direction.
 *
 *   host.dma_moves(value) → regions as "page offset:bytes …" of all running engines | nil
 *   host.port_writes() → the writes of 8 bits since the last call as "port=value …", in hexadecimal
 *
 * Ports below the engines belong to a device that takes everything.
 * A table that breaks the rules of descriptors, or that leads to memory that is no longer mapped, ends
 * the program. */
#include "dma_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lua.h"

#define ENGINES 4
#define FIRST_PORT 0x40
#define PORTS_AN_ENGINE 8
#define TABLE_OFFSET 4
#define START 0x01
#define INTO_MEMORY 0x08
#define REGION_BYTES 0x10000u
#define LAST_REGION 0x80000000u
#define REGIONS_MOST 512

static struct {
    uint8_t command;
    uint32_t table;
} engines[ENGINES];

static unsigned engine_at(uint16_t port)
{
    unsigned number = (port - FIRST_PORT) / PORTS_AN_ENGINE;
    if (port < FIRST_PORT || number >= ENGINES)
        abort();
    return number;
}

static char writes[256];

void io_out8(uint16_t port, uint8_t value)
{
    size_t length = strlen(writes);
    snprintf(writes + length, sizeof writes - length, "%x=%x ", port, value);
    if (port < FIRST_PORT)
        return;
    unsigned number = engine_at(port);
    uint8_t changed = engines[number].command ^ value;
    if (engines[number].command & value & START || (engines[number].command & START && changed & INTO_MEMORY))
        abort();    /* started twice, or turned round */
    engines[number].command = value;
}

void io_out32(uint16_t port, uint32_t value)
{
    unsigned number = engine_at(port);
    if (engines[number].command & START || value % 4 != 0)
        abort();
    engines[number].table = value;
}

uint8_t io_in8(uint16_t port)
{
    return engines[engine_at(port)].command;
}

/* Adds what was moved to `buffer` unless that is NULL. */
static void move(unsigned number, uint8_t value, luaL_Buffer *buffer)
{
    const volatile uint32_t *table = (const volatile uint32_t *)(uintptr_t)engines[number].table;
    for (unsigned i = 0;; i++) {
        uint32_t address = table[2 * i], count = table[2 * i + 1] & 0xffff;
        volatile uint8_t *bytes = (volatile uint8_t *)(uintptr_t)address;
        if (count == 0)
            count = REGION_BYTES;
        if (i == REGIONS_MOST || address % 2 || count % 2 || address % REGION_BYTES + count > REGION_BYTES)
            abort();
        for (uint32_t k = 0; k < count; k++)
            if (engines[number].command & INTO_MEMORY)
                bytes[k] = value;
            else
                (void)bytes[k];
        char text[32];
        snprintf(text, sizeof text, "%u:%u ", address % 4096, count);
        if (buffer)
            luaL_addstring(buffer, text);
        if (table[2 * i + 1] & LAST_REGION)
            return;
    }
}

bool dma_model_move(uint8_t value)
{
    bool moved = false;
    for (unsigned number = 0; number < ENGINES; number++)
        if (engines[number].command & START) {
            move(number, value, NULL);
            moved = true;
        }
    return moved;
}

int l_port_writes(lua_State *L)
{
    lua_pushstring(L, writes);
    writes[0] = 0;
    return 1;
}

int l_dma_moves(lua_State *L)
{
    uint8_t value = (uint8_t)luaL_checkinteger(L, 1);
    bool moved = false;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (unsigned number = 0; number < ENGINES; number++)
        if (engines[number].command & START) {
            move(number, value, &buffer);
            moved = true;
        }
    luaL_pushresult(&buffer);
    return moved ? 1 : 0;
}
