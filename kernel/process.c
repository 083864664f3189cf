/* See process.h. The life of a process, on its side of the switch and on the supervisor's.
 *
 *     created ─ run ─► process_main on its own stack: makes the lua_State, opens the libraries,
 *                      loads the chunk, then resumes its main thread until that ends
 *     leaves  ──────►  process_leave: the supervisor's process_run returns
 *     ended            nothing of it runs again; process_end gives back all it held, process_kill
 *                      and process_reap the same in several steps
 *
 * Both directions of the switch begin with pre-emption deferred and end it on the other side, so a
 * tick never finds a process half gone.
 */
#include "process_state.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "cpu.h"
#include "lauxlib.h"
#include "lualib.h"
#include "pages.h"
#include "preempt.h"
#include "random.h"
#include "sandbox/hosted.h"
#include "timer.h"

#define RESULTS_MOST 200
#define RESULT_BYTES_MOST (32 * 1024)
#define RECLAIMED_AT_ONCE 200           /* pages and objects: a fraction of a millisecond */
#define TEXT_BYTES_MOST (8 * 1024)      /* an error message, a traceback, a control value */

struct process *process_of(lua_State *L)
{
    return process_of_thread(L);
}

void process_set_main_thread(lua_State *L)
{
    *(uintptr_t *)lua_getextraspace(L) |= MAIN_THREAD;
}

struct object_owner *process_owner(struct process *process)
{
    return &process->owner;
}

bool process_is_supervisor(lua_State *L)
{
    return process_of(L)->supervisor;
}

struct message **process_unfinished(struct process *process)
{
    return &process->unfinished;
}

static void *process_alloc(void *process, void *block, size_t old_bytes, size_t new_bytes)
{
    struct arena *arena = &((struct process *)process)->arena;
    if (new_bytes == 0) {
        arena_free(arena, block, old_bytes);
        return NULL;
    }
    /* For a new block Lua says of what kind it is (lua_Alloc, "old size"). A string is copied or concatenated into
     * it at once; zeroing it first would be two fifths of what making a large one costs. */
    bool string = !block && old_bytes == LUA_TSTRING;
    void *resized;
    do
        resized = string ? arena_alloc_unfilled(arena, new_bytes)
                         : arena_resize(arena, block, old_bytes, new_bytes);
    while (!resized && memory_reclaim());
    return resized;
}

/* Takes a message, or a chain of them, out of its place in the process. */
static struct message *take(struct message **place)
{
    preempt_disable();
    struct message *message = *place;
    *place = NULL;
    preempt_enable();
    return message;
}

static lua_State *state_new(struct process *process)
{
    lua_State *L = lua_newstate(process_alloc, process, (unsigned)random_u64());
    if (!L)
        return NULL;
    *(struct process **)lua_getextraspace(L) = process;
    process->main = L;
    process->running = L;
    lua_setwarnf(L, hosted_warn, process);
    return L;
}

/* --- the supervisor -------------------------------------------------------------------------- */

lua_State *process_supervisor(void)
{
    static struct process supervisor = {
        .name = "supervisor", .supervisor = true, .unsafe_libraries = true,
        .owner = {.bytes_limit = SIZE_MAX, .essential = true}, .slice = UINT_MAX,
    };
    arena_start(&supervisor.arena, SIZE_MAX);
    supervisor.arena.essential = true;
    lua_State *L = state_new(&supervisor);
    if (!L)
        return NULL;
    supervisor.thread = L;
    luaL_openselectedlibs(L, ~LUA_COLIBK, 0);
    luaL_requiref(L, LUA_COLIBNAME, coroutine_open, true);
    lua_pop(L, 1);
    return L;
}

/* --- the process's side ---------------------------------------------------------------------- */

void process_leave(struct process *process, enum process_stop why)
{
    preempt_disable();
    process->stop = why;
    process->ended = why == STOP_FINISHED || why == STOP_ERROR;     /* not before: it could be parked */
    switch_context(&process->stack_pointer, process->supervisor_pointer);
    preempt_enable();
}

