// SPDX-License-Identifier: Apache-2.0
// Local and I/O APIC, and time by the TSC.
#include "tests/guests/runtime/internal.h"

#define LAPIC_BASE  0xfee00000u
#define IOAPIC_BASE 0xfec00000u

bool lapic_x2;

uint32_t lapic_read(unsigned reg) {
    return lapic_x2 ? (uint32_t)rdmsr(0x800 + (reg >> 4)) : *mmio32(LAPIC_BASE + reg);
}

void lapic_write(unsigned reg, uint32_t value) {
    if (lapic_x2)
        wrmsr(0x800 + (reg >> 4), value);
    else
        *mmio32(LAPIC_BASE + reg) = value;
}

void lapic_enable(void) {
    lapic_write(APIC_SVR, 0x1ff);
    lapic_write(APIC_TPR, 0);
}

void lapic_ipi(uint32_t destination, uint32_t low) {
    if (lapic_x2) {
        wrmsr(0x830, (uint64_t)destination << 32 | low);
        return;
    }
    while (lapic_read(APIC_ICR) & 0x1000)
        pause_cpu();
    lapic_write(APIC_ICR_HIGH, destination << 24);
    lapic_write(APIC_ICR, low);
}

bool lapic_bit(unsigned group, unsigned vector) {
    return lapic_read(group + (vector >> 5) * 0x10) >> (vector & 31) & 1;
}

uint32_t ioapic_read(unsigned reg) {
    *mmio32(IOAPIC_BASE) = reg;
    return *mmio32(IOAPIC_BASE + 0x10);
}

void ioapic_write(unsigned reg, uint32_t value) {
    *mmio32(IOAPIC_BASE) = reg;
    *mmio32(IOAPIC_BASE + 0x10) = value;
}

void ioapic_set(unsigned pin, uint64_t entry) {
    ioapic_write(0x10 + 2 * pin, IOAPIC_MASKED);
    ioapic_write(0x11 + 2 * pin, (uint32_t)(entry >> 32));
    ioapic_write(0x10 + 2 * pin, (uint32_t)entry);
}

uint64_t tsc_khz(void) {
    static uint32_t khz;
    if (!khz)
        khz = cpuid(0x40000010, 0).eax;
    return khz;
}

/* dividend / divisor without a library, for 32-bit guests. */
static uint64_t divide(uint64_t dividend, uint32_t divisor) {
    uint64_t quotient = 0, rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (dividend >> bit & 1);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    return quotient;
}

uint64_t now_us(void) {
    return divide(rdtsc() * 1000, (uint32_t)tsc_khz());
}

static uint64_t deadline_us(uint64_t us) {
    return rdtsc() + divide(us * tsc_khz(), 1000);
}

void delay_us(uint64_t us) {
    uint64_t end = deadline_us(us);
    while (rdtsc() < end)
        pause_cpu();
}

bool wait_count(volatile uint32_t *counter, uint32_t value, unsigned ms) {
    uint64_t end = deadline_us(ms * 1000ull);
    interrupts_on();
    while (*counter < value && rdtsc() < end)
        pause_cpu();
    interrupts_off();
    return *counter >= value;
}
