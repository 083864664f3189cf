/* What a process's Lua state offers: the sandboxed standard libraries, or all of them, and the table
 * `kernel` that is handed to the runtime (lua/kernel/runtime.lua) and to nobody else.
 *
 * Sandboxed means: nothing that names files, no binary chunks in either direction, of `debug` only the
 * traceback. Where text goes and which modules there are belongs to the runtime, which is Lua. In
 * either set, coroutine is ours, math.random is seeded for each process, and what print, io and os
 * reach is the process's own (hosted.h).
 */
#include <stddef.h>
#include <string.h>

#include "../archive.h"
#include "../block.h"
#include "../lua_bindings.h"
#include "../process_state.h"
#include "../random.h"
#include "functions.h"
#include "hosted.h"
#include "lauxlib.h"
#include "lualib.h"

static const luaL_Reg sandboxed[] = {
    {LUA_GNAME, luaopen_base},
    {LUA_LOADLIBNAME, luaopen_package},
    {LUA_IOLIBNAME, luaopen_io},
    {LUA_TABLIBNAME, luaopen_table},
    {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8},
    {NULL, NULL},
};

/* load(chunk [, name [, mode [, env]]]): Lua's own, for text only. A mode that excludes text excludes
 * everything. */
static int l_load_text(lua_State *L)
{
    bool has_environment = !lua_isnone(L, 4);
    bool text = strchr(luaL_optstring(L, 3, "t"), 't') != NULL;
    lua_settop(L, has_environment ? 4 : 3);
    lua_pushstring(L, text ? "t" : "");
    lua_replace(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* From the table in the global of that name. */
static void remove_fields(lua_State *L, const char *library, const char *const *names)
{
    lua_getglobal(L, library);
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
    lua_pop(L, 1);
}

/* Opens the library and keeps only the named functions of it, in the global of its name. */
static void open_part(lua_State *L, lua_CFunction open, const char *library,
                      const char *const *names)
{
    lua_newtable(L);
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    for (; *names; names++) {
        lua_getfield(L, -1, *names);
        lua_setfield(L, -3, *names);
    }
    lua_pop(L, 1);
    lua_setglobal(L, library);
}

static void open_sandboxed(lua_State *L)
{
    static const char *const of_files[] = {"dofile", "loadfile", NULL};
    static const char *const of_io[] = {"lines", "open", "popen", "tmpfile", NULL};
    static const char *const of_package[] = {"cpath", "loadlib", "path", "searchpath", NULL};
    static const char *const binary[] = {"dump", NULL};
    static const char *const of_debug[] = {"traceback", NULL};
    static const char *const of_os[] = {"clock", "date", "difftime", "getenv", "time", NULL};
    for (const luaL_Reg *library = sandboxed; library->name; library++) {
        luaL_requiref(L, library->name, library->func, true);
        lua_pop(L, 1);
    }
    remove_fields(L, LUA_GNAME, of_files);
    remove_fields(L, LUA_IOLIBNAME, of_io);
    remove_fields(L, LUA_LOADLIBNAME, of_package);
    remove_fields(L, LUA_STRLIBNAME, binary);
    lua_getglobal(L, "load");
    lua_pushcclosure(L, l_load_text, 1);
    lua_setglobal(L, "load");
    open_part(L, luaopen_debug, LUA_DBLIBNAME, of_debug);
    open_part(L, luaopen_os, LUA_OSLIBNAME, of_os);
}

static void seed_random(lua_State *L)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, (lua_Integer)random_u64());
    lua_pushinteger(L, (lua_Integer)random_u64());
    lua_call(L, 2, 0);
    lua_pop(L, 1);
}

/* debug.gethook([thread]): Lua's own; a hook that is not a Lua function's is the tick's, which user
 * code did not set. */
static int l_debug_gethook(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    if (lua_type(L, 1) == LUA_TSTRING) {
        lua_settop(L, 0);
        luaL_pushfail(L);
    }
    return lua_gettop(L);
}

