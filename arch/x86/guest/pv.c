// SPDX-License-Identifier: Apache-2.0
// The paravirtual interface: CPUID leaves, MSRs, hypercalls, PV EOI. The clocks are in pv_clock.c.
#include "arch/x86/guest/pv.h"
#include <errno.h>
#include "arch/x86/guest/lapic_internal.h"
#include "arch/x86/guest/pv_internal.h"
#include "lib/state.h"

#define LEAF_SIGNATURE             0x40000000u
#define LEAF_FEATURES              0x40000001u
#define LEAF_TIMING                0x40000010u

#define FEATURE_CLOCKSOURCE        (1u << 0)
#define FEATURE_NOP_IO_DELAY       (1u << 1)
#define FEATURE_CLOCKSOURCE2       (1u << 3)
#define FEATURE_STEAL_TIME         (1u << 5)
#define FEATURE_PV_EOI             (1u << 6)
#define FEATURE_PV_UNHALT          (1u << 7)
#define FEATURE_PV_SEND_IPI        (1u << 11)
#define FEATURE_CLOCKSOURCE_STABLE (1u << 24)

#define BUS_FREQUENCY_KHZ          1000000u /* of the local APIC's timer: see lapic_timer.c */

#define MSR_WALL_CLOCK_OLD         0x11u
#define MSR_SYSTEM_TIME_OLD        0x12u
#define MSR_WALL_CLOCK             0x4b564d00u
#define MSR_SYSTEM_TIME            0x4b564d01u
#define MSR_STEAL_TIME             0x4b564d03u
#define MSR_EOI                    0x4b564d04u

#define CALL_POLL_IRQ              1u
#define CALL_KICK                  5u
#define CALL_SEND_IPI              10u

#define ERROR_PERMISSION           (uint64_t) - 1
#define ERROR_INVALID              (uint64_t) - 22
#define ERROR_UNKNOWN              (uint64_t) - 1000

#define EFER_LMA                   0x400u

void pv_cpuid(struct x86_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    (void)subleaf;
    out[0] = out[1] = out[2] = out[3] = 0;
    switch (leaf) {
    case LEAF_SIGNATURE:
        out[0] = LEAF_TIMING; /* the highest leaf */
        out[1] = 0x4b4d564b;  /* "KVMKVMKVM" */
        out[2] = 0x564b4d56;
        out[3] = 0x0000004d;
        break;
    case LEAF_FEATURES:
        out[0] = FEATURE_CLOCKSOURCE | FEATURE_NOP_IO_DELAY | FEATURE_CLOCKSOURCE2 | FEATURE_STEAL_TIME |
                 FEATURE_PV_EOI | FEATURE_PV_UNHALT | FEATURE_PV_SEND_IPI | FEATURE_CLOCKSOURCE_STABLE;
        break;
    case LEAF_TIMING:
        out[0] = (uint32_t)(vcpu->state->tsc_frequency / 1000);
        out[1] = BUS_FREQUENCY_KHZ;
        break;
    default:
        break;
    }
}

bool pv_address_valid(struct x86_vcpu *vcpu, uint64_t msr, unsigned alignment, unsigned size) {
    uint64_t gpa = msr & ~PV_ENABLE;
    uint64_t physical, contiguous;
    enum guest_region_kind kind;

    if (!(msr & PV_ENABLE))
        return true;
    if (gpa % alignment || gpa % PAGE_SIZE + size > PAGE_SIZE)
        return false;
    if (guest_memory_translate(vcpu->core.vm, gpa, &physical, &contiguous, &kind) != 0)
        return false;
    return kind == GUEST_RAM && contiguous >= size;
}

/* PV EOI */

static bool eoi_valid(struct x86_vcpu *vcpu, uint64_t msr) {
    return !(msr & 2) && pv_address_valid(vcpu, msr, 4, 4);
}

static int eoi_write(struct x86_vcpu *vcpu, uint64_t value) {
    struct pv *pv = vcpu->pv;
    uint64_t contiguous;
    enum guest_region_kind kind;

    if (!eoi_valid(vcpu, value))
        return -EINVAL;
    pv_eoi_sync(&vcpu->core);
    pv->eoi_msr = value;
    /* The backing of a VM's RAM stays where it is, also when the guest's map changes. */
    if (value & PV_ENABLE)
        guest_memory_translate(vcpu->core.vm, value & ~PV_ENABLE, &pv->eoi_physical, &contiguous, &kind);
    return 0;
}

/* The guest's byte, mapped. */
static uint8_t *eoi_byte(const struct pv *pv) {
    uint8_t *page = arch_window_map(pv->eoi_physical & ~(PAGE_SIZE - 1));
    return page + (pv->eoi_physical & (PAGE_SIZE - 1));
}

