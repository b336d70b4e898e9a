// SPDX-License-Identifier: Apache-2.0
// Local APIC of a guest: priorities, acceptance, end of interrupt, enabling and reset (Intel SDM vol. 3,
// ch. 11). Registers are in lapic_registers.c, messages in lapic_message.c, the timer in lapic_timer.c.
#include <errno.h>
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/pv.h"

#define unlikely(condition) __builtin_expect(!!(condition), 0)

void lapic_recheck(struct lapic *lapic) {
    __atomic_fetch_or(&lapic->vcpu->requests, X86_REQUEST_EVENT, __ATOMIC_RELEASE);
}

/* The processor priority, rounded up to the last vector that it holds back (11.8.3.1). */
static inline uint32_t threshold(const struct lapic *lapic) {
    uint32_t priority = lapic->tpr;
    if (lapic->isr_top > (int32_t)priority)
        priority = (uint32_t)lapic->isr_top;
    return priority | 0xf;
}

void lapic_update_priority(struct lapic *lapic) {
    uint32_t limit = 0xff; /* holds everything back while disabled */

    if (lapic->mode != LAPIC_OFF && lapic_software_enabled(lapic))
        limit = threshold(lapic);
    __atomic_store_n(&lapic->threshold, limit, __ATOMIC_RELAXED);
    if (lapic_highest(lapic->irr) > (int)limit)
        lapic_recheck(lapic);
}

int lapic_pending(struct lapic *lapic) {
    lapic_settle(lapic);
    int vector = lapic_highest(lapic->irr);
    return vector > (int)lapic->threshold ? vector : -1;
}

bool lapic_has_work(struct lapic *lapic) {
    return lapic_highest(lapic->irr) > (int)__atomic_load_n(&lapic->threshold, __ATOMIC_RELAXED);
}

void lapic_accept(struct lapic *lapic, uint8_t vector) {
    uint64_t bit = 1ull << (vector & 63);

    __atomic_fetch_and(&lapic->irr[vector >> 6], ~bit, __ATOMIC_RELAXED);
    lapic->isr[vector >> 6] |= bit;
    lapic->isr_count++;
    lapic->isr_top = vector;
    /* It was above the threshold, so it decides the new one. */
    __atomic_store_n(&lapic->threshold, vector | 0xfu, __ATOMIC_RELAXED);
}

void __attribute__((noinline)) lapic_broadcast(struct lapic *lapic, uint8_t vector) {
    struct ioapic *ioapic = x86_vm(lapic->vcpu->vm)->pc.ioapic;
    if (ioapic && !(lapic->svr & LAPIC_SVR_SUPPRESS))
        ioapic_eoi(ioapic, vector);
}

void lapic_end_of_interrupt(struct lapic *lapic) {
    int vector = lapic->isr_top;
    if (vector < 0)
        return;

    unsigned word = (unsigned)vector >> 6;
    uint64_t bit = 1ull << (vector & 63);
    lapic->isr[word] &= ~bit;
    if (--lapic->isr_count == 0)
        lapic->isr_top = -1;
    else
        lapic->isr_top = lapic_highest(lapic->isr);
    bool level = (__atomic_load_n(&lapic->tmr[word], __ATOMIC_RELAXED) & bit) != 0;

    if (unlikely(!lapic_software_enabled(lapic))) {
        lapic_update_priority(lapic);
    } else {
        uint32_t limit = threshold(lapic);
        __atomic_store_n(&lapic->threshold, limit, __ATOMIC_RELAXED);
        if (lapic_highest(lapic->irr) > (int)limit)
            lapic_recheck(lapic);
    }
    if (unlikely(level))
        lapic_broadcast(lapic, (uint8_t)vector);
}

void lapic_eoi(struct lapic *lapic) {
    lapic_settle(lapic);
    lapic_end_of_interrupt(lapic);
}

void lapic_set_irr(struct lapic *lapic, uint8_t vector, bool level) {
    unsigned word = vector >> 6;
    uint64_t bit = 1ull << (vector & 63);

    if (level)
        __atomic_fetch_or(&lapic->tmr[word], bit, __ATOMIC_RELAXED);
    else if (unlikely(__atomic_load_n(&lapic->tmr[word], __ATOMIC_RELAXED) & bit))
        __atomic_fetch_and(&lapic->tmr[word], ~bit, __ATOMIC_RELAXED);
    /* Who set the bit first has made the run loop look; it will look again when priorities change. */
    if (!(__atomic_fetch_or(&lapic->irr[word], bit, __ATOMIC_SEQ_CST) & bit))
        vcpu_request(lapic->vcpu, X86_REQUEST_EVENT);
}

