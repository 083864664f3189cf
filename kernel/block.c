/* See block.h.
 *
 *     window (struct block: offset, size) ──┐
 *     window, a slice of it ────────────────┴─► struct block_memory (pages, charged to the process)
 *
 * A window can be sent only while it is the single one on its memory, so two processes never share
 * bytes. Memory that was freed has no bytes; a window on it answers every access with an error.
 */
#include "block.h"

#include <stdbool.h>
#include <string.h>

#include "capability.h"
#include "cells.h"
#include "pages.h"
#include "preempt.h"
#include "process.h"

#define ANYWHERE UINTPTR_MAX

struct block_memory {
    struct object object;
    uint8_t *bytes;             /* NULL: freed */
    size_t pages;               /* 0: not ours to free */
    size_t windows;
    struct block_pin *pin;      /* of the device that moves its bytes */
};

struct block {
    struct capability capability;
    struct block_memory *memory;
    size_t offset, size_bytes;
};

static const luaL_Reg block_methods[];

static void memory_release(struct object *object)
{
    struct block_memory *memory = (struct block_memory *)object;
    /* First, and while the pages are still its own. */
    if (memory->pin)
        memory->pin->break_off(memory->pin);
    if (memory->bytes && memory->pages > 0)
        page_free(memory->bytes, memory->pages);
    memory->bytes = NULL;
}

static void window_release(struct object *object)
{
    struct block_memory *memory = ((struct block *)object)->memory;
    if (memory && --memory->windows == 0)
        object_destroy(&memory->object);
}

static const char *window_fixed(struct capability *capability)
{
    struct block_memory *memory = ((struct block *)capability)->memory;
    if (!memory || !memory->bytes)
        return "it was freed";
    if (memory->pin)
        return "a transfer moves its bytes";
    return memory->windows > 1 ? "slices of it are in use" : NULL;
}

static const struct capability_kind block_kind = {
    .name = "block", .methods = block_methods, .release = window_release, .fixed = window_fixed,
};

/* --- windows --------------------------------------------------------------------------------- */

static struct block *block_check(lua_State *L, int index)
{
    struct block *block = capability_check(L, index, &block_kind);
    if (!block->memory || !block->memory->bytes)
        luaL_argerror(L, index, "this block was freed");
    return block;
}

static uint8_t *range_check(lua_State *L, const struct block *block, int index, lua_Integer offset,
                            lua_Integer length)
{
    if (offset < 0 || length < 0 || (size_t)offset > block->size_bytes
        || (size_t)length > block->size_bytes - (size_t)offset)
        luaL_error(L, "bad argument #%d: %I bytes at offset %I lie outside the block of %I bytes",
                   index, length, offset, (lua_Integer)block->size_bytes);
    return block->memory->bytes + block->offset + (size_t)offset;
}

uint8_t *block_range(lua_State *L, int index, lua_Integer offset, lua_Integer length)
{
    return range_check(L, block_check(L, index), index, offset, length);
}

uint8_t *block_whole(lua_State *L, int index, size_t *size_bytes)
{
    struct block *block = block_check(L, index);
    *size_bytes = block->size_bytes;
    return block->memory->bytes + block->offset;
}

uint8_t *block_pin(lua_State *L, int index, lua_Integer offset, lua_Integer length,
                   struct block_pin *pin)
{
    struct block *block = block_check(L, index);
    uint8_t *bytes = range_check(L, block, index, offset, length);
    luaL_argcheck(L, block->memory->pages > 0, index, "this is no memory of ours");
    luaL_argcheck(L, !block->memory->pin, index, "a transfer moves its bytes");
    preempt_disable();
    pin->memory = block->memory;
    block->memory->pin = pin;
    preempt_enable();
    return bytes;
}

void block_unpin(struct block_pin *pin)
{
    preempt_disable();
    if (pin->memory)
        pin->memory->pin = NULL;
    pin->memory = NULL;
    preempt_enable();
}

static void window_attach(struct block *block, struct block_memory *memory, size_t offset,
                          size_t size_bytes)
{
    preempt_disable();
    block->memory = memory;
    block->capability.object.attached = &memory->object;
    memory->windows++;
    block->offset = offset;
    block->size_bytes = size_bytes;
    preempt_enable();
}

