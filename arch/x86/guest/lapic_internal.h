// SPDX-License-Identifier: Apache-2.0
// The local APIC's structure and what its files (lapic*.c) and pv.c share. Others use lapic.h.
#ifndef SAGUARO_ARCH_X86_GUEST_LAPIC_INTERNAL_H
#define SAGUARO_ARCH_X86_GUEST_LAPIC_INTERNAL_H

#include "arch/x86/guest/lapic.h"
#include "arch/x86/vm.h"

/* IA32_APIC_BASE. */
#define LAPIC_BASE_BSP     0x100ull
#define LAPIC_BASE_EXTD    0x400ull /* x2APIC mode */
#define LAPIC_BASE_ENABLE  0x800ull
#define LAPIC_BASE_ADDRESS 0x000ffffffffff000ull

#define LAPIC_MSR_BASE     0x1bu
#define LAPIC_MSR_DEADLINE 0x6e0u
#define LAPIC_MSR_X2APIC   0x800u

/* Registers: numbers are xAPIC offsets divided by 16, which are x2APIC MSR numbers minus 0x800. */
enum lapic_register {
    LAPIC_REG_ID = 0x02,
    LAPIC_REG_VERSION = 0x03,
    LAPIC_REG_TPR = 0x08,
    LAPIC_REG_APR = 0x09,
    LAPIC_REG_PPR = 0x0a,
    LAPIC_REG_EOI = 0x0b,
    LAPIC_REG_RRD = 0x0c,
    LAPIC_REG_LDR = 0x0d,
    LAPIC_REG_DFR = 0x0e,
    LAPIC_REG_SVR = 0x0f,
    LAPIC_REG_ISR = 0x10,
    LAPIC_REG_TMR = 0x18,
    LAPIC_REG_IRR = 0x20,
    LAPIC_REG_ESR = 0x28,
    LAPIC_REG_ICR = 0x30,
    LAPIC_REG_ICR_HIGH = 0x31,
    LAPIC_REG_LVT = 0x32, /* first of LAPIC_LVT_COUNT */
    LAPIC_REG_TMICT = 0x38,
    LAPIC_REG_TMCCT = 0x39,
    LAPIC_REG_TDCR = 0x3e,
    LAPIC_REG_SELF_IPI = 0x3f, /* x2APIC only */
};

/* Local vector table, in register order (no CMCI entry). */
enum lapic_lvt {
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERFORMANCE,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVT_COUNT
};
#define LAPIC_LVT_MASK           0x10000u
#define LAPIC_LVT_DELIVERY       0x700u
#define LAPIC_LVT_MODE_SHIFT     17

/* Integrated APIC, 6 LVT entries, EOI-broadcast suppression. */
#define LAPIC_VERSION            0x01050014u
#define LAPIC_SVR_ENABLE         0x100u
#define LAPIC_SVR_SUPPRESS       0x1000u
#define LAPIC_SVR_WRITABLE       0x13ffu

#define LAPIC_ICR_WRITABLE       0xccfffu

#define LAPIC_ESR_SEND_VECTOR    0x20u
#define LAPIC_ESR_RECEIVE_VECTOR 0x40u
#define LAPIC_ESR_REGISTER       0x80u

enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };
enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE, LAPIC_TIMER_RESERVED };

#define LAPIC_NEVER UINT64_MAX

/*
 * Written by the vCPU's own run loop alone, but for `irr`, `tmr` and `esr_pending` (any CPU, atomically) and
 * the timer's fields (under `timer_lock`). Other CPUs read mode, svr, ldr, dfr, threshold and the LVT, which
 * are single words.
 */
struct lapic {
    uint64_t irr[4];
    uint64_t isr[4];
    uint64_t tmr[4];
    int32_t isr_top;    /* highest vector in service, or -1 */
    uint32_t isr_count; /* vectors in service */
    uint32_t threshold; /* PPR | 0xf; 0xff while disabled: what is above may be injected */
    uint32_t svr;
    uint8_t tpr;
    uint8_t mode;    /* enum lapic_mode */
    bool pv_offered; /* the guest may end the interrupt in service through its PV EOI word */
    bool in_page;    /* isr, tpr and a part of irr are in the CPU's virtual-APIC page: see lapic_page.c */
    struct vcpu *vcpu;

    uint64_t base; /* IA32_APIC_BASE */
    uint32_t ldr;  /* xAPIC's; x2APIC's follows from the ID */
    uint32_t dfr;
    uint32_t esr;
    uint32_t esr_pending; /* errors since ESR was last written */
    uint32_t icr;
    uint32_t icr_high;
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint32_t rotation; /* of vCPU 0: where the VM's next lowest-priority arbitration starts */