void lapic_error(struct lapic *lapic, uint32_t bits) {
    uint32_t before = __atomic_fetch_or(&lapic->esr_pending, bits, __ATOMIC_RELAXED);
    uint32_t entry = __atomic_load_n(&lapic->lvt[LAPIC_LVT_ERROR], __ATOMIC_RELAXED);

    if (!(bits & ~before) || entry & LAPIC_LVT_MASK)
        return;
    if ((entry & 0xff) < 16)
        __atomic_fetch_or(&lapic->esr_pending, LAPIC_ESR_RECEIVE_VECTOR, __ATOMIC_RELAXED);
    else
        lapic_set_irr(lapic, (uint8_t)entry, false);
}

void lapic_lvt_fire(struct lapic *lapic, enum lapic_lvt entry) {
    uint32_t value = __atomic_load_n(&lapic->lvt[entry], __ATOMIC_RELAXED);
    if (lapic->mode == LAPIC_OFF || value & LAPIC_LVT_MASK)
        return;
    unsigned delivery = (value & LAPIC_LVT_DELIVERY) >> 8;
    if (entry == LAPIC_LVT_TIMER || entry == LAPIC_LVT_ERROR)
        delivery = LAPIC_FIXED;
    switch (delivery) {
    case LAPIC_FIXED:
        if ((value & 0xff) < 16)
            lapic_error(lapic, LAPIC_ESR_RECEIVE_VECTOR);
        else
            lapic_set_irr(lapic, (uint8_t)value, false);
        break;
    case LAPIC_NMI:
        vcpu_request(lapic->vcpu, X86_REQUEST_NMI);
        break;
    case LAPIC_INIT:
        vcpu_request(lapic->vcpu, X86_REQUEST_INIT);
        break;
    default: /* SMI: there is no system-management mode; ExtINT: see lapic_accepts_pic() */
        break;
    }
}

bool lapic_accepts_pic(const struct lapic *lapic) {
    /* Without its APIC a processor's LINT0 is INTR (11.4.3). */
    if (lapic->mode == LAPIC_OFF)
        return true;
    uint32_t entry = __atomic_load_n(&lapic->lvt[LAPIC_LVT_LINT0], __ATOMIC_RELAXED);
    return (entry & (LAPIC_LVT_MASK | LAPIC_LVT_DELIVERY)) == LAPIC_EXTINT << 8;
}

void lapic_pic_output(struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct lapic *lapic = vm->vcpu[i] ? x86_vcpu(vm->vcpu[i])->lapic : NULL;
        if (!lapic)
            continue;
        if (lapic_accepts_pic(lapic))
            vcpu_request(lapic->vcpu, X86_REQUEST_EVENT);
        else
            lapic_lvt_fire(lapic, LAPIC_LVT_LINT0);
    }
}

uint64_t lapic_cr8(struct lapic *lapic) {
    lapic_settle(lapic);
    return lapic->tpr >> 4;
}

void lapic_set_cr8(struct lapic *lapic, uint64_t value) {
    lapic_settle(lapic);
    lapic->tpr = (uint8_t)((value & 0xf) << 4);
    lapic_update_priority(lapic);
}

bool lapic_enabled(const struct lapic *lapic) {
    return lapic->mode != LAPIC_OFF;
}

uint32_t lapic_id(const struct lapic *lapic) {
    return lapic_index(lapic);
}

uint64_t lapic_mmio_base(const struct lapic *lapic) {
    return lapic->mode == LAPIC_XAPIC ? lapic->base & LAPIC_BASE_ADDRESS : 0;
}

