// SPDX-License-Identifier: Apache-2.0
// The CPU that the model x86-64-v2 shows: CPUID, control registers, MSRs, and what a hidden feature does when
// it is used.
#include "tests/guests/runtime/guest.h"

#define MSR_EFER 0xc0000080u

static void set_cr0(void *value) {
    WRITE_CR(0, value);
}
static void set_cr4(void *value) {
    WRITE_CR(4, value);
}
static void set_cr8(void *value) {
    WRITE_CR(8, value);
}
static void xsetbv(void *unused) {
    (void)unused;
    __asm__ volatile("xsetbv" ::"a"(1), "d"(0), "c"(0));
}
static void xgetbv(void *unused) {
    (void)unused;
    __asm__ volatile("xgetbv" ::"c"(0) : "eax", "edx");
}
static void vmrun(void *unused) {
    (void)unused;
    __asm__ volatile("vmrun %%rax" ::"a"(0x200000));
}
static void vmload(void *unused) {
    (void)unused;
    __asm__ volatile("vmload %%rax" ::"a"(0x200000));
}
static void clgi(void *unused) {
    (void)unused;
    __asm__ volatile("clgi");
}
static void vmxon(void *unused) {
    (void)unused;
    static uint64_t at;
    __asm__ volatile("vmxon %0" ::"m"(at));
}
static void monitor(void *unused) {
    (void)unused;
    __asm__ volatile("monitor" ::"a"(0x200000), "c"(0), "d"(0));
}
static void mwait(void *unused) {
    (void)unused;
    __asm__ volatile("mwait" ::"a"(0), "c"(0));
}
static void ud2(void *unused) {
    (void)unused;
    __asm__ volatile("ud2");
}
static void rsm(void *unused) {
    (void)unused;
    __asm__ volatile("rsm");
}
static void avx(void *unused) {
    (void)unused;
    __asm__ volatile(".byte 0xc5, 0xf8, 0x57, 0xc0"); /* vxorps %xmm0, %xmm0, %xmm0 */
}
static void sse(void *unused) {
    (void)unused;
    __asm__ volatile("pxor %xmm0, %xmm0; pcmpgtq %xmm1, %xmm0; popcnt %rax, %rcx");
}
static void dr4(void *unused) {
    (void)unused;
    word value;
    __asm__ volatile("mov %%db4, %0" : "=r"(value));
}
static void rdpmc(void *unused) {
    (void)unused;
    __asm__ volatile("rdpmc" ::"c"(0x7fffffff) : "eax", "edx");
}

static void check_cpuid(void) {
    struct cpuid one = cpuid(1, 0), extended = cpuid(0x80000001, 0);
    /* SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT: what v2 is. */
    check_equal(one.ecx & 0x982201, 0x982201, "v2's features are there");
    check_equal(extended.ecx & 1, 1, "LAHF in 64-bit mode");
    check_equal(one.ecx & 1u << 31, 1u << 31, "hypervisor bit");
    check_equal(one.ecx & 0x30001028, 0, "no VMX, MONITOR, FMA, AVX, F16C");
    check_equal(extended.ecx & 4, 0, "no SVM");
    check_equal(cpuid(7, 0).ebx & 0x20, 0, "no AVX2");
    check_equal(cpuid(0x8000000a, 0).eax | cpuid(0x8000000a, 0).edx, 0, "SVM's leaf is empty");
    struct cpuid name = cpuid(0x40000000, 0);
    check(name.ebx == 0x4b4d564b && name.ecx == 0x564b4d56 && name.edx == 0x4d, "KVM's signature");
    check(cpuid(0x40000010, 0).eax > 100000, "TSC's frequency");
    uint32_t highest = cpuid(0, 0).eax;
    struct cpuid beyond = cpuid(highest + 0x1000, 0);
    check_equal(beyond.eax | beyond.ebx | beyond.ecx | beyond.edx, 0, "an unknown leaf is empty");
    check_equal(one.ecx >> 27 & 1, READ_CR(4) >> 18 & 1, "OSXSAVE follows CR4");
}

/* MOV to CR0, CR3 and CR4 is checked by the CPU itself, and the emulated ones that tests run on check little
 * of it: only what holds on each is checked here. */
static void check_control_registers(void) {
    word cr4 = READ_CR(4);
    check_equal(guest_try(set_cr4, (void *)(cr4 | 0x80)), -1, "CR4: PGE");
    check_equal(READ_CR(4), cr4 | 0x80, "and reads back");
    WRITE_CR(4, cr4);
    check_equal(guest_try(set_cr8, (void *)16), VECTOR_GP, "CR8: 16");
    check_equal(guest_try(set_cr8, (void *)15), -1, "CR8: 15");
    check_equal(READ_CR(8), 15, "and reads back");
    WRITE_CR(8, 0);
    WRITE_CR(0, READ_CR(0) | 8);
    check_equal(guest_try(sse, NULL), VECTOR_NM, "TS: SSE raises #NM");
    __asm__ volatile("clts");
    check_equal(READ_CR(0) & 8, 0, "CLTS");
    uint64_t machine_status;
    __asm__ volatile("smsw %0" : "=r"(machine_status));
    check_equal(machine_status & 0xffff, READ_CR(0) & 0xffff, "SMSW");
}

