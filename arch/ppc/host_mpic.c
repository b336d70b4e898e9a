// SPDX-License-Identifier: Apache-2.0
// The host's MPIC (MPC8544E reference manual, ch. 10). Its registers are 32 bits wide and big-endian.
#include "arch/ppc/host_mpic.h"

#include <errno.h>
#include "arch/ppc/instructions.h"
#include "arch/ppc/interrupts.h"
#include "arch/ppc/layout.h"
#include "arch/ppc/ppc_cpu.h"
#include "core/arch.h"

#define MPIC_FRR        0x01000u /* features: how many sources and CPUs */
#define MPIC_GCR        0x01020u
#define MPIC_IPIVPR(n)  (0x010a0u + 0x10u * (n))
#define MPIC_SVR        0x010e0u                 /* the spurious vector */
#define MPIC_VPR(n)     (0x10000u + 0x20u * (n)) /* external sources from 0, internal ones from 16 */
#define MPIC_DR(n)      (0x10010u + 0x20u * (n))
#define MPIC_CPU(n)     (0x20000u + 0x1000u * (n))
#define CPU_IPIDR(n)    (0x40u + 0x10u * (n))
#define CPU_CTPR        0x80u
#define CPU_IACK        0xa0u
#define CPU_EOI         0xb0u

#define FRR_SOURCES(v)  (((v) >> 16 & 0x7ffu) + 1)
#define FRR_CPUS(v)     (((v) >> 8 & 0x1fu) + 1)
#define GCR_RESET       0x80000000u
#define GCR_MIXED       0x20000000u /* not the pass-through of an 8259 */
#define VPR_MASK        0x80000000u
#define VPR_HIGH        0x00800000u
#define VPR_LEVEL       0x00400000u
#define VPR_PRIORITY(n) ((n) << 16)
#define IPI_COUNT       4u
#define IPI_KICK        0u
#define IPI_STOP        1u
#define PRIORITY        8u
#define PRIORITY_STOP   15u
#define PATIENCE        100000u

static uint32_t base; /* address of the registers */
static uint32_t sources, cpus;

static uint32_t mpic_read(uint32_t at) {
    uint32_t value = *(volatile uint32_t *)(base + at);
    io_sync();
    return value;
}

static void mpic_write(uint32_t at, uint32_t value) {
    *(volatile uint32_t *)(base + at) = value;
    io_sync();
}

static uint32_t self(void) {
    return MPIC_CPU(ppc_cpu_this()->mpic_id);
}

int host_mpic_init(uint32_t offset) {
    unsigned patience = PATIENCE;

    base = CCSR_BASE + offset;
    mpic_write(MPIC_GCR, GCR_RESET);
    while ((mpic_read(MPIC_GCR) & GCR_RESET) != 0) {
        if (--patience == 0)
            return -ENODEV;
    }
    mpic_write(MPIC_GCR, GCR_MIXED);
    uint32_t features = mpic_read(MPIC_FRR);
    sources = FRR_SOURCES(features);
    cpus = FRR_CPUS(features);
    for (uint32_t i = 0; i < sources; i++)
        mpic_write(MPIC_VPR(i), VPR_MASK);
    for (uint32_t i = 0; i < IPI_COUNT; i++)
        mpic_write(MPIC_IPIVPR(i), VPR_MASK);
    mpic_write(MPIC_SVR, VECTOR_SPURIOUS);
    mpic_write(MPIC_IPIVPR(IPI_KICK), VPR_PRIORITY(PRIORITY) | VECTOR_KICK);
    mpic_write(MPIC_IPIVPR(IPI_STOP), VPR_PRIORITY(PRIORITY_STOP) | VECTOR_STOP);
    return 0;
}

void host_mpic_enable(void) {
    /* What was in service before the hypervisor came is over. */
    for (unsigned i = 0; i < 16; i++)
        mpic_write(self() + CPU_EOI, 0);
    mpic_write(self() + CPU_CTPR, 0);
}

bool host_mpic_route(uint32_t source, unsigned vector, unsigned flags) {
    if (source >= sources)
        return false;
    mpic_write(MPIC_VPR(source), VPR_MASK);
    mpic_write(MPIC_DR(source), 1u << boot_cpu.mpic_id);
    mpic_write(MPIC_VPR(source), (flags & MPIC_MASKED ? VPR_MASK : 0) |
                                     (flags & MPIC_ACTIVE_LOW ? 0 : VPR_HIGH) | VPR_LEVEL |
                                     VPR_PRIORITY(PRIORITY) | vector);
    return true;
}

void host_mpic_mask(uint32_t source, bool masked) {
    uint32_t value = mpic_read(MPIC_VPR(source));
    mpic_write(MPIC_VPR(source), masked ? value | VPR_MASK : value & ~VPR_MASK);
}

void host_mpic_send_kick(uint32_t mpic_id) {
    memory_sync(); /* what the other CPU is to see has been written */
    mpic_write(self() + CPU_IPIDR(IPI_KICK), 1u << mpic_id);
}

void host_mpic_send_stop_others(void) {
    if (base == 0)
        return;
    memory_sync();
    mpic_write(self() + CPU_IPIDR(IPI_STOP), ((1u << cpus) - 1) & ~(1u << ppc_cpu_this()->mpic_id));
}

uint32_t host_mpic_acknowledge(void) {
    return mpic_read(self() + CPU_IACK);
}

void host_mpic_end(void) {
    mpic_write(self() + CPU_EOI, 0);
}
