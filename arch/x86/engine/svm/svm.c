// SPDX-License-Identifier: Apache-2.0
// The SVM engine: what this CPU offers, switching it on, address-space identifiers, and the way into a guest
// and back (AMD APM vol. 2, ch. 15).
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/fixup.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/paging_formats.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MSR_VM_CR       0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define MSR_TSC_AUX     0xc0000103u
#define VM_CR_SVMDIS    (1ull << 4)
#define EFER_SVME       (1ull << 12)
#define COUNTED_SAMPLES 32u
#define NMI_RETRY       50000ull /* ns: time for an entry and an instruction, also under an emulator */

uint32_t svm_features;
uint32_t svm_asids;
bool svm_emulated;
bool svm_virtual_injection;
struct svm_cpu svm_cpu[MAX_CPUS];

/* True for an emulator that counts instructions and derives the TSC from them (QEMU's -icount): nothing else
 * takes the same time over and over. */
static bool instructions_counted(void) {
    uint64_t before = tsc_read(), last = tsc_read(), step = last - before;
    for (unsigned i = 0; i < COUNTED_SAMPLES; i++) {
        /* Twice at once: the loop's own instructions do not matter. */
        before = tsc_read();
        last = tsc_read();
        if (last - before != step)
            return false;
    }
    return true;
}

static int probe(char *why, size_t size) {
    uint64_t vm_cr;

    if (cpuid_read(0x80000000u, 0).eax < 0x8000000au || !(cpuid_read(0x80000001u, 0).ecx & 1u << 2))
        return -ENODEV;
    if (rdmsr_safe(MSR_VM_CR, &vm_cr) == 0 && (vm_cr & VM_CR_SVMDIS)) {
        snprintf(why, size, "SVM is switched off by the firmware: enable \"SVM\" or \"AMD-V\" in its set-up");
        return -ENOTSUP;
    }
    struct cpuid_registers leaf = cpuid_read(0x8000000au, 0);
    if (!(leaf.edx & SVM_FEATURE_NP)) {
        snprintf(why, size, "this CPU's SVM has no nested paging, which Saguaro needs");
        return -ENOTSUP;
    }
    if (leaf.ebx < 2) {
        snprintf(why, size, "this CPU's SVM offers %u address-space identifiers; two are needed", leaf.ebx);
        return -ENOTSUP;
    }
    svm_features = leaf.edx;
    svm_asids = leaf.ebx;
    svm_emulated = cpu_model_emulated();
    svm_virtual_injection = svm_emulated;
    x86_eoi_exits = svm_emulated && !instructions_counted();
    return 0;
}

static int cpu_enable(void) {
    struct svm_cpu *svm = &svm_cpu[cpu_this()->number];

    svm->host_save = heap_pages(0, NULL);
    svm->host = heap_pages(0, NULL);
    if (!svm->host_save || !svm->host)
        return -ENOMEM;
    svm->host_physical = arch_heap_physical(svm->host);
    svm->generation = 1;
    svm->next_asid = 1;
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
    msr_write(MSR_VM_HSAVE_PA, arch_heap_physical(svm->host_save));
    /* The host's side of VMLOAD does not change from here on. */
    __asm__ volatile("vmsave %%rax" ::"a"(svm->host_physical) : "memory");
    return 0;
}

static const struct paging_format *nested_format(void) {
    return &paging_npt_format;
}

static unsigned nested_largest(void) {
    /* 1 GiB pages: CPUID 8000_0001 EDX[26]; nested tables follow the host's capability (15.25.7). */
    return cpuid_read(0x80000001u, 0).edx & 1u << 26 ? HUGE_PAGE_SHIFT : LARGE_PAGE_SHIFT;
}

static void vcpu_load(struct x86_vcpu *vcpu) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct cpu *cpu = vcpu->core.cpu;

    for (unsigned i = 0; i < SVM_CODE_PAGES; i++)
        svm->code[i].sequence = UINT64_MAX;
    if (svm->cpu != cpu) {
        svm->cpu = cpu;
        svm->asid_generation = 0;
        svm->vmcb->clean = 0;
    }
}

