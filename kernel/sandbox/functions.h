/* Finding a function in its chunk, and making it anew without running the chunk: how functions travel as
 * source (lua/kernel/functions.lua) and are kept on disk (lua/fs/functions.lua; lua/fs/prototypes.lua is
 * the same in plain Lua). Nothing in another form than text is ever loaded.
 *
 *   number_of(chunk, f) → which function of the compiled chunk f is | nothing: it is none of them
 *   function_at(chunk, number) → a new function, each of whose upvalues is a new nil | nothing
 *   dump(f) → what the compiler has made of f, without debug information, to be compared
 *
 * For trusted code: what they make is no more than what the text says, but they ask for Lua functions and
 * nothing else.
 */
#ifndef KHOROS_FUNCTIONS_H
#define KHOROS_FUNCTIONS_H

struct lua_State;

/* Adds them to the table on top of the stack. */
void functions_open(struct lua_State *L);

#endif
