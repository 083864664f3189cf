/* Payload → table. The counterpart of lua/fs/codec.lua's second half; see codec.h. */
#include "codec.h"

#include <stdbool.h>

#include "codec_format.h"
#include "codec_read.h"
#include "codec_refusal.h"
#include "lauxlib.h"
#include "ltable.h"

/* Stack of decode: its arguments, then links.objects. */
enum { PAYLOAD = 1, INTO = 2, LINKS = 3, OBJECTS = 4 };

struct decoder {
    lua_State *L;
    struct codec_input input;
    size_t at;
};

/* --- values ---------------------------------------------------------------------------------- */

/* Pushes what the function of that name in links gives for an id. */
static void push_link(lua_State *L, const char *name, lua_Integer id)
{
    lua_getfield(L, LINKS, name);
    lua_pushinteger(L, id);
    lua_call(L, 1, 1);
}

/* Pushes the object of that id: links.objects[id] or links.make(id). */
static void push_object(lua_State *L, lua_Integer id)
{
    lua_geti(L, OBJECTS, id);
    if (lua_toboolean(L, -1))
        return;
    lua_pop(L, 1);
    push_link(L, "make", id);
}

/* Pushes the value that is registered under the name; false: an error instead. */
static bool push_permanent(lua_State *L, const struct codec_value *name, size_t offset)
{
    lua_getfield(L, LINKS, "permanents");
    lua_pushlstring(L, (const char *)name->text, name->length);
    lua_gettable(L, -2);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    codec_push_unknown_permanent(L, name, offset);
    return false;
}

/* `offset`: where it stands. Pushes the value; false: an error instead. */
static bool push_value(lua_State *L, const struct codec_value *value, size_t offset)
{
    switch (value->type) {
    case CODEC_FALSE:
    case CODEC_TRUE:
        lua_pushboolean(L, value->type == CODEC_TRUE);
        return true;
    case CODEC_INTEGER:
        lua_pushinteger(L, value->integer);
        return true;
    case CODEC_FLOAT:
        lua_pushnumber(L, value->number);
        return true;
    case CODEC_STRING:
        lua_pushlstring(L, (const char *)value->text, value->length);
        return true;
    case CODEC_REFERENCE:
        push_object(L, value->integer);
        return true;
    case CODEC_LONG_STRING:
        push_link(L, "string", value->integer);
        return true;
    case CODEC_FUNCTION:
        push_link(L, "callable", value->integer);
        return true;
    default:
        return push_permanent(L, value, offset);
    }
}

/* Reads and pushes what stands next; false: an error instead. */
static bool next_value(struct decoder *decoder, struct codec_value *value)
{
    struct codec_error error;
    size_t offset = decoder->at;
    if (codec_read_value(decoder->input, &decoder->at, value, &error))
        return push_value(decoder->L, value, offset);
    codec_push_malformed(decoder->L, decoder->input, &error);
    return false;
}

static bool refuse(struct decoder *decoder, const struct codec_error *error)
{
    codec_push_malformed(decoder->L, decoder->input, error);
    return false;
}

/* --- the array part -------------------------------------------------------------------------- */

/* Makes room at once, where nothing is there yet: a table that grows is hashed anew again and again.
 * The caller has bounded the counts by the bytes that are there to fill them. */
static void make_room(lua_State *L, size_t array, size_t hash)
{
    Table *table = (Table *)lua_topointer(L, INTO);
    if (isdummy(table) && (array > 0 ? table->asize == 0 : hash > 0))
        luaH_resize(L, table, array > 0 ? (unsigned)array : table->asize, (unsigned)hash);
}

static bool decode_packed(struct decoder *decoder, size_t *count)
{
    lua_State *L = decoder->L;
    struct codec_packed packed;
    struct codec_error error;
    if (!codec_read_packed(decoder->input, &decoder->at, &packed, &error))
        return refuse(decoder, &error);
    make_room(L, packed.count, 0);
    for (size_t i = 0; i < packed.count; i++) {
        if (packed.code == PACKED_F64)
            lua_pushnumber(L, codec_packed_float(decoder->input, &packed, i));
        else
            lua_pushinteger(L, codec_packed_integer(decoder->input, &packed, i));
        lua_rawseti(L, INTO, (lua_Integer)i + 1);
    }
    *count = packed.count;
    return true;
}

