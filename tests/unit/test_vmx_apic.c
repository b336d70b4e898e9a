// SPDX-License-Identifier: Apache-2.0
// Unit tests of VT-x's APIC virtualisation: which controls a vCPU runs with, and when the APIC-access page is
// in the guest's memory.
// unit-sources: arch/x86/engine/vmx/vmx_apic.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/x86/guest/pc.h"
#include "tests/unit/vmcs_mock.h"

struct cpu *test_cpu;
uint64_t test_time;

#define VCPUS 2u
#define CR8   (VMX_PRIMARY_CR8_LOAD | VMX_PRIMARY_CR8_STORE)

static struct x86_vm vm;
static struct vmx_vm vmx_vm;
static struct x86_vcpu vcpus[VCPUS];
static struct vmx_vcpu vmx[VCPUS];
static uint8_t pages[4][PAGE_SIZE] __attribute__((aligned(4096)));

/* ---- what it asks for */

static struct {
    enum lapic_page wanted;
    uint64_t base;
} apics[VCPUS];
static struct {
    uint64_t physical; /* what is mapped at PC_LAPIC_BASE; 0: nothing */
    int error;
    unsigned loads, crashes;
} machine;

static unsigned number(const struct lapic *lapic) {
    return (unsigned)((uintptr_t)lapic - 1);
}
enum lapic_page lapic_page_wanted(const struct lapic *lapic) {
    return apics[number(lapic)].wanted;
}
uint64_t lapic_mmio_base(const struct lapic *lapic) {
    return apics[number(lapic)].base;
}
void lapic_page_load(struct lapic *lapic, uint8_t *rvi, uint8_t *svi, uint64_t eoi_exit[4]) {
    (void)lapic;
    machine.loads++;
    *rvi = 0x51;
    *svi = 0x42;
    memset(eoi_exit, 0, 4 * sizeof(eoi_exit[0]));
    eoi_exit[2] = 5;
}
int paging_map(struct paging *paging, uint64_t address, uint64_t physical, uint64_t size, unsigned rights) {
    assert_ptr_equal(paging, &vm.nested);
    assert_int_equal(address, PC_LAPIC_BASE);
    assert_int_equal(size, PAGE_SIZE);
    assert_int_equal(rights & PAGING_EXECUTE, 0);
    if (!machine.error)
        machine.physical = physical;
    return machine.error;
}
int paging_unmap(struct paging *paging, uint64_t address, uint64_t size) {
    assert_ptr_equal(paging, &vm.nested);
    assert_int_equal(address, PC_LAPIC_BASE);
    assert_int_equal(size, PAGE_SIZE);
    if (!machine.error)
        machine.physical = 0;
    return machine.error;
}
uint64_t arch_heap_physical(const void *address) {
    return (uint64_t)(uintptr_t)address;
}
void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    (void)vcpu;
    (void)format;
    machine.crashes++;
}

/* ---- tests */

static void want(unsigned index, enum lapic_page wanted) {
    apics[index].wanted = wanted;
    apics[index].base = wanted == LAPIC_PAGE_TRAP || wanted == LAPIC_PAGE_XAPIC ? PC_LAPIC_BASE : 0;
}

static int setup(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&vmx_vm, 0, sizeof(vmx_vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(vmx, 0, sizeof(vmx));
    memset(&mock, 0, sizeof(mock));
    memset(&machine, 0, sizeof(machine));
    vmx_controls = (struct vmx_controls){.x2apic = true, .xapic = true};
    vmx_vm.msr_bitmap = pages[0];
    vmx_vm.apic_bitmap = pages[1];
    vmx_vm.apic_access = pages[2];
    vm.engine = &vmx_vm;
    vm.core.vcpu_count = VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].core.vm = &vm.core;
        vcpus[i].engine = &vmx[i];
        vcpus[i].lapic = (struct lapic *)(uintptr_t)(i + 1);
        vcpus[i].apic_page = pages[3];
        vm.core.vcpu[i] = &vcpus[i].core;
        vmx[i].primary = CR8;
        vmx[i].secondary = VMX_SECONDARY_EPT;
        want(i, LAPIC_PAGE_TRAP);
    }
    vmx_apic_place(&vcpus[0]); /* power-on */
    return 0;
}

static void runs_with(unsigned index, enum lapic_page apic) {
    bool by_cpu = apic == LAPIC_PAGE_XAPIC || apic == LAPIC_PAGE_X2APIC;
    unsigned loads = machine.loads;
    assert_int_equal(vmx_apic_load(&vcpus[index]), by_cpu);
    assert_int_equal(machine.loads, loads + by_cpu);
    assert_int_equal(vmx[index].apic, apic);
    if (apic == LAPIC_PAGE_NONE)
        return; /* where nothing has changed nothing was written */
    assert_int_equal(mock.field[VMCS_PRIMARY], by_cpu ? VMX_PRIMARY_TPR_SHADOW : CR8);
    assert_int_equal(mock.field[VMCS_SECONDARY], VMX_SECONDARY_EPT | vmx_apic_secondary(apic));
    assert_int_equal(mock.field[VMCS_MSR_BITMAP],
                     (uintptr_t)(apic == LAPIC_PAGE_X2APIC ? vmx_vm.apic_bitmap : vmx_vm.msr_bitmap));
}

