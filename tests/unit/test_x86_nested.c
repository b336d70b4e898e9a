// SPDX-License-Identifier: Apache-2.0
// A VM's nested tables on x86: a table that is unlinked while a vCPU is in its guest, whose CPU may still
// walk it, is not freed before that vCPU has left.
// unit-sources: arch/x86/nested.c core/paging.c arch/x86/paging_formats.c
#include "tests/unit/paging_fixture.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/nested.h"

#define PLACE 0xfee00000ull

static struct x86_vm vm;
static struct x86_vcpu vcpus[2];
static const struct paging_format *format;

static const struct paging_format *nested_format(void) {
    return format;
}
static unsigned nested_largest(void) {
    return LARGE_PAGE_SHIFT;
}
static const struct engine test_engine = {.nested_format = nested_format, .nested_largest = nested_largest};
const struct engine *engine = &test_engine;

void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    vcpu->requests |= requests;
}

/* What the vCPU's run loop does when it is made to leave its guest. */
static void leave(struct x86_vcpu *vcpu) {
    vcpu->core.in_guest = 0;
}
static void enter(struct x86_vcpu *vcpu) {
    vcpu->core.requests &= ~X86_REQUEST_TLB;
    vcpu->core.in_guest = 1;
}

static void begin(const struct paging_format *of) {
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    format = of;
    left = UINT32_MAX;
    vm.core.vcpu_count = 3; /* of which the last is not made yet */
    vm.core.vcpu[0] = &vcpus[0].core;
    vm.core.vcpu[1] = &vcpus[1].core;
    assert_int_equal(nested_create(&vm), 0);
    enter(&vcpus[1]);
}

static void map(uint64_t address) {
    assert_int_equal(paging_map(&vm.nested, address, 0x1000, K4, RW), 0);
}
static void unmap(uint64_t address) {
    assert_int_equal(paging_unmap(&vm.nested, address, K4), 0);
}

/* The entries of a page table, as a CPU finds it by what it remembers of the way there. */
static uint64_t *table_of(uint64_t address) {
    unsigned shift;
    uint64_t *entry = walk(&vm.nested, address, &shift);
    assert_non_null(entry);
    return entry;
}

static void test_walked(void **state) {
    (void)state;
    for (unsigned i = 0; i < FORMATS; i++) {
        begin(formats[i]);
        unsigned before = tables;
        map(PLACE);
        uint64_t *entry = table_of(PLACE);
        unsigned with = tables;
        assert_true(with > before);
        unmap(PLACE);
        assert_int_equal(vcpus[0].core.requests, X86_REQUEST_TLB);
        assert_int_equal(vcpus[1].core.requests, X86_REQUEST_TLB);
        /* vCPU 1 is still there: its CPU finds nothing present, and may set bits where nobody minds. */
        assert_int_equal(tables, with);
        assert_int_equal(*entry & format->present_mask, 0);
        __atomic_fetch_or(entry, format->accessed | format->dirty, __ATOMIC_RELAXED);
        /* It does not leave yet: what goes meanwhile waits, too. */
        map(PLACE + G1);
        unmap(PLACE + G1);
        assert_true(tables > with);
        assert_int_equal(*entry & format->present_mask, 0);
        /* It has left, or has been out since and is back: the next change frees what waited. */
        leave(&vcpus[1]);
        map(PLACE);
        unmap(PLACE);
        assert_int_equal(tables, with);
        enter(&vcpus[1]);
        map(PLACE);
        unmap(PLACE);
        assert_int_equal(tables, with);
        nested_destroy(&vm);
        assert_int_equal(tables, 0);
        assert_int_equal(vm.core.memory.account.overhead, 0);
    }
}

/* Tables that a large page replaces while the guest uses them. */
static void test_merged(void **state) {
    (void)state;
    for (unsigned i = 0; i < FORMATS; i++) {
        begin(formats[i]);
        vm.nested.largest = PAGE_SHIFT;
        assert_int_equal(paging_map(&vm.nested, 0, 0, 2 * M2, RW), 0);
        unsigned with = tables;
        const uint64_t *entry = table_of(0x5000);
        uint64_t old = *entry;
        vm.nested.largest = LARGE_PAGE_SHIFT;
        assert_int_equal(paging_merge(&vm.nested, 0, 2 * M2), 2);
        assert_int_equal(tables, with);
        assert_int_equal(*entry, old);
        leave(&vcpus[1]);
        unmap(0);
        assert_true(tables < with);
        nested_destroy(&vm);
        assert_int_equal(tables, 0);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    format = formats[0];
    left = 0;
    assert_int_equal(nested_create(&vm), -ENOMEM);
    nested_destroy(&vm);
    assert_int_equal(tables, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walked),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
