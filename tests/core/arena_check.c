/* host.arena_check(seed, steps): random requests to one arena, whose blocks know their content. Checks
 * after every step that nothing overlaps or changes, that used_bytes is exact and the quota holds, and
 * in the end that dropping gives back every page. */
#include "arena_check.h"

#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "lauxlib.h"
#include "pages.h"

#define SLOTS 512
#define QUOTA_PAGES 600

struct slot {
    unsigned char *block;
    size_t bytes;
    unsigned char fill;
};

struct check {
    lua_State *L;
    struct arena arena;
    struct slot slots[SLOTS];
    uint64_t random;
    size_t used_bytes;
    unsigned long refused;
};

static uint64_t next_random(struct check *check)
{
    check->random ^= check->random << 13;
    check->random ^= check->random >> 7;
    check->random ^= check->random << 17;
    return check->random;
}

/* Mostly small, sometimes at the edges of classes and pages, seldom huge. */
static size_t random_size(struct check *check)
{
    static const size_t edges[] = {16, 17, 256, 257, 2016, 2017, 4064, 4065, 8160, 65536};
    uint64_t kind = next_random(check) % 16;
    if (kind < 10)
        return 1 + next_random(check) % 300;
    if (kind < 13)
        return edges[next_random(check) % (sizeof edges / sizeof *edges)];
    return 1 + next_random(check) % (kind == 15 ? 3000000 : 20000);
}

static void verify(struct check *check, const struct slot *slot, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += i < 64 ? 1 : 61)
        if (slot->block[i] != slot->fill)
            luaL_error(check->L, "a block of %d bytes changed at %d", (int)slot->bytes, (int)i);
}

static void took(struct check *check, struct slot *slot, void *block, size_t bytes)
{
    if ((uintptr_t)block % 16 != 0)
        luaL_error(check->L, "a block is not aligned");
    check->used_bytes += bytes;
    slot->block = block;
    slot->bytes = bytes;
    slot->fill = (unsigned char)next_random(check);
    memset(block, slot->fill, bytes);
}

static void allocate(struct check *check, struct slot *slot)
{
    size_t bytes = random_size(check);
    unsigned char *block = arena_alloc(&check->arena, bytes);
    /* A large one comes from pages that somebody else has had. */
    for (size_t i = 0; block && bytes > ARENA_SMALL_BYTES && i < bytes; i += 97)
        if (block[i] != 0)
            luaL_error(check->L, "a new block of %d bytes is not zeroed at %d", (int)bytes, (int)i);
    if (block)
        took(check, slot, block, bytes);
    else
        check->refused++;
}

static void release(struct check *check, struct slot *slot)
{
    verify(check, slot, slot->bytes);
    arena_free(&check->arena, slot->block, slot->bytes);
    check->used_bytes -= slot->bytes;
    slot->block = NULL;
}

static void resize(struct check *check, struct slot *slot)
{
    size_t bytes = random_size(check);
    void *moved = arena_resize(&check->arena, slot->block, slot->bytes, bytes);
    if (!moved) {
        if (bytes < slot->bytes && bytes <= ARENA_SMALL_BYTES)
            luaL_error(check->L, "shrinking to %d bytes failed", (int)bytes);
        check->refused++;
        verify(check, slot, slot->bytes);
        return;
    }
    slot->block = moved;
    verify(check, slot, bytes < slot->bytes ? bytes : slot->bytes);
    check->used_bytes -= slot->bytes;
    took(check, slot, moved, bytes);
}

static void step(struct check *check)
{
    struct slot *slot = &check->slots[next_random(check) % SLOTS];
    if (!slot->block)
        allocate(check, slot);
    else if (next_random(check) % 3 == 0)
        resize(check, slot);
    else
        release(check, slot);
    if (check->arena.used_bytes != check->used_bytes)
        luaL_error(check->L, "used_bytes is %d, should be %d", (int)check->arena.used_bytes,
                   (int)check->used_bytes);
    /* Shrinking to a small block may pass the quota by a page. */
    if (check->arena.page_count > QUOTA_PAGES + SLOTS)
        luaL_error(check->L, "%d pages taken", (int)check->arena.page_count);
}

int l_arena_check(lua_State *L)
{
    static struct check check;
    memset(&check, 0, sizeof check);
    check.L = L;
    check.random = (uint64_t)luaL_checkinteger(L, 1) | 1;
    arena_start(&check.arena, QUOTA_PAGES);
    for (lua_Integer steps = luaL_checkinteger(L, 2); steps > 0; steps--)
        step(&check);
    for (size_t budget = 0; !arena_drop(&check.arena, &budget); budget = next_random(&check) % 50)
        continue;
    lua_pushinteger(L, (lua_Integer)check.refused);
    return 1;
}
