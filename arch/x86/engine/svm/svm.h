// SPDX-License-Identifier: Apache-2.0
// What the SVM engine's files share: its vCPU and VM, per-CPU data, the features of this CPU.
#ifndef SAGUARO_ARCH_X86_ENGINE_SVM_SVM_H
#define SAGUARO_ARCH_X86_ENGINE_SVM_SVM_H

#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/svm/vmcb.h"

/* CPUID 8000_000A EDX. */
#define SVM_FEATURE_NP              (1u << 0)
#define SVM_FEATURE_NRIP            (1u << 3)
#define SVM_FEATURE_CLEAN           (1u << 5)
#define SVM_FEATURE_FLUSH_ASID      (1u << 6)
#define SVM_FEATURE_PAUSE_FILTER    (1u << 10)
#define SVM_FEATURE_PAUSE_THRESHOLD (1u << 12)

extern uint32_t svm_features;
extern uint32_t svm_asids;         /* number of ASIDs; 0 is the host's */
extern bool svm_emulated;          /* cpu_model_emulated(), which asks CPUID, found once by probe() */
extern bool svm_virtual_injection; /* see inject_virtual() */

/* A page that exits came from, for CPUs without NRIP save (svm_length.h). */
struct svm_code {
    uint64_t page; /* linear page, with bit 10 set in 64-bit mode; UINT64_MAX: nothing known */
    uint64_t base; /* CS base in the other modes */
    uint64_t cr3;
    uint64_t physical;
    const uint8_t *window; /* this CPU's onto it while its window_sequence is `sequence` */
    uint64_t sequence;
    uint64_t unused[2]; /* a power of two finds it faster */
};
#define SVM_CODE_PAGES 8u /* a kernel's exits come from a handful of places */

/* What makes an entry an uncommon one. */
#define SVM_FLUSH      1u /* the TLB before it */
#define SVM_INJECTION  2u /* an interrupt is injected as a virtual one, see inject_virtual() */
#define SVM_WINDOW     4u /* V_IRQ is set, and this is an emulator: see recheck() */

struct svm_vcpu {
    struct vmcb *vmcb;
    uint64_t vmcb_physical;
    uint64_t asid_generation; /* of the CPU in `cpu`; another one: needs a new ASID */
    struct cpu *cpu;          /* where the VMCB ran last */
    struct svm_code code[SVM_CODE_PAGES];
    uint8_t uncommon;                    /* SVM_FLUSH and those below it */
    bool window;                         /* and the window for the next one is to be waited for behind it */
    uint64_t injected_rip, injected_rsp; /* where the guest stood at the injection */
    bool stepping;                       /* one instruction with TF, to open NMIs behind an IRET */
    uint64_t stepping_dr6;               /* DR6 before that */
    struct timer retry;                  /* ends the entry that an NMI has to wait for */
};

struct svm_vm {
    uint8_t *msrpm; /* 2 pages: two bits an MSR (15.11) */
    uint8_t *iopm;  /* 3 pages: a bit a port (15.10.1) */
};

struct svm_cpu {
    void *host_save;   /* VM_HSAVE_PA */
    struct vmcb *host; /* for VMSAVE and VMLOAD of the host's own state */
    uint64_t host_physical;
    uint64_t generation; /* of ASIDs */
    uint32_t next_asid;
};

extern struct svm_cpu svm_cpu[MAX_CPUS];

void svm_enter(struct x86_registers *registers, uint64_t guest_vmcb, uint64_t host_vmcb,
               uint64_t interrupt_shadow);
void svm_set_gif(void); /* STGI, which svm_enter() ends with, once more */

/* svm_state.c */
void svm_fetch(struct x86_vcpu *vcpu, uint32_t groups);
void svm_store(struct x86_vcpu *vcpu, uint32_t groups);
int svm_vm_create(struct x86_vm *vm);
void svm_vm_destroy(struct x86_vm *vm);
int svm_vcpu_create(struct x86_vcpu *vcpu);
void svm_vcpu_destroy(struct x86_vcpu *vcpu);

/* svm_exit.c */
enum engine_next svm_exit(struct x86_vcpu *vcpu, struct svm_vcpu *svm);
const char *svm_exit_name(uint64_t code);

static inline struct svm_vcpu *svm_vcpu(struct x86_vcpu *vcpu) {
    return vcpu->engine;
}

#endif
