// SPDX-License-Identifier: Apache-2.0
// VT-x: what the guest does to control registers and may not do by itself: MOV to CR0 and CR4 that touches
// bits that are the host's, CR8, LMSW (Intel SDM vol. 3, 2.5, 4.10.4.1, 25.1.3; vol. 2, MOV, LMSW).
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/registers.h"

#define TYPE_TO    0u
#define TYPE_FROM  1u
#define TYPE_CLTS  2u
#define TYPE_LMSW  3u

#define CR4_PSE    (1ull << 4)
#define CR4_RELOAD (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP) /* a change of these loads the PDPTEs */

/* Page-directory pointers that CR3 leads to (4.4.1). False: a load of them would fault. */
static bool pdptes_valid(struct x86_vcpu *vcpu) {
    uint64_t pdpte[4] = {0};
    uint64_t reserved = ~((1ull << x86_vm(vcpu->core.vm)->model->physical_bits) - 1) | 0x1e6;

    if (guest_read(vcpu->core.vm, vcpu->state->system.cr3 & 0xffffffe0ull, pdpte, sizeof(pdpte)))
        return true;
    for (unsigned i = 0; i < 4; i++)
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            return false;
    return true;
}

/* False: #GP(0). */
static bool write_cr0(struct x86_vcpu *vcpu, uint64_t value) {
    struct x86_system *system = &vcpu->state->system;
    uint64_t efer = system->efer;
    bool was_on = (system->cr0 & CR0_PG) != 0, on = (value & CR0_PG) != 0;
    bool code64 = (system->segment[X86_CS].attributes & X86_SEG_L) != 0;

    if (value >> 32 || (on && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        return false;
    value =
        (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) |
        CR0_ET;
    if (!was_on && on && (efer & EFER_LME)) {
        /* Into long mode: PAE, no 64-bit code segment yet, no 16-bit task. */
        if (!(system->cr4 & CR4_PAE) || code64 || (system->segment[X86_TR].attributes & 0xf) <= 3)
            return false;
        efer |= EFER_LMA;
    } else if (was_on && !on) {
        if ((system->cr4 & CR4_PCIDE) || ((efer & EFER_LMA) && code64))
            return false;
        efer &= ~EFER_LMA;
    }
    if (on && (system->cr4 & CR4_PAE) && !(efer & EFER_LMA) &&
        ((value ^ system->cr0) & (CR0_PG | CR0_CD | CR0_NW)) && !pdptes_valid(vcpu))
        return false;
    if ((value ^ system->cr0) & (CR0_PG | CR0_PE | CR0_WP))
        engine->tlb_flush(vcpu);
    system->cr0 = value;
    system->efer = efer;
    x86_changed(vcpu, X86_STATE_CONTROL);
    return true;
}

static bool write_cr4(struct x86_vcpu *vcpu, uint64_t value) {
    struct x86_system *system = &vcpu->state->system;
    uint64_t changed = value ^ system->cr4;
    bool long_mode = (system->efer & EFER_LMA) != 0;

    if (value & ~cpu_model_cr4_allowed(x86_vm(vcpu->core.vm)->model))
        return false;
    if (long_mode && !(value & CR4_PAE))
        return false;
    if ((changed & value & CR4_PCIDE) && (!long_mode || (system->cr3 & 0xfff)))
        return false;
    if ((system->cr0 & CR0_PG) && (value & CR4_PAE) && !long_mode && (changed & CR4_RELOAD) &&
        !pdptes_valid(vcpu))
        return false;
    if (changed & (CR4_RELOAD | CR4_PCIDE | CR4_SMAP))
        engine->tlb_flush(vcpu);
    system->cr4 = value;
    x86_changed(vcpu, X86_STATE_CONTROL);
    return true;
}

void vmx_cr_access(struct x86_vcpu *vcpu, uint64_t qualification, unsigned length) {
    struct x86_system *system = &vcpu->state->system;
    unsigned number = qualification & 15, type = qualification >> 4 & 3, gpr = qualification >> 8 & 15;
    uint64_t source = qualification >> 16 & 0xffff;
    bool done = false;

    if (number == 8) {
        exit_cr8(vcpu, type == TYPE_TO, gpr, length);
        return;
    }
    x86_need(vcpu, X86_STATE_SEGMENTS | X86_STATE_CONTROL);
    uint64_t value = vcpu->state->registers.gpr[gpr];
    if (!(system->efer & EFER_LMA) || !(system->segment[X86_CS].attributes & X86_SEG_L))
        value = (uint32_t)value;
    if (type == TYPE_CLTS)
        done = write_cr0(vcpu, system->cr0 & ~CR0_TS);
    else if (type == TYPE_LMSW) /* PE can be set by it, not cleared */
        done = write_cr0(vcpu, (system->cr0 & ~0xeull) | (source & 0xf));
    else if (type == TYPE_TO && number == 0)
        done = write_cr0(vcpu, value);
    else if (type == TYPE_TO && number == 4)
        done = write_cr4(vcpu, value);
    else
        vm_crash(&vcpu->core, "unexpected access to CR%u (0x%llx)", number,
                 (unsigned long long)qualification);
    if (done)
        x86_skip(vcpu, length);
    else
        x86_inject_exception(vcpu, VECTOR_GP, 0);
}
