// SPDX-License-Identifier: Apache-2.0
// A guest's functions of the machine together: made and undone, the domain beside the guest's memory, the
// order of their ends, a start that fails, and DMA that goes where it may not.
// unit-sources: devices/guest_passthrough.c
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/log.h"
#include "core/vm.h"
#include "devices/guest_passthrough.h"
#include "devices/passed_function.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

#define MIB   0x100000ull
#define PAGES 1024u /* of guest-physical memory that the test looks at */

struct cpu *test_cpu;
uint64_t test_time;

struct passed_function {
    unsigned number;
};

static struct vm vm, plain;
static struct vcpu vcpu;
static struct config_guest config, plain_config;
static struct passed_function functions[4];
static char trace[256], ended[160], crashed[160];
static unsigned fail_at; /* which function, from 1 */
static int create_error, domain_error, map_error;
static size_t heap;
static bool no_iommu;
static unsigned warnings;
static unsigned domains, sealed;
static struct iommu_domain *const domain = (struct iommu_domain *)&domains;
static void (*domain_fault)(struct iommu_domain *domain, const struct iommu_fault *fault, bool suspended);
static struct {
    uint64_t physical;
    bool mapped, writable;
} page[PAGES];
static bool unflushed;

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}
void log_line(enum log_level level, const char *format, ...) {
    (void)format;
    warnings += level == LOG_WARNING;
}
void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    heap += size;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account;
    heap -= size;
    free(object);
}
unsigned vm_count(void) {
    return 2;
}
struct vm *vm_get(unsigned index) {
    return index ? &vm : &plain;
}
void vm_end(struct vm *of, enum vm_end end, uint32_t code, const char *text) {
    assert_ptr_equal(of, &vm);
    assert_int_equal(end, VM_END_REFUSED);
    assert_int_equal(code, 0);
    snprintf(ended, sizeof(ended), "%s", text);
}
void vm_crash(struct vcpu *of, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(of, &vcpu);
    va_start(arguments, format);
    vsnprintf(crashed, sizeof(crashed), format, arguments);
    va_end(arguments);
}

/* Backing in frames of 2 MiB, one after another at odd places. */
uint64_t guest_memory_backing(const struct guest_memory *memory, uint64_t offset, uint64_t *contiguous) {
    assert_ptr_equal(memory, &vm.memory);
    *contiguous = 2 * MIB - offset % (2 * MIB);
    return 0x40000000 + offset / (2 * MIB) * (6 * MIB) + offset % (2 * MIB);
}

static void note(const char *format, ...) {
    size_t used = strlen(trace);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trace + used, sizeof(trace) - used, format, arguments);
    va_end(arguments);
}
static void did(const char *what) {
    assert_string_equal(trace, what);
    trace[0] = 0;
}

int passed_function_create(struct vm *of, const char *address, uint8_t devfn, struct passed_function **out) {
    assert_ptr_equal(of, &vm);
    unsigned number = (unsigned)(devfn >> 3) - 24;
    assert_string_equal(address, config.passthrough[number]);
    if (fail_at == number + 1 && create_error)
        return create_error;
    functions[number].number = number;
    *out = &functions[number];
    note("+%u ", number);
    return 0;
}
void passed_function_destroy(struct passed_function *f) {
    note("-%u ", f->number);
}
const char *passed_function_start(struct passed_function *f, struct iommu_domain *in) {
    assert_ptr_equal(in, no_iommu ? NULL : domain);
    note("start%u ", f->number);
    return fail_at == f->number + 1 ? "it does not answer" : NULL;
}
int passed_function_move(struct passed_function *f, struct iommu_domain *in) {
    (void)in;
    fail_msg("%u", f->number);
    return 0;
}
void passed_function_stop(struct passed_function *f, bool last) {
    note("stop%u%s ", f->number, last ? "!" : "");
}
void passed_function_end(struct passed_function *f, bool last) {
    note("end%u%s ", f->number, last ? "!" : "");
}
uint64_t passed_function_rest(struct passed_function *f) {
    return 10 + f->number % 2 * 5;
}