/* Memory for a window: new, below `limit`, or (pages == 0) what is not ours, at `bytes`. New memory is
 * zeroed with pre-emption on, since it may be large: nobody can read it before this returns. */
static bool memory_attach(struct block *block, uint8_t *bytes, size_t size_bytes, size_t pages,
                          uintptr_t limit)
{
    preempt_disable();
    struct block_memory *memory =
        object_new(block->capability.object.owner, sizeof *memory, memory_release);
    bool made = memory && object_charge(&memory->object, pages * PAGE_SIZE);
    if (memory)
        object_hold(&memory->object);   /* by its windows */
    if (made && pages > 0) {
        bytes = limit == ANYWHERE ? page_alloc_raw(pages) : page_alloc_below_raw(pages, limit);
        made = bytes != NULL;
    }
    if (made) {
        memory->bytes = bytes;
        memory->pages = pages;
        window_attach(block, memory, 0, size_bytes);
    } else if (memory) {
        object_destroy(&memory->object);
    }
    preempt_enable();
    if (made)
        memset(bytes, 0, pages * PAGE_SIZE);
    return made;
}

void block_push_physical(lua_State *L, uintptr_t address, size_t size_bytes)
{
    struct block *block = capability_new(L, &block_kind, sizeof *block);
    if (!memory_attach(block, (uint8_t *)address, size_bytes, 0, ANYWHERE))
        luaL_error(L, "not enough memory");
}

void block_push_below(lua_State *L, lua_Integer size_bytes, uintptr_t limit)
{
    size_t pages = PAGES_OF(size_bytes);
    struct block *block = capability_new(L, &block_kind, sizeof *block);
    if (memory_attach(block, NULL, (size_t)size_bytes, pages, limit))
        return;
    /* Lua does not know how large the blocks are that it has not collected yet. */
    lua_gc(L, LUA_GCCOLLECT);
    if (!memory_attach(block, NULL, (size_t)size_bytes, pages, limit))
        luaL_error(L, "not enough memory");
}

static int l_block_new(lua_State *L)
{
    lua_Integer size_bytes = luaL_checkinteger(L, 1);
    luaL_argcheck(L, size_bytes > 0 && size_bytes <= PTRDIFF_MAX, 1, "size out of range");
    block_push_below(L, size_bytes, ANYWHERE);
    return 1;
}

static int l_block_slice(lua_State *L)
{
    struct block *block = block_check(L, 1);
    lua_Integer offset = luaL_checkinteger(L, 2), length = luaL_checkinteger(L, 3);
    range_check(L, block, 1, offset, length);
    struct block *slice = capability_new(L, &block_kind, sizeof *slice);
    /* Making the handle may have run a finalizer that freed the block. */
    block = block_check(L, 1);
    window_attach(slice, block->memory, block->offset + (size_t)offset, (size_t)length);
    return 1;
}

static int l_block_free(lua_State *L)
{
    struct block_memory *memory = block_check(L, 1)->memory;
    preempt_disable();
    memory_release(&memory->object);
    object_discharge(&memory->object, memory->object.charged_bytes - memory->object.struct_bytes);
    preempt_enable();
    return 0;
}

static int l_block_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)block_check(L, 1)->size_bytes);
    return 1;
}

/* --- numbers --------------------------------------------------------------------------------- */

static uint64_t read_number(const uint8_t *at, unsigned bytes, bool big_endian)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

static void write_number(uint8_t *at, unsigned bytes, bool big_endian, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        at[big_endian ? bytes - 1 - i : i] = (uint8_t)value;
}

static int get_number(lua_State *L, unsigned bytes, bool big_endian, bool is_signed)
{
    const uint8_t *at = block_range(L, 1, luaL_checkinteger(L, 2), bytes);
    uint64_t value = read_number(at, bytes, big_endian);
    unsigned shift = 64 - 8 * bytes;
    if (is_signed)
        value = (uint64_t)((int64_t)(value << shift) >> shift);
    lua_pushinteger(L, (lua_Integer)value);
    return 1;
}