/* It has been changed. */
static inline void eoi_changed(const struct pv *pv) {
    struct vm *vm = pv->vcpu->core.vm;
    if (__builtin_expect(vm->memory.logging, 0))
        guest_mark_dirty(vm, pv->eoi_msr & ~PV_ENABLE, 1);
}

void pv_eoi_offer(struct x86_vcpu *vcpu, uint8_t vector) {
    struct pv *pv = vcpu->pv;
    struct lapic *lapic = vcpu->lapic;

    if (!(pv->eoi_msr & PV_ENABLE))
        return;
    if (lapic->isr_count != 1 || lapic->isr_top != vector || lapic_bit(lapic->tmr, vector) ||
        lapic_highest(lapic->irr) >= 0)
        return;
    __atomic_fetch_or(eoi_byte(pv), 1, __ATOMIC_RELAXED);
    eoi_changed(pv);
    lapic->pv_offered = true;
}

void pv_eoi_sync(struct vcpu *vcpu) {
    struct x86_vcpu *x86 = x86_vcpu(vcpu);
    struct lapic *lapic = x86->lapic;

    if (!lapic->pv_offered)
        return;
    lapic->pv_offered = false;
    bool taken = !(__atomic_fetch_and(eoi_byte(x86->pv), (uint8_t)~1, __ATOMIC_RELAXED) & 1);
    eoi_changed(x86->pv);
    if (taken)
        lapic_end_of_interrupt(lapic);
}

/* MSRs */

int pv_msr_read(struct x86_vcpu *vcpu, uint32_t msr, uint64_t *value) {
    const struct pv *pv = vcpu->pv;
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        *value = pv->wall_msr;
        return 0;
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        *value = pv->clock_msr;
        return 0;
    case MSR_STEAL_TIME:
        *value = pv->steal_msr;
        return 0;
    case MSR_EOI:
        *value = pv->eoi_msr;
        return 0;
    default:
        return -ENOENT;
    }
}

int pv_msr_write(struct x86_vcpu *vcpu, uint32_t msr, uint64_t value) {
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        return pv_wall_clock_write(vcpu, value);
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        return pv_clock_write(vcpu, value);
    case MSR_STEAL_TIME:
        return pv_steal_write(vcpu, value);
    case MSR_EOI:
        return eoi_write(vcpu, value);
    default:
        return -ENOENT;
    }
}

/* Hypercalls */

/* `low` and `high` are bitmaps of APIC IDs from `first` on, `width` bits each. */
static uint64_t send_ipi(struct x86_vcpu *vcpu, uint64_t low, uint64_t high, uint64_t first, uint64_t icr,
                         unsigned width) {
    struct vm *vm = vcpu->core.vm;
    struct lapic_message message = {
        .x2apic = true,
        .assert = true,
        .delivery = icr >> 8 & 7,
        .vector = (uint8_t)icr,
    };
    uint64_t map[2] = {low, high};
    uint64_t taken = 0;

    /* Destination and shorthand are not for the caller to choose; INIT and its like go by the ICR. */
    if (icr & ~0x4700ull & ~0xffull)
        return ERROR_INVALID;
    if (message.delivery != LAPIC_NMI && (message.delivery != LAPIC_FIXED || message.vector < 16))
        return ERROR_INVALID;
    for (unsigned half = 0; half < 2; half++) {
        uint64_t bits = map[half];
        if (width < 64)
            bits &= (1ull << width) - 1;
        while (bits) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            uint64_t id = first + half * width + bit;
            bits &= bits - 1;
            if (id < first || id >= vm->vcpu_count)
                break; /* those that follow are higher still */
            message.destination = (uint32_t)id;
            taken += lapic_deliver(vm, &vcpu->core, 0, &message);
        }
    }
    return taken;
}

static uint64_t kick(struct x86_vcpu *vcpu, uint64_t id) {
    struct vm *vm = vcpu->core.vm;
    if (id >= vm->vcpu_count || !vm->vcpu[id])
        return ERROR_INVALID;
    struct vcpu *target = vm->vcpu[id];
    if (!__atomic_exchange_n(&x86_vcpu(target)->pv->kicked, 1, __ATOMIC_SEQ_CST))
        vcpu_kick(target);
    return 0;
}

