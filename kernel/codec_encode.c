/* Table → payload. The counterpart of lua/fs/codec.lua's first half; see codec.h. */
#include "codec.h"

#include "codec_encoder.h"
#include "lauxlib.h"

/* What is pushed beside the pairs. */
#define SLOTS_SPARE 12

int codec_encode(lua_State *L)
{
    struct codec_encoder encoder = {.L = L, .names = ENCODE_NAMES, .miss = ENCODE_MISS};
    luaL_checktype(L, ENCODE_TABLE, LUA_TTABLE);
    luaL_checktype(L, ENCODE_NAMES, LUA_TTABLE);
    lua_settop(L, ENCODE_MISS);
    luaL_checkstack(L, PAIRS_FEW * SLOTS_OF_A_PAIR + SLOTS_SPARE, "no room to encode");
    lua_settop(L, ENCODE_KEPT);
    codec_output_start(&encoder.output, L, ENCODE_OUTPUT);
    struct codec_array array = codec_measure_array(L);
    if (!codec_write_array(&encoder, &array) || !codec_write_map(&encoder, &array))
        return 4;
    if (!lua_isnil(L, ENCODE_METATABLE) && !codec_write_value(&encoder, ENCODE_METATABLE, NO_KEY)) {
        codec_refuse_value(L, NO_KEY, ENCODE_METATABLE, "metatable");
        return 4;
    }
    codec_output_push(&encoder.output);
    return 1;
}

/* → bytes | nil */
int codec_encode_value(lua_State *L)
{
    enum { VALUE = 1, OF_NAMES = 2, OF_MISS = 3, KEY = 4, OUTPUT_OF_VALUE = 5 };
    struct codec_encoder encoder = {.L = L, .names = OF_NAMES, .miss = OF_MISS};
    luaL_checkany(L, VALUE);
    luaL_checktype(L, OF_NAMES, LUA_TTABLE);
    lua_settop(L, OUTPUT_OF_VALUE - 1);
    lua_pushnil(L);
    codec_output_start(&encoder.output, L, OUTPUT_OF_VALUE);
    if (codec_write_value(&encoder, VALUE, KEY))
        codec_output_push(&encoder.output);
    else
        lua_pushnil(L);
    return 1;
}
