/* The process core as a Linux program: kernel/{arena,object,capability,block,copy,process*,coroutine,
 * lua_process,lua_dma,lua_port,sandbox/libraries}.c and switch.S as they are, with the rest of the kernel played by
 * this file. It runs a Lua script as the supervisor:
 *
 *     host [--lua DIR] SCRIPT [ARGUMENT…]        script(core, host, ARGUMENT…)
 *
 * Pages and stacks come from mmap and are counted, so that a leak shows. A tick is a real signal on
 * its own stack, from which a trap frame is made and into which it is put back, so process_tick and
 * process_fault do to a Linux process what they do to the machine.
 *
 *   host.pages()              pages and stacks handed out and not given back
 *   host.page_budget(n)       from now on only n more pages can be had (nil: no limit)
 *   host.tick_every(us)       ticks by timer from now on (0: off)
 *   host.step_every(n)        once a tick has come, so does one at each n-th instruction, until the process leaves
 *                             by itself (0: off)
 *   host.seed(n)              of random_u64
 *   host.arena_check(seed, steps)     see arena_check.c
 *   host.read_exactly(payload)        reads it where the byte after its last is not to be read: could it?
 *   host.dma_moves(value)     see dma_model.c
 *   host.read(path)           the text of a file
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

#include "archive.h"
#include "arena_check.h"
#include "dma_model.h"
#include "cpu.h"
#include "block.h"
#include "fingerprint.h"
#include "lauxlib.h"
#include "lua.h"
#include "lua_bindings.h"
#include "lualib.h"
#include "pages.h"
#include "process.h"
#include "random.h"
#include "timer.h"
#include "trap.h"

struct cpu boot_cpu;
static const char *lua_directory = "lua";

/* --- pages.h ---------------------------------------------------------------------------------- */

static size_t pages_out, page_budget = SIZE_MAX;

/* What somebody else has left there. */
#define LEFT_BEHIND 0xa5

static void *map_pages(size_t pages, int flags)
{
    if (pages == 0 || pages > page_budget)
        return NULL;
    void *run = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (run == MAP_FAILED)
        return NULL;
    /* Whoever had these addresses before may have left them poisoned. */
    ASAN_UNPOISON_MEMORY_REGION(run, pages * PAGE_SIZE);
    memset(run, LEFT_BEHIND, pages * PAGE_SIZE);
    pages_out += pages;
    if (page_budget != SIZE_MAX)
        page_budget -= pages;
    return run;
}

void *page_alloc_raw(size_t pages)
{
    return map_pages(pages, 0);
}

void *page_alloc(size_t pages)
{
    void *run = page_alloc_raw(pages);
    return run ? memset(run, 0, pages * PAGE_SIZE) : NULL;
}

void *page_alloc_below_raw(size_t pages, uintptr_t limit)
{
    if (limit < (uintptr_t)1 << 31)
        abort();    /* MAP_32BIT gives the first 2 GiB, no less */
    return map_pages(pages, MAP_32BIT);
}

void page_free(void *run, size_t pages)
{
    if (!run || pages == 0)
        return;
    if (munmap(run, pages * PAGE_SIZE) != 0)
        abort();
    pages_out -= pages;
}

bool page_extend_raw(void *run, size_t old_pages, size_t new_pages)
{
    if (new_pages - old_pages > page_budget
        || mremap(run, old_pages * PAGE_SIZE, new_pages * PAGE_SIZE, 0) == MAP_FAILED)
        return false;
    ASAN_UNPOISON_MEMORY_REGION((char *)run + old_pages * PAGE_SIZE,
                                (new_pages - old_pages) * PAGE_SIZE);
    memset((char *)run + old_pages * PAGE_SIZE, LEFT_BEHIND, (new_pages - old_pages) * PAGE_SIZE);
    pages_out += new_pages - old_pages;
    return true;
}

void *stack_alloc(size_t bytes)
{
    if (page_budget < PAGES_OF(bytes))
        return NULL;
    uint8_t *low = mmap(NULL, bytes + PAGE_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(low, bytes + PAGE_SIZE);
    mprotect(low, PAGE_SIZE, PROT_NONE);
    pages_out += PAGES_OF(bytes);
    return low + PAGE_SIZE;
}

void stack_free(void *stack, size_t bytes)
{
    munmap((uint8_t *)stack - PAGE_SIZE, bytes + PAGE_SIZE);
    pages_out -= PAGES_OF(bytes);
}

bool pages_spare(size_t pages)
{
    return pages <= pages_free_count();
}

size_t pages_free_count(void)
{
    return page_budget == SIZE_MAX ? ((size_t)1 << 20) : page_budget;
}

/* --- time and chance -------------------------------------------------------------------------- */

static uint64_t random_state = 1;

uint64_t random_u64(void)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return random_state ^ random_state >> 29;
}

