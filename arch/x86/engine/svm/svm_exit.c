// SPDX-License-Identifier: Apache-2.0
// SVM: exits by code. What has a meaning beyond SVM goes on in engine/exit.c; here its operands are found.
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/engine/exit_inline.h"
#include "arch/x86/engine/svm/svm_length.h"
#include "arch/x86/traps.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#include <stdio.h>

#define DR6_BREAKPOINTS 0xfull
#define DR6_BS          (1ull << 14)
#define DR7_GD          (1ull << 13)

typedef enum engine_next (*exit_handler)(struct x86_vcpu *vcpu, struct vmcb *vmcb);

/* Opcodes as they lie in memory. */
#define OPCODE_CPUID   0xa20fu
#define OPCODE_RDMSR   0x320fu
#define OPCODE_WRMSR   0x300fu
#define OPCODE_HLT     0xf4u
#define OPCODE_VMMCALL 0xd9010fu
#define OPCODE_XSETBV  0xd1010fu
#define OPCODE_WBINVD  0x090fu
#define OPCODE_INVD    0x080fu

/* Length of the instruction that exited: the CPU tells (NRIP save), or its bytes do. 0: enter again. */
static inline unsigned length_of(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode,
                                 unsigned opcode_length) {
    if (svm_features & SVM_FEATURE_NRIP)
        return (unsigned)(vmcb->next_rip - vcpu->state->registers.rip);
    return svm_length(vcpu, vmcb, opcode, opcode_length);
}

static enum engine_next on_cpuid(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    unsigned length = length_of(vcpu, vmcb, OPCODE_CPUID, 2);
    x86_exit_note(vcpu, EXIT_CPUID, SVM_EXIT_CPUID, vcpu->state->registers.gpr[X86_RAX]);
    if (length)
        exit_cpuid(vcpu, length);
    return ENGINE_AGAIN;
}

static enum engine_next on_msr(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    bool write = vmcb->exit_info1 & 1;
    unsigned length = length_of(vcpu, vmcb, write ? OPCODE_WRMSR : OPCODE_RDMSR, 2);
    x86_exit_note(vcpu, EXIT_MSR, SVM_EXIT_MSR, vcpu->state->registers.gpr[X86_RCX]);
    if (!length)
        return ENGINE_AGAIN;
    if (write)
        exit_msr_write(vcpu, length);
    else
        exit_msr_read(vcpu, length);
    return ENGINE_AGAIN;
}

static enum engine_next on_port(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    uint32_t info = (uint32_t)vmcb->exit_info1;
    x86_exit_note(vcpu, EXIT_PORT, SVM_EXIT_IOIO, info);
    if (info & SVM_IO_STRING)
        return exit_emulate(vcpu);
    /* EXITINFO2 is the next RIP, whatever else the CPU has (15.10.2). */
    return exit_port(vcpu, (uint16_t)(info >> SVM_IO_PORT_SHIFT), info >> SVM_IO_SIZE_SHIFT & 7,
                     info & SVM_IO_IN, (unsigned)(vmcb->exit_info2 - vcpu->state->registers.rip));
}

static enum engine_next on_nested_fault(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_MMIO, SVM_EXIT_NPF, vmcb->exit_info2);
    if (vmcb->exit_info1 & SVM_NPF_TABLE)
        return exit_nested_table_fault(vcpu, vmcb->exit_info2);
    return exit_nested_fault(vcpu, vmcb->exit_info2, vmcb->exit_info1 & SVM_NPF_WRITE,
                             vmcb->exit_info1 & SVM_NPF_FETCH);
}

static enum engine_next on_halt(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    unsigned length = length_of(vcpu, vmcb, OPCODE_HLT, 1);
    x86_exit_note(vcpu, EXIT_HALT, SVM_EXIT_HLT, 0);
    return length ? exit_halt(vcpu, length) : ENGINE_AGAIN;
}

