// SPDX-License-Identifier: Apache-2.0
// kvmclock: the page from which a guest computes its time, the wall clock and steal time.
#include <errno.h>
#include "arch/x86/clock.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pv_internal.h"
#include "arch/x86/guest/tsc.h"

/* Layouts are KVM's interface. */
struct clock_page {
    uint32_t version; /* odd while the rest is being written */
    uint32_t reserved;
    uint64_t tsc_timestamp;
    uint64_t system_time; /* ns at tsc_timestamp */
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags;
    uint8_t reserved2[2];
};
#define CLOCK_STABLE  0x1u
#define CLOCK_STOPPED 0x2u /* the guest did not run for a while and could not know; it clears the flag */

struct wall_clock {
    uint32_t version;
    uint32_t seconds;
    uint32_t nanoseconds;
};

struct steal_page {
    uint64_t steal;
    uint32_t version;
    uint32_t flags;
    uint8_t preempted;
    uint8_t reserved[47];
};

_Static_assert(sizeof(struct clock_page) == 32, "interface");
_Static_assert(sizeof(struct wall_clock) == 12, "interface");
_Static_assert(sizeof(struct steal_page) == 64, "interface");

#define NANOSECONDS 1000000000ull

/* How TSC ticks become nanoseconds: ((ticks << shift) * multiplier) >> 32, a negative shift goes right; the
 * multiplier is at least 2^31, for precision. */
static void scale_of(uint64_t frequency, uint32_t *multiplier, int8_t *shift) {
    unsigned right = 0, left = 0;

    if (!frequency)
        frequency = NANOSECONDS;
    /* 2^32 * 10^9 / frequency, doubled or halved until it fits. */
    while (frequency > 2 * NANOSECONDS << right)
        right++;
    while (frequency << left <= NANOSECONDS)
        left++;
    uint64_t divisor = frequency << left;
    uint64_t whole = (NANOSECONDS << 32) / divisor;
    uint64_t rest = (NANOSECONDS << 32) % divisor;
    *multiplier = (uint32_t)((whole << right) + (rest << right) / divisor);
    *shift = (int8_t)((int)left - (int)right);
}

static uint64_t scale(uint64_t ticks, uint32_t multiplier, int8_t shift) {
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (uint64_t)((unsigned __int128)ticks * multiplier >> 32);
}

/* The guest's kvmclock now. */
static uint64_t clock_now(struct x86_vcpu *vcpu) {
    uint32_t multiplier;
    int8_t shift;
    scale_of(vcpu->state->tsc_frequency, &multiplier, &shift);
    return scale(tsc_of_guest(vcpu, tsc_read()) - vcpu->pv->clock_start, multiplier, shift);
}

/* The clocks of all vCPUs tell the same time from the same TSC value. */
static bool stable(const struct vm *vm) {
    const struct pv *first = vm->vcpu[0] ? x86_vcpu(vm->vcpu[0])->pv : NULL;
    for (unsigned i = 1; i < vm->vcpu_count; i++) {
        const struct pv *pv = vm->vcpu[i] ? x86_vcpu(vm->vcpu[i])->pv : NULL;
        if (pv && first &&
            __atomic_load_n(&pv->clock_start, __ATOMIC_RELAXED) !=
                __atomic_load_n(&first->clock_start, __ATOMIC_RELAXED))
            return false;
    }
    return true;
}

/*
 * Writes a vCPU's page. The clock is a plain function of the guest's TSC since its start, so that a page
 * stays right for as long as the TSC's frequency does, and all vCPUs' pages agree to the nanosecond.
 */
static void write_clock(struct pv *pv, uint8_t flags) {
    struct vm *vm = pv->vcpu->core.vm;

    spin_lock(&pv->lock);
    if (pv->clock_msr & PV_ENABLE) {
        uint64_t gpa = pv->clock_msr & ~PV_ENABLE;
        struct clock_page page = {
            .version = pv->clock_version + 1,
            .tsc_timestamp = pv->clock_start,
            .flags = flags | (stable(vm) ? CLOCK_STABLE : 0),
        };
        scale_of(pv->vcpu->state->tsc_frequency, &page.multiplier, &page.shift);
        /* The writes are in this order for a reader on another CPU as well: x86 keeps stores in order. */
        if (guest_write(vm, gpa, &page.version, sizeof(page.version)) == 0) {
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            guest_write(vm, gpa, &page, sizeof(page));
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            page.version = pv->clock_version += 2;
            guest_write(vm, gpa, &page.version, sizeof(page.version));
        }
    }
    spin_unlock(&pv->lock);
}

