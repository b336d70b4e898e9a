// SPDX-License-Identifier: Apache-2.0
// VT-x: virtual-interrupt delivery (Intel SDM vol. 3, ch. 29), for guests in x2APIC mode: interrupts are
// delivered and ended, and sent to oneself, without exits.
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/guest/lapic.h"

#include <vmx_inline.h>

static void switch_to(struct x86_vcpu *vcpu, bool on) {
    const struct vmx_vm *vm = x86_vm(vcpu->core.vm)->engine;
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    const uint32_t cr8 = VMX_PRIMARY_CR8_LOAD | VMX_PRIMARY_CR8_STORE;

    vmx->apic_on = on;
    vmx->primary = on ? (vmx->primary & ~cr8) | VMX_APIC_PRIMARY : (vmx->primary & ~VMX_APIC_PRIMARY) | cr8;
    vmcs_write(VMCS_PRIMARY, vmx->primary);
    vmcs_write(VMCS_SECONDARY, vmx->secondary | (on ? VMX_APIC_SECONDARY : 0));
    vmcs_write(VMCS_MSR_BITMAP, arch_heap_physical(on ? vm->apic_bitmap : vm->msr_bitmap));
}

bool vmx_apic_load(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    bool on = vcpu->apic_page && lapic_page_wanted(vcpu->lapic);
    uint8_t rvi, svi;
    uint64_t eoi_exit[4];

    if (__builtin_expect(on != vmx->apic_on, 0))
        switch_to(vcpu, on);
    if (!on)
        return false;
    lapic_page_load(vcpu->lapic, &rvi, &svi, eoi_exit);
    vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, rvi | (uint32_t)svi << 8);
    for (unsigned i = 0; i < 4; i++) {
        if (eoi_exit[i] != vmx->eoi_exit[i]) {
            vmx->eoi_exit[i] = eoi_exit[i];
            vmcs_write(VMCS_EOI_EXIT + 2 * i, eoi_exit[i]);
        }
    }
    return true;
}
