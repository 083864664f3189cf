/* Guards that a test can take away: guards.py wraps the checks of a copy of kernel/ in guarded("name").
 * True unless KHOROS_GUARD_OFF in the environment names it. */
#ifndef KHOROS_GUARDS_H
#define KHOROS_GUARDS_H

#include <stdbool.h>

bool guarded(const char *name);

/* Shall this allocation of a process fail? See core.fail_allocation in guards.c. */
bool allocation_fails(void);

/* For block_open, which every host program calls with `core` on the stack: core.ports,
 * core.stray_port_accesses(), core.fail_allocation(n). */
struct lua_State;
void guards_open(struct lua_State *L);

#endif
