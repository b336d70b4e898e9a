// SPDX-License-Identifier: Apache-2.0
// A guest's MPIC as a saved record, and the checks that one has to pass.
#include <errno.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/mpic_internal.h"
#include "arch/ppc/vm.h"
#include "lib/state.h"

/* The timers' times are saved as ns from now on. */
static void save_timers(const struct mpic *mpic, struct state_writer *writer) {
    uint64_t now = time_now();
    for (unsigned i = 0; i < MPIC_GROUPS; i++) {
        state_put_u32(writer, mpic->tfrr[i]);
        state_put_u32(writer, mpic->tcr[i]);
    }
    for (unsigned i = 0; i < MPIC_TIMERS; i++) {
        const struct mpic_timer *t = &mpic->timer[i];
        uint64_t left = t->expires > now ? t->expires - now : 0;
        state_put_u32(writer, t->base);
        state_put_u32(writer, t->stopped);
        state_put_u64(writer, t->expires == MPIC_STANDSTILL ? MPIC_STANDSTILL : left);
        state_put_u8(writer, t->toggle);
    }
}

void mpic_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct mpic *mpic = ppc_vm(vm)->board->mpic;
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    state_put_u32(writer, mpic->gcr);
    state_put_u32(writer, mpic->pir);
    state_put_u32(writer, mpic->spurious);
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++)
        state_put_u32(writer, mpic->msir[i]);
    save_timers(mpic, writer);
    for (unsigned i = 0; i < MPIC_COUNT; i++) {
        const struct mpic_source *s = &mpic->source[i];
        state_put_u32(writer, s->vpr);
        state_put_u16(writer, s->destination);
        state_put_u16(writer, s->pending);
        state_put_u8(writer, s->line);
    }
    for (unsigned cpu = 0; cpu < vm->vcpu_count; cpu++) {
        const struct mpic_cpu *c = &mpic->cpu[cpu];
        state_put_u8(writer, c->task_priority);
        state_put_u8(writer, c->depth);
        for (unsigned i = 0; i < c->depth; i++) {
            state_put_u16(writer, c->service[i].source);
            state_put_u8(writer, c->service[i].priority);
        }
    }
    spin_unlock(&mpic->lock);
}

static bool load_timers(struct mpic *mpic, struct state_reader *reader) {
    uint64_t now = time_now();
    bool good = true;
    for (unsigned i = 0; i < MPIC_GROUPS; i++) {
        mpic->tfrr[i] = state_get_u32(reader);
        mpic->tcr[i] = state_get_u32(reader);
        good &= !(mpic->tcr[i] & ~TCR_RATIO);
    }
    for (unsigned i = 0; i < MPIC_TIMERS; i++) {
        struct mpic_timer *t = &mpic->timer[i];
        t->base = state_get_u32(reader);
        t->stopped = state_get_u32(reader);
        uint64_t left = state_get_u64(reader);
        uint8_t toggle = state_get_u8(reader);
        /* No timer runs longer than its 31 bits of the slowest count: 64 of the platform's clock. */
        bool running = left != MPIC_STANDSTILL;
        uint64_t longest = (uint64_t)GTBCR_COUNT * 8 * (1000000000u / MPIC_TIMER_FREQUENCY);
        good &= toggle <= 1 && !(t->stopped & ~GTBCR_COUNT) && (!running || left <= longest) &&
                !(running && t->base & GTBCR_INHIBIT);
        t->toggle = toggle;
        mpic_timer_expires(mpic, i, running && good ? now + left : MPIC_STANDSTILL);
    }
    return good;
}

static bool load_sources(struct mpic *mpic, struct state_reader *reader) {
    uint16_t vcpus = mpic_vcpus(mpic);
    bool good = true;
    for (unsigned i = 0; i < MPIC_COUNT; i++) {
        struct mpic_source *s = &mpic->source[i];
        s->vpr = state_get_u32(reader);
        s->destination = state_get_u16(reader);
        s->pending = state_get_u16(reader);
        uint8_t line = state_get_u8(reader);
        /* A latch belongs to what knows edges, a line to what has one. */
        uint16_t latch = mpic_multicast(i) ? vcpus : i < MPIC_INTERNAL ? 1 : 0;
        bool wired = i < MPIC_MSI;
        if (i >= MPIC_MSI && i < MPIC_MSI + MPIC_MSI_COUNT)
            wired = (mpic->msir[i - MPIC_MSI] != 0) == line;
        good &= !(s->vpr & ~mpic_vpr_bits(i)) && !(s->destination & ~vcpus) && !(s->pending & ~latch) &&
                line <= 1 && (!line || wired);
        if (i >= MPIC_MSI && i < MPIC_MSI + MPIC_MSI_COUNT)
            good &= wired;
        s->line = line;
    }
    return good;
}

/* What is in service nests by priority, and only IPIs and timers are so on several vCPUs at once. */
static bool load_cpu(struct mpic *mpic, unsigned cpu, struct state_reader *reader) {
    struct mpic_cpu *c = &mpic->cpu[cpu];
    unsigned below = 0;
    c->task_priority = state_get_u8(reader);
    uint8_t depth = state_get_u8(reader);
    if (c->task_priority > TASK_PRIORITY_MAX || depth > MPIC_NESTING)
        return false;
    for (unsigned i = 0; i < depth; i++) {
        uint16_t source = state_get_u16(reader);
        uint8_t priority = state_get_u8(reader);
        if (source >= MPIC_COUNT || priority <= below || priority > TASK_PRIORITY_MAX)
            return false;
        struct mpic_source *s = &mpic->source[source];
        if (mpic_multicast(source) ? s->in_service >> cpu & 1 : s->in_service)
            return false;
        s->in_service |= (uint16_t)(1u << cpu);
        c->service[i].source = source;
        c->service[i].priority = priority;
        below = priority;
    }
    c->depth = depth;
    return true;
}

static bool load_all(struct mpic *mpic, struct state_reader *reader) {
    uint32_t gcr = state_get_u32(reader);
    mpic->pir = state_get_u32(reader);
    mpic->spurious = state_get_u32(reader);
    bool good =
        !(gcr & ~GCR_MODE) && !(mpic->pir & ~(uint32_t)mpic_vcpus(mpic)) && !(mpic->spurious & ~VPR_VECTOR);
    __atomic_store_n(&mpic->gcr, gcr & GCR_MODE, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++)
        mpic->msir[i] = state_get_u32(reader);
    good &= load_timers(mpic, reader);
    good &= load_sources(mpic, reader);
    for (unsigned cpu = 0; good && cpu < mpic->vm->vcpu_count; cpu++)
        good = load_cpu(mpic, cpu, reader);
    return good && !reader->error;
}

int mpic_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct mpic *mpic = ppc_vm(vm)->board->mpic;
    spin_lock(&mpic->lock);
    mpic_defaults(mpic);
    bool good = load_all(mpic, reader);
    if (!good) {
        for (unsigned i = 0; i < MPIC_COUNT; i++)
            mpic->source[i].line = false;
        mpic_defaults(mpic);
    }
    for (unsigned i = 0; i < MPIC_COUNT; i++)
        mpic_note(mpic, i);
    mpic_update(mpic);
    spin_unlock(&mpic->lock);
    return good ? 0 : -EINVAL;
}
