/* Interrupts and exceptions: what the stubs (trap.S) save and what C may do with it.
 *
 * Every vector runs on an IST stack, so code with data in its red zone can be interrupted anywhere.
 * The stub saves all general registers in a struct trap_frame and x87/SSE state in a 512-byte
 * FXSAVE image, both on that stack; on return both are restored *from there*, so whoever edits them
 * decides where, on which stack and with which registers execution goes on.
 */
#ifndef KHOROS_TRAP_H
#define KHOROS_TRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define FXSAVE_BYTES 512

struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rdx, rcx, rbx, rax;
    uint64_t vector, error;             /* error is 0 where the CPU pushes none */
    uint64_t rip, cs, rflags, rsp, ss;  /* in the order iretq pops them */
};

_Static_assert(sizeof(struct trap_frame) == 22 * 8, "trap.S builds this frame");

/* process.c, on the interrupt stack with interrupts off:
 * process_tick: called at every timer tick, after it has been acknowledged. It may copy frame and
 * FXSAVE image away and replace both: iretq then continues with what it left there.
 * process_fault: called on a CPU exception (but NMI, double fault, machine check) before the machine
 * panics. True: the exception belonged to a process and the frame has been edited to leave it (to
 * the supervisor's stack, say). False: panic. */
void process_tick(struct trap_frame *frame, void *fxsave_area);
bool process_fault(struct trap_frame *frame, void *fxsave_area);

void trap_start(void);

/* Interrupt lines 0..15 of the two 8259 controllers. */
#define IRQ_LINES 16
#define IRQ_TIMER 0
#define IRQ_CASCADE 2           /* the second controller hangs here: no device */

uint64_t irq_count(unsigned line);      /* how often it has fired since boot */
void irq_listen(unsigned line);         /* unmask it; masked until somebody asks */
void irq_ignore(unsigned line);         /* mask it again: nobody is left to ask */
bool irq_take(unsigned line);           /* has it fired since this last said so? If not, a
                                           level-triggered line is unmasked to fire again */
bool irq_take_event(void);              /* did any line but the timer fire since the last call? */
bool irq_event_pending(void);           /* the same, without taking it */

static inline uint64_t interrupts_save_and_disable(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) :: "memory");
    return flags;
}

static inline void interrupts_restore(uint64_t flags)
{
    __asm__ volatile("pushq %0; popfq" :: "r"(flags) : "memory", "cc");
}

#endif
