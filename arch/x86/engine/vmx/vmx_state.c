// SPDX-License-Identifier: Apache-2.0
// VT-x: copying a vCPU's state between the architectural form and the VMCS and the CPU's own registers.
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/engine/vmx/vmx_segments.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/registers.h"

#include <vmx_inline.h>

#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_KERNEL_GS_BASE 0xc0000102u

#define DR6_FIXED          0xffff0ff0ull
#define DR6_WRITABLE       0xe00full

static void fetch_segment(struct x86_system *system, unsigned name) {
    struct x86_segment *segment = &system->segment[name];

    segment->selector = (uint16_t)vmcs_read(VMCS_GUEST_SELECTOR + 2 * name);
    segment->limit = (uint32_t)vmcs_read(VMCS_GUEST_LIMIT + 2 * name);
    segment->base = vmcs_read(VMCS_GUEST_BASE + 2 * name);
    segment->attributes = vmx_attributes((uint32_t)vmcs_read(VMCS_GUEST_RIGHTS + 2 * name));
}

static void fetch_code(struct x86_system *system) {
    fetch_segment(system, X86_CS);
    system->cpl = (uint32_t)vmcs_read(VMCS_GUEST_RIGHTS + 2 * X86_SS) >> X86_SEG_DPL_SHIFT & 3;
}

static void fetch_segments(struct x86_system *system) {
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        if (i != X86_CS)
            fetch_segment(system, i);
    system->gdtr.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
    system->gdtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
    system->idtr.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
    system->idtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
}

static void store_segments(const struct x86_system *system) {
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        const struct x86_segment *segment = &system->segment[i];
        vmcs_write(VMCS_GUEST_SELECTOR + 2 * i, segment->selector);
        vmcs_write(VMCS_GUEST_LIMIT + 2 * i, segment->limit);
        vmcs_write(VMCS_GUEST_BASE + 2 * i, segment->base);
        vmcs_write(VMCS_GUEST_RIGHTS + 2 * i, vmx_rights(segment, i, system->cpl));
    }
    vmcs_write(VMCS_GUEST_GDTR_BASE, system->gdtr.base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, system->gdtr.limit);
    vmcs_write(VMCS_GUEST_IDTR_BASE, system->idtr.base);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, system->idtr.limit);
}

static uint64_t owned(uint64_t real, uint64_t shadow, uint64_t mask) {
    return (real & ~mask) | (shadow & mask);
}

static void fetch_control(const struct vmx_vcpu *vmx, struct x86_system *system) {
    system->cr0 = owned(vmcs_read(VMCS_GUEST_CR0), vmcs_read(VMCS_CR0_SHADOW), VMX_CR0_OWNED);
    system->cr2 = guest_cr2_read();
    system->cr3 = vmcs_read(VMCS_GUEST_CR3);
    system->cr4 = owned(vmcs_read(VMCS_GUEST_CR4), vmcs_read(VMCS_CR4_SHADOW), vmx->cr4_owned);
    system->efer = vmcs_read(VMCS_GUEST_EFER);
}

/* With PAE paging the four page-directory pointers are registers (4.4.1). They are read again from memory
 * when something changed that makes the CPU do so; what they held otherwise the CPU has kept. */
static void store_pdptes(struct x86_vcpu *vcpu, const struct x86_system *system, bool changed) {
    uint64_t pdpte[4] = {0};

    if (!changed || !(system->cr0 & CR0_PG) || !(system->cr4 & CR4_PAE) || (system->efer & EFER_LMA))
        return;
    if (guest_read(vcpu->core.vm, system->cr3 & 0xffffffe0ull, pdpte, sizeof(pdpte)))
        return; /* no memory there: none is present */
    for (unsigned i = 0; i < 4; i++)
        vmcs_write(VMCS_GUEST_PDPTE + 2 * i, pdpte[i]);
}

static void store_control(struct x86_vcpu *vcpu, const struct vmx_vcpu *vmx,
                          const struct x86_system *system) {
    struct x86_system before;
    uint32_t entry = vmx_controls.entry;

    fetch_control(vmx, &before);
    store_pdptes(vcpu, system,
                 before.cr0 != system->cr0 || before.cr3 != system->cr3 || before.cr4 != system->cr4 ||
                     before.efer != system->efer);
    vmcs_write(VMCS_GUEST_CR0, (system->cr0 & ~VMX_CR0_OWNED) | CR0_NE);
    vmcs_write(VMCS_CR0_SHADOW, system->cr0);
    guest_cr2_write(system->cr2);
    vmcs_write(VMCS_GUEST_CR3, system->cr3);
    /* Machine checks are the host's, whatever the guest thinks of them. */
    vmcs_write(VMCS_GUEST_CR4, (system->cr4 & ~vmx->cr4_owned) | CR4_VMXE | CR4_MCE);
    vmcs_write(VMCS_CR4_SHADOW, system->cr4);
    vmcs_write(VMCS_GUEST_EFER, system->efer);
    if (system->efer & EFER_LMA)
        entry |= VMX_ENTRY_GUEST_64;
    vmcs_write(VMCS_ENTRY, entry);
}

