// SPDX-License-Identifier: Apache-2.0
// The local APIC's registers as the guest reads and writes them: xAPIC's page and x2APIC's MSRs (Intel SDM
// vol. 3, 11.4.1 and 11.12.1).
#include <errno.h>
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/pv.h"

const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT] = {
    [LAPIC_LVT_TIMER] = 0x700ff, [LAPIC_LVT_THERMAL] = 0x107ff, [LAPIC_LVT_PERFORMANCE] = 0x107ff,
    [LAPIC_LVT_LINT0] = 0x1a7ff, [LAPIC_LVT_LINT1] = 0x1a7ff,   [LAPIC_LVT_ERROR] = 0x100ff,
};
#define LVT_READ_ONLY 0x5000u /* delivery status, remote IRR: always 0 here */

/* x2APIC's ICR: bit 12 was xAPIC's delivery status; guests that write it back as 0 or 1 mean nothing by it.
 */
#define ICR_STATUS    0x1000u

static uint32_t priority_register(const struct lapic *lapic) {
    if (lapic->isr_top >> 4 > lapic->tpr >> 4)
        return (uint32_t)lapic->isr_top & 0xf0;
    return lapic->tpr;
}

/* Arbitration priority (11.6.2.4). */
static uint32_t arbitration_register(const struct lapic *lapic) {
    int32_t requested = lapic_highest(lapic->irr) >> 4;
    int32_t serviced = lapic->isr_top >> 4;
    int32_t task = lapic->tpr >> 4;

    if (task >= requested && task > serviced)
        return lapic->tpr;
    int32_t highest = requested > serviced ? requested : serviced;
    return (uint32_t)(highest > task ? highest : task) << 4;
}

static uint32_t bits_register(const uint64_t bits[4], unsigned index) {
    return (uint32_t)(__atomic_load_n(&bits[index >> 1], __ATOMIC_RELAXED) >> (index & 1) * 32);
}

static void write_svr(struct lapic *lapic, uint32_t value) {
    bool was_enabled = lapic_software_enabled(lapic);

    __atomic_store_n(&lapic->svr, value & LAPIC_SVR_WRITABLE, __ATOMIC_RELAXED);
    if (was_enabled && !lapic_software_enabled(lapic)) {
        /* 11.4.7.2: all entries become masked and stay so. */
        lapic_timer_write_lvt(lapic, lapic->lvt[LAPIC_LVT_TIMER] | LAPIC_LVT_MASK);
        for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
            __atomic_fetch_or(&lapic->lvt[i], LAPIC_LVT_MASK, __ATOMIC_RELAXED);
    }
    lapic_update_priority(lapic);
    if (!was_enabled && lapic_software_enabled(lapic)) {
        struct ioapic *ioapic = x86_vm(lapic->vcpu->vm)->pc.ioapic;
        if (ioapic)
            ioapic_retry(ioapic);
    }
}

static void write_lvt(struct lapic *lapic, unsigned entry, uint32_t value) {
    value &= lapic_lvt_writable[entry];
    if (!lapic_software_enabled(lapic))
        value |= LAPIC_LVT_MASK;
    if (entry == LAPIC_LVT_TIMER) {
        lapic_timer_write_lvt(lapic, value);
        return;
    }
    __atomic_store_n(&lapic->lvt[entry], value, __ATOMIC_RELAXED);
    if (entry == LAPIC_LVT_LINT0)
        lapic_recheck(lapic); /* the PIC may have waited for it */
}

static void write_esr(struct lapic *lapic) {
    lapic->esr = __atomic_exchange_n(&lapic->esr_pending, 0, __ATOMIC_RELAXED);
}

