// SPDX-License-Identifier: Apache-2.0
// Files that are copied into a VM's memory in steps while it starts.
// unit-sources: core/vm_load.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "core/main.h"
#include "core/vm.h"

#define MIB 0x100000ull

static struct vm vm;
static struct boot_file files[2] = {{.name = "a", .size = 5 * MIB + 1}, {.name = "b", .size = 2 * MIB}};

/* What is copied: no more than 2 MiB at once. */
static struct {
    unsigned calls;
    const struct boot_file *file;
    uint64_t offset, gpa, size;
    int error;
} copy;

int boot_file_load(const struct boot_file *file, uint64_t offset, struct vm *of, uint64_t gpa,
                   uint64_t size) {
    assert_ptr_equal(of, &vm);
    copy.calls++;
    copy.file = file;
    copy.offset = offset;
    copy.gpa = gpa;
    copy.size = size;
    return copy.error;
}

static int setup(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&copy, 0, sizeof(copy));
    return 0;
}

static void copied(unsigned file, uint64_t offset, uint64_t gpa, uint64_t size) {
    assert_int_equal(copy.calls, 1);
    assert_ptr_equal(copy.file, &files[file]);
    assert_true(copy.offset == offset && copy.gpa == gpa && copy.size == size);
    copy.calls = 0;
}

static void test_steps(void **state) {
    (void)state;
    assert_int_equal(vm_load_step(&vm), 0);
    assert_int_equal(vm_load_later(&vm, &files[0], 1, 0x7000000, 5 * MIB), 0);
    assert_int_equal(copy.calls, 0);
    /* What one step can do is done at once. */
    assert_int_equal(vm_load_later(&vm, &files[1], 0, 0x1000000, 2 * MIB), 0);
    copied(1, 0, 0x1000000, 2 * MIB);
    assert_int_equal(vm_load_later(&vm, &files[0], 5 * MIB + 1, 0, 0), 0);
    copy.calls = 0;
    assert_int_equal(vm_load_later(&vm, &files[0], 0, 0x3000000, 4 * MIB), 0);
    assert_int_equal(copy.calls, 0);
    /* In order. */
    assert_int_equal(vm_load_step(&vm), 1);
    copied(0, 1, 0x7000000, 2 * MIB);
    assert_int_equal(vm_load_step(&vm), 1);
    copied(0, 1 + 2 * MIB, 0x7200000, 2 * MIB);
    assert_int_equal(vm_load_step(&vm), 1);
    copied(0, 1 + 4 * MIB, 0x7400000, MIB);
    assert_int_equal(vm_load_step(&vm), 1);
    copied(0, 0, 0x3000000, 2 * MIB);
    assert_int_equal(vm_load_step(&vm), 0);
    copied(0, 2 * MIB, 0x3200000, 2 * MIB);
    assert_int_equal(vm_load_step(&vm), 0);
    assert_int_equal(copy.calls, 0);
}

static void test_errors(void **state) {
    (void)state;
    assert_int_equal(vm_load_later(&vm, &files[0], 2, 0, 5 * MIB), -EINVAL);
    assert_int_equal(vm_load_later(&vm, &files[0], UINT64_MAX, 0, 2), -EINVAL);
    assert_int_equal(vm_load_later(&vm, &files[0], 0, 0, 5 * MIB), 0);
    assert_int_equal(copy.calls, 0);
    copy.error = -EFAULT;
    assert_int_equal(vm_load_step(&vm), -EFAULT);
    assert_int_equal(vm_load_later(&vm, &files[1], 0, 0, 4096), -EFAULT);
    /* More than there is room for is copied as it comes. */
    copy.error = 0;
    for (unsigned i = 1; i < VM_LOADS; i++)
        assert_int_equal(vm_load_later(&vm, &files[0], 0, 0, 3 * MIB), 0);
    copy.calls = 0;
    assert_int_equal(vm_load_later(&vm, &files[0], 0, 0, 3 * MIB), 0);
    copied(0, 0, 0, 3 * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_steps, setup),
        cmocka_unit_test_setup(test_errors, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
