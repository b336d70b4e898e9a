// SPDX-License-Identifier: Apache-2.0
// Which windows show a machine's RAM to its PCI devices.
// unit-sources: arch/ppc/pci_windows.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "arch/ppc/pci_windows.h"

#define MIB   0x100000ull
#define GIB   0x40000000ull
#define LIMIT 0xe0000000ull

static struct pci_window window[PCI_WINDOWS_INBOUND];

static void test_sizes(void **state) {
    (void)state;
    assert_int_equal(pci_windows(512 * MIB, LIMIT, window), 1);
    assert_true(window[0].base == 0 && window[0].size == 512 * MIB);
    assert_int_equal(pci_windows(3 * GIB, LIMIT, window), 2);
    assert_true(window[1].base == 2 * GIB && window[1].size == GIB);
    assert_int_equal(pci_windows(LIMIT, LIMIT, window), 3);
    assert_true(window[2].base == 3 * GIB && window[2].size == 512 * MIB);
    assert_int_equal(pci_windows(LIMIT + 1, LIMIT, window), 0);
    assert_int_equal(pci_windows(4 * GIB, LIMIT, window), 0);
    assert_int_equal(pci_windows(0, LIMIT, window), 0);
    assert_int_equal(pci_windows(1, LIMIT, window), 1);
    assert_true(window[0].size == 4096);
}

/* Any end: all of it is shown, without a gap, in windows that the bridge can have. */
static void test_cover(void **state) {
    uint64_t seed = 1;
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t end = (seed >> 32) >> (seed >> 20 & 31), at = 0;
        unsigned count = pci_windows(end, 4 * GIB, window);
        assert_true(count <= PCI_WINDOWS_INBOUND && (count != 0) == (end != 0));
        for (unsigned j = 0; j < count; j++) {
            uint64_t size = window[j].size;
            assert_true(size >= 4096 && !(size & (size - 1)) && !(at & (size - 1)));
            assert_true(window[j].base == at);
            at += size;
        }
        assert_true(at >= end && at <= 4 * GIB);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_cover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