/* Reads what both modes have in common. -ENOENT: no such register. */
static int read_register(struct lapic *lapic, unsigned number, uint32_t *value) {
    switch (number) {
    case LAPIC_REG_VERSION:
        *value = LAPIC_VERSION;
        return 0;
    case LAPIC_REG_TPR:
        *value = lapic->tpr;
        return 0;
    case LAPIC_REG_PPR:
        *value = priority_register(lapic);
        return 0;
    case LAPIC_REG_SVR:
        *value = lapic->svr;
        return 0;
    case LAPIC_REG_ISR ... LAPIC_REG_ISR + 7:
        *value = bits_register(lapic->isr, number - LAPIC_REG_ISR);
        return 0;
    case LAPIC_REG_TMR ... LAPIC_REG_TMR + 7:
        *value = bits_register(lapic->tmr, number - LAPIC_REG_TMR);
        return 0;
    case LAPIC_REG_IRR ... LAPIC_REG_IRR + 7:
        *value = bits_register(lapic->irr, number - LAPIC_REG_IRR);
        return 0;
    case LAPIC_REG_ESR:
        *value = lapic->esr;
        return 0;
    case LAPIC_REG_ICR:
        *value = lapic->icr;
        return 0;
    case LAPIC_REG_LVT ... LAPIC_REG_LVT + LAPIC_LVT_COUNT - 1:
        *value = lapic->lvt[number - LAPIC_REG_LVT];
        return 0;
    case LAPIC_REG_TMICT:
        *value = lapic->initial;
        return 0;
    case LAPIC_REG_TMCCT:
        *value = lapic_timer_count(lapic);
        return 0;
    case LAPIC_REG_TDCR:
        *value = lapic->divide;
        return 0;
    default:
        return -ENOENT;
    }
}

/* Writes what both modes have in common; `value` has no reserved bits set. -ENOENT: none, or read-only. */
static int write_register(struct lapic *lapic, unsigned number, uint32_t value) {
    switch (number) {
    case LAPIC_REG_TPR:
        lapic->tpr = (uint8_t)value;
        lapic_update_priority(lapic);
        return 0;
    case LAPIC_REG_EOI:
        lapic_end_of_interrupt(lapic);
        return 0;
    case LAPIC_REG_SVR:
        write_svr(lapic, value);
        return 0;
    case LAPIC_REG_ESR:
        write_esr(lapic);
        return 0;
    case LAPIC_REG_LVT ... LAPIC_REG_LVT + LAPIC_LVT_COUNT - 1:
        write_lvt(lapic, number - LAPIC_REG_LVT, value);
        return 0;
    case LAPIC_REG_TMICT:
        lapic_timer_write_initial(lapic, value);
        return 0;
    case LAPIC_REG_TDCR:
        lapic_timer_write_divide(lapic, value & 0xb);
        return 0;
    default:
        return -ENOENT;
    }
}

uint32_t lapic_read_xapic(struct lapic *lapic, unsigned number) {
    uint32_t value = 0;

    switch (number) {
    case LAPIC_REG_ID:
        return lapic_id(lapic) << 24;
    case LAPIC_REG_APR:
        return arbitration_register(lapic);
    case LAPIC_REG_LDR:
        return lapic->ldr;
    case LAPIC_REG_DFR:
        return lapic->dfr;
    case LAPIC_REG_ICR_HIGH:
        return lapic->icr_high;
    case LAPIC_REG_EOI: /* write-only */
    case LAPIC_REG_RRD: /* remote read: not on processors since the Pentium 4 */
        return 0;
    default:
        if (read_register(lapic, number, &value) != 0)
            lapic_error(lapic, LAPIC_ESR_REGISTER);
        return value;
    }
}

int lapic_mmio_read(struct lapic *lapic, uint32_t offset, unsigned size, uint64_t *value) {
    *value = 0;
    if (offset > 0xfff || (offset & 0xf) + size > 4)
        return 0;
    lapic_settle(lapic);
    uint32_t whole = lapic_read_xapic(lapic, offset >> 4) >> (offset & 3) * 8;
    *value = size == 4 ? whole : whole & ((1u << size * 8) - 1);
    return 0;
}

void lapic_write_xapic(struct lapic *lapic, unsigned number, uint32_t word) {
    switch (number) {
    case LAPIC_REG_ICR:
        lapic->icr = word & LAPIC_ICR_WRITABLE;
        lapic_send(lapic, lapic->icr, lapic->icr_high >> 24);
        return;
    case LAPIC_REG_ICR_HIGH:
        lapic->icr_high = word & 0xff000000;
        return;
    case LAPIC_REG_LDR:
        __atomic_store_n(&lapic->ldr, word & 0xff000000, __ATOMIC_RELAXED);
        return;
    case LAPIC_REG_DFR:
        __atomic_store_n(&lapic->dfr, word | 0x0fffffff, __ATOMIC_RELAXED);
        return;
    default:
        break;
    }
    uint32_t ignored;
    if (write_register(lapic, number, word) != 0) {
        /* Read-only registers ignore a write; the rest does not exist. */
        bool known = number == LAPIC_REG_ID || number == LAPIC_REG_APR || number == LAPIC_REG_RRD ||
                     read_register(lapic, number, &ignored) == 0;
        if (!known)
            lapic_error(lapic, LAPIC_ESR_REGISTER);
    }
}

