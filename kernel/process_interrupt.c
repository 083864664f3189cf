/* What interrupts do to the running process: the two steps of pre-emption, and faults.
 *
 *     tick ≥ slice        step 1: arm a hook that yields at the next Lua instruction
 *     tick ≥ slice + 2    step 2: no instruction came; take registers and stack away ("park")
 *
 * A process whose evaluation is to be abandoned (Ctrl-C) leaves it at the first of these: a Lua
 * instruction from which it can yield; any other one, finalizers included; any instruction of the
 * library functions in `library_text` (kernel/Makefile), which know of Lua only what its API shows, so
 * that its state is whole wherever they stand.
 *
 * Step 1 writes what lua_sethook() writes, but marks only the nearest Lua frame: lua_sethook marks
 * every frame of the call chain, and that chain may be 190,000 long. One is enough, because a frame
 * that returns with a hook armed makes its caller look (lvm.c, OP_RETURN*, luaG_tracecall).
 */
#include "process_state.h"

#include <string.h>

#include "cpu.h"
#include "lstate.h"
#include "preempt.h"

#define TICKS_BEFORE_PARKING 2
#define FRAMES_OF_A_YIELD 200
#define RFLAGS_INTERRUPTS 0x202
#define GUARD_BYTES 4096
#define RED_ZONE_BYTES 128
#define FCW_DEFAULT 0x37f       /* Intel SDM 1, 8.1.5: all exceptions masked, 64-bit precision */
#define MXCSR_DEFAULT 0x1f80    /* 10.2.3 */
#define FXSAVE_MXCSR 24         /* offsets in the image: SDM 1, table 10-2 */

extern const uint8_t __start_library_text[], __stop_library_text[];

/* A yield gives back the C stack below it, and Lua counts C levels anew: a recursion through pcall
 * would never meet its limit of 200, run into that of the Lua stack instead, and unwind 100,000 levels
 * in quadratic time. So a thread that is deep keeps its C stack, unless it is to be abandoned. */
static bool should_yield(const struct process *process, lua_State *L)
{
    return process->running == L && process->outward && lua_isyieldable(L)
           && (L->nci <= FRAMES_OF_A_YIELD || process->interrupted);
}

/* Runs in the process at a Lua instruction. */
static void preempt_hook(lua_State *L, lua_Debug *event)
{
    (void)event;
    struct process *process = process_of(L);
    lua_sethook(L, NULL, 0, 0);
    if (should_yield(process, L)) {
        process->passing = PASSING_TICK;
        lua_yield(L, 0);
    } else if (process_is_abandoned(process)) {
        coroutine_leave(L);
    } else {
        process_leave(process, STOP_PREEMPTED);
    }
}

/* From an interrupt or from the running process itself. A hook that user code has set (it can, with
 * all of Lua's libraries) is left alone, and none is called in a finalizer, unless what runs is to be
 * abandoned. */
void preempt_arm(lua_State *L)
{
    if (!L)
        return;
    if (process_is_abandoned(process_of_thread(L)))
        L->allowhook = true;
    else if (L->hook && L->hook != preempt_hook)
        return;
    L->hook = preempt_hook;
    L->basehookcount = L->hookcount = 1;
    L->hookmask = LUA_MASKCOUNT;
    for (CallInfo *call = L->ci; call; call = call->previous)
        if (isLua(call)) {
            call->u.l.trap = 1;
            return;
        }
}

void preempt_disarm(lua_State *L)
{
    if (L->hook == preempt_hook) {
        L->hook = NULL;
        L->hookmask = 0;
    }
}

/* A hook that yields leaves a mark, with which Lua passes over the next event of the frame: the hook
 * shall not be called twice for one instruction. Ours has removed itself, so the event that the mark
 * would swallow is one of a hook that user code sets later. */
void preempt_yielded(lua_State *L)
{
    if (isLua(L->ci))
        L->ci->callstatus &= ~CIST_HOOKYIELD;
}

bool preempt_hide_hooks(lua_State *L)
{
    bool shown = L->allowhook;
    L->allowhook = false;
    return shown;
}

void preempt_show_hooks(lua_State *L, bool shown)
{
    L->allowhook = shown;
}

void process_preempt_soon(void)
{
    struct process *process = this_cpu()->process;
    if (process && process->ticks < process->slice) {
        process->ticks = process->slice;
        preempt_arm(process->running);
    }
}

/* Is the interrupted stack pointer in the process's stack, or at most `below` bytes under it? */
static bool on_stack(const struct process *process, uint64_t pointer, uint64_t below)
{
    uint64_t lowest = (uint64_t)(uintptr_t)process->stack - below;
    return pointer > lowest && pointer - lowest <= process->stack_bytes + below;
}

/* Makes the interrupt return into process_run(), with a clean floating-point unit: the process may
 * have been in the middle of an x87 computation. */
static void continue_supervisor(struct process *process, struct trap_frame *frame, uint8_t *fxsave)
{
    process->frame = *frame;
    memcpy(process->fxsave, fxsave, FXSAVE_BYTES);
    memset(fxsave, 0, FXSAVE_BYTES);
    memcpy(fxsave, &(uint16_t){FCW_DEFAULT}, 2);
    memcpy(fxsave + FXSAVE_MXCSR, &(uint32_t){MXCSR_DEFAULT}, 4);
    memcpy(fxsave + FXSAVE_MXCSR + 4, process->fxsave + FXSAVE_MXCSR + 4, 4);   /* MXCSR mask */
    frame->rip = (uint64_t)(uintptr_t)switch_landing;
    frame->rsp = (uint64_t)(uintptr_t)process->supervisor_pointer;
    frame->rflags = RFLAGS_INTERRUPTS;
    preempt_disable();      /* process_run() enables, as after any switch */
}

static bool in_library(uint64_t address)
{
    return address >= (uint64_t)(uintptr_t)__start_library_text
           && address < (uint64_t)(uintptr_t)__stop_library_text;
}

static _Noreturn void leave_library(void)
{
    coroutine_leave(this_cpu()->process->running);
}

/* Makes the interrupt return into leave_library(), as if the library function had called it. */
static void continue_leaving(struct trap_frame *frame)
{
    frame->rip = (uint64_t)(uintptr_t)leave_library;
    frame->rsp = ((frame->rsp - RED_ZONE_BYTES) & ~(uint64_t)15) - 8;
}

void process_tick(struct trap_frame *frame, void *fxsave_area)
{
    struct process *process = this_cpu()->process;
    if (!process)
        return;
    process->ticks++;
    if (process_is_abandoned(process) && in_library(frame->rip) && preempt_allowed()
        && on_stack(process, frame->rsp, 0)) {
        continue_leaving(frame);
        return;
    }
    if (process->ticks < process->slice)
        return;
    preempt_arm(process->running);
    if (process->ticks < process->slice + TICKS_BEFORE_PARKING || !preempt_allowed()
        || !on_stack(process, frame->rsp, 0))
        return;
    process->stop = STOP_PARKED;
    continue_supervisor(process, frame, fxsave_area);
}

bool process_fault(struct trap_frame *frame, void *fxsave_area)
{
    struct process *process = this_cpu()->process;
    /* The stack pointer of an overflow lies in the guard page below the stack. */
    if (!process || !preempt_allowed() || !on_stack(process, frame->rsp, GUARD_BYTES))
        return false;
#ifndef HOST
    __asm__ volatile("mov %%cr2, %0" : "=r"(process->fault_address));
#endif
    process->stop = STOP_FAULT;
    process->ended = true;
    continue_supervisor(process, frame, fxsave_area);
    return true;
}
