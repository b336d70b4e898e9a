// SPDX-License-Identifier: Apache-2.0
// External interrupts: dispatch, idle sleep, vectors for messages, and the 8259 pair, which is only silenced.
#include "arch/x86/interrupts.h"

#include <errno.h>
#include <stddef.h>
#include "arch/x86/host_apic.h"
#include "arch/x86/registers.h"
#include "arch/x86/x86_cpu.h"
#include "core/atomic.h"
#include "core/log.h"

static void (*handlers[256])(void);

void interrupt_install(unsigned vector, void (*handler)(void)) {
    bug_if(vector < 32 || vector >= VECTOR_SPURIOUS || handlers[vector]);
    handlers[vector] = handler;
}

static struct {
    void (*handler)(void *context);
    void *context;
} messages[VECTOR_TIMER - VECTOR_MESSAGE];
static unsigned message_count;
static struct spinlock message_lock;

int interrupt_allocate(void (*handler)(void *context), void *context) {
    int vector = -ENOSPC;

    spin_lock(&message_lock);
    if (message_count < VECTOR_TIMER - VECTOR_MESSAGE) {
        vector = (int)(VECTOR_MESSAGE + message_count);
        messages[message_count].context = context;
        messages[message_count].handler = handler;
        message_count++;
    }
    spin_unlock(&message_lock);
    return vector;
}

void interrupt_dispatch(unsigned vector) {
    static struct log_limit limit = {.burst = 2};

    if (vector == VECTOR_SPURIOUS)
        return; /* no EOI: nothing is in service (Intel SDM vol. 3, 10.9) */
    if (vector >= VECTOR_PIC && vector < VECTOR_PIC + 16)
        return; /* the masked 8259s can only raise spurious ones */
    if (vector >= VECTOR_MESSAGE && vector < VECTOR_TIMER && messages[vector - VECTOR_MESSAGE].handler) {
        messages[vector - VECTOR_MESSAGE].handler(messages[vector - VECTOR_MESSAGE].context);
        host_apic_eoi();
        return;
    }
    host_apic_eoi();
    if (handlers[vector]) {
        handlers[vector]();
        return;
    }
    x86_cpu_this()->unexpected_interrupts++;
    if (log_allowed(&limit))
        log_warning("CPU %u: interrupt at vector 0x%x, which nobody uses", cpu_this()->number, vector);
}

#define PIC1 0x20u
#define PIC2 0xa0u

void pic_disable(void) {
    static const uint8_t first[] = {VECTOR_PIC, 4, 1}, second[] = {VECTOR_PIC + 8, 2, 1};

    port_write8(PIC1, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    port_write8(PIC2, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        port_write8(PIC1 + 1, first[i]);
        port_write8(PIC2 + 1, second[i]);
    }
    port_write8(PIC1 + 1, 0xff);
    port_write8(PIC2 + 1, 0xff);
}

void arch_cpu_idle(void) {
    /* STI takes effect after the next instruction: an interrupt that is pending ends HLT, it cannot slip in
     * before. */
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

void arch_interrupts_poll(void) {
    cpu_interrupt_window();
}
