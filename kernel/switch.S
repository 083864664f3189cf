/* Changing C stacks. The same file runs in the kernel and, for tests, in a Linux program.
 *
 * A context that is not running is one stack pointer; on its stack lie the registers that the
 * System V ABI wants kept across a call (AMD64 psABI 3.2.1), then the return address:
 *
 *     stack pointer → r15 r14 r13 r12 rbx rbp return-address
 *
 * x87 and SSE control words are never changed by our code, so they need no saving here.
 */
    .text

    .macro keep_registers
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

/* void switch_context(void **save, void *load) */
    .global switch_context
switch_context:
    keep_registers
    mov %rsp, (%rdi)
    mov %rsi, %rsp
/* Whoever edits a trap frame to end here with a saved stack pointer continues that context. */
    .global switch_landing
switch_landing:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

/* void switch_to_parked(void **save, const struct trap_frame *frame, const void *fxsave_area)
 * Saves this context and goes on exactly where an interrupt found another: every register comes out
 * of its trap frame (trap.h), which serves as the stack while they are loaded. */
    .global switch_to_parked
switch_to_parked:
    keep_registers
    mov %rsp, (%rdi)
#ifndef HOST
    cli                         /* iretq sets the flag again */
#endif
    fxrstor64 (%rdx)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    add $16, %rsp               /* vector, error */
    iretq

/* The first return address of a new process; its stack holds the argument in r12's place. */
    .global switch_entry
switch_entry:
    mov %r12, %rdi
    call process_main
    ud2

    .section .note.GNU-stack, "", @progbits