static bool decode_array(struct decoder *decoder, size_t *count)
{
    lua_State *L = decoder->L;
    size_t start = decoder->at, integers = 0, floats = 0;
    uint32_t n;
    struct codec_error error;
    if (codec_at_extension(decoder->input, start))
        return decode_packed(decoder, count);
    if (!codec_read_count(decoder->input, &decoder->at, CODEC_ARRAY_PART, &n, &error))
        return refuse(decoder, &error);
    if (n > 0 && n <= decoder->input.length - decoder->at)
        make_room(L, n, 0);
    for (uint32_t i = 1; i <= n; i++) {
        struct codec_value value;
        if (!next_value(decoder, &value))
            return false;
        integers += value.type == CODEC_INTEGER;
        floats += value.type == CODEC_FLOAT;
        lua_rawseti(L, INTO, i);
    }
    *count = n;
    return codec_check_array(n, integers, floats, start, &error) || refuse(decoder, &error);
}

/* --- the map part ---------------------------------------------------------------------------- */

/* Reads and pushes a key of a table whose array part has n elements; false: an error instead. */
static bool next_key(struct decoder *decoder, size_t n, struct codec_value *key)
{
    struct codec_error error;
    size_t offset = decoder->at;
    if (!codec_read_key(decoder->input, &decoder->at, key, &error) || !codec_check_key(key, n, offset, &error))
        return refuse(decoder, &error);
    return push_value(decoder->L, key, offset);
}

static bool decode_map(struct decoder *decoder, size_t n)
{
    uint32_t count;
    struct codec_error error;
    struct codec_value before = {0}, key, value;
    if (!codec_read_count(decoder->input, &decoder->at, CODEC_MAP_PART, &count, &error))
        return refuse(decoder, &error);
    if (count <= (decoder->input.length - decoder->at) / 2)
        make_room(decoder->L, 0, count);
    for (uint32_t i = 0; i < count; i++, before = key) {
        size_t offset = decoder->at;
        if (!next_key(decoder, n, &key))
            return false;
        if (i > 0 && !codec_check_order(&before, &key, offset, &error))
            return refuse(decoder, &error);
        if (!next_value(decoder, &value))
            return false;
        lua_rawset(decoder->L, INTO);
    }
    return true;
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Pushes the metatable or nil. */
static bool decode_rest(struct decoder *decoder)
{
    struct codec_error error;
    struct codec_value value;
    size_t offset = decoder->at, length = decoder->input.length;
    if (offset >= length) {
        lua_pushnil(decoder->L);
        return true;
    }
    if (!codec_at_extension(decoder->input, offset)) {
        codec_refuse(&error, offset, "the end or a metatable", "the byte %02x", decoder->input.bytes[offset]);
        return refuse(decoder, &error);
    }
    if (!codec_read_name(decoder->input, &decoder->at, &value, &error))
        return refuse(decoder, &error);
    if (decoder->at == length)
        return push_value(decoder->L, &value, offset);
    codec_refuse(&error, decoder->at, "the end", "%zu more bytes", length - decoder->at);
    return refuse(decoder, &error);
}

static struct decoder decoder_over(lua_State *L)
{
    struct decoder decoder = {.L = L};
    decoder.input.bytes = (const uint8_t *)luaL_checklstring(L, PAYLOAD, &decoder.input.length);
    luaL_checktype(L, LINKS, LUA_TTABLE);
    lua_settop(L, LINKS);
    lua_getfield(L, LINKS, "objects");
    return decoder;
}

int codec_decode(lua_State *L)
{
    luaL_checktype(L, INTO, LUA_TTABLE);
    struct decoder decoder = decoder_over(L);
    size_t n = 0;
    lua_pushboolean(L, true);
    if (decode_array(&decoder, &n) && decode_map(&decoder, n) && decode_rest(&decoder))
        return 2;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* `at` counts from 1. → value, position after it | error */
int codec_decode_value(lua_State *L)
{
    lua_Integer at = luaL_checkinteger(L, 2);
    struct decoder decoder = decoder_over(L);
    struct codec_value value;
    luaL_argcheck(L, at >= 1 && (lua_Unsigned)at <= decoder.input.length + 1, 2, "outside the payload");
    decoder.at = (size_t)at - 1;
    if (!next_value(&decoder, &value))
        return 1;
    lua_pushinteger(L, (lua_Integer)decoder.at + 1);
    return 2;
}
