/* The supervisor's bindings: core.process and the handle's methods, core.endpoint.
 *
 *   core.process{name=, memory=bytes [, stack=bytes] [, account=] [, unsafe=true] [, essential=true]}
 *                                  → handle | nil, "memory"
 *   h:load(source, chunk_name, …)  what it shall run: chunk(kernel, …); values travel as messages do,
 *                                  messages among them are handed over and unpacked there → boolean
 *   h:run(slice_ticks)             runs it until it stops; then why:
 *       "call", operation, control values…      a system call; h:payload() has the rest
 *       "preempted" | "parked"                  its slice is over (process.h, steps 1 and 2)
 *       "finished", results… | "error", message, traceback | "fault", description     it has ended
 *   h:payload()                    the packed rest of a call as a message, once | nil
 *   h:answer(…)                    what the call returns; messages among the values are handed over
 *                                  and unpacked there → true | nil, "memory"
 *   h:interrupt()                  abandon its evaluate() → was there one?
 *   h:memory() → held, limit, used (bytes)   h:cpu() → nanoseconds   h:ended() → boolean
 *   h:kill([budget])               gives back all it holds, whatever it was doing; at most so many pages
 *                                  and objects of it now → is that all?
 *   core.reap(budget) → boolean    goes on giving back what killed processes held → is that all?
 *
 *   core.pack(…) → message         core.unpack(message) → its values; the message is gone
 *   m:size() → bytes               m:free() → it and what it carries are gone
 *   core.free_bytes() → memory that nobody has
 *   core.account(bytes) → account: what several processes may hold together (account.h);
 *                                  a:used() → bytes, limit
 *   core.endpoint(process_id [, badge]) → endpoint: e:process(), e:badge(). Copied when sent.
 */
#include <stdio.h>
#include <string.h>

#include "lauxlib.h"
#include "pages.h"
#include "preempt.h"
#include "process_state.h"

#define STACK_BYTES (512 * 1024)        /* Lua's 200 nested C levels took 404 KiB */
#define STACK_BYTES_LEAST (64 * 1024)
#define MEMORY_BYTES (16 * 1024 * 1024)

static const luaL_Reg process_methods[];

static void release_process(struct object *object)
{
    process_end((struct process *)object);
}

static const char *process_fixed(struct capability *capability)
{
    (void)capability;
    return "only the supervisor holds processes";
}

static const struct capability_kind process_kind = {
    .name = "process", .methods = process_methods, .release = release_process,
    .fixed = process_fixed,
};

/* --- accounts -------------------------------------------------------------------------------- */

struct account_handle {
    struct capability capability;
    struct account *account;
};

static const luaL_Reg account_methods[];

static void release_account(struct object *object)
{
    account_let_go(((struct account_handle *)object)->account);
}

static const char *account_fixed(struct capability *capability)
{
    (void)capability;
    return "only the supervisor holds accounts";
}

static const struct capability_kind account_kind = {
    .name = "account", .methods = account_methods, .release = release_account,
    .fixed = account_fixed,
};

static int l_account_create(lua_State *L)
{
    lua_Integer limit = luaL_checkinteger(L, 1);
    luaL_argcheck(L, limit > 0, 1, "out of range");
    struct account_handle *handle = capability_new(L, &account_kind, sizeof *handle);
    handle->account = account_new((size_t)limit);
    if (!handle->account)
        return luaL_error(L, "not enough memory");
    account_hold(handle->account);
    return 1;
}

static int l_account_used(lua_State *L)
{
    const struct account_handle *handle = capability_check(L, 1, &account_kind);
    lua_pushinteger(L, (lua_Integer)handle->account->bytes);
    lua_pushinteger(L, (lua_Integer)handle->account->bytes_limit);
    return 2;
}

static const luaL_Reg account_methods[] = {
    {"used", l_account_used},
    {NULL, NULL},
};

/* --- processes ------------------------------------------------------------------------------- */

