// SPDX-License-Identifier: Apache-2.0
// The VT-x engine: what this CPU offers, switching it on, the current VMCS, and the way into a guest and back
// (Intel SDM vol. 3, ch. 23 to 27).
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/engine/vmx/vmx_check.h"
#include "arch/x86/fixup.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/paging_formats.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vmx_inline.h>

struct vmx_caps vmx_caps;
struct vmx_controls vmx_controls;
struct vmx_cpu vmx_cpu[MAX_CPUS];

/*
 * Most of Intel's CPUs before 2020 end in a machine check when a guest changes the size of one of its own
 * pages and then fetches from it before it has forgotten the old translation ("Machine Check Error Avoidance
 * on Page Size Change", CVE-2018-12207): any guest could stop the machine. They do not where EPT has the code
 * in pages of 4 KiB. IA32_ARCH_CAPABILITIES (CPUID 7 EDX[29]) names those that are free of it.
 */
static bool fails_on_page_sizes(void) {
    uint64_t capabilities = 0;

    if (cpuid_read(0, 0).ecx != CPUID_INTEL)
        return false;
    if (cpuid_read(0, 0).eax >= 7 && (cpuid_read(7, 0).edx & 1u << 29))
        rdmsr_safe(MSR_ARCH_CAPS, &capabilities);
    return !(capabilities & PSCHANGE_MC_NO);
}

