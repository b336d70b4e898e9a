// SPDX-License-Identifier: Apache-2.0
// What one VM leaves in a CPU's predictors, buffers and first-level cache, and the next one could make use of
// (Intel: "Affected Processors: Transient Execution Attacks"; AMD: "Software Techniques for Managing
// Speculation"). Where the CPU says that it has a barrier and does not say that it needs none, it is used
// when the CPU changes from one VM to another. Between threads of a core there is none.
#include "arch/x86/barrier.h"

#include "arch/x86/registers.h"
#include "arch/x86/segments.h"
#include "core/cpu.h"
#include "core/log.h"

#define MSR_SPEC_CTRL       0x48u
#define MSR_PRED_CMD        0x49u
#define MSR_FLUSH_CMD       0x10bu

#define IBRS                1u /* SPEC_CTRL */
#define IBPB                1u /* PRED_CMD */
#define L1D_FLUSH           1u /* FLUSH_CMD */
#define EFER_AUTOMATIC_IBRS (1ull << 21)

/* MSR_ARCH_CAPS */
#define RDCL_NO             (1u << 0) /* no L1TF either */
#define IBRS_ALL            (1u << 1) /* IBRS may be left on */
#define SKIP_L1D            (1u << 3) /* the hypervisor below does it */
#define MDS_NO              (1u << 5)
#define TAA_NO              (1u << 8)

static uint8_t kinds[MAX_CPUS];

uint32_t barrier_kinds(void) {
    return kinds[cpu_this()->number];
}

static bool is_intel(void) {
    return cpuid_read(0, 0).ecx == CPUID_INTEL;
}

/* A thread of this core may run another VM at the same time. */
static bool has_threads(void) {
    return cpuid_read(0, 0).eax >= 0xb && (cpuid_read(0xb, 0).ebx & 0xffff) > 1;
}

void barrier_cpu_init(void) {
    uint32_t features = cpuid_read(0, 0).eax >= 7 ? cpuid_read(7, 0).edx : 0;
    uint32_t extended = cpuid_read(0x80000000u, 0).eax;
    uint64_t capabilities = features & 1u << 29 ? msr_read(MSR_ARCH_CAPS) : 0;
    unsigned number = cpu_this()->number;
    uint32_t found = 0;

    if ((features & 1u << 26) || (extended >= 0x80000008u && (cpuid_read(0x80000008u, 0).ebx & 1u << 12)))
        found |= BARRIER_PREDICTORS;
    if ((features & 1u << 28) && is_intel() && !(capabilities & (RDCL_NO | SKIP_L1D)))
        found |= BARRIER_CACHE;
    if ((features & 1u << 10) && (capabilities & (MDS_NO | TAA_NO)) != (MDS_NO | TAA_NO))
        found |= BARRIER_BUFFERS;
    kinds[number] = (uint8_t)found;
    if ((features & 1u << 26) && (capabilities & IBRS_ALL))
        msr_write(MSR_SPEC_CTRL, IBRS);
    if (extended >= 0x80000021u && (cpuid_read(0x80000021u, 0).eax & 1u << 8))
        msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_AUTOMATIC_IBRS);
    if (number == 0 && found)
        log_info("CPU: emptied between VMs:%s%s%s", found & BARRIER_PREDICTORS ? " branch predictors" : "",
                 found & BARRIER_CACHE ? " first-level cache" : "",
                 found & BARRIER_BUFFERS ? " buffers" : "");
    if (number == 0 && (found & (BARRIER_CACHE | BARRIER_BUFFERS)) && has_threads())
        log_warning(
            "CPU: the threads of a core can read each other's data: switch hyper-threading off in the "
            "machine's firmware if guests are not to be trusted with each other's");
}

void barrier_between_vms(void) {
    static const uint16_t selector = SELECTOR_DATA;
    uint32_t wanted = barrier_kinds();

    if (__builtin_expect(!wanted, 1))
        return;
    if (wanted & BARRIER_PREDICTORS)
        msr_write(MSR_PRED_CMD, IBPB);
    if (wanted & BARRIER_CACHE)
        msr_write(MSR_FLUSH_CMD, L1D_FLUSH);
    if (wanted & BARRIER_BUFFERS)
        __asm__ volatile("verw %0" ::"m"(selector) : "cc");
}