bool iommu_present(void) {
    return !no_iommu;
}
unsigned iommu_address_bits(void) {
    return 48;
}
int guest_memory_translate(struct vm *of, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    (void)of, (void)gpa, (void)physical, (void)contiguous, (void)kind;
    return -EFAULT;
}
int iommu_domain_create(struct iommu_domain **out, const char *name, struct memory_account *account,
                        void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault,
                                      bool suspended)) {
    assert_string_equal(name, "web");
    assert_ptr_equal(account, &vm.memory.account);
    if (domain_error)
        return domain_error;
    domains++;
    sealed = 0;
    domain_fault = fault;
    *out = domain;
    return 0;
}
void iommu_domain_seal(struct iommu_domain *of) {
    assert_ptr_equal(of, domain);
    sealed++;
}
void iommu_domain_destroy(struct iommu_domain *of) {
    assert_ptr_equal(of, domain);
    domains--;
}
int iommu_map(struct iommu_domain *of, uint64_t address, uint64_t physical, uint64_t size, bool writable) {
    assert_ptr_equal(of, domain);
    if (map_error)
        return map_error;
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        uint64_t number = (address + at) / PAGE_SIZE;
        assert_true(number < PAGES);
        page[number].mapped = true;
        page[number].physical = physical + at;
        page[number].writable = writable;
    }
    unflushed = true;
    return 0;
}
int iommu_unmap(struct iommu_domain *of, uint64_t address, uint64_t size) {
    assert_ptr_equal(of, domain);
    for (uint64_t at = address; at < address + size; at += PAGE_SIZE)
        page[at / PAGE_SIZE].mapped = false;
    unflushed = true;
    return 0;
}
void iommu_flush(struct iommu_domain *of) {
    assert_ptr_equal(of, domain);
    unflushed = false;
}

static int setup(void **state) {
    static const struct guest_region regions[] = {
        {.base = 0, .size = 0xa0000, .offset = 0, .kind = GUEST_RAM},
        {.base = 0xf0000, .size = 0x10000, .offset = 0x3f0000, .kind = GUEST_ROM},
        {.base = MIB, .size = 2 * MIB, .offset = MIB, .kind = GUEST_RAM},
        {.base = 0xd0000000, .size = 0x1000, .offset = 0xfe000000, .kind = GUEST_SHOWN_DEVICE},
    };
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&config, 0, sizeof(config));
    memset(page, 0, sizeof(page));
    snprintf(vm.name, sizeof(vm.name), "web");
    vm.config = &config;
    plain.config = &plain_config;
    vm.vcpu[0] = &vcpu;
    memcpy(vm.memory.region, regions, sizeof(regions));
    vm.memory.region_count = array_count(regions);
    config.passthrough[0] = "00:03.0";
    config.passthrough[1] = "00:04.0";
    config.passthrough[2] = "01:00.0";
    config.passthrough_count = 3;
    trace[0] = ended[0] = crashed[0] = 0;
    fail_at = 0;
    create_error = domain_error = map_error = 0;
    no_iommu = false;
    warnings = 0;
    assert_int_equal(heap, 0);
    assert_int_equal(domains, 0);
    return 0;
}

static void test_none(void **state) {
    const struct guest_region region = {.base = 0, .size = 0x1000, .kind = GUEST_RAM};
    (void)state;
    assert_int_equal(passthrough_part.create(&plain, 0), 0);
    assert_null(plain.passed);
    passthrough_part.reset(&plain, 0);
    assert_int_equal(guest_passthrough_memory(&plain, &region, true), 0);
    passthrough_part.destroy(&plain, 0);
    assert_int_equal(heap, 0);
    did("");
}

static void test_create(void **state) {
    (void)state;
    fail_at = 3;
    create_error = -ENODEV;
    assert_int_equal(passthrough_part.create(&vm, 0), -ENODEV);
    did("+0 +1 -1 -0 ");
    create_error = 0;
    domain_error = -ENOSPC;
    assert_int_equal(passthrough_part.create(&vm, 0), -ENOSPC);
    domain_error = 0;
    map_error = -ENOMEM;
    assert_int_equal(passthrough_part.create(&vm, 0), -ENOMEM);
    map_error = 0;
    assert_null(vm.passed);
    assert_true(heap == 0 && domains == 0);
    trace[0] = 0;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    did("+0 +1 +2 ");
    assert_non_null(vm.passed);
    assert_false(unflushed);
    assert_int_equal(sealed, 1);
    passthrough_part.destroy(&vm, 0);
    did("-2 -1 -0 ");
    assert_null(vm.passed);
}

