/* core.crc32c(string | block [, seed]) → integer. */
#include "block.h"
#include "crc32c.h"
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"

static int l_crc32c(lua_State *L)
{
    size_t length;
    const void *bytes = lua_type(L, 1) == LUA_TUSERDATA ? (const void *)block_whole(L, 1, &length)
                                                        : luaL_checklstring(L, 1, &length);
    uint32_t seed = (uint32_t)luaL_optinteger(L, 2, 0);
    lua_pushinteger(L, crc32c(seed, bytes, length));
    return 1;
}

void lua_crc32c_open(lua_State *L)
{
    lua_pushcfunction(L, l_crc32c);
    lua_setfield(L, -2, "crc32c");
}