static void test_controls(void **state) {
    (void)state;
    /* SDM 26.2.1.1: without the TPR shadow none of what stands on it; not both kinds at once. */
    assert_int_equal(vmx_apic_secondary(LAPIC_PAGE_NONE), 0);
    assert_int_equal(vmx_apic_secondary(LAPIC_PAGE_TRAP), VMX_SECONDARY_APIC_ACCESS);
    assert_int_equal(vmx_apic_secondary(LAPIC_PAGE_XAPIC) & VMX_SECONDARY_X2APIC, 0);
    assert_int_equal(vmx_apic_secondary(LAPIC_PAGE_X2APIC) & VMX_SECONDARY_APIC_ACCESS, 0);
}

static void test_xapic(void **state) {
    (void)state;
    assert_int_equal(machine.physical, (uintptr_t)vmx_vm.apic_access);
    runs_with(0, LAPIC_PAGE_TRAP);
    assert_int_equal(vmx[0].dirty, VMX_DIRTY_TLB); /* translations were made without the control */
    vmx[0].dirty = 0;
    want(0, LAPIC_PAGE_XAPIC);
    runs_with(0, LAPIC_PAGE_XAPIC);
    assert_int_equal(vmx[0].dirty, 0);
    assert_int_equal(mock.field[VMCS_GUEST_INTERRUPT_STATUS], 0x4251);
    assert_int_equal(mock.field[VMCS_EOI_EXIT + 4], 5);
    want(0, LAPIC_PAGE_TRAP); /* disabled by software again */
    runs_with(0, LAPIC_PAGE_TRAP);
    assert_int_equal(machine.physical, (uintptr_t)vmx_vm.apic_access);
}

/* The first vCPU that leaves takes the page away, also from those that stay. */
static void test_leaving(void **state) {
    (void)state;
    want(0, LAPIC_PAGE_XAPIC);
    want(1, LAPIC_PAGE_XAPIC);
    runs_with(0, LAPIC_PAGE_XAPIC);
    runs_with(1, LAPIC_PAGE_XAPIC);
    want(1, LAPIC_PAGE_X2APIC);
    runs_with(1, LAPIC_PAGE_X2APIC);
    assert_int_equal(machine.physical, 0);
    runs_with(0, LAPIC_PAGE_NONE);
    want(0, LAPIC_PAGE_X2APIC);
    runs_with(0, LAPIC_PAGE_X2APIC);
    /* INIT, with the others where they are. */
    vmx_apic_place(&vcpus[0]);
    assert_int_equal(machine.physical, 0);
    /* All are back, and this one runs without the control when another one has its INIT. */
    want(0, LAPIC_PAGE_TRAP);
    want(1, LAPIC_PAGE_TRAP);
    vm.core.prepared = true;
    runs_with(0, LAPIC_PAGE_NONE);
    vmx_apic_place(&vcpus[1]);
    assert_int_equal(machine.physical, 0);
    vm.core.prepared = false;
    vmx_apic_place(&vcpus[0]);
    assert_int_equal(machine.physical, (uintptr_t)vmx_vm.apic_access);
    /* Off, or elsewhere. */
    want(1, LAPIC_PAGE_NONE);
    runs_with(1, LAPIC_PAGE_NONE);
    assert_int_equal(machine.physical, 0);
}

static void test_no_memory(void **state) {
    (void)state;
    want(0, LAPIC_PAGE_X2APIC);
    machine.error = -ENOMEM;
    vmx_apic_load(&vcpus[0]); /* the page would be memory to it: better no guest */
    assert_int_equal(machine.crashes, 1);
    machine.error = 0;
    vmx_apic_load(&vcpus[0]);
    assert_int_equal(machine.physical, 0);
    want(0, LAPIC_PAGE_TRAP);
    machine.error = -ENOMEM;
    vmx_apic_place(&vcpus[0]); /* emulated instead */
    assert_int_equal(machine.crashes, 1);
    runs_with(0, LAPIC_PAGE_NONE);
}

/* What the CPU does not have, or the config does not want. */
static void test_without(void **state) {
    (void)state;
    vmx_vm.apic_access = NULL;
    vmx_apic_place(&vcpus[0]);
    assert_int_equal(machine.physical, 0);
    runs_with(0, LAPIC_PAGE_NONE);
    want(0, LAPIC_PAGE_X2APIC);
    runs_with(0, LAPIC_PAGE_X2APIC);
    vmx_controls.x2apic = false;
    runs_with(0, LAPIC_PAGE_NONE);
    vmx_controls.x2apic = true;
    vcpus[0].apic_page = NULL;
    runs_with(0, LAPIC_PAGE_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_controls, setup), cmocka_unit_test_setup(test_xapic, setup),
        cmocka_unit_test_setup(test_leaving, setup),  cmocka_unit_test_setup(test_no_memory, setup),
        cmocka_unit_test_setup(test_without, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