/* Takes what fits as a signed or as an unsigned number of that width. */
static int set_number(lua_State *L, unsigned bytes, bool big_endian)
{
    lua_Integer value = luaL_checkinteger(L, 3);
    if (bytes < 8) {
        lua_Integer range = (lua_Integer)1 << (8 * bytes);
        luaL_argcheck(L, value >= -(range / 2) && value < range, 3, "number does not fit");
    }
    write_number(block_range(L, 1, luaL_checkinteger(L, 2), bytes), bytes, big_endian,
                 (uint64_t)value);
    return 0;
}

#define NUMBER(bits, suffix, big_endian)                                        \
    static int l_block_u##bits##suffix(lua_State *L)                            \
    {                                                                           \
        return get_number(L, bits / 8, big_endian, false);                      \
    }                                                                           \
    static int l_block_i##bits##suffix(lua_State *L)                            \
    {                                                                           \
        return get_number(L, bits / 8, big_endian, true);                       \
    }                                                                           \
    static int l_block_set_u##bits##suffix(lua_State *L)                        \
    {                                                                           \
        return set_number(L, bits / 8, big_endian);                             \
    }

NUMBER(8, , false)
NUMBER(16, , false)
NUMBER(32, , false)
NUMBER(64, , false)
NUMBER(16, be, true)
NUMBER(32, be, true)
NUMBER(64, be, true)

/* --- runs of bytes --------------------------------------------------------------------------- */

static int l_block_read(lua_State *L)
{
    struct block *block = block_check(L, 1);
    lua_Integer offset = luaL_checkinteger(L, 2), length = luaL_checkinteger(L, 3);
    lua_pushlstring(L, (const char *)range_check(L, block, 1, offset, length), (size_t)length);
    return 1;
}

static int l_block_write(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 3, &length);
    memcpy(block_range(L, 1, luaL_checkinteger(L, 2), (lua_Integer)length), bytes, length);
    return 0;
}

static int l_block_fill(lua_State *L)
{
    struct block *block = block_check(L, 1);
    lua_Integer value = luaL_checkinteger(L, 2), offset = luaL_optinteger(L, 3, 0);
    lua_Integer rest = offset < 0 ? 0 : (lua_Integer)block->size_bytes - offset;
    lua_Integer length = luaL_optinteger(L, 4, rest);
    luaL_argcheck(L, value >= 0 && value <= UINT8_MAX, 2, "number does not fit");
    memset(range_check(L, block, 1, offset, length), (int)value, (size_t)length);
    return 0;
}

static int l_block_copy(lua_State *L)
{
    lua_Integer length = luaL_checkinteger(L, 5);
    uint8_t *to = block_range(L, 1, luaL_checkinteger(L, 2), length);
    const uint8_t *from = block_range(L, 3, luaL_checkinteger(L, 4), length);
    memmove(to, from, (size_t)length);
    return 0;
}

/* b:compare(offset, other, other_offset, length) → -1, 0, 1 */
static int l_block_compare(lua_State *L)
{
    lua_Integer length = luaL_checkinteger(L, 5);
    const uint8_t *one = block_range(L, 1, luaL_checkinteger(L, 2), length);
    const uint8_t *other = block_range(L, 3, luaL_checkinteger(L, 4), length);
    int order = length > 0 ? memcmp(one, other, (size_t)length) : 0;
    lua_pushinteger(L, (order > 0) - (order < 0));
    return 1;
}

/* b:find(bytes [, from [, to]]) → offset of the first occurrence within [from, to) | nil */
static int l_block_find(lua_State *L)
{
    size_t length;
    /* First: a number becomes a string, and that may run a finalizer which frees the block. */
    const char *wanted = luaL_checklstring(L, 2, &length);
    struct block *block = block_check(L, 1);
    lua_Integer from = luaL_optinteger(L, 3, 0);
    lua_Integer to = luaL_optinteger(L, 4, (lua_Integer)block->size_bytes);
    const uint8_t *start = range_check(L, block, 1, 0, 0);
    luaL_argcheck(L, to >= 0 && (size_t)to <= block->size_bytes, 4, "outside the block");
    luaL_argcheck(L, from >= 0 && from <= to, 3, "outside the block");
    const uint8_t *found = memmem(start + from, (size_t)(to - from), wanted, length);
    if (!found)
        return 0;
    lua_pushinteger(L, found - start);
    return 1;
}

