/* The inside of a process; for process*.c, coroutine.c and sandbox/ only. */
#ifndef KHOROS_PROCESS_STATE_H
#define KHOROS_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "capability.h"
#include "copy.h"
#include "lua.h"
#include "process.h"
#include "trap.h"

#define PROCESS_NAME_BYTES 32
#define OPERATION_BYTES 24
#define OUTPUT_BYTES 1024               /* what stdout holds back at most */

/* Why a process is not running. */
enum process_stop {
    STOP_NEW,           /* never ran */
    STOP_PREEMPTED,     /* step 1: at a Lua instruction */
    STOP_PARKED,        /* step 2: anywhere; `frame` and `fxsave` are its registers */
    STOP_CALL,          /* system call: operation, control, payload */
    STOP_FINISHED,      /* result: what its main function returned */
    STOP_ERROR,         /* result: message, traceback; or failure */
    STOP_FAULT,         /* a CPU exception: frame, fault_address */
};

/* stdin, stdout or stderr of a process; see sandbox/hosted.h. */
struct stream {
    uint8_t number;
    bool failed;
    int mode;                           /* _IONBF, _IOLBF, _IOFBF */
};

/* What a yield on its way out through user coroutines is. User code never sees one. */
enum passing { PASSING_NOTHING, PASSING_TICK, PASSING_CALL };

struct process {
    struct capability capability;       /* the supervisor's handle */
    char name[PROCESS_NAME_BYTES];
    bool supervisor, unsafe_libraries;

    struct object_owner owner;          /* capabilities and messages it holds */
    struct arena arena;                 /* its Lua heap */

    lua_State *main;                    /* the state; its main thread runs only C */
    lua_State *thread;                  /* what user code knows as the main thread */
    lua_State *volatile running;        /* innermost thread that is running; NULL: no state yet */
    volatile bool outward;              /* may every resume between thread and running yield? */
    volatile enum passing passing;
    int start_arguments;

    uint8_t *stack;
    size_t stack_bytes;
    void *stack_pointer;                /* where it left its stack, unless parked */
    void *supervisor_pointer;           /* where the supervisor waits on its own */

    enum process_stop stop;
    bool ended;
    struct process *next_remains;       /* see process_kill() */
    volatile unsigned ticks, slice;     /* since it was switched to; after how many it shall yield */
    int64_t cpu_ns, started_ns;

    char operation[OPERATION_BYTES];    /* of a system call */
    struct message *control, *payload;
    struct message *answers;            /* queue of what the call returns */
    struct message *result;
    struct message *unfinished;         /* see process_unfinished() */
    const char *failure;                /* an end without result */

    unsigned evaluations;               /* how many evaluate() are active */
    volatile bool interrupted;          /* abandon the outermost one */
    bool leaving;                       /* on the way from thread to thread to that one */

    struct stream streams[3];
    size_t output_bytes;                /* of `output`, not yet written */
    bool warnings_off, warning_continues;
    int error_number;                   /* errno while it does not run */

    uint64_t fault_address;
    struct trap_frame frame;
    _Alignas(16) uint8_t fxsave[FXSAVE_BYTES];
    char output[OUTPUT_BYTES];
};

/* A thread's extra space: its process, and in the lowest bit whether user code shall take it for the
 * main thread. Of the state's first thread, from which every new one gets a copy, the bit is clear. */
#define MAIN_THREAD ((uintptr_t)1)

/* process_of, for what is done at every switch of coroutines. */
static inline struct process *process_of_thread(lua_State *L)
{
    return (struct process *)(*(uintptr_t *)lua_getextraspace(L) & ~MAIN_THREAD);
}

/* Does user code take it for the main thread? */
static inline bool process_is_main_thread(lua_State *L)
{
    return *(uintptr_t *)lua_getextraspace(L) & MAIN_THREAD || L == process_of_thread(L)->main;
}

/* Is what runs in it to be abandoned as soon as it can be left? */
static inline bool process_is_abandoned(const struct process *process)
{
    return process->interrupted && process->evaluations > 0;
}

void switch_context(void **save, void *load);
void switch_landing(void);
void switch_to_parked(void **save, const struct trap_frame *frame, const void *fxsave_area);
void switch_entry(void);
void process_main(struct process *process);

/* process.c */
struct process *process_create(struct process *process, size_t stack_bytes, struct account *account);
void process_end(struct process *process);
bool process_kill(struct process *process, size_t budget);  /* → is all of it given back? */
bool process_reap(size_t budget);                           /* → of every one that was killed? */
void process_run(struct process *process, unsigned slice);
void process_set_main_thread(lua_State *L);                 /* to user code */
int64_t process_cpu_ns(const struct process *process);     /* the running slice included */
void process_leave(struct process *process, enum process_stop why);

/* process_interrupt.c: pre-emption, step 1 */
void preempt_arm(lua_State *L);
void preempt_disarm(lua_State *L);
void preempt_yielded(lua_State *L);     /* after any yield of L */
bool preempt_hide_hooks(lua_State *L);  /* L calls no hook; pairs, but an error may end it as well */
void preempt_show_hooks(lua_State *L, bool shown);

/* coroutine.c */
int coroutine_open(lua_State *L);
int coroutine_evaluate(lua_State *L);
_Noreturn void coroutine_leave(lua_State *L);   /* for good, and so on outwards to the evaluation */

/* sandbox/libraries.c */
void libraries_open(lua_State *L, bool unsafe);
void libraries_push_kernel(lua_State *L);

/* A C function that may be resumed in its middle. Every one of ours is in this table: what a
 * suspended process could have on its stack besides Lua frames and Lua's own pcall, xpcall. */
struct continuation {
    const char *name;
    lua_KFunction function;
};
extern const struct continuation continuations[];
int process_call_continue(lua_State *L, int status, lua_KContext context);

#endif
