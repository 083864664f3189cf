/* The functions inside a compiled chunk: which lines they stand on, and any one of them as a closure
 * of its own. With this, lua/fs finds the source of a function that is to be saved and makes it anew
 * from the source when it is loaded; lua/fs/prototypes.lua is the same in plain Lua.
 *
 *     prototypes.lines(main)            list: first and last line of each function, in the order in
 *                                       which they begin in the text, the chunk itself first
 *     prototypes.instantiate(main, n)   closure of function n, from 0, its upvalues new and nil;
 *                                       nil where there is no such function
 *     prototypes.dump(f)                its dump without debug information, to tell functions apart
 *
 * main and f are Lua functions and are not called. Only what this process's own compiler has made
 * can come out as a function. Relies on the inside of Lua (lobject.h, lfunc.h), whose release the build pins.
 */
#include "prototypes.h"

#include <string.h>

#include "lauxlib.h"
#include "lfunc.h"
#include "lgc.h"
#include "lobject.h"
#include "lstate.h"
#include "lua.h"

static const Proto *check_function(lua_State *L)
{
    luaL_argexpected(L, lua_isfunction(L, 1) && !lua_iscfunction(L, 1), 1, "Lua function");
    const LClosure *closure = lua_topointer(L, 1);
    return closure->p;
}

/* Appends lines of the function and of those inside it to the list on top. Functions nest no deeper
 * than the compiler does (LUAI_MAXCCALLS). */
static lua_Integer add_lines(lua_State *L, const Proto *function, lua_Integer count)
{
    lua_pushinteger(L, function->linedefined);
    lua_rawseti(L, -2, ++count);
    lua_pushinteger(L, function->lastlinedefined);
    lua_rawseti(L, -2, ++count);
    for (int i = 0; i < function->sizep; i++)
        count = add_lines(L, function->p[i], count);
    return count;
}

static int l_prototypes_lines(lua_State *L)
{
    const Proto *main = check_function(L);
    lua_newtable(L);
    add_lines(L, main, 0);
    return 1;
}

/* Function `*left` of those that begin at this one; counts down by what it passes. */
static Proto *find(Proto *function, lua_Integer *left)
{
    if ((*left)-- == 0)
        return function;
    Proto *found = NULL;
    for (int i = 0; !found && i < function->sizep; i++)
        found = find(function->p[i], left);
    return found;
}

static int l_prototypes_instantiate(lua_State *L)
{
    Proto *main = (Proto *)check_function(L);
    lua_Integer number = luaL_checkinteger(L, 2);
    Proto *found = number < 0 ? NULL : find(main, &number);
    if (!found) {
        luaL_pushfail(L);
        return 1;
    }
    luaL_checkstack(L, 1, NULL);
    luaC_checkGC(L);
    LClosure *closure = luaF_newLclosure(L, found->sizeupvalues);
    setclLvalue2s(L, L->top.p, closure);
    L->top.p++;
    closure->p = found;             /* held by main, which is on the stack; the closure is new */
    luaF_initupvals(L, closure);
    return 1;
}

/* Where a dump goes: nowhere while it is measured. */
struct dump {
    char *bytes;
    size_t size;
};

static int add_to_dump(lua_State *L, const void *bytes, size_t size, void *context)
{
    (void)L;
    struct dump *dump = context;
    if (dump->bytes && size)
        memcpy(dump->bytes + dump->size, bytes, size);
    dump->size += size;
    return 0;
}

static int l_prototypes_dump(lua_State *L)
{
    check_function(L);
    lua_settop(L, 1);
    struct dump dump = {NULL, 0};
    lua_dump(L, add_to_dump, &dump, 1);
    dump = (struct dump){lua_newuserdatauv(L, dump.size, 0), 0};
    lua_insert(L, 1);
    lua_dump(L, add_to_dump, &dump, 1);
    lua_pushlstring(L, dump.bytes, dump.size);
    return 1;
}

void prototypes_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"lines", l_prototypes_lines},
        {"instantiate", l_prototypes_instantiate},
        {"dump", l_prototypes_dump},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
