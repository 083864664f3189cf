/* core.source(name) -> text, chunk name | nil; core.modules() -> names, sorted.
 *
 * Texts are external strings of Lua 5.5: they stay where they are in the image and cost no heap.
 */
#include "archive.h"

#include <string.h>

#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"

const struct archive_entry *archive_find(const char *name)
{
    for (uint64_t i = 0; i < archive_count; i++)
        if (strcmp(archive_entries[i].name, name) == 0)
            return &archive_entries[i];
    return NULL;
}

static int l_archive_source(lua_State *L)
{
    const struct archive_entry *entry = archive_find(luaL_checkstring(L, 1));
    if (entry == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushexternalstring(L, entry->text, entry->length, NULL, NULL);
    lua_pushstring(L, entry->chunk);
    return 2;
}

static int l_archive_modules(lua_State *L)
{
    lua_createtable(L, (int)archive_count, 0);
    for (uint64_t i = 0; i < archive_count; i++) {
        lua_pushstring(L, archive_entries[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void archive_open(lua_State *L)
{
    lua_pushcfunction(L, l_archive_source);
    lua_setfield(L, -2, "source");
    lua_pushcfunction(L, l_archive_modules);
    lua_setfield(L, -2, "modules");
}
