/* What only tests may do to the C core: `core.probe`, linked into the test image alone
 * (--wrap=archive_open adds it to the core table; --wrap of process_tick and syscall_handle spoils
 * registers).
 */
#include <string.h>
#include <sys/syscall.h>

#include "lauxlib.h"
#include "lua.h"
#include "pages.h"
#include "panic.h"
#include "trap.h"

#define RUNS 256

void __real_archive_open(lua_State *L);
void __wrap_archive_open(lua_State *L);
void __real_process_tick(struct trap_frame *frame, void *fxsave_area);
void __wrap_process_tick(struct trap_frame *frame, void *fxsave_area);

int64_t __real_syscall_handle(const void *arguments, uint64_t flags);
int64_t __wrap_syscall_handle(const void *arguments, uint64_t flags);

static bool spoil;
static unsigned long spoilt;

/* Uses every x87 and SSE register, as compiled C is free to. */
static void spoil_registers(void)
{
    __asm__ volatile(
        "pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm1, %%xmm1; pcmpeqd %%xmm2, %%xmm2;"
        "pcmpeqd %%xmm3, %%xmm3; pcmpeqd %%xmm4, %%xmm4; pcmpeqd %%xmm5, %%xmm5;"
        "pcmpeqd %%xmm6, %%xmm6; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm8, %%xmm8;"
        "pcmpeqd %%xmm9, %%xmm9; pcmpeqd %%xmm10, %%xmm10; pcmpeqd %%xmm11, %%xmm11;"
        "pcmpeqd %%xmm12, %%xmm12; pcmpeqd %%xmm13, %%xmm13; pcmpeqd %%xmm14, %%xmm14;"
        "pcmpeqd %%xmm15, %%xmm15; fninit; fldpi; fldpi; fldpi" ::: "memory");
}

void __wrap_process_tick(struct trap_frame *frame, void *fxsave_area)
{
    if (spoil) {
        spoilt++;
        spoil_registers();
    }
    __real_process_tick(frame, fxsave_area);
}

int64_t __wrap_syscall_handle(const void *arguments, uint64_t flags)
{
    spoil_registers();
    return __real_syscall_handle(arguments, flags);
}

/* probe.syscall() → bits of what a system call changed: 1 a general register, 2 the red zone,
 * 4 an SSE register, 8 the x87 stack, 16 the flags, 32 the wrong result */
