// SPDX-License-Identifier: Apache-2.0
// The I/O APIC and the PICs, driven by PIT and UART: edges, levels, masks, remote IRR, ExtINT, polling
// (82093AA; 8259A).
#include "tests/guests/runtime/guest.h"

#define PIT_PIN  2
#define UART_PIN 4
#define COM1     0x3f8

static bool pin_irr(unsigned pin) {
    return ioapic_read(0x10 + 2 * pin) >> 14 & 1;
}

static void leave_level(struct frame *frame) {
    (void)frame; /* no EOI, the source stays up */
}

static void quiet_uart(struct frame *frame) {
    (void)frame;
    out8(COM1 + 1, 0);
    lapic_write(APIC_EOI, 0);
}

static void settle(void) {
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

/* With the transmitter empty, its interrupt rises when it is enabled. */
static void uart_raise(void) {
    out8(COM1 + 1, 0);
    while (!(in8(COM1 + 5) & 0x40))
        pause_cpu();
    out8(COM1 + 4, 0x0b);
    out8(COM1 + 1, 2);
}

static void uart_lower(void) {
    out8(COM1 + 1, 0);
}

static void check_ioapic(void) {
    check_equal(ioapic_read(1) & 0xff00ff, 0x170020, "I/O APIC version 0x20, 24 pins");
    ioapic_write(0, 0x0f000000);
    check_equal(ioapic_read(0), 0x0f000000, "I/O APIC ID");
    ioapic_write(0, 0);
    check_equal(ioapic_read(0x10) & 0x1ffff, 0x10000, "pins are masked at first");
    ioapic_set(5, 0xff000000000006a5ull | IOAPIC_MASKED);
    check_equal(ioapic_read(0x1a), 0x106a5 & ~0x5000u, "a redirection entry reads back");
    check_equal(ioapic_read(0x1b), 0xff000000, "and its upper half");
    ioapic_set(5, IOAPIC_MASKED);

    uint32_t before = irq_count[0x50];
    ioapic_set(PIT_PIN, 0x50);
    pit_program(0, 2, 11932); /* 100 Hz */
    check(wait_count(&irq_count[0x50], before + 5, 3000), "edges of the PIT");
    ioapic_set(PIT_PIN, 0x50 | IOAPIC_MASKED);
    settle();
    before = irq_count[0x50];
    delay_us(30000);
    settle();
    check_equal(irq_count[0x50], before, "a masked pin is silent");
    ioapic_set(PIT_PIN, 0x51);
    before = irq_count[0x51];
    check(wait_count(&irq_count[0x51], before + 2, 3000), "another vector, at work");
    ioapic_set(PIT_PIN, IOAPIC_MASKED);
    settle();

    irq_handler(0x52, leave_level);
    ioapic_set(UART_PIN, 0x52 | IOAPIC_LEVEL);
    before = irq_count[0x52];
    uart_raise();
    settle();
    check_equal(irq_count[0x52], before + 1, "a level comes");
    check(lapic_bit(APIC_TMR, 0x52), "and is a level in TMR");
    check(pin_irr(UART_PIN), "remote IRR is set");
    settle();
    check_equal(irq_count[0x52], before + 1, "not again before the EOI");
    lapic_write(APIC_EOI, 0);
    settle();
    check_equal(irq_count[0x52], before + 2, "again after the EOI, as it is still up");
    uart_lower();
    lapic_write(APIC_EOI, 0);
    settle();
    check_equal(irq_count[0x52], before + 2, "not when it went down before the EOI");
    check(!pin_irr(UART_PIN), "remote IRR is clear");

    /* Masked meanwhile: a level is not lost. */
    ioapic_set(UART_PIN, 0x53 | IOAPIC_LEVEL | IOAPIC_MASKED);
    irq_handler(0x53, quiet_uart);
    before = irq_count[0x53];
    uart_raise();
    settle();
    check_equal(irq_count[0x53], before, "a masked level waits");
    ioapic_write(0x10 + 2 * UART_PIN, 0x53 | IOAPIC_LEVEL);
    settle();
    check_equal(irq_count[0x53], before + 1, "and comes when it is unmasked");
    ioapic_set(UART_PIN, IOAPIC_MASKED);
}

/* The PICs' interrupts reach this CPU through LINT0 = ExtINT. */
static void check_pic(void) {
    lapic_write(APIC_LVT_LINT0, 0x700);
    pit_program(0, 2, 11932);
    uint32_t before = irq_count[0x20];
    pic_mask(0xfe, 0xff);
    check(wait_count(&irq_count[0x20], before + 5, 3000), "the PIT through PIC and ExtINT");
    check_equal(in8(0x21), 0xfe, "IMR reads back");
    pic_mask(0xff, 0xff);
    settle();
    before = irq_count[0x20];
    delay_us(30000);
    settle();
    check_equal(irq_count[0x20], before, "masked in the PIC");
    out8(0x20, 0x0a);
    check_equal(in8(0x20) & 1, 1, "IRR shows the request behind the mask");

    /* UART: IRQ 4; level goes up once, EOI in the default handler. */
    before = irq_count[0x24];
    pic_mask(0xef, 0xff);
    uart_raise();
    check(wait_count(&irq_count[0x24], before + 1, 1000), "the UART through the PIC");
    uart_lower();
    pic_mask(0xff, 0xff);
    settle();

    /* RTC: IRQ 8 through the second chip. */
    before = irq_count[0x28];
    pic_mask(0xfb, 0xfe);
    out8(0x70, 0x0a);
    out8(0x71, 0x26);
    out8(0x70, 0x0b);
    uint8_t control = in8(0x71);
    out8(0x70, 0x0b);
    out8(0x71, control | 0x40);
    out8(0x70, 0x0c);
    in8(0x71);
    check(wait_count(&irq_count[0x28], before + 1, 2000), "the RTC through the second PIC");
    out8(0x70, 0x0b);
    out8(0x71, control);
    out8(0x70, 0x0c);
    in8(0x71);
    pic_mask(0xff, 0xff);
    settle();

    /* LINT0 masked: nothing from the PIC. */
    lapic_write(APIC_LVT_LINT0, APIC_MASKED);
    before = irq_count[0x20];
    pic_mask(0xfe, 0xff);
    delay_us(30000);
    settle();
    check_equal(irq_count[0x20], before, "a masked LINT0 holds ExtINT back");
    pic_mask(0xff, 0xff);
    /* And a disabled local APIC passes it on: virtual wire through the CPU's INTR pin. */
    wrmsr(MSR_APIC_BASE, 0xfee00100);
    before = irq_count[0x20];
    pic_mask(0xfe, 0xff);
    check(wait_count(&irq_count[0x20], before + 2, 3000), "with the local APIC disabled, INTR is the PIC's");
    pic_mask(0xff, 0xff);
    settle();
    wrmsr(MSR_APIC_BASE, 0xfee00900);
}

void guest_main(void) {
    lapic_enable();
    check_ioapic();
    check_pic();
}
