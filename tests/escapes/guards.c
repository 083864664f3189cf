/* See guards.h and io.h. core.fail_allocation(n): the n-th allocation of processes from now on fails, and
 * so does the next one, which is Lua's second try after a collection; without n, none. → whether the
 * failure that was ordered before has come to pass. */
#include "guards.h"

#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lua_bindings.h"

unsigned stray_port_accesses;

bool guarded(const char *name)
{
    const char *off = getenv("KHOROS_GUARD_OFF");
    return off == NULL || strstr(off, name) == NULL;
}

static lua_Integer allocations_left;      /* ≤ 0: none shall fail */

bool allocation_fails(void)
{
    if (allocations_left <= 0)
        return false;
    return --allocations_left < 2;
}

static int l_fail_allocation(lua_State *L)
{
    lua_pushboolean(L, allocations_left <= 0);
    allocations_left = luaL_optinteger(L, 1, -1) + 1;
    return 1;
}

static int l_stray_port_accesses(lua_State *L)
{
    lua_pushinteger(L, stray_port_accesses);
    return 1;
}

void guards_open(lua_State *L)
{
    lua_pushcfunction(L, l_fail_allocation);
    lua_setfield(L, -2, "fail_allocation");
    lua_pushcfunction(L, l_stray_port_accesses);
    lua_setfield(L, -2, "stray_port_accesses");
}
