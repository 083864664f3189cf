/* DMA engines: core.dma(description) and their methods. An engine moves bytes between a device and a
 * bounded block by itself, along a table of descriptors in memory whose address stands in a port.
 *
 *   core.dma{command = port, table = port, start = bit, into_memory = value, from_memory = value}
 *       the ports of an engine's command register (8 bits) and table register (32 bits), and what the
 *       command register takes: the direction, and the bit that starts the transfer
 *   e:memory(bytes) → zeroed block that the engine can reach, charged to the process
 *   e:prepare("in" | "out", block, position, count)     the next transfer: count bytes of the block
 *   e:start()     goes on by itself from here
 *   e:launch("in" | "out", block, position, count, range, offset, value, …)
 *       all of a transfer's beginning: prepare, these writes (as range:out8_each takes them), start
 *   e:stop()      the transfer is over, or is broken off; prepared or not, running or not
 *
 *     idle ─ prepare ─► prepared ─ start ─► running ─ stop ─► idle
 *
 * Which engine that is, where its ports lie and what the numbers mean, is for Lua: a driver's register
 * table has them, and the supervisor alone can make an engine. Lua never sees an address: the two
 * registers that could be told one are nobody's but this file's, and descriptors lie in a page that
 * no block shows.
 *
 * Promise: an engine moves no bytes but those of the block that its holder named, and none after
 * `stop` has returned, after its handle or the block has been freed, or after its process has ended,
 * however that came: the memory is pinned (block.h), and whoever frees it first stops the engine.
 *
 * Descriptors: Programming Interface for Bus Master IDE Controller, revision 1.0, section 1.2. A region
 * must not cross 64 KiB and is given as a 32-bit address and a 16-bit count, 0 for 64 KiB; the last
 * one has bit 15 of the upper word set. The table must not cross 64 KiB either: it is one page.
 */
#include "block.h"
#include "capability.h"
#include "io.h"
#include "lua_bindings.h"
#include "lua_port.h"
#include "pages.h"
#include "preempt.h"
#include "process.h"

#define REACH 0x100000000UL             /* 32 bits of address */
#define REGION_BYTES 0x10000UL
#define LAST_REGION 0x80000000UL
#define REGIONS_MOST (PAGE_SIZE / sizeof(struct region))
#define PORT_COUNT 65536

struct region {
    uint32_t address, count;            /* count: its low 16 bits; bit 31: the last one */
};

enum engine_state { IDLE, PREPARED, RUNNING };

struct registers {
    uint16_t command_port, table_port;
    uint8_t start, into_memory, from_memory;
};

struct engine {
    struct capability capability;
    struct block_pin pin;               /* on what it moves */
    enum engine_state state;
    struct registers registers;
    uint8_t direction;                  /* into or from memory, of the transfer that is prepared */
    struct region *table;               /* a page */
};

static const struct capability_kind engine_kind;

/* What is in memory and what the device is told must not change places. */
static void memory_settles(void)
{
    __asm__ volatile("" ::: "memory");
}

/* The engine moves no more bytes once this has returned. The answer to a read comes behind all that
 * the device still had on its way to memory (PCI 3.0, 3.2.5: a read completion pushes posted writes). */
static void halt(struct engine *engine)
{
    preempt_disable();
    if (engine->state == RUNNING) {
        io_out8(engine->registers.command_port, engine->direction);
        (void)io_in8(engine->registers.command_port);
        memory_settles();
    }
    engine->state = IDLE;
    block_unpin(&engine->pin);
    preempt_enable();
}

static void break_off(struct block_pin *pin)
{
    halt((struct engine *)((char *)pin - offsetof(struct engine, pin)));
}

static void release_engine(struct object *object)
{
    struct engine *engine = (struct engine *)object;
    halt(engine);
    page_free(engine->table, 1);
}

static const char *fixed_engine(struct capability *capability)
{
    return ((struct engine *)capability)->state == IDLE ? NULL : "a transfer is under way";
}

/* Describes the bytes, → false if they are too many regions. */
static bool describe(struct region *table, uintptr_t address, size_t count)
{
    for (size_t i = 0; i < REGIONS_MOST; i++) {
        size_t region = REGION_BYTES - address % REGION_BYTES;
        if (region > count)
            region = count;
        table[i] = (struct region){(uint32_t)address, (uint32_t)(region % REGION_BYTES)};
        address += region;
        count -= region;
        if (count == 0) {
            table[i].count |= LAST_REGION;
            return true;
        }
    }
    return false;
}

