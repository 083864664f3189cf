/* Prints what is known, keeps it for the next boot (crash_record.h), and stops. Allocates nothing,
 * takes no lock, and survives a second fault while it prints (then it prints no more than that).
 */
#include "panic.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "cpu.h"
#include "crash_record.h"
#include "io.h"
#include "lua.h"
#include "pages.h"
#include "timer.h"
#include "trap.h"

#define QEMU_DEBUG_EXIT 0x501           /* isa-debug-exit; nothing is there on other machines */
#define QEMU_DEBUG_EXIT_PANIC 0x7f      /* QEMU exits with 2 * value + 1 = 255 */
#define TRACEBACK_LEVELS 24
#define MESSAGE_BYTES 3072              /* holds a Lua traceback */

static const char *const exception_names[32] = {
    "divide error", "debug", "non-maskable interrupt", "breakpoint", "overflow",
    "bound range exceeded", "invalid opcode", "device not available", "double fault",
    "coprocessor overrun", "invalid TSS", "segment not present", "stack fault",
    "general protection", "page fault", "reserved", "x87 error", "alignment check",
    "machine check", "SIMD floating point", "virtualization", "control protection",
};

static void say(const char *text, size_t length)
{
    console_write_panic(text, length);
    crash_record_panic(text, length);
}

static void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void print(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 1)
        length = sizeof line - 1;
    if (length > 0)
        say(line, (size_t)length);
}

static _Noreturn void stop(void)
{
    io_out32(QEMU_DEBUG_EXIT, QEMU_DEBUG_EXIT_PANIC);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* A fault inside a panic must not start over. */
static void begin(void)
{
    static bool begun;
    __asm__ volatile("cli");
    if (begun) {
        print("\n(a second fault while panicking)\n");
        stop();
    }
    begun = true;
}

/* One line a level, without luaL_traceback: that would allocate in a state that may be broken. */
static void print_lua_traceback(void)
{
    struct lua_State *L = this_cpu()->lua_running;
    lua_Debug level;
    if (L == NULL)
        return;
    print("Lua traceback:\n");
    for (int i = 0; i < TRACEBACK_LEVELS && lua_getstack(L, i, &level); i++) {
        lua_getinfo(L, "Sln", &level);
        if (level.currentline > 0)
            print("  %s:%d: in %s\n", level.short_src, level.currentline,
                  level.name ? level.name : level.what);
        else
            print("  %s: in %s\n", level.short_src, level.name ? level.name : level.what);
    }
}

static void print_end(void)
{
    print_lua_traceback();
    print("  %zu of %zu pages free, %ld ms after boot. The machine is stopped.\n",
          pages_free_count(), pages_total_count(), (long)(clock_ns() / 1000000));
}

void panic(const char *module, const char *format, ...)
{
    static char what[MESSAGE_BYTES];
    va_list arguments;
    begin();
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print("\nKHOROS PANIC in %s: ", module);
    say(what, strlen(what));
    print("\n");
    print("  called from %p, stack %p\n", __builtin_return_address(0), __builtin_frame_address(0));
    print_end();
    stop();
}

static void print_page_fault(const struct trap_frame *frame)
{
    uint64_t address;
    __asm__("movq %%cr2, %0" : "=r"(address));
    print("  %s %#lx: %s\n",
          frame->error & 16 ? "executing" : frame->error & 2 ? "writing" : "reading", address,
          address < PAGE_SIZE ? "a null pointer"
          : frame->error & 1 ? "the page is protected"
          : stack_guard_holds(address) ? "a stack has overflowed into its guard"
                                       : "nothing is mapped there");
}

static void print_registers(const struct trap_frame *f)
{
    print("  rip %016lx  rsp %016lx  rflags %08lx  error %lx\n", f->rip, f->rsp, f->rflags, f->error);
    print("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    print("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
    print("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
    print("  r13 %016lx  r14 %016lx  r15 %016lx\n", f->r13, f->r14, f->r15);
}

void panic_trap(const struct trap_frame *frame)
{
    const char *name = frame->vector < 32 ? exception_names[frame->vector] : NULL;
    begin();
    print("\nKHOROS PANIC in CPU: %s (vector %lu)\n", name ? name : "exception", frame->vector);
    if (frame->vector == 14)
        print_page_fault(frame);
    print_registers(frame);
    print_end();
    stop();
}
