// SPDX-License-Identifier: Apache-2.0
// A guest's TSC with a frequency of its own: the ratio, its inverse, what is possible here.
// unit-sources: arch/x86/guest/tsc.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/tsc.h"

struct cpu *test_cpu;
uint64_t test_time;

static uint64_t host = 2500000000;
static bool scaling;

uint64_t clock_tsc_frequency(void) {
    return host;
}
static bool can_scale(void) {
    return scaling;
}
static const struct engine without = {.name = "without"}, with = {.name = "with", .tsc_scaling = can_scale};
const struct engine *engine;

static void test_possible(void **unused) {
    (void)unused;
    engine = NULL;
    assert_true(tsc_frequency_possible(host));
    assert_true(tsc_frequency_possible(host + host / 1000));
    assert_false(tsc_frequency_possible(host + host / 1000 + 1));
    assert_false(tsc_frequency_possible(0));
    engine = &without;
    assert_false(tsc_frequency_possible(host / 2));
    engine = &with;
    assert_false(tsc_frequency_possible(host / 2));
    scaling = true;
    assert_true(tsc_frequency_possible(host / 2));
    assert_true(tsc_frequency_possible(host / 16));
    assert_false(tsc_frequency_possible(host / 16 - 1));
    assert_true(tsc_frequency_possible(host * 16));
    assert_false(tsc_frequency_possible(host * 16 + 1));
    assert_false(tsc_frequency_possible(0));
    assert_false(tsc_frequency_possible(UINT64_MAX));
}

static void test_ratio(void **unused) {
    static const uint64_t frequencies[] = {2500000000ull, 156250000,  1000000000, 2400000001,
                                           2600000000ull, 3700000000, 40000000000};
    static const uint64_t times[] = {0, 1, 2, 1000, 123456789, 1ull << 40, 1ull << 48, 1ull << 52};
    struct x86_vm vm = {0};
    struct x86_vcpu vcpu = {.core.vm = &vm.core, .tsc_offset = 17};
    (void)unused;
    for (unsigned f = 0; f < sizeof(frequencies) / sizeof(frequencies[0]); f++) {
        tsc_set_frequency(&vm, frequencies[f]);
        assert_int_equal(vm.tsc_frequency, frequencies[f]);
        assert_true((vm.tsc_ratio == 0) == (f == 0)); /* the host's own costs nothing */
        for (unsigned t = 0; t < sizeof(times) / sizeof(times[0]); t++) {
            uint64_t exact = (uint64_t)((unsigned __int128)times[t] * frequencies[f] / host);
            uint64_t got = tsc_scaled(&vm, times[t]);
            assert_true(got <= exact && exact - got <= 1 + (times[t] >> 47)); /* 2^-48 of it too slow */
            assert_int_equal(tsc_of_guest(&vcpu, times[t]), got + 17);
            /* Never early: after so many host ticks the guest's have passed; and hardly late. */
            uint64_t ticks = tsc_host_ticks(&vm, times[t]);
            assert_true(tsc_scaled(&vm, 12345 + ticks) - tsc_scaled(&vm, 12345) + 1 >= times[t]);
            uint64_t least = (uint64_t)((unsigned __int128)times[t] * host / frequencies[f]);
            assert_true(ticks >= least && ticks - least <= 2 + (times[t] >> 43));
        }
    }
    tsc_set_frequency(&vm, host / 2);
    assert_int_equal(tsc_host_ticks(&vm, UINT64_MAX), UINT64_MAX);
    tsc_set_frequency(&vm, host - 1000);
    assert_int_equal(vm.tsc_ratio, 0);
    assert_int_equal(vm.tsc_inverse, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_possible),
        cmocka_unit_test(test_ratio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
