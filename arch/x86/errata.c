// SPDX-License-Identifier: Apache-2.0
// Faults of CPUs that a guest can use against the machine or another guest, and that an MSR's bit mends. The
// firmware should have set it; not all does.
#include "arch/x86/errata.h"

#include "arch/x86/registers.h"

#define MSR_LS_CFG 0xc0011020u /* AMD: load-store configuration */
#define MSR_DE_CFG 0xc0011029u /* AMD: decode configuration */

/* Of AMD's CPUs; models from `first` to `last`. */
static const struct {
    uint16_t family;
    uint8_t first, last;
    uint8_t bit;
    uint32_t msr;
} errata[] = {
    /* Erratum 793 (CVE-2013-6885): locked instructions between writes to write-combining memory, which any
     * guest has by its PAT, may hang the core (Revision Guide for family 16h, models 00h to 0Fh). */
    {0x16, 0x00, 0x0f, 15, MSR_LS_CFG},
    /* Zen 2 (CVE-2023-20593): VZEROUPPER that is undone leaves another program's, or guest's, halves of YMM
     * registers readable (AMD-SB-7008). Microcode mends it, too; with that the bit costs little. */
    {0x17, 0x30, 0x4f, 9, MSR_DE_CFG},
    {0x17, 0x60, 0x7f, 9, MSR_DE_CFG},
    {0x17, 0x90, 0x91, 9, MSR_DE_CFG},
    {0x17, 0xa0, 0xaf, 9, MSR_DE_CFG},
};

void errata_cpu_init(void) {
    struct cpuid_registers one = cpuid_read(1, 0);
    unsigned family = one.eax >> 8 & 15, model = one.eax >> 4 & 15;

    if (cpuid_read(0, 0).ecx != CPUID_AMD || one.ecx >> 31)
        return;
    if (family == 15) { /* AMD APM vol. 3, E.3.2 */
        family += one.eax >> 20 & 0xff;
        model |= one.eax >> 12 & 0xf0;
    }
    for (unsigned i = 0; i < sizeof(errata) / sizeof(errata[0]); i++) {
        if (errata[i].family != family || model < errata[i].first || model > errata[i].last)
            continue;
        uint64_t value = msr_read(errata[i].msr), bit = 1ull << errata[i].bit;
        if (!(value & bit))
            msr_write(errata[i].msr, value | bit);
    }
}
