/* The coroutine library of processes, and evaluate().
 *
 * Lua's own library would show user code a yield that is not its: a tick's or a system call's. Here
 * resume and wrap have continuations; such a yield passes through them to the outermost thread (which
 * leaves to the supervisor) and, when the process runs again, every one of them resumes the next
 * thread inwards until the innermost goes on where it was:
 *
 *     out:  yield ─► resume returns LUA_YIELD ─► lua_yieldk ─► … ─► process_main ─► supervisor
 *     in:   process_main ─► lua_resume ─► continue_resume ─► lua_resume ─► … ─► after the yield
 *
 * Where a yield cannot pass, an evaluation is abandoned by jumping out of each thread in turn, past
 * whatever C functions stand there: every resume on the way sees `leaving` and goes on with its own.
 *
 * They also track the innermost running thread (the tick arms its hook) and whether all resumes on
 * the way out can yield: a resume within a sort comparator cannot, then the process leaves with its
 * C stack instead.
 */
#include "lauxlib.h"
#include "lgc.h"
#include "ldo.h"
#include "lstate.h"
#include "lualib.h"
#include "process_state.h"

#define FAILED (-1)
#define PASSES (-2)
#define LEFT (-3)

enum coroutine_state { RUNNING, NORMAL, SUSPENDED, DEAD };

/* Saved around whatever runs in another thread. */
struct level {
    struct process *process;
    bool outward;
};

static inline struct level enter_thread(lua_State *L, lua_State *co)
{
    struct process *process = process_of_thread(L);
    struct level level = {process, process->outward};
    process->outward = level.outward && yieldable(L);
    level.process->running = co;
    if (level.process->ticks >= level.process->slice || level.process->interrupted)
        preempt_arm(co);        /* it came while only L could see it */
    return level;
}

static void return_to_thread(lua_State *L, lua_State *co, struct level level)
{
    level.process->running = L;
    level.process->outward = level.outward;
    if (co->hook)
        preempt_disarm(co);
}

/* Out of everything that L is doing, which nothing of it can catch: the jump ends in the lua_resume() or
 * lua_closethread() that runs L. The status is one that Lua does not take for an error. */
_Noreturn void coroutine_leave(lua_State *L)
{
    process_of_thread(L)->leaving = true;
    luaD_throwbaselevel(L, LUA_YIELD);
}

/* A thread that was left never goes on: it may have stood in the middle of C functions. Its variables
 * live as long as closures refer to them. */
static void mark_left(lua_State *co)
{
    lua_pushnil(co);                        /* in place of an error value */
    co->status = LUA_ERRRUN;
}

/* Resumes `co` with the topmost `count` values of L. Its results are on top of co, as many as returned, for
 * move_results(); an error value if FAILED is on L. PASSES: a yield that is not for user code is on its
 * way out. LEFT: the evaluation around it is being abandoned. */
static int resume_thread(lua_State *L, lua_State *co, int count)
{
    if (!lua_checkstack(co, count)) {
        lua_pop(L, count);
        lua_pushliteral(L, "too many arguments to resume");
        return FAILED;
    }
    int results;
    if (count > 0)
        lua_xmove(L, co, count);
    struct level level = enter_thread(L, co);
    int status = lua_resume(co, L, count, &results);
    return_to_thread(L, co, level);
    if (level.process->leaving) {
        mark_left(co);
        return LEFT;
    }
    if (status == LUA_YIELD && level.process->passing != PASSING_NOTHING) {
        preempt_yielded(co);
        return PASSES;
    }
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return FAILED;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return FAILED;
    }
    return results;
}

/* L has room for them and one more. */
static void move_results(lua_State *L, lua_State *co, int results)
{
    if (results > 0)
        lua_xmove(co, L, results);
}

/* LEFT, as above, or a Lua status. */
static int close_thread(lua_State *L, lua_State *co)
{
    struct level level = enter_thread(L, co);
    int status = lua_closethread(co, L);
    return_to_thread(L, co, level);
    return level.process->leaving ? LEFT : status;
}

/* --- coroutine.resume ------------------------------------------------------------------------ */

static int continue_resume(lua_State *L, int status, lua_KContext context);

