/* What a table's payload refers to, found without building its values; and whether it is canonical. The store looks
 * through what clients hand over with this. See codec.h; the reference is lua/fs/references.lua.
 */
#include "codec.h"

#include <stdbool.h>

#include "codec_format.h"
#include "codec_read.h"
#include "codec_refusal.h"
#include "lauxlib.h"

enum { PAYLOAD = 1, INTO = 2 };

struct search {
    lua_State *L;
    struct codec_input input;
    size_t at;
    lua_Integer count;              /* of ids in the table at INTO */
    struct codec_error error;
};

/* Takes the id of an object, a function or a long string. */
static void note(struct search *search, const struct codec_value *value)
{
    if (value->type != CODEC_REFERENCE && value->type != CODEC_FUNCTION && value->type != CODEC_LONG_STRING)
        return;
    lua_pushinteger(search->L, value->integer);
    lua_rawseti(search->L, INTO, ++search->count);
}

static bool next_value(struct search *search, struct codec_value *value)
{
    if (!codec_read_value(search->input, &search->at, value, &search->error))
        return false;
    note(search, value);
    return true;
}

static bool read_array(struct search *search, size_t *count)
{
    size_t start = search->at, integers = 0, floats = 0;
    struct codec_packed packed;
    uint32_t n;
    if (codec_at_extension(search->input, start)) {
        if (!codec_read_packed(search->input, &search->at, &packed, &search->error))
            return false;
        *count = packed.count;
        return true;
    }
    if (!codec_read_count(search->input, &search->at, CODEC_ARRAY_PART, &n, &search->error))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct codec_value value;
        if (!next_value(search, &value))
            return false;
        integers += value.type == CODEC_INTEGER;
        floats += value.type == CODEC_FLOAT;
    }
    *count = n;
    return codec_check_array(n, integers, floats, start, &search->error);
}

static bool read_map(struct search *search, size_t n)
{
    uint32_t count;
    struct codec_value before = {0}, key, value;
    if (!codec_read_count(search->input, &search->at, CODEC_MAP_PART, &count, &search->error))
        return false;
    for (uint32_t i = 0; i < count; i++, before = key) {
        size_t offset = search->at;
        if (!codec_read_key(search->input, &search->at, &key, &search->error)
            || !codec_check_key(&key, n, offset, &search->error)
            || (i > 0 && !codec_check_order(&before, &key, offset, &search->error)))
            return false;
        note(search, &key);
        if (!next_value(search, &value))
            return false;
    }
    return true;
}

static bool read_metatable(struct search *search)
{
    struct codec_value name;
    size_t offset = search->at, length = search->input.length;
    if (offset >= length)
        return true;
    if (!codec_at_extension(search->input, offset))
        return codec_refuse(&search->error, offset, "the end or a metatable", "the byte %02x",
                            search->input.bytes[offset]);
    if (!codec_read_name(search->input, &search->at, &name, &search->error))
        return false;
    note(search, &name);
    return search->at == length || codec_refuse(&search->error, search->at, "the end", "%zu more bytes",
                                                length - search->at);
}

int codec_references(lua_State *L)
{
    struct search search = {.L = L};
    size_t n;
    search.input.bytes = (const uint8_t *)luaL_checklstring(L, PAYLOAD, &search.input.length);
    luaL_checktype(L, INTO, LUA_TTABLE);
    lua_settop(L, INTO);
    lua_getfield(L, INTO, "count");
    search.count = luaL_checkinteger(L, -1);
    if (!read_array(&search, &n) || !read_map(&search, n) || !read_metatable(&search)) {
        lua_pushnil(L);
        codec_push_malformed(L, search.input, &search.error);
        return 2;
    }
    lua_pushinteger(L, search.count);
    lua_setfield(L, INTO, "count");
    lua_pushvalue(L, INTO);
    return 1;
}
