/* core.codec.fingerprinter([secret]) → a fingerprinter, with a key of its own (fingerprint.h):
 *
 *     f:changed(loaded, payloads, marks, names) → list of the ids in `loaded` whose table is not, or may not
 *                                                 be, as payloads[id] says
 *     f:same(t, payload, names)                 → is the table t as the payload says? false also when
 *                                                 this cannot be told
 *
 * loaded: id → table. names: object → id or permanent's name. marks remembers the fingerprints of payloads:
 * whoever sets payloads[id] sets marks[2 * id] and marks[2 * id + 1] to false, and they become the two halves.
 * A fingerprint is always taken of a payload, never of a table, which a program may be changing. The
 * tables are read raw, metatables included.
 */
#include <string.h>

#include "codec.h"
#include "fingerprint_table.h"
#include "lauxlib.h"
#include "lstate.h"
#include "ltable.h"
#include "ltm.h"
#include "random.h"

#define IDS_FEW 128

struct fingerprinter {
    struct fingerprint_key key;
    struct fingerprint_pass pass;
};

/* Its address is the key of the metatable in the registry. */
static const char fingerprinter_metatable;

static struct fingerprinter *check_fingerprinter(lua_State *L)
{
    struct fingerprinter *fingerprinter = lua_touserdata(L, 1);
    bool is_one = fingerprinter && lua_getmetatable(L, 1);
    if (is_one) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &fingerprinter_metatable);
        is_one = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    luaL_argexpected(L, is_one, 1, "fingerprinter");
    return fingerprinter;
}

static Table *check_table(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    return (Table *)lua_topointer(L, index);
}

/* --- one pass -------------------------------------------------------------------------------- */

struct search {
    struct fingerprinter *fingerprinter;
    Table *payloads, *marks;
    lua_Integer *ids;               /* what was found */
    size_t count, room;             /* how many there are, and fit */
};

/* The two marks of an object. */
static lua_Integer mark_key(lua_Integer id, unsigned half)
{
    return (lua_Integer)(2 * (lua_Unsigned)id + half);
}

static bool get_marks(const struct search *search, lua_Integer id, fingerprint *result)
{
    TValue low, high;
    if (luaH_getint(search->marks, mark_key(id, 0), &low) != LUA_VNUMINT
        || luaH_getint(search->marks, mark_key(id, 1), &high) != LUA_VNUMINT)
        return false;
    *result = (fingerprint)l_castS2U(ivalue(&high)) << 64 | l_castS2U(ivalue(&low));
    return true;
}

/* Takes the place of the value that is there; where none is, nothing is remembered. */
static void set_mark(const struct search *search, lua_Integer key, uint64_t half)
{
    TValue value;
    int outcome;
    setivalue(&value, l_castU2S(half));
    luaH_fastseti(search->marks, key, &value, outcome);
    (void)outcome;
}

/* The fingerprint of what payloads[id] says. */
static bool mark_of(const struct search *search, lua_Integer id, fingerprint *result)
{
    TValue payload;
    if (get_marks(search, id, result))
        return true;
    if (novariant(luaH_getint(search->payloads, id, &payload)) != LUA_TSTRING)
        return false;
    struct codec_input input;
    input.bytes = (const uint8_t *)getlstr(tsvalue(&payload), input.length);
    if (!fingerprint_of_payload(&search->fingerprinter->key, input, result))
        return false;
    /* Whoever is stopped for ever between the two leaves one half, which counts as none. */
    set_mark(search, mark_key(id, 0), (uint64_t)*result);
    set_mark(search, mark_key(id, 1), (uint64_t)(*result >> 64));
    return true;
}

static void look_at(struct search *search, lua_Integer id, const TValue *value)
{
    fingerprint now, before;
    if (ttistable(value) && mark_of(search, id, &before)
        && fingerprint_of_table(&search->fingerprinter->pass, hvalue(value), &now) && now == before)
        return;
    if (search->count < search->room)
        search->ids[search->count] = id;
    search->count++;
}

/* What the next tables but a few consist of is fetched while one is looked at: a pass over many finds nothing of
 * them in the cache. */
#define AHEAD_FAR 8
#define AHEAD_NEAR 3

static inline void fetch_table(const TValue *value)
{
    if (ttistable(value))
        __builtin_prefetch(hvalue(value));
}