bool pv_clock_valid(struct x86_vcpu *vcpu, uint64_t msr) {
    return pv_address_valid(vcpu, msr, 4, sizeof(struct clock_page));
}

int pv_clock_write(struct x86_vcpu *vcpu, uint64_t value) {
    if (!pv_clock_valid(vcpu, value))
        return -EINVAL;
    spin_lock(&vcpu->pv->lock);
    vcpu->pv->clock_msr = value;
    spin_unlock(&vcpu->pv->lock);
    write_clock(vcpu->pv, 0);
    return 0;
}

int pv_wall_clock_write(struct x86_vcpu *vcpu, uint64_t value) {
    struct vm *vm = vcpu->core.vm;
    uint64_t now = wallclock_now();
    uint64_t running = clock_now(vcpu);
    uint64_t start = now > running ? now - running : 0;
    struct wall_clock wall = {
        .version = 1,
        .seconds = (uint32_t)(start / NANOSECONDS),
        .nanoseconds = (uint32_t)(start % NANOSECONDS),
    };

    /* There is no bit that enables: each write is one request; 0 asks for nothing. */
    if (value == 0) {
        vcpu->pv->wall_msr = 0;
        return 0;
    }
    if (!pv_address_valid(vcpu, value | PV_ENABLE, 4, sizeof(wall)) || value & 3)
        return -EINVAL;
    vcpu->pv->wall_msr = value;
    if (guest_write(vm, value, &wall, sizeof(wall)) != 0)
        return -EINVAL;
    wall.version = 2;
    guest_write(vm, value, &wall.version, sizeof(wall.version));
    return 0;
}

void pv_refresh(struct x86_vcpu *vcpu, bool paused) {
    if (vcpu->lapic)
        lapic_tsc_changed(vcpu->lapic);
    if (vcpu->pv)
        write_clock(vcpu->pv, paused ? CLOCK_STOPPED : 0);
}

void pv_tsc_moved(struct x86_vcpu *vcpu, uint64_t distance) {
    struct vm *vm = vcpu->core.vm;

    if (vcpu->lapic)
        lapic_tsc_changed(vcpu->lapic);
    if (!vcpu->pv)
        return;
    spin_lock(&vcpu->pv->lock);
    __atomic_store_n(&vcpu->pv->clock_start, vcpu->pv->clock_start + distance, __ATOMIC_RELAXED);
    spin_unlock(&vcpu->pv->lock);
    /* Whether clocks are stable may have changed for all. */
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i] && x86_vcpu(vm->vcpu[i])->pv)
            write_clock(x86_vcpu(vm->vcpu[i])->pv, 0);
}

/* The vCPU runs, or is about to. */
static void write_steal(struct pv *pv) {
    struct vm *vm = pv->vcpu->core.vm;
    uint64_t gpa = pv->steal_msr & ~PV_ENABLE;
    struct steal_page page = {
        .steal = pv->steal,
        .version = pv->steal_version + 1,
    };

    if (guest_write(vm, gpa + offsetof(struct steal_page, version), &page.version, sizeof(page.version)) != 0)
        return;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    guest_write(vm, gpa, &page, offsetof(struct steal_page, reserved));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    page.version = pv->steal_version += 2;
    guest_write(vm, gpa + offsetof(struct steal_page, version), &page.version, sizeof(page.version));
}

bool pv_steal_valid(struct x86_vcpu *vcpu, uint64_t msr) {
    return !(msr & 0x3e) && pv_address_valid(vcpu, msr, 64, sizeof(struct steal_page));
}

int pv_steal_write(struct x86_vcpu *vcpu, uint64_t value) {
    if (!pv_steal_valid(vcpu, value))
        return -EINVAL;
    vcpu->pv->steal_msr = value;
    vcpu->pv->preempted_at = 0;
    if (value & PV_ENABLE)
        write_steal(vcpu->pv);
    return 0;
}

/* Its byte alone, which belongs to no version: the steal time changes when it runs again. */
void pv_preempted(struct x86_vcpu *vcpu) {
    static const uint8_t yes = 1;
    struct pv *pv = vcpu->pv;

    if (!(pv->steal_msr & PV_ENABLE) || pv->preempted_at)
        return;
    pv->preempted_at = time_now();
    (void)guest_write(vcpu->core.vm, (pv->steal_msr & ~PV_ENABLE) + offsetof(struct steal_page, preempted),
                      &yes, sizeof(yes));
}

void pv_scheduled(struct x86_vcpu *vcpu) {
    struct pv *pv = vcpu->pv;
    if (!pv->preempted_at)
        return;
    pv->steal += time_now() - pv->preempted_at;
    pv->preempted_at = 0;
    if (pv->steal_msr & PV_ENABLE)
        write_steal(pv);
}
