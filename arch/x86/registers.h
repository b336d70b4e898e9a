// SPDX-License-Identifier: Apache-2.0
// Privileged x86 registers and instructions as inlines: control registers, MSRs, CPUID, ports, and the bits
// of them that the hypervisor uses on its own account (Intel SDM vol. 3, 2.5 and vol. 4; AMD APM vol.
// 2, 3.1).
#ifndef SAGUARO_ARCH_X86_REGISTERS_H
#define SAGUARO_ARCH_X86_REGISTERS_H

#include <stdint.h>

#include <arch_inline.h>

#define CR0_PE           (1ull << 0)
#define CR0_MP           (1ull << 1)
#define CR0_EM           (1ull << 2)
#define CR0_TS           (1ull << 3)
#define CR0_ET           (1ull << 4)
#define CR0_NE           (1ull << 5)
#define CR0_WP           (1ull << 16)
#define CR0_AM           (1ull << 18)
#define CR0_NW           (1ull << 29)
#define CR0_CD           (1ull << 30)
#define CR0_PG           (1ull << 31)

#define CR4_DE           (1ull << 3)
#define CR4_PAE          (1ull << 5)
#define CR4_MCE          (1ull << 6)
#define CR4_PGE          (1ull << 7)
#define CR4_OSFXSR       (1ull << 9)
#define CR4_OSXMMEXCPT   (1ull << 10)
#define CR4_UMIP         (1ull << 11)
#define CR4_LA57         (1ull << 12)
#define CR4_VMXE         (1ull << 13)
#define CR4_FSGSBASE     (1ull << 16)
#define CR4_PCIDE        (1ull << 17)
#define CR4_OSXSAVE      (1ull << 18)
#define CR4_SMEP         (1ull << 20)
#define CR4_SMAP         (1ull << 21)

#define MSR_APIC_BASE    0x0000001bu
#define MSR_TSC_ADJUST   0x0000003bu
#define MSR_ARCH_CAPS    0x0000010au /* IA32_ARCH_CAPABILITIES, where CPUID 7 EDX[29] says so */
#define MSR_MCG_CAP      0x00000179u
#define MSR_MCG_STATUS   0x0000017au
#define MSR_PAT          0x00000277u
#define MSR_MC0_STATUS   0x00000401u /* bank n at + 4 n */
#define MSR_MC0_ADDR     0x00000402u
#define MSR_TSC_DEADLINE 0x000006e0u
#define MSR_X2APIC       0x00000800u /* register at offset o: + o / 16 */
#define MSR_EFER         0xc0000080u
#define MSR_FS_BASE      0xc0000100u
#define MSR_GS_BASE      0xc0000101u

#define EFER_LME         (1ull << 8)
#define EFER_LMA         (1ull << 10)
#define EFER_NXE         (1ull << 11)

#define RFLAGS_TF        (1ull << 8)
#define RFLAGS_IF        (1ull << 9)
#define RFLAGS_RF        (1ull << 16)

/* CPUID 0 ECX, the end of the maker's name. */
#define CPUID_INTEL      0x6c65746eu /* "ntel" */
#define CPUID_AMD        0x444d4163u /* "cAMD" */

struct cpuid_registers {
    uint32_t eax, ebx, ecx, edx;
};

#ifdef TEST_REGISTERS /* unit tests on the host: the test answers */
uint64_t test_cr_read(unsigned number);
void test_cr_write(unsigned number, uint64_t value);
uint64_t test_msr_read(uint32_t msr);
void test_msr_write(uint32_t msr, uint64_t value);
struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf);
#define cr0_read()       test_cr_read(0)
#define cr0_write(value) test_cr_write(0, value)
#define cr4_read()       test_cr_read(4)
#define cr4_write(value) test_cr_write(4, value)
#define msr_read         test_msr_read
#define msr_write        test_msr_write
#define cpuid_read       test_cpuid
#else
static inline uint64_t cr0_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%cr0, %0" : "=r"(value));
    return value;
}
static inline void cr0_write(uint64_t value) {
    __asm__ volatile("movq %0, %%cr0" ::"r"(value) : "memory");
}
static inline uint64_t cr2_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
static inline uint64_t cr3_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}
static inline void cr3_write(uint64_t value) {
    __asm__ volatile("movq %0, %%cr3" ::"r"(value) : "memory");
}
static inline uint64_t cr4_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}
static inline void cr4_write(uint64_t value) {
    __asm__ volatile("movq %0, %%cr4" ::"r"(value) : "memory");
}

static inline uint64_t msr_read(uint32_t msr) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}
static inline void msr_write(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline struct cpuid_registers cpuid_read(uint32_t leaf, uint32_t subleaf) {
    struct cpuid_registers r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

#endif

/* Forgets this CPU's translation of one page. */
static inline void tlb_forget(uint64_t address) {
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline uint8_t port_read8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint16_t port_read16(uint16_t port) {
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint32_t port_read32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline void port_write8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void port_write16(uint16_t port, uint16_t value) {
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void port_write32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

/* Stops this CPU for good; NMIs and machine checks are still taken. */
__attribute__((noreturn)) static inline void cpu_halt_forever(void) {
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

#endif
