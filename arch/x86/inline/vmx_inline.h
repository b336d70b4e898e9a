// SPDX-License-Identifier: Apache-2.0
// The VMX instructions that the engine's files use (Intel SDM vol. 3, ch. 30). Unit tests put functions of
// their own in place of these (tests/unit/host/vmx_inline.h).
#ifndef SAGUARO_ARCH_X86_VMX_INLINE_H
#define SAGUARO_ARCH_X86_VMX_INLINE_H

#include <stdbool.h>
#include <stdint.h>

/* A VMWRITE failed: the field does not exist here, or no VMCS is current. Says so once. */
void vmcs_write_failed(uint32_t field, uint64_t value);

static inline uint64_t vmcs_read(uint32_t field) {
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

static inline void vmcs_write(uint32_t field, uint64_t value) {
    __asm__ goto("vmwrite %1, %0\n\t"
                 "jna %l[failed]"
                 :
                 : "r"((uint64_t)field), "r"(value)
                 : "cc", "memory"
                 : failed);
    return;
failed:
    vmcs_write_failed(field, value);
}

/* 0; -1: VMfail. */
static inline int vmx_on(uint64_t region) {
    bool failed;
    __asm__ volatile("vmxon %1" : "=@ccna"(failed) : "m"(region) : "memory");
    return failed ? -1 : 0;
}

static inline int vmcs_clear(uint64_t vmcs) {
    bool failed;
    __asm__ volatile("vmclear %1" : "=@ccna"(failed) : "m"(vmcs) : "memory");
    return failed ? -1 : 0;
}

static inline int vmcs_load(uint64_t vmcs) {
    bool failed;
    __asm__ volatile("vmptrld %1" : "=@ccna"(failed) : "m"(vmcs) : "memory");
    return failed ? -1 : 0;
}

#define INVEPT_SINGLE  1u
#define INVEPT_ALL     2u
#define INVVPID_SINGLE 1u
#define INVVPID_ALL    2u

static inline void invept(uint64_t type, uint64_t eptp) {
    struct {
        uint64_t eptp, zero;
    } descriptor = {eptp, 0};
    __asm__ volatile("invept %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid) {
    struct {
        uint64_t vpid, linear;
    } descriptor = {vpid, 0};
    __asm__ volatile("invvpid %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}

/* Registers of the CPU that belong to the guest while it is loaded. */
static inline uint64_t guest_cr2_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
static inline void guest_cr2_write(uint64_t value) {
    __asm__ volatile("movq %0, %%cr2" ::"r"(value) : "memory");
}
static inline uint64_t guest_dr6_read(void) {
    uint64_t value;
    __asm__ volatile("movq %%db6, %0" : "=r"(value));
    return value;
}
static inline void guest_dr6_write(uint64_t value) {
    __asm__ volatile("movq %0, %%db6" ::"r"(value));
}
static inline uint64_t guest_msr_read(uint32_t msr) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}
static inline void guest_msr_write(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

#endif
