/* Descriptor tables, the dispatch of interrupts and exceptions, and the two 8259 controllers.
 *
 * Interrupt lines are latched: C acknowledges and counts, Lua drivers ask for the count (irq_count)
 * and wait (timer_halt). A line is masked until a driver listens to it. An edge-triggered line stays
 * on; a level-triggered one (PCI) would fire again at once, since the device is quieted by Lua much
 * later, so it is masked when it fires and rearmed by the driver's next wait.
 *
 * Stacks (Intel SDM 3A 6.14.5): IST1 interrupts, IST2 exceptions, IST3 NMI, IST4 double fault.
 * Gates are interrupt gates: nothing nests on the same stack except an exception inside an
 * exception, which is a broken kernel and ends in a panic anyway.
 */
#include "trap.h"

#include <string.h>

#include "cpu.h"
#include "io.h"
#include "panic.h"
#include "process.h"
#include "timer.h"

#define IST_STACK_BYTES 16384
#define VECTOR_COUNT 48
#define VECTOR_NMI 2
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_MACHINE_CHECK 18
#define VECTOR_IRQ_BASE 32
#define STUB_BYTES 16
#define GATE_INTERRUPT_PRESENT 0x8e00
#define SELECTOR_TSS 0x18

/* 8259A data sheet: command and data ports, initialisation words, operation words. */
#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0
#define PIC_ICW1_INIT_ICW4 0x11
#define PIC_ICW4_8086 0x01
#define PIC_OCW2_EOI 0x20
#define PIC_OCW3_READ_ISR 0x0b
/* Edge/level control registers of the PC chip sets (82371SB 2.5.5): bit set = level triggered. */
#define ELCR_MASTER 0x4d0
#define ELCR_SLAVE 0x4d1

struct gate {
    uint64_t low, high;
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map_base;
} __attribute__((packed));

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern const uint8_t trap_stubs[];
void trap_load(const struct table_pointer *gdt, const struct table_pointer *idt, uint16_t tss);
void trap_handle(struct trap_frame *frame, void *fxsave_area);

struct cpu boot_cpu;

static struct gate idt[VECTOR_COUNT];
static struct tss tss;
static uint64_t gdt[5];
static uint8_t ist_stacks[4][IST_STACK_BYTES] __attribute__((aligned(16)));

static uint16_t lines_listened;
static volatile uint64_t line_counts[IRQ_LINES];
static uint64_t line_taken[IRQ_LINES];
static volatile bool line_event;

/* --- 8259 ------------------------------------------------------------------------------------ */

static uint16_t pic_data_port(unsigned line)
{
    return line < 8 ? PIC_MASTER + 1 : PIC_SLAVE + 1;
}

static void pic_set_masked(unsigned line, bool masked)
{
    uint16_t port = pic_data_port(line);
    uint8_t bit = (uint8_t)(1u << (line & 7));
    uint8_t mask = io_in8(port);
    io_out8(port, masked ? mask | bit : mask & (uint8_t)~bit);
}

static void pic_start(void)
{
    io_out8(PIC_MASTER, PIC_ICW1_INIT_ICW4);
    io_out8(PIC_SLAVE, PIC_ICW1_INIT_ICW4);
    io_out8(PIC_MASTER + 1, VECTOR_IRQ_BASE);
    io_out8(PIC_SLAVE + 1, VECTOR_IRQ_BASE + 8);
    io_out8(PIC_MASTER + 1, 1 << IRQ_CASCADE);
    io_out8(PIC_SLAVE + 1, IRQ_CASCADE);
    io_out8(PIC_MASTER + 1, PIC_ICW4_8086);
    io_out8(PIC_SLAVE + 1, PIC_ICW4_8086);
    io_out8(PIC_MASTER + 1, 0xff & ~(1 << IRQ_CASCADE));
    io_out8(PIC_SLAVE + 1, 0xff);
}

/* Lines 7 and 15 also stand for "the request went away" (8259A, spurious interrupts): then the
 * in-service bit is clear and that controller wants no EOI. */
static bool pic_is_spurious(unsigned line)
{
    if (line != 7 && line != 15)
        return false;
    uint16_t port = line == 7 ? PIC_MASTER : PIC_SLAVE;
    io_out8(port, PIC_OCW3_READ_ISR);
    return (io_in8(port) & 0x80) == 0;
}

static void pic_acknowledge(unsigned line)
{
    if (line >= 8)
        io_out8(PIC_SLAVE, PIC_OCW2_EOI);
    io_out8(PIC_MASTER, PIC_OCW2_EOI);
}

