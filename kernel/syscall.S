/* SYSCALL from ring 0 (AMD 24594, SYSCALL; Intel SDM 2B). The instruction changes no stack, puts the
 * return address in rcx and the flags in r11. The C library was built for user land: there may be
 * live data in the 128 bytes below rsp and in the SSE registers, and a system call changes only
 * rax, rcx and r11.
 */
    .section .text
    .global syscall_entry
syscall_entry:
    lea -128(%rsp), %rsp            /* step over the red zone */
    push %r11
    push %rcx
    push %rbp
    mov %rsp, %rbp
    push %r9                        /* struct syscall_arguments, last field first */
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rax
    mov %rsp, %rdi
    mov %r11, %rsi                  /* the caller's flags */
    sub $512, %rsp
    and $-16, %rsp
    fxsave64 (%rsp)
    call syscall_handle
    fxrstor64 (%rsp)
    lea -56(%rbp), %rsp
    add $8, %rsp                    /* rax is the result */
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    pop %rbp
    pop %rcx
    popfq                           /* still below the red zone; r11 itself is free to change */
    lea 128(%rsp), %rsp
    jmp *%rcx

/* void stack_enter(void *top, void (*function)(void)) */
    .global stack_enter
stack_enter:
    mov %rdi, %rsp
    xor %ebp, %ebp
    call *%rsi
    ud2

    .section .note.GNU-stack, "", @progbits
