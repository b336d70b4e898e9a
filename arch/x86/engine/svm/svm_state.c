// SPDX-License-Identifier: Apache-2.0
// SVM: VMCBs and permission maps of a VM, and copying state between the architectural form and the VMCB.
#include "arch/x86/engine/direct_msrs.h"
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/registers.h"

#include <errno.h>
#include <string.h>

#define EFER_SVME (1ull << 12)

/* Bit number of an MSR's read bit in the permission map; the write bit follows (15.11). */
static unsigned msr_bit(uint32_t msr) {
    if (msr < 0x2000u)
        return msr * 2;
    if (msr - 0xc0000000u < 0x2000u)
        return 0x800 * 8 + (msr - 0xc0000000u) * 2;
    return 0x1000 * 8 + (msr - 0xc0010000u) * 2;
}

static void msr_allow(uint8_t *map, uint32_t msr, bool read, bool write) {
    unsigned bit = msr_bit(msr);
    if (read)
        map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
    if (write)
        map[(bit + 1) / 8] &= (uint8_t) ~(1u << (bit + 1) % 8);
}

int svm_vm_create(struct x86_vm *vm) {
    struct memory_account *account = &vm->core.memory.account;
    struct svm_vm *svm = heap_allocate(sizeof(*svm), account);

    if (!svm)
        return -ENOMEM;
    vm->engine = svm;
    svm->msrpm = heap_pages(1, account);
    svm->iopm = heap_pages(2, account); /* 12 KiB in 16 */
    if (!svm->msrpm || !svm->iopm) {
        svm_vm_destroy(vm);
        return -ENOMEM;
    }
    memset(svm->msrpm, 0xff, 2 * PAGE_SIZE);
    memset(svm->iopm, 0xff, 3 * PAGE_SIZE);
    /* QEMU 7.2 lets MOV to MSR put a non-canonical base into FS, GS and the system-call MSRs, where hardware
     * gives #GP: under an emulator those writes are checked by us. */
    for (unsigned i = 0; i < DIRECT_MSRS; i++)
        msr_allow(svm->msrpm, direct_msrs[i].msr, true, !(svm_emulated && direct_msrs[i].address));
    return 0;
}

void svm_vm_destroy(struct x86_vm *vm) {
    struct memory_account *account = &vm->core.memory.account;
    struct svm_vm *svm = vm->engine;

    if (!svm)
        return;
    if (svm->msrpm)
        heap_pages_free(svm->msrpm, 1, account);
    if (svm->iopm)
        heap_pages_free(svm->iopm, 2, account);
    heap_free(svm, sizeof(*svm), account);
    vm->engine = NULL;
}

/* The interrupt has done what was wanted of it: the guest was left. */
static void entry_over(struct timer *timer) {
    (void)timer;
}

int svm_vcpu_create(struct x86_vcpu *vcpu) {
    struct x86_vm *vm = x86_vm(vcpu->core.vm);
    struct svm_vm *svm_vm = vm->engine;
    struct memory_account *account = &vm->core.memory.account;
    struct svm_vcpu *svm = heap_allocate(sizeof(*svm), account);
    struct vmcb *vmcb = heap_pages(0, account);

    if (!svm || !vmcb) {
        if (svm)
            heap_free(svm, sizeof(*svm), account);
        if (vmcb)
            heap_pages_free(vmcb, 0, account);
        return -ENOMEM;
    }
    svm->vmcb = vmcb;
    svm->vmcb_physical = arch_heap_physical(vmcb);
    for (unsigned i = 0; i < SVM_CODE_PAGES; i++)
        svm->code[i].page = UINT64_MAX;
    timer_init(&svm->retry, entry_over);
    vcpu->engine = svm;

    /* CR8 goes to the software APIC. (QEMU 7.2 also dies of a MOV to CR8 that is not intercepted while a
     * virtual interrupt waits.) */
    vmcb->intercept_cr_read = 1u << 8;
    vmcb->intercept_cr_write = 1u << 8;
    vmcb->intercept_exceptions = EXIT_EXCEPTIONS;
    vmcb->intercept3 = SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_SMI | SVM_INTERCEPT_INIT |
                       SVM_INTERCEPT_RDPMC | SVM_INTERCEPT_CPUID | SVM_INTERCEPT_RSM | SVM_INTERCEPT_INVD |
                       SVM_INTERCEPT_HLT | SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_IOIO | SVM_INTERCEPT_MSR |
                       SVM_INTERCEPT_FERR_FREEZE | SVM_INTERCEPT_SHUTDOWN;
    vmcb->intercept4 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD |
                       SVM_INTERCEPT_VMSAVE | SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI | SVM_INTERCEPT_SKINIT |
                       SVM_INTERCEPT_WBINVD | SVM_INTERCEPT_MONITOR | SVM_INTERCEPT_MWAIT |
                       SVM_INTERCEPT_XSETBV | SVM_INTERCEPT_RDPRU;
    if (!cpu_model_has_rdtscp(vm->model))
        vmcb->intercept4 |= SVM_INTERCEPT_RDTSCP;
    if (svm_features & SVM_FEATURE_PAUSE_FILTER) {
        vmcb->intercept3 |= SVM_INTERCEPT_PAUSE;
        vmcb->pause_count = 3000;
        if (svm_features & SVM_FEATURE_PAUSE_THRESHOLD)
            vmcb->pause_threshold = 128;
    }
    vmcb->iopm = arch_heap_physical(svm_vm->iopm);
    vmcb->msrpm = arch_heap_physical(svm_vm->msrpm);
    vmcb->np_enable = 1;
    vmcb->nested_cr3 = arch_heap_physical(vm->nested.root);
    vmcb->v_interrupt = SVM_V_INTR_MASKING;
    return 0;
}