static _Noreturn void leave_for_good(struct process *process, enum process_stop why)
{
    for (;;)
        process_leave(process, why);
}

/* Lua's last resort: an error that nothing caught. */
static int l_panic(lua_State *L)
{
    struct process *process = process_of(L);
    process->failure = "error outside of any protected call";
    leave_for_good(process, STOP_ERROR);
}

/* Takes the start message (source, chunk name, arguments) and makes the main thread ready to run
 * chunk(kernel, arguments…). */
static int l_build(lua_State *L)
{
    struct process *process = process_of(L);
    struct message *start = take(&process->answers);
    libraries_open(L, process->unsafe_libraries);
    lua_State *thread = lua_newthread(L);
    process_set_main_thread(thread);
    int first = lua_gettop(L) + 1;
    int arguments = copy_unpack(L, start) - 2;
    size_t length;
    const char *source = luaL_checklstring(L, first, &length);
    if (luaL_loadbufferx(L, source, length, luaL_checkstring(L, first + 1), "t") != LUA_OK)
        return lua_error(L);
    lua_insert(L, first + 2);
    libraries_push_kernel(L);
    lua_insert(L, first + 3);
    luaL_checkstack(thread, arguments + 2, "too many arguments");
    lua_xmove(L, thread, arguments + 2);
    process->start_arguments = arguments + 1;
    lua_settop(L, first - 1);
    return 1;
}

/* Replaces the text on top of the stack by its first TEXT_BYTES_MOST bytes: the supervisor keeps it. */
static void shorten(lua_State *L)
{
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (length <= TEXT_BYTES_MOST)
        return;
    lua_pushlstring(L, text, TEXT_BYTES_MOST);
    lua_pushliteral(L, "…");
    lua_concat(L, 2);
    lua_replace(L, -2);
}

/* Argument: the error value; upvalue: none; the thread it came from is process->thread or NULL. */
static int l_describe_error(lua_State *L)
{
    struct process *process = process_of(L);
    hosted_flush_output(L);
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TTABLE) {
        lua_pushliteral(L, "message");
        if (lua_rawget(L, 1) == LUA_TSTRING)
            lua_replace(L, 1);
        lua_settop(L, 1);
    }
    luaL_tolstring(L, 1, NULL);
    shorten(L);
    luaL_traceback(L, process->thread ? process->thread : L, NULL, 0);
    shorten(L);
    process->result = copy_pack(L, 2, 2, NULL);
    return 0;
}

/* The error value is on top of the stack of `from`. */
static _Noreturn void end_with_error(struct process *process, lua_State *from)
{
    lua_State *L = process->main;
    process->running = L;
    process->outward = false;
    process->failure = "not enough memory to describe an error";
    if (lua_checkstack(L, 3)) {
        if (from != L)
            lua_xmove(from, L, 1);
        lua_pushcfunction(L, l_describe_error);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 0, 0) == LUA_OK)
            process->failure = NULL;
    }
    leave_for_good(process, STOP_ERROR);
}

/* Results wait in the supervisor until somebody asks how the process ended, so they are few, small
 * and plain; what is larger is sent. */
static int l_pack_results(lua_State *L)
{
    hosted_flush_output(L);
    if (lua_gettop(L) > RESULTS_MOST) {
        lua_pushboolean(L, false);
        return 1;
    }
    struct message *result = copy_pack(L, 1, lua_gettop(L), NULL);
    bool kept = result->length <= RESULT_BYTES_MOST && result->attachment_count == 0;
    if (kept)
        process_of(L)->result = result;
    else
        message_destroy(result);
    lua_pushboolean(L, kept);
    return 1;
}

