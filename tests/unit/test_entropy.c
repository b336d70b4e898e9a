// SPDX-License-Identifier: Apache-2.0
// Random bytes from the CPU: which of its sources is used, by what CPUID says; and how many bytes come. Needs
// a host with RDRAND and RDSEED for all but the first case.
// unit-sources: arch/x86/entropy.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/arch.h"
#include "arch/x86/registers.h"

struct cpu *test_cpu;
uint64_t test_time;

static bool has_seed, has_random;
static uint32_t highest;
static unsigned asked;

struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid_registers r = {0};
    assert_int_equal(subleaf, 0);
    asked++;
    if (leaf == 0)
        r.eax = highest;
    else if (leaf == 1)
        r.ecx = has_random ? 1u << 30 : 0;
    else if (leaf == 7)
        r.ebx = has_seed ? 1u << 18 : 0;
    else
        fail();
    return r;
}

/* What was found once is kept: each case has a process of its own. */
static void in_process(void (*run)(void)) {
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (!child) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define require(what)                                                                                        \
    do {                                                                                                     \
        if (!(what))                                                                                         \
            _exit(__LINE__ & 0x7f ? __LINE__ & 0x7f : 1);                                                    \
    } while (0)

static void no_source(void) {
    uint8_t bytes[8] = {0};
    require(arch_entropy(bytes, sizeof(bytes)) == -ENODEV);
    unsigned before = asked;
    require(arch_entropy(bytes, sizeof(bytes)) == -ENODEV);
    require(asked == before); /* once */
    for (unsigned i = 0; i < sizeof(bytes); i++)
        require(bytes[i] == 0);
}

static void a_source(void) {
    for (unsigned size = 0; size <= 256; size++) {
        uint8_t bytes[258], again[258];
        unsigned same = 0;
        memset(bytes, 0, sizeof(bytes));
        memset(again, 0, sizeof(again));
        int count = arch_entropy(bytes, size);
        require(count == (int)size && arch_entropy(again, size) == (int)size);
        require(bytes[size] == 0 && bytes[size + 1] == 0);
        for (unsigned i = 0; i < size; i++)
            same += bytes[i] == again[i];
        require(size < 16 || same < size / 2);
    }
}

static void test_none(void **state) {
    (void)state;
    highest = 7;
    in_process(no_source);
    highest = 6; /* there is no leaf 7 to be asked */
    has_seed = true;
    in_process(no_source);
}

static void test_sources(void **state) {
    (void)state;
    if (!__builtin_cpu_supports("rdrnd") || !__builtin_cpu_supports("rdseed"))
        skip();
    highest = 7;
    for (unsigned i = 1; i < 4; i++) {
        has_seed = i & 1;
        has_random = i & 2;
        in_process(a_source);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_none), cmocka_unit_test(test_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
