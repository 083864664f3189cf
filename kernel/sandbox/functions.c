/* See functions.h. A function is named by its number in its chunk: functions are counted in the order in
 * which they begin in the text, the chunk itself being 0. Two are the same when everything that decides
 * what they do is the same, and they stand in the same lines.
 */
#include "functions.h"

#include <stdbool.h>
#include <string.h>

#include "lauxlib.h"
#include "lfunc.h"
#include "lgc.h"
#include "lobject.h"
#include "lstate.h"
#include "lvm.h"

static const Proto *check_prototype(lua_State *L, int argument)
{
    luaL_argcheck(L, lua_type(L, argument) == LUA_TFUNCTION && !lua_iscfunction(L, argument), argument,
                  "Lua function expected");
    return clLvalue(s2v(L->ci->func.p + argument))->p;
}

static bool same_constants(const Proto *one, const Proto *other)
{
    if (one->sizek != other->sizek)
        return false;
    for (int i = 0; i < one->sizek; i++)
        if (rawtt(&one->k[i]) != rawtt(&other->k[i]) || !luaV_rawequalobj(&one->k[i], &other->k[i]))
            return false;
    return true;
}

static bool same_upvalues(const Proto *one, const Proto *other)
{
    if (one->sizeupvalues != other->sizeupvalues)
        return false;
    for (int i = 0; i < one->sizeupvalues; i++) {
        const Upvaldesc *a = &one->upvalues[i], *b = &other->upvalues[i];
        if (a->instack != b->instack || a->idx != b->idx || a->kind != b->kind)
            return false;
    }
    return true;
}

/* Lua's parser allows about 200 levels of functions in functions. */
static bool same(const Proto *one, const Proto *other)
{
    if (one == other)
        return true;
    if (one->linedefined != other->linedefined || one->lastlinedefined != other->lastlinedefined
        || one->numparams != other->numparams || one->flag != other->flag
        || one->maxstacksize != other->maxstacksize || one->sizecode != other->sizecode
        || one->sizep != other->sizep || !same_constants(one, other) || !same_upvalues(one, other)
        || memcmp(one->code, other->code, (size_t)one->sizecode * sizeof *one->code) != 0)
        return false;
    for (int i = 0; i < one->sizep; i++)
        if (!same(one->p[i], other->p[i]))
            return false;
    return true;
}

/* The first one in `in` or below it that is the same; *number counts those before it. */
static bool find(const Proto *in, const Proto *wanted, lua_Integer *number)
{
    if (same(in, wanted))
        return true;
    ++*number;
    for (int i = 0; i < in->sizep; i++)
        if (find(in->p[i], wanted, number))
            return true;
    return false;
}

static Proto *numbered(Proto *in, lua_Integer *number)
{
    Proto *found = *number == 0 ? in : NULL;
    --*number;
    for (int i = 0; i < in->sizep && !found; i++)
        found = numbered(in->p[i], number);
    return found;
}

static int l_number_of(lua_State *L)
{
    lua_Integer number = 0;
    if (!find(check_prototype(L, 1), check_prototype(L, 2), &number))
        return 0;
    lua_pushinteger(L, number);
    return 1;
}

static int l_function_at(lua_State *L)
{
    lua_Integer number = luaL_checkinteger(L, 2);
    luaL_argcheck(L, number >= 0, 2, "not a function's number");
    Proto *prototype = numbered((Proto *)check_prototype(L, 1), &number);
    if (!prototype)
        return 0;
    luaL_checkstack(L, 1, NULL);
    LClosure *closure = luaF_newLclosure(L, prototype->sizeupvalues);
    setclLvalue2s(L, L->top.p, closure);
    L->top.p++;
    closure->p = prototype;
    luaC_objbarrier(L, closure, prototype);
    luaF_initupvals(L, closure);
    luaC_checkGC(L);
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

static int l_dump(lua_State *L)
{
    check_prototype(L, 1);
    lua_settop(L, 1);
    struct dump dump = {NULL, 0};
    lua_dump(L, add_to_dump, &dump, 1);
    dump = (struct dump){lua_newuserdatauv(L, dump.size, 0), 0};
    lua_insert(L, 1);
    lua_dump(L, add_to_dump, &dump, 1);
    lua_pushlstring(L, dump.bytes, dump.size);
    return 1;
}

void functions_open(lua_State *L)
{
    lua_pushcfunction(L, l_dump);
    lua_setfield(L, -2, "dump");
    lua_pushcfunction(L, l_number_of);
    lua_setfield(L, -2, "number_of");
    lua_pushcfunction(L, l_function_at);
    lua_setfield(L, -2, "function_at");
}