static _Noreturn void end_with_results(struct process *process, int count)
{
    lua_State *L = process->main;
    process->running = L;
    process->outward = false;
    if (lua_checkstack(L, count + 1)) {
        lua_pushcfunction(L, l_pack_results);
        lua_xmove(process->thread, L, count);
        int status = lua_pcall(L, count, 1, 0);
        if (status == LUA_OK && !lua_toboolean(L, -1))
            process->failure = "its results are too large to keep, or hold capabilities: send them";
        /* Results that cannot be sent at all, functions say, are not missed. */
        if (status != LUA_OK && strstr(luaL_tolstring(L, -1, NULL), "not enough memory"))
            process->failure = "not enough memory for its results";
        if (process->failure)
            leave_for_good(process, STOP_ERROR);
    }
    leave_for_good(process, STOP_FINISHED);
}

static void build(struct process *process)
{
    lua_State *L = state_new(process);
    if (!L || !lua_checkstack(L, 4)) {
        process->failure = "not enough memory for a Lua state";
        leave_for_good(process, STOP_ERROR);
    }
    lua_atpanic(L, l_panic);
    lua_pushcfunction(L, l_build);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK)
        end_with_error(process, L);
    process->thread = lua_tothread(L, -1);
}

void process_main(struct process *process)
{
    preempt_enable();
    build(process);
    int arguments = process->start_arguments, results;
    for (;;) {
        process->running = process->thread;
        process->outward = true;
        int status = lua_resume(process->thread, NULL, arguments, &results);
        if (status == LUA_OK)
            end_with_results(process, results);
        if (status != LUA_YIELD)
            end_with_error(process, process->thread);
        bool called = process->passing == PASSING_CALL;
        preempt_yielded(process->thread);
        process->passing = PASSING_NOTHING;
        arguments = 0;
        process_leave(process, called ? STOP_CALL : STOP_PREEMPTED);
    }
}

/* --- system calls ---------------------------------------------------------------------------- */

int process_call_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_settop(L, 0);
    return copy_unpack(L, take(&process_of(L)->answers));
}

/* Control values are unpacked in the supervisor: nothing that would take its memory, and nothing that
 * the caller would be rid of, may be among them. */
static void check_control(lua_State *L, int index)
{
    struct capability *capability = capability_any(L, index);
    size_t length = 0;
    if (lua_type(L, index) == LUA_TSTRING)
        lua_tolstring(L, index, &length);
    if (lua_type(L, index) == LUA_TTABLE || (capability && !capability->kind->copied)
        || length > TEXT_BYTES_MOST)
        luaL_error(L, "bad argument #%d to a system call: %s is no plain value", index,
                   luaL_typename(L, index));
}

/* The messages of a call. Packing may run a finalizer that makes a system call of its own, so
 * nothing of the process changes before both are packed. */
static void set_call(lua_State *L, struct process *process, const char *operation, int control)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= control; i++)
        check_control(L, i);
    struct message *first = copy_pack(L, 1, control, NULL), *rest = NULL;
    if (count > control)
        rest = copy_pack(L, control + 1, count - control, first);
    first->next = NULL;
    message_destroy_chain(take(&process->control));
    message_destroy_chain(take(&process->payload));
    message_destroy_chain(take(&process->answers));
    process->control = first;
    process->payload = rest;
    strncpy(process->operation, operation, OPERATION_BYTES - 1);
}

int process_call(lua_State *L, const char *operation, int control)
{
    struct process *process = process_of(L);
    if (process->supervisor)
        return luaL_error(L, "the supervisor cannot make the system call \"%s\"", operation);
    luaL_argcheck(L, control >= 0 && control <= lua_gettop(L), 2, "more than there are");
    set_call(L, process, operation, control);
    lua_settop(L, 0);
    if (process->outward && lua_isyieldable(L)) {
        process->passing = PASSING_CALL;
        return lua_yieldk(L, 0, 0, process_call_continue);
    }
    process_leave(process, STOP_CALL);
    return process_call_continue(L, LUA_OK, 0);
}

