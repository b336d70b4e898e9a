// SPDX-License-Identifier: Apache-2.0
// VT-x: exits by reason (Intel SDM vol. 3, appendix C). What has a meaning beyond VT-x goes on in
// engine/exit.c; here its operands are found.
#include "arch/x86/engine/exit_inline.h"
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/engine/vmx/vmx_check.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/registers.h"
#include "arch/x86/traps.h"
#include "core/log.h"

#include <stdio.h>
#include <string.h>
#include <vmx_inline.h>

#define DR6_CAUSES 0x600full /* B0-B3, BD, BS, as an exit's qualification has them */
#define DR7_GD     (1ull << 13)

typedef enum engine_next (*exit_handler)(struct x86_vcpu *vcpu);

static unsigned length_now(void) {
    return (unsigned)vmcs_read(VMCS_EXIT_LENGTH);
}

static enum engine_next on_cpuid(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_CPUID, VMX_REASON_CPUID, vcpu->state->registers.gpr[X86_RAX]);
    exit_cpuid(vcpu, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_msr_read(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_MSR, VMX_REASON_RDMSR, vcpu->state->registers.gpr[X86_RCX]);
    exit_msr_read(vcpu, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_msr_write(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_MSR, VMX_REASON_WRMSR, vcpu->state->registers.gpr[X86_RCX]);
    exit_msr_write(vcpu, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_port(struct x86_vcpu *vcpu) {
    uint64_t info = vmcs_read(VMCS_QUALIFICATION); /* table 27-5 */

    x86_exit_note(vcpu, EXIT_PORT, VMX_REASON_PORT, info);
    if (info & 1u << 4)
        return exit_emulate(vcpu);
    return exit_port(vcpu, (uint16_t)(info >> 16), (info & 7) + 1, info & 1u << 3, length_now());
}

static enum engine_next on_halt(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_HALT, VMX_REASON_HLT, 0);
    return exit_halt(vcpu, length_now());
}

static enum engine_next on_hypercall(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_HYPERCALL, VMX_REASON_VMCALL, vcpu->state->registers.gpr[X86_RAX]);
    return exit_hypercall(vcpu, length_now());
}

static enum engine_next on_xsetbv(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_XSETBV, VMX_REASON_XSETBV, vcpu->state->registers.gpr[X86_RAX]);
    exit_xsetbv(vcpu, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_cr(struct x86_vcpu *vcpu) {
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

    x86_exit_note(vcpu, EXIT_CR, VMX_REASON_CR, qualification);
    vmx_cr_access(vcpu, qualification, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_interrupt(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_INTERRUPT, VMX_REASON_INTERRUPT, 0);
    cpu_interrupt_window();
    return ENGINE_AGAIN;
}

static void window_closed(struct x86_vcpu *vcpu, uint32_t control) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);

    vmx->primary &= ~control;
    vmcs_write(VMCS_PRIMARY, vmx->primary);
}

static enum engine_next on_interrupt_window(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_INTERRUPT_WINDOW, VMX_REASON_INTERRUPT_WINDOW, 0);
    window_closed(vcpu, VMX_PRIMARY_INTERRUPT_WINDOW);
    __atomic_or_fetch(&vcpu->core.requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
    return ENGINE_AGAIN;
}

/* The run loop sees by itself that an NMI waits. */
static enum engine_next on_nmi_window(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_NMI, VMX_REASON_NMI_WINDOW, 0);
    window_closed(vcpu, VMX_PRIMARY_NMI_WINDOW);
    return ENGINE_AGAIN;
}

/* An IRET had opened NMIs and then faulted, or caused the exit: they are still closed (27.2.3, 27.2.2). */
static void nmi_blocked_again(struct x86_vcpu *vcpu) {
    if (!(vmcs_read(VMCS_VECTORING) & VMX_EVENT_VALID))
        vcpu->state->nmi_blocked = 1;
}

/* The causes are in the qualification; DR6 and DR7 are as before the exception (27.1, table 27-1). */
static void on_debug(struct x86_vcpu *vcpu, uint32_t info) {
    struct x86_vcpu_state *state = vcpu->state;
    uint64_t causes = vmcs_read(VMCS_QUALIFICATION) & DR6_CAUSES;

    if ((info & VMX_EVENT_TYPE) == VMX_EVENT_TYPE_PRIVILEGED) {
        state->registers.rip += length_now(); /* INT1 traps */
    } else {
        x86_need(vcpu, X86_STATE_DEBUG);
        state->dr6 = (state->dr6 & ~0xfull) | causes;
        state->dr7 &= ~DR7_GD;
        x86_changed(vcpu, X86_STATE_DEBUG);
    }
    x86_inject_exception(vcpu, VECTOR_DB, -1);
}

