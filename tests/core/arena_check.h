/* See arena_check.c. */
#ifndef ARENA_CHECK_H
#define ARENA_CHECK_H

#include "lua.h"

int l_arena_check(lua_State *L);

#endif