static int l_syscall(lua_State *L)
{
    static const uint64_t pattern = 0x0123456789abcdef;
    static struct { uint64_t general, zone, sse, before, after, result; double x87; } results;
    __asm__ volatile(
        "movq %[pattern], %%rbx; movq %%rbx, %%r8; movq %%rbx, %%r9; movq %%rbx, %%r10;"
        "movq %%rbx, %%r12; movq %%rbx, %%r13; movq %%rbx, %%r14; movq %%rbx, %%r15;"
        "movq %%rbx, %%rdi; movq %%rbx, %%rsi; movq %%rbx, %%rdx;"
        "movq %%rbx, -8(%%rsp); movq %%rbx, -64(%%rsp); movq %%rbx, -128(%%rsp);"
        "movq %%rbx, %%xmm0; movq %%rbx, %%xmm7; movq %%rbx, %%xmm8; movq %%rbx, %%xmm15;"
        "fninit; fld1; subq $256, %%rsp; stc; pushfq; popq %%rcx; addq $256, %%rsp;"
        "movq %%rcx, %[before];"
        "stc; movl %[number], %%eax; syscall;"
        "leaq -256(%%rsp), %%rsp; pushfq; popq %%rcx; leaq 256(%%rsp), %%rsp;"
        "movq %%rcx, %[after]; movq %%rax, %[result];"
        "xorq %%rbx, %%r8; xorq %%rbx, %%r9; xorq %%rbx, %%r10; xorq %%rbx, %%r12;"
        "xorq %%rbx, %%r13; xorq %%rbx, %%r14; xorq %%rbx, %%r15; xorq %%rbx, %%rdi;"
        "xorq %%rbx, %%rsi; xorq %%rbx, %%rdx; xorq %[pattern], %%rbx;"
        "orq %%r9, %%r8; orq %%r10, %%r8; orq %%r12, %%r8; orq %%r13, %%r8; orq %%r14, %%r8;"
        "orq %%r15, %%r8; orq %%rdi, %%r8; orq %%rsi, %%r8; orq %%rdx, %%r8; orq %%rbx, %%r8;"
        "movq %%r8, %[general]; movq %[pattern], %%rbx;"
        "movq -8(%%rsp), %%r8; xorq %%rbx, %%r8; movq -64(%%rsp), %%r9; xorq %%rbx, %%r9;"
        "movq -128(%%rsp), %%r10; xorq %%rbx, %%r10; orq %%r9, %%r8; orq %%r10, %%r8;"
        "movq %%r8, %[zone];"
        "movq %%xmm0, %%r8; xorq %%rbx, %%r8; movq %%xmm7, %%r9; xorq %%rbx, %%r9;"
        "orq %%r9, %%r8; movq %%xmm8, %%r9; xorq %%rbx, %%r9; orq %%r9, %%r8;"
        "movq %%xmm15, %%r9; xorq %%rbx, %%r9; orq %%r9, %%r8; movq %%r8, %[sse];"
        "fstpl %[x87]"
        : [general] "=m"(results.general), [zone] "=m"(results.zone), [sse] "=m"(results.sse),
          [before] "=m"(results.before), [after] "=m"(results.after),
          [result] "=m"(results.result), [x87] "=m"(results.x87)
        : [pattern] "m"(pattern), [number] "i"(SYS_getpid)
        : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
          "r15", "xmm0", "xmm7", "xmm8", "xmm15", "cc", "memory");
    lua_pushinteger(L, (results.general ? 1 : 0) | (results.zone ? 2 : 0) | (results.sse ? 4 : 0)
                           | (results.x87 != 1.0 ? 8 : 0)
                           | (results.before != results.after ? 16 : 0)
                           | (results.result != 1 ? 32 : 0));
    return 1;
}

/* probe.spoil(on) → how many ticks have spoilt the registers so far */
static int l_spoil(lua_State *L)
{
    spoil = lua_toboolean(L, 1);
    lua_pushinteger(L, (lua_Integer)spoilt);
    return 1;
}

static int l_read(lua_State *L)
{
    lua_pushinteger(L, *(volatile uint8_t *)luaL_checkinteger(L, 1));
    return 1;
}

static int l_write(lua_State *L)
{
    *(volatile uint8_t *)luaL_checkinteger(L, 1) = 1;
    return 0;
}

static int l_jump(lua_State *L)
{
    ((void (*)(void))luaL_checkinteger(L, 1))();
    return 0;
}

static int l_divide(lua_State *L)
{
    volatile int zero = (int)luaL_checkinteger(L, 1);
    lua_pushinteger(L, 7 / zero);
    return 1;
}

static int l_undefined(lua_State *L)
{
    (void)L;
    __asm__ volatile("ud2");
    return 0;
}

static unsigned recurse(unsigned depth)
{
    volatile char room[4000];
    memset((char *)room, (int)depth, sizeof room);
    if (depth == 1000000)
        return 0;
    return recurse(depth + 1) + (unsigned)room[depth % sizeof room];
}

static int l_overflow(lua_State *L)
{
    lua_pushinteger(L, recurse(0));
    return 1;
}

/* Address of an object in the image's text, in its read-only data, and in the heap. */
static int l_addresses(lua_State *L)
{
    static const char constant[] = "read only";
    lua_pushinteger(L, (lua_Integer)(uintptr_t)l_read);
    lua_pushinteger(L, (lua_Integer)(uintptr_t)constant);
    lua_pushinteger(L, (lua_Integer)(uintptr_t)&spoilt);
    return 3;
}

static int l_free_twice(lua_State *L)
{
    void *run = page_alloc(3);
    page_free(run, 3);
    page_free(run, (size_t)luaL_optinteger(L, 1, 3));
    return 0;
}

static const char *run_fault(const uint8_t *run, size_t bytes, uint8_t value)
{
    for (size_t i = 0; i < bytes; i++)
        if (run[i] != value)
            return value ? "somebody else wrote into a run" : "a run is not zeroed";
    return NULL;
}

