/* Processes: a lua_State with its own arena, on its own guarded C stack, run by the supervisor.
 *
 *     supervisor (Lua)                      process
 *     handle:run(slice) ──── switch ────►   lua_resume(its main thread)
 *        ◄── "call", op, … ──────────────   system call: yields through its coroutines, or leaves
 *        ◄── "preempted" ────────────────   step 1: the tick's hook yields at a Lua instruction
 *        ◄── "parked" ───────────────────   step 2: the tick takes the CPU away, stack and all
 *        ◄── "finished" | "error" | "fault"
 *
 * No lua_State is ever touched by another process or by the supervisor: values cross as messages
 * (copy.h), packed by the sender and unpacked by the receiver, each on its own stack, in its own
 * heap, under its own quota and its own pre-emption. So a process may be stopped or killed at any
 * instruction whatever.
 *
 * A process stopped at a system call or by step 1 has nothing on its C stack that is not also in Lua
 * structures, unless it is inside a C function that cannot yield.
 */
#ifndef KHOROS_PROCESS_H
#define KHOROS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lua.h"
#include "object.h"

struct message;
struct process;
struct trap_frame;

/* Makes the supervisor: a process without quota, stack or pre-emption, with all of Lua's libraries.
 * Returns its state, or NULL without memory. Called once, by main.c. */
lua_State *process_supervisor(void);

/* Adds `process` and `endpoint` to the table on top of the stack (the supervisor's `core`). */
void process_open(lua_State *L);

/* The process that a state belongs to; its objects are charged to `process_owner`. */
struct process *process_of(lua_State *L);
struct object_owner *process_owner(struct process *process);
bool process_is_supervisor(lua_State *L);

/* The messages that are being packed and unpacked in the process, the innermost first (copy.c): should
 * their C functions be left for good, they are still found. */
struct message **process_unfinished(struct process *process);

/* The end of a C function that asks the supervisor: `return process_call(L, "irq_wait", 2);`.
 * Arguments 1..control travel as values that the supervisor sees, the rest as one packed message.
 * The function's results are the answer. In the supervisor itself: raises. */
int process_call(lua_State *L, const char *operation, int control);

/* From an interrupt: something happened that others wait for; end the running process's slice at
 * its next Lua instruction. */
void process_preempt_soon(void);

/* See trap.h. */
void process_tick(struct trap_frame *frame, void *fxsave_area);
bool process_fault(struct trap_frame *frame, void *fxsave_area);

#endif
