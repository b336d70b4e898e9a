// SPDX-License-Identifier: Apache-2.0
// A host CPU for unit tests of what guests see of it: CPUID leaves that a test can change, MSRs that are
// written, and an engine that keeps everything in the vCPU's state. Included by one file of a test program.
#ifndef SAGUARO_TESTS_CPU_FIXTURE_H
#define SAGUARO_TESTS_CPU_FIXTURE_H

#include <string.h>
#include "arch/x86/engine/engine.h"
#include "arch/x86/registers.h"

/* An AMD CPU with AVX2 and nothing later. */
static struct cpuid_registers host_leaf_0, host_leaf_1, host_leaf_7, host_extended_0, host_extended_1,
    host_extended_8;
static struct cpuid_registers host_xsave[10], host_cache[8], host_hypervisor;

static inline void host_cpu_reset(void) {
    host_leaf_0 = (struct cpuid_registers){0x10, 0x68747541, 0x444d4163, 0x69746e65};
    host_leaf_1 = (struct cpuid_registers){0x00800f12, 0x03100800, 0x7ed8320b, 0x178bfbff};
    host_leaf_7 = (struct cpuid_registers){0, 0x209c01a9, 0, 0};
    host_extended_0 = (struct cpuid_registers){0x8000001f, 0x68747541, 0x444d4163, 0x69746e65};
    host_extended_1 = (struct cpuid_registers){0x00800f12, 0x40000000, 0x35c233ff, 0x2fd3fbff};
    host_extended_8 = (struct cpuid_registers){0x3030, 0x1007, 0x700f, 0};
    memset(host_xsave, 0, sizeof(host_xsave));
    host_xsave[0] = (struct cpuid_registers){7, 832, 832, 0};
    host_xsave[1] = (struct cpuid_registers){0xf, 832, 0, 0};
    host_xsave[2] = (struct cpuid_registers){256, 576, 0, 0};
    memset(host_cache, 0, sizeof(host_cache));
    memset(&host_hypervisor, 0, sizeof(host_hypervisor));
}

/* AVX-512 as Intel lays it out, and PKRU. */
static inline void host_cpu_avx512(void) {
    host_leaf_7.ebx |= 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    host_leaf_7.ecx |= 1u << 3;
    host_xsave[0] = (struct cpuid_registers){0x2e7, 2696, 2696, 0};
    host_xsave[5] = (struct cpuid_registers){64, 1088, 0, 0};
    host_xsave[6] = (struct cpuid_registers){512, 1152, 0, 0};
    host_xsave[7] = (struct cpuid_registers){1024, 1664, 0, 0};
    host_xsave[9] = (struct cpuid_registers){8, 2688, 0, 0};
}

struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    switch (leaf) {
    case 0:
        return host_leaf_0;
    case 1:
        return host_leaf_1;
    case 4:
        return host_cache[subleaf & 7];
    case 7:
        return subleaf ? (struct cpuid_registers){0} : host_leaf_7;
    case 0xd:
        return subleaf < 10 ? host_xsave[subleaf] : (struct cpuid_registers){0};
    case 0x40000000:
        return host_hypervisor;
    case 0x80000000:
        return host_extended_0;
    case 0x80000001:
        return host_extended_1;
    case 0x80000005:
    case 0x80000006:
        return (struct cpuid_registers){leaf, 0x40020040, 0x20080140, 1};
    case 0x80000008:
        return host_extended_8;
    default:
        /* Rubbish: nothing of it may reach a guest. */
        return (struct cpuid_registers){0xdeadbeef, 0xdeadbeef, 0xdeadbeef, 0xdeadbeef};
    }
}

static uint32_t host_msr_written;
static uint64_t host_msr_value;

uint64_t test_msr_read(uint32_t msr) {
    return msr == host_msr_written ? host_msr_value : 0;
}

void test_msr_write(uint32_t msr, uint64_t value) {
    host_msr_written = msr;
    host_msr_value = value;
}

static uint64_t host_cr[5];

uint64_t test_cr_read(unsigned number) {
    return host_cr[number];
}

void test_cr_write(unsigned number, uint64_t value) {
    host_cr[number] = value;
}

/* ---- an engine */

static struct {
    unsigned tsc_offsets, tlb_flushes, resets, windows;
    uint32_t fetched; /* groups, ever */
} engine_calls;

static inline void test_engine_fetch(struct x86_vcpu *vcpu, uint32_t groups) {
    (void)vcpu;
    engine_calls.fetched |= groups;
}
static inline void test_engine_tsc_offset(struct x86_vcpu *vcpu) {
    (void)vcpu;
    engine_calls.tsc_offsets++;
}
static inline void test_engine_tlb_flush(struct x86_vcpu *vcpu) {
    (void)vcpu;
    engine_calls.tlb_flushes++;
}
static inline void test_engine_reset(struct x86_vcpu *vcpu) {
    (void)vcpu;
    engine_calls.resets++;
}
static inline bool test_engine_interruptible(struct x86_vcpu *vcpu) {
    return (vcpu->state->registers.rflags & RFLAGS_IF) && !vcpu->state->pending.valid &&
           !vcpu->state->interrupt_shadow;
}
static inline void test_engine_window(struct x86_vcpu *vcpu) {
    (void)vcpu;
    engine_calls.windows++;
}

static const struct engine test_engine = {
    .name = "test",
    .fetch = test_engine_fetch,
    .tsc_offset = test_engine_tsc_offset,
    .tlb_flush = test_engine_tlb_flush,
    .reset = test_engine_reset,
    .interruptible = test_engine_interruptible,
    .interrupt_window = test_engine_window,
};
const struct engine *engine = &test_engine;

#endif
