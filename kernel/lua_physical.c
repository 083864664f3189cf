/* core.physical(address, bytes) → block over physical memory: device registers, the text screen,
 * ACPI tables. Mapped on demand and not cached; the picture on the screen may gather writes. Memory that the page allocator hands out (and the
 * kernel image) is refused: nobody may reach another's heap this way. So is page 0, whose absence
 * is what catches null pointers.
 */
#include "block.h"
#include "framebuffer.h"
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"
#include "pages.h"
#include "paging.h"

#define PHYSICAL_BYTES_MOST (1LL << 40)

static int l_physical(lua_State *L)
{
    lua_Integer address = luaL_checkinteger(L, 1);
    lua_Integer bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, address >= (lua_Integer)PAGE_SIZE && address < PHYSICAL_BYTES_MOST, 1,
                  "not an address above page 0");
    luaL_argcheck(L, bytes > 0 && bytes <= PHYSICAL_BYTES_MOST - address, 2, "not a size");
    if (pages_hold_any((uintptr_t)address, (size_t)bytes))
        luaL_error(L, "physical memory %I, %I is in use as memory", address, bytes);
    bool combining = framebuffer_holds((uintptr_t)address, (size_t)bytes);
    if (!paging_map((uintptr_t)address, (size_t)bytes,
                    combining ? PAGING_COMBINING : PAGING_DEVICE))
        luaL_error(L, "not enough memory");
    block_push_physical(L, (uintptr_t)address, (size_t)bytes);
    return 1;
}

void lua_physical_open(lua_State *L)
{
    lua_pushcfunction(L, l_physical);
    lua_setfield(L, -2, "physical");
}