/* Each page of RAM and ROM is where the guest has it, and nothing else is. */
static void check_pages(void) {
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t at = i * PAGE_SIZE, ignored;
        const struct guest_region *region = NULL;
        for (unsigned j = 0; j < vm.memory.region_count; j++)
            if (at - vm.memory.region[j].base < vm.memory.region[j].size)
                region = &vm.memory.region[j];
        assert_int_equal(page[i].mapped, region != NULL);
        if (!region)
            continue;
        assert_int_equal(page[i].writable, region->kind == GUEST_RAM);
        assert_true(page[i].physical ==
                    guest_memory_backing(&vm.memory, region->offset + (at - region->base), &ignored));
    }
    assert_false(unflushed);
}

static void test_memory(void **state) {
    (void)state;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    check_pages();
    /* The ROM goes, RAM comes in its place. */
    struct guest_region hole = vm.memory.region[1];
    vm.memory.region[1].size = 0;
    assert_int_equal(guest_passthrough_memory(&vm, &hole, false), 0);
    check_pages();
    vm.memory.region[1] =
        (struct guest_region){.base = 0xf0000, .size = 0x10000, .offset = 0xf0000, .kind = GUEST_RAM};
    assert_int_equal(guest_passthrough_memory(&vm, &vm.memory.region[1], true), 0);
    check_pages();
    assert_int_equal(guest_passthrough_memory(&vm, &vm.memory.region[3], true), 0);
    check_pages();
    map_error = -ENOMEM;
    assert_int_equal(guest_passthrough_memory(&vm, &vm.memory.region[0], true), -ENOMEM);
    passthrough_part.destroy(&vm, 0);
}

static void test_runs(void **state) {
    (void)state;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    trace[0] = 0;
    passthrough_part.reset(&vm, 0);
    did("start0 start1 start2 ");
    assert_string_equal(ended, "");
    assert_int_equal(vm.passed->rest(&vm), 15);
    vm.passed->release(&vm, false);
    did("stop0 stop1 stop2 end0 end1 end2 ");
    vm.passed->release(&vm, true);
    did("stop0! stop1! stop2! end0! end1! end2! ");
    fail_at = 2;
    passthrough_part.reset(&vm, 0);
    did("start0 start1 ");
    assert_string_equal(ended, "cannot be started: PCI 00:04.0: it does not answer");
    passthrough_part.destroy(&vm, 0);
}

static void test_fault(void **state) {
    const struct iommu_fault what = {.requester = 0x0118};
    (void)state;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    domain_fault(domain, &what, false);
    assert_string_equal(crashed, "");
    domain_fault(domain, &what, true);
    assert_string_equal(crashed, "PCI 0000:01:03.0 goes on with DMA where it may not");
    passthrough_part.destroy(&vm, 0);
}

/* Without an IOMMU there is no domain; each start says so of each function. */
static void test_unprotected(void **state) {
    (void)state;
    no_iommu = true;
    domain_error = map_error = -ENODEV;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    did("+0 +1 +2 ");
    assert_int_equal(domains, 0);
    assert_int_equal(guest_passthrough_memory(&vm, &vm.memory.region[0], false), 0);
    assert_int_equal(guest_passthrough_memory(&vm, &vm.memory.region[0], true), 0);
    for (unsigned run = 1; run <= 2; run++) {
        passthrough_part.reset(&vm, 0);
        did("start0 start1 start2 ");
        assert_int_equal(warnings, 3 * run);
        assert_string_equal(ended, "");
        vm.passed->release(&vm, false);
        did("stop0 stop1 stop2 end0 end1 end2 ");
    }
    fail_at = 1;
    passthrough_part.reset(&vm, 0);
    assert_int_equal(warnings, 6);
    assert_string_equal(ended, "cannot be started: PCI 00:03.0: it does not answer");
    passthrough_part.destroy(&vm, 0);
    assert_null(vm.passed);
    assert_int_equal(heap, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_none, setup),   cmocka_unit_test_setup(test_create, setup),
        cmocka_unit_test_setup(test_memory, setup), cmocka_unit_test_setup(test_runs, setup),
        cmocka_unit_test_setup(test_fault, setup),  cmocka_unit_test_setup(test_unprotected, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