int64_t process_cpu_ns(const struct process *process)
{
    return process->cpu_ns + clock_ns() - process->started_ns;
}

/* --- the supervisor's side ------------------------------------------------------------------- */

struct process *process_create(struct process *process, size_t stack_bytes, struct account *account)
{
    preempt_disable();
    account_hold(account);
    process->arena.account = process->owner.account = account;
    while (!account_can_pay(account, stack_bytes) && memory_reclaim())
        continue;
    if (account_can_pay(account, stack_bytes))
        process->stack = stack_alloc(stack_bytes);
    if (process->stack)
        account_add(account, stack_bytes);
    process->stack_bytes = stack_bytes;
    preempt_enable();
    if (!process->stack)
        return NULL;
    /* What switch_landing pops; entry expects r12 and, after the return, an aligned stack. */
    uint64_t *top = (uint64_t *)(process->stack + stack_bytes - 16);
    top[-1] = (uint64_t)(uintptr_t)switch_entry;
    top[-4] = (uint64_t)(uintptr_t)process;
    process->stack_pointer = top - 7;
    process->stop = STOP_NEW;
    hosted_start(process);
    return process;
}

/* Nothing of it runs again, whatever it was doing. */
static void stop_for_good(struct process *process)
{
    process->ended = true;
    process->answers = process->control = process->payload = process->result = NULL;
    process->unfinished = NULL;
    process->main = process->thread = NULL;
    process->running = NULL;
    if (process->stack) {
        stack_free(process->stack, process->stack_bytes);
        account_subtract(process->owner.account, process->stack_bytes);
    }
    process->stack = NULL;
}

static bool give_back(struct process *process, size_t *budget)
{
    return object_destroy_some(&process->owner, budget) && arena_drop(&process->arena, budget);
}

void process_end(struct process *process)
{
    size_t budget = SIZE_MAX;
    stop_for_good(process);
    give_back(process, &budget);
    account_let_go(process->owner.account);
    process->owner.account = NULL;
}

/* What killed processes still hold: giving back the pages and objects of a large one takes so long that
 * the others would have to wait for it. */
static struct process *remains;

bool process_kill(struct process *process, size_t budget)
{
    stop_for_good(process);
    if (give_back(process, &budget)) {
        object_destroy(&process->capability.object);
        return true;
    }
    process->next_remains = remains;
    remains = process;
    return false;
}

bool process_reap(size_t budget)
{
    while (remains && give_back(remains, &budget)) {
        struct process *process = remains;
        remains = process->next_remains;
        object_destroy(&process->capability.object);
    }
    return !remains;
}

bool memory_reclaim(void)
{
    preempt_disable();
    bool any = remains != NULL;
    if (any)
        process_reap(RECLAIMED_AT_ONCE);
    preempt_enable();
    return any;
}

void process_run(struct process *process, unsigned slice)
{
    struct cpu *cpu = this_cpu();
    lua_State *supervisor = cpu->lua_running;
    int supervisor_error = errno;
    bool parked = process->stop == STOP_PARKED;
    process->ticks = 0;
    process->slice = slice;
    if (process->running && process_is_abandoned(process))
        preempt_arm(process->running);
    else if (process->running)
        preempt_disarm(process->running);
    if (process->thread)
        cpu->lua_running = process->thread;
    process->started_ns = clock_ns();
    cpu->process = process;
    errno = process->error_number;
    if (parked) {
        switch_to_parked(&process->supervisor_pointer, &process->frame, process->fxsave);
    } else {
        preempt_disable();
        switch_context(&process->supervisor_pointer, process->stack_pointer);
    }
    process->error_number = errno;
    errno = supervisor_error;
    cpu->process = NULL;
    preempt_enable();
    process->cpu_ns += clock_ns() - process->started_ns;
    cpu->lua_running = supervisor;
}
