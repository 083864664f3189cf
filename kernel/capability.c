/* See capability.h. A handle names its kind as well as its object, so that a check is two pointer
 * comparisons and no registry lookup: no userdata that Lua code can come by begins with the address
 * of one of our static structs (files begin with a FILE pointer, buffer boxes with heap memory). */
#include "capability.h"

#include <string.h>

#include "preempt.h"
#include "process.h"

struct handle {
    const struct capability_kind *kind;
    struct capability *capability;      /* NULL: dead */
};

static struct handle *handle_at(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(struct handle))
        return NULL;
    return lua_touserdata(L, index);
}

static int l_capability_collect(lua_State *L)
{
    capability_close(L, 1);
    return 0;
}

static int l_capability_name(lua_State *L)
{
    struct handle *handle = lua_touserdata(L, 1);
    lua_pushfstring(L, handle->capability ? "%s" : "%s (dead)", handle->kind->name);
    return 1;
}

static void set_methods(lua_State *L, const luaL_Reg *methods)
{
    lua_newtable(L);
    for (const luaL_Reg *method = methods; method->name; method++) {
        lua_pushcfunction(L, method->func);
        lua_setfield(L, strncmp(method->name, "__", 2) == 0 ? -3 : -2, method->name);
    }
    lua_setfield(L, -2, "__index");
}

/* Pushes the metatable of the kind, made on first use in this state. */
static void push_metatable(lua_State *L, const struct capability_kind *kind)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, kind) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushstring(L, kind->name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, l_capability_collect);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, l_capability_name);
    lua_setfield(L, -2, "__tostring");
    set_methods(L, kind->methods);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, kind);
}

static struct handle *push_dead(lua_State *L, const struct capability_kind *kind)
{
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
    handle->kind = kind;
    handle->capability = NULL;
    push_metatable(L, kind);
    lua_setmetatable(L, -2);
    return handle;
}

void *capability_new(lua_State *L, const struct capability_kind *kind, size_t bytes)
{
    struct handle *handle = push_dead(L, kind);
    struct object_owner *owner = process_owner(process_of(L));
    preempt_disable();
    struct capability *capability = object_new(owner, bytes, kind->release);
    if (capability)
        capability->kind = kind;
    handle->capability = capability;
    preempt_enable();
    if (!capability)
        luaL_error(L, "not enough memory");
    return capability;
}

void capability_push(lua_State *L, struct capability **from)
{
    struct handle *handle = push_dead(L, (*from)->kind);
    preempt_disable();
    object_let_go(&(*from)->object);
    handle->capability = *from;
    *from = NULL;
    preempt_enable();
}

void *capability_test(lua_State *L, int index, const struct capability_kind *kind)
{
    struct handle *handle = handle_at(L, index);
    return handle && handle->kind == kind ? handle->capability : NULL;
}

void *capability_check(lua_State *L, int index, const struct capability_kind *kind)
{
    struct handle *handle = handle_at(L, index);
    if (!handle || handle->kind != kind)
        luaL_typeerror(L, index, kind->name);
    if (!handle->capability)
        luaL_argerror(L, index, lua_pushfstring(L, "this %s was sent away or freed", kind->name));
    return handle->capability;
}

/* A userdata of the right size may be foreign in a process with all of Lua's libraries, so the
 * metatable decides. */
static bool is_capability(lua_State *L, int index, const struct handle *handle)
{
    if (!handle || !lua_getmetatable(L, index))
        return false;
    bool same = lua_rawgetp(L, LUA_REGISTRYINDEX, handle->kind) == LUA_TTABLE
                && lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

struct capability *capability_any(lua_State *L, int index)
{
    struct handle *handle = handle_at(L, index);
    return is_capability(L, index, handle) ? handle->capability : NULL;
}

struct capability *capability_detach(lua_State *L, int index)
{
    struct handle *handle = lua_touserdata(L, index);
    struct capability *capability = handle->capability;
    handle->capability = NULL;
    return capability;
}

void capability_close(lua_State *L, int index)
{
    struct handle *handle = handle_at(L, index);
    if (!handle || !handle->capability)
        return;
    preempt_disable();
    struct capability *capability = capability_detach(L, index);
    object_destroy(&capability->object);
    preempt_enable();
}