/* All registers to their values after power-up or INIT (11.4.7). */
static void reset_registers(struct lapic *lapic) {
    lapic_timer_reset(lapic);
    for (unsigned i = 0; i < 4; i++) {
        __atomic_store_n(&lapic->irr[i], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&lapic->tmr[i], 0, __ATOMIC_RELAXED);
        lapic->isr[i] = 0;
    }
    lapic->isr_count = 0;
    lapic->isr_top = -1;
    lapic->pv_offered = false;
    lapic->in_page = false;
    lapic->tpr = 0;
    lapic->svr = 0xff;
    lapic->ldr = 0;
    lapic->dfr = 0xffffffff;
    lapic->esr = 0;
    lapic->esr_pending = 0;
    lapic->icr = 0;
    lapic->icr_high = 0;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        lapic->lvt[i] = LAPIC_LVT_MASK;
    lapic_update_priority(lapic);
}

void lapic_init_reset(struct lapic *lapic) {
    /* What the guest's PV EOI word says is about an interrupt that is forgotten now. */
    lapic_settle(lapic);
    reset_registers(lapic);
    pv_init_reset(x86_vcpu(lapic->vcpu));
}

int lapic_set_base(struct lapic *lapic, uint64_t value) {
    uint64_t enables = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_EXTD);
    uint8_t mode = LAPIC_OFF;

    if (value & ~(LAPIC_BASE_ADDRESS | LAPIC_BASE_BSP | LAPIC_BASE_ENABLE | LAPIC_BASE_EXTD))
        return -EINVAL;
    if (enables == LAPIC_BASE_EXTD)
        return -EINVAL;
    if (enables)
        mode = enables & LAPIC_BASE_EXTD ? LAPIC_X2APIC : LAPIC_XAPIC;
    /* 11.12.5: x2APIC mode is entered from xAPIC mode and left to the disabled state. */
    if (lapic->mode == LAPIC_X2APIC && mode == LAPIC_XAPIC)
        return -EINVAL;
    if (lapic->mode == LAPIC_OFF && mode == LAPIC_X2APIC)
        return -EINVAL;

    lapic_settle(lapic);
    /* Which processor is the bootstrap processor does not change. */
    lapic->base = (value & ~LAPIC_BASE_BSP) | (lapic->base & LAPIC_BASE_BSP);
    lapic_recheck(lapic); /* the CPU's own APIC page is at one place alone */
    if (mode == lapic->mode)
        return 0;
    __atomic_store_n(&lapic->mode, mode, __ATOMIC_RELAXED);
    if (mode == LAPIC_OFF)
        reset_registers(lapic);
    else if (mode == LAPIC_X2APIC)
        lapic->icr_high = 0;
    lapic_update_priority(lapic);
    lapic_recheck(lapic); /* the PIC's way to the processor may have opened */
    return 0;
}

void lapic_virtual_wire(struct lapic *lapic) {
    lapic->svr = LAPIC_SVR_ENABLE | 0xff;
    lapic->lvt[LAPIC_LVT_LINT0] = LAPIC_EXTINT << 8;
    lapic->lvt[LAPIC_LVT_LINT1] = LAPIC_NMI << 8;
    lapic_update_priority(lapic);
}

static int create(struct vm *vm, unsigned index) {
    if (index >= vm->vcpu_count || !vm->vcpu[index])
        return -EINVAL;
    struct lapic *lapic = heap_allocate(sizeof(*lapic), &vm->memory.account);
    if (!lapic)
        return -ENOMEM;
    lapic->vcpu = vm->vcpu[index];
    lapic_timer_create(lapic);
    x86_vcpu(lapic->vcpu)->lapic = lapic;
    return 0;
}

static void destroy(struct vm *vm, unsigned index) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    lapic_timer_reset(vcpu->lapic);
    heap_free(vcpu->lapic, sizeof(*vcpu->lapic), &vm->memory.account);
    vcpu->lapic = NULL;
}

static void reset(struct vm *vm, unsigned index) {
    struct lapic *lapic = x86_vcpu(vm->vcpu[index])->lapic;

    lapic->mode = LAPIC_XAPIC;
    lapic->base = PC_LAPIC_BASE | LAPIC_BASE_ENABLE | (index == 0 ? LAPIC_BASE_BSP : 0);
    lapic->rotation = 0;
    reset_registers(lapic);
}

const struct part lapic_part = {
    .name = "x86.lapic",
    .version = 1,
    .per_vcpu = 1,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .save = lapic_save,
    .load = lapic_load,
};
