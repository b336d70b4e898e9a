// SPDX-License-Identifier: Apache-2.0
// The local APIC and the virtual-APIC page of Intel's CPUs (SDM vol. 3, 29.1, 29.2): what moves between the
// two. Where no CPU has one the page is never loaded.
#include <string.h>
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/pv.h"

/* A register's place in the page. */
static uint32_t *word(const struct lapic *lapic, unsigned number) {
    return (uint32_t *)(x86_vcpu(lapic->vcpu)->apic_page + number * 16);
}

static uint64_t bits(const struct lapic *lapic, unsigned number, unsigned i) {
    return *word(lapic, number + 2 * i) | (uint64_t)*word(lapic, number + 2 * i + 1) << 32;
}

static void set_bits(const struct lapic *lapic, unsigned number, unsigned i, uint64_t value) {
    *word(lapic, number + 2 * i) = (uint32_t)value;
    *word(lapic, number + 2 * i + 1) = (uint32_t)(value >> 32);
}

enum lapic_page lapic_page_wanted(const struct lapic *lapic) {
    if (lapic->mode == LAPIC_X2APIC)
        return lapic_software_enabled(lapic) ? LAPIC_PAGE_X2APIC : LAPIC_PAGE_NONE;
    if (lapic_mmio_base(lapic) != PC_LAPIC_BASE)
        return LAPIC_PAGE_NONE;
    return lapic_software_enabled(lapic) ? LAPIC_PAGE_XAPIC : LAPIC_PAGE_TRAP;
}

/* The registers that the CPU reads from the page in xAPIC mode (29.4.2), but for those that it or every entry
 * keeps up to date. */
static void load_registers(struct lapic *lapic) {
    static const uint8_t numbers[] = {
        LAPIC_REG_ID,      LAPIC_REG_VERSION, LAPIC_REG_LDR,     LAPIC_REG_DFR,
        LAPIC_REG_SVR,     LAPIC_REG_ESR,     LAPIC_REG_ICR,     LAPIC_REG_ICR_HIGH,
        LAPIC_REG_LVT,     LAPIC_REG_LVT + 1, LAPIC_REG_LVT + 2, LAPIC_REG_LVT + 3,
        LAPIC_REG_LVT + 4, LAPIC_REG_LVT + 5, LAPIC_REG_TMICT,   LAPIC_REG_TDCR};

    for (unsigned i = 0; i < array_count(numbers); i++)
        *word(lapic, numbers[i]) = lapic_read_xapic(lapic, numbers[i]);
}

static uint8_t highest(const uint64_t set[4]) {
    int vector = lapic_highest(set);
    return vector < 0 ? 0 : (uint8_t)vector;
}

void lapic_page_load(struct lapic *lapic, uint8_t *rvi, uint8_t *svi, uint64_t eoi_exit[4]) {
    uint64_t requested[4], served[4];

    if (!lapic->in_page) {
        lapic_settle(lapic);
        memset(x86_vcpu(lapic->vcpu)->apic_page, 0, PAGE_SIZE);
        *word(lapic, LAPIC_REG_TPR) = lapic->tpr;
        if (lapic->mode == LAPIC_XAPIC)
            load_registers(lapic);
        for (unsigned i = 0; i < 4; i++)
            set_bits(lapic, LAPIC_REG_ISR, i, lapic->isr[i]);
        lapic->in_page = true;
    }
    for (unsigned i = 0; i < 4; i++) {
        requested[i] = bits(lapic, LAPIC_REG_IRR, i);
        if (__atomic_load_n(&lapic->irr[i], __ATOMIC_RELAXED)) {
            requested[i] |= __atomic_exchange_n(&lapic->irr[i], 0, __ATOMIC_ACQUIRE);
            set_bits(lapic, LAPIC_REG_IRR, i, requested[i]);
        }
        served[i] = bits(lapic, LAPIC_REG_ISR, i);
        eoi_exit[i] = __atomic_load_n(&lapic->tmr[i], __ATOMIC_RELAXED);
        set_bits(lapic, LAPIC_REG_TMR, i, eoi_exit[i]);
    }
    *rvi = highest(requested);
    *svi = highest(served);
}

void lapic_page_unload(struct lapic *lapic) {
    if (!lapic->in_page)
        return;
    lapic->in_page = false;
    lapic->tpr = (uint8_t)*word(lapic, LAPIC_REG_TPR);
    if (lapic->mode == LAPIC_XAPIC) /* written without an exit (29.4.3.2) */
        lapic->icr_high = *word(lapic, LAPIC_REG_ICR_HIGH) & 0xff000000;
    lapic->isr_count = 0;
    for (unsigned i = 0; i < 4; i++) {
        __atomic_fetch_or(&lapic->irr[i], bits(lapic, LAPIC_REG_IRR, i), __ATOMIC_RELAXED);
        lapic->isr[i] = bits(lapic, LAPIC_REG_ISR, i);
        for (uint64_t left = lapic->isr[i]; left; left &= left - 1)
            lapic->isr_count++;
    }
    lapic->isr_top = lapic_highest(lapic->isr);
    lapic_update_priority(lapic);
}

void lapic_page_eoi(struct lapic *lapic, uint8_t vector) {
    if (lapic_bit(lapic->tmr, vector))
        lapic_broadcast(lapic, vector);
}

void lapic_page_write(struct lapic *lapic, uint32_t offset) {
    unsigned number = offset / 16;
    uint32_t value = *word(lapic, number);

    if (lapic->mode != LAPIC_XAPIC) {
        lapic_msr_write(lapic, LAPIC_MSR_X2APIC + number, value);
    } else if (number < LAPIC_REG_LVT && number != LAPIC_REG_ICR) {
        lapic_mmio_write(lapic, number * 16, 4, value);
    } else {
        /* The ICR, the LVT and the timer have nothing to do with what the CPU keeps in the page: it stays. */
        lapic->icr_high = *word(lapic, LAPIC_REG_ICR_HIGH) & 0xff000000;
        lapic_write_xapic(lapic, number, value);
        *word(lapic, number) = lapic_read_xapic(lapic, number);
    }
}

void lapic_settle_now(struct lapic *lapic) {
    if (lapic->pv_offered)
        pv_eoi_sync(lapic->vcpu);
    if (lapic->in_page) {
        lapic_page_unload(lapic);
        lapic_recheck(lapic); /* the page is loaded again, or is not wanted any more */
    }
}
