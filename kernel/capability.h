/* Capabilities: kernel objects that Lua holds as userdata and can pass on but never forge.
 *
 * A handle (the userdata) points to the object. Sending a capability moves the object into the
 * message and leaves the sender's handle dead; the receiver gets a new handle. An object dies with
 * the process that holds it, or when its handle is collected. Metatables are one a state and
 * protected; __gc is not reachable from Lua code.
 *
 * A kind is one static struct:
 *     struct port_range { struct capability capability; uint16_t first, count; };
 *     static const luaL_Reg methods[] = {{"in8", l_port_in8}, …, {"__len", …}, {NULL, NULL}};
 *     const struct capability_kind port_kind = {.name = "port range", .methods = methods};
 * Names in `methods` that begin with "__" go into the metatable, the others are methods.
 */
#ifndef KHOROS_CAPABILITY_H
#define KHOROS_CAPABILITY_H

#include <stdbool.h>

#include "lauxlib.h"
#include "lua.h"
#include "object.h"

struct capability;

struct capability_kind {
    const char *name;               /* as in "port range expected"; also what getmetatable shows */
    const luaL_Reg *methods;
    void (*release)(struct object *capability);     /* frees what hangs on the object; or NULL */
    const char *(*fixed)(struct capability *);      /* why it cannot be sent now, or NULL; or NULL */
    bool copied;                    /* sending leaves the sender's handle alive (plain data only) */
};

struct capability {
    struct object object;
    const struct capability_kind *kind;
};

/* Makes a zeroed object of `bytes` and pushes its handle. Raises when memory is exhausted. */
void *capability_new(lua_State *L, const struct capability_kind *kind, size_t bytes);

/* The object behind argument `index`. Raises on anything else and on a handle that is dead. */
void *capability_check(lua_State *L, int index, const struct capability_kind *kind);

/* The same, but NULL for another value or kind; raises nothing. */
void *capability_test(lua_State *L, int index, const struct capability_kind *kind);

/* Any kind: the object behind the value, NULL when it is no live handle. */
struct capability *capability_any(lua_State *L, int index);

/* Destroys the object behind the handle now; the handle stays, dead. */
void capability_close(lua_State *L, int index);

/* Leaves the handle dead and returns its object, which still belongs to the process. */
struct capability *capability_detach(lua_State *L, int index);

/* Pushes a new handle for an object that already belongs to the process of L, and clears *from in
 * the same instant. May raise a memory error; then *from is untouched. */
void capability_push(lua_State *L, struct capability **from);

#endif