int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec;
}

static int l_clock(lua_State *L)
{
    lua_pushinteger(L, clock_ns());
    return 1;
}

static int l_halt(lua_State *L)
{
    int64_t left = luaL_optinteger(L, 1, INT64_MAX) - clock_ns();
    if (left > 1000000)
        left = 1000000;
    if (left > 0)
        nanosleep(&(struct timespec){0, left}, NULL);
    return 0;
}

static int l_random(lua_State *L)
{
    size_t count = (size_t)luaL_checkinteger(L, 1);
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_u64();
    luaL_pushresultsize(&buffer, count);
    return 1;
}

void lua_clock_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"clock", l_clock}, {"halt", l_halt}, {"random", l_random}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

/* --- archive.h: modules are read from the tree -------------------------------------------------- */

/* Pushes the file's contents, or nothing. */
static bool push_file(lua_State *L, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (size_t got = 1; got > 0; luaL_addsize(&text, got))
        got = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
    fclose(file);
    luaL_pushresult(&text);
    return true;
}

static int l_source(lua_State *L)
{
    const char *path = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    path = lua_pushfstring(L, "%s/%s.lua", lua_directory, path);
    if (!push_file(L, path))
        return 0;
    lua_pushfstring(L, "=%s", path);
    return 2;
}

void archive_open(lua_State *L)
{
    lua_pushcfunction(L, l_source);
    lua_setfield(L, -2, "source");
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void frame_from(const greg_t *registers, struct trap_frame *frame)
{
    uint64_t selectors = (uint64_t)registers[REG_CSGSFS];
    *frame = (struct trap_frame){
        .r15 = registers[REG_R15], .r14 = registers[REG_R14], .r13 = registers[REG_R13],
        .r12 = registers[REG_R12], .r11 = registers[REG_R11], .r10 = registers[REG_R10],
        .r9 = registers[REG_R9], .r8 = registers[REG_R8], .rdi = registers[REG_RDI],
        .rsi = registers[REG_RSI], .rbp = registers[REG_RBP], .rdx = registers[REG_RDX],
        .rcx = registers[REG_RCX], .rbx = registers[REG_RBX], .rax = registers[REG_RAX],
        .rip = registers[REG_RIP], .cs = selectors & 0xffff, .rflags = registers[REG_EFL],
        .rsp = registers[REG_RSP], .ss = selectors >> 48,
    };
}

static void return_to(greg_t *registers, const struct trap_frame *frame)
{
    registers[REG_RIP] = (greg_t)frame->rip;
    registers[REG_RSP] = (greg_t)frame->rsp;
    registers[REG_EFL] = (greg_t)frame->rflags;
}

#define RFLAGS_TRAP 0x100       /* Intel SDM 1, 3.4.3.3: an exception after each instruction */

static unsigned step_every, steps;

/* Only a process is followed instruction by instruction; parked, it keeps the flag. */
static void step(struct trap_frame *frame, bool begin)
{
    if (step_every == 0 || !this_cpu()->process)
        frame->rflags &= ~(uint64_t)RFLAGS_TRAP;
    else if (begin)
        frame->rflags |= RFLAGS_TRAP;
}

static bool ticks_now(void)
{
    return step_every > 0 && ++steps % step_every == 0;
}

static void on_signal(int number, siginfo_t *information, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    void *fxsave = ((ucontext_t *)context)->uc_mcontext.fpregs;
    struct trap_frame frame;
    (void)information;
    frame_from(registers, &frame);
    if (number == SIGALRM || number == SIGTRAP) {
        step(&frame, number == SIGALRM);
        if (number == SIGALRM || ticks_now())
            process_tick(&frame, fxsave);
    } else {
        frame.vector = number == SIGFPE ? 0 : 14;
        if (!process_fault(&frame, fxsave)) {
            signal(number, SIG_DFL);
            return;
        }
    }
    return_to(registers, &frame);
}

static int l_step_every(lua_State *L)
{
    step_every = (unsigned)luaL_checkinteger(L, 1);
    return 0;
}

static void catch_signals(void)
{
    static char signal_stack[256 * 1024];
    sigaltstack(&(stack_t){.ss_sp = signal_stack, .ss_size = sizeof signal_stack}, NULL);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static int l_tick_every(lua_State *L)
{
    suseconds_t interval = (suseconds_t)luaL_checkinteger(L, 1);
    struct itimerval timer = {{0, interval}, {0, interval}};
    setitimer(ITIMER_REAL, &timer, NULL);
    return 0;
}

static int l_pages(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)pages_out);
    return 1;
}

