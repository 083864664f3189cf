/* Values and their names on the way into a payload; see codec_encoder.h. */
#include "codec_encoder.h"

#include "codec_format.h"
#include "lauxlib.h"

/* Pushes miss(value, key). */
static void push_missing(struct codec_encoder *encoder, int index, int key)
{
    lua_State *L = encoder->L;
    lua_pushvalue(L, encoder->miss);
    lua_pushvalue(L, index);
    if (key == NO_KEY)
        lua_pushnil(L);
    else
        lua_pushvalue(L, key);
    lua_call(L, 2, 1);
}

bool codec_push_name(struct codec_encoder *encoder, int index, int key)
{
    lua_State *L = encoder->L;
    lua_pushvalue(L, index);
    if (lua_gettable(L, encoder->names) == LUA_TNIL && lua_toboolean(L, encoder->miss)) {
        lua_pop(L, 1);
        push_missing(encoder, index, key);
    }
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

lua_Integer codec_id_on_top(lua_State *L)
{
    int is_integer;
    lua_Integer id = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || id < 0)
        luaL_error(L, "a name is an id or a text");
    return id;
}

void codec_write_name(struct codec_encoder *encoder, int index)
{
    lua_State *L = encoder->L;
    if (lua_type(L, -1) == LUA_TSTRING) {
        size_t length;
        const char *name = lua_tolstring(L, -1, &length);
        codec_write_permanent(&encoder->output, name, length);
    } else {
        bool is_function = lua_type(L, index) == LUA_TFUNCTION;
        codec_write_id(&encoder->output, is_function ? EXT_FUNCTION : EXT_REFERENCE, codec_id_on_top(L));
    }
    lua_pop(L, 1);
}

/* Of more than CHUNK_BYTES. */
static bool write_long_string(struct codec_encoder *encoder, int index, int key)
{
    lua_State *L = encoder->L;
    if (!lua_toboolean(L, encoder->miss))
        return false;
    push_missing(encoder, index, key);
    bool has_id = lua_toboolean(L, -1);
    if (has_id)
        codec_write_id(&encoder->output, EXT_STRING, codec_id_on_top(L));
    lua_pop(L, 1);
    return has_id;
}

static bool write_string(struct codec_encoder *encoder, int index, int key)
{
    size_t length;
    const char *text = lua_tolstring(encoder->L, index, &length);
    if (length > CHUNK_BYTES)
        return write_long_string(encoder, index, key);
    codec_write_string(&encoder->output, text, length);
    return true;
}

bool codec_write_value(struct codec_encoder *encoder, int index, int key)
{
    lua_State *L = encoder->L;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        return write_string(encoder, index, key);
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            codec_write_integer(&encoder->output, lua_tointeger(L, index));
        else
            codec_write_float(&encoder->output, lua_tonumber(L, index));
        return true;
    case LUA_TBOOLEAN:
        codec_write_boolean(&encoder->output, lua_toboolean(L, index));
        return true;
    case LUA_TNIL:
        return false;
    default:
        if (!codec_push_name(encoder, index, key))
            return false;
        codec_write_name(encoder, index);
        return true;
    }
}

bool codec_refuse_value(lua_State *L, int key, int value, const char *role)
{
    lua_pushnil(L);
    if (key == NO_KEY)
        lua_pushnil(L);
    else
        lua_pushvalue(L, key);
    lua_pushvalue(L, value);
    lua_pushstring(L, role);
    return false;
}
