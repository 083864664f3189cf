/* For the disk bench: the least that a C program does to read sectors, polled and without a look at errors. What the
 * emulated device and the CPU allow, for the drivers in Lua to be measured against.
 *
 *   core.dma_loop(command, bus_master, commands, sectors, strings)     READ DMA, as many commands of so many sectors
 *   core.pio_loop(command, commands, sectors, block, strings)          READ MULTIPLE in blocks, 32 bits at a time
 * `command` and `bus_master` are first ports; `strings`: each command's data become a Lua string, as a driver's do.
 */
#include "lauxlib.h"
#include "lua.h"
#include "io.h"
#include "lua_bindings.h"

#define SECTOR_BYTES 512
#define SECTORS_MOST 256
#define STATUS_BUSY 0x80
#define STATUS_DATA 0x08
#define BUS_MASTER_INTERRUPT 0x04

void __real_archive_open(lua_State *L);
void __wrap_archive_open(lua_State *L);

static _Alignas(65536) uint8_t buffer[SECTORS_MOST * SECTOR_BYTES];
static _Alignas(16) uint32_t descriptors[4];

static void start(uint16_t command, unsigned sectors, uint8_t operation)
{
    io_out8(command + 6, 0xe0);
    io_out8(command + 2, (uint8_t)sectors);
    io_out8(command + 3, 0);
    io_out8(command + 4, 0);
    io_out8(command + 5, 0);
    io_out8(command + 7, operation);
}

static void push_result(lua_State *L, unsigned sectors)
{
    if (lua_toboolean(L, 5)) {
        lua_pushlstring(L, (const char *)buffer, (size_t)sectors * SECTOR_BYTES);
        lua_pop(L, 1);
    }
}

static void describe_buffer(unsigned sectors)
{
    uint32_t address = (uint32_t)(uintptr_t)buffer, bytes = sectors * SECTOR_BYTES;
    descriptors[0] = address;
    descriptors[1] = bytes & 0xffff;
    descriptors[2] = address + 65536;
    descriptors[3] = 0x80000000u | ((bytes - 65536) & 0xffff);
    if (bytes <= 65536)
        descriptors[1] |= 0x80000000u;
    __asm__ volatile("" ::: "memory");
}

static int l_dma_loop(lua_State *L)
{
    uint16_t command = (uint16_t)luaL_checkinteger(L, 1), master = (uint16_t)luaL_checkinteger(L, 2);
    lua_Integer commands = luaL_checkinteger(L, 3);
    unsigned sectors = (unsigned)luaL_checkinteger(L, 4);
    describe_buffer(sectors);
    while (commands-- > 0) {
        io_out32(master + 4, (uint32_t)(uintptr_t)descriptors);
        io_out8(master, 0x08);
        io_out8(master + 2, 0x06);
        start(command, sectors, 0xc8);
        io_out8(master, 0x09);
        while (!(io_in8(master + 2) & BUS_MASTER_INTERRUPT))
            ;
        io_out8(master, 0x08);
        (void)io_in8(command + 7);
        push_result(L, sectors);
    }
    return 0;
}

static int l_pio_loop(lua_State *L)
{
    uint16_t command = (uint16_t)luaL_checkinteger(L, 1);
    lua_Integer commands = luaL_checkinteger(L, 2);
    unsigned sectors = (unsigned)luaL_checkinteger(L, 3), block = (unsigned)luaL_checkinteger(L, 4);
    while (commands-- > 0) {
        start(command, sectors, 0xc4);
        for (unsigned done = 0; done < sectors; done += block) {
            while ((io_in8(command + 7) & (STATUS_BUSY | STATUS_DATA)) != STATUS_DATA)
                ;
            io_in32s(command, buffer + done * SECTOR_BYTES, block * SECTOR_BYTES / 4);
        }
        push_result(L, sectors);
    }
    return 0;
}

/* archive_open is what main.c calls with `core` on top of the stack (and each process with a table). */
void __wrap_archive_open(lua_State *L)
{
    __real_archive_open(L);
    lua_pushcfunction(L, l_dma_loop);
    lua_setfield(L, -2, "dma_loop");
    lua_pushcfunction(L, l_pio_loop);
    lua_setfield(L, -2, "pio_loop");
}