static int l_page_budget(lua_State *L)
{
    page_budget = (size_t)luaL_optinteger(L, 1, -1);
    return 0;
}

static int l_seed(lua_State *L)
{
    random_state = (uint64_t)luaL_checkinteger(L, 1);
    return 0;
}

static int l_read_exactly(lua_State *L)
{
    struct codec_input payload;
    struct fingerprint_key key;
    fingerprint result;
    const char *bytes = luaL_checklstring(L, 1, &payload.length);
    char *copy = malloc(payload.length);
    memcpy(copy, bytes, payload.length);
    payload.bytes = (const uint8_t *)copy;
    fingerprint_key_make(&key, (const uint8_t[FINGERPRINT_KEY_BYTES]){0});
    lua_pushboolean(L, fingerprint_of_payload(&key, payload, &result));
    free(copy);
    return 1;
}

static int l_read(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return push_file(L, path) ? 1 : luaL_error(L, "cannot read %s", path);
}

static const luaL_Reg host_functions[] = {
    {"pages", l_pages}, {"page_budget", l_page_budget}, {"tick_every", l_tick_every},
    {"step_every", l_step_every},
    {"seed", l_seed}, {"arena_check", l_arena_check}, {"dma_moves", l_dma_moves}, {"port_writes", l_port_writes},
    {"read", l_read},
    {"read_exactly", l_read_exactly}, {NULL, NULL},
};

/* --- what Lua's libraries do not reach (sandbox/hosted.h) and scripts need ------------------------ */

static void load_file(lua_State *L, const char *path)
{
    if (!push_file(L, path))
        luaL_error(L, "cannot read %s", path);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (luaL_loadbufferx(L, text, length, lua_pushfstring(L, "@%s", path), "t") != LUA_OK)
        lua_error(L);
}

static int l_dofile(lua_State *L)
{
    load_file(L, luaL_checkstring(L, 1));
    lua_call(L, 0, LUA_MULTRET);
    return lua_gettop(L) - 3;           /* argument, text, chunk name */
}

static int l_getenv(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

static void open_outside(lua_State *L)
{
    lua_register(L, "dofile", l_dofile);
    lua_getglobal(L, "os");
    lua_pushcfunction(L, l_getenv);
    lua_setfield(L, -2, "getenv");
    lua_pop(L, 1);
}

/* --- the program ------------------------------------------------------------------------------ */

static int l_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* The script's path and its arguments. */
static int l_run(lua_State *L)
{
    load_file(L, luaL_checkstring(L, 1));
    lua_replace(L, 1);
    lua_settop(L, lua_gettop(L) - 2);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void push_core(lua_State *L)
{
    lua_newtable(L);
    archive_open(L);
    lua_clock_open(L);
    lua_crc32c_open(L);
    lua_codec_open(L);
    block_open(L);
    lua_dma_open(L);
    lua_port_open(L);
    process_open(L);
    lua_pushinteger(L, (lua_Integer)1 << 32);
    lua_setfield(L, -2, "memory_bytes");
}

/* A parked process is resumed with FXRSTOR, which knows no AVX, so the C library must not use it: it
 * is told before it starts. */
static void forbid_avx(char **arguments)
{
    if (getenv("GLIBC_TUNABLES"))
        return;
    setenv("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL", 1);
    execv("/proc/self/exe", arguments);
}

int main(int count, char **arguments)
{
    forbid_avx(arguments);
    int first = 1;
    if (count > 2 && strcmp(arguments[1], "--lua") == 0) {
        lua_directory = arguments[2];
        first = 3;
    }
    catch_signals();
    lua_State *L = process_supervisor();
    if (!L || first >= count)
        return 2;
    boot_cpu.lua_running = L;
    open_outside(L);
    luaL_checkstack(L, count + 8, NULL);
    lua_pushcfunction(L, l_traceback);
    lua_pushcfunction(L, l_run);
    lua_pushstring(L, arguments[first]);
    push_core(L);
    luaL_newlib(L, host_functions);
    for (int i = first + 1; i < count; i++)
        lua_pushstring(L, arguments[i]);
    if (lua_pcall(L, 3 + count - first - 1, 0, 1) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    return boot_cpu.preempt_depth == 0 ? 0 : 3;
}