static enum engine_next on_hypercall(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    unsigned length = length_of(vcpu, vmcb, OPCODE_VMMCALL, 3);
    x86_exit_note(vcpu, EXIT_HYPERCALL, SVM_EXIT_VMMCALL, vcpu->state->registers.gpr[X86_RAX]);
    return length ? exit_hypercall(vcpu, length) : ENGINE_AGAIN;
}

static enum engine_next on_xsetbv(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    unsigned length = length_of(vcpu, vmcb, OPCODE_XSETBV, 3);
    x86_exit_note(vcpu, EXIT_XSETBV, SVM_EXIT_XSETBV, vcpu->state->registers.gpr[X86_RAX]);
    if (length)
        exit_xsetbv(vcpu, length);
    return ENGINE_AGAIN;
}

static enum engine_next on_cr8(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_CR, vmcb->exit_code, 0);
    const struct emulate_instruction *instruction = x86_decode(vcpu);
    if (instruction)
        exit_cr8(vcpu, vmcb->exit_code == SVM_EXIT_CR8_WRITE, instruction->rm, instruction->length);
    return ENGINE_AGAIN;
}

static enum engine_next on_interrupt(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_INTERRUPT, vmcb->exit_code, 0);
    cpu_interrupt_window();
    return ENGINE_AGAIN;
}

/* NMI, SMI, INIT: the host took it when GIF was set again. */
static enum engine_next on_host_event(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_NMI, vmcb->exit_code, 0);
    return ENGINE_AGAIN;
}

static enum engine_next on_window(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_INTERRUPT_WINDOW, SVM_EXIT_VINTR, 0);
    vmcb->v_interrupt &= ~SVM_V_IRQ;
    vmcb->intercept3 &= ~SVM_INTERCEPT_VINTR;
    vmcb->clean &= ~(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
    svm_vcpu(vcpu)->uncommon &= (uint8_t)~SVM_WINDOW;
    __atomic_or_fetch(&vcpu->core.requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
    return ENGINE_AGAIN;
}

static enum engine_next on_undefined(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_EXCEPTION, vmcb->exit_code, 0);
    return exit_undefined(vcpu);
}

static enum engine_next on_alignment(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_EXCEPTION, vmcb->exit_code, 0);
    exit_alignment(vcpu);
    return ENGINE_AGAIN;
}

/* NMIs are open from here on. */
static void nmi_unblock(struct x86_vcpu *vcpu) {
    vcpu->state->nmi_blocked = 0;
}

static enum engine_next on_debug(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);

    x86_exit_note(vcpu, EXIT_EXCEPTION, vmcb->exit_code, vmcb->dr6);
    if (svm->stepping) {
        /* The step behind an IRET that was waited for. The flags came from the guest's stack, and a TF in
         * them traps after the next instruction: of this step the guest sees nothing, unless it hit a
         * breakpoint. */
        svm->stepping = false;
        nmi_unblock(vcpu);
        vmcb->dr6 &= ~DR6_BS | (svm->stepping_dr6 & DR6_BS);
        vmcb->clean &= ~SVM_CLEAN_DR;
        if (!(vmcb->dr6 & ~svm->stepping_dr6 & DR6_BREAKPOINTS))
            return ENGINE_AGAIN;
    }
    if (vmcb->dr7 & DR7_GD) { /* the delivery clears it (13.1.1.4) */
        vmcb->dr7 &= ~DR7_GD;
        vmcb->clean &= ~SVM_CLEAN_DR;
    }
    x86_inject_exception(vcpu, VECTOR_DB, -1);
    return ENGINE_AGAIN;
}

/* IRET ends the blocking of NMIs, but only once it is done: with an NMI waiting the guest makes this one
 * step. */
static enum engine_next on_iret(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);

    x86_exit_note(vcpu, EXIT_NMI, SVM_EXIT_IRET, 0);
    vmcb->intercept3 &= ~SVM_INTERCEPT_IRET;
    vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
    if (vcpu->state->nmi_pending) {
        svm->stepping = true;
        svm->stepping_dr6 = vmcb->dr6;
        vcpu->state->registers.rflags |= 1u << 8;
    } else {
        /* One that comes before the IRET is done waits for it as it would for the instruction after STI. */
        nmi_unblock(vcpu);
        vcpu->state->interrupt_shadow = 1;
    }
    return ENGINE_AGAIN;
}