    struct spinlock timer_lock;
    struct timer timer;
    uint32_t initial; /* TMICT */
    uint32_t divide;  /* TDCR */
    uint64_t target;  /* ns: when the count reaches 0 next, or LAPIC_NEVER; may lag behind in periodic mode */
    uint64_t period;  /* ns; 0: not periodic */
    uint64_t deadline; /* guest TSC; 0: not armed */
    uint64_t shortest; /* ns between two interrupts in periodic mode */
};

static inline bool lapic_software_enabled(const struct lapic *lapic) {
    return (__atomic_load_n(&lapic->svr, __ATOMIC_RELAXED) & LAPIC_SVR_ENABLE) != 0;
}

static inline bool lapic_bit(const uint64_t bits[4], unsigned vector) {
    return bits[vector >> 6] >> (vector & 63) & 1;
}

/* Highest vector set, or -1. The words may change meanwhile. Unrolled: it is part of every EOI. */
static inline int lapic_highest(const uint64_t bits[4]) {
    uint64_t value = __atomic_load_n(&bits[3], __ATOMIC_RELAXED);
    if (value)
        return 255 - __builtin_clzll(value);
    value = __atomic_load_n(&bits[2], __ATOMIC_RELAXED);
    if (value)
        return 191 - __builtin_clzll(value);
    value = __atomic_load_n(&bits[1], __ATOMIC_RELAXED);
    if (value)
        return 127 - __builtin_clzll(value);
    value = __atomic_load_n(&bits[0], __ATOMIC_RELAXED);
    return value ? 63 - __builtin_clzll(value) : -1;
}

static inline uint32_t lapic_index(const struct lapic *lapic) {
    return lapic->vcpu->index;
}

/* x2APIC logical ID (SDM vol. 3, 11.12.10.2). */
static inline uint32_t lapic_x2apic_ldr(const struct lapic *lapic) {
    return (lapic_index(lapic) >> 4) << 16 | 1u << (lapic_index(lapic) & 15);
}

/* lapic.c */
/* Brings `threshold` up to date and asks the run loop for a look at what became deliverable. */
void lapic_update_priority(struct lapic *lapic);
/* The run loop shall look again before the next entry. Only by the vCPU itself. */
void lapic_recheck(struct lapic *lapic);
/* Makes a vector pending (vector >= 16). Any CPU. */
void lapic_set_irr(struct lapic *lapic, uint8_t vector, bool level);
/* xAPIC's registers, by number; what the CPU has in the virtual-APIC page is not asked for. */
uint32_t lapic_read_xapic(struct lapic *lapic, unsigned number);
void lapic_write_xapic(struct lapic *lapic, unsigned number, uint32_t value);
/* Records an error and raises LVT error. Any CPU. */
void lapic_error(struct lapic *lapic, uint32_t bits);
/* An LVT entry's event happens: delivers as the entry says. Any CPU. */
void lapic_lvt_fire(struct lapic *lapic, enum lapic_lvt entry);
int lapic_set_base(struct lapic *lapic, uint64_t value);
/* Called before isr, tpr or threshold are looked at or changed: what the guest did by itself, through its PV
 * EOI word or in the virtual-APIC page, becomes part of them. The vCPU's run loop, or parked. */
void lapic_settle_now(struct lapic *lapic);
static inline void lapic_settle(struct lapic *lapic) {
    if (__builtin_expect(lapic->pv_offered | lapic->in_page, 0))
        lapic_settle_now(lapic);
}
/* The EOI without a look at the PV EOI word. */
void lapic_end_of_interrupt(struct lapic *lapic);

/* A level-triggered interrupt ended: tells the I/O APIC (11.8.5). */
void lapic_broadcast(struct lapic *lapic, uint8_t vector);

/* lapic_registers.c */
extern const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT]; /* bits of each LVT entry that may be set */

/* lapic_message.c */
void lapic_send(struct lapic *lapic, uint32_t icr, uint32_t destination);
void lapic_send_self(struct lapic *lapic, uint8_t vector);

/* lapic_timer.c */
void lapic_timer_create(struct lapic *lapic);
void lapic_timer_reset(struct lapic *lapic);
void lapic_timer_write_initial(struct lapic *lapic, uint32_t value);
void lapic_timer_write_divide(struct lapic *lapic, uint32_t value);
void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value);
uint32_t lapic_timer_count(struct lapic *lapic);
uint64_t lapic_timer_read_deadline(struct lapic *lapic);
void lapic_timer_write_deadline(struct lapic *lapic, uint64_t value);
/* For save and load: ns until the count reaches 0, LAPIC_NEVER: does not run. */
uint64_t lapic_timer_remaining(struct lapic *lapic);
void lapic_timer_restore(struct lapic *lapic, uint64_t remaining, uint64_t deadline);
uint32_t lapic_timer_divisor(uint32_t tdcr);

/* lapic_state.c */
void lapic_save(struct vm *vm, unsigned index, struct state_writer *writer);
int lapic_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version);

#endif
