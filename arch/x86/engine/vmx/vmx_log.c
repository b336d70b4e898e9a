// SPDX-License-Identifier: Apache-2.0
// VT-x: page-modification logging (Intel SDM vol. 3, 28.2.6). The CPU writes the address of each page whose
// dirty bit it sets into a page of 512 entries, from the last one down, and exits when that is full.
#include "arch/x86/engine/vmx/vmx.h"
#include "core/log.h"

#include <errno.h>
#include <vmx_inline.h>

#define ENTRIES 512u
#define UNUSED  (ENTRIES - 1) /* the index of an empty log */

bool vmx_page_log(void) {
    return vmx_controls.page_log;
}

int vmx_log_create(struct x86_vcpu *vcpu) {
    if (!vmx_controls.page_log)
        return 0;
    vmx_vcpu(vcpu)->page_log = heap_pages(0, &vcpu->core.vm->memory.account);
    return vmx_vcpu(vcpu)->page_log ? 0 : -ENOMEM;
}

void vmx_log_destroy(struct x86_vcpu *vcpu) {
    if (vmx_vcpu(vcpu)->page_log)
        heap_pages_free(vmx_vcpu(vcpu)->page_log, 0, &vcpu->core.vm->memory.account);
    vmx_vcpu(vcpu)->page_log = NULL;
}

void vmx_log_switch(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    bool wanted = x86_vm(vcpu->core.vm)->page_log;

    if (wanted == vmx->logging)
        return;
    if (wanted) {
        vmcs_write(VMCS_PAGE_LOG, arch_heap_physical(vmx->page_log));
        vmcs_write(VMCS_PAGE_LOG_INDEX, UNUSED);
        vmx->secondary |= VMX_SECONDARY_PAGE_LOG;
    } else {
        vmx->secondary &= ~VMX_SECONDARY_PAGE_LOG;
    }
    vmcs_write(VMCS_SECONDARY, vmx->secondary | vmx_apic_secondary(vmx->apic));
    vmx->logging = wanted;
}

void vmx_log_drain(struct x86_vcpu *vcpu) {
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    uint16_t index = (uint16_t)vmcs_read(VMCS_PAGE_LOG_INDEX);

    if (index == UNUSED)
        return;
    /* Below 0 it has wrapped: every entry is used. */
    for (unsigned i = index > UNUSED ? 0 : index + 1u; i < ENTRIES; i++)
        guest_mark_dirty(vcpu->core.vm, vmx->page_log[i], 1);
    vmcs_write(VMCS_PAGE_LOG_INDEX, UNUSED);
}
