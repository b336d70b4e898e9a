// SPDX-License-Identifier: Apache-2.0
// The registers of a guest's MPIC (MPC8544E reference manual, 10.3 "Memory Map/Register Definition"): 32 bits
// wide, big-endian, at multiples of 16. What is reserved reads 0 and takes no write.
#include <errno.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/mpic_internal.h"
#include "arch/ppc/vm.h"

#define PRIVATE_END   0x00100u /* the area of the vCPU that asks */
#define SOURCES       0x10000u
#define SOURCES_END   (SOURCES + MPIC_SOURCES * 0x20)
#define PER_CPU       0x20000u
#define PER_CPU_SHIFT 12

/* Of a vCPU's area; the first two are the chip's. */
#define BRR1          0x000u
#define BRR2          0x010u
#define IPIDR         0x040u /* four */
#define CTPR          0x080u
#define WHOAMI        0x090u
#define IACK          0x0a0u
#define EOI           0x0b0u

/* Global. */
#define FRR           0x1000u
#define GCR           0x1020u
#define PIR           0x1090u
#define IPIVPR        0x10a0u /* four */
#define SVR           0x10e0u
#define TFRR          0x10f0u /* of each group, as the next two */
#define TIMERS        0x1100u /* four of 0x40 */
#define TCR           0x1300u
#define GROUP_STRIDE  0x1000u
#define MSIR          0x1600u /* eight */
#define MSISR         0x1720u

#define BRR1_VALUE    0x00400400u /* block 0x0040, version 4.0: the first with the external proxy */
#define FRR_OPENPIC   0x00000002u /* OpenPIC 1.2 */

/* ---- a vCPU's area ---- */

static uint32_t cpu_read(struct mpic *mpic, unsigned cpu, unsigned offset) {
    switch (offset) {
    case CTPR:
        return mpic->cpu[cpu].task_priority;
    case WHOAMI:
        return cpu;
    case IACK:
        return mpic_take(mpic, cpu);
    default: /* IPIDR and EOI can only be written */
        return 0;
    }
}

static void cpu_write(struct mpic *mpic, unsigned cpu, unsigned offset, uint32_t value) {
    switch (offset) {
    case IPIDR:
    case IPIDR + 0x10:
    case IPIDR + 0x20:
    case IPIDR + 0x30:
        mpic_raise(mpic, MPIC_IPI + (offset - IPIDR) / 0x10, (uint16_t)(value & mpic_vcpus(mpic)));
        break;
    case CTPR:
        mpic->cpu[cpu].task_priority = value & TASK_PRIORITY_MAX;
        break;
    case EOI:
        mpic_end(mpic, cpu);
        break;
    default:
        return;
    }
    mpic_update(mpic);
}

/* ---- timers ---- */

/* The timer group of an offset from TFRR on, or -1. */
static int group_of(unsigned offset) {
    unsigned within = offset & (GROUP_STRIDE - 1);
    unsigned group = offset / GROUP_STRIDE - TFRR / GROUP_STRIDE;
    return group < MPIC_GROUPS && within >= (TFRR & (GROUP_STRIDE - 1)) &&
                   within <= (TCR & (GROUP_STRIDE - 1))
               ? (int)group
               : -1;
}

static uint32_t timer_read(const struct mpic *mpic, unsigned group, unsigned offset) {
    if (offset == TFRR)
        return mpic->tfrr[group];
    if (offset == TCR)
        return mpic->tcr[group];
    unsigned timer = group * 4 + (offset - TIMERS) / 0x40;
    if (offset >= TIMERS + 4 * 0x40)
        return 0;
    switch (offset & 0x3f) {
    case 0x00:
        return mpic_timer_count(mpic, timer);
    case 0x10:
        return mpic->timer[timer].base;
    case 0x20:
        return mpic_vpr_read(mpic, MPIC_TIMER + timer);
    default:
        return mpic->source[MPIC_TIMER + timer].destination;
    }
}

static void timer_write(struct mpic *mpic, unsigned group, unsigned offset, uint32_t value) {
    unsigned timer = group * 4 + (offset - TIMERS) / 0x40;
    if (offset == TFRR)
        mpic->tfrr[group] = value;
    else if (offset == TCR)
        mpic_timer_control(mpic, group, value);
    else if (offset >= TIMERS + 4 * 0x40)
        return;
    else if ((offset & 0x3f) == 0x10)
        mpic_timer_base(mpic, timer, value);
    else if ((offset & 0x3f) == 0x20)
        mpic_vpr_write(mpic, MPIC_TIMER + timer, value);
    else if ((offset & 0x3f) == 0x30)
        mpic->source[MPIC_TIMER + timer].destination = (uint16_t)(value & mpic_vcpus(mpic));
    mpic_update(mpic);
}

/* ---- global ---- */

static uint32_t message_status(const struct mpic *mpic) {
    uint32_t status = 0;
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++)
        status |= (mpic->msir[i] ? 1u : 0u) << i;
    return status;
}

