/* From the loader to 64-bit C.
 *
 * Two ways in, both in 32-bit protected mode without paging (multiboot2 3.3; Xen's PVH ABI):
 *   GRUB        multiboot2_entry  eax = 0x36d76289, ebx = information
 *   qemu -kernel pvh_entry        ebx = hvm_start_info
 * Both go to long mode on page tables that map the first 4 GiB one to one with 2 MiB pages, which
 * is enough to reach whatever a loader may point to; paging.c replaces them. Then main.c.
 */
#define MULTIBOOT2_MAGIC      0xe85250d6
#define MULTIBOOT2_LOADER     0x36d76289
#define CONSOLE_TAG           4           /* multiboot2 3.1.10, 3.1.11 */
#define CONSOLE_EGA_TEXT      2
#define FRAMEBUFFER_TAG       5
#define FRAMEBUFFER_BITS      32
#define TAG_OPTIONAL          1
#define PVH_MAGIC             0x336ec578
#define PVH_NOTE_TYPE         18          /* XEN_ELFNOTE_PHYS32_ENTRY */

#define CR0_PE                (1 << 0)
#define CR0_MP                (1 << 1)
#define CR0_EM                (1 << 2)
#define CR0_NE                (1 << 5)
#define CR0_WP                (1 << 16)
#define CR0_PG                (1 << 31)
#define CR4_PAE               (1 << 5)
#define CR4_PGE               (1 << 7)
#define CR4_OSFXSR            (1 << 9)
#define CR4_OSXMMEXCPT        (1 << 10)
#define MSR_EFER              0xc0000080
#define EFER_LME              (1 << 8)
#define PAGE_PRESENT_WRITABLE 0x3
#define PAGE_LARGE            0x80
#define BOOT_STACK_BYTES      16384
#define COM1                  0x3f8

    .section .multiboot2, "a"
    .align 8
    .global multiboot2_header
multiboot2_header:
    .long MULTIBOOT2_MAGIC
    .long 0                                 /* architecture: i386, 32-bit protected mode */
    .long multiboot2_header_end - multiboot2_header
    .long -(MULTIBOOT2_MAGIC + (multiboot2_header_end - multiboot2_header))
    .align 8
    .short CONSOLE_TAG, 0                   /* either console will do, and none */
    .long 12, CONSOLE_EGA_TEXT
    .align 8
    .short FRAMEBUFFER_TAG, TAG_OPTIONAL    /* of any size; which one of them, grub.cfg says */
    .long 20, 0, 0, FRAMEBUFFER_BITS
    .align 8
    .short 0, 0                             /* end tag */
    .long 8
multiboot2_header_end:

    .section .note.pvh, "a"
    .align 4
    .long 4, 8, PVH_NOTE_TYPE               /* name size, descriptor size, type */
    .asciz "Xen"
    .quad pvh_entry

    .section .boot, "ax"
    .code32
    .global multiboot2_entry
multiboot2_entry:
    cmp $MULTIBOOT2_LOADER, %eax
    jne refuse
    mov $MULTIBOOT2_MAGIC, %edi
    jmp enter

    .global pvh_entry
pvh_entry:
    mov $PVH_MAGIC, %edi

enter:                                      /* edi = magic, ebx = information */
    cli
    cld
    mov $boot_stack_top, %esp
    mov %ebx, %esi

    mov $0x80000000, %eax                   /* is there long mode? AMD 24594, CPUID */
    cpuid
    cmp $0x80000001, %eax
    jb refuse
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc refuse

    /* PML4[0] -> PDPT; PDPT[0..3] -> four directories; 2048 entries of 2 MiB. */
    mov $boot_pdpt + PAGE_PRESENT_WRITABLE, %eax
    mov %eax, boot_pml4
    mov $boot_directories + PAGE_PRESENT_WRITABLE, %eax
    xor %ecx, %ecx
1:  mov %eax, boot_pdpt(,%ecx,8)
    add $4096, %eax
    inc %ecx
    cmp $4, %ecx
    jb 1b
    mov $PAGE_PRESENT_WRITABLE | PAGE_LARGE, %eax
    xor %ecx, %ecx
2:  mov %eax, boot_directories(,%ecx,8)
    add $0x200000, %eax
    inc %ecx
    cmp $2048, %ecx
    jb 2b

    mov $CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    mov %eax, %cr4
    mov $boot_pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov $CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG, %eax
    mov %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x08, $enter64

/* A loader that is neither, or a CPU without long mode: one word on COM1 as it may be set up. */
refuse:
    mov $refusal, %esi
    mov $COM1, %edx
3:  lodsb
    test %al, %al
    jz 4f
    outb %al, %dx
    jmp 3b
4:  cli
    hlt
    jmp 4b

    .code64
enter64:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    fninit
    mov $boot_stack_top, %esp
    xor %ebp, %ebp
    mov %edi, %edi                          /* boot_main(magic, information), zero extended */
    mov %esi, %esi
    call boot_main
    ud2

refusal:
    .asciz "Khoros: needs a 64-bit CPU and a multiboot2 or PVH loader\n"
    .align 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff                /* 0x08: code, 64 bits, ring 0 */
    .quad 0x00cf92000000ffff                /* 0x10: data */
boot_gdt_pointer:
    .short boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt

    .section .bss
    .align 4096
boot_pml4:        .skip 4096
boot_pdpt:        .skip 4096
boot_directories: .skip 4 * 4096
    .align 16
boot_stack:       .skip BOOT_STACK_BYTES
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