static void read_caps(struct vmx_caps *caps) {
    memset(caps, 0, sizeof(*caps));
    caps->basic = msr_read(MSR_VMX_BASIC);
    bool exact = (caps->basic & VMX_BASIC_TRUE) != 0;
    caps->pin = msr_read(exact ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN);
    caps->primary = msr_read(exact ? MSR_VMX_TRUE_PRIMARY : MSR_VMX_PRIMARY);
    caps->exit = msr_read(exact ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT);
    caps->entry = msr_read(exact ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY);
    caps->cr0_fixed0 = msr_read(MSR_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = msr_read(MSR_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = msr_read(MSR_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = msr_read(MSR_VMX_CR4_FIXED1);
    /* These exist with the control that they describe (A.3.3, A.10). */
    if (caps->primary >> 32 & VMX_PRIMARY_SECONDARY)
        caps->secondary = msr_read(MSR_VMX_SECONDARY);
    if (caps->secondary >> 32 & (VMX_SECONDARY_EPT | VMX_SECONDARY_VPID))
        caps->ept_vpid = msr_read(MSR_VMX_EPT_VPID);
    caps->small_code = fails_on_page_sizes();
}

static int probe(char *why, size_t size) {
    uint64_t control;

    if (!(cpuid_read(1, 0).ecx & 1u << 5))
        return -ENODEV;
    if (rdmsr_safe(MSR_FEATURE_CONTROL, &control) == 0 && (control & FEATURE_CONTROL_LOCK) &&
        !(control & FEATURE_CONTROL_VMX)) {
        snprintf(why, size,
                 "VT-x is switched off by the firmware: enable \"Intel VT-x\" or \"Intel Virtualization "
                 "Technology\" in its set-up");
        return -ENOTSUP;
    }
    read_caps(&vmx_caps);
    int error = vmx_caps_resolve(&vmx_caps, &vmx_controls, why, size);
    if (!error)
        log_info("VT-x: %s%s%s%s%s%s", vmx_controls.secondary & VMX_SECONDARY_VPID ? "VPID" : "no VPID",
                 vmx_caps.ept_vpid & VMX_EPT_CAP_ACCESSED_DIRTY ? ", EPT with dirty bits" : "",
                 vmx_controls.xapic    ? ", APIC virtualisation"
                 : vmx_controls.x2apic ? ", x2APIC virtualisation"
                                       : "",
                 vmx_controls.page_log ? ", page-modification log" : "",
                 vmx_controls.tsc_scaling ? ", TSC scaling" : "",
                 vmx_controls.small_code ? ", code in small pages" : "");
    return error;
}

/* CR0 and CR4 have to have the bits that VMX operation fixes (23.8). */
static bool control_registers_fit(void) {
    uint64_t cr0 = cr0_read(), cr4 = cr4_read();

    return !(vmx_caps.cr0_fixed0 & ~cr0) && !(cr0 & ~vmx_caps.cr0_fixed1) && !(vmx_caps.cr4_fixed0 & ~cr4) &&
           !(cr4 & ~vmx_caps.cr4_fixed1);
}

static int cpu_enable(void) {
    struct vmx_cpu *cpu = &vmx_cpu[cpu_this()->number];
    struct vmx_caps caps;
    uint64_t control = 0;

    if (rdmsr_safe(MSR_FEATURE_CONTROL, &control) == 0) {
        if (!(control & FEATURE_CONTROL_LOCK)) {
            control |= FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK;
            msr_write(MSR_FEATURE_CONTROL, control);
        } else if (!(control & FEATURE_CONTROL_VMX)) {
            log_error("CPU %u: VT-x is switched off by the firmware, on this CPU alone", cpu_this()->number);
            return -ENOTSUP;
        }
    }
    read_caps(&caps);
    if (memcmp(&caps, &vmx_caps, sizeof(caps))) {
        log_error("CPU %u: its VT-x differs from the first CPU's", cpu_this()->number);
        return -ENOTSUP;
    }
    cpu->region = heap_pages(0, NULL);
    if (!cpu->region)
        return -ENOMEM;
    *(uint32_t *)cpu->region = (uint32_t)(vmx_caps.basic & VMX_BASIC_REVISION);
    cr4_write(cr4_read() | CR4_VMXE);
    if (!control_registers_fit()) {
        log_error("CPU %u: VT-x wants other bits in CR0 or CR4 (CR0 %llx, CR4 %llx)", cpu_this()->number,
                  (unsigned long long)cr0_read(), (unsigned long long)cr4_read());
        return -ENOTSUP;
    }
    return vmx_on(arch_heap_physical(cpu->region)) ? -ENOTSUP : 0;
}

static const struct paging_format *nested_format(void) {
    return vmx_caps.ept_vpid & VMX_EPT_CAP_ACCESSED_DIRTY ? &paging_ept_format : &paging_ept_plain_format;
}

static unsigned nested_largest(void) {
    if (vmx_caps.ept_vpid & VMX_EPT_CAP_1G)
        return HUGE_PAGE_SHIFT;
    return vmx_caps.ept_vpid & VMX_EPT_CAP_2M ? LARGE_PAGE_SHIFT : PAGE_SHIFT;
}

static bool small_code(void) {
    return vmx_controls.small_code;
}

void vmcs_write_failed(uint32_t field, uint64_t value) {
    static struct log_limit limit = {.burst = 1};

    if (log_allowed(&limit))
        log_error("VMWRITE of field 0x%x (value 0x%llx) failed", field, (unsigned long long)value);
}

static void vcpu_load(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    struct cpu *cpu = vcpu->core.cpu;
    struct vmx_cpu *here = &vmx_cpu[cpu->number];
    bool moved = vmx->cpu != cpu;

    if (!vmx->filled)
        vmcs_clear(vmx->vmcs_physical);
    if (here->current != vmx) {
        vmcs_load(vmx->vmcs_physical);
        here->current = vmx;
    }
    if (!vmx->filled)
        vmx_fill(vcpu);
    if (moved) {
        vmx->cpu = cpu;
        vmx_fill_host(vmx);
        /* What this CPU remembers of an earlier stay is out of date. */
        vmx->dirty |= VMX_DIRTY_TLB;
    }
    vmx_load_registers(vcpu->state);
    if (here->msr_owner != vcpu || moved) {
        vmx_load_msrs(&vcpu->state->msrs);
        here->msr_owner = vcpu;
    }
}

/* A VMCS is in one CPU's cache until it is cleared there (24.11.1): one that may go on elsewhere, or that may
 * be freed, is cleared when it leaves. */
static void vcpu_put(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);

    x86_need(vcpu, X86_STATE_ALL);
    lapic_page_unload(vcpu->lapic);
    if ((vcpu->core.affinity & (vcpu->core.affinity - 1)) ||
        (__atomic_load_n(&vcpu->core.requests, __ATOMIC_ACQUIRE) & VCPU_REQUEST_PARK)) {
        vmcs_clear(vmx->vmcs_physical);
        vmx->launched = false;
        vmx_cpu[vmx->cpu->number].current = NULL;
    }
}

static void flush(const struct x86_vcpu *vcpu, const struct vmx_vcpu *vmx) {
    const struct vmx_vm *vm = x86_vm(vcpu->core.vm)->engine;

    invept(vmx_caps.ept_vpid & VMX_EPT_CAP_INVEPT_SINGLE ? INVEPT_SINGLE : INVEPT_ALL,
           vmx_caps.ept_vpid & VMX_EPT_CAP_INVEPT_SINGLE ? vm->eptp : 0);
    if (!vmx->vpid)
        return; /* entries and exits flush by themselves (28.4.3.1) */
    if (vmx_caps.ept_vpid & VMX_EPT_CAP_INVVPID_SINGLE)
        invvpid(INVVPID_SINGLE, vmx->vpid);
    else
        invvpid(INVVPID_ALL, 0);
}

static void set_tsc(const struct x86_vcpu *vcpu, struct vmx_vcpu *vmx) {
    uint64_t ratio = x86_vm(vcpu->core.vm)->tsc_ratio; /* in the VMCS's own form (24.6.5) */

    vmcs_write(VMCS_TSC_OFFSET, vcpu->tsc_offset);
    if (!vmx_controls.tsc_scaling)
        return;
    vmx->secondary &= ~VMX_SECONDARY_TSC_SCALING;
    if (ratio) {
        vmx->secondary |= VMX_SECONDARY_TSC_SCALING;
        vmcs_write(VMCS_TSC_MULTIPLIER, ratio);
    }
    vmcs_write(VMCS_SECONDARY, vmx->secondary | vmx_apic_secondary(vmx->apic));
}

/* The uncommon things that precede an entry. */
static void __attribute__((noinline)) prepare(struct x86_vcpu *vcpu, struct vmx_vcpu *vmx) {
    if (vmx->dirty & VMX_DIRTY_TLB) {
        vmx_log_switch(vcpu);
        flush(vcpu, vmx);
    }
    if (vmx->dirty & VMX_DIRTY_TSC)
        set_tsc(vcpu, vmx);
    vmx->dirty = 0;
    if (vcpu->changed) {
        vmx_store(vcpu, vcpu->changed);
        vcpu->changed = 0;
    }
    if (vcpu->state->pending.valid)
        vmx_inject(vcpu->state);
}

/* The interrupt shadow and the blocking of NMIs, where they are not what the VMCS has. An NMI that is to be
 * injected finds NMIs open; the CPU closes them. */
static void __attribute__((noinline)) block(struct x86_vcpu *vcpu, struct vmx_vcpu *vmx) {
    const struct x86_vcpu_state *state = vcpu->state;
    uint32_t value = vmx->interruptibility & VMX_BLOCKED_SHADOW;

    if (!state->interrupt_shadow)
        value = 0;
    else if (!value) /* blocking by STI needs IF (26.3.1.5) */
        value = state->registers.rflags & RFLAGS_IF ? VMX_BLOCKED_STI : VMX_BLOCKED_MOV_SS;
    if (state->nmi_blocked && !(state->pending.valid && state->pending.type == X86_EVENT_NMI))
        value |= VMX_BLOCKED_NMI;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, value);
    vmx->interruptibility = value;
    /* A single-step trap is pending behind a shadow (26.3.1.5), and has been raised by us when it ended. */
    uint64_t debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG) & ~VMX_PENDING_DEBUG_BS;
    if ((value & VMX_BLOCKED_SHADOW) && (state->registers.rflags & RFLAGS_TF))
        debug |= VMX_PENDING_DEBUG_BS;
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, debug);
}

