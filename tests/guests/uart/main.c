// SPDX-License-Identifier: Apache-2.0
// The 16550 at COM1: registers, loopback, FIFOs, interrupts and their order.
#include "tests/guests/runtime/guest.h"

#define COM1 0x3f8
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = 2 };

static uint8_t get(unsigned reg) {
    return in8((uint16_t)(COM1 + reg));
}
static void set(unsigned reg, uint8_t value) {
    out8((uint16_t)(COM1 + reg), value);
}

static bool received(void) {
    for (unsigned i = 0; i < 1000; i++)
        if (get(LSR) & 1)
            return true;
    return false;
}

/* What the checks find is printed when the UART is out of loopback again. */
static struct {
    uint8_t scratch[2], divisor[2], lcr, ier, lsr, echo[20], modem, iir_fifo, iir_none, iir_data, iir_empty,
        iir_line, lsr_overrun, iir_modem, after;
    bool came[20], fifo_order, fifo_overrun, cleared;
    uint32_t loop_irqs, gated_irqs, open_irqs;
} seen;

static volatile uint32_t irqs;

static void count_irq(struct frame *frame) {
    (void)frame;
    irqs++;
    lapic_write(APIC_EOI, 0);
}

static void settle(void) {
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

static void collect(void) {
    for (unsigned i = 0; i < 2; i++) {
        set(SCR, i ? 0xaa : 0x55);
        seen.scratch[i] = get(SCR);
    }
    set(LCR, 0x83);
    set(0, 0x0c);
    set(1, 0x01);
    seen.divisor[0] = get(0);
    seen.divisor[1] = get(1);
    set(0, 1);
    set(1, 0);
    set(LCR, 0x03);
    seen.lcr = get(LCR);
    set(IER, 0xff);
    seen.ier = get(IER);
    set(IER, 0);

    set(FCR, 0x07);
    seen.iir_fifo = get(IIR);
    set(MCR, 0x1b); /* loopback, OUT2, DTR, RTS */
    seen.modem = get(MSR) & 0xf0;
    for (unsigned i = 0; i < 20; i++) {
        set(DATA, (uint8_t)(i * 13));
        seen.came[i] = received();
        seen.echo[i] = get(DATA);
    }
    seen.lsr = get(LSR);

    /* FIFO: 16 bytes in order; the 17th overruns. */
    seen.fifo_order = true;
    for (unsigned i = 0; i < 16; i++)
        set(DATA, (uint8_t)(0x40 + i));
    received();
    for (unsigned i = 0; i < 16; i++)
        seen.fifo_order = received() && get(DATA) == 0x40 + i && seen.fifo_order;
    for (unsigned i = 0; i < 40; i++)
        set(DATA, 0x77);
    seen.fifo_overrun = get(LSR) & 2;
    seen.cleared = !(get(LSR) & 2);
    set(FCR, 0x07);
    seen.after = get(LSR) & 1;

    /* Interrupts: order of causes, and the line. */
    irq_handler(0x54, count_irq);
    ioapic_set(4, 0x54);
    get(MSR);
    set(FCR, 0x01);
    seen.iir_none = get(IIR);
    set(IER, 0x0f);
    settle();
    seen.iir_empty = get(IIR) & 0xf;
    get(IIR);
    set(DATA, 'x');
    received();
    settle();
    seen.iir_data = get(IIR) & 0xf;
    get(DATA);
    get(IIR);
    get(IIR);
    set(MCR, 0x18);
    seen.iir_modem = get(IIR) & 0xf;
    get(MSR);
    settle();
    seen.loop_irqs = irqs;
    set(IER, 0);
    set(FCR, 0x07);
    /* Out of loopback: the line follows, if OUT2 lets it. */
    set(MCR, 0x03);
    set(IER, 2);
    settle();
    seen.gated_irqs = irqs;
    set(MCR, 0x0b);
    settle();
    seen.open_irqs = irqs;
    set(IER, 0);
    ioapic_set(4, IOAPIC_MASKED);
}

void guest_main(void) {
    lapic_enable();
    check(true, "transmits");
    while (!(get(LSR) & 0x40))
        pause_cpu();
    collect();
    check(seen.scratch[0] == 0x55 && seen.scratch[1] == 0xaa, "scratch register");
    check(seen.divisor[0] == 0x0c && seen.divisor[1] == 0x01, "divisor latch");
    check_equal(seen.lcr, 3, "LCR");
    check_equal(seen.ier, 0x0f, "IER has four bits");
    check_equal(seen.iir_fifo & 0xc0, 0xc0, "IIR says that the FIFOs are on");
    check_equal(seen.modem, 0xb0, "loopback: DTR, RTS and OUT2 arrive as DSR, CTS and DCD");
    bool echo = true;
    for (unsigned i = 0; i < 20; i++)
        echo = echo && seen.came[i] && seen.echo[i] == (uint8_t)(i * 13);
    check(echo, "loopback: bytes come back");
    check_equal(seen.lsr & 0x61, 0x60, "LSR: empty again");
    check(seen.fifo_order, "the FIFO holds 16 bytes in order");
    check(seen.fifo_overrun, "one more is an overrun");
    check(seen.cleared, "reading LSR clears that");
    check_equal(seen.after, 0, "FCR clears the FIFO");
    check_equal(seen.iir_none & 0xf, 1, "IIR: no interrupt");
    check_equal(seen.iir_empty, 2, "IIR: transmitter empty");
    check_equal(seen.iir_data & 0xb, 0,
                "IIR: received data or its time-out come before the empty transmitter");
    check_equal(seen.iir_data & 0x4, 4, "IIR: received data");
    check_equal(seen.iir_modem, 0, "IIR: modem status");
    check_equal(seen.loop_irqs, 0, "loopback holds OUT2 inactive, and so the line");
    check_equal(seen.gated_irqs, 0, "without OUT2 there is no interrupt");
    check_equal(seen.open_irqs, 1, "OUT2 lets the pending one through");
}
