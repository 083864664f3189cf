/* A native Lua 5.5 with the kernel's primitives, for benchmarks of lua/fs without a machine around it:
 *
 *     khoros-native SCRIPT [ARGUMENT…]        script(native, ARGUMENT…)
 *
 * native.codec            the codec in C                  native.device(path)     a file as a block device
 * native.crc32c           as in the guest                 native.now()            microseconds since 1970
 * native.crc32c_sliced    eight tables, no instruction    native.random(count)    bytes
 * native.clock()          nanoseconds, and of CPU time, both since some moment
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "crc32c.h"
#include "file_device.h"
#include "lauxlib.h"
#include "lua_bindings.h"
#include "lualib.h"

static lua_Integer nanoseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * (lua_Integer)1000000000 + time.tv_nsec;
}

static int l_clock(lua_State *L)
{
    lua_pushinteger(L, nanoseconds(CLOCK_MONOTONIC));
    lua_pushinteger(L, nanoseconds(CLOCK_PROCESS_CPUTIME_ID));
    return 2;
}

static int l_now(lua_State *L)
{
    lua_pushinteger(L, nanoseconds(CLOCK_REALTIME) / 1000);
    return 1;
}

static int l_random(lua_State *L)
{
    size_t count = (size_t)luaL_checkinteger(L, 1);
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, count);
    if (getrandom(bytes, count, 0) != (ssize_t)count)
        return luaL_error(L, "no random bytes");
    luaL_pushresultsize(&buffer, count);
    return 1;
}

static int checksum(lua_State *L, uint32_t (*function)(uint32_t, const void *, size_t))
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    lua_pushinteger(L, function((uint32_t)luaL_optinteger(L, 2, 0), bytes, length));
    return 1;
}

static int l_crc32c(lua_State *L)
{
    return checksum(L, crc32c);
}

static int l_crc32c_sliced(lua_State *L)
{
    return checksum(L, crc32c_sliced);
}

static void push_native(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"clock", l_clock}, {"now", l_now}, {"random", l_random}, {"crc32c", l_crc32c},
        {"crc32c_sliced", l_crc32c_sliced}, {"device", l_device}, {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_codec_open(L);
}

static int l_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int main(int count, char **arguments)
{
    lua_State *L = luaL_newstate();
    if (!L || count < 2)
        return EXIT_FAILURE;
    luaL_openlibs(L);
    lua_pushcfunction(L, l_traceback);
    if (luaL_loadfile(L, arguments[1]) == LUA_OK) {
        push_native(L);
        for (int i = 2; i < count; i++)
            lua_pushstring(L, arguments[i]);
        if (lua_pcall(L, count - 1, 0, 1) == LUA_OK)
            return EXIT_SUCCESS;
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return EXIT_FAILURE;
}