/* VMfail: the entry was refused before the guest's state was looked at (26.1, 26.2). */
static enum engine_next __attribute__((noinline)) failed(struct x86_vcpu *vcpu) {
    __atomic_store_n(&vcpu->core.in_guest, 0, __ATOMIC_RELEASE);
    uint32_t error = (uint32_t)vmcs_read(VMCS_INSTRUCTION_ERROR);
    vm_crash(&vcpu->core, "VM entry failed: %s (VM-instruction error %u)", vmx_instruction_error(error),
             error);
    return ENGINE_AGAIN;
}

static enum engine_next run(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    struct x86_vcpu_state *state = vcpu->state;
    struct x86_registers *registers = &state->registers;
    uint32_t blocked = vmx->interruptibility;

    if (__builtin_expect(((blocked & VMX_BLOCKED_SHADOW) != 0) != state->interrupt_shadow ||
                             (blocked >> 3 & 1) != state->nmi_blocked ||
                             (state->pending.valid && state->nmi_blocked),
                         0))
        block(vcpu, vmx);
    if (__builtin_expect(vcpu->changed | state->pending.valid | vmx->dirty, 0))
        prepare(vcpu, vmx);
    state->pending.valid = 0;
    if (registers->rip != vmx->rip)
        vmcs_write(VMCS_GUEST_RIP, registers->rip);
    if (registers->gpr[X86_RSP] != vmx->rsp)
        vmcs_write(VMCS_GUEST_RSP, registers->gpr[X86_RSP]);
    if (registers->rflags != vmx->rflags)
        vmcs_write(VMCS_GUEST_RFLAGS, registers->rflags);

    if (__builtin_expect(vmx_enter(registers, vmx->launched, &vmx->host_rsp), 0))
        return failed(vcpu);

    if (__builtin_expect(vmx->logging, 0))
        vmx_log_drain(vcpu);
    __atomic_store_n(&vcpu->core.in_guest, 0, __ATOMIC_RELEASE);
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    if (!(reason & VMX_EXIT_FAILED))
        vmx->launched = true;
    registers->rip = vmx->rip = vmcs_read(VMCS_GUEST_RIP);
    registers->gpr[X86_RSP] = vmx->rsp = vmcs_read(VMCS_GUEST_RSP);
    registers->rflags = vmx->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    blocked = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    vmx->interruptibility = blocked;
    state->interrupt_shadow = (blocked & VMX_BLOCKED_SHADOW) != 0;
    state->nmi_blocked = blocked >> 3 & 1;
    vcpu->present = 0;
    uint32_t vectoring = (uint32_t)vmcs_read(VMCS_VECTORING);
    if (__builtin_expect((vectoring & VMX_EVENT_VALID) != 0, 0))
        x86_interrupted(vcpu, vectoring, (uint32_t)vmcs_read(VMCS_VECTORING_ERROR));
    return vmx_exit(vcpu, reason);
}

