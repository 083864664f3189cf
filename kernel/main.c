/* The boot order: one line a stage. From here on Lua decides: lua/init.lua, the supervisor, receives
 * everything this machine can do as one table, `core`, and never returns.
 */
#include <string.h>
#include <time.h>

#include "archive.h"
#include "block.h"
#include "boot_info.h"
#include "console.h"
#include "cpu.h"
#include "crash_record.h"
#include "framebuffer.h"
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"
#include "pages.h"
#include "panic.h"
#include "process.h"
#include "syscall.h"
#include "timer.h"
#include "trap.h"

#define SUPERVISOR_MODULE "init"
#define SUPERVISOR_STACK_BYTES (1024 * 1024)    /* Lua's 200 nested C levels took 404 KiB */

void boot_main(uint32_t magic, const void *information);

static struct boot_info boot;

static int l_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* Pushes the `core` table. */
static void core_push(lua_State *L)
{
    lua_newtable(L);
    archive_open(L);
    crash_record_open(L);
    block_open(L);
    lua_port_open(L);
    lua_irq_open(L);
    lua_dma_open(L);
    lua_clock_open(L);
    lua_crc32c_open(L);
    lua_codec_open(L);
    lua_physical_open(L);
    framebuffer_open(L);
    process_open(L);
    lua_pushstring(L, boot.command_line);
    lua_setfield(L, -2, "command_line");
    lua_pushstring(L, boot.loader);
    lua_setfield(L, -2, "loader");
    lua_pushinteger(L, (lua_Integer)boot_info_memory_bytes(&boot));
    lua_setfield(L, -2, "memory_bytes");
    if (boot.rsdp_bytes > 0) {
        lua_pushlstring(L, (const char *)boot.rsdp, boot.rsdp_bytes);
        lua_setfield(L, -2, "rsdp");
    }
}

static int supervisor(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv, (void)environment;
    lua_State *L = process_supervisor();
    if (L == NULL)
        panic("main", "no memory for the supervisor's Lua state");
    this_cpu()->lua_running = L;
    tzset();    /* now, and not for the first time in a process that may be parked in the middle of it */
    lua_pushcfunction(L, l_traceback);
    const struct archive_entry *init = archive_find(SUPERVISOR_MODULE);
    if (init == NULL)
        panic("main", "no module \"%s\" among the %lu in the image", SUPERVISOR_MODULE, archive_count);
    if (luaL_loadbufferx(L, init->text, init->length, init->chunk, "t") != LUA_OK)
        panic("main", "%s", lua_tostring(L, -1));
    core_push(L);
    if (lua_pcall(L, 1, 0, 1) != LUA_OK)
        panic("supervisor", "%s", luaL_tolstring(L, -1, NULL));
    panic("supervisor", "%s has returned", init->chunk);
}

/* On the supervisor's own, guarded stack. */
static void stack_main(void)
{
    __asm__ volatile("sti");
    libc_start(supervisor);     /* the C library; then supervisor() above */
}

void boot_main(uint32_t magic, const void *information)
{
    console_start();                            /* COM1: from here on a panic can speak */
    trap_start();                               /* exceptions and interrupts have handlers */
    boot_info_read(&boot, magic, information);  /* command line, memory map, ACPI */
    pages_start(&boot);                         /* page allocator and the final page tables */
    framebuffer_start(&boot);                   /* a panic may draw */
    crash_record_start(&boot);                  /* what the last panic said is kept */
    timer_start();                              /* clock, 1000 Hz tick */
    syscall_start();                            /* the C library may call */
    uint8_t *stack = stack_alloc(SUPERVISOR_STACK_BYTES);
    if (stack == NULL)
        panic("main", "no memory for the supervisor's stack");
    stack_enter(stack + SUPERVISOR_STACK_BYTES, stack_main);
}