/*
 * QEMU 7.2: VMRUN with V_IRQ set rewrites the CPU's word of pending requests without a lock (helper_vmrun()),
 * and may take out of it that an interrupt has just reached the local APIC. Nothing looks there again before
 * the next interrupt: the host's timer, once lost so, stops. A write to TPR makes QEMU look. That is done
 * after each entry with V_IRQ, and when a vCPU leaves the CPU.
 */
static void recheck(void) {
    if (svm_emulated)
        host_apic_recheck();
}

/*
 * QEMU 7.2: an FXRSTOR or XRSTOR on another CPU rewrites a word of the first CPU's state without a lock
 * (cpu_clear_ignne()), and may take out of it that STGI has just set GIF. The next VMRUN sets it, too; but a
 * CPU that goes to sleep before that wakes no more. So it is set once more when a vCPU leaves the CPU.
 */
static void vcpu_put(struct x86_vcpu *vcpu) {
    x86_need(vcpu, X86_STATE_ALL);
    if (svm_emulated)
        svm_set_gif();
    recheck();
}

/* A new ASID from this CPU. When they are used up, all are forgotten and a new generation begins. */
static void asid_assign(struct svm_vcpu *svm, struct svm_cpu *cpu) {
    if (cpu->next_asid >= svm_asids) {
        cpu->next_asid = 1;
        cpu->generation++;
        svm->vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
    }
    svm->vmcb->asid = cpu->next_asid++;
    svm->asid_generation = cpu->generation;
    svm->vmcb->clean &= ~SVM_CLEAN_ASID;
    svm->uncommon &= (uint8_t)~SVM_FLUSH;
}

/* Waits for the moment when the guest could take an interrupt: a virtual one that is intercepted (15.21.4).
 * Its vector is never used. */