static enum engine_next on_pause(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    (void)vmcb;
    x86_exit_note(vcpu, EXIT_PAUSE, SVM_EXIT_PAUSE, 0);
    exit_pause(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_cache(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    unsigned length =
        length_of(vcpu, vmcb, vmcb->exit_code == SVM_EXIT_WBINVD ? OPCODE_WBINVD : OPCODE_INVD, 2);
    x86_exit_note(vcpu, EXIT_CACHE, vmcb->exit_code, 0);
    if (length)
        exit_cache(vcpu, length);
    return ENGINE_AGAIN;
}

static enum engine_next on_absent(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_REFUSED, vmcb->exit_code, 0);
    exit_absent(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_rdpmc(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_REFUSED, vmcb->exit_code, vcpu->state->registers.gpr[X86_RCX]);
    exit_rdpmc(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_shutdown(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_SHUTDOWN, vmcb->exit_code, 0);
    exit_shutdown(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_machine_check(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_EXCEPTION, vmcb->exit_code, 0);
    exit_machine_check();
    return ENGINE_AGAIN;
}

static enum engine_next on_other(struct x86_vcpu *vcpu, struct vmcb *vmcb) {
    x86_exit_note(vcpu, EXIT_OTHER, vmcb->exit_code, vmcb->exit_info1);
    vm_crash(&vcpu->core, "unexpected SVM exit 0x%llx (info 0x%llx, 0x%llx)",
             (unsigned long long)vmcb->exit_code, (unsigned long long)vmcb->exit_info1,
             (unsigned long long)vmcb->exit_info2);
    return ENGINE_AGAIN;
}

static const exit_handler handlers[SVM_EXIT_COUNT] = {
    [SVM_EXIT_CR8_READ] = on_cr8,
    [SVM_EXIT_CR8_WRITE] = on_cr8,
    [SVM_EXIT_EXCEPTION + VECTOR_DB] = on_debug,
    [SVM_EXIT_EXCEPTION + VECTOR_UD] = on_undefined,
    [SVM_EXIT_EXCEPTION + VECTOR_AC] = on_alignment,
    [SVM_EXIT_EXCEPTION + VECTOR_MC] = on_machine_check,
    [SVM_EXIT_INTR] = on_interrupt,
    [SVM_EXIT_NMI] = on_host_event,
    [SVM_EXIT_SMI] = on_host_event,
    [SVM_EXIT_INIT] = on_host_event,
    [SVM_EXIT_VINTR] = on_window,
    [SVM_EXIT_RDPMC] = on_rdpmc,
    [SVM_EXIT_CPUID] = on_cpuid,
    [SVM_EXIT_RSM] = on_absent,
    [SVM_EXIT_IRET] = on_iret,
    [SVM_EXIT_INVD] = on_cache,
    [SVM_EXIT_PAUSE] = on_pause,
    [SVM_EXIT_HLT] = on_halt,
    [SVM_EXIT_INVLPGA] = on_absent,
    [SVM_EXIT_IOIO] = on_port,
    [SVM_EXIT_MSR] = on_msr,
    [SVM_EXIT_FERR_FREEZE] = on_host_event,
    [SVM_EXIT_SHUTDOWN] = on_shutdown,
    [SVM_EXIT_VMRUN] = on_absent,
    [SVM_EXIT_VMMCALL] = on_hypercall,
    [SVM_EXIT_VMLOAD] = on_absent,
    [SVM_EXIT_VMSAVE] = on_absent,
    [SVM_EXIT_STGI] = on_absent,
    [SVM_EXIT_CLGI] = on_absent,
    [SVM_EXIT_SKINIT] = on_absent,
    [0x087] = on_absent, /* RDTSCP, where the model has none */
    [SVM_EXIT_WBINVD] = on_cache,
    [SVM_EXIT_MONITOR] = on_absent,
    [SVM_EXIT_MWAIT] = on_absent,
    [SVM_EXIT_XSETBV] = on_xsetbv,
    [SVM_EXIT_RDPRU] = on_absent,
};

enum engine_next svm_exit(struct x86_vcpu *vcpu, struct svm_vcpu *svm) {
    struct vmcb *vmcb = svm->vmcb;
    uint64_t code = vmcb->exit_code;

    if (__builtin_expect(code < SVM_EXIT_COUNT && handlers[code], 1))
        return handlers[code](vcpu, vmcb);
    if (code == SVM_EXIT_NPF)
        return on_nested_fault(vcpu, vmcb);
    if ((uint32_t)code == (uint32_t)SVM_EXIT_INVALID) { /* QEMU 7.2 gives 32 bits of it */
        x86_exit_note(vcpu, EXIT_OTHER, code, 0);
        vm_crash(&vcpu->core, "VMRUN refused the guest's state (AMD APM vol. 2, 15.5.1)");
        return ENGINE_AGAIN;
    }
    return on_other(vcpu, vmcb);
}

const char *svm_exit_name(uint64_t code) {
    static const char *const names[SVM_EXIT_COUNT] = {
        [SVM_EXIT_CR8_READ] = "CR8 read",
        [SVM_EXIT_CR8_WRITE] = "CR8 write",
        [SVM_EXIT_EXCEPTION + VECTOR_DB] = "#DB",
        [SVM_EXIT_EXCEPTION + VECTOR_UD] = "#UD",
        [SVM_EXIT_EXCEPTION + VECTOR_AC] = "#AC",
        [SVM_EXIT_EXCEPTION + VECTOR_MC] = "#MC",
        [SVM_EXIT_INTR] = "INTR",
        [SVM_EXIT_NMI] = "NMI",
        [SVM_EXIT_SMI] = "SMI",
        [SVM_EXIT_INIT] = "INIT",
        [SVM_EXIT_VINTR] = "VINTR",
        [SVM_EXIT_RDPMC] = "RDPMC",
        [SVM_EXIT_CPUID] = "CPUID",
        [SVM_EXIT_RSM] = "RSM",
        [SVM_EXIT_IRET] = "IRET",
        [SVM_EXIT_INVD] = "INVD",
        [SVM_EXIT_PAUSE] = "PAUSE",
        [SVM_EXIT_HLT] = "HLT",
        [SVM_EXIT_INVLPGA] = "INVLPGA",
        [SVM_EXIT_IOIO] = "IOIO",
        [SVM_EXIT_MSR] = "MSR",
        [SVM_EXIT_FERR_FREEZE] = "FERR_FREEZE",
        [SVM_EXIT_SHUTDOWN] = "SHUTDOWN",
        [SVM_EXIT_VMRUN] = "VMRUN",
        [SVM_EXIT_VMMCALL] = "VMMCALL",
        [SVM_EXIT_VMLOAD] = "VMLOAD",
        [SVM_EXIT_VMSAVE] = "VMSAVE",
        [SVM_EXIT_STGI] = "STGI",
        [SVM_EXIT_CLGI] = "CLGI",
        [SVM_EXIT_SKINIT] = "SKINIT",
        [0x087] = "RDTSCP",
        [SVM_EXIT_WBINVD] = "WBINVD",
        [SVM_EXIT_MONITOR] = "MONITOR",
        [SVM_EXIT_MWAIT] = "MWAIT",
        [SVM_EXIT_XSETBV] = "XSETBV",
        [SVM_EXIT_RDPRU] = "RDPRU",
    };

    if (code == SVM_EXIT_NPF)
        return "NPF";
    if ((uint32_t)code == (uint32_t)SVM_EXIT_INVALID)
        return "INVALID";
    return code < SVM_EXIT_COUNT && names[code] ? names[code] : "?";
}