int lapic_mmio_write(struct lapic *lapic, uint32_t offset, unsigned size, uint64_t value) {
    if (offset > 0xfff || size != 4 || (offset & 0xf))
        return 0;
    lapic_settle(lapic);
    lapic_write_xapic(lapic, offset >> 4, (uint32_t)value);
    return 0;
}

static int read_x2apic(struct lapic *lapic, unsigned number, uint64_t *value) {
    uint32_t low;

    lapic_settle(lapic);
    switch (number) {
    case LAPIC_REG_ID:
        *value = lapic_id(lapic);
        return 0;
    case LAPIC_REG_LDR:
        *value = lapic_x2apic_ldr(lapic);
        return 0;
    case LAPIC_REG_ICR:
        *value = (uint64_t)lapic->icr_high << 32 | lapic->icr;
        return 0;
    default:
        if (read_register(lapic, number, &low) != 0)
            return -EINVAL;
        *value = low;
        return 0;
    }
}

/* Bits that may be set in a write to an x2APIC register: the others are reserved and fault. */
static uint64_t x2apic_writable(unsigned number) {
    switch (number) {
    case LAPIC_REG_TPR:
    case LAPIC_REG_SELF_IPI:
        return 0xff;
    case LAPIC_REG_SVR:
        return LAPIC_SVR_WRITABLE;
    case LAPIC_REG_ICR:
        return 0xffffffff00000000ull | LAPIC_ICR_WRITABLE | ICR_STATUS;
    case LAPIC_REG_LVT ... LAPIC_REG_LVT + LAPIC_LVT_COUNT - 1:
        return lapic_lvt_writable[number - LAPIC_REG_LVT] | LVT_READ_ONLY;
    case LAPIC_REG_TMICT:
        return 0xffffffff;
    case LAPIC_REG_TDCR:
        return 0xb;
    default: /* EOI and ESR take 0 alone */
        return 0;
    }
}

static int write_x2apic(struct lapic *lapic, unsigned number, uint64_t value) {
    if (value & ~x2apic_writable(number))
        return -EINVAL;
    if (number != LAPIC_REG_ICR) /* sending looks at nothing of what is to be settled */
        lapic_settle(lapic);
    switch (number) {
    case LAPIC_REG_ICR:
        lapic->icr = (uint32_t)value & LAPIC_ICR_WRITABLE;
        lapic->icr_high = (uint32_t)(value >> 32);
        lapic_send(lapic, lapic->icr, lapic->icr_high);
        return 0;
    case LAPIC_REG_SELF_IPI:
        lapic_send_self(lapic, (uint8_t)value);
        return 0;
    default:
        return write_register(lapic, number, (uint32_t)value) == 0 ? 0 : -EINVAL;
    }
}

int lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value) {
    if (msr == LAPIC_MSR_BASE) {
        *value = lapic->base;
        return 0;
    }
    if (msr == LAPIC_MSR_DEADLINE) {
        *value = lapic_timer_read_deadline(lapic);
        return 0;
    }
    if (msr - LAPIC_MSR_X2APIC > 0xff || lapic->mode != LAPIC_X2APIC)
        return -EINVAL;
    return read_x2apic(lapic, msr - LAPIC_MSR_X2APIC, value);
}

int lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value) {
    if (msr == LAPIC_MSR_BASE)
        return lapic_set_base(lapic, value);
    if (msr == LAPIC_MSR_DEADLINE) {
        lapic_timer_write_deadline(lapic, value);
        return 0;
    }
    if (msr - LAPIC_MSR_X2APIC > 0xff || lapic->mode != LAPIC_X2APIC)
        return -EINVAL;
    return write_x2apic(lapic, msr - LAPIC_MSR_X2APIC, value);
}
