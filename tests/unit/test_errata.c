// SPDX-License-Identifier: Apache-2.0
// Faults of CPUs that an MSR's bit mends: which CPUs get which bit, and that all others are left alone.
// unit-sources: arch/x86/errata.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/errata.h"

struct cpu *test_cpu;
uint64_t test_time;

/* CPUID 1 EAX of a family above 0xE. */
static uint32_t signature(unsigned family, unsigned model) {
    return (family - 15) << 20 | (model >> 4) << 16 | 15u << 8 | (model & 15) << 4 | 1;
}

/* The bit that such a CPU gets in the MSR, which held `before`; -1: nothing is written. */
static int bit_set(uint32_t eax, uint32_t msr, uint64_t before) {
    host_cpu_reset();
    host_leaf_1.eax = eax;
    host_msr_written = msr;
    host_msr_value = before;
    errata_cpu_init();
    assert_int_equal(host_msr_written, msr);
    uint64_t added = host_msr_value ^ before;
    assert_int_equal(added & before, 0);
    return added ? __builtin_ctzll(added) : -1;
}

#define LS_CFG 0xc0011020u
#define DE_CFG 0xc0011029u

static void test_bits(void **unused) {
    (void)unused;
    assert_int_equal(bit_set(signature(0x16, 0x00), LS_CFG, 0x100), 15);
    assert_int_equal(bit_set(signature(0x16, 0x0f), LS_CFG, 0), 15);
    assert_int_equal(bit_set(signature(0x16, 0x0f), LS_CFG, 0x8100), -1); /* the firmware has */
    static const uint8_t zen2[] = {0x31, 0x47, 0x60, 0x68, 0x71, 0x90, 0xa0};
    for (unsigned i = 0; i < sizeof(zen2); i++)
        assert_int_equal(bit_set(signature(0x17, zen2[i]), DE_CFG, 2), 9);
}

static void test_others(void **unused) {
    static const struct {
        unsigned family, model;
    } others[] = {{0x10, 4}, {0x15, 2}, {0x16, 0x30}, {0x17, 1}, {0x17, 0x18}, {0x17, 0x92}, {0x19, 0x31}};
    (void)unused;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint32_t eax = signature(others[i].family, others[i].model);
        assert_int_equal(bit_set(eax, LS_CFG, 0), -1);
        assert_int_equal(bit_set(eax, DE_CFG, 0), -1);
    }
    /* Another maker's, and a virtual one. */
    host_cpu_reset();
    host_msr_written = 0;
    host_leaf_1.eax = signature(0x17, 0x31);
    host_leaf_0.ecx = 0x6c65746e;
    errata_cpu_init();
    assert_int_equal(host_msr_written, 0);
    host_leaf_0.ecx = 0x444d4163;
    host_leaf_1.ecx |= 1u << 31;
    errata_cpu_init();
    assert_int_equal(host_msr_written, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