static void check_msrs(void) {
    uint64_t value, efer = rdmsr(MSR_EFER);
    check_equal(efer & 0xd00, 0xd00, "EFER: LME, LMA, NXE");
    check_equal(try_wrmsr(MSR_EFER, efer | 0x1000), VECTOR_GP, "EFER: SVME");
    check_equal(try_wrmsr(MSR_EFER, efer & ~0x100ull), VECTOR_GP, "EFER: LME under paging");
    check_equal(try_wrmsr(MSR_EFER, efer | 1ull << 20), VECTOR_GP, "EFER: reserved bits");
    check_equal(try_wrmsr(MSR_EFER, efer | 1), -1, "EFER: SCE");
    check_equal(rdmsr(MSR_EFER), efer | 1, "and reads back");
    wrmsr(MSR_EFER, efer);
    static const uint32_t unknown[] = {0x2ff0, 0x40000000, 0xc0010117, 0x3a,
                                       0x480,  0xc0000090, 0x12345678, 0xffffffff};
    unsigned wrong = 0;
    for (unsigned i = 0; i < array_count(unknown); i++)
        if (try_rdmsr(unknown[i], &value) != VECTOR_GP || try_wrmsr(unknown[i], 0) != VECTOR_GP)
            wrong |= 1u << i;
    check_equal(wrong, 0, "unknown and hidden MSRs raise #GP");
    static const uint32_t addresses[] = {0xc0000100, 0xc0000101, 0xc0000102, 0xc0000082,
                                         0xc0000083, 0x175,      0x176};
    wrong = 0;
    for (unsigned i = 0; i < array_count(addresses); i++) {
        uint64_t before = rdmsr(addresses[i]);
        if (i < 5 && try_wrmsr(addresses[i], 0x0000800000000000) != VECTOR_GP)
            wrong |= 1u << i;
        if (try_wrmsr(addresses[i], 0xffff800000001000) != -1 || rdmsr(addresses[i]) != 0xffff800000001000)
            wrong |= 0x100u << i;
        wrmsr(addresses[i], before);
    }
    check_equal(wrong, 0, "address MSRs keep canonical addresses and refuse others");
    check_equal(try_wrmsr(0x277, 0x0007040600070402), VECTOR_GP, "PAT: type 2 does not exist");
    check_equal(rdmsr(0x277), 0x0007040600070406, "PAT");
    check_equal(try_wrmsr(0xc0000103, 0x123), -1, "TSC_AUX");
    uint64_t before = rdtsc();
    wrmsr(0x10, 1ull << 50);
    uint64_t after = rdtsc();
    check(after >= 1ull << 50 && after < (1ull << 50) + (1ull << 40), "TSC can be set");
    wrmsr(0x10, before);
    if (cpuid(7, 0).ebx >> 1 & 1) {
        wrmsr(0x3b, 1ull << 40);
        check(rdtsc() >= 1ull << 40, "TSC_ADJUST");
        wrmsr(0x3b, 0);
    }
}

static void check_hidden(void) {
    check_equal(guest_try(vmrun, NULL), VECTOR_UD, "VMRUN");
    check_equal(guest_try(vmload, NULL), VECTOR_UD, "VMLOAD");
    check_equal(guest_try(clgi, NULL), VECTOR_UD, "CLGI");
    check_equal(guest_try(vmxon, NULL), VECTOR_UD, "VMXON");
    check_equal(guest_try(monitor, NULL), VECTOR_UD, "MONITOR");
    check_equal(guest_try(mwait, NULL), VECTOR_UD, "MWAIT");
    check_equal(guest_try(ud2, NULL), VECTOR_UD, "UD2");
    check_equal(guest_try(rsm, NULL), VECTOR_UD, "RSM");
    check_equal(guest_try(xsetbv, NULL), VECTOR_UD, "XSETBV without OSXSAVE");
    check_equal(guest_try(xgetbv, NULL), VECTOR_UD, "XGETBV without OSXSAVE");
    check_equal(guest_try(avx, NULL), VECTOR_UD, "AVX");
    check_equal(guest_try(sse, NULL), -1, "SSE4.2");
    WRITE_CR(4, READ_CR(4) | 8);
    check_equal(guest_try(dr4, NULL), VECTOR_UD, "DR4 with CR4.DE");
    WRITE_CR(4, READ_CR(4) & ~8ull);
    int vector = guest_try(rdpmc, NULL);
    check(vector == VECTOR_GP || vector == VECTOR_UD, "RDPMC of no counter");
}

void guest_main(void) {
    if (guest_option("bad-cr0")) {
        /* #GP by the CPU; where it lets that pass, the guest's state is refused and the guest ends. */
        check_equal(guest_try(set_cr0, (void *)(READ_CR(0) & ~1ull)), VECTOR_GP, "paging without protection");
        return;
    }
    check_cpuid();
    check_control_registers();
    check_msrs();
    check_hidden();
}