uint64_t pv_hypercall(struct x86_vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2,
                      uint64_t a3) {
    const struct x86_system *system = &vcpu->state->system;
    bool wide = system->efer & EFER_LMA && system->segment[X86_CS].attributes & X86_SEG_L;

    if (system->cpl != 0)
        return ERROR_PERMISSION;
    switch (number) {
    case CALL_POLL_IRQ: /* the exit itself has made pending interrupts deliverable */
        return 0;
    case CALL_KICK:
        return kick(vcpu, a1);
    case CALL_SEND_IPI:
        return send_ipi(vcpu, a0, a1, a2, a3, wide ? 64 : 32);
    default:
        return ERROR_UNKNOWN;
    }
}

bool pv_kicked(const struct x86_vcpu *vcpu) {
    return __atomic_load_n(&vcpu->pv->kicked, __ATOMIC_ACQUIRE) != 0;
}

bool pv_take_kick(struct x86_vcpu *vcpu) {
    if (!__atomic_load_n(&vcpu->pv->kicked, __ATOMIC_RELAXED))
        return false;
    return __atomic_exchange_n(&vcpu->pv->kicked, 0, __ATOMIC_ACQUIRE) != 0;
}

/* The part */

void pv_init_reset(struct x86_vcpu *vcpu) {
    struct pv *pv = vcpu->pv;

    spin_lock(&pv->lock);
    pv->clock_msr = 0;
    spin_unlock(&pv->lock);
    pv->wall_msr = 0;
    pv->eoi_msr = 0;
    pv->steal_msr = 0;
    pv->preempted_at = 0;
    __atomic_store_n(&pv->kicked, 0, __ATOMIC_RELAXED);
}

static int create(struct vm *vm, unsigned index) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    if (!vcpu->lapic)
        return -EINVAL;
    struct pv *pv = heap_allocate(sizeof(*pv), &vm->memory.account);
    if (!pv)
        return -ENOMEM;
    pv->vcpu = vcpu;
    vcpu->pv = pv;
    return 0;
}

static void destroy(struct vm *vm, unsigned index) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    heap_free(vcpu->pv, sizeof(*vcpu->pv), &vm->memory.account);
    vcpu->pv = NULL;
}

static void reset(struct vm *vm, unsigned index) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    vcpu->lapic->pv_offered = false;
    pv_init_reset(vcpu);
    vcpu->pv->clock_start = 0;
    vcpu->pv->clock_version = 0;
    vcpu->pv->steal = 0;
    vcpu->pv->steal_version = 0;
}

static void save(struct vm *vm, unsigned index, struct state_writer *writer) {
    struct pv *pv = x86_vcpu(vm->vcpu[index])->pv;
    /* An open PV EOI offer is not saved: lapic_save() has settled it. */
    state_put_u64(writer, pv->clock_msr);
    state_put_u64(writer, pv->wall_msr);
    state_put_u64(writer, pv->clock_start);
    state_put_u64(writer, pv->steal_msr);
    state_put_u64(writer, pv->steal);
    state_put_u64(writer, pv->eoi_msr);
    state_put_u32(writer, pv->clock_version);
    state_put_u32(writer, pv->steal_version);
    state_put_u8(writer, (uint8_t)__atomic_load_n(&pv->kicked, __ATOMIC_RELAXED));
}

static int load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    struct pv *pv = vcpu->pv;
    struct pv saved = {0};

    reset(vm, index);
    saved.clock_msr = state_get_u64(reader);
    saved.wall_msr = state_get_u64(reader);
    saved.clock_start = state_get_u64(reader);
    saved.steal_msr = state_get_u64(reader);
    saved.steal = state_get_u64(reader);
    saved.eoi_msr = state_get_u64(reader);
    saved.clock_version = state_get_u32(reader);
    saved.steal_version = state_get_u32(reader);
    uint8_t kicked = state_get_u8(reader);
    if (version != 1 || reader->error || kicked > 1 || saved.clock_version & 1 || saved.steal_version & 1)
        return -EINVAL;
    if (saved.wall_msr & 3 || !pv_clock_valid(vcpu, saved.clock_msr) ||
        !pv_steal_valid(vcpu, saved.steal_msr) || !eoi_valid(vcpu, saved.eoi_msr))
        return -EINVAL;
    pv->clock_msr = saved.clock_msr;
    pv->wall_msr = saved.wall_msr;
    pv->clock_start = saved.clock_start;
    pv->steal_msr = saved.steal_msr;
    pv->steal = saved.steal;
    pv->clock_version = saved.clock_version;
    pv->steal_version = saved.steal_version;
    pv->kicked = kicked;
    return eoi_write(vcpu, saved.eoi_msr);
}

const struct part pv_part = {
    .name = "x86.pv",
    .version = 1,
    .per_vcpu = 1,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .save = save,
    .load = load,
};