static lua_Integer option(lua_State *L, const char *name, lua_Integer otherwise)
{
    lua_getfield(L, 1, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static int l_process_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer memory = option(L, "memory", MEMORY_BYTES), stack = option(L, "stack", STACK_BYTES);
    luaL_argcheck(L, memory > 0, 1, "memory out of range");
    luaL_argcheck(L, stack >= STACK_BYTES_LEAST && stack % PAGE_SIZE == 0, 1, "stack out of range");
    struct account *account = NULL;
    if (lua_getfield(L, 1, "account") != LUA_TNIL)
        account = ((struct account_handle *)capability_check(L, -1, &account_kind))->account;
    lua_getfield(L, 1, "name");
    const char *name = luaL_optstring(L, -1, "?");
    lua_getfield(L, 1, "essential");
    lua_getfield(L, 1, "unsafe");
    struct process *process = capability_new(L, &process_kind, sizeof *process);
    snprintf(process->name, sizeof process->name, "%s", name);
    process->unsafe_libraries = lua_toboolean(L, -2);
    process->owner.bytes_limit = (size_t)memory;
    process->owner.arena_pages = &process->arena.page_count;
    arena_start(&process->arena, PAGES_OF(memory));
    process->owner.essential = process->arena.essential = lua_toboolean(L, -3);
    process->arena.bytes_elsewhere = &process->owner.bytes;
    if (process_create(process, (size_t)stack, account))
        return 1;
    capability_close(L, -1);
    lua_pushnil(L);
    lua_pushliteral(L, "memory");
    return 2;
}

static struct process *check_process(lua_State *L)
{
    return capability_check(L, 1, &process_kind);
}

/* Hands a chain of messages to the process; without room there, destroys it. */
static bool hand_over(struct process *process, struct message *chain)
{
    bool paid = !process->ended;
    for (struct message *message = chain; message && paid; message = message->next)
        paid = message_move(message, &process->owner);
    if (!paid) {
        message_destroy_chain(chain);
        return false;
    }
    message_destroy_chain(process->answers);
    process->answers = chain;
    return true;
}

/* Packs arguments first..last as the next message of the chain. */
static void append_values(lua_State *L, int first, int last, struct message **chain,
                          struct message **end)
{
    if (last < first)
        return;
    struct message *message = copy_pack(L, first, last - first + 1, *end);
    *end = message;
    if (!*chain)
        *chain = message;
}

static void append_message(lua_State *L, int index, struct message **chain, struct message **end)
{
    struct message *message = (struct message *)capability_detach(L, index);
    message->next = NULL;
    if (*end)
        (*end)->next = message;
    else
        *chain = message;
    *end = message;
}

/* The arguments from 2 on as one chain; messages among them become part of it. */
static struct message *chain_of_arguments(lua_State *L)
{
    struct message *chain = NULL, *end = NULL;
    int last = lua_gettop(L), first = 2;
    for (int i = 2; i <= last; i++) {
        if (!capability_test(L, i, &message_kind))
            continue;
        append_values(L, first, i - 1, &chain, &end);
        append_message(L, i, &chain, &end);
        first = i + 1;
    }
    append_values(L, first, last, &chain, &end);
    return chain;
}

static int l_process_load(lua_State *L)
{
    struct process *process = check_process(L);
    luaL_argcheck(L, process->stop == STOP_NEW, 1, "it has run already");
    luaL_checkstring(L, 2);
    luaL_checkstring(L, 3);
    lua_pushboolean(L, hand_over(process, chain_of_arguments(L)));
    return 1;
}

static int l_process_answer(lua_State *L)
{
    struct process *process = check_process(L);
    if (!hand_over(process, chain_of_arguments(L))) {
        lua_pushnil(L);
        lua_pushliteral(L, "memory");
        return 2;
    }
    lua_pushboolean(L, true);
    return 1;
}

/* Takes a message that the process left for the supervisor. */
static struct message *collect(lua_State *L, struct message **place)
{
    struct message *message = *place;
    *place = NULL;
    if (message)
        message_move(message, process_owner(process_of(L)));
    return message;
}

static int l_process_payload(lua_State *L)
{
    struct process *process = check_process(L);
    struct message *message = collect(L, &process->payload);
    if (!message)
        return 0;
    struct capability *capability = &message->capability;
    capability_push(L, &capability);
    return 1;
}

static int push_fault(lua_State *L, const struct process *process)
{
    lua_pushliteral(L, "fault");
    lua_pushfstring(L, "CPU exception %d (error %d) at %p, address %p", (int)process->frame.vector,
                    (int)process->frame.error, (void *)process->frame.rip,
                    (void *)process->fault_address);
    return 2;
}

static int push_stop(lua_State *L, struct process *process)
{
    switch (process->stop) {
    case STOP_CALL:
        lua_pushliteral(L, "call");
        lua_pushstring(L, process->operation);
        return 2 + copy_unpack(L, collect(L, &process->control));
    case STOP_PREEMPTED:
        lua_pushliteral(L, "preempted");
        return 1;
    case STOP_PARKED:
        lua_pushliteral(L, "parked");
        return 1;
    case STOP_FINISHED:
        lua_pushliteral(L, "finished");
        return 1 + copy_unpack(L, collect(L, &process->result));
    case STOP_FAULT:
        return push_fault(L, process);
    default:
        lua_pushliteral(L, "error");
        if (!process->failure)
            return 1 + copy_unpack(L, collect(L, &process->result));
        lua_pushstring(L, process->failure);
        return 2;
    }
}

static int l_process_run(lua_State *L)
{
    struct process *process = check_process(L);
    lua_Integer slice = luaL_checkinteger(L, 2);
    luaL_argcheck(L, slice > 0 && slice <= INT32_MAX, 2, "slice out of range");
    luaL_argcheck(L, !process->ended, 1, "the process has ended");
    luaL_argcheck(L, process->stop != STOP_NEW || process->answers, 1, "nothing was loaded");
    process_run(process, (unsigned)slice);
    lua_settop(L, 1);
    return push_stop(L, process);
}

static int l_process_interrupt(lua_State *L)
{
    struct process *process = check_process(L);
    process->interrupted = process->evaluations > 0;
    lua_pushboolean(L, process->interrupted);
    return 1;
}

static int l_process_memory(lua_State *L)
{
    struct process *process = check_process(L);
    lua_pushinteger(L, (lua_Integer)(process->arena.page_count * PAGE_SIZE + process->owner.bytes));
    lua_pushinteger(L, (lua_Integer)process->owner.bytes_limit);
    lua_pushinteger(L, (lua_Integer)(process->arena.used_bytes + process->owner.bytes));
    return 3;
}

static int l_process_cpu(lua_State *L)
{
    lua_pushinteger(L, check_process(L)->cpu_ns);
    return 1;
}

static int l_process_ended(lua_State *L)
{
    lua_pushboolean(L, check_process(L)->ended);
    return 1;
}

static int l_process_kill(lua_State *L)
{
    struct process *process = check_process(L);
    lua_Integer budget = luaL_optinteger(L, 2, LUA_MAXINTEGER);
    luaL_argcheck(L, budget >= 0, 2, "not a number of pages and objects");
    capability_detach(L, 1);
    lua_pushboolean(L, process_kill(process, (size_t)budget));
    return 1;
}

static int l_reap(lua_State *L)
{
    lua_Integer budget = luaL_checkinteger(L, 1);
    luaL_argcheck(L, budget > 0, 1, "not a number of pages and objects");
    lua_pushboolean(L, process_reap((size_t)budget));
    return 1;
}

static const luaL_Reg process_methods[] = {
    {"load", l_process_load},
    {"run", l_process_run},
    {"answer", l_process_answer},
    {"payload", l_process_payload},
    {"interrupt", l_process_interrupt},
    {"memory", l_process_memory},
    {"cpu", l_process_cpu},
    {"ended", l_process_ended},
    {"kill", l_process_kill},
    {NULL, NULL},
};

/* --- endpoints ------------------------------------------------------------------------------- */

struct endpoint {
    struct capability capability;
    lua_Integer process, badge;
};

static const luaL_Reg endpoint_methods[];

static const struct capability_kind endpoint_kind = {
    .name = "endpoint", .methods = endpoint_methods, .copied = true,
};

static int l_endpoint_process(lua_State *L)
{
    struct endpoint *endpoint = capability_check(L, 1, &endpoint_kind);
    lua_pushinteger(L, endpoint->process);
    return 1;
}

static int l_endpoint_badge(lua_State *L)
{
    struct endpoint *endpoint = capability_check(L, 1, &endpoint_kind);
    lua_pushinteger(L, endpoint->badge);
    return 1;
}

static const luaL_Reg endpoint_methods[] = {
    {"process", l_endpoint_process},
    {"badge", l_endpoint_badge},
    {NULL, NULL},
};

static int l_endpoint_create(lua_State *L)
{
    lua_Integer process = luaL_checkinteger(L, 1), badge = luaL_optinteger(L, 2, 0);
    struct endpoint *endpoint = capability_new(L, &endpoint_kind, sizeof *endpoint);
    endpoint->process = process;
    endpoint->badge = badge;
    return 1;
}

/* --- messages of the supervisor's own ---------------------------------------------------------- */

static int l_pack(lua_State *L)
{
    struct message *message = copy_pack(L, 1, lua_gettop(L), NULL);
    struct capability *capability = &message->capability;
    capability_push(L, &capability);
    return 1;
}

static int l_unpack(lua_State *L)
{
    capability_check(L, 1, &message_kind);
    struct message *message = (struct message *)capability_detach(L, 1);
    message->next = NULL;
    return copy_unpack(L, message);
}

static int l_free_bytes(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(pages_free_count() * PAGE_SIZE));
    return 1;
}

void process_open(lua_State *L)
{
    lua_pushcfunction(L, l_pack);
    lua_setfield(L, -2, "pack");
    lua_pushcfunction(L, l_unpack);
    lua_setfield(L, -2, "unpack");
    lua_pushcfunction(L, l_free_bytes);
    lua_setfield(L, -2, "free_bytes");
    lua_pushcfunction(L, l_process_create);
    lua_setfield(L, -2, "process");
    lua_pushcfunction(L, l_account_create);
    lua_setfield(L, -2, "account");
    lua_pushcfunction(L, l_reap);
    lua_setfield(L, -2, "reap");
    lua_pushcfunction(L, l_endpoint_create);
    lua_setfield(L, -2, "endpoint");
}
