// SPDX-License-Identifier: Apache-2.0
// What a CPU empties between VMs: which CPUs get which barrier, by what CPUID and IA32_ARCH_CAPABILITIES say,
// and that an MSR is written where it is there alone.
// unit-sources: arch/x86/barrier.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/barrier.h"
#include "arch/x86/registers.h"
#include "core/cpu.h"
#include "core/log.h"

#define INTEL        0x6c65746eu
#define AMD          0x444d4163u

/* CPUID 7 EDX */
#define MD_CLEAR     (1u << 10)
#define SPEC_CTRL    (1u << 26)
#define L1D          (1u << 28)
#define CAPABILITIES (1u << 29)

static struct cpu cpu;
struct cpu *test_cpu = &cpu;

static struct {
    uint32_t vendor, leaf_7, threads, extended_8, extended_21;
    uint64_t capabilities;
} host;
static uint64_t efer;
static char written[128], text[512];

struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    assert_int_equal(subleaf, 0);
    switch (leaf) {
    case 0:
        return (struct cpuid_registers){.eax = host.threads ? 0xb : 7, .ecx = host.vendor};
    case 7:
        return (struct cpuid_registers){.edx = host.leaf_7};
    case 0xb:
        assert_true(host.threads > 0);
        return (struct cpuid_registers){.ebx = host.threads};
    case 0x80000000:
        return (struct cpuid_registers){.eax = host.extended_21 ? 0x80000021 : 0x80000008};
    case 0x80000008:
        return (struct cpuid_registers){.ebx = host.extended_8};
    case 0x80000021:
        return (struct cpuid_registers){.eax = host.extended_21};
    default:
        fail();
        return (struct cpuid_registers){0};
    }
}

uint64_t test_msr_read(uint32_t msr) {
    if (msr == MSR_EFER)
        return efer;
    assert_int_equal(msr, 0x10a);
    assert_true(host.leaf_7 & CAPABILITIES);
    return host.capabilities;
}

void test_msr_write(uint32_t msr, uint64_t value) {
    size_t used = strlen(written);
    if (msr == MSR_EFER)
        efer = value;
    else
        snprintf(written + used, sizeof(written) - used, "%x=%llx;", msr, (unsigned long long)value);
}

void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(text);
    (void)level;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
}

/* What is written between two VMs on such a CPU. */
static const char *between(uint32_t vendor, uint32_t leaf_7, uint64_t capabilities, uint32_t kinds) {
    memset(&host, 0, sizeof(host));
    host.vendor = vendor;
    host.leaf_7 = leaf_7;
    host.capabilities = capabilities;
    text[0] = 0;
    barrier_cpu_init();
    assert_int_equal(barrier_kinds(), kinds);
    written[0] = 0;
    barrier_between_vms();
    return written;
}

static void test_intel(void **unused) {
    (void)unused;
    assert_string_equal(between(INTEL, 0, 0, 0), "");
    assert_string_equal(text, "");
    assert_string_equal(between(INTEL, SPEC_CTRL, 0, BARRIER_PREDICTORS), "49=1;");
    assert_string_equal(
        between(INTEL, SPEC_CTRL | L1D | MD_CLEAR, 0, BARRIER_PREDICTORS | BARRIER_CACHE | BARRIER_BUFFERS),
        "49=1;10b=1;");
    assert_string_equal(text, "CPU: emptied between VMs: branch predictors first-level cache buffers");
    /* It says that it needs none, or that the hypervisor below has done it. */
    assert_string_equal(between(INTEL, L1D | CAPABILITIES, 1, 0), "");
    assert_string_equal(between(INTEL, L1D | CAPABILITIES, 8, 0), "");
    assert_string_equal(between(INTEL, L1D | CAPABILITIES, ~9ull, BARRIER_CACHE), "10b=1;");
    assert_string_equal(between(INTEL, MD_CLEAR | CAPABILITIES, 1u << 5, BARRIER_BUFFERS), "");
    assert_string_equal(between(INTEL, MD_CLEAR | CAPABILITIES, 1u << 5 | 1u << 8, 0), "");
}

static void test_amd(void **unused) {
    (void)unused;
    assert_string_equal(between(AMD, 0, 0, 0), "");
    host.extended_8 = 1u << 12;
    barrier_cpu_init();
    assert_int_equal(barrier_kinds(), BARRIER_PREDICTORS);
    barrier_between_vms();
    assert_string_equal(written, "49=1;");
    assert_string_equal(between(AMD, L1D, 0, 0), "");
}

/* IBRS is left on where that is meant to be. */
static void test_always_on(void **unused) {
    (void)unused;
    between(INTEL, SPEC_CTRL | CAPABILITIES, 3, BARRIER_PREDICTORS);
    written[0] = 0;
    efer = 0x1501;
    barrier_cpu_init();
    assert_string_equal(written, "48=1;");
    assert_int_equal(efer, 0x1501);
    between(AMD, 0, 0, 0);
    host.extended_21 = 1u << 8;
    barrier_cpu_init();
    assert_string_equal(written, "");
    assert_int_equal(efer, 0x1501 | 1u << 21);
}

/* Threads of a core share what the barriers empty. */
static void test_threads(void **unused) {
    static const char warning[] = "CPU: the threads of a core can read each other's data";
    (void)unused;
    between(INTEL, L1D, 0, BARRIER_CACHE);
    assert_null(strstr(text, warning));
    host.threads = 1;
    barrier_cpu_init();
    assert_null(strstr(text, warning));
    host.threads = 2;
    barrier_cpu_init();
    assert_non_null(strstr(text, warning));
    /* Once, not for each CPU; and each has its own. */
    text[0] = 0;
    cpu.number = 5;
    barrier_cpu_init();
    assert_string_equal(text, "");
    assert_int_equal(barrier_kinds(), BARRIER_CACHE);
    cpu.number = 6;
    assert_int_equal(barrier_kinds(), 0);
    cpu.number = 0;
    host.leaf_7 = SPEC_CTRL;
    text[0] = 0;
    barrier_cpu_init();
    assert_null(strstr(text, warning)); /* it is not known to need it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intel),
        cmocka_unit_test(test_amd),
        cmocka_unit_test(test_always_on),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
