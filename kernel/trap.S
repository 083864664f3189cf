/* Interrupt stubs: one a vector, all ending in trap_common, which saves every register (struct
 * trap_frame, trap.h) and the FXSAVE image on the IST stack, calls trap_handle(frame, fxsave) and
 * restores whatever that left there.
 */
#define FXSAVE_BYTES 512

    .section .text
    .macro stub vector
    .align 16
    .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
    /* the CPU has pushed an error code (Intel SDM 3A, 6.13) */
    .else
    pushq $0
    .endif
    pushq $\vector
    jmp trap_common
    .endm

    .align 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 48
    stub vector
    .set vector, vector + 1
    .endr

trap_common:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi                  /* frame; 22 quads below a 16-aligned top: 16-aligned */
    sub $FXSAVE_BYTES, %rsp
    fxsave64 (%rsp)
    mov %rsp, %rsi
    call trap_handle
    fxrstor64 (%rsp)
    add $FXSAVE_BYTES, %rsp
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
    add $16, %rsp                   /* vector, error */
    iretq

/* void trap_load(gdt_pointer *, idt_pointer *, uint16_t tss_selector) */
    .global trap_load
trap_load:
    lgdt (%rdi)
    lidt (%rsi)
    ltr %dx
    pushq $0x08
    lea 1f(%rip), %rax
    push %rax
    lretq
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    ret

    .section .note.GNU-stack, "", @progbits