static bool interruptible(struct x86_vcpu *vcpu) {
    return (vcpu->state->registers.rflags & RFLAGS_IF) && !vcpu->state->pending.valid &&
           !vcpu->state->interrupt_shadow;
}

static void window(struct vmx_vcpu *vmx, uint32_t control) {
    if (vmx->primary & control)
        return;
    vmx->primary |= control;
    vmcs_write(VMCS_PRIMARY, vmx->primary);
}

static void interrupt_window(struct x86_vcpu *vcpu) {
    window(vmx_vcpu(vcpu), VMX_PRIMARY_INTERRUPT_WINDOW);
}

static bool nmi_open(struct x86_vcpu *vcpu) {
    if (!vcpu->state->nmi_blocked && !vcpu->state->pending.valid && !vcpu->state->interrupt_shadow)
        return true;
    window(vmx_vcpu(vcpu), VMX_PRIMARY_NMI_WINDOW);
    return false;
}

static void nmi_injected(struct x86_vcpu *vcpu) {
    (void)vcpu; /* the CPU knows by itself when IRET opens them again */
}

static void tlb_flush(struct x86_vcpu *vcpu) {
    vmx_vcpu(vcpu)->dirty |= VMX_DIRTY_TLB;
}

static bool tsc_scaling(void) {
    return vmx_controls.tsc_scaling;
}

static void tsc_offset(struct x86_vcpu *vcpu) {
    vmx_vcpu(vcpu)->dirty |= VMX_DIRTY_TSC;
}

const struct engine vmx_engine = {
    .name = "VT-x",
    .probe = probe,
    .cpu_enable = cpu_enable,
    .nested_format = nested_format,
    .nested_largest = nested_largest,
    .small_code = small_code,
    .vm_create = vmx_vm_create,
    .vm_destroy = vmx_vm_destroy,
    .vcpu_create = vmx_vcpu_create,
    .vcpu_destroy = vmx_vcpu_destroy,
    .vcpu_load = vcpu_load,
    .vcpu_put = vcpu_put,
    .fetch = vmx_fetch,
    .run = run,
    .interruptible = interruptible,
    .interrupt_window = interrupt_window,
    .nmi_open = nmi_open,
    .nmi_injected = nmi_injected,
    .reset = vmx_apic_place,
    .apic_load = vmx_apic_load,
    .page_log = vmx_page_log,
    .tlb_flush = tlb_flush,
    .tsc_offset = tsc_offset,
    .tsc_scaling = tsc_scaling,
    .exit_name = vmx_exit_name,
};