/* probe.pages(steps, seed, most) → error or nil, pages lost: runs of random length taken, filled,
 * grown, cut and given back in random order; each must be zero when it comes and untouched when it
 * goes. */
static int l_pages(lua_State *L)
{
    static struct { uint8_t *run; size_t pages; } runs[RUNS];
    uint64_t random = (uint64_t)luaL_checkinteger(L, 2) * 2 + 1;
    size_t most = (size_t)luaL_checkinteger(L, 3), before = pages_free_count();
    const char *fault = NULL;
    for (lua_Integer step = luaL_checkinteger(L, 1); step > 0 && !fault; step--) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        size_t at = random >> 40 & (RUNS - 1), want = (random >> 33) % most + 1;
        uint8_t mark = (uint8_t)(at | 1);
        if (runs[at].run == NULL) {
            if ((runs[at].run = page_alloc(want)) == NULL)
                continue;
            runs[at].pages = want;
            fault = run_fault(runs[at].run, want * PAGE_SIZE, 0);
            memset(runs[at].run, mark, want * PAGE_SIZE);
        } else if (random >> 60 == 0 && page_extend_raw(runs[at].run, runs[at].pages, runs[at].pages + want)) {
            memset(runs[at].run + runs[at].pages * PAGE_SIZE, mark, want * PAGE_SIZE);
            runs[at].pages += want;
        } else {
            size_t keep = random >> 60 == 1 ? runs[at].pages / 2 : 0;
            fault = run_fault(runs[at].run, runs[at].pages * PAGE_SIZE, mark);
            page_free(runs[at].run + keep * PAGE_SIZE, runs[at].pages - keep);
            runs[at].pages = keep;
            if (keep == 0)
                runs[at].run = NULL;
        }
    }
    for (size_t i = 0; i < RUNS; i++) {
        page_free(runs[i].run, runs[i].pages);
        runs[i].run = NULL;
    }
    lua_pushstring(L, fault);
    lua_pushinteger(L, (lua_Integer)before - (lua_Integer)pages_free_count());
    return 2;
}

/* probe.memory() → pages free, all pages */
static int l_memory(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)pages_free_count());
    lua_pushinteger(L, (lua_Integer)pages_total_count());
    return 2;
}

/* probe.piece(pages) → could such a run be had? It is cut to nothing at once. */
static int l_piece(lua_State *L)
{
    size_t pages = (size_t)luaL_checkinteger(L, 1);
    void *run = page_alloc(pages);
    page_free(run, pages);
    lua_pushboolean(L, run != NULL);
    return 1;
}

/* probe.stacks(n) → error or nil, pages lost */
static int l_stacks(lua_State *L)
{
    static void *stacks[64];
    lua_Integer count = luaL_checkinteger(L, 1);
    const char *fault = NULL;
    size_t before = pages_free_count();
    for (int i = 0; i < count && i < 64 && !fault; i++) {
        stacks[i] = stack_alloc(65536);
        memset(stacks[i], i + 1, 65536);
        if (!stack_guard_holds((uintptr_t)stacks[i] - 1) || stack_guard_holds((uintptr_t)stacks[i]))
            fault = "no guard page below a stack";
    }
    for (int i = 0; i < count && i < 64; i++) {
        uintptr_t guard = (uintptr_t)stacks[i] - 1;
        if (run_fault(stacks[i], 65536, (uint8_t)(i + 1)))
            fault = "stacks overlap";
        stack_free(stacks[i], 65536);
        if (stack_guard_holds(guard))
            fault = "a guard page stayed behind";
    }
    lua_pushstring(L, fault);
    lua_pushinteger(L, (lua_Integer)before - (lua_Integer)pages_free_count());
    return 2;
}

static const luaL_Reg functions[] = {
    {"spoil", l_spoil}, {"syscall", l_syscall}, {"read", l_read}, {"write", l_write}, {"jump", l_jump},
    {"divide", l_divide}, {"undefined", l_undefined}, {"overflow", l_overflow},
    {"addresses", l_addresses}, {"free_twice", l_free_twice}, {"pages", l_pages},
    {"memory", l_memory}, {"piece", l_piece}, {"stacks", l_stacks}, {NULL, NULL},
};

void __wrap_archive_open(lua_State *L)
{
    __real_archive_open(L);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "probe");
}
