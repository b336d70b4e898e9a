// SPDX-License-Identifier: Apache-2.0
// The x86 side of a VM and a vCPU: the architectural state, the local APIC, the PC's parts, what the engines
// share.
#ifndef SAGUARO_ARCH_X86_VM_H
#define SAGUARO_ARCH_X86_VM_H

#include "abi/x86/vcpu.h"
#include "arch/x86/guest/pc.h"
#include "core/vm.h"

/* Requests beside core's (vcpu->requests). */
#define X86_REQUEST_EVENT                                                                                    \
    0x00010000u /* an interrupt may have become deliverable: look at the APIC and the PIC */
#define X86_REQUEST_NMI    0x00020000u
#define X86_REQUEST_INIT   0x00040000u
#define X86_REQUEST_SIPI   0x00080000u /* start at sipi_vector */
#define X86_REQUEST_TLB    0x00100000u /* forget translations before the next entry */

/* Groups of state that the engine keeps in the hardware's structure until somebody needs them; see
 * x86_vcpu_need(). */
#define X86_STATE_CODE     0x10u                    /* CS and cpl: with CONTROL, what tells the mode */
#define X86_STATE_SEGMENTS (X86_STATE_CODE | 0x01u) /* all of system.segment, gdtr, idtr, cpl */
#define X86_STATE_CONTROL  0x02u                    /* system.cr0-cr4, efer */
#define X86_STATE_DEBUG    0x04u                    /* dr6, dr7 */
#define X86_STATE_MSRS                                                                                       \
    0x08u /* what VMSAVE or the VMCS hold: star, lstar, sysenter, kernel_gs_base, pat, ... */
#define X86_STATE_ALL   0x1fu

#define X86_EXIT_CAUSES 24

enum x86_exit_cause {
    EXIT_INTERRUPT,
    EXIT_INTERRUPT_WINDOW,
    EXIT_NMI,
    EXIT_HALT,
    EXIT_CPUID,
    EXIT_MSR,
    EXIT_PORT,
    EXIT_MMIO,
    EXIT_PAGE_FAULT,
    EXIT_CR,
    EXIT_DR,
    EXIT_HYPERCALL,
    EXIT_PAUSE,
    EXIT_XSETBV,
    EXIT_EXCEPTION,
    EXIT_EOI,
    EXIT_CACHE,
    EXIT_SHUTDOWN,
    EXIT_REFUSED,
    EXIT_PAGE_LOG,
    EXIT_OTHER,
    EXIT_CAUSE_COUNT
};

/* One of the last exits, for reports. */
struct x86_exit_record {
    uint64_t rip;
    uint64_t code; /* the engine's own number */
    uint64_t info;
};
#define X86_EXIT_RECORDS 16 /* power of two */

struct x86_cpu_model; /* cpu_model.h */

struct x86_vcpu {
    struct vcpu core;
    struct x86_vcpu_state *state; /* the master copy; a heap object of its own (4 KiB XSAVE area) */
    uint32_t present;             /* X86_STATE_*: groups whose copy in `state` is current */
    uint32_t changed;             /* X86_STATE_*: groups that the engine must load before the next entry */
    struct lapic *lapic;
    void *engine; /* the engine's own vCPU: VMCB or VMCS and friends */
    uint8_t sipi_vector;
    bool fpu_loaded;     /* this vCPU's XSAVE state is in the CPU `core.cpu` */
    uint64_t tsc_offset; /* guest TSC = host TSC (scaled, see x86_vm) + offset */
    uint64_t exits[EXIT_CAUSE_COUNT];
    struct x86_exit_record record[X86_EXIT_RECORDS];
    uint32_t record_next;
    struct x86_event postponed; /* an interrupt whose delivery was cut short by an exception */
    struct emulate *emulate;    /* see engine/mmio.h */
    uint8_t *apic_page;         /* the virtual-APIC page, where the CPU has such; see lapic_page_load() */
    struct pv *pv;              /* kvmclock, PV EOI; see guest/pv.h */
};

struct x86_vm {
    struct vm core;
    struct pc pc;
    struct paging nested; /* NPT or EPT; see nested.h */
    void *nested_retired; /* tables that are unlinked, each with the next one's address first */
    const struct x86_cpu_model *model;
    bool page_log;          /* the CPU logs which pages are written; see dirty.c */
    uint64_t tsc_frequency; /* Hz of the guest's TSC; 0: the host's */
    uint64_t tsc_ratio;     /* guest ticks in a host tick, 16.48; 0: one */
    uint64_t tsc_inverse;   /* host ticks in a guest tick, 16.48, rounded up */
    uint64_t tsc_start;     /* host TSC when the machine was switched on */
    uint64_t tsc_saved;     /* host TSC when its state was saved */
    void *engine;           /* the engine's own VM: permission maps and the like */
};

static inline struct x86_vm *x86_vm(struct vm *vm) {
    return container_of(vm, struct x86_vm, core);
}
static inline struct x86_vcpu *x86_vcpu(struct vcpu *vcpu) {
    return container_of(vcpu, struct x86_vcpu, core);
}

#endif
