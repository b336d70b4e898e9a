// SPDX-License-Identifier: Apache-2.0
// VT-x: APIC virtualisation (Intel SDM vol. 3, ch. 29): interrupts are delivered and ended, and sent to
// oneself, without exits; in xAPIC mode most registers are read without one.
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/guest/pc.h"
#include "core/vm.h"

#include <vmx_inline.h>

uint32_t vmx_apic_secondary(enum lapic_page apic) {
    switch (apic) {
    case LAPIC_PAGE_X2APIC:
        return VMX_X2APIC_SECONDARY;
    case LAPIC_PAGE_XAPIC:
        return VMX_XAPIC_SECONDARY;
    case LAPIC_PAGE_TRAP:
        return VMX_SECONDARY_APIC_ACCESS;
    default:
        return 0;
    }
}

static void switch_to(struct x86_vcpu *vcpu, enum lapic_page apic) {
    const struct vmx_vm *vm = x86_vm(vcpu->core.vm)->engine;
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    const uint32_t cr8 = VMX_PRIMARY_CR8_LOAD | VMX_PRIMARY_CR8_STORE;
    bool shadow = apic == LAPIC_PAGE_XAPIC || apic == LAPIC_PAGE_X2APIC;

    /* Translations of the page were made for the other control (28.3.3.4). */
    if ((vmx_apic_secondary(vmx->apic) ^ vmx_apic_secondary(apic)) & VMX_SECONDARY_APIC_ACCESS)
        vmx->dirty |= VMX_DIRTY_TLB;
    vmx->apic = apic;
    vmx->primary = shadow ? (vmx->primary & ~cr8) | VMX_PRIMARY_TPR_SHADOW
                          : (vmx->primary & ~VMX_PRIMARY_TPR_SHADOW) | cr8;
    vmcs_write(VMCS_PRIMARY, vmx->primary);
    vmcs_write(VMCS_SECONDARY, vmx->secondary | vmx_apic_secondary(apic));
    vmcs_write(VMCS_MSR_BITMAP,
               arch_heap_physical(apic == LAPIC_PAGE_X2APIC ? vm->apic_bitmap : vm->msr_bitmap));
}

void vmx_apic_place(struct x86_vcpu *vcpu) {
    struct x86_vm *vm = x86_vm(vcpu->core.vm);
    struct vmx_vm *vmx = vm->engine;
    bool all = vmx->apic_access != NULL;

    for (unsigned i = 0; all && i < vm->core.vcpu_count; i++)
        all = lapic_mmio_base(x86_vcpu(vm->core.vcpu[i])->lapic) == PC_LAPIC_BASE;
    /* Of vCPUs that find out at the same time each does the same. */
    if (all == __atomic_load_n(&vmx->apic_mapped, __ATOMIC_ACQUIRE))
        return;
    /* An INIT is no power-on: the others run, and to those without the control it would be memory. */
    if (all && vm->core.prepared)
        return;
    int error = all ? paging_map(&vm->nested, PC_LAPIC_BASE, arch_heap_physical(vmx->apic_access), PAGE_SIZE,
                                 PAGING_READ | PAGING_WRITE | PAGING_USER)
                    : paging_unmap(&vm->nested, PC_LAPIC_BASE, PAGE_SIZE);
    if (!error)
        __atomic_store_n(&vmx->apic_mapped, all, __ATOMIC_RELEASE);
    else if (!all)
        vm_crash(&vcpu->core, "no memory to take its local APIC's page away");
}

/* What the CPU is to do for this vCPU's APIC from here on. */
static enum lapic_page choose(struct x86_vcpu *vcpu) {
    struct vmx_vm *vm = x86_vm(vcpu->core.vm)->engine;
    enum lapic_page wanted = vcpu->apic_page ? lapic_page_wanted(vcpu->lapic) : LAPIC_PAGE_NONE;
    bool moved = wanted == LAPIC_PAGE_NONE || wanted == LAPIC_PAGE_X2APIC;

    /* Without its control the page would be memory: it goes before. */
    if (moved && __atomic_load_n(&vm->apic_mapped, __ATOMIC_ACQUIRE))
        vmx_apic_place(vcpu);
    if (wanted == LAPIC_PAGE_X2APIC)
        return vmx_controls.x2apic ? wanted : LAPIC_PAGE_NONE;
    return __atomic_load_n(&vm->apic_mapped, __ATOMIC_ACQUIRE) ? wanted : LAPIC_PAGE_NONE;
}

bool vmx_apic_load(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    enum lapic_page apic = choose(vcpu);
    uint8_t rvi, svi;
    uint64_t eoi_exit[4];

    if (__builtin_expect(apic != vmx->apic, 0))
        switch_to(vcpu, apic);
    if (apic != LAPIC_PAGE_XAPIC && apic != LAPIC_PAGE_X2APIC)
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
