// SPDX-License-Identifier: Apache-2.0
// A platform's parts: order of creation and destruction, and what saving and loading refuse.
// unit-sources: core/platform.c lib/state.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/log.h"
#include "core/part.h"
#include "core/vm.h"
#include "lib/state.h"

struct cpu *test_cpu;
uint64_t test_time;

void panic(const char *format, ...) {
    fprintf(stderr, "panic: %s\n", format);
    abort();
}

static char trace[256];
static int fail_at; /* number of the create() call that fails, from 1 */
static int refuse;  /* a.load() says -EINVAL */
static uint32_t a_value, b_value[4];
static unsigned resets;

static void note(const char *what, unsigned index) {
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof(trace) - used, "%s%u ", what, index);
}

static int created(const char *what, unsigned index) {
    note(what, index);
    return --fail_at == 0 ? -ENOMEM : 0;
}

static int a_create(struct vm *vm, unsigned index) {
    (void)vm;
    return created("+a", index);
}
static int b_create(struct vm *vm, unsigned index) {
    (void)vm;
    return created("+b", index);
}
static void a_destroy(struct vm *vm, unsigned index) {
    (void)vm;
    note("-a", index);
}
static void b_destroy(struct vm *vm, unsigned index) {
    (void)vm;
    note("-b", index);
}
static void a_reset(struct vm *vm, unsigned index) {
    (void)vm;
    (void)index;
    a_value = 100;
    resets++;
}
static void b_reset(struct vm *vm, unsigned index) {
    (void)vm;
    b_value[index] = 200 + index;
}
static void a_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)vm;
    (void)index;
    state_put_u32(writer, a_value);
}
static void b_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)vm;
    state_put_u32(writer, b_value[index]);
}
static int a_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)vm;
    (void)index;
    uint32_t value = state_get_u32(reader);
    if (version < 2)
        value += 1000;
    if (refuse)
        return -EINVAL;
    a_value = value;
    return 0;
}
static int b_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)vm;
    (void)version;
    b_value[index] = state_get_u32(reader);
    return 0;
}

static const struct part part_a = {"a", 2, 0, a_create, a_destroy, a_reset, a_save, a_load};
static const struct part part_b = {"b", 1, 1, b_create, b_destroy, b_reset, b_save, b_load};
static const struct part part_bare = {.name = "bare", .version = 1};
static const struct part *const parts[] = {&part_a, &part_bare, &part_b};
static const struct platform platform = {"test", parts, 3};

static struct vm vm;

static void setup(void) {
    memset(&vm, 0, sizeof(vm));
    vm.platform = &platform;
    vm.vcpu_count = 3;
    trace[0] = '\0';
    fail_at = refuse = 0;
    resets = 0;
}

static void test_order(void **state) {
    (void)state;
    setup();
    assert_int_equal(platform_create(&vm), 0);
    assert_string_equal(trace, "+a0 +b0 +b1 +b2 ");
    trace[0] = '\0';
    platform_destroy(&vm);
    assert_string_equal(trace, "-b2 -b1 -b0 -a0 ");
    static const char *const traces[] = {"+a0 ", "+a0 +b0 -a0 ", "+a0 +b0 +b1 -b0 -a0 ",
                                         "+a0 +b0 +b1 +b2 -b1 -b0 -a0 "};
    for (int i = 0; i < 4; i++) {
        setup();
        fail_at = i + 1;
        assert_int_equal(platform_create(&vm), -ENOMEM);
        assert_string_equal(trace, traces[i]);
    }
}

static void values(uint32_t first) {
    a_value = first;
    for (unsigned i = 0; i < 3; i++)
        b_value[i] = first + 1 + i;
}

static int are_values(uint32_t first) {
    return a_value == first && b_value[0] == first + 1 && b_value[1] == first + 2 && b_value[2] == first + 3;
}

static int are_reset(void) {
    return a_value == 100 && b_value[0] == 200 && b_value[1] == 201 && b_value[2] == 202;
}

static void test_round_trip(void **state) {
    (void)state;
    setup();
    uint8_t buffer[4 * 48];
    char why[96] = "";
    values(7);
    assert_int_equal(platform_save(&vm, buffer, sizeof(buffer)), sizeof(buffer));
    assert_int_equal(platform_save(&vm, buffer, sizeof(buffer) - 1), -ENOSPC);
    struct vm_passed passed = {0}; /* a function of the machine: nobody knows its state */
    vm.passed = &passed;
    assert_int_equal(platform_save(&vm, buffer, sizeof(buffer)), -ENOTSUP);
    vm.passed = NULL;
    vm.memory.bound = true; /* identity-memory */
    assert_int_equal(platform_save(&vm, buffer, sizeof(buffer)), -ENOTSUP);
    vm.memory.bound = false;
    assert_int_equal(platform_save(&vm, buffer, sizeof(buffer)), sizeof(buffer));
    values(50);
    assert_int_equal(platform_load(&vm, buffer, sizeof(buffer), why), 0);
    assert_true(are_values(7));
    /* An older version of a record. */
    buffer[28] = 1;
    assert_int_equal(platform_load(&vm, buffer, sizeof(buffer), why), 0);
    assert_int_equal(a_value, 1007);
    /* Records may come in any order. */
    uint8_t turned[4 * 48];
    for (unsigned i = 0; i < 4; i++)
        memcpy(turned + i * 48, buffer + (3 - i) * 48, 48);
    assert_int_equal(platform_load(&vm, turned, sizeof(turned), why), 0);
    assert_int_equal(b_value[2], 10);
}

static void refused(const uint8_t *good, size_t at, int value, size_t size, const char *expected) {
    uint8_t buffer[4 * 48];
    char why[96] = "";
    memcpy(buffer, good, sizeof(buffer));
    if (value >= 0)
        buffer[at] = (uint8_t)value;
    values(1);
    assert_int_equal(platform_load(&vm, buffer, size, why), -EINVAL);
    assert_string_equal(why, expected);
    if (resets != 0) /* it got as far as to touch the parts */
        assert_true(are_reset());
    else
        assert_true(are_values(1));
    resets = 0;
}

static void test_refused(void **state) {
    (void)state;
    setup();
    uint8_t good[4 * 48];
    values(7);
    assert_int_equal(platform_save(&vm, good, sizeof(good)), sizeof(good));
    refused(good, 0, 'z', sizeof(good), "record z 0 is unknown");
    refused(good, 28, 3, sizeof(good), "record a 0 is of a newer version");
    refused(good, 24, 1, sizeof(good), "record a 1 has no part to go to");
    refused(good, 48 + 24, 3, sizeof(good), "record b 3 has no part to go to");
    refused(good, 48 + 24, 0xff, sizeof(good), "record b 255 has no part to go to");
    refused(good, 96 + 24, 0, sizeof(good), "record b 0 is there twice");
    refused(good, 32, 3, sizeof(good), "record a 0 is too short");
    refused(good, 32, 5, sizeof(good), "record a 0 is too long");
    refused(good, 0, -1, 3 * 48, "record b 2 is missing");
    refused(good, 0, -1, 0, "record a 0 is missing");
    refused(good, 0, -1, 47, "it is no sequence of whole records");
    refuse = 1;
    refused(good, 0, -1, sizeof(good), "record a 0 holds what cannot be");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