static bool line_is_level(unsigned line)
{
    return (io_in8(line < 8 ? ELCR_MASTER : ELCR_SLAVE) >> (line & 7) & 1) != 0;
}

/* --- lines ----------------------------------------------------------------------------------- */

uint64_t irq_count(unsigned line)
{
    return line_counts[line];
}

void irq_listen(unsigned line)
{
    uint64_t flags = interrupts_save_and_disable();
    if (!(lines_listened >> line & 1))
        line_taken[line] = line_counts[line];   /* what fired for an earlier listener is not ours */
    lines_listened |= (uint16_t)(1u << line);
    pic_set_masked(line, false);
    interrupts_restore(flags);
}

void irq_ignore(unsigned line)
{
    uint64_t flags = interrupts_save_and_disable();
    lines_listened &= (uint16_t)~(1u << line);
    pic_set_masked(line, true);
    interrupts_restore(flags);
}

bool irq_take(unsigned line)
{
    uint64_t flags = interrupts_save_and_disable();
    bool fired = line_counts[line] != line_taken[line];
    line_taken[line] = line_counts[line];
    if (!fired && lines_listened >> line & 1)
        pic_set_masked(line, false);
    interrupts_restore(flags);
    return fired;
}

bool irq_take_event(void)
{
    uint64_t flags = interrupts_save_and_disable();
    bool event = line_event;
    line_event = false;
    interrupts_restore(flags);
    return event;
}

bool irq_event_pending(void)
{
    return line_event;
}

static void irq_handle(unsigned line, struct trap_frame *frame, void *fxsave_area)
{
    if (pic_is_spurious(line)) {
        if (line == 15)
            io_out8(PIC_MASTER, PIC_OCW2_EOI);  /* the cascade did happen */
        return;
    }
    line_counts[line]++;
    if (line == IRQ_TIMER) {
        pic_acknowledge(line);      /* first: process_tick may go on elsewhere */
        process_tick(frame, fxsave_area);
        return;
    }
    line_event = true;
    if (line_is_level(line) || !(lines_listened >> line & 1))
        pic_set_masked(line, true);
    pic_acknowledge(line);
    process_preempt_soon();
}

/* --- traps ----------------------------------------------------------------------------------- */

void trap_handle(struct trap_frame *frame, void *fxsave_area)
{
    if (frame->vector >= VECTOR_IRQ_BASE) {
        irq_handle((unsigned)frame->vector - VECTOR_IRQ_BASE, frame, fxsave_area);
        return;
    }
    bool recoverable = frame->vector != VECTOR_NMI && frame->vector != VECTOR_DOUBLE_FAULT
                       && frame->vector != VECTOR_MACHINE_CHECK;
    if (recoverable && process_fault(frame, fxsave_area))
        return;
    panic_trap(frame);
}

static unsigned ist_of(unsigned vector)
{
    if (vector >= VECTOR_IRQ_BASE)
        return 1;
    if (vector == VECTOR_NMI)
        return 3;
    return vector == VECTOR_DOUBLE_FAULT ? 4 : 2;
}

static void gate_set(unsigned vector)
{
    uint64_t stub = (uint64_t)(uintptr_t)(trap_stubs + vector * STUB_BYTES);
    idt[vector].low = (stub & 0xffff) | (uint64_t)SELECTOR_CODE << 16 | (uint64_t)ist_of(vector) << 32
                      | (uint64_t)GATE_INTERRUPT_PRESENT << 32 | (stub >> 16 & 0xffff) << 48;
    idt[vector].high = stub >> 32;
}

void trap_start(void)
{
    uint64_t base = (uint64_t)(uintptr_t)&tss;
    for (unsigned i = 0; i < 4; i++)
        tss.ist[i] = (uint64_t)(uintptr_t)ist_stacks[i] + IST_STACK_BYTES;
    tss.io_map_base = sizeof tss;
    gdt[1] = 0x00af9a000000ffff;    /* code, 64 bits, ring 0 (SDM 3A 3.4.5) */
    gdt[2] = 0x00cf92000000ffff;    /* data */
    gdt[3] = (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    gdt[4] = base >> 32;
    for (unsigned vector = 0; vector < VECTOR_COUNT; vector++)
        gate_set(vector);

    struct table_pointer gdt_pointer = {sizeof gdt - 1, (uint64_t)(uintptr_t)gdt};
    struct table_pointer idt_pointer = {sizeof idt - 1, (uint64_t)(uintptr_t)idt};
    trap_load(&gdt_pointer, &idt_pointer, SELECTOR_TSS);
    pic_start();
}
