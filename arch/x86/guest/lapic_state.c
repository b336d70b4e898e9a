// SPDX-License-Identifier: Apache-2.0
// Saving and loading a local APIC: version 1 of the record "x86.lapic".
#include <errno.h>
#include <string.h>
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/pv.h"
#include "lib/state.h"

void lapic_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    struct lapic *lapic = x86_vcpu(vm->vcpu[index])->lapic;

    lapic_settle(lapic);
    state_put_u64(writer, lapic->base);
    for (unsigned i = 0; i < 4; i++)
        state_put_u64(writer, __atomic_load_n(&lapic->irr[i], __ATOMIC_RELAXED));
    for (unsigned i = 0; i < 4; i++)
        state_put_u64(writer, lapic->isr[i]);
    for (unsigned i = 0; i < 4; i++)
        state_put_u64(writer, __atomic_load_n(&lapic->tmr[i], __ATOMIC_RELAXED));
    state_put_u64(writer, lapic_timer_remaining(lapic));
    state_put_u64(writer, lapic_timer_read_deadline(lapic));
    state_put_u32(writer, lapic->svr);
    state_put_u32(writer, lapic->ldr);
    state_put_u32(writer, lapic->dfr);
    state_put_u32(writer, lapic->esr);
    state_put_u32(writer, __atomic_load_n(&lapic->esr_pending, __ATOMIC_RELAXED));
    state_put_u32(writer, lapic->icr);
    state_put_u32(writer, lapic->icr_high);
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        state_put_u32(writer, lapic->lvt[i]);
    state_put_u32(writer, lapic->initial);
    state_put_u32(writer, lapic->divide);
    state_put_u8(writer, lapic->tpr);
}

/* What a record holds, before it is believed. */
struct saved {
    uint64_t base;
    uint64_t irr[4], isr[4], tmr[4];
    uint64_t remaining, deadline;
    uint32_t svr, ldr, dfr, esr, esr_pending, icr, icr_high;
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint32_t initial, divide;
    uint8_t tpr;
};

static void get(struct state_reader *reader, struct saved *saved) {
    saved->base = state_get_u64(reader);
    for (unsigned i = 0; i < 4; i++)
        saved->irr[i] = state_get_u64(reader);
    for (unsigned i = 0; i < 4; i++)
        saved->isr[i] = state_get_u64(reader);
    for (unsigned i = 0; i < 4; i++)
        saved->tmr[i] = state_get_u64(reader);
    saved->remaining = state_get_u64(reader);
    saved->deadline = state_get_u64(reader);
    saved->svr = state_get_u32(reader);
    saved->ldr = state_get_u32(reader);
    saved->dfr = state_get_u32(reader);
    saved->esr = state_get_u32(reader);
    saved->esr_pending = state_get_u32(reader);
    saved->icr = state_get_u32(reader);
    saved->icr_high = state_get_u32(reader);
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        saved->lvt[i] = state_get_u32(reader);
    saved->initial = state_get_u32(reader);
    saved->divide = state_get_u32(reader);
    saved->tpr = state_get_u8(reader);
}

static bool timer_valid(const struct saved *saved) {
    unsigned mode = saved->lvt[LAPIC_LVT_TIMER] >> LAPIC_LVT_MODE_SHIFT & 3;
    uint64_t longest = (uint64_t)saved->initial * lapic_timer_divisor(saved->divide);

    if (saved->deadline && mode != LAPIC_TSC_DEADLINE)
        return false;
    if (saved->remaining == LAPIC_NEVER)
        return true;
    return mode < LAPIC_TSC_DEADLINE && saved->remaining && saved->remaining <= longest;
}

static bool valid(const struct saved *saved, unsigned index) {
    bool enabled = (saved->base & LAPIC_BASE_ENABLE) != 0;
    bool extended = (saved->base & LAPIC_BASE_EXTD) != 0;

    if (saved->base & ~(LAPIC_BASE_ADDRESS | LAPIC_BASE_BSP | LAPIC_BASE_EXTD | LAPIC_BASE_ENABLE))
        return false;
    if (((saved->base & LAPIC_BASE_BSP) != 0) != (index == 0) || (extended && !enabled))
        return false;
    /* Vectors 0 to 15 are never pending nor in service. */
    if ((saved->irr[0] | saved->isr[0] | saved->tmr[0]) & 0xffff)
        return false;
    /* One vector in service for each of the 15 priority classes at most. */
    for (unsigned priority = 1; priority < 16; priority++) {
        uint64_t bits = saved->isr[priority >> 2] >> (priority & 3) * 16 & 0xffff;
        if (bits & (bits - 1))
            return false;
    }
    if (saved->svr & ~LAPIC_SVR_WRITABLE || saved->ldr & 0xffffff || (~saved->dfr & 0x0fffffff))
        return false;
    if ((saved->esr | saved->esr_pending) &
        ~(LAPIC_ESR_SEND_VECTOR | LAPIC_ESR_RECEIVE_VECTOR | LAPIC_ESR_REGISTER))
        return false;
    if (saved->icr & ~LAPIC_ICR_WRITABLE || (!extended && saved->icr_high & 0xffffff))
        return false;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++) {
        if (saved->lvt[i] & ~lapic_lvt_writable[i])
            return false;
        if (!(saved->svr & LAPIC_SVR_ENABLE) && !(saved->lvt[i] & LAPIC_LVT_MASK))
            return false;
    }
    return !(saved->divide & ~0xbu) && timer_valid(saved);
}

int lapic_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct lapic *lapic = x86_vcpu(vm->vcpu[index])->lapic;
    struct saved saved;

    lapic_part.reset(vm, index);
    get(reader, &saved);
    if (version != 1 || reader->error || !valid(&saved, index))
        return -EINVAL;
    lapic->base = saved.base;
    lapic->mode = LAPIC_OFF;
    if (saved.base & LAPIC_BASE_ENABLE)
        lapic->mode = saved.base & LAPIC_BASE_EXTD ? LAPIC_X2APIC : LAPIC_XAPIC;
    for (unsigned vector = 16; vector < 256; vector++)
        lapic->isr_count += lapic_bit(saved.isr, vector);
    memcpy(lapic->irr, saved.irr, sizeof(saved.irr));
    memcpy(lapic->isr, saved.isr, sizeof(saved.isr));
    memcpy(lapic->tmr, saved.tmr, sizeof(saved.tmr));
    lapic->isr_top = lapic_highest(lapic->isr);
    lapic->svr = saved.svr;
    lapic->ldr = saved.ldr;
    lapic->dfr = saved.dfr;
    lapic->esr = saved.esr;
    lapic->esr_pending = saved.esr_pending;
    lapic->icr = saved.icr;
    lapic->icr_high = saved.icr_high;
    memcpy(lapic->lvt, saved.lvt, sizeof(saved.lvt));
    lapic->initial = saved.initial;
    lapic->divide = saved.divide;
    lapic->tpr = saved.tpr;
    lapic_timer_restore(lapic, saved.remaining, saved.deadline);
    lapic_update_priority(lapic);
    lapic_recheck(lapic);
    return 0;
}
