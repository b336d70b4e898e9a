// SPDX-License-Identifier: Apache-2.0
// Unit tests of instruction lengths on CPUs without NRIP save: what is remembered of the pages that exits
// come from, and that nothing is believed without the bytes.
// unit-sources: arch/x86/engine/svm/svm_length.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/x86/engine/svm/svm_length.h"

struct cpu *test_cpu;
uint64_t test_time;

#define CPUID_TEXT 0xa20fu

static struct x86_cpu cpu;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;
static struct svm_vcpu svm;
static struct vmcb vmcb;
static uint8_t text[10][PAGE_SIZE]; /* the guest's, from linear address 0 on */
static unsigned walks;

void *arch_window_map(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}
unsigned x86_instruction_length(struct x86_vcpu *which, const uint8_t *opcode, unsigned opcode_length,
                                uint64_t *page) {
    assert_ptr_equal(which, &vcpu);
    assert_memory_equal(opcode, "\x0f\xa2", 2);
    uint64_t number = state.registers.rip / PAGE_SIZE;
    walks++;
    *page = number < array_count(text) ? (uint64_t)(uintptr_t)text[number] : UINT64_MAX;
    return number < array_count(text) ? opcode_length : 0;
}

static int setup(void **unused) {
    (void)unused;
    test_cpu = &cpu.core;
    vcpu.state = &state;
    vcpu.engine = &svm;
    svm.vmcb = &vmcb;
    for (unsigned i = 0; i < SVM_CODE_PAGES; i++)
        svm.code[i].page = UINT64_MAX;
    for (unsigned page = 0; page < array_count(text); page++)
        memcpy(&text[page][0x10], "\x0f\xa2\x0f\xa2", 4);
    walks = 0;
    return 0;
}

static unsigned length_at(uint64_t rip) {
    vmcb.rip = state.registers.rip = rip;
    return svm_length(&vcpu, &vmcb, CPUID_TEXT, 2);
}

static void test_pages(void **unused) {
    (void)unused;
    for (unsigned round = 0; round < 3; round++)
        for (uint64_t page = 0; page < SVM_CODE_PAGES; page++)
            assert_int_equal(length_at(page * PAGE_SIZE + 0x10), 2);
    assert_int_equal(walks, SVM_CODE_PAGES);
    length_at(0x12); /* another place in a page */
    assert_int_equal(walks, SVM_CODE_PAGES);
    cpu.window_sequence++; /* the windows have moved on: no walk for that */
    length_at(0x10);
    assert_int_equal(walks, SVM_CODE_PAGES);
    length_at(SVM_CODE_PAGES * PAGE_SIZE + 0x10); /* takes page 0's place */
    length_at(0x10);
    assert_int_equal(walks, SVM_CODE_PAGES + 2);
}

static void test_doubts(void **unused) {
    (void)unused;
    length_at(0x10);
    length_at(0x14); /* something else is there */
    assert_int_equal(walks, 2);
    length_at(0x10);
    assert_int_equal(walks, 2);
    vmcb.cr3 += PAGE_SIZE; /* another address space */
    length_at(0x10);
    assert_int_equal(walks, 3);
    vmcb.cs.base = PAGE_SIZE; /* the next page, outside 64-bit mode */
    length_at(0x10);
    assert_int_equal(walks, 4);
    vmcb.cs.base = 0;
    length_at(PAGE_SIZE - 2); /* may reach into the page behind */
    length_at(PAGE_SIZE - 2);
    assert_int_equal(walks, 6);
    assert_int_equal(length_at(20 * PAGE_SIZE), 0); /* not found: nothing is remembered */
    assert_int_equal(length_at(20 * PAGE_SIZE), 0);
    assert_int_equal(walks, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pages, setup),
        cmocka_unit_test_setup(test_doubts, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
