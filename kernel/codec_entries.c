/* Entries of a commit as they stand in a frame: header, payload, zeros up to a whole place; and the pointers to
 * them. See codec.h; the reference is entry.builder in lua/fs/entry.lua.
 */
#include "codec.h"

#include <string.h>

#include "codec_format.h"
#include "crc32c.h"
#include "lauxlib.h"

enum { IDS = 1, KINDS, PAYLOADS, FIRST, LAST, PLACE, POINTERS, CRC };

_Static_assert(ENTRY_CRC_OFFSET + 4 == ENTRY_HEADER_BYTES && POINTER_BYTES == ENTRY_HEADER_BYTES,
               "the crc ends an entry's header, and a pointer has the same shape");

static void put(uint8_t *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> 8 * i);
}

/* What the crc covers before the payload. */
static void put_covered(uint8_t *to, uint64_t tag, size_t length)
{
    put(to + ENTRY_TAG_OFFSET, tag, 8);
    put(to + ENTRY_PAYLOAD_BYTES_OFFSET, length, 4);
}

static size_t entry_bytes(size_t length)
{
    return (ENTRY_HEADER_BYTES + length + PLACE_UNIT_BYTES - 1) / PLACE_UNIT_BYTES * PLACE_UNIT_BYTES;
}

static uint64_t number_at(lua_State *L, int list, lua_Integer position)
{
    lua_rawgeti(L, list, position);
    if (!lua_isinteger(L, -1))
        luaL_error(L, "entries: no number at %I", position);
    uint64_t number = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return number;
}

static const char *payload_at(lua_State *L, lua_Integer position, size_t *length)
{
    if (lua_rawgeti(L, PAYLOADS, position) != LUA_TSTRING)
        luaL_error(L, "entries: no payload at %I", position);
    return lua_tolstring(L, -1, length);
}

/* Bytes of all of them. */
static size_t measure(lua_State *L, lua_Integer first, lua_Integer last)
{
    size_t total = 0, length;
    for (lua_Integer i = first; i <= last; i++) {
        payload_at(L, i, &length);
        total += entry_bytes(length);
        lua_pop(L, 1);
    }
    return total;
}

/* One entry; its pointer goes into the list. Returns how many bytes it takes. A finalizer may have put something larger
 * in its place since it was measured.
 */
static size_t put_entry(lua_State *L, lua_Integer i, uint8_t *to, size_t room, uint64_t place, uint32_t *crc)
{
    uint8_t pointer[POINTER_BYTES];
    size_t length;
    uint64_t kind = number_at(L, KINDS, i) << ID_BITS, id = number_at(L, IDS, i);
    const char *payload = payload_at(L, i, &length);
    size_t whole = entry_bytes(length);
    if (whole > room)
        luaL_error(L, "entries: the payload at %I grew", i);
    put_covered(to, id | kind, length);
    memcpy(to + ENTRY_HEADER_BYTES, payload, length);
    memset(to + ENTRY_HEADER_BYTES + length, 0, whole - ENTRY_HEADER_BYTES - length);
    lua_pop(L, 1);
    uint32_t own = crc32c(crc32c(0, to, ENTRY_CRC_OFFSET), to + ENTRY_HEADER_BYTES, length);
    put(to + ENTRY_CRC_OFFSET, own, 4);
    *crc = crc32c(*crc, to, ENTRY_HEADER_BYTES);
    put_covered(pointer, place | kind, length);
    put(pointer + ENTRY_CRC_OFFSET, own, 4);
    lua_pushlstring(L, (const char *)pointer, sizeof pointer);
    lua_rawseti(L, POINTERS, i);
    return whole;
}

int codec_entries(lua_State *L)
{
    static const int lists[] = {IDS, KINDS, PAYLOADS, POINTERS};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        luaL_checktype(L, lists[i], LUA_TTABLE);
    lua_Integer first = luaL_checkinteger(L, FIRST), last = luaL_checkinteger(L, LAST);
    uint64_t place = (uint64_t)luaL_checkinteger(L, PLACE);
    uint32_t crc = (uint32_t)luaL_checkinteger(L, CRC);
    lua_settop(L, CRC);
    size_t total = measure(L, first, last), done = 0;
    luaL_Buffer buffer;
    uint8_t *to = (uint8_t *)luaL_buffinitsize(L, &buffer, total);
    for (lua_Integer i = first; i <= last; i++)
        done += put_entry(L, i, to + done, total - done, place + done / PLACE_UNIT_BYTES, &crc);
    luaL_pushresultsize(&buffer, done);
    lua_pushinteger(L, crc);
    return 2;
}
