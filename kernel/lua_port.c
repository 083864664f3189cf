/* Port ranges: core.ports(first, count) and their methods.
 *
 *   p:in8(o) in16 in32 → integer          p:out8(o, value) out16 out32
 *   p:out8_each(o, value, …, q, o, value, …)    several registers in this order, those behind another range q in
 *       that one; all arguments are looked at before the first is written (lua_port.h)
 *   p:in8s(o, block, position, count) …   bursts of `count` accesses of that width between one port
 *   p:out8s(o, block, position, count) …  and the block's bytes from `position` on
 *   p:slice(o, count) → narrower range    p:size() → number of ports
 *
 * `o` is an offset in the range; an access must lie in the range with all its bytes.
 */
#include "block.h"
#include "capability.h"
#include "io.h"
#include "lua_bindings.h"
#include "lua_port.h"

#define PORT_COUNT 65536

struct port_range {
    struct capability capability;
    uint32_t first, count;
};

static const struct capability_kind port_kind;

/* The port number for an access of `width` bytes at the offset in that argument. */
static uint16_t port_in(lua_State *L, const struct port_range *range, int index, unsigned width)
{
    lua_Integer offset = luaL_checkinteger(L, index);
    if (offset < 0 || offset > (lua_Integer)range->count - (lua_Integer)width)
        luaL_error(L, "port offset %I (%d bytes) is outside a range of %d", offset, (int)width,
                   (int)range->count);
    return (uint16_t)(range->first + (uint32_t)offset);
}

static uint16_t port_at(lua_State *L, unsigned width)
{
    return port_in(L, capability_check(L, 1, &port_kind), 2, width);
}

void port_writes_check(lua_State *L, int index, struct port_writes *writes)
{
    const struct port_range *range = capability_check(L, index++, &port_kind);
    int last = lua_gettop(L);
    writes->count = 0;
    while (index <= last) {
        if (lua_isuserdata(L, index)) {
            range = capability_check(L, index++, &port_kind);
            continue;
        }
        luaL_argcheck(L, writes->count < PORT_WRITES_MOST, index, "too many writes");
        writes->ports[writes->count] = port_in(L, range, index, 1);
        writes->values[writes->count++] = (uint8_t)luaL_checkinteger(L, index + 1);
        index += 2;
    }
}

void port_writes_do(const struct port_writes *writes)
{
    for (unsigned i = 0; i < writes->count; i++)
        io_out8(writes->ports[i], writes->values[i]);
}

static int l_port_out8_each(lua_State *L)
{
    struct port_writes writes;
    port_writes_check(L, 1, &writes);
    port_writes_do(&writes);
    return 0;
}

/* Address of the block's bytes for a burst of (argument 5) accesses from (argument 4) on. */
static void *burst_bytes(lua_State *L, unsigned width, size_t *count)
{
    lua_Integer position = luaL_checkinteger(L, 4);
    lua_Integer accesses = luaL_checkinteger(L, 5);
    if (accesses < 0 || accesses > LUA_MAXINTEGER / width)
        luaL_argerror(L, 5, "not a count");
    *count = (size_t)accesses;
    return block_range(L, 3, position, accesses * width);
}

#define PORT_WIDTH(bits, type)                                                          \
    static int l_port_in##bits(lua_State *L)                                            \
    {                                                                                   \
        lua_pushinteger(L, io_in##bits(port_at(L, bits / 8)));                          \
        return 1;                                                                       \
    }                                                                                   \
    static int l_port_out##bits(lua_State *L)                                           \
    {                                                                                   \
        uint16_t port = port_at(L, bits / 8);                                           \
        io_out##bits(port, (type)luaL_checkinteger(L, 3));                              \
        return 0;                                                                       \
    }                                                                                   \
    static int l_port_in##bits##s(lua_State *L)                                         \
    {                                                                                   \
        size_t count;                                                                   \
        uint16_t port = port_at(L, bits / 8);                                           \
        void *bytes = burst_bytes(L, bits / 8, &count);                                 \
        io_in##bits##s(port, bytes, count);                                             \
        return 0;                                                                       \
    }                                                                                   \
    static int l_port_out##bits##s(lua_State *L)                                        \
    {                                                                                   \
        size_t count;                                                                   \
        uint16_t port = port_at(L, bits / 8);                                           \
        const void *bytes = burst_bytes(L, bits / 8, &count);                           \
        io_out##bits##s(port, bytes, count);                                            \
        return 0;                                                                       \
    }

PORT_WIDTH(8, uint8_t)
PORT_WIDTH(16, uint16_t)
PORT_WIDTH(32, uint32_t)

static void range_push(lua_State *L, lua_Integer first, lua_Integer count)
{
    struct port_range *range = capability_new(L, &port_kind, sizeof *range);
    range->first = (uint32_t)first;
    range->count = (uint32_t)count;
}

static int l_port_slice(lua_State *L)
{
    const struct port_range *range = capability_check(L, 1, &port_kind);
    lua_Integer offset = luaL_checkinteger(L, 2);
    lua_Integer count = luaL_checkinteger(L, 3);
    if (count < 1 || count > range->count || offset < 0 || offset > range->count - count)
        luaL_error(L, "ports %I, %I are outside a range of %d", offset, count, (int)range->count);
    range_push(L, range->first + offset, count);
    return 1;
}

static int l_port_size(lua_State *L)
{
    const struct port_range *range = capability_check(L, 1, &port_kind);
    lua_pushinteger(L, range->count);
    return 1;
}

static const luaL_Reg methods[] = {
    {"in8", l_port_in8}, {"in16", l_port_in16}, {"in32", l_port_in32},
    {"out8", l_port_out8}, {"out16", l_port_out16}, {"out32", l_port_out32},
    {"in8s", l_port_in8s}, {"in16s", l_port_in16s}, {"in32s", l_port_in32s},
    {"out8s", l_port_out8s}, {"out16s", l_port_out16s}, {"out32s", l_port_out32s},
    {"out8_each", l_port_out8_each},
    {"slice", l_port_slice}, {"size", l_port_size}, {"__len", l_port_size},
    {NULL, NULL},
};

static const struct capability_kind port_kind = {.name = "port range", .methods = methods};

static int l_ports(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 1);
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_argcheck(L, first >= 0 && first < PORT_COUNT, 1, "not a port");
    luaL_argcheck(L, count >= 1 && count <= PORT_COUNT - first, 2, "not a count of ports");
    range_push(L, first, count);
    return 1;
}

void lua_port_open(lua_State *L)
{
    lua_pushcfunction(L, l_ports);
    lua_setfield(L, -2, "ports");
}
