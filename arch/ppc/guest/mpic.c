// SPDX-License-Identifier: Apache-2.0
// How interrupts find their way through a guest's MPIC: requests, masks, priorities, what is in service
// (MPC8544E reference manual, 10.4 "Functional Description").
#include "arch/ppc/guest/mpic_internal.h"

#include <errno.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/vm.h"

#define EXTERNAL_VPR 0x80000000u /* reset values */
#define INTERNAL_VPR 0x80800000u
#define SPURIOUS     0xffffu

static struct mpic *mpic_of(struct vm *vm) {
    return ppc_vm(vm)->board->mpic;
}

/* ---- sources ---- */

uint32_t mpic_vpr_bits(unsigned source) {
    uint32_t bits = VPR_MASKED | VPR_PRIORITY | VPR_VECTOR;
    if (source < MPIC_SOURCES)
        bits |= VPR_POLARITY;
    if (source < MPIC_INTERNAL)
        bits |= VPR_LEVEL;
    return bits;
}

/* Devices on the chip are level-sensitive whatever is written. */
static bool is_level(const struct mpic *mpic, unsigned source) {
    if (source < MPIC_INTERNAL)
        return mpic->source[source].vpr & VPR_LEVEL;
    return source < MPIC_SOURCES;
}

static unsigned priority_of(const struct mpic *mpic, unsigned source) {
    return (mpic->source[source].vpr & VPR_PRIORITY) >> VPR_SHIFT;
}

void mpic_note(struct mpic *mpic, unsigned source) {
    const struct mpic_source *s = &mpic->source[source];
    uint32_t bit = 1u << source % 32;
    if (is_level(mpic, source) ? s->line : s->pending != 0)
        mpic->requests[source / 32] |= bit;
    else
        mpic->requests[source / 32] &= ~bit;
    if (mpic->requests[source / 32])
        mpic->requested |= 1u << source / 32;
    else
        mpic->requested &= ~(1u << source / 32);
}

uint32_t mpic_vpr_read(const struct mpic *mpic, unsigned source) {
    const struct mpic_source *s = &mpic->source[source];
    bool requested = mpic->requests[source / 32] >> source % 32 & 1 && !(s->vpr & VPR_MASKED);
    return s->vpr | (requested || s->in_service ? VPR_ACTIVE : 0);
}

void mpic_vpr_write(struct mpic *mpic, unsigned source, uint32_t value) {
    struct mpic_source *s = &mpic->source[source];
    uint32_t changed = s->vpr ^ value;
    s->vpr = value & mpic_vpr_bits(source);
    if (source < MPIC_INTERNAL && changed & VPR_LEVEL)
        s->pending = 0; /* an edge that was latched means nothing under the other sense */
    mpic_note(mpic, source);
}

void mpic_line(struct mpic *mpic, unsigned source, bool asserted) {
    struct mpic_source *s = &mpic->source[source];
    if (asserted && !s->line && !is_level(mpic, source))
        s->pending = 1;
    s->line = asserted;
    mpic_note(mpic, source);
}

void mpic_raise(struct mpic *mpic, unsigned source, uint16_t pending) {
    mpic->source[source].pending |= pending;
    mpic_note(mpic, source);
}

/* ---- delivery ---- */

/*
 * Whether a source that has a request is one for `cpu`. A source with several destinations goes to the one
 * that acknowledges it first, and to nobody while it is in service; IPIs and timers go to each, and wait
 * while they are in service there.
 */
static bool is_for(const struct mpic_source *s, unsigned source, unsigned cpu) {
    if (mpic_multicast(source))
        return (s->pending & ~s->in_service) >> cpu & 1;
    return s->destination >> cpu & 1 && !s->in_service;
}

/* The source that `cpu` would take next, or -1. Of equal ones the lowest number. */
static int next_source(const struct mpic *mpic, unsigned cpu) {
    const struct mpic_cpu *c = &mpic->cpu[cpu];
    unsigned best = c->task_priority;
    int found = -1;
    if (c->depth && c->service[c->depth - 1].priority > best)
        best = c->service[c->depth - 1].priority;
    if ((mpic->gcr & GCR_MODE) == GCR_PASS_THROUGH)
        return -1;
    for (uint32_t words = mpic->requested; words; words &= words - 1) {
        unsigned word = (unsigned)__builtin_ctz(words);
        for (uint32_t bits = mpic->requests[word]; bits; bits &= bits - 1) {
            unsigned source = word * 32 + (unsigned)__builtin_ctz(bits);
            const struct mpic_source *s = &mpic->source[source];
            unsigned priority = priority_of(mpic, source);
            if (priority > best && !(s->vpr & VPR_MASKED) && is_for(s, source, cpu)) {
                best = priority;
                found = (int)source;
            }
        }
    }
    return found;
}

void mpic_update(struct mpic *mpic) {
    bool direct = (mpic->gcr & GCR_MODE) == GCR_PASS_THROUGH && mpic->source[0].line;
    mpic_timers_alarm(mpic);
    for (unsigned cpu = 0; cpu < mpic->vm->vcpu_count; cpu++) {
        bool output = (direct && cpu == 0) || next_source(mpic, cpu) >= 0;
        if (output == mpic->cpu[cpu].output)
            continue;
        mpic->cpu[cpu].output = output;
        vcpu_set_external(ppc_vcpu(mpic->vm->vcpu[cpu]), output);
    }
}

