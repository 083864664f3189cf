/* See crash_record.h.
 *
 *   core.kept(place) → text | nil       core.keep(place, text) → whether it fits (nil drops it)
 *
 * place 1 holds the last panic, place 2 what Lua keeps. The pages are mapped uncached: a reset may
 * throw away what a cache has not written back.
 */
#include "crash_record.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "boot_info.h"
#include "crc32c.h"
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"
#include "paging.h"

/* Above what SeaBIOS clears before it boots (0x7000 to 0x90000) and GRUB's scratch area (0x68000 to
 * 0x78000), below the extended BIOS data area. */
#define RECORDS_ADDRESS 0x94000UL
#define RECORDS_BYTES (16 * 1024)
#define PANIC_BYTES (4 * 1024)
#define MAGIC 0x31304853524b484bULL     /* "KHKRSH01" */
#define PLACES 2

struct record {
    uint64_t magic;
    uint32_t crc;                       /* CRC32C of length and text */
    uint32_t length;
    char text[];
};

static bool available;

static struct record *record_at(unsigned place)
{
    return (struct record *)(RECORDS_ADDRESS + (place == 1 ? 0 : PANIC_BYTES));
}

static size_t capacity(unsigned place)
{
    return (place == 1 ? PANIC_BYTES : RECORDS_BYTES - PANIC_BYTES) - sizeof(struct record);
}

static uint32_t record_crc(const struct record *record)
{
    uint32_t crc = crc32c(0, &record->length, sizeof record->length);
    return crc32c(crc, record->text, record->length);
}

static bool is_valid(unsigned place)
{
    const struct record *record = record_at(place);
    return available && record->magic == MAGIC && record->length <= capacity(place)
           && record->crc == record_crc(record);
}

static void seal(struct record *record, size_t length)
{
    record->length = (uint32_t)length;
    record->crc = record_crc(record);
    record->magic = MAGIC;
}

void crash_record_start(const struct boot_info *boot)
{
    for (size_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        if (region->kind == REGION_AVAILABLE && region->address <= RECORDS_ADDRESS
            && region->address + region->length >= RECORDS_ADDRESS + RECORDS_BYTES)
            available = paging_map(RECORDS_ADDRESS, RECORDS_BYTES, PAGING_DEVICE);
    }
}

void crash_record_panic(const char *bytes, size_t length)
{
    static bool begun;
    struct record *record = record_at(1);
    if (!available)
        return;
    if (!begun)
        record->length = 0;
    begun = true;
    size_t room = capacity(1) - record->length;
    if (length > room)
        length = room;
    memcpy(record->text + record->length, bytes, length);
    seal(record, record->length + length);
}

static unsigned check_place(lua_State *L)
{
    lua_Integer place = luaL_checkinteger(L, 1);
    luaL_argcheck(L, place >= 1 && place <= PLACES, 1, "not a place");
    return (unsigned)place;
}

static int l_kept(lua_State *L)
{
    unsigned place = check_place(L);
    if (!is_valid(place))
        return 0;
    lua_pushlstring(L, record_at(place)->text, record_at(place)->length);
    return 1;
}

static int l_keep(lua_State *L)
{
    unsigned place = check_place(L);
    size_t length;
    const char *text = luaL_optlstring(L, 2, NULL, &length);
    bool fits = available && (text == NULL || length <= capacity(place));
    if (available)
        record_at(place)->magic = 0;
    if (fits && text != NULL) {
        memcpy(record_at(place)->text, text, length);
        seal(record_at(place), length);
    }
    lua_pushboolean(L, fits);
    return 1;
}

void crash_record_open(lua_State *L)
{
    lua_pushcfunction(L, l_kept);
    lua_setfield(L, -2, "kept");
    lua_pushcfunction(L, l_keep);
    lua_setfield(L, -2, "keep");
}
