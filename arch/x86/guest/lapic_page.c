// SPDX-License-Identifier: Apache-2.0
// The local APIC and the virtual-APIC page of Intel's CPUs (SDM vol. 3, 29.1, 29.2): what moves between the
// two. Where no CPU has one, and in xAPIC mode, the page is never loaded.
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

bool lapic_page_wanted(const struct lapic *lapic) {
    return lapic->mode == LAPIC_X2APIC && lapic_software_enabled(lapic);
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
    }
    *rvi = highest(requested);
    *svi = highest(served);
}

void lapic_page_unload(struct lapic *lapic) {
    if (!lapic->in_page)
        return;
    lapic->in_page = false;
    lapic->tpr = (uint8_t)*word(lapic, LAPIC_REG_TPR);
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

void lapic_settle_now(struct lapic *lapic) {
    if (lapic->pv_offered)
        pv_eoi_sync(lapic->vcpu);
    if (lapic->in_page) {
        lapic_page_unload(lapic);
        lapic_recheck(lapic); /* the page is loaded again, or is not wanted any more */
    }
}
