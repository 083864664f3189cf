/* Interrupt lines: core.irq(line) and its methods. The latch itself is in trap.c.
 *
 *   q:count()            how often the line has fired since boot
 *   q:wait(seconds)      true as soon as it has fired since the last wait that said so, or
 *                        nil, "timeout"; without an argument, for ever
 *
 * In a process, waiting is a system call, "irq_wait"(line, seconds | nil): the supervisor runs others
 * and asks core.irq_take(line), which is true once for whatever has fired since it was last true.
 * A line is unmasked as long as somebody holds a capability for it: it dies with its process.
 */
#include <math.h>

#include "capability.h"
#include "lua_bindings.h"
#include "process.h"
#include "timer.h"
#include "trap.h"

struct irq_line {
    struct capability capability;
    unsigned line;
};

static const struct capability_kind irq_kind;

static unsigned check_line(lua_State *L, int index)
{
    lua_Integer line = luaL_checkinteger(L, index);
    luaL_argcheck(L, line > IRQ_TIMER && line < IRQ_LINES && line != IRQ_CASCADE, index,
                  "not an interrupt line");
    return (unsigned)line;
}

static int l_irq_count(lua_State *L)
{
    const struct irq_line *irq = capability_check(L, 1, &irq_kind);
    lua_pushinteger(L, (lua_Integer)irq_count(irq->line));
    return 1;
}

/* The supervisor has nobody to give the CPU to: it idles. */
static bool wait_idle(unsigned line, lua_Number seconds)
{
    int64_t deadline = INT64_MAX;
    if (seconds < 1e9)
        deadline = clock_ns() + (int64_t)(seconds * NANOSECONDS_PER_SECOND);
    while (!irq_take(line)) {
        if (clock_ns() >= deadline)
            return false;
        timer_halt(deadline);
    }
    return true;
}

static int l_irq_wait(lua_State *L)
{
    const struct irq_line *irq = capability_check(L, 1, &irq_kind);
    lua_Number seconds = luaL_optnumber(L, 2, HUGE_VAL);
    bool fired = irq_take(irq->line);
    if (!fired && !process_is_supervisor(L)) {
        lua_settop(L, 2);
        lua_pushinteger(L, irq->line);
        lua_replace(L, 1);
        return process_call(L, "irq_wait", 2);
    }
    if (fired || wait_idle(irq->line, seconds)) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static const luaL_Reg methods[] = {
    {"count", l_irq_count},
    {"wait", l_irq_wait},
    {NULL, NULL},
};

/* How many capabilities there are for each line: with the last one, the line is masked again. */
static unsigned holders[IRQ_LINES];

static void release_line(struct object *object)
{
    unsigned line = ((struct irq_line *)object)->line;
    if (line != IRQ_TIMER && --holders[line] == 0)
        irq_ignore(line);
}

static const struct capability_kind irq_kind = {
    .name = "interrupt line", .methods = methods, .release = release_line,
};

static int l_irq(lua_State *L)
{
    unsigned line = check_line(L, 1);
    struct irq_line *irq = capability_new(L, &irq_kind, sizeof *irq);
    irq->line = line;
    holders[line]++;
    irq_listen(line);
    return 1;
}

static int l_irq_take(lua_State *L)
{
    lua_pushboolean(L, irq_take(check_line(L, 1)));
    return 1;
}

void lua_irq_open(lua_State *L)
{
    lua_pushcfunction(L, l_irq);
    lua_setfield(L, -2, "irq");
    lua_pushcfunction(L, l_irq_take);
    lua_setfield(L, -2, "irq_take");
}
