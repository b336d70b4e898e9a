// SPDX-License-Identifier: Apache-2.0
// VT-x: the MSR bitmap of a VM, the VMCS of a vCPU and the fields of it that do not change (Intel SDM
// vol. 3, 24.5 to 24.8).
#include "arch/x86/engine/direct_msrs.h"
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/host_map.h"
#include "arch/x86/paging_formats.h"
#include "arch/x86/registers.h"
#include "core/log.h"
#include "lib/config.h"

#include <errno.h>
#include <string.h>
#include <vmx_inline.h>

#define PLE_GAP             128u  /* TSC ticks between two PAUSEs of one loop */
#define PLE_WINDOW          4096u /* ticks that a loop may take */
#define MSR_X2APIC_TPR      0x808u
#define MSR_X2APIC_EOI      0x80bu
#define MSR_X2APIC_SELF_IPI 0x83fu
#define VPIDS               1024u /* more than there can be vCPUs; 0 is the host's */

static uint64_t vpid_used[VPIDS / 64] = {1};
static struct spinlock vpid_lock;

static uint16_t vpid_take(void) {
    uint16_t vpid = 0;

    if (!(vmx_controls.secondary & VMX_SECONDARY_VPID))
        return 0;
    spin_lock(&vpid_lock);
    for (unsigned i = 1; i < VPIDS && !vpid; i++)
        if (!(vpid_used[i / 64] >> i % 64 & 1))
            vpid = (uint16_t)i;
    vpid_used[vpid / 64] |= 1ull << vpid % 64;
    spin_unlock(&vpid_lock);
    return vpid;
}

static void vpid_give(uint16_t vpid) {
    if (!vpid)
        return;
    spin_lock(&vpid_lock);
    vpid_used[vpid / 64] &= ~(1ull << vpid % 64);
    spin_unlock(&vpid_lock);
}