static uint32_t message_read(struct mpic *mpic, unsigned i) {
    uint32_t value = mpic->msir[i];
    mpic->msir[i] = 0;
    mpic_line(mpic, MPIC_MSI + i, false);
    mpic_update(mpic);
    return value;
}

static uint32_t global_read(struct mpic *mpic, unsigned offset) {
    int group = group_of(offset);
    if (group >= 0)
        return timer_read(mpic, (unsigned)group, offset - (unsigned)group * GROUP_STRIDE);
    if (offset >= MSIR && offset < MSIR + MPIC_MSI_COUNT * 0x10)
        return message_read(mpic, (offset - MSIR) / 0x10);
    if (offset >= IPIVPR && offset < IPIVPR + MPIC_IPIS * 0x10)
        return mpic_vpr_read(mpic, MPIC_IPI + (offset - IPIVPR) / 0x10);
    switch (offset) {
    case FRR:
        return (MPIC_SOURCES - 1) << 16 | (mpic->vm->vcpu_count - 1) << 8 | FRR_OPENPIC;
    case GCR:
        return mpic->gcr;
    case PIR:
        return mpic->pir;
    case SVR:
        return mpic->spurious;
    case MSISR:
        return message_status(mpic);
    default: /* VIR too: Freescale's vendor number is 0 */
        return 0;
    }
}

static void global_write(struct mpic *mpic, unsigned offset, uint32_t value) {
    int group = group_of(offset);
    if (group >= 0)
        timer_write(mpic, (unsigned)group, offset - (unsigned)group * GROUP_STRIDE, value);
    else if (offset >= IPIVPR && offset < IPIVPR + MPIC_IPIS * 0x10)
        mpic_vpr_write(mpic, MPIC_IPI + (offset - IPIVPR) / 0x10, value);
    else if (offset == GCR && value & GCR_RESET)
        mpic_defaults(mpic); /* over at once: the bit never reads 1 */
    else if (offset == GCR)
        __atomic_store_n(&mpic->gcr, value & GCR_MODE, __ATOMIC_RELAXED);
    else if (offset == PIR)
        mpic->pir = value & mpic_vcpus(mpic);
    else if (offset == SVR)
        mpic->spurious = value & VPR_VECTOR;
    else if (offset == MPIC_MSIIR)
        mpic_note_message(mpic, value);
    mpic_update(mpic);
}

/* ---- all of it ---- */

static uint32_t register_read(struct mpic *mpic, unsigned self, unsigned offset) {
    if (offset == BRR1)
        return BRR1_VALUE;
    if (offset < PRIVATE_END)
        return cpu_read(mpic, self, offset);
    if (offset < SOURCES)
        return global_read(mpic, offset);
    if (offset < SOURCES_END) {
        unsigned source = (offset - SOURCES) / 0x20;
        return offset & 0x10 ? mpic->source[source].destination : mpic_vpr_read(mpic, source);
    }
    unsigned cpu = (offset - PER_CPU) >> PER_CPU_SHIFT;
    if (offset >= PER_CPU && cpu < mpic->vm->vcpu_count)
        return cpu_read(mpic, cpu, offset & ((1u << PER_CPU_SHIFT) - 1));
    return 0;
}

static void register_write(struct mpic *mpic, unsigned self, unsigned offset, uint32_t value) {
    if (offset < PRIVATE_END) {
        cpu_write(mpic, self, offset, value);
    } else if (offset < SOURCES) {
        global_write(mpic, offset, value);
    } else if (offset < SOURCES_END) {
        unsigned source = (offset - SOURCES) / 0x20;
        if (offset & 0x10)
            mpic->source[source].destination = (uint16_t)(value & mpic_vcpus(mpic));
        else
            mpic_vpr_write(mpic, source, value);
        mpic_update(mpic);
    } else if (offset >= PER_CPU) {
        unsigned cpu = (offset - PER_CPU) >> PER_CPU_SHIFT;
        if (cpu < mpic->vm->vcpu_count)
            cpu_write(mpic, cpu, offset & ((1u << PER_CPU_SHIFT) - 1), value);
    }
}

static int mpic_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    struct mpic *mpic = device;
    if (size != 4 || offset % 4)
        return -ENXIO;
    *value = 0;
    if (offset % 16)
        return 0;
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    *value = register_read(mpic, vcpu->index, (unsigned)offset);
    spin_unlock(&mpic->lock);
    return 0;
}

static int mpic_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    struct mpic *mpic = device;
    struct vm *vm = mpic->vm;
    if (size != 4 || offset % 4)
        return -ENXIO;
    if (offset % 16)
        return 0;
    spin_lock(&mpic->lock);
    mpic_timers_run(mpic);
    uint32_t before = mpic->pir;
    register_write(mpic, vcpu->index, (unsigned)offset, (uint32_t)value);
    uint32_t reset = mpic->pir & ~before;
    spin_unlock(&mpic->lock);
    /* PIR: a bit that is set resets its processor. */
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (reset >> i & 1)
            board_reset_vcpu(vm, i);
    return 0;
}

const struct bus_ops mpic_ops = {.read = mpic_read, .write = mpic_write};