/* --- text as pixels -------------------------------------------------------------------------- */

/* Bytes of the picture from the first pixel of `count` cells to behind their last one. */
static size_t cells_extent(const struct cells_canvas *canvas, size_t count)
{
    size_t line = count * CELL_PIXELS * canvas->scale * canvas->pixel_bytes;
    return ((size_t)canvas->lines * canvas->scale - 1) * canvas->pitch_bytes + line;
}

static unsigned check_between(lua_State *L, int index, lua_Integer least, lua_Integer most)
{
    lua_Integer value = luaL_checkinteger(L, index);
    luaL_argcheck(L, value >= least && value <= most, index, "number out of range");
    return (unsigned)value;
}

static void check_glyphs(lua_State *L, const char *cells, size_t count, size_t glyph_count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *cell = (const uint8_t *)cells + i * CELL_BYTES;
        luaL_argcheck(L, (size_t)(cell[0] | cell[1] << 8) < glyph_count, 3, "no such glyph");
    }
}

/* b:draw_cells(offset, cells, before | nil, glyphs, lines, palette, pitch, pixel_bytes, scale): draws a
 * row of cells (cells.h) from `offset` on. `palette`: 16 pixels of 4 bytes, little endian. */
static int l_block_draw_cells(lua_State *L)
{
    size_t cells_bytes, before_bytes = 0, glyphs_bytes, palette_bytes;
    /* Strings first: a number that becomes one may run a finalizer which frees the block. */
    const char *cells = luaL_checklstring(L, 3, &cells_bytes);
    const char *before = luaL_optlstring(L, 4, NULL, &before_bytes);
    const char *glyphs = luaL_checklstring(L, 5, &glyphs_bytes);
    const char *palette = luaL_checklstring(L, 7, &palette_bytes);
    struct cells_canvas canvas = {
        .glyphs = (const uint8_t *)glyphs,
        .lines = check_between(L, 6, 1, 64),
        .pitch_bytes = check_between(L, 8, 1, INT32_MAX),
        .pixel_bytes = check_between(L, 9, 2, 4),
        .scale = check_between(L, 10, 1, CELL_SCALE_MOST),
    };
    size_t count = cells_bytes / CELL_BYTES;
    luaL_argcheck(L, cells_bytes % CELL_BYTES == 0 && count <= UINT16_MAX, 3, "not a row of cells");
    luaL_argcheck(L, !before || before_bytes == cells_bytes, 4, "not as many cells");
    luaL_argcheck(L, palette_bytes == sizeof canvas.palette, 7, "not 16 colours");
    check_glyphs(L, cells, count, glyphs_bytes / canvas.lines);
    memcpy(canvas.palette, palette, sizeof canvas.palette);
    lua_Integer extent = count > 0 ? (lua_Integer)cells_extent(&canvas, count) : 0;
    canvas.pixels = block_range(L, 1, luaL_checkinteger(L, 2), extent);
    cells_draw(&canvas, (const uint8_t *)cells, (const uint8_t *)before, count);
    return 0;
}

static const luaL_Reg block_methods[] = {
    {"size", l_block_size},
    {"__len", l_block_size},
    {"slice", l_block_slice},
    {"free", l_block_free},
    {"read", l_block_read},
    {"write", l_block_write},
    {"fill", l_block_fill},
    {"copy", l_block_copy},
    {"compare", l_block_compare},
    {"find", l_block_find},
    {"draw_cells", l_block_draw_cells},
#define NUMBER_METHODS(name)             \
    {"u" #name, l_block_u##name},        \
    {"i" #name, l_block_i##name},        \
    {"set_u" #name, l_block_set_u##name},
    NUMBER_METHODS(8)
    NUMBER_METHODS(16)
    NUMBER_METHODS(32)
    NUMBER_METHODS(64)
    NUMBER_METHODS(16be)
    NUMBER_METHODS(32be)
    NUMBER_METHODS(64be)
    {NULL, NULL},
};

void block_open(lua_State *L)
{
    lua_pushcfunction(L, l_block_new);
    lua_setfield(L, -2, "memory");
}
