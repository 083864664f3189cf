/* The map part of a table, in canonical order; see codec_encoder.h. */
#include <string.h>

#include "codec_encoder.h"
#include "codec_order.h"
#include "lauxlib.h"

/* Room for codec_key at first, once there are many. */
#define PAIRS_FIRST_ROOM 64

/* The pairs beside the array part. A pair's slot is its first stack index, or, of many, its number. */
struct pairs {
    struct codec_key *keys;
    size_t count, room;
    bool many;                      /* the table at ENCODE_KEPT holds them, and the memory of `keys` */
};

/* Of the key at `index`, whose name, if it is asked for one, is on top of the stack. */
static void weigh_named(lua_State *L, struct codec_key *key)
{
    if (lua_type(L, -1) == LUA_TSTRING) {
        key->rank = RANK_PERMANENT;
        key->text = lua_tolstring(L, -1, &key->length);
        key->weight = codec_weight_of_text(key->text, key->length);
    } else {
        key->rank = RANK_REFERENCE;
        key->weight = (uint64_t)codec_id_on_top(L);
    }
}

/* Says where the key at `index` stands in the order, and pushes its name or nil; false: it has none. */
static bool weigh(struct codec_encoder *encoder, int index, struct codec_key *key)
{
    lua_State *L = encoder->L;
    int type = lua_type(L, index);
    key->text = NULL;
    key->weight = 0;
    if (type == LUA_TSTRING) {
        key->rank = RANK_STRING;
        key->text = lua_tolstring(L, index, &key->length);
        key->weight = codec_weight_of_text(key->text, key->length);
    } else if (type == LUA_TBOOLEAN) {
        key->rank = lua_toboolean(L, index) ? RANK_TRUE : RANK_FALSE;
    } else if (type == LUA_TNUMBER && lua_isinteger(L, index)) {
        key->rank = RANK_INTEGER;
        key->weight = codec_weight_of_integer(lua_tointeger(L, index));
    } else if (type == LUA_TNUMBER) {
        key->rank = RANK_FLOAT;
        key->weight = codec_weight_of_float(lua_tonumber(L, index));
    } else {
        if (!codec_push_name(encoder, index, index))
            return false;
        weigh_named(L, key);
        return true;
    }
    lua_pushnil(L);
    return true;
}

/* Another piece of memory for the keys, which the table at ENCODE_KEPT keeps alive as its element 0. */
static void make_room(lua_State *L, struct pairs *pairs, size_t room)
{
    struct codec_key *keys = lua_newuserdatauv(L, room * sizeof *keys, 0);
    memcpy(keys, pairs->keys, pairs->count * sizeof *keys);
    lua_rawseti(L, ENCODE_KEPT, 0);
    pairs->keys = keys;
    pairs->room = room;
}

/* Element of the table at ENCODE_KEPT where a pair's key is; value and name follow. */
static lua_Integer kept_at(const struct codec_key *key)
{
    return (lua_Integer)SLOTS_OF_A_PAIR * key->slot + 1;
}

/* The few have become many: they leave the stacks. On top are key and value of the next one. */
static void leave_stacks(lua_State *L, struct pairs *pairs)
{
    lua_newtable(L);
    lua_replace(L, ENCODE_KEPT);
    make_room(L, pairs, PAIRS_FIRST_ROOM);
    pairs->many = true;
    for (size_t i = 0; i < pairs->count; i++) {
        int first = pairs->keys[i].slot;
        pairs->keys[i].slot = (int)i;
        for (int part = 0; part < SLOTS_OF_A_PAIR; part++) {
            lua_pushvalue(L, first + part);
            lua_rawseti(L, ENCODE_KEPT, kept_at(&pairs->keys[i]) + part);
        }
    }
    lua_copy(L, -2, ENCODE_FIRST_PAIR);
    lua_copy(L, -1, ENCODE_FIRST_PAIR + 1);
    lua_settop(L, ENCODE_FIRST_PAIR + 1);
}

/* Key, value and name on top are those of the next of many. Leaves the key, for lua_next(). */
static void keep(lua_State *L, struct pairs *pairs)
{
    struct codec_key *key = &pairs->keys[pairs->count];
    key->slot = (int)pairs->count;
    lua_rawseti(L, ENCODE_KEPT, kept_at(key) + 2);
    lua_rawseti(L, ENCODE_KEPT, kept_at(key) + 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, ENCODE_KEPT, kept_at(key));
}

/* Takes in the pair on top. Leaves its key on top. */
static bool take(struct codec_encoder *encoder, struct pairs *pairs)
{
    lua_State *L = encoder->L;
    if (pairs->count == pairs->room && !pairs->many)
        leave_stacks(L, pairs);
    else if (pairs->count == pairs->room)
        make_room(L, pairs, 2 * pairs->room);
    int index = lua_gettop(L) - 1;
    struct codec_key *key = &pairs->keys[pairs->count];
    if (!weigh(encoder, index, key))
        return codec_refuse_value(L, index, index, "key");
    if (pairs->many) {
        keep(L, pairs);
    } else {
        key->slot = index;
        lua_pushvalue(L, index);
    }
    pairs->count++;
    return true;
}

static bool is_in_array(lua_State *L, int index, lua_Integer count)
{
    lua_Integer integer = lua_isinteger(L, index) ? lua_tointeger(L, index) : 0;
    return integer >= 1 && integer <= count;
}

static bool collect(struct codec_encoder *encoder, const struct codec_array *array, struct pairs *pairs)
{
    lua_State *L = encoder->L;
    lua_pushnil(L);
    while (lua_next(L, ENCODE_TABLE)) {
        if (is_in_array(L, -2, array->count))
            lua_pop(L, 1);
        else if (!take(encoder, pairs))
            return false;
    }
    return true;
}

/* The three slots of the pair begin at `first`. */
static bool write_pair(struct codec_encoder *encoder, const struct codec_key *key, int first)
{
    lua_State *L = encoder->L;
    if (key->rank == RANK_STRING) {
        codec_write_string(&encoder->output, key->text, key->length);
    } else if (key->rank >= RANK_REFERENCE) {
        lua_pushvalue(L, first + 2);
        codec_write_name(encoder, first);
    } else {
        codec_write_value(encoder, first, NO_KEY);
    }
    return codec_write_value(encoder, first + 1, first) || codec_refuse_value(L, first, first + 1, "value");
}

static bool write_kept_pair(struct codec_encoder *encoder, const struct codec_key *key)
{
    lua_State *L = encoder->L;
    int first = lua_gettop(L) + 1;
    for (int part = 0; part < SLOTS_OF_A_PAIR; part++)
        lua_rawgeti(L, ENCODE_KEPT, kept_at(key) + part);
    if (!write_pair(encoder, key, first))
        return false;
    lua_settop(L, first - 1);
    return true;
}

bool codec_write_map(struct codec_encoder *encoder, const struct codec_array *array)
{
    struct codec_key few[PAIRS_FEW];
    struct pairs pairs = {.keys = few, .room = PAIRS_FEW};
    if (!collect(encoder, array, &pairs))
        return false;
    codec_sort_keys(pairs.keys, pairs.count);
    codec_write_map_count(&encoder->output, pairs.count);
    for (size_t i = 0; i < pairs.count; i++) {
        const struct codec_key *key = &pairs.keys[i];
        if (!(pairs.many ? write_kept_pair(encoder, key) : write_pair(encoder, key, key->slot)))
            return false;
    }
    return true;
}
