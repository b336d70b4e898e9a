// SPDX-License-Identifier: Apache-2.0
// The interrupt-descriptor table and what happens on each vector; the legacy interrupt controllers.
#include "tests/guests/runtime/internal.h"

struct gate {
    uint16_t low, selector, flags, middle;
#ifdef __x86_64__
    uint32_t high, reserved;
#endif
};

static struct gate idt[256] __attribute__((aligned(16)));
static void (*handlers[256])(struct frame *);
volatile uint32_t irq_count[256];
struct fault fault;

#ifdef __x86_64__
static struct {
    uint32_t reserved;
    uint64_t rsp[3], reserved2, ist[7], reserved3;
    uint16_t reserved4, io_map;
} __attribute__((packed)) tss;
static uint8_t tss_stacks[4][8192] __attribute__((aligned(16)));
#endif

void irq_handler(unsigned vector, void (*handler)(struct frame *frame)) {
    handlers[vector] = handler;
}

void idt_user(unsigned vector) {
    idt[vector].flags |= 0x6000;
}

void idt_stack(unsigned vector, unsigned stack) {
    idt[vector].flags = (uint16_t)((idt[vector].flags & ~7u) | stack);
}

void guest_abandon(unsigned vector) {
    guest_resume(vector);
}

void interrupt_dispatch(struct frame *frame) {
    unsigned vector = (unsigned)frame->vector & 0xff;

    __atomic_add_fetch(&irq_count[vector], 1, __ATOMIC_SEQ_CST);
    if (handlers[vector]) {
        handlers[vector](frame);
        return;
    }
    if (vector >= 0x30) {
        lapic_write(APIC_EOI, 0);
        return;
    }
    if (vector >= 0x20) {
        if (vector >= 0x28)
            out8(0xa0, 0x20);
        out8(0x20, 0x20);
        return;
    }
    if (!recover)
        runtime_unexpected(frame);
    fault = (struct fault){.vector = vector, .error = frame->error, .rip = frame->rip, .cr2 = READ_CR(2)};
    guest_resume(vector);
}

void idt_load(void) {
    struct {
        uint16_t limit;
        word base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (word)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void pic_mask(uint8_t first, uint8_t second) {
    out8(0x21, first);
    out8(0xa1, second);
}

void pit_program(unsigned channel, unsigned mode, uint16_t count) {
    out8(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    out8((uint16_t)(0x40 + channel), (uint8_t)count);
    out8((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

void interrupts_init(void) {
    for (unsigned i = 0; i < 256; i++) {
        word entry = (word)vector_entries + 16 * i;
        idt[i] = (struct gate){.low = (uint16_t)entry, .flags = 0x8e00, .middle = (uint16_t)(entry >> 16)};
#ifdef __x86_64__
        idt[i].selector = SEL_CODE64;
        idt[i].high = (uint32_t)(entry >> 32);
#else
        idt[i].selector = SEL_CODE32;
#endif
    }
    idt_load();
#ifdef __x86_64__
    uint64_t base = (uint64_t)&tss;
    tss.rsp[0] = (uint64_t)tss_stacks[1];
    for (unsigned i = 1; i < 4; i++)
        tss.ist[i - 1] = (uint64_t)tss_stacks[i] + sizeof(tss_stacks[i]);
    tss.io_map = sizeof(tss);
    gdt[7] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x0000890000000000ull | (base & 0xff000000) << 32;
    gdt[8] = base >> 32;
    __asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
#endif
    /* ICW1-4: edge-triggered, vectors 0x20 and 0x28, cascade on line 2, 8086 mode. */
    static const uint8_t first[] = {0x20, 4, 1}, second[] = {0x28, 2, 1};
    out8(0x20, 0x11);
    out8(0xa0, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        out8(0x21, first[i]);
        out8(0xa1, second[i]);
    }
    pic_mask(0xff, 0xff);
}

static void do_rdmsr(void *argument) {
    uint64_t *words = argument;
    words[1] = rdmsr((uint32_t)words[0]);
}
static void do_wrmsr(void *argument) {
    uint64_t *words = argument;
    wrmsr((uint32_t)words[0], words[1]);
}

int try_rdmsr(uint32_t msr, uint64_t *value) {
    uint64_t words[2] = {msr, 0};
    int vector = guest_try(do_rdmsr, words);
    *value = words[1];
    return vector;
}

int try_wrmsr(uint32_t msr, uint64_t value) {
    uint64_t words[2] = {msr, value};
    return guest_try(do_wrmsr, words);
}
