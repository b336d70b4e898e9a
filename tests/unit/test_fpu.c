// SPDX-License-Identifier: Apache-2.0
// Vector and x87 state: which CPUs leave the x87's pointers to the next vCPU, and loading on such a one.
// unit-sources: arch/x86/fpu.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/xsave_area.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct cpu cpu;
static struct x86_vcpu vcpus[2];
static struct x86_vcpu_state states[2];
static bool emulated;

unsigned cpu_count(void) {
    return 1;
}
bool cpu_model_emulated(void) {
    return emulated;
}

static int setup(void **unused) {
    (void)unused;
    host_cpu_reset();
    host_leaf_1.ecx &= ~(1u << 26); /* FXSAVE, which a program may execute with all it has */
    emulated = false;
    test_cpu = &cpu;
    memset(vcpus, 0, sizeof(vcpus));
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].core.cpu = &cpu;
        vcpus[i].state = &states[i];
        fpu_reset(&vcpus[i]);
    }
    return 0;
}

static void test_who_keeps_them(void **unused) {
    (void)unused;
    fpu_cpu_init();
    assert_false(fpu_pointers_stay()); /* 8000_0008 EBX[2] */
    host_extended_8.ebx &= ~(1u << 2);
    fpu_cpu_init();
    assert_true(fpu_pointers_stay());
    emulated = true;
    fpu_cpu_init();
    assert_false(fpu_pointers_stay());
    emulated = false;
    host_extended_8.ebx |= 1u << 2;
    host_extended_0.eax = 0x80000007;
    fpu_cpu_init();
    assert_true(fpu_pointers_stay());
    host_leaf_0.ecx = 0x6c65746e; /* Intel */
    fpu_cpu_init();
    assert_false(fpu_pointers_stay());
}

/* What one vCPU left pending does not trouble the load of another's state, which arrives whole. */
static void test_load(void **unused) {
    static const uint16_t unmasked = 0x340;
    static uint8_t own[512] __attribute__((aligned(64)));
    (void)unused;
    host_extended_8.ebx &= ~(1u << 2);
    fpu_cpu_init();
    assert_true(fpu_pointers_stay());
    states[1].xsave[4] = 0xc0; /* two registers in use */
    states[1].xsave[XSAVE_ST] = 0x77;
    states[1].xsave[XSAVE_ST + 16] = 0x88;
    __asm__ volatile("fxsave64 %0" : "=m"(own));
    /* Nine values on a stack of eight: a stack fault, which the next x87 instruction that waits would raise.
     */
    __asm__ volatile(
        "fninit; fldcw %0; fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz" ::"m"(unmasked));
    fpu_load(&vcpus[1]);
    fpu_save(&vcpus[1]);
    __asm__ volatile("fxrstor64 %0" ::"m"(own));
    assert_int_equal(states[1].xsave[4], 0xc0);
    assert_int_equal(states[1].xsave[0] | states[1].xsave[1] << 8, XSAVE_FCW);
    assert_int_equal(states[1].xsave[2] | states[1].xsave[3] << 8, 0);
    assert_int_equal(states[1].xsave[XSAVE_ST], 0x77);
    assert_int_equal(states[1].xsave[XSAVE_ST + 16], 0x88);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who_keeps_them, setup),
        cmocka_unit_test_setup(test_load, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