static inline void fetch_contents(const TValue *value)
{
    if (!ttistable(value))
        return;
    __builtin_prefetch(hvalue(value)->node);
    __builtin_prefetch(hvalue(value)->node + 2);
    __builtin_prefetch(hvalue(value)->array);
}

/* Element i of the array part, where there is one; nil otherwise. */
static inline TValue element(const Table *table, unsigned i)
{
    TValue value = {.tt_ = LUA_VNIL};
    if (i < table->asize)
        farr2val(table, i, *getArrTag(table, i), &value);
    return value;
}

static inline const TValue *node_value(const Table *table, unsigned i)
{
    return gval(gnode(table, i < sizenode(table) ? i : 0));
}

/* Looks at every table of `loaded`. Allocates nothing; see fingerprint_table.h. */
static void look_at_all(struct search *search, const Table *loaded, Table *names)
{
    search->count = 0;
    fingerprint_pass_start(&search->fingerprinter->pass, &search->fingerprinter->key, names);
    for (unsigned i = 0; i < loaded->asize; i++) {
        TValue value = element(loaded, i), near = element(loaded, i + AHEAD_NEAR);
        TValue far = element(loaded, i + AHEAD_FAR);
        fetch_table(&far);
        fetch_contents(&near);
        if (!isempty(&value))
            look_at(search, (lua_Integer)i + 1, &value);
    }
    for (unsigned i = 0; i < sizenode(loaded); i++) {
        const Node *node = gnode(loaded, i);
        fetch_table(node_value(loaded, i + AHEAD_FAR));
        fetch_contents(node_value(loaded, i + AHEAD_NEAR));
        if (!isempty(gval(node)) && keyisinteger(node))
            look_at(search, keyival(node), gval(node));
    }
}

static int l_changed(lua_State *L)
{
    lua_Integer few[IDS_FEW];
    struct search search = {.fingerprinter = check_fingerprinter(L), .ids = few, .room = IDS_FEW};
    lua_settop(L, 6);
    const Table *loaded = check_table(L, 2);
    search.payloads = check_table(L, 3);
    search.marks = check_table(L, 4);
    Table *names = check_table(L, 5);
    look_at_all(&search, loaded, names);
    while (search.count > search.room) {        /* a finalizer may load more when memory is asked for */
        search.room = search.count;
        search.ids = lua_newuserdatauv(L, search.room * sizeof *search.ids, 0);
        lua_replace(L, 6);
        look_at_all(&search, loaded, names);
    }
    lua_createtable(L, (int)search.count, 0);
    for (size_t i = 0; i < search.count; i++) {
        lua_pushinteger(L, search.ids[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int l_same(lua_State *L)
{
    struct fingerprinter *fingerprinter = check_fingerprinter(L);
    const Table *table = check_table(L, 2);
    struct codec_input payload;
    payload.bytes = (const uint8_t *)luaL_checklstring(L, 3, &payload.length);
    Table *names = check_table(L, 4);
    fingerprint said, now;
    fingerprint_pass_start(&fingerprinter->pass, &fingerprinter->key, names);
    lua_pushboolean(L, fingerprint_of_payload(&fingerprinter->key, payload, &said)
                       && fingerprint_of_table(&fingerprinter->pass, table, &now) && said == now);
    return 1;
}

/* --- making one ------------------------------------------------------------------------------ */

static void push_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"changed", l_changed}, {"same", l_same}, {NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fingerprinter_metatable) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, "fingerprinter");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fingerprinter_metatable);
}

int codec_fingerprinter(lua_State *L)
{
    uint64_t chance[] = {random_u64(), random_u64()};
    size_t length;
    const char *secret = luaL_optlstring(L, 1, (const char *)chance, &length);
    if (!lua_isnoneornil(L, 1))
        luaL_argcheck(L, length == FINGERPRINT_KEY_BYTES, 1, "16 bytes expected");
    uint8_t bytes[FINGERPRINT_KEY_BYTES];
    memcpy(bytes, secret, sizeof bytes);
    struct fingerprinter *fingerprinter = lua_newuserdatauv(L, sizeof *fingerprinter, 0);
    fingerprint_key_make(&fingerprinter->key, bytes);
    push_metatable(L);
    lua_setmetatable(L, -2);
    return 1;
}
