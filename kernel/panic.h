/* The end: says what broke, with values, registers and the Lua traceback, and stops the machine. */
#ifndef KHOROS_PANIC_H
#define KHOROS_PANIC_H

struct trap_frame;

/* module: the file's idea ("pages"); format, ...: what is wrong, with the values. */
_Noreturn void panic(const char *module, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a CPU exception; prints the frame's registers instead of its own. */
_Noreturn void panic_trap(const struct trap_frame *frame);

#endif