static enum engine_next on_exception(struct x86_vcpu *vcpu) {
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);
    uint8_t vector = info & VMX_EVENT_VECTOR;

    if ((info & VMX_EVENT_TYPE) == VMX_EVENT_TYPE_NMI) {
        /* NMIs stay blocked until an IRET: that of the host's handler. */
        x86_exit_note(vcpu, EXIT_NMI, VMX_REASON_EXCEPTION, info);
        __asm__ volatile("int $2");
        return ENGINE_AGAIN;
    }
    x86_exit_note(vcpu, EXIT_EXCEPTION, VMX_REASON_EXCEPTION, info);
    if ((info & VMX_EVENT_NMI_UNBLOCKED) && vector != VECTOR_DF)
        nmi_blocked_again(vcpu);
    switch (vector) {
    case VECTOR_DB:
        on_debug(vcpu, info);
        break;
    case VECTOR_UD:
        return exit_undefined(vcpu);
    case VECTOR_AC:
        exit_alignment(vcpu);
        break;
    case VECTOR_MC:
        exit_machine_check();
        break;
    default:
        vm_crash(&vcpu->core, "unexpected exception %u (information 0x%x)", vector, info);
        break;
    }
    return ENGINE_AGAIN;
}

static enum engine_next on_ept_violation(struct x86_vcpu *vcpu) {
    uint64_t info = vmcs_read(VMCS_QUALIFICATION);
    uint64_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL);

    x86_exit_note(vcpu, EXIT_MMIO, VMX_REASON_EPT_VIOLATION, gpa);
    if (info & VMX_EPT_NMI_UNBLOCKED)
        nmi_blocked_again(vcpu);
    if ((info & VMX_EPT_LINEAR_VALID) && !(info & VMX_EPT_FINAL))
        return exit_nested_table_fault(vcpu, gpa);
    return exit_nested_fault(vcpu, gpa, info & VMX_EPT_WRITE, info & VMX_EPT_FETCH);
}

/* Our own tables are wrong. */
static enum engine_next on_ept_misconfigured(struct x86_vcpu *vcpu) {
    uint64_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL), physical = 0;
    unsigned rights = 0, shift = 0;
    int found = paging_lookup(&x86_vm(vcpu->core.vm)->nested, gpa, &physical, &rights, &shift);

    x86_exit_note(vcpu, EXIT_OTHER, VMX_REASON_EPT_MISCONFIGURED, gpa);
    vm_crash(&vcpu->core,
             "the EPT entry for 0x%llx is malformed (lookup %d: 0x%llx, rights 0x%x, 2^%u bytes)",
             (unsigned long long)gpa, found, (unsigned long long)physical, rights, shift);
    return ENGINE_AGAIN;
}

/* What it held has been taken already. The access is made again. */
static enum engine_next on_page_log_full(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_PAGE_LOG, VMX_REASON_PAGE_LOG_FULL, 0);
    if (vmcs_read(VMCS_QUALIFICATION) & VMX_EPT_NMI_UNBLOCKED)
        nmi_blocked_again(vcpu);
    return ENGINE_AGAIN;
}

/* An interrupt ended whose end the I/O APIC has to know of. */
static enum engine_next on_eoi(struct x86_vcpu *vcpu) {
    uint8_t vector = (uint8_t)vmcs_read(VMCS_QUALIFICATION);
    x86_exit_note(vcpu, EXIT_EOI, VMX_REASON_EOI, vector);
    lapic_page_eoi(vcpu->lapic, vector);
    return ENGINE_AGAIN;
}

/* A write to the virtual-APIC page that the CPU leaves the rest of to us. The instruction is done. */
static enum engine_next on_apic_write(struct x86_vcpu *vcpu) {
    uint32_t offset = vmcs_read(VMCS_QUALIFICATION) & 0xff0;

    x86_exit_note(vcpu, vmx_vcpu(vcpu)->apic == LAPIC_PAGE_XAPIC ? EXIT_MMIO : EXIT_MSR,
                  VMX_REASON_APIC_WRITE, offset);
    lapic_page_write(vcpu->lapic, offset);
    return ENGINE_AGAIN;
}

/* An access of the APIC's page that the CPU does not virtualize (29.4; table 27-6). */
static enum engine_next on_apic_access(struct x86_vcpu *vcpu) {
    uint64_t info = vmcs_read(VMCS_QUALIFICATION);
    uint64_t gpa = PC_LAPIC_BASE + (info & 0xfff);