/* A set bit makes the access exit: reads at 0, writes at 2048; the MSRs from 0xc0000000 on 1024 further. */
static void msr_allow(uint8_t *bitmap, uint32_t msr, bool read) {
    unsigned base = msr >= 0xc0000000u ? 1024 : 0;
    unsigned bit = msr & 0x1fff;

    if (read)
        bitmap[base + bit / 8] &= (uint8_t) ~(1u << bit % 8);
    bitmap[2048 + base + bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

int vmx_vm_create(struct x86_vm *vm) {
    struct memory_account *account = &vm->core.memory.account;
    struct vmx_vm *vmx = heap_allocate(sizeof(*vmx), account);

    if (!vmx)
        return -ENOMEM;
    vm->engine = vmx;
    vmx->msr_bitmap = heap_pages(0, account);
    vmx->apic_bitmap = heap_pages(0, account);
    if (!vmx->msr_bitmap || !vmx->apic_bitmap) {
        vmx_vm_destroy(vm);
        return -ENOMEM;
    }
    if (vmx_controls.xapic && vm->core.config->apic_virtualization) {
        vmx->apic_access = heap_pages(0, account);
        if (!vmx->apic_access) {
            vmx_vm_destroy(vm);
            return -ENOMEM;
        }
    }
    memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
    for (unsigned i = 0; i < DIRECT_MSRS; i++)
        msr_allow(vmx->msr_bitmap, direct_msrs[i].msr, true);
    memcpy(vmx->apic_bitmap, vmx->msr_bitmap, PAGE_SIZE);
    msr_allow(vmx->apic_bitmap, MSR_X2APIC_TPR, true);
    msr_allow(vmx->apic_bitmap, MSR_X2APIC_EOI, false);
    msr_allow(vmx->apic_bitmap, MSR_X2APIC_SELF_IPI, false);
    vmx->eptp = arch_heap_physical(vm->nested.root) | VMX_EPTP_WRITE_BACK | VMX_EPTP_4_LEVELS;
    if (vm->nested.format == &paging_ept_format)
        vmx->eptp |= VMX_EPTP_ACCESSED_DIRTY;
    return 0;
}

void vmx_vm_destroy(struct x86_vm *vm) {
    struct memory_account *account = &vm->core.memory.account;
    struct vmx_vm *vmx = vm->engine;

    if (!vmx)
        return;
    if (vmx->msr_bitmap)
        heap_pages_free(vmx->msr_bitmap, 0, account);
    if (vmx->apic_bitmap)
        heap_pages_free(vmx->apic_bitmap, 0, account);
    if (vmx->apic_access)
        heap_pages_free(vmx->apic_access, 0, account);
    heap_free(vmx, sizeof(*vmx), account);
    vm->engine = NULL;
}

int vmx_vcpu_create(struct x86_vcpu *vcpu) {
    const struct x86_cpu_model *model = x86_vm(vcpu->core.vm)->model;
    struct memory_account *account = &vcpu->core.vm->memory.account;
    struct vmx_vcpu *vmx = heap_allocate(sizeof(*vmx), account);
    uint32_t *vmcs = heap_pages(0, account);

    bool apic = (vmx_controls.x2apic || vmx_controls.xapic) && vcpu->core.vm->config->apic_virtualization;

    if (apic)
        vcpu->apic_page = heap_pages(0, account);
    if (!vmx || !vmcs || (apic && !vcpu->apic_page)) {
        if (vcpu->apic_page)
            heap_pages_free(vcpu->apic_page, 0, account);
        vcpu->apic_page = NULL;
        if (vmx)
            heap_free(vmx, sizeof(*vmx), account);
        if (vmcs)
            heap_pages_free(vmcs, 0, account);
        return -ENOMEM;
    }
    vmcs[0] = (uint32_t)(vmx_caps.basic & VMX_BASIC_REVISION);
    vmx->vmcs = vmcs;
    vmx->vmcs_physical = arch_heap_physical(vmcs);
    vmx->vpid = vpid_take();
    vmx->cr4_owned = ~cpu_model_cr4_allowed(model) | CR4_MCE;
    vcpu->engine = vmx;
    /* Nothing is in the VMCS before it is first loaded. */
    vcpu->present = X86_STATE_ALL;
    return vmx_log_create(vcpu); /* the caller destroys what was created */
}

void vmx_vcpu_destroy(struct x86_vcpu *vcpu) {
    struct memory_account *account = &vcpu->core.vm->memory.account;
    struct vmx_vcpu *vmx = vcpu->engine;

    if (!vmx)
        return;
    /* It has left its CPU: vcpu_put() clears the VMCS of a vCPU that parks. */
    bug_if(vmx->launched);
    vpid_give(vmx->vpid);
    vmx_log_destroy(vcpu);
    if (vcpu->apic_page)
        heap_pages_free(vcpu->apic_page, 0, account);
    vcpu->apic_page = NULL;
    heap_pages_free(vmx->vmcs, 0, account);
    heap_free(vmx, sizeof(*vmx), account);
    vcpu->engine = NULL;
}

static uint32_t secondary_controls(const struct x86_cpu_model *model, uint16_t vpid) {
    uint32_t secondary = vmx_controls.secondary;

    if (!cpu_model_has_rdtscp(model))
        secondary &= ~VMX_SECONDARY_RDTSCP;
    if (!cpu_model_has(model, WORD_7_EBX, 10))
        secondary &= ~VMX_SECONDARY_INVPCID;
    if (!vpid)
        secondary &= ~VMX_SECONDARY_VPID;
    return secondary;
}

void vmx_fill(struct x86_vcpu *vcpu) {
    struct x86_vm *vm = x86_vm(vcpu->core.vm);
    const struct vmx_vm *vmx_vm = vm->engine;
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    uint32_t secondary = secondary_controls(vm->model, vmx->vpid);

    vmx->secondary = secondary;
    vmx->logging = false;
    vmx->primary = vmx_controls.primary;
    vmcs_write(VMCS_PIN, vmx_controls.pin);
    vmcs_write(VMCS_PRIMARY, vmx->primary);
    vmx->apic = vmx_vm->apic_mapped ? LAPIC_PAGE_TRAP : LAPIC_PAGE_NONE;
    vmcs_write(VMCS_SECONDARY, secondary | vmx_apic_secondary(vmx->apic));
    vmcs_write(VMCS_EXIT, vmx_controls.exit);
    vmcs_write(VMCS_ENTRY, vmx_controls.entry);
    vmcs_write(VMCS_EXCEPTION_BITMAP, EXIT_EXCEPTIONS);
    vmcs_write(VMCS_PAGE_FAULT_MASK, 0);
    vmcs_write(VMCS_PAGE_FAULT_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGETS, 0);
    vmcs_write(VMCS_EXIT_MSR_STORES, 0);
    vmcs_write(VMCS_EXIT_MSR_LOADS, 0);
    vmcs_write(VMCS_ENTRY_MSR_LOADS, 0);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmcs_write(VMCS_MSR_BITMAP, arch_heap_physical(vmx_vm->msr_bitmap));
    vmcs_write(VMCS_EPTP, vmx_vm->eptp);
    if (vmx->vpid)
        vmcs_write(VMCS_VPID, vmx->vpid);
    if (secondary & VMX_SECONDARY_PAUSE_LOOP) {
        vmcs_write(VMCS_PLE_GAP, PLE_GAP);
        vmcs_write(VMCS_PLE_WINDOW, PLE_WINDOW);
    }
    if (vcpu->apic_page) {
        vmcs_write(VMCS_VIRTUAL_APIC, arch_heap_physical(vcpu->apic_page));
        vmcs_write(VMCS_TPR_THRESHOLD, 0);
        if (vmx_vm->apic_access)
            vmcs_write(VMCS_APIC_ACCESS, arch_heap_physical(vmx_vm->apic_access));
        for (unsigned i = 0; i < 4; i++)
            vmcs_write(VMCS_EOI_EXIT + 2 * i, 0);
    }
    vmcs_write(VMCS_CR0_MASK, VMX_CR0_OWNED);
    vmcs_write(VMCS_CR4_MASK, vmx->cr4_owned);
    vmcs_write(VMCS_LINK, ~0ull);
    vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_RIP, 0);
    vmcs_write(VMCS_GUEST_RSP, 0);
    vmcs_write(VMCS_GUEST_RFLAGS, 2);
    vmx->rflags = 2;
    vcpu->changed = X86_STATE_ALL;
    vmx->dirty |= VMX_DIRTY_TSC | VMX_DIRTY_TLB;
    vmx->filled = true;
}

struct descriptor_table {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

void vmx_fill_host(struct vmx_vcpu *vmx) {
    const struct x86_cpu *cpu = x86_cpu_this();
    struct descriptor_table idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    vmcs_write(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
    vmcs_write(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)cpu);
    vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)&cpu->segments.tss);
    /* Exits set both tables' limits to 0xffff (27.5.2) and nobody puts them back: vectors end at 255 anyway,
     * and no selector is loaded that lies beyond the GDT's end. */
    vmcs_write(VMCS_HOST_GDTR_BASE, (uint64_t)cpu->segments.gdt);
    vmcs_write(VMCS_HOST_IDTR_BASE, idtr.base);
    vmcs_write(VMCS_HOST_CR0, cr0_read());
    vmcs_write(VMCS_HOST_CR3, host_map_root());
    vmcs_write(VMCS_HOST_CR4, cr4_read());
    vmcs_write(VMCS_HOST_EFER, msr_read(MSR_EFER));
    vmcs_write(VMCS_HOST_PAT, msr_read(MSR_PAT));
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit_point);
    vmx->host_rsp = 0;
}
