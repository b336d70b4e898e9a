// SPDX-License-Identifier: Apache-2.0
// Which pages a guest writes, on x86: what is asked of vCPUs and tables with and without the CPU's own log,
// and that nobody waits for a vCPU for ever.
// unit-sources: arch/x86/dirty.c core/settle.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/engine/engine.h"
#include "core/log.h"

#define MIB 0x100000ull

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_vm vm;
static struct x86_vcpu vcpus[2];
static struct paging_format format = {.dirty = 64};
static struct {
    unsigned splits, merges, harvests, cleans, polls, requests, notes;
    uint64_t top; /* of the harvest */
    uint64_t split_end;
    int split;
} calls;
static bool has_log;

static bool page_log(void) {
    return has_log;
}
static unsigned largest(void) {
    return 30;
}
static const struct engine test_engine = {.page_log = page_log, .nested_largest = largest};
const struct engine *engine = &test_engine;

int paging_split(struct paging *paging, uint64_t address, uint64_t size) {
    assert_ptr_equal(paging, &vm.nested);
    assert_int_equal(paging->largest, 12);
    assert_int_equal(address, calls.splits * size);
    assert_true(size <= 256ull << 20); /* interrupts wait for no more */
    calls.split_end = address + size;
    calls.splits++;
    return calls.split;
}
unsigned paging_merge(struct paging *paging, uint64_t address, uint64_t size) {
    assert_int_equal(paging->largest, 30);
    calls.merges++;
    calls.top = address + size;
    return 0;
}
int paging_harvest(struct paging *paging, uint64_t address, uint64_t size,
                   void (*found)(void *context, uint64_t address, uint64_t size), void *context) {
    assert_ptr_equal(paging, &vm.nested);
    assert_int_equal(address, calls.harvests ? calls.top : 0);
    calls.top = address + size;
    calls.harvests++;
    if (found && address == 0)
        found(context, 0x5000, 0x1000);
    return 0;
}
int paging_clean(struct paging *paging, const struct memory_range *ranges, unsigned count) {
    assert_ptr_equal(paging, &vm.nested);
    assert_int_equal(count, 1);
    assert_int_equal(ranges[0].base, 0x7000);
    calls.cleans++;
    return 0;
}
void guest_mark_dirty(struct vm *of, uint64_t gpa, uint64_t size) {
    assert_ptr_equal(of, &vm.core);
    assert_int_equal(gpa, 0x5000);
    assert_int_equal(size, 0x1000);
    calls.notes++;
}
void arch_interrupts_poll(void) {
    calls.polls++;
}
void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    assert_int_equal(requests, X86_REQUEST_TLB);
    vcpu->requests |= requests;
    calls.requests++;
}
void panic(const char *text, ...) {
    (void)text;
    fail();
    __builtin_unreachable();
}

static int setup(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(&calls, 0, sizeof(calls));
    vm.core.vcpu_count = 2;
    vm.core.memory.size = 300 * MIB;
    vm.nested.format = &format;
    vm.nested.largest = 30;
    for (unsigned i = 0; i < 2; i++)
        vm.core.vcpu[i] = &vcpus[i].core;
    has_log = false;
    format.dirty = 64;
    test_time_step = 1000;
    return 0;
}

static void test_by_dirty_bits(void **state) {
    (void)state;
    assert_int_equal(arch_dirty_start(&vm.core), 0);
    assert_true(calls.split_end >= 4096 * MIB + 300 * MIB);
    assert_true(calls.top >= 4096 * MIB + 300 * MIB); /* RAM lies below 4 GiB, and from there on */
    assert_int_equal(calls.polls, calls.splits + calls.harvests);
    assert_int_equal(calls.notes, 0); /* what was before the log does not count */
    assert_int_equal(calls.requests, 2);
    calls.harvests = 0;
    assert_int_equal(arch_dirty_gather(&vm.core), 0);
    assert_int_equal(calls.notes, 1);
    arch_dirty_clean(&vm.core, NULL, 0); /* has been done */
    assert_int_equal(calls.cleans, 0);
    arch_dirty_stop(&vm.core);
    assert_true(calls.merges > 30);
}

static void test_by_log(void **state) {
    struct memory_range range = {0x7000, 0x1000};
    (void)state;
    has_log = true;
    assert_int_equal(arch_dirty_start(&vm.core), 0);
    assert_true(vm.page_log);
    unsigned harvests = calls.harvests;
    assert_int_equal(arch_dirty_gather(&vm.core), 0);
    assert_int_equal(calls.harvests, harvests); /* no walk */
    assert_int_equal(calls.requests, 4);
    arch_dirty_clean(&vm.core, &range, 1);
    assert_int_equal(calls.cleans, 1);
    arch_dirty_stop(&vm.core);
    assert_false(vm.page_log);
}

static void test_settle(void **state) {
    (void)state;
    assert_int_equal(arch_dirty_settle(&vm.core), 0);
    vcpus[1].core.requests = X86_REQUEST_TLB; /* out of its guest: it flushes before it goes there */
    assert_int_equal(arch_dirty_settle(&vm.core), 0);
    vcpus[1].core.in_guest = 1; /* it does not come out */
    uint64_t before = test_time;
    assert_int_equal(arch_dirty_settle(&vm.core), -EAGAIN);
    assert_in_range(test_time - before, 1000000, 3000000);
    vcpus[1].core.requests = 0; /* it has been out */
    assert_int_equal(arch_dirty_settle(&vm.core), 0);
}

static void test_refused(void **state) {
    (void)state;
    format.dirty = 0;
    assert_int_equal(arch_dirty_start(&vm.core), -ENOTSUP);
    assert_int_equal(calls.splits, 0);
    format.dirty = 64;
    calls.split = -ENOMEM;
    assert_int_equal(arch_dirty_start(&vm.core), -ENOMEM);
    assert_int_equal(vm.nested.largest, 30);
    assert_true(calls.merges != 0); /* what was split is put together again */
}

/* With identity-memory RAM may be far above; registers do not count. */
static void test_far_memory(void **state) {
    (void)state;
    vm.core.memory.region_count = 3;
    vm.core.memory.region[0] = (struct guest_region){.base = 0, .size = 2 * MIB, .kind = GUEST_RAM};
    vm.core.memory.region[1] =
        (struct guest_region){.base = 9000 * MIB, .size = 298 * MIB, .kind = GUEST_RAM};
    vm.core.memory.region[2] =
        (struct guest_region){.base = 100000 * MIB, .size = MIB, .kind = GUEST_SHOWN_DEVICE};
    assert_int_equal(arch_dirty_start(&vm.core), 0);
    assert_in_range(calls.top, 9298 * MIB, 9298 * MIB + 128 * MIB);
    arch_dirty_stop(&vm.core);
    assert_in_range(calls.top, 9298 * MIB, 9298 * MIB + 128 * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_by_dirty_bits, setup), cmocka_unit_test_setup(test_by_log, setup),
        cmocka_unit_test_setup(test_settle, setup),        cmocka_unit_test_setup(test_refused, setup),
        cmocka_unit_test_setup(test_far_memory, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