    x86_exit_note(vcpu, EXIT_MMIO, VMX_REASON_APIC_ACCESS, info);
    switch (info >> 12 & 15) {
    case 10: /* by the CPU itself, to the guest's tables */
    case 15:
        return exit_nested_table_fault(vcpu, gpa);
    default:
        return exit_nested_fault(vcpu, gpa, (info >> 12 & 15) == 1, (info >> 12 & 15) == 2);
    }
}

static enum engine_next on_pause(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_PAUSE, VMX_REASON_PAUSE, 0);
    exit_pause(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_cache(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_CACHE, VMX_REASON_WBINVD, 0);
    exit_cache(vcpu, length_now());
    return ENGINE_AGAIN;
}

static enum engine_next on_absent(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_REFUSED, vmcs_read(VMCS_EXIT_REASON), 0);
    exit_absent(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_rdpmc(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_REFUSED, VMX_REASON_RDPMC, vcpu->state->registers.gpr[X86_RCX]);
    exit_rdpmc(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_triple_fault(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_SHUTDOWN, VMX_REASON_TRIPLE_FAULT, 0);
    exit_shutdown(vcpu);
    return ENGINE_AGAIN;
}

static enum engine_next on_task_switch(struct x86_vcpu *vcpu) {
    static const char *const sources[] = {"CALL", "IRET", "JMP", "an interrupt's task gate"};
    uint64_t info = vmcs_read(VMCS_QUALIFICATION); /* table 27-2 */

    x86_exit_note(vcpu, EXIT_OTHER, VMX_REASON_TASK_SWITCH, info);
    vm_crash(&vcpu->core, "switches to the task 0x%04x by %s: tasks in hardware are not supported under VT-x",
             (unsigned)(info & 0xffff), sources[info >> 30 & 3]);
    return ENGINE_AGAIN;
}

/* INIT and SMI are the host's affair. */
static enum engine_next on_host_event(struct x86_vcpu *vcpu) {
    x86_exit_note(vcpu, EXIT_OTHER, vmcs_read(VMCS_EXIT_REASON), 0);
    return ENGINE_AGAIN;
}

static const exit_handler handlers[VMX_REASON_COUNT] = {
    [VMX_REASON_EXCEPTION] = on_exception,
    [VMX_REASON_INTERRUPT] = on_interrupt,
    [VMX_REASON_TRIPLE_FAULT] = on_triple_fault,
    [VMX_REASON_INIT] = on_host_event,
    [VMX_REASON_IO_SMI] = on_host_event,
    [VMX_REASON_SMI] = on_host_event,
    [VMX_REASON_INTERRUPT_WINDOW] = on_interrupt_window,
    [VMX_REASON_NMI_WINDOW] = on_nmi_window,
    [VMX_REASON_TASK_SWITCH] = on_task_switch,
    [VMX_REASON_CPUID] = on_cpuid,
    [VMX_REASON_GETSEC] = on_absent,
    [VMX_REASON_HLT] = on_halt,
    [VMX_REASON_INVD] = on_cache,
    [VMX_REASON_RDPMC] = on_rdpmc,
    [VMX_REASON_RSM] = on_absent,
    [VMX_REASON_VMCALL] = on_hypercall,
    [VMX_REASON_VMCLEAR... VMX_REASON_VMXON] = on_absent,
    [VMX_REASON_CR] = on_cr,
    [VMX_REASON_PORT] = on_port,
    [VMX_REASON_RDMSR] = on_msr_read,
    [VMX_REASON_WRMSR] = on_msr_write,
    [VMX_REASON_MWAIT] = on_absent,
    [VMX_REASON_MONITOR] = on_absent,
    [VMX_REASON_PAUSE] = on_pause,
    [VMX_REASON_APIC_ACCESS] = on_apic_access,
    [VMX_REASON_EOI] = on_eoi,
    [VMX_REASON_EPT_VIOLATION] = on_ept_violation,
    [VMX_REASON_EPT_MISCONFIGURED] = on_ept_misconfigured,
    [VMX_REASON_INVEPT] = on_absent,
    [VMX_REASON_INVVPID] = on_absent,
    [VMX_REASON_WBINVD] = on_cache,
    [VMX_REASON_XSETBV] = on_xsetbv,
    [VMX_REASON_APIC_WRITE] = on_apic_write,
    [VMX_REASON_VMFUNC] = on_absent,
    [VMX_REASON_PAGE_LOG_FULL] = on_page_log_full,
    [VMX_REASON_SEAMCALL] = on_absent, /* CPUs with TDX exit for them whatever the controls say */
    [VMX_REASON_TDCALL] = on_absent,
};

/* The guest's state was refused: this guest stops, others go on. */
static enum engine_next __attribute__((noinline)) entry_failed(struct x86_vcpu *vcpu, uint32_t reason) {
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);
    const char *error;

    x86_exit_note(vcpu, EXIT_OTHER, reason, qualification);
    switch (reason & 0xffff) {
    case VMX_REASON_BAD_STATE:
        error = vmx_state_error(qualification);
        vm_crash(&vcpu->core, "VM entry refused the guest's state: %s",
                 error ? error : "no known check failed");
        break;
    case VMX_REASON_BAD_MSR:
        vm_crash(&vcpu->core, "VM entry could not load MSR number %llu of its list",
                 (unsigned long long)qualification);
        break;
    case VMX_REASON_ENTRY_CHECK:
        exit_machine_check();
        break;
    default:
        vm_crash(&vcpu->core, "VM entry failed (reason 0x%x)", reason);
        break;
    }
    return ENGINE_AGAIN;
}

