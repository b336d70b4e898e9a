// SPDX-License-Identifier: Apache-2.0
// Features of the host's CPUs: those that the hypervisor stands on, and those that protect it where present.
#include "arch/x86/features.h"

#include "arch/x86/fixup.h"
#include "arch/x86/paging_host.h"
#include "arch/x86/registers.h"

#define XCR0_X87_SSE 0x3u
#define XCR0_AVX     0x4u

bool cpu_virtual;

static struct cpuid_registers leaf7(void) {
    if (cpuid_read(0, 0).eax < 7)
        return (struct cpuid_registers){0};
    return cpuid_read(7, 0);
}

bool cpu_has_smep(void) {
    return leaf7().ebx >> 7 & 1;
}
bool cpu_has_smap(void) {
    return leaf7().ebx >> 20 & 1;
}
bool cpu_has_umip(void) {
    return leaf7().ecx >> 2 & 1;
}
bool cpu_has_tsc_adjust(void) {
    return leaf7().ebx >> 1 & 1;
}
bool cpu_has_tsc_deadline(void) {
    return cpuid_read(1, 0).ecx >> 24 & 1;
}
bool cpu_has_invariant_tsc(void) {
    return cpuid_read(0x80000000, 0).eax >= 0x80000007 && (cpuid_read(0x80000007, 0).edx >> 8 & 1);
}

const char *cpu_features_missing(void) {
    struct cpuid_registers one = cpuid_read(1, 0);
    struct cpuid_registers extended = cpuid_read(0x80000001, 0);

    if (!(extended.edx & 1u << 20))
        return "no-execute pages (NX; perhaps switched off in the firmware's set-up)";
    if (!(one.edx & 1u << 4))
        return "a time-stamp counter";
    if (!(one.edx & 1u << 9))
        return "a local APIC";
    if (!(one.edx & 1u << 16))
        return "a page attribute table";
    if (!(one.edx & 1u << 24) || !(one.edx & 1u << 26))
        return "FXSAVE and SSE2";
    if (cr4_read() & CR4_LA57)
        return "four-level paging at the start (the firmware left five-level paging on)";
    return 0;
}

void cpu_features_enable(void) {
    struct cpuid_registers one = cpuid_read(1, 0);
    uint64_t cr4 = CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    cpu_virtual = one.ecx >> 31;
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    cr0_write(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    if (one.edx & 1u << 7)
        cr4 |= CR4_MCE;
    if (cpu_has_smep())
        cr4 |= CR4_SMEP;
    if (cpu_has_smap())
        cr4 |= CR4_SMAP;
    if (cpu_has_umip())
        cr4 |= CR4_UMIP;
    if (one.ecx & 1u << 26)
        cr4 |= CR4_OSXSAVE;
    cr4_write(cr4);
    msr_write(MSR_PAT, PAT_VALUE);
    /* Translations made with the firmware's PAT are forgotten. */
    cr3_write(cr3_read());
    if (cr4 & CR4_OSXSAVE)
        xsetbv_safe(0, XCR0_X87_SSE | (cpuid_read(0xd, 0).eax & XCR0_AVX));
}
