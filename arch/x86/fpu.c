// SPDX-License-Identifier: Apache-2.0
// Switching x87, SSE and AVX state between vCPUs in the standard XSAVE format (Intel SDM vol. 1, ch. 13).
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/registers.h"
#include "arch/x86/xsave_area.h"

#include <string.h>

static bool has_xsave;
static bool pointers_stay;               /* see forget_pointers() */
static uint64_t xcr0_host;               /* every component that this CPU and the save area have */
static struct x86_vcpu *owner[MAX_CPUS]; /* whose state the CPU holds */

static void xcr0_write(uint64_t value) {
    __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* AMD's CPUs before Zen say by CPUID 8000_0008 EBX[2] (RstrFpErrPtrs) that they have it not. An emulator says
 * nothing that counts, and has no such registers of its own. */
static bool cpu_keeps_pointers(void) {
    struct cpuid_registers vendor = cpuid_read(0, 0);
    bool amd = vendor.ecx == CPUID_AMD || vendor.ecx == 0x656e6975u; /* "uine" (Hygon) */

    if (!amd || cpu_model_emulated())
        return false;
    return cpuid_read(0x80000000u, 0).eax < 0x80000008u || !(cpuid_read(0x80000008u, 0).ebx & 1u << 2);
}

bool fpu_pointers_stay(void) {
    return pointers_stay;
}

/*
 * The x87's pointers to its last instruction and operand (FIP, FDP, FOP): there FXRSTOR and XRSTOR load them
 * only with an exception pending (AMD APM vol. 2, 11.4.4), and a guest would read another one's. A load of
 * our own puts something else there.
 */
static inline void forget_pointers(void) {
    static const uint32_t zero;

    if (__builtin_expect(pointers_stay, 0))
        __asm__ volatile("fnclex; emms; fildl %0" ::"m"(zero));
}

void fpu_cpu_init(void) {
    pointers_stay = cpu_keeps_pointers();
    has_xsave = (cpuid_read(1, 0).ecx & 1u << 26) != 0;
    cr0_write((cr0_read() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT | (has_xsave ? CR4_OSXSAVE : 0));
    if (!has_xsave)
        return;
    /* x87, SSE, AVX, AVX-512, as far as the area that travels holds them. And PKRU: no model shows it, but a
     * guest can set CR4.PKE all the same, and must not see what another one left there. */
    uint64_t components = 3;
    uint64_t offered = cpuid_read(0xd, 0).eax & 0x2e7u;
    for (unsigned i = 2; i < 10; i++) {
        struct cpuid_registers size = cpuid_read(0xd, i);
        if ((offered >> i & 1) && size.ebx + size.eax <= X86_XSAVE_MAX)
            components |= 1ull << i;
    }
    if ((components & 0xe0) != 0xe0)
        components &= ~0xe0ull;
    xcr0_host = components;
}

uint64_t fpu_components(void) {
    return has_xsave ? xcr0_host : 3;
}

static void save(struct x86_vcpu *vcpu) {
    void *area = vcpu->state->xsave;
    if (!has_xsave) {
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
        return;
    }
    /* A guest may have narrowed XCR0 while wider state was in use: all of it is kept. */
    if (vcpu->state->xcr0 != xcr0_host)
        xcr0_write(xcr0_host);
    __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
    if (vcpu->state->xcr0 != xcr0_host)
        xcr0_write(vcpu->state->xcr0);
}

static void restore(struct x86_vcpu *vcpu) {
    void *area = vcpu->state->xsave;
    forget_pointers();
    if (!has_xsave) {
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
        return;
    }
    xsave_forget_x87(area);
    xcr0_write(xcr0_host);
    __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
    if (vcpu->state->xcr0 != xcr0_host)
        xcr0_write(vcpu->state->xcr0);
}

void fpu_load(struct x86_vcpu *vcpu) {
    unsigned cpu = vcpu->core.cpu->number;

    if (owner[cpu] == vcpu && vcpu->fpu_loaded)
        return;
    /* Whoever was here has saved its state when it left. */
    restore(vcpu);
    owner[cpu] = vcpu;
    vcpu->fpu_loaded = true;
}

void fpu_save(struct x86_vcpu *vcpu) {
    unsigned cpu = vcpu->core.cpu->number;

    save(vcpu);
    /* Still valid here, unless it runs elsewhere in between: then that CPU becomes the only owner. */
    for (unsigned i = 0; i < cpu_count(); i++)
        if (i != cpu && owner[i] == vcpu)
            owner[i] = NULL;
}

void fpu_sync(struct x86_vcpu *vcpu) {
    save(vcpu);
}

void fpu_reload(struct x86_vcpu *vcpu) {
    restore(vcpu);
}

void fpu_xcr0_changed(struct x86_vcpu *vcpu) {
    if (has_xsave)
        xcr0_write(vcpu->state->xcr0);
}

void fpu_reset(struct x86_vcpu *vcpu) {
    uint8_t *area = vcpu->state->xsave;
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memset(area, 0, X86_XSAVE_MAX);
    memcpy(area, &control, sizeof(control));
    memcpy(area + 24, &mxcsr, sizeof(mxcsr));
    area[XSAVE_BV] = 3; /* x87 and SSE as they stand here, the rest in its initial state */
    vcpu->state->xcr0 = 1;
    vcpu->fpu_loaded = false;
}
