/* The functions inside a compiled chunk; prototypes.c explains it. */
#ifndef KHOROS_PROTOTYPES_H
#define KHOROS_PROTOTYPES_H

struct lua_State;

/* Pushes the table of its functions. */
void prototypes_open(struct lua_State *L);

#endif