/* All but coroutine: once Lua's own is there, ours would not be opened under its name. */
static void open_complete(lua_State *L)
{
    luaL_openselectedlibs(L, ~LUA_COLIBK, 0);
    lua_getglobal(L, LUA_DBLIBNAME);
    lua_getfield(L, -1, "gethook");
    lua_pushcclosure(L, l_debug_gethook, 1);
    lua_setfield(L, -2, "gethook");
    lua_pop(L, 1);
}

void libraries_open(lua_State *L, bool unsafe)
{
    if (unsafe)
        open_complete(L);
    else
        open_sandboxed(L);
    luaL_requiref(L, LUA_COLIBNAME, coroutine_open, true);
    lua_pop(L, 1);
    seed_random(L);
}

/* --- kernel ---------------------------------------------------------------------------------- */

/* kernel.call(operation, control_count, …) → the supervisor's answer (process_call). */
static int l_kernel_call(lua_State *L)
{
    char operation[OPERATION_BYTES];
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    lua_Integer control = luaL_checkinteger(L, 2);
    luaL_argcheck(L, length < OPERATION_BYTES, 1, "operation name too long");
    luaL_argcheck(L, control >= 0 && control <= lua_gettop(L) - 2, 2, "more than there are");
    for (size_t i = 0; i <= length; i++)
        operation[i] = name[i];
    hosted_flush_output(L);     /* what was written before a call is out before it */
    lua_rotate(L, 1, -2);
    lua_pop(L, 2);
    return process_call(L, operation, (int)control);
}

/* kernel.writer(f): print and io write through f(text, to stderr?) from now on. */
static int l_kernel_writer(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    hosted_set_writer(L);
    return 0;
}

static int l_kernel_cpu(lua_State *L)
{
    lua_pushinteger(L, process_cpu_ns(process_of(L)));
    return 1;
}

static int l_kernel_heap(lua_State *L)
{
    struct process *process = process_of(L);
    lua_pushinteger(L, (lua_Integer)(process->arena.used_bytes + process->owner.bytes));
    lua_pushinteger(L, (lua_Integer)process->owner.bytes_limit);
    return 2;
}

static const luaL_Reg kernel_functions[] = {
    {"call", l_kernel_call},
    {"evaluate", coroutine_evaluate},
    {"writer", l_kernel_writer},
    {"cpu", l_kernel_cpu},
    {"heap", l_kernel_heap},
    {NULL, NULL},
};

/* kernel.raw: what saves and loads metatables and functions, and lets functions travel: some of the debug
 * library and functions.h; the runtime hands it to trusted modules only. */
static void add_raw(lua_State *L)
{
    static const char *const names[] = {"getmetatable", "setmetatable", "getinfo", "getupvalue",
                                        "setupvalue", "upvalueid", "upvaluejoin", NULL};
    lua_newtable(L);
    lua_pushcfunction(L, luaopen_debug);
    lua_call(L, 0, 1);
    for (const char *const *name = names; *name; name++) {
        lua_getfield(L, -1, *name);
        lua_setfield(L, -3, *name);
    }
    lua_pop(L, 1);
    functions_open(L);
    lua_setfield(L, -2, "raw");
}

/* Pushes the table: the functions above, and of the supervisor's bindings those that give no power
 * over the machine: source, modules, clock, random, crc32c, codec, memory. */
void libraries_push_kernel(lua_State *L)
{
    static const char *const powerless[] = {"source", "modules", "clock", "random", "crc32c",
                                            "codec", "memory", NULL};
    lua_newtable(L);
    archive_open(L);
    lua_clock_open(L);
    lua_crc32c_open(L);
    lua_codec_open(L);
    block_open(L);
    luaL_newlib(L, kernel_functions);
    for (const char *const *name = powerless; *name; name++) {
        lua_getfield(L, -2, *name);
        lua_setfield(L, -2, *name);
    }
    lua_remove(L, -2);
    add_raw(L);
}
