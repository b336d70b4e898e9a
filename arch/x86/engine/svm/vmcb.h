// SPDX-License-Identifier: Apache-2.0
// The virtual machine control block (AMD APM vol. 2, appendix B) and the codes of its exits (appendix C).
#ifndef SAGUARO_ARCH_X86_ENGINE_SVM_VMCB_H
#define SAGUARO_ARCH_X86_ENGINE_SVM_VMCB_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/x86/vcpu.h"

/* Intercepts, word 3 (offset 0x00c). */
#define SVM_INTERCEPT_INTR        (1u << 0)
#define SVM_INTERCEPT_NMI         (1u << 1)
#define SVM_INTERCEPT_SMI         (1u << 2)
#define SVM_INTERCEPT_INIT        (1u << 3)
#define SVM_INTERCEPT_VINTR       (1u << 4)
#define SVM_INTERCEPT_RDPMC       (1u << 15)
#define SVM_INTERCEPT_CPUID       (1u << 18)
#define SVM_INTERCEPT_RSM         (1u << 19)
#define SVM_INTERCEPT_IRET        (1u << 20)
#define SVM_INTERCEPT_INVD        (1u << 22)
#define SVM_INTERCEPT_PAUSE       (1u << 23)
#define SVM_INTERCEPT_HLT         (1u << 24)
#define SVM_INTERCEPT_INVLPGA     (1u << 26)
#define SVM_INTERCEPT_IOIO        (1u << 27)
#define SVM_INTERCEPT_MSR         (1u << 28)
#define SVM_INTERCEPT_FERR_FREEZE (1u << 30)
#define SVM_INTERCEPT_SHUTDOWN    (1u << 31)

/* Intercepts, word 4 (offset 0x010). */
#define SVM_INTERCEPT_VMRUN       (1u << 0)
#define SVM_INTERCEPT_VMMCALL     (1u << 1)
#define SVM_INTERCEPT_VMLOAD      (1u << 2)
#define SVM_INTERCEPT_VMSAVE      (1u << 3)
#define SVM_INTERCEPT_STGI        (1u << 4)
#define SVM_INTERCEPT_CLGI        (1u << 5)
#define SVM_INTERCEPT_SKINIT      (1u << 6)
#define SVM_INTERCEPT_RDTSCP      (1u << 7)
#define SVM_INTERCEPT_WBINVD      (1u << 9)
#define SVM_INTERCEPT_MONITOR     (1u << 10)
#define SVM_INTERCEPT_MWAIT       (1u << 11)
#define SVM_INTERCEPT_XSETBV      (1u << 13)
#define SVM_INTERCEPT_RDPRU       (1u << 14)

/* Virtual interrupt control (offset 0x060). */
#define SVM_V_TPR_MASK            0xffull
#define SVM_V_IRQ                 (1ull << 8)
#define SVM_V_PRIO_SHIFT          16
#define SVM_V_IGNORE_TPR          (1ull << 20)
#define SVM_V_INTR_MASKING        (1ull << 24)
#define SVM_V_VECTOR_SHIFT        32
#define SVM_V_VECTOR_MASK         (0xffull << SVM_V_VECTOR_SHIFT)

/* EVENTINJ and EXITINTINFO (15.20): see x86_event_info(). */
#define SVM_EVENT_VALID           (1ull << 31)

#define SVM_TLB_KEEP              0
#define SVM_TLB_FLUSH_ALL         1
#define SVM_TLB_FLUSH_ASID        3 /* needs flush-by-ASID */

/* VMCB clean bits (15.15): 1 means unchanged since this VMCB last ran on this CPU. */
#define SVM_CLEAN_INTERCEPTS      (1u << 0)
#define SVM_CLEAN_IOPM            (1u << 1)
#define SVM_CLEAN_ASID            (1u << 2)
#define SVM_CLEAN_TPR             (1u << 3)
#define SVM_CLEAN_NP              (1u << 4)
#define SVM_CLEAN_CR              (1u << 5)
#define SVM_CLEAN_DR              (1u << 6)
#define SVM_CLEAN_DT              (1u << 7)
#define SVM_CLEAN_SEG             (1u << 8)
#define SVM_CLEAN_CR2             (1u << 9)
#define SVM_CLEAN_LBR             (1u << 10)
#define SVM_CLEAN_ALL             0x7ffu

