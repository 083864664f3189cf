/* The array part of a table, packed where the format packs it; see codec_encoder.h. */
#include <string.h>

#include "codec_encoder.h"
#include "codec_format.h"
#include "lauxlib.h"
#include "messagepack.h"

static void look_at(lua_State *L, struct codec_array *array)
{
    if (!lua_isinteger(L, -1)) {
        array->integers = false;
        array->floats = array->floats && lua_type(L, -1) == LUA_TNUMBER;
        return;
    }
    lua_Integer integer = lua_tointeger(L, -1);
    array->floats = false;
    if (array->count == 0 || integer < array->least)
        array->least = integer;
    if (array->count == 0 || integer > array->greatest)
        array->greatest = integer;
}

struct codec_array codec_measure_array(lua_State *L)
{
    struct codec_array array = {.integers = true, .floats = true};
    while (lua_rawgeti(L, ENCODE_TABLE, array.count + 1) != LUA_TNIL) {
        look_at(L, &array);
        array.count++;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return array;
}

/* Code and bytes of the narrowest element; the array is all integers or all floats. */
static uint8_t element_of(const struct codec_array *array, unsigned *bytes)
{
    static const uint8_t codes[] = {PACKED_I8, PACKED_I16, PACKED_I32, PACKED_I64};
    *bytes = 8;
    if (array->floats)
        return PACKED_F64;
    unsigned width = 0;
    for (; width < 3; width++) {
        lua_Integer greatest = ((lua_Integer)1 << ((8 << width) - 1)) - 1;
        if (array->greatest <= greatest && array->least >= -greatest - 1)
            break;
    }
    *bytes = 1u << width;
    return codes[width];
}

/* On x86 the low bytes of a number are its first. False: it is not what was measured. */
static bool put_element(lua_State *L, const struct codec_array *array, uint8_t *place, unsigned bytes)
{
    if (array->floats) {
        lua_Number number = lua_tonumber(L, -1);
        uint64_t bits = CANONICAL_NAN;
        if (number == number)
            memcpy(&bits, &number, sizeof bits);
        memcpy(place, &bits, sizeof bits);
        return lua_type(L, -1) == LUA_TNUMBER && !lua_isinteger(L, -1);
    }
    lua_Integer integer = lua_tointeger(L, -1);
    memcpy(place, &integer, bytes);
    return lua_isinteger(L, -1) && integer >= array->least && integer <= array->greatest;
}

static void write_packed(struct codec_encoder *encoder, const struct codec_array *array)
{
    lua_State *L = encoder->L;
    unsigned bytes;
    uint8_t code = element_of(array, &bytes);
    codec_write_packed(&encoder->output, code, (size_t)array->count * bytes);
    uint8_t *place = codec_output_add(&encoder->output, (size_t)array->count * bytes);
    for (lua_Integer i = 1; i <= array->count; i++, place += bytes) {
        lua_rawgeti(L, ENCODE_TABLE, i);
        if (!put_element(L, array, place, bytes))
            luaL_error(L, "the table was changed while it was encoded");
        lua_pop(L, 1);
    }
}

bool codec_write_array(struct codec_encoder *encoder, const struct codec_array *array)
{
    lua_State *L = encoder->L;
    if (array->count >= PACKED_MIN && (array->integers || array->floats)) {
        write_packed(encoder, array);
        return true;
    }
    codec_write_array_count(&encoder->output, (size_t)array->count);
    for (lua_Integer i = 1; i <= array->count; i++) {
        lua_pushinteger(L, i);
        lua_rawgeti(L, ENCODE_TABLE, i);
        if (!codec_write_value(encoder, lua_gettop(L), lua_gettop(L) - 1))
            return codec_refuse_value(L, lua_gettop(L) - 1, lua_gettop(L), "value");
        lua_pop(L, 2);
    }
    return true;
}
