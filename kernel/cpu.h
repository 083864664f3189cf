/* What belongs to one CPU. There is one for now; code reaches it through this_cpu() only, so that
 * nothing hides in globals that a second CPU would have to share.
 */
#ifndef KHOROS_CPU_H
#define KHOROS_CPU_H

#include <stdint.h>

struct lua_State;
struct process;

struct cpu {
    struct process *volatile process;    /* the one switched to, NULL: the supervisor; process.c */
    volatile unsigned preempt_depth;     /* see preempt.h */
    struct lua_State *volatile lua_running; /* whose Lua traceback a panic prints; set by whoever
                                               enters a state (main.c: supervisor; process.c) */
};

extern struct cpu boot_cpu;

static inline struct cpu *this_cpu(void)
{
    return &boot_cpu;
}

#endif