void svm_vcpu_destroy(struct x86_vcpu *vcpu) {
    struct memory_account *account = &vcpu->core.vm->memory.account;
    struct svm_vcpu *svm = vcpu->engine;

    if (!svm)
        return;
    timer_cancel(&svm->retry);
    heap_pages_free(svm->vmcb, 0, account);
    heap_free(svm, sizeof(*svm), account);
    vcpu->engine = NULL;
}

void svm_fetch(struct x86_vcpu *vcpu, uint32_t groups) {
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    struct x86_system *system = &vcpu->state->system;
    struct x86_msrs *msrs = &vcpu->state->msrs;

    if (groups & X86_STATE_CODE) {
        system->segment[X86_CS] = vmcb->cs;
        system->cpl = vmcb->cpl;
    }
    if (groups & X86_STATE_SEGMENTS & ~X86_STATE_CODE) {
        system->segment[X86_ES] = vmcb->es;
        system->segment[X86_SS] = vmcb->ss;
        system->segment[X86_DS] = vmcb->ds;
        system->segment[X86_FS] = vmcb->fs;
        system->segment[X86_GS] = vmcb->gs;
        system->segment[X86_LDTR] = vmcb->ldtr;
        system->segment[X86_TR] = vmcb->tr;
        system->gdtr.base = vmcb->gdtr.base;
        system->gdtr.limit = vmcb->gdtr.limit;
        system->idtr.base = vmcb->idtr.base;
        system->idtr.limit = vmcb->idtr.limit;
    }
    if (groups & X86_STATE_CONTROL) {
        system->cr0 = vmcb->cr0;
        system->cr2 = vmcb->cr2;
        system->cr3 = vmcb->cr3;
        system->cr4 = vmcb->cr4;
        system->efer = vmcb->efer & ~EFER_SVME;
    }
    if (groups & X86_STATE_DEBUG) {
        vcpu->state->dr6 = vmcb->dr6;
        vcpu->state->dr7 = vmcb->dr7;
    }
    if (groups & X86_STATE_MSRS) {
        msrs->star = vmcb->star;
        msrs->lstar = vmcb->lstar;
        msrs->cstar = vmcb->cstar;
        msrs->sfmask = vmcb->sfmask;
        msrs->kernel_gs_base = vmcb->kernel_gs_base;
        msrs->sysenter_cs = vmcb->sysenter_cs;
        msrs->sysenter_esp = vmcb->sysenter_esp;
        msrs->sysenter_eip = vmcb->sysenter_eip;
        msrs->pat = vmcb->pat;
    }
}

void svm_store(struct x86_vcpu *vcpu, uint32_t groups) {
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    const struct x86_system *system = &vcpu->state->system;
    const struct x86_msrs *msrs = &vcpu->state->msrs;

    if (groups & X86_STATE_SEGMENTS) {
        vmcb->es = system->segment[X86_ES];
        vmcb->cs = system->segment[X86_CS];
        vmcb->ss = system->segment[X86_SS];
        vmcb->ds = system->segment[X86_DS];
        vmcb->fs = system->segment[X86_FS];
        vmcb->gs = system->segment[X86_GS];
        vmcb->ldtr = system->segment[X86_LDTR];
        vmcb->tr = system->segment[X86_TR];
        vmcb->gdtr.base = system->gdtr.base;
        vmcb->gdtr.limit = system->gdtr.limit;
        vmcb->idtr.base = system->idtr.base;
        vmcb->idtr.limit = system->idtr.limit;
        vmcb->cpl = (uint8_t)system->cpl;
        vmcb->clean &= ~(SVM_CLEAN_SEG | SVM_CLEAN_DT);
    }
    if (groups & X86_STATE_CONTROL) {
        vmcb->cr0 = system->cr0;
        vmcb->cr2 = system->cr2;
        vmcb->cr3 = system->cr3;
        vmcb->cr4 = system->cr4;
        vmcb->efer = system->efer | EFER_SVME; /* VMRUN refuses a guest without it (15.5.1) */
        vmcb->clean &= ~(SVM_CLEAN_CR | SVM_CLEAN_CR2);
    }
    if (groups & X86_STATE_DEBUG) {
        vmcb->dr6 = vcpu->state->dr6;
        vmcb->dr7 = vcpu->state->dr7;
        vmcb->clean &= ~SVM_CLEAN_DR;
    }
    if (groups & X86_STATE_MSRS) {
        vmcb->star = msrs->star;
        vmcb->lstar = msrs->lstar;
        vmcb->cstar = msrs->cstar;
        vmcb->sfmask = msrs->sfmask;
        vmcb->kernel_gs_base = msrs->kernel_gs_base;
        vmcb->sysenter_cs = msrs->sysenter_cs;
        vmcb->sysenter_esp = msrs->sysenter_esp;
        vmcb->sysenter_eip = msrs->sysenter_eip;
        vmcb->pat = msrs->pat;
        vmcb->clean &= ~SVM_CLEAN_NP;
    }
}