uint32_t mpic_take(struct mpic *mpic, unsigned cpu) {
    struct mpic_cpu *c = &mpic->cpu[cpu];
    int source = next_source(mpic, cpu);
    if (source < 0)
        return mpic->spurious;
    struct mpic_source *s = &mpic->source[source];
    /* Each priority is higher than the one below it, so that there is always room. */
    c->service[c->depth].source = (uint16_t)source;
    c->service[c->depth].priority = (uint8_t)priority_of(mpic, (unsigned)source);
    c->depth++;
    s->in_service |= (uint16_t)(1u << cpu);
    s->pending &= mpic_multicast((unsigned)source) ? (uint16_t) ~(1u << cpu) : 0;
    mpic_note(mpic, (unsigned)source);
    mpic_update(mpic);
    return s->vpr & VPR_VECTOR;
}

void mpic_end(struct mpic *mpic, unsigned cpu) {
    struct mpic_cpu *c = &mpic->cpu[cpu];
    if (!c->depth)
        return;
    c->depth--;
    mpic->source[c->service[c->depth].source].in_service &= (uint16_t) ~(1u << cpu);
    mpic_update(mpic);
}

void mpic_set_line(struct vm *vm, unsigned source, bool asserted) {
    struct mpic *mpic = mpic_of(vm);
    if (source >= MPIC_MSI)
        return;
    spin_lock(&mpic->lock);
    if (mpic->source[source].line != asserted) {
        mpic_timers_run(mpic);
        mpic_line(mpic, source, asserted);
        mpic_update(mpic);
    }
    spin_unlock(&mpic->lock);
}

void mpic_note_message(struct mpic *mpic, uint32_t value) {
    unsigned i = value >> 29;
    mpic->msir[i] |= 1u << (value >> 24 & 31);
    mpic_line(mpic, MPIC_MSI + i, true);
    mpic_update(mpic);
}

void mpic_message(struct vm *vm, uint32_t value) {
    struct mpic *mpic = mpic_of(vm);
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    mpic_note_message(mpic, value);
    spin_unlock(&mpic->lock);
}

bool mpic_core_int(struct vm *vm) {
    struct mpic *mpic = mpic_of(vm);
    return (__atomic_load_n(&mpic->gcr, __ATOMIC_RELAXED) & GCR_MODE) == GCR_PROXY;
}

uint32_t mpic_acknowledge(struct vm *vm, unsigned index) {
    struct mpic *mpic = mpic_of(vm);
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    uint32_t vector = mpic_take(mpic, index);
    spin_unlock(&mpic->lock);
    return vector;
}

/* ---- the part ---- */

void mpic_defaults(struct mpic *mpic) {
    __atomic_store_n(&mpic->gcr, GCR_PASS_THROUGH, __ATOMIC_RELAXED);
    mpic->pir = 0;
    mpic->spurious = SPURIOUS;
    for (unsigned i = 0; i < MPIC_COUNT; i++) {
        struct mpic_source *s = &mpic->source[i];
        s->vpr = i < MPIC_INTERNAL || i >= MPIC_SOURCES ? EXTERNAL_VPR : INTERNAL_VPR;
        s->destination = 1;
        s->pending = 0;
        s->in_service = 0;
    }
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++) {
        mpic->msir[i] = 0;
        mpic->source[MPIC_MSI + i].line = false;
    }
    for (unsigned i = 0; i < MPIC_COUNT; i++)
        mpic_note(mpic, i);
    for (unsigned cpu = 0; cpu < VM_MAX_VCPUS; cpu++) {
        mpic->cpu[cpu].task_priority = TASK_PRIORITY_MAX;
        mpic->cpu[cpu].depth = 0;
    }
    mpic_timers_reset(mpic);
}

static void mpic_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct mpic *mpic = mpic_of(vm);
    spin_lock(&mpic->lock);
    mpic_defaults(mpic);
    mpic_update(mpic);
    spin_unlock(&mpic->lock);
}

static void alarm_fired(struct timer *timer) {
    struct mpic *mpic = container_of(timer, struct mpic, alarm);
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    mpic_update(mpic);
    spin_unlock(&mpic->lock);
}

static void mpic_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct mpic *mpic = mpic_of(vm);
    timer_cancel(&mpic->alarm);
    bus_remove(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_MPIC);
    ppc_vm(vm)->board->mpic = NULL;
    heap_free(mpic, sizeof(*mpic), &vm->memory.account);
}

static int mpic_create(struct vm *vm, unsigned index) {
    (void)index;
    struct mpic *mpic = heap_allocate(sizeof(*mpic), &vm->memory.account);
    if (!mpic)
        return -ENOMEM;
    mpic->vm = vm;
    timer_init(&mpic->alarm, alarm_fired);
    mpic_defaults(mpic);
    ppc_vm(vm)->board->mpic = mpic;
    int error = bus_add(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_MPIC, MPIC_SIZE, &mpic_ops, mpic, "MPIC");
    if (error) {
        ppc_vm(vm)->board->mpic = NULL;
        heap_free(mpic, sizeof(*mpic), &vm->memory.account);
    }
    return error;
}

const struct part mpic_part = {
    .name = "ppc.mpic",
    .version = 1,
    .create = mpic_create,
    .destroy = mpic_destroy,
    .reset = mpic_reset,
    .save = mpic_save,
    .load = mpic_load,
};
