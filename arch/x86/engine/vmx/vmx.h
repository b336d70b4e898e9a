// SPDX-License-Identifier: Apache-2.0
// What the VT-x engine's files share: its vCPU and VM, per-CPU data, what this CPU can do.
#ifndef SAGUARO_ARCH_X86_ENGINE_VMX_VMX_H
#define SAGUARO_ARCH_X86_ENGINE_VMX_VMX_H

#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/vmx/vmcs.h"
#include "arch/x86/engine/vmx/vmx_caps.h"
#include "arch/x86/guest/lapic.h"

struct vmx_cpu {
    void *region; /* VMXON's */
    struct vmx_vcpu *current;
    struct x86_vcpu *msr_owner; /* whose system-call MSRs are in the CPU */
};

extern struct vmx_cpu vmx_cpu[MAX_CPUS];
extern struct vmx_caps vmx_caps;
extern struct vmx_controls vmx_controls;

/* What has to be done before the next entry (vmx_vcpu.dirty). */
#define VMX_DIRTY_TLB 0x1u
#define VMX_DIRTY_TSC 0x2u

struct vmx_vcpu {
    void *vmcs;
    uint64_t vmcs_physical;
    uint64_t host_rsp; /* the copies of VMCS fields that enter and run() look at */
    uint64_t rip, rsp, rflags;
    uint32_t interruptibility;
    uint32_t primary;
    uint32_t dirty;
    uint16_t vpid;        /* 0: none */
    bool launched;        /* since the last VMCLEAR */
    bool filled;          /* what does not change is in the VMCS */
    struct cpu *cpu;      /* where it ran last */
    enum lapic_page apic; /* what the CPU does for the local APIC */
    uint64_t eoi_exit[4]; /* what the VMCS has */
    uint32_t secondary;   /* without what `apic` adds */
    uint64_t cr4_owned;   /* bits of CR4 that are ours: the guest sees the shadow's */
    uint64_t *page_log;   /* page-modification log; NULL: the CPU has none */
    bool logging;         /* it is switched on */
};

struct vmx_vm {
    uint8_t *msr_bitmap;  /* 24.6.9 */
    uint8_t *apic_bitmap; /* with the x2APIC registers that the CPU takes care of */
    uint64_t eptp;
    void *apic_access; /* the page whose accesses the CPU virtualizes in xAPIC mode; NULL: none */
    bool apic_mapped;  /* EPT has it at PC_LAPIC_BASE: all vCPUs' APICs are there */
};

/* Bits of CR0 that are ours. NE has to be set in VMX operation (23.8); CD and NW are not switched by entries
 * and exits, so that a guest's would hold for the host. */
#define VMX_CR0_OWNED (CR0_NE | CR0_CD | CR0_NW)

/* enter.S */
unsigned vmx_enter(struct x86_registers *registers, bool launched, uint64_t *host_rsp);
extern const char vmx_exit_point[];

/* vmx_state.c */
void vmx_fetch(struct x86_vcpu *vcpu, uint32_t groups);
void vmx_store(struct x86_vcpu *vcpu, uint32_t groups);
/* What is in the CPU alone: CR2 and DR6, which all vCPUs share; the system-call MSRs. */
void vmx_load_registers(const struct x86_vcpu_state *state);
void vmx_load_msrs(const struct x86_msrs *msrs);
/* Has the next entry deliver state->pending, which is valid. The VMCS has the interruptibility already. */
void vmx_inject(const struct x86_vcpu_state *state);

/* vmx_setup.c */
int vmx_vm_create(struct x86_vm *vm);
void vmx_vm_destroy(struct x86_vm *vm);
int vmx_vcpu_create(struct x86_vcpu *vcpu);
void vmx_vcpu_destroy(struct x86_vcpu *vcpu);
/* The VMCS is current: all that does not change, once; and what belongs to this CPU. */
void vmx_fill(struct x86_vcpu *vcpu);
void vmx_fill_host(struct vmx_vcpu *vmx);

/* vmx_apic.c */
bool vmx_apic_load(struct x86_vcpu *vcpu);
/* All vCPUs' APICs may have moved: the page is put into the guest's memory, or taken out of it. */
void vmx_apic_place(struct x86_vcpu *vcpu);
/* What the secondary controls have for `apic`. */
uint32_t vmx_apic_secondary(enum lapic_page apic);

/* vmx_log.c */
bool vmx_page_log(void);
int vmx_log_create(struct x86_vcpu *vcpu); /* 0 or -ENOMEM */
void vmx_log_destroy(struct x86_vcpu *vcpu);
/* The VMCS is current. Switches the log on or off as the VM wants it. */
void vmx_log_switch(struct x86_vcpu *vcpu);
/* With it on: what the CPU has logged goes to the VM's log. */
void vmx_log_drain(struct x86_vcpu *vcpu);

/* vmx_exit.c */
enum engine_next vmx_exit(struct x86_vcpu *vcpu, uint32_t reason);
const char *vmx_exit_name(uint64_t code);

/* vmx_cr.c */
void vmx_cr_access(struct x86_vcpu *vcpu, uint64_t qualification, unsigned length);

static inline struct vmx_vcpu *vmx_vcpu(struct x86_vcpu *vcpu) {
    return vcpu->engine;
}

#endif
