/* See file_device.h. The functions have the file's number as an upvalue; it stays open to the end. */
#include "file_device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lauxlib.h"

#define SECTOR_BYTES 512

static int file_of(lua_State *L)
{
    return (int)lua_tointeger(L, lua_upvalueindex(1));
}

/* nil, err, as lua/fs has errors of devices. */
static int fail(lua_State *L, const char *what)
{
    const char *reason = strerror(errno);
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, "io");
    lua_setfield(L, -2, "code");
    lua_pushfstring(L, "%s: %s", what, reason);
    lua_setfield(L, -2, "message");
    return 2;
}

/* read(lba, count) → bytes | nil, err */
static int l_read(lua_State *L)
{
    off_t place = (off_t)luaL_checkinteger(L, 1) * SECTOR_BYTES;
    size_t length = (size_t)luaL_checkinteger(L, 2) * SECTOR_BYTES;
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, length);
    if (pread(file_of(L), bytes, length, place) != (ssize_t)length)
        return fail(L, "read");
    luaL_pushresultsize(&buffer, length);
    return 1;
}

/* write(lba, bytes) → true | nil, err */
static int l_write(lua_State *L)
{
    size_t length;
    off_t place = (off_t)luaL_checkinteger(L, 1) * SECTOR_BYTES;
    const char *bytes = luaL_checklstring(L, 2, &length);
    if (pwrite(file_of(L), bytes, length, place) != (ssize_t)length)
        return fail(L, "write");
    lua_pushboolean(L, 1);
    return 1;
}

static int l_flush(lua_State *L)
{
    if (fdatasync(file_of(L)) != 0)
        return fail(L, "flush");
    lua_pushboolean(L, 1);
    return 1;
}

int l_device(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", l_read}, {"write", l_write}, {"flush", l_flush}, {NULL, NULL}};
    const char *path = luaL_checkstring(L, 1);
    struct stat file;
    int number = open(path, O_RDWR | O_CLOEXEC);
    if (number < 0 || fstat(number, &file) != 0)
        return luaL_error(L, "%s: %s", path, strerror(errno));
    luaL_newlibtable(L, functions);
    lua_pushinteger(L, number);
    luaL_setfuncs(L, functions, 1);
    lua_pushinteger(L, file.st_size / SECTOR_BYTES);
    lua_setfield(L, -2, "sector_count");
    lua_pushstring(L, path);
    lua_setfield(L, -2, "description");
    return 1;
}
