// SPDX-License-Identifier: Apache-2.0
// VT-x's page-modification log: switched with the VM's wish, drained at every fill, never read beyond.
// unit-sources: arch/x86/engine/vmx/vmx_log.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/vmcs_mock.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_vm vm;
static struct x86_vcpu vcpu;
static struct vmx_vcpu vmx;
static bool no_memory;
static uint64_t noted[1024];
static unsigned notes;

void *heap_pages(unsigned order, struct memory_account *account) {
    assert_int_equal(order, 0);
    assert_ptr_equal(account, &vm.core.memory.account);
    if (no_memory)
        return NULL;
    void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    return page;
}
void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    (void)order;
    (void)account;
    free(pages);
}
uint64_t arch_heap_physical(const void *address) {
    return (uint64_t)(uintptr_t)address;
}
void guest_mark_dirty(struct vm *of, uint64_t gpa, uint64_t size) {
    assert_ptr_equal(of, &vm.core);
    assert_int_equal(size, 1);
    noted[notes++] = gpa;
}
uint32_t vmx_apic_secondary(enum lapic_page apic) {
    return apic == LAPIC_PAGE_TRAP ? VMX_SECONDARY_APIC_ACCESS : 0;
}

static int setup(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&vmx, 0, sizeof(vmx));
    memset(&mock, 0, sizeof(mock));
    vcpu.core.vm = &vm.core;
    vcpu.engine = &vmx;
    vmx.secondary = VMX_SECONDARY_EPT;
    vmx.apic = LAPIC_PAGE_TRAP;
    vmx_controls = (struct vmx_controls){.page_log = true};
    no_memory = false;
    notes = 0;
    return 0;
}

static void test_switch(void **state) {
    (void)state;
    assert_true(vmx_page_log());
    assert_int_equal(vmx_log_create(&vcpu), 0);
    vmx_log_switch(&vcpu);
    assert_int_equal(mock.field[VMCS_SECONDARY], 0); /* nothing to do, nothing written */
    vm.page_log = true;
    vmx_log_switch(&vcpu);
    assert_true(vmx.logging);
    assert_int_equal(mock.field[VMCS_PAGE_LOG], (uintptr_t)vmx.page_log);
    assert_int_equal(mock.field[VMCS_PAGE_LOG_INDEX], 511);
    assert_int_equal(mock.field[VMCS_SECONDARY],
                     VMX_SECONDARY_EPT | VMX_SECONDARY_PAGE_LOG | VMX_SECONDARY_APIC_ACCESS);
    vm.page_log = false;
    vmx_log_switch(&vcpu);
    assert_false(vmx.logging);
    assert_int_equal(mock.field[VMCS_SECONDARY], VMX_SECONDARY_EPT | VMX_SECONDARY_APIC_ACCESS);
    vmx_log_destroy(&vcpu);
    assert_null(vmx.page_log);
    vmx_log_destroy(&vcpu); /* a vCPU that was never whole */
}

static void test_create(void **state) {
    (void)state;
    no_memory = true;
    assert_int_equal(vmx_log_create(&vcpu), -ENOMEM);
    vmx_controls.page_log = false; /* then it needs none */
    assert_int_equal(vmx_log_create(&vcpu), 0);
    assert_null(vmx.page_log);
    assert_false(vmx_page_log());
}

static void test_drain(void **state) {
    /* The CPU's next index, and how many entries it has written. */
    static const struct {
        uint16_t index;
        unsigned entries;
    } fills[] = {{511, 0}, {510, 1}, {509, 2}, {255, 256}, {0, 511}, {0xffff, 512}};
    (void)state;
    assert_int_equal(vmx_log_create(&vcpu), 0);
    vm.page_log = true;
    vmx_log_switch(&vcpu);
    for (unsigned i = 0; i < 512; i++)
        vmx.page_log[i] = (uint64_t)i << 12;
    for (unsigned f = 0; f < sizeof(fills) / sizeof(fills[0]); f++) {
        notes = 0;
        mock.field[VMCS_PAGE_LOG_INDEX] = fills[f].index;
        vmx_log_drain(&vcpu);
        assert_int_equal(notes, fills[f].entries);
        for (unsigned i = 0; i < notes; i++)
            assert_int_equal(noted[i], (uint64_t)(512 - fills[f].entries + i) << 12);
        assert_int_equal(mock.field[VMCS_PAGE_LOG_INDEX], 511);
    }
    vmx_log_destroy(&vcpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_switch, setup),
        cmocka_unit_test_setup(test_create, setup),
        cmocka_unit_test_setup(test_drain, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
