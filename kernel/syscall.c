/* The system calls that Debian's musl makes on behalf of Lua, and its start-up.
 *
 * Memory calls are page runs (pages.h); stdout and stderr are the early console; time is clock_ns()
 * plus an epoch that a driver sets. Everything else answers ENOSYS, which makes fopen, popen,
 * os.remove and their like fail with a message. Interrupts stay on during a call, but the process
 * is not switched away from (preempt.h).
 */
#include "syscall.h"

#include <errno.h>
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "console.h"
#include "pages.h"
#include "panic.h"
#include "preempt.h"
#include "random.h"
#include "timer.h"
#include "trap.h"

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define EFER_SCE 1
#define RFLAGS_IF (1 << 9)
#define RFLAGS_MASKED (RFLAGS_IF | 1 << 8 | 1 << 10 | 1 << 18)  /* IF, TF, DF, AC */
#define ARCH_SET_FS 0x1002

struct syscall_arguments {
    int64_t number, a, b, c, d, e, f;   /* the order syscall.S pushes them in */
};

int64_t syscall_handle(const struct syscall_arguments *arguments, uint64_t flags);
void syscall_entry(void);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv);

static int64_t epoch_microseconds;

static void msr_write(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" :: "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t msr_read(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

void syscall_start(void)
{
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    msr_write(MSR_STAR, (uint64_t)SELECTOR_CODE << 32);
    msr_write(MSR_LSTAR, (uint64_t)(uintptr_t)syscall_entry);
    msr_write(MSR_SFMASK, RFLAGS_MASKED);
}

void syscall_set_epoch(int64_t microseconds)
{
    epoch_microseconds = microseconds;
}

static int64_t memory_map(size_t bytes, int64_t flags)
{
    if (!(flags & MAP_ANONYMOUS) || flags & MAP_FIXED)
        return -ENOSYS;
    void *run = page_alloc(PAGES_OF(bytes));
    return run != NULL ? (int64_t)(uintptr_t)run : -ENOMEM;
}

static int64_t memory_remap(void *old, size_t old_bytes, size_t new_bytes, int64_t flags)
{
    size_t old_pages = PAGES_OF(old_bytes), new_pages = PAGES_OF(new_bytes);
    if (new_pages <= old_pages) {
        page_free((uint8_t *)old + new_pages * PAGE_SIZE, old_pages - new_pages);
        return (int64_t)(uintptr_t)old;
    }
    if (page_extend_raw(old, old_pages, new_pages)) {
        memset((uint8_t *)old + old_pages * PAGE_SIZE, 0, (new_pages - old_pages) * PAGE_SIZE);
        return (int64_t)(uintptr_t)old;
    }
    void *run = flags & MREMAP_MAYMOVE ? page_alloc(new_pages) : NULL;
    if (run == NULL)
        return -ENOMEM;
    memcpy(run, old, old_pages * PAGE_SIZE);
    page_free(old, old_pages);
    return (int64_t)(uintptr_t)run;
}

static int64_t write_vector(int64_t file, const struct iovec *vector, int64_t count)
{
    int64_t written = 0;
    if (file != 1 && file != 2)
        return -EBADF;
    for (int64_t i = 0; i < count; i++) {
        console_write(vector[i].iov_base, vector[i].iov_len);
        written += (int64_t)vector[i].iov_len;
    }
    return written;
}

static int64_t clock_read(int64_t clock, struct timespec *time)
{
    int64_t ns = clock_ns();
    if (clock == CLOCK_REALTIME)
        ns += epoch_microseconds * 1000;
    time->tv_sec = ns / NANOSECONDS_PER_SECOND;
    time->tv_nsec = ns % NANOSECONDS_PER_SECOND;
    return 0;
}

static int64_t answer(const struct syscall_arguments *call)
{
    switch (call->number) {
    case SYS_mmap:
        return memory_map((size_t)call->b, call->d);
    case SYS_munmap:
        page_free((void *)call->a, PAGES_OF(call->b));
        return 0;
    case SYS_mremap:
        return memory_remap((void *)call->a, (size_t)call->b, (size_t)call->c, call->d);
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigaction:
        return 0;
    case SYS_brk:
        return -ENOMEM;                 /* malloc falls back on mmap */
    case SYS_ioctl:
        return call->a <= 2 ? 0 : -EBADF;   /* "a terminal": stdout is line buffered */
    case SYS_write: {
        struct iovec one = {(void *)call->b, (size_t)call->c};
        return write_vector(call->a, &one, 1);
    }
    case SYS_writev:
        return write_vector(call->a, (const struct iovec *)call->b, call->c);
    case SYS_read:
    case SYS_readv:
    case SYS_close:
        return call->a <= 2 ? 0 : -EBADF;   /* stdin is at its end */
    case SYS_open:
        return -ENOENT;
    case SYS_clock_gettime:
        return clock_read(call->a, (struct timespec *)call->b);
    case SYS_arch_prctl:
        if (call->a != ARCH_SET_FS)
            return -EINVAL;
        msr_write(MSR_FS_BASE, (uint64_t)call->b);
        return 0;
    case SYS_set_tid_address:
    case SYS_gettid:
    case SYS_getpid:
        return 1;
    case SYS_tkill:
        panic("libc", "signal %ld: the C library has aborted", call->b);
    case SYS_exit:
    case SYS_exit_group:
        panic("libc", "exit(%ld): the supervisor must never end", call->a);
    default:
        return -ENOSYS;
    }
}

int64_t syscall_handle(const struct syscall_arguments *arguments, uint64_t flags)
{
    preempt_disable();
    if (flags & RFLAGS_IF)
        __asm__ volatile("sti" ::: "memory");
    int64_t result = answer(arguments);
    __asm__ volatile("cli" ::: "memory");
    preempt_enable();
    return result;
}

void libc_start(int (*main)(int, char **, char **))
{
    static char name[] = "khoros";
    static char seed[16];
    /* As the kernel of a user land would leave it on the stack (System V ABI, AMD64, 3.4.1):
     * arguments, NULL, environment, NULL, auxiliary vector. No program headers: no TLS of ours. */
    static uintptr_t start[] = {
        0 /* name */, 0, 0, AT_PAGESZ, PAGE_SIZE, AT_RANDOM, 0 /* seed */, AT_UID, 0, AT_EUID, 0,
        AT_GID, 0, AT_EGID, 0, AT_SECURE, 0, AT_NULL, 0,
    };
    uint64_t random = random_u64();
    memcpy(seed, &random, sizeof random);
    start[0] = (uintptr_t)name;
    start[6] = (uintptr_t)seed;
    __libc_start_main(main, 1, (char **)start);
    panic("libc", "main has returned");
}