static void interrupt_window(struct x86_vcpu *vcpu) {
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

    vmcb->v_interrupt |= SVM_V_IRQ | SVM_V_IGNORE_TPR | 0xfull << SVM_V_PRIO_SHIFT;
    vmcb->intercept3 |= SVM_INTERCEPT_VINTR;
    vmcb->clean &= ~(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
    if (svm_emulated)
        svm_vcpu(vcpu)->uncommon |= SVM_WINDOW;
}

/*
 * QEMU 7.2: VMRUN that injects an external interrupt leaves its vector in the CPU's exception_index
 * (helper_vmrun()), until the next exit. If the CPU's thread is to leave its loop for anything but an
 * interrupt that it has seen already - with -icount, whenever a timer is due; else for a change of the
 * memory map, another CPU's wish to be alone, or an interrupt that comes between two looks of its own - that
 * is taken for an exception of the guest, and the same vector comes once more, whatever IF says. So there an
 * interrupt is injected as a virtual one (15.21.4), which is taken before the guest's first instruction; if
 * something else comes first, it is still there at the exit. V_IRQ has a fault of its own, see recheck():
 * with a thread for each CPU the end of each interrupt is an exit (x86_eoi_exits), which comes soon.
 */
static void inject_virtual(const struct x86_vcpu *vcpu, struct svm_vcpu *svm, uint8_t vector) {
    struct vmcb *vmcb = svm->vmcb;

    svm->uncommon |= SVM_INJECTION;
    svm->injected_rip = vcpu->state->registers.rip;
    svm->injected_rsp = vcpu->state->registers.gpr[X86_RSP];
    svm->window = (vmcb->intercept3 & SVM_INTERCEPT_VINTR) != 0;
    vmcb->intercept3 &= ~SVM_INTERCEPT_VINTR;
    vmcb->v_interrupt &= ~SVM_V_VECTOR_MASK;
    vmcb->v_interrupt |=
        SVM_V_IRQ | SVM_V_IGNORE_TPR | 0xfull << SVM_V_PRIO_SHIFT | (uint64_t)vector << SVM_V_VECTOR_SHIFT;
    vmcb->clean &= ~(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

/* QEMU 7.2: what loses an interrupt of the host's (see recheck()) may as well lose the virtual one, when the
 * host's comes at that very moment: that is then the exit, before the guest's first instruction. Had it been
 * taken, the guest would be in its handler: that cannot have come back, if the end of an interrupt exits. */
static bool injection_lost(const struct x86_vcpu *vcpu, const struct svm_vcpu *svm) {
    const struct x86_registers *registers = &vcpu->state->registers;

    return x86_eoi_exits && svm->vmcb->exit_code == SVM_EXIT_INTR && (registers->rflags & RFLAGS_IF) &&
           registers->rip == svm->injected_rip && registers->gpr[X86_RSP] == svm->injected_rsp;
}

static void inject_virtual_end(struct x86_vcpu *vcpu, struct svm_vcpu *svm) {
    struct vmcb *vmcb = svm->vmcb;

    svm->uncommon &= (uint8_t)~SVM_INJECTION;
    if ((vmcb->v_interrupt & SVM_V_IRQ) || injection_lost(vcpu, svm)) {
        const struct x86_event event = {
            .type = X86_EVENT_INTERRUPT,
            .vector = (uint8_t)(vmcb->v_interrupt >> SVM_V_VECTOR_SHIFT),
        };
        x86_interrupted(vcpu, x86_event_info(&event), 0);
    }
    vmcb->v_interrupt &= ~SVM_V_IRQ;
    vmcb->clean &= ~SVM_CLEAN_TPR;
    if (svm->window)
        interrupt_window(vcpu);
}

/* The uncommon things that precede an entry. */
static void prepare(struct x86_vcpu *vcpu, struct svm_vcpu *svm, struct svm_cpu *cpu) {
    struct vmcb *vmcb = svm->vmcb;
    const struct x86_event *event = &vcpu->state->pending;

    if (svm->asid_generation != cpu->generation) {
        asid_assign(svm, cpu);
    } else if (svm->uncommon & SVM_FLUSH) {
        svm->uncommon &= (uint8_t)~SVM_FLUSH;
        if (svm_features & SVM_FEATURE_FLUSH_ASID)
            vmcb->tlb_control = SVM_TLB_FLUSH_ASID;
        else
            asid_assign(svm, cpu); /* an unused ASID knows nothing */
    }
    if (vcpu->changed) {
        svm_store(vcpu, vcpu->changed);
        vcpu->changed = 0;
    }
    if (event->valid) {
        if (event->type == X86_EVENT_INTERRUPT && svm_virtual_injection)
            inject_virtual(vcpu, svm, event->vector);
        else
            vmcb->event_injection =
                x86_event_info(event) | (event->has_error ? (uint64_t)event->error << 32 : 0);
        vcpu->state->pending.valid = 0;
    }
}

/* Into the guest and back. */
static inline __attribute__((always_inline)) void enter(struct x86_vcpu *vcpu, const struct svm_vcpu *svm,
                                                        const struct svm_cpu *cpu) {
    struct x86_registers *registers = &vcpu->state->registers;
    struct vmcb *vmcb = svm->vmcb;

    vmcb->rax = registers->gpr[X86_RAX];
    vmcb->rsp = registers->gpr[X86_RSP];
    vmcb->rip = registers->rip;
    vmcb->rflags = registers->rflags;
    vmcb->interrupt_shadow = vcpu->state->interrupt_shadow;

    svm_enter(registers, svm->vmcb_physical, cpu->host_physical, vmcb->interrupt_shadow);

    __atomic_store_n(&vcpu->core.in_guest, 0, __ATOMIC_RELEASE);
    registers->gpr[X86_RAX] = vmcb->rax;
    registers->gpr[X86_RSP] = vmcb->rsp;
    registers->rip = vmcb->rip;
    registers->rflags = vmcb->rflags;
    vcpu->state->interrupt_shadow = vmcb->interrupt_shadow & 1;
    vcpu->present = 0;
    vmcb->event_injection = 0;
    vmcb->tlb_control = SVM_TLB_KEEP;
    vmcb->clean = SVM_CLEAN_ALL;
    if (__builtin_expect((vmcb->exit_interrupt_info & SVM_EVENT_VALID) != 0, 0))
        x86_interrupted(vcpu, (uint32_t)vmcb->exit_interrupt_info,
                        (uint32_t)(vmcb->exit_interrupt_info >> 32));
}

static enum engine_next __attribute__((noinline))
run_uncommon(struct x86_vcpu *vcpu, struct svm_vcpu *svm, struct svm_cpu *cpu) {
    prepare(vcpu, svm, cpu);
    bool virtual = svm->uncommon & (SVM_INJECTION | SVM_WINDOW);
    enter(vcpu, svm, cpu);
    if (svm->uncommon & SVM_INJECTION)
        inject_virtual_end(vcpu, svm);
    if (virtual)
        recheck();
    return svm_exit(vcpu, svm);
}

static enum engine_next run(struct x86_vcpu *vcpu) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct svm_cpu *cpu = &svm_cpu[svm->cpu->number];

    if (__builtin_expect((svm->asid_generation ^ cpu->generation) | vcpu->changed |
                             vcpu->state->pending.valid | svm->uncommon,
                         0))
        return run_uncommon(vcpu, svm, cpu);
    enter(vcpu, svm, cpu);
    return svm_exit(vcpu, svm);
}

static bool interruptible(struct x86_vcpu *vcpu) {
    return (vcpu->state->registers.rflags & RFLAGS_IF) && !vcpu->state->pending.valid &&
           !vcpu->state->interrupt_shadow;
}

static bool nmi_open(struct x86_vcpu *vcpu) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);

    if (vcpu->state->nmi_blocked || svm->stepping)
        return false; /* IRET exits, or one more instruction does */
    if (!vcpu->state->pending.valid && !vcpu->state->interrupt_shadow)
        return true;
    /* Behind the event or the instruction that is first; nothing but an interrupt of ours ends that entry. */
    if (!timer_armed(&svm->retry) || svm->retry.cpu != cpu_this())
        timer_arm(&svm->retry, time_now() + NMI_RETRY);
    return false;
}

