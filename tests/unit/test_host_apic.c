// SPDX-License-Identifier: Apache-2.0
// The mode that a host CPU's local APIC is switched to (Intel SDM vol. 3, 11.12.5): no step that faults, and
// registers are reached in the way of that mode.
// unit-sources: arch/x86/host_apic.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "arch/x86/host_apic.h"
#include "arch/x86/host_map.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/cpu.h"

#define BASE   0xfee00000ull
#define MODE   0xc00ull /* of the base: x2APIC, on */
#define OFF    0x000ull
#define XAPIC  0x800ull
#define X2APIC 0xc00ull
#define BOOT   0x100ull /* it is the boot CPU's: stays as it is */

#define MSR_X2 0x800u

struct cpu *test_cpu;

static uint32_t registers[1024];
static uint64_t base;
static bool has_x2;
static unsigned x2_writes;

struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    (void)subleaf;
    if (leaf == 1)
        return (struct cpuid_registers){.edx = 1u << 9, .ecx = has_x2 ? 1u << 21 : 0};
    return (struct cpuid_registers){0};
}

uint64_t test_msr_read(uint32_t msr) {
    if (msr == 0x1b)
        return base;
    assert_int_equal(base & MODE, X2APIC);
    return 0;
}

/* Any other step between modes is a general-protection fault. */
void test_msr_write(uint32_t msr, uint64_t value) {
    if (msr == 0x1b) {
        uint64_t from = base & MODE, to = value & MODE;
        assert_true(from == to || to == OFF || (to == XAPIC && from == OFF) ||
                    (to == X2APIC && from == XAPIC));
        assert_int_equal(value & ~MODE, BASE | BOOT);
        base = value;
        return;
    }
    assert_int_equal(base & MODE, X2APIC);
    assert_true(msr >= MSR_X2 && msr < MSR_X2 + 0x40);
    x2_writes++;
}

void *map_device(uint64_t physical, uint64_t size) {
    assert_int_equal(physical, BASE);
    assert_true(size <= sizeof(registers));
    return registers;
}

/* Switched on when the firmware has left it in mode `left`. */
static void check(bool can, bool plain, uint64_t left, uint64_t wanted) {
    has_x2 = can;
    base = BASE | BOOT | left;
    x2_writes = 0;
    memset(registers, 0, sizeof(registers));
    assert_int_equal(host_apic_init(0, plain), 0);
    host_apic_enable();
    assert_int_equal(base, BASE | BOOT | wanted);
    assert_int_equal(host_apic_x2(), wanted == X2APIC);
    assert_int_equal(x2_writes != 0, wanted == X2APIC);
    assert_int_equal((registers[0xf0 / 4] & 0x100) != 0, wanted == XAPIC); /* the spurious vector's */
}

static void test_modes(void **state) {
    (void)state;
    check(false, false, XAPIC, XAPIC);
    check(true, false, XAPIC, X2APIC);
    check(true, false, OFF, X2APIC);
    check(true, false, X2APIC, X2APIC);
    check(true, true, XAPIC, XAPIC);
    check(true, true, OFF, XAPIC);
    check(true, true, X2APIC, X2APIC); /* the firmware's choice */
}

/* Another CPU than the boot CPU was left in x2APIC mode. */
static void test_other_cpu(void **state) {
    (void)state;
    check(true, true, XAPIC, XAPIC);
    base = BASE | BOOT | X2APIC;
    host_apic_enable();
    assert_int_equal(base, BASE | BOOT | XAPIC);
    assert_int_equal(x2_writes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_other_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
