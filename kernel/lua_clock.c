/* Time and chance: core.clock, core.halt, core.set_epoch, core.random.
 *
 *   core.clock()                nanoseconds since boot, monotonic
 *   core.halt([deadline_ns])    idles the CPU until a device interrupts (or has since the last call)
 *                               or the deadline has passed
 *   core.set_epoch(us)          wall clock: microseconds from 1970 to boot, for os.time and os.date
 *   core.random(n)              n bytes, n ≤ 65536; not for security
 */
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"
#include "random.h"
#include "syscall.h"
#include "timer.h"

#define RANDOM_BYTES_MOST 65536

static int l_clock(lua_State *L)
{
    lua_pushinteger(L, clock_ns());
    return 1;
}

static int l_halt(lua_State *L)
{
    timer_halt(luaL_optinteger(L, 1, INT64_MAX));
    return 0;
}

static int l_set_epoch(lua_State *L)
{
    syscall_set_epoch(luaL_checkinteger(L, 1));
    return 0;
}

static int l_random(lua_State *L)
{
    lua_Integer count = luaL_checkinteger(L, 1);
    luaL_argcheck(L, count >= 0 && count <= RANDOM_BYTES_MOST, 1, "not a number of bytes");
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)count);
    for (lua_Integer i = 0; i < count; i++)
        bytes[i] = (char)random_u64();
    luaL_pushresultsize(&buffer, (size_t)count);
    return 1;
}

void lua_clock_open(lua_State *L)
{
    lua_pushcfunction(L, l_clock);
    lua_setfield(L, -2, "clock");
    lua_pushcfunction(L, l_halt);
    lua_setfield(L, -2, "halt");
    lua_pushcfunction(L, l_set_epoch);
    lua_setfield(L, -2, "set_epoch");
    lua_pushcfunction(L, l_random);
    lua_setfield(L, -2, "random");
}