/* Converting an argument may run a finalizer, which may use the engine: the state is looked at last. */
static struct engine *check_state(lua_State *L, enum engine_state state, const char *wrong)
{
    struct engine *engine = capability_check(L, 1, &engine_kind);
    if (engine->state != state)
        luaL_error(L, "%s", wrong);
    return engine;
}

/* The address of `count` bytes of the block in argument 3, from `position` on. */
static uintptr_t check_bytes(lua_State *L, lua_Integer position, lua_Integer count)
{
    uintptr_t address = (uintptr_t)block_range(L, 3, position, count);
    luaL_argcheck(L, address % 2 == 0, 4, "must be even");
    luaL_argcheck(L, count > 0 && count % 2 == 0, 5, "must be even and more than none");
    luaL_argcheck(L, address + (size_t)count <= REACH, 3, "the engine does not reach this block");
    return address;
}

/* What arguments 2 to 5 say. → the engine, prepared */
static struct engine *prepare(lua_State *L)
{
    static const char *const directions[] = {"in", "out", NULL};
    bool into = luaL_checkoption(L, 2, NULL, directions) == 0;
    lua_Integer position = luaL_checkinteger(L, 4), count = luaL_checkinteger(L, 5);
    struct engine *engine = check_state(L, IDLE, "a transfer is under way");
    uintptr_t address = check_bytes(L, position, count);
    luaL_argcheck(L, describe(engine->table, address, (size_t)count), 5, "too many bytes");
    block_pin(L, 3, position, count, &engine->pin);
    const struct registers *registers = &engine->registers;
    preempt_disable();
    engine->direction = into ? registers->into_memory : registers->from_memory;
    io_out8(registers->command_port, engine->direction);
    io_out32(registers->table_port, (uint32_t)(uintptr_t)engine->table);
    engine->state = PREPARED;
    preempt_enable();
    return engine;
}

static void start(struct engine *engine)
{
    preempt_disable();
    memory_settles();
    engine->state = RUNNING;
    io_out8(engine->registers.command_port, engine->direction | engine->registers.start);
    preempt_enable();
}

static int l_dma_prepare(lua_State *L)
{
    prepare(L);
    return 0;
}

static int l_dma_start(lua_State *L)
{
    start(check_state(L, PREPARED, "no transfer is prepared"));
    return 0;
}

/* The writes are looked at before anything is prepared. */
static int l_dma_launch(lua_State *L)
{
    struct port_writes writes;
    port_writes_check(L, 6, &writes);
    struct engine *engine = prepare(L);
    port_writes_do(&writes);
    start(engine);
    return 0;
}

static int l_dma_stop(lua_State *L)
{
    halt(capability_check(L, 1, &engine_kind));
    return 0;
}

static int l_dma_memory(lua_State *L)
{
    capability_check(L, 1, &engine_kind);
    lua_Integer size_bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, size_bytes > 0 && size_bytes <= (lua_Integer)REACH, 2, "size out of range");
    block_push_below(L, size_bytes, REACH);
    return 1;
}

static const luaL_Reg methods[] = {
    {"memory", l_dma_memory},
    {"prepare", l_dma_prepare},
    {"start", l_dma_start},
    {"launch", l_dma_launch},
    {"stop", l_dma_stop},
    {NULL, NULL},
};

static const struct capability_kind engine_kind = {
    .name = "DMA engine", .methods = methods, .release = release_engine, .fixed = fixed_engine,
};

static lua_Integer number_field(lua_State *L, const char *name, lua_Integer limit)
{
    lua_getfield(L, 1, name);
    lua_Integer value = luaL_checkinteger(L, -1);
    if (value < 0 || value >= limit)
        luaL_error(L, "%s: %I is out of range", name, value);
    lua_pop(L, 1);
    return value;
}

static int l_dma(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct registers registers = {
        .command_port = (uint16_t)number_field(L, "command", PORT_COUNT),
        .table_port = (uint16_t)number_field(L, "table", PORT_COUNT - 3),
        .start = (uint8_t)number_field(L, "start", UINT8_MAX + 1),
        .into_memory = (uint8_t)number_field(L, "into_memory", UINT8_MAX + 1),
        .from_memory = (uint8_t)number_field(L, "from_memory", UINT8_MAX + 1),
    };
    struct engine *engine = capability_new(L, &engine_kind, sizeof *engine);
    engine->registers = registers;
    engine->pin.break_off = break_off;
    preempt_disable();
    if (object_charge(&engine->capability.object, PAGE_SIZE))
        engine->table = page_alloc_below_raw(1, REACH);
    preempt_enable();
    if (!engine->table)
        luaL_error(L, "not enough memory");
    return 1;
}

void lua_dma_open(lua_State *L)
{
    lua_pushcfunction(L, l_dma);
    lua_setfield(L, -2, "dma");
}