/* The system-call MSRs stay in the CPU while no other vCPU needs them: neither entries nor exits touch them,
 * and the host uses none. */
static void fetch_msrs(struct x86_msrs *msrs) {
    msrs->star = guest_msr_read(MSR_STAR);
    msrs->lstar = guest_msr_read(MSR_LSTAR);
    msrs->cstar = guest_msr_read(MSR_CSTAR);
    msrs->sfmask = guest_msr_read(MSR_SFMASK);
    msrs->kernel_gs_base = guest_msr_read(MSR_KERNEL_GS_BASE);
    msrs->sysenter_cs = vmcs_read(VMCS_GUEST_SYSENTER_CS);
    msrs->sysenter_esp = vmcs_read(VMCS_GUEST_SYSENTER_ESP);
    msrs->sysenter_eip = vmcs_read(VMCS_GUEST_SYSENTER_EIP);
    msrs->pat = vmcs_read(VMCS_GUEST_PAT);
}

void vmx_load_msrs(const struct x86_msrs *msrs) {
    guest_msr_write(MSR_STAR, msrs->star);
    guest_msr_write(MSR_LSTAR, msrs->lstar);
    guest_msr_write(MSR_CSTAR, msrs->cstar);
    guest_msr_write(MSR_SFMASK, msrs->sfmask);
    guest_msr_write(MSR_KERNEL_GS_BASE, msrs->kernel_gs_base);
}

static void store_msrs(const struct x86_msrs *msrs) {
    vmx_load_msrs(msrs);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, msrs->sysenter_cs);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, msrs->sysenter_esp);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, msrs->sysenter_eip);
    vmcs_write(VMCS_GUEST_PAT, msrs->pat);
}

void vmx_load_registers(const struct x86_vcpu_state *state) {
    guest_cr2_write(state->system.cr2);
    guest_dr6_write((state->dr6 & DR6_WRITABLE) | DR6_FIXED);
}

void vmx_fetch(struct x86_vcpu *vcpu, uint32_t groups) {
    struct x86_vcpu_state *state = vcpu->state;

    if (groups & X86_STATE_CODE)
        fetch_code(&state->system);
    if (groups & X86_STATE_SEGMENTS & ~X86_STATE_CODE)
        fetch_segments(&state->system);
    if (groups & X86_STATE_CONTROL)
        fetch_control(vmx_vcpu(vcpu), &state->system);
    if (groups & X86_STATE_DEBUG) {
        state->dr6 = guest_dr6_read();
        state->dr7 = vmcs_read(VMCS_GUEST_DR7);
    }
    if (groups & X86_STATE_MSRS)
        fetch_msrs(&state->msrs);
}

/* A step behind STI or into the shadow of MOV SS: the #DB that exited took the single-step trap out of the
 * VMCS, but an entry that finds TF set in a shadow insists on it (26.3.1.5). The CPU drops it again when it
 * delivers the event (26.7.3). */
static bool steps_in_shadow(const struct x86_vcpu_state *state) {
    const struct x86_event *event = &state->pending;

    return event->type == X86_EVENT_EXCEPTION && event->vector == VECTOR_DB && state->interrupt_shadow &&
           (state->registers.rflags & RFLAGS_TF);
}

void vmx_inject(const struct x86_vcpu_state *state) {
    const struct x86_event *event = &state->pending;

    if (event->has_error)
        vmcs_write(VMCS_ENTRY_ERROR_CODE, event->error);
    vmcs_write(VMCS_ENTRY_EVENT, x86_event_info(event));
    if (__builtin_expect(steps_in_shadow(state), 0))
        vmcs_write(VMCS_GUEST_PENDING_DEBUG, vmcs_read(VMCS_GUEST_PENDING_DEBUG) | VMX_PENDING_DEBUG_BS);
}

/* Another state (power-on, INIT, load): what the VMCS still had to deliver in the last one is not for it. An
 * entry that was refused leaves its event there (26.8); debug exceptions of a MOV SS wait for the end of the
 * next instruction, which may have been a reset. */
static void forget(const struct x86_vcpu_state *state) {
    bool stepped = state->interrupt_shadow && (state->registers.rflags & RFLAGS_TF);

    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, stepped ? VMX_PENDING_DEBUG_BS : 0); /* 26.3.1.5 */
}

void vmx_store(struct x86_vcpu *vcpu, uint32_t groups) {
    const struct x86_vcpu_state *state = vcpu->state;

    if (groups & X86_STATE_SEGMENTS)
        store_segments(&state->system);
    if (groups & X86_STATE_CONTROL)
        store_control(vcpu, vmx_vcpu(vcpu), &state->system);
    if (groups & X86_STATE_DEBUG) {
        guest_dr6_write((state->dr6 & DR6_WRITABLE) | DR6_FIXED);
        vmcs_write(VMCS_GUEST_DR7, state->dr7);
    }
    if (groups & X86_STATE_MSRS)
        store_msrs(&state->msrs);
    if (groups == X86_STATE_ALL)
        forget(state);
}