static int finish_resume(lua_State *L, lua_State *co, int results)
{
    if (results == PASSES)
        return lua_yieldk(L, 0, 0, continue_resume);
    if (results == LEFT)
        coroutine_leave(L);
    lua_pushboolean(L, results != FAILED);
    if (results == FAILED) {
        lua_insert(L, -2);
        return 2;
    }
    move_results(L, co, results);
    return results + 1;
}

static int continue_resume(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_State *co = lua_tothread(L, 1);
    return finish_resume(L, co, resume_thread(L, co, 0));
}

static lua_State *check_thread(lua_State *L, int index)
{
    lua_State *co = lua_tothread(L, index);
    if (!co)
        luaL_checktype(L, index, LUA_TTHREAD);
    return co;
}

static int l_coroutine_resume(lua_State *L)
{
    lua_State *co = check_thread(L, 1);
    return finish_resume(L, co, resume_thread(L, co, lua_gettop(L) - 1));
}

/* --- coroutine.wrap -------------------------------------------------------------------------- */

static int continue_wrap(lua_State *L, int status, lua_KContext context);

/* The error value on top becomes the caller's error, with its position when it is a string. */
static int raise_from(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = close_thread(L, co);
        if (status == LEFT)
            coroutine_leave(L);
        lua_pop(L, 1);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int finish_wrap(lua_State *L, lua_State *co, int results)
{
    if (results == PASSES)
        return lua_yieldk(L, 0, 0, continue_wrap);
    if (results == LEFT)
        coroutine_leave(L);
    if (results == FAILED)
        return raise_from(L, co);
    move_results(L, co, results);
    return results;
}

static int continue_wrap(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return finish_wrap(L, co, resume_thread(L, co, 0));
}

static int l_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return finish_wrap(L, co, resume_thread(L, co, lua_gettop(L)));
}

/* --- evaluate -------------------------------------------------------------------------------- */

/* evaluate(f, …): runs f in a thread of its own, which f knows as the main one, and which the supervisor
 * may have abandoned (Ctrl-C):
 *     true, results… | false, error value, traceback | nil, "interrupted"
 * Abandoning is no error: the function sees nothing that it could catch. With evaluations within one
 * another it is the outermost that ends. */

/* What is put right when the evaluation is left: what C functions were doing that it had called. */
struct unwinding {
    struct message *unfinished;
    lu_byte collecting;
};

static struct unwinding unwinding_of(lua_State *L)
{
    return (struct unwinding){
        .unfinished = *process_unfinished(process_of(L)), .collecting = G(L)->gcstp & GCSTPGC};
}

static int continue_evaluate(lua_State *L, int status, lua_KContext context);

/* `depth` counts the evaluations around and with this one. */
static int abandon_evaluation(lua_State *L, lua_KContext depth)
{
    struct process *process = process_of(L);
    process->evaluations = (unsigned)depth - 1;
    if (depth > 1 && process->leaving)
        coroutine_leave(L);
    process->interrupted = process->leaving = false;
    lua_pushnil(L);
    lua_pushliteral(L, "interrupted");
    return 2;
}

static int evaluation_was_left(lua_State *L, lua_KContext depth, struct unwinding unwinding)
{
    copy_abandon(L, unwinding.unfinished);
    G(L)->gcstp = (lu_byte)((G(L)->gcstp & ~GCSTPGC) | unwinding.collecting);
    return abandon_evaluation(L, depth);
}

/* The error value is on top. Returns LEFT or how many values. */
static int describe_failure(lua_State *L, lua_State *co, lua_KContext depth)
{
    struct process *process = process_of(L);
    process->evaluations = (unsigned)depth - 1;     /* should there be no memory for the traceback */
    lua_pushboolean(L, false);
    luaL_traceback(L, co, NULL, 0);
    process->evaluations = (unsigned)depth;
    if (close_thread(L, co) == LEFT)        /* runs its pending __close; may change the error */
        return LEFT;
    lua_settop(co, 1);
    lua_xmove(co, L, 1);
    lua_insert(L, -2);
    return 3;
}

