/* The plain tables that tables lead to, for who walks through a graph in memory. See codec.h; the reference is
 * lua/fs/reaching.lua.
 */
#include "codec.h"

#include <stdbool.h>

#include "codec_format.h"
#include "lauxlib.h"

enum { STACK = 1, FOUND, NAMES, FRESH, ODD, TABLE, KEY, VALUE };

struct walk {
    lua_State *L;
    bool fresh;
    lua_Integer top, count;         /* of the stack; of what was found */
};

/* Gives what is at `index` to the caller's function, with the table that it was met in. */
static void give_odd(struct walk *walk, int index)
{
    lua_pushvalue(walk->L, ODD);
    lua_pushvalue(walk->L, index);
    lua_pushvalue(walk->L, TABLE);
    lua_call(walk->L, 2, 0);
}

/* Whether the table at `index` was not found yet, and is to be. */
static bool is_wanted(struct walk *walk, int index)
{
    lua_State *L = walk->L;
    lua_pushvalue(L, index);
    bool found = lua_rawget(L, FOUND) != LUA_TNIL && lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (found)
        return false;
    lua_pushvalue(L, index);
    int name = lua_rawget(L, NAMES);
    lua_pop(L, 1);
    return walk->fresh ? name == LUA_TNIL : name != LUA_TSTRING;
}

static void meet_table(struct walk *walk, int index)
{
    lua_State *L = walk->L;
    if (!is_wanted(walk, index))
        return;
    if (lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        give_odd(walk, index);
        return;
    }
    lua_pushvalue(L, index);
    lua_pushboolean(L, true);
    lua_rawset(L, FOUND);
    lua_pushvalue(L, index);
    lua_rawseti(L, STACK, ++walk->top);
    walk->count++;
}

static void meet(struct walk *walk, int index)
{
    switch (lua_type(walk->L, index)) {
    case LUA_TTABLE:
        meet_table(walk, index);
        break;
    case LUA_TFUNCTION:
        give_odd(walk, index);
        break;
    case LUA_TSTRING:
        if (walk->fresh && lua_rawlen(walk->L, index) > CHUNK_BYTES)
            give_odd(walk, index);
        break;
    }
}

static void meet_fields(struct walk *walk)
{
    lua_State *L = walk->L;
    lua_pushnil(L);
    while (lua_next(L, TABLE)) {
        if (lua_type(L, KEY) != LUA_TSTRING)
            meet(walk, KEY);
        meet(walk, VALUE);
        lua_settop(L, KEY);
    }
}

int codec_reach(lua_State *L)
{
    for (int i = STACK; i <= NAMES; i++)
        luaL_checktype(L, i, LUA_TTABLE);
    luaL_checktype(L, ODD, LUA_TFUNCTION);
    lua_settop(L, ODD);
    luaL_checkstack(L, 8, NULL);
    struct walk walk = {.L = L, .fresh = lua_toboolean(L, FRESH), .top = (lua_Integer)lua_rawlen(L, STACK)};
    while (walk.top > 0) {
        lua_rawgeti(L, STACK, walk.top);
        luaL_checktype(L, TABLE, LUA_TTABLE);
        lua_pushnil(L);
        lua_rawseti(L, STACK, walk.top--);
        meet_fields(&walk);
        lua_settop(L, ODD);
    }
    lua_pushinteger(L, walk.count);
    return 1;
}