/* Exit codes. */
#define SVM_EXIT_CR0_READ         0x000
#define SVM_EXIT_CR8_READ         0x008
#define SVM_EXIT_CR8_WRITE        0x018
#define SVM_EXIT_EXCEPTION        0x040 /* + vector */
#define SVM_EXIT_INTR             0x060
#define SVM_EXIT_NMI              0x061
#define SVM_EXIT_SMI              0x062
#define SVM_EXIT_INIT             0x063
#define SVM_EXIT_VINTR            0x064
#define SVM_EXIT_RDPMC            0x06f
#define SVM_EXIT_CPUID            0x072
#define SVM_EXIT_RSM              0x073
#define SVM_EXIT_IRET             0x074
#define SVM_EXIT_INVD             0x076
#define SVM_EXIT_PAUSE            0x077
#define SVM_EXIT_HLT              0x078
#define SVM_EXIT_INVLPGA          0x07a
#define SVM_EXIT_IOIO             0x07b
#define SVM_EXIT_MSR              0x07c
#define SVM_EXIT_FERR_FREEZE      0x07e
#define SVM_EXIT_SHUTDOWN         0x07f
#define SVM_EXIT_VMRUN            0x080
#define SVM_EXIT_VMMCALL          0x081
#define SVM_EXIT_VMLOAD           0x082
#define SVM_EXIT_VMSAVE           0x083
#define SVM_EXIT_STGI             0x084
#define SVM_EXIT_CLGI             0x085
#define SVM_EXIT_SKINIT           0x086
#define SVM_EXIT_WBINVD           0x089
#define SVM_EXIT_MONITOR          0x08a
#define SVM_EXIT_MWAIT            0x08b
#define SVM_EXIT_XSETBV           0x08d
#define SVM_EXIT_RDPRU            0x08e
#define SVM_EXIT_COUNT            0x090 /* the table's size: codes above are few */
#define SVM_EXIT_NPF              0x400
#define SVM_EXIT_INVALID          0xffffffffffffffffull

/* EXITINFO1 of IOIO (15.10.2). */
#define SVM_IO_IN                 (1u << 0)
#define SVM_IO_STRING             (1u << 2)
#define SVM_IO_SIZE_SHIFT         4 /* three bits: 1, 2, 4 bytes */
#define SVM_IO_PORT_SHIFT         16

/* EXITINFO1 of a nested page fault (15.25.6): a page-fault error code, and: */
#define SVM_NPF_WRITE             (1u << 1)
#define SVM_NPF_FETCH             (1u << 4)
#define SVM_NPF_TABLE             (1ull << 33) /* the access was the CPU's own, to the guest's page tables */

struct vmcb {
    /* Control area */
    uint16_t intercept_cr_read;
    uint16_t intercept_cr_write;
    uint16_t intercept_dr_read;
    uint16_t intercept_dr_write;
    uint32_t intercept_exceptions;
    uint32_t intercept3;
    uint32_t intercept4;
    uint32_t intercept5;
    uint8_t reserved_018[0x03c - 0x018];
    uint16_t pause_threshold;
    uint16_t pause_count;
    uint64_t iopm;
    uint64_t msrpm;
    uint64_t tsc_offset;
    uint32_t asid;
    uint8_t tlb_control;
    uint8_t reserved_05d[3];
    uint64_t v_interrupt;
    uint64_t interrupt_shadow;
    uint64_t exit_code;
    uint64_t exit_info1;
    uint64_t exit_info2;
    uint64_t exit_interrupt_info;
    uint64_t np_enable;
    uint64_t avic_bar;
    uint64_t ghcb;
    uint64_t event_injection;
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint32_t clean;
    uint32_t reserved_0c4;
    uint64_t next_rip;
    uint8_t fetched;
    uint8_t instruction[15];
    uint8_t reserved_0e0[0x400 - 0x0e0];

    /* State save area */
    struct x86_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_4a0[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved_4cc;
    uint64_t efer;
    uint8_t reserved_4d8[0x548 - 0x4d8];
    uint64_t cr4;
    uint64_t cr3;
    uint64_t cr0;
    uint64_t dr7;
    uint64_t dr6;
    uint64_t rflags;
    uint64_t rip;
    uint8_t reserved_580[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved_5e0[0x5f8 - 0x5e0];
    uint64_t rax;
    uint64_t star;
    uint64_t lstar;
    uint64_t cstar;
    uint64_t sfmask;
    uint64_t kernel_gs_base;
    uint64_t sysenter_cs;
    uint64_t sysenter_esp;
    uint64_t sysenter_eip;
    uint64_t cr2;
    uint8_t reserved_648[0x668 - 0x648];
    uint64_t pat;
    uint64_t debug_control;
    uint8_t reserved_678[0x1000 - 0x678];
};

static_assert(offsetof(struct vmcb, iopm) == 0x040, "VMCB layout");
static_assert(offsetof(struct vmcb, asid) == 0x058, "VMCB layout");
static_assert(offsetof(struct vmcb, exit_code) == 0x070, "VMCB layout");
static_assert(offsetof(struct vmcb, event_injection) == 0x0a8, "VMCB layout");
static_assert(offsetof(struct vmcb, clean) == 0x0c0, "VMCB layout");
static_assert(offsetof(struct vmcb, next_rip) == 0x0c8, "VMCB layout");
static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB layout");
static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB layout");
static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB layout");
static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB layout");
static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB layout");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB layout");
static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB layout");
static_assert(sizeof(struct vmcb) == 0x1000, "VMCB layout");

#endif