static void nmi_injected(struct x86_vcpu *vcpu) {
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

    vmcb->intercept3 |= SVM_INTERCEPT_IRET;
    vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}

static void reset(struct x86_vcpu *vcpu) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct vmcb *vmcb = svm->vmcb;

    svm->stepping = false;
    svm->uncommon &= SVM_FLUSH;
    vmcb->v_interrupt &= ~SVM_V_IRQ;
    vmcb->intercept3 &= ~(SVM_INTERCEPT_VINTR | SVM_INTERCEPT_IRET);
    if (vcpu->state->nmi_blocked)
        vmcb->intercept3 |= SVM_INTERCEPT_IRET;
    vmcb->clean &= ~(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

static void tlb_flush(struct x86_vcpu *vcpu) {
    svm_vcpu(vcpu)->uncommon |= SVM_FLUSH;
}

static void tsc_offset(struct x86_vcpu *vcpu) {
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    vmcb->tsc_offset = vcpu->tsc_offset;
    vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}

const struct engine svm_engine = {
    .name = "SVM",
    .probe = probe,
    .cpu_enable = cpu_enable,
    .nested_format = nested_format,
    .nested_largest = nested_largest,
    .vm_create = svm_vm_create,
    .vm_destroy = svm_vm_destroy,
    .vcpu_create = svm_vcpu_create,
    .vcpu_destroy = svm_vcpu_destroy,
    .vcpu_load = vcpu_load,
    .vcpu_put = vcpu_put,
    .fetch = svm_fetch,
    .run = run,
    .interruptible = interruptible,
    .interrupt_window = interrupt_window,
    .nmi_open = nmi_open,
    .nmi_injected = nmi_injected,
    .reset = reset,
    .tlb_flush = tlb_flush,
    .tsc_offset = tsc_offset,
    .exit_name = svm_exit_name,
};