/* Runs it on until it ends, or until a yield passes through. */
static int run_evaluation(lua_State *L, lua_State *co, int count, lua_KContext depth)
{
    struct unwinding unwinding = unwinding_of(L);
    struct process *process = process_of(L);
    int results = resume_thread(L, co, count);
    if (results == PASSES)
        return lua_yieldk(L, 0, depth, continue_evaluate);
    if (results >= 0) {
        lua_pushboolean(L, true);
        move_results(L, co, results);
        results++;
    } else if (results == FAILED) {
        results = describe_failure(L, co, depth);
    }
    if (results == LEFT)
        return evaluation_was_left(L, depth, unwinding);
    process->evaluations = (unsigned)depth - 1;
    if (process->evaluations == 0)
        process->interrupted = false;       /* it came too late */
    return results;
}

static int continue_evaluate(lua_State *L, int status, lua_KContext depth)
{
    (void)status;
    if (process_of(L)->interrupted)
        return abandon_evaluation(L, depth);
    return run_evaluation(L, lua_tothread(L, 1), 0, depth);
}

static lua_State *push_thread_for(lua_State *L, int function)
{
    luaL_checktype(L, function, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    preempt_disarm(co);         /* a new thread inherits the hook of the one that makes it */
    lua_pushvalue(L, function);
    lua_xmove(L, co, 1);
    return co;
}

int coroutine_evaluate(lua_State *L)
{
    lua_State *co = push_thread_for(L, 1);
    process_set_main_thread(co);
    lua_replace(L, 1);
    struct process *process = process_of(L);
    if (process->evaluations++ == 0)
        process->interrupted = false;
    lua_KContext depth = process->evaluations;
    return run_evaluation(L, co, lua_gettop(L) - 1, depth);
}

/* --- the rest of the library ----------------------------------------------------------------- */

static int l_coroutine_create(lua_State *L)
{
    push_thread_for(L, 1);
    return 1;
}

static int l_coroutine_wrap(lua_State *L)
{
    push_thread_for(L, 1);
    lua_pushcclosure(L, l_wrapped, 1);
    return 1;
}

static int l_coroutine_yield(lua_State *L)
{
    if (process_is_main_thread(L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static enum coroutine_state state_of(lua_State *L, lua_State *co)
{
    lua_Debug frame;
    if (co == L)
        return RUNNING;
    switch (lua_status(co)) {
    case LUA_YIELD:
        return SUSPENDED;
    case LUA_OK:
        if (lua_getstack(co, 0, &frame))
            return NORMAL;
        return lua_gettop(co) > 0 ? SUSPENDED : DEAD;
    default:
        return DEAD;
    }
}

static const char *const state_names[] = {"running", "normal", "suspended", "dead"};

static int l_coroutine_status(lua_State *L)
{
    lua_pushstring(L, state_names[state_of(L, check_thread(L, 1))]);
    return 1;
}

static int l_coroutine_running(lua_State *L)
{
    lua_pushthread(L);
    lua_pushboolean(L, process_is_main_thread(L));
    return 2;
}

static int l_coroutine_isyieldable(lua_State *L)
{
    lua_State *co = lua_isnone(L, 1) ? L : check_thread(L, 1);
    lua_pushboolean(L, !process_is_main_thread(co) && lua_isyieldable(co));
    return 1;
}

static int l_coroutine_close(lua_State *L)
{
    lua_State *co = lua_isnone(L, 1) ? L : check_thread(L, 1);
    enum coroutine_state state = state_of(L, co);
    if (state == NORMAL)
        return luaL_error(L, "cannot close a normal coroutine");
    if (process_is_main_thread(co))
        return luaL_error(L, "cannot close main thread");
    int status = close_thread(L, co);       /* does not return when co is running */
    if (status == LEFT)
        coroutine_leave(L);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

static const luaL_Reg functions[] = {
    {"create", l_coroutine_create},
    {"resume", l_coroutine_resume},
    {"wrap", l_coroutine_wrap},
    {"yield", l_coroutine_yield},
    {"status", l_coroutine_status},
    {"running", l_coroutine_running},
    {"isyieldable", l_coroutine_isyieldable},
    {"close", l_coroutine_close},
    {NULL, NULL},
};

int coroutine_open(lua_State *L)
{
    luaL_newlib(L, functions);
    return 1;
}

const struct continuation continuations[] = {
    {"system call", process_call_continue},
    {"coroutine.resume", continue_resume},
    {"coroutine.wrap", continue_wrap},
    {"evaluate", continue_evaluate},
    {NULL, NULL},
};
