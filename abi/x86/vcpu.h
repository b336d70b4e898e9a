// SPDX-License-Identifier: Apache-2.0
// An x86 virtual CPU's architectural state: the master copy that every engine loads from and stores to, and
// what travels. The layout is part of the saved-state format: append only, and raise X86_VCPU_STATE_VERSION.
#ifndef SAGUARO_ABI_X86_VCPU_H
#define SAGUARO_ABI_X86_VCPU_H

#include <stdint.h>

#define X86_VCPU_STATE_VERSION 1u

/* General registers in instruction-encoding order. */
enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
    X86_GPR_COUNT
};

/* Segment registers in instruction-encoding order (ModRM.reg of MOV Sreg), then the two system segments. */
enum x86_segment_name { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEGMENT_COUNT };

/* Attributes are descriptor bits 40-47 in bits 0-7 and bits 52-55 in bits 8-11 (AMD APM vol. 2, 15.5.1: the
 * VMCB's form). */
#define X86_SEG_TYPE_MASK 0x000fu
#define X86_SEG_S         0x0010u /* code or data, not system */
#define X86_SEG_DPL_SHIFT 5
#define X86_SEG_P         0x0080u
#define X86_SEG_AVL       0x0100u
#define X86_SEG_L         0x0200u
#define X86_SEG_DB        0x0400u
#define X86_SEG_G         0x0800u

struct x86_segment {
    uint16_t selector;
    uint16_t attributes; /* X86_SEG_* */
    uint32_t limit;      /* bytes, already scaled by G */
    uint64_t base;
};

struct x86_table {
    uint64_t base;
    uint32_t limit;
    uint32_t reserved;
};

/* What an instruction changes most often. */
struct x86_registers {
    uint64_t gpr[X86_GPR_COUNT];
    uint64_t rip;
    uint64_t rflags;
};

/* What decides how an instruction is decoded and how addresses are translated. */
struct x86_system {
    struct x86_segment segment[X86_SEGMENT_COUNT];
    struct x86_table gdtr;
    struct x86_table idtr;
    uint64_t cr0;
    uint64_t cr2;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    uint32_t cpl; /* 0-3 */
    uint32_t reserved;
};

/* Model-specific registers that are a vCPU's own and not part of another device's state. */
struct x86_msrs {
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat;
    uint64_t tsc_aux;
    uint64_t misc_enable;
    uint64_t spec_ctrl;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_variable[16]; /* base, mask pairs */
    uint64_t xss;
};

/* How far a vCPU of several is in its start (Intel SDM vol. 3, 8.4.2). */
enum x86_activity { X86_ACTIVE, X86_HALTED, X86_WAIT_FOR_SIPI, X86_SHUTDOWN };

/* An event that was being delivered or waits for delivery. */
struct x86_event {
    uint8_t valid;
    uint8_t type; /* 0 external interrupt, 2 NMI, 3 exception, 4 software interrupt (both VMCB's and VMCS's
                     numbers) */
    uint8_t vector;
    uint8_t has_error;
    uint32_t error;
};

#define X86_XSAVE_MAX                                                                                        \
    4096u /* standard format: legacy area, header, then AVX, MPX, AVX-512, PKRU at their CPUID 0xD offsets   \
           */

struct x86_vcpu_state {
    struct x86_registers registers;
    struct x86_system system;
    struct x86_msrs msrs;
    uint64_t dr[4];
    uint64_t dr6;
    uint64_t dr7;
    uint64_t xcr0;
    uint64_t tsc;           /* the guest's TSC when the state was taken */
    uint64_t tsc_frequency; /* Hz */
    uint32_t activity;      /* enum x86_activity */
    uint8_t nmi_blocked;    /* between an NMI's delivery and IRET */
    uint8_t nmi_pending;
    uint8_t interrupt_shadow; /* after STI or MOV SS: one instruction */
    uint8_t reserved;
    struct x86_event pending; /* exception or interrupted delivery to inject at the next entry */
    uint8_t xsave[X86_XSAVE_MAX] __attribute__((aligned(64)));
};

#endif