enum engine_next vmx_exit(struct x86_vcpu *vcpu, uint32_t reason) {
    if (__builtin_expect(reason < VMX_REASON_COUNT && handlers[reason], 1))
        return handlers[reason](vcpu);
    if (reason & VMX_EXIT_FAILED)
        return entry_failed(vcpu, reason);
    x86_exit_note(vcpu, EXIT_OTHER, reason, 0);
    vm_crash(&vcpu->core, "unexpected VT-x exit %u (qualification 0x%llx)", reason,
             (unsigned long long)vmcs_read(VMCS_QUALIFICATION));
    return ENGINE_AGAIN;
}

const char *vmx_exit_name(uint64_t code) {
    static const char *const names[VMX_REASON_COUNT] = {
        [VMX_REASON_EXCEPTION] = "exception",
        [VMX_REASON_INTERRUPT] = "interrupt",
        [VMX_REASON_TRIPLE_FAULT] = "triple",
        [VMX_REASON_INIT] = "INIT",
        [VMX_REASON_IO_SMI] = "SMI",
        [VMX_REASON_SMI] = "SMI",
        [VMX_REASON_INTERRUPT_WINDOW] = "window",
        [VMX_REASON_NMI_WINDOW] = "NMI window",
        [VMX_REASON_TASK_SWITCH] = "task",
        [VMX_REASON_CPUID] = "CPUID",
        [VMX_REASON_GETSEC] = "GETSEC",
        [VMX_REASON_HLT] = "HLT",
        [VMX_REASON_INVD] = "INVD",
        [VMX_REASON_RDPMC] = "RDPMC",
        [VMX_REASON_RSM] = "RSM",
        [VMX_REASON_VMCALL] = "VMCALL",
        [VMX_REASON_VMCLEAR... VMX_REASON_VMXON] = "VMX",
        [VMX_REASON_CR] = "CR",
        [VMX_REASON_PORT] = "port",
        [VMX_REASON_RDMSR] = "RDMSR",
        [VMX_REASON_WRMSR] = "WRMSR",
        [VMX_REASON_MWAIT] = "MWAIT",
        [VMX_REASON_MONITOR] = "MONITOR",
        [VMX_REASON_PAUSE] = "PAUSE",
        [VMX_REASON_APIC_ACCESS] = "APIC access",
        [VMX_REASON_EOI] = "EOI",
        [VMX_REASON_EPT_VIOLATION] = "EPT",
        [VMX_REASON_EPT_MISCONFIGURED] = "EPT broken",
        [VMX_REASON_INVEPT] = "INVEPT",
        [VMX_REASON_INVVPID] = "INVVPID",
        [VMX_REASON_WBINVD] = "WBINVD",
        [VMX_REASON_XSETBV] = "XSETBV",
        [VMX_REASON_APIC_WRITE] = "APIC write",
        [VMX_REASON_VMFUNC] = "VMFUNC",
        [VMX_REASON_PAGE_LOG_FULL] = "page log",
        [VMX_REASON_SEAMCALL] = "SEAMCALL",
        [VMX_REASON_TDCALL] = "TDCALL",
    };

    if (code & VMX_EXIT_FAILED)
        return "refused";
    return code < VMX_REASON_COUNT && names[code] ? names[code] : "?";
}
