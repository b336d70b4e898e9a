// SPDX-License-Identifier: Apache-2.0
// x87 state that is nothing but the initial one is said to be so in an XSAVE area, and XRSTOR then restores
// just what it would have read.
// unit-sources:
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cpuid.h>
#include <string.h>
#include "arch/x86/xsave_area.h"

static uint8_t area[4096] __attribute__((aligned(64)));

static void set_initial(void) {
    uint16_t control = XSAVE_FCW;
    uint32_t mxcsr = 0x1f80;

    memset(area, 0, sizeof(area));
    memcpy(area, &control, sizeof(control));
    memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
    area[XSAVE_BV] = 7;
}

static void test_initial(void **state) {
    static uint8_t before[sizeof(area)];
    (void)state;
    set_initial();
    memset(area + XSAVE_XMM, 0x55, 256); /* SSE's: they are used, and stay */
    memcpy(before, area, sizeof(area));
    xsave_forget_x87(area);
    assert_int_equal(area[XSAVE_BV], 6);
    area[XSAVE_BV] = 7;
    assert_memory_equal(area, before, sizeof(area));
    area[XSAVE_MXCSR] = 0x20; /* SSE's, too */
    xsave_forget_x87(area);
    assert_int_equal(area[XSAVE_BV], 6);
}

/* Every bit of x87's counts. */
static void test_used(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 8 * XSAVE_XMM; bit++) {
        if (bit / 8 >= XSAVE_MXCSR && bit / 8 < XSAVE_ST)
            continue;
        set_initial();
        area[bit / 8] ^= (uint8_t)(1u << bit % 8);
        xsave_forget_x87(area);
        assert_int_equal(area[XSAVE_BV], 7);
    }
}

/* What is not in use has no contents, whatever lies there. */
static void test_not_in_use(void **state) {
    (void)state;
    set_initial();
    area[XSAVE_BV] = 2;
    area[0] = 0;
    xsave_forget_x87(area);
    assert_int_equal(area[XSAVE_BV], 2);
}

/* The x87 state after XRSTOR from the area, with something else there before. */
static void restored(uint8_t out[512]) {
    static const uint16_t other = 0x27f;

    memset(out, 0, 512);
    __asm__ volatile("fninit; fldcw %2; fld1; fldpi\n\t"
                     "xrstor64 (%0)\n\t"
                     "fxsave64 (%1)\n\t"
                     "fninit" ::"r"(area),
                     "r"(out), "m"(other), "a"(1), "d"(0)
                     : "memory");
}

static void test_same_state(void **state) {
    static uint8_t read[512] __attribute__((aligned(16))), made[512] __attribute__((aligned(16)));
    uint32_t eax, ebx, ecx, edx;
    (void)state;
    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx & 1u << 27))
        skip(); /* no XSAVE here */
    set_initial();
    area[XSAVE_BV] = 1;
    restored(read);
    xsave_forget_x87(area);
    assert_int_equal(area[XSAVE_BV], 0);
    restored(made);
    assert_memory_equal(read, made, XSAVE_MXCSR);
    assert_memory_equal(read + XSAVE_ST, made + XSAVE_ST, XSAVE_XMM - XSAVE_ST);
    assert_memory_equal(made, area, XSAVE_MXCSR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial),
        cmocka_unit_test(test_used),
        cmocka_unit_test(test_not_in_use),
        cmocka_unit_test(test_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
