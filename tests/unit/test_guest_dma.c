// SPDX-License-Identifier: Apache-2.0
// What a guest's own IOMMU lets its functions of the machine reach, as the service VM tells it: only ever the
// guest's own memory, each value checked, tables bounded.
// unit-sources: devices/guest_passthrough.c
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "abi/service.h"
#include "core/log.h"
#include "core/vm.h"
#include "devices/guest_passthrough.h"
#include "devices/passed_function.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

#define MIB   0x100000ull
#define PAGES 0x10000u /* of a function's addresses that the test looks at */

struct cpu *test_cpu;
uint64_t test_time;

struct iommu_domain {
    bool sealed;
    struct memory_account *account;
    uint64_t page[PAGES]; /* physical + 1; 0: not mapped */
    bool writable[PAGES];
    bool unflushed;
};
static struct iommu_domain domains[4]; /* the guest's, then those of its functions */
static unsigned domain_count, domain_limit;
static int map_error, unmap_error, move_error;
static unsigned maps, created;
static struct vm vm;
static struct config_guest config;
static const struct iommu_domain *in[4]; /* where the functions are */

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}
void log_line(enum log_level level, const char *format, ...) {
    (void)level, (void)format;
}
void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account, (void)size;
    free(object);
}
unsigned vm_count(void) {
    return 1;
}
struct vm *vm_get(unsigned index) {
    (void)index;
    return &vm;
}
void vm_end(struct vm *of, enum vm_end end, uint32_t code, const char *text) {
    (void)of, (void)end, (void)code;
    fail_msg("%s", text);
}
void vm_crash(struct vcpu *of, const char *format, ...) {
    (void)of;
    fail_msg("%s", format);
}

/* RAM from 0 to 4 MiB, in frames of 2 MiB that do not lie together; ROM from 4 MiB + 64 KiB to 5 MiB. */
uint64_t guest_memory_backing(const struct guest_memory *memory, uint64_t offset, uint64_t *contiguous) {
    (void)memory;
    *contiguous = 2 * MIB - offset % (2 * MIB);
    return 0x40000000 + offset / (2 * MIB) * (6 * MIB) + offset % (2 * MIB);
}
int guest_memory_translate(struct vm *of, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    assert_ptr_equal(of, &vm);
    if (gpa >= 5 * MIB || (gpa >= 4 * MIB && gpa < 4 * MIB + 0x10000))
        return -EFAULT;
    *kind = gpa < 4 * MIB ? GUEST_RAM : GUEST_ROM;
    *physical = guest_memory_backing(NULL, gpa, contiguous);
    return 0;
}

int passed_function_create(struct vm *of, const char *address, uint8_t devfn, struct passed_function **out) {
    (void)of, (void)address;
    assert_int_equal(devfn, (24 + created) << 3);
    *out = (struct passed_function *)&in[created++];
    return 0;
}
void passed_function_destroy(struct passed_function *f) {
    (void)f;
}
const char *passed_function_start(struct passed_function *f, struct iommu_domain *domain) {
    assert_ptr_equal(domain, &domains[0]);
    *(const struct iommu_domain **)f = domain;
    return NULL;
}
int passed_function_move(struct passed_function *f, struct iommu_domain *domain) {
    if (!move_error)
        *(const struct iommu_domain **)f = domain;
    return move_error;
}
void passed_function_stop(struct passed_function *f, bool last) {
    (void)f, (void)last;
}
void passed_function_end(struct passed_function *f, bool last) {
    (void)f, (void)last;
}
uint64_t passed_function_rest(struct passed_function *f) {
    (void)f;
    return 0;
}

bool iommu_present(void) {
    return true;
}
unsigned iommu_address_bits(void) {
    return 39;
}
int iommu_domain_create(struct iommu_domain **out, const char *name, struct memory_account *account,
                        void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault,
                                      bool suspended)) {
    assert_string_equal(name, "web");
    if (domain_count == domain_limit)
        return -ENOSPC;
    assert_int_equal(fault == NULL, domain_count > 0); /* the guest does not end for its functions' */
    *out = &domains[domain_count++];
    memset(*out, 0, sizeof(**out));
    (*out)->account = account;
    return 0;
}
void iommu_domain_seal(struct iommu_domain *of) {
    of->sealed = true;
}
void iommu_domain_destroy(struct iommu_domain *of) {
    (void)of;
    domain_count--;
}
int iommu_map(struct iommu_domain *of, uint64_t address, uint64_t physical, uint64_t size, bool writable) {
    if (++maps == 2 && map_error)
        return map_error;
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        uint64_t number = (address + at) / PAGE_SIZE;
        if (number >= PAGES)
            return -EINVAL;
        of->page[number] = physical + at + 1;
        of->writable[number] = writable;
    }
    of->unflushed = true;
    return 0;
}
int iommu_unmap(struct iommu_domain *of, uint64_t address, uint64_t size) {
    if (unmap_error)
        return unmap_error;
    for (uint64_t at = address / PAGE_SIZE; at < (address + size) / PAGE_SIZE && at < PAGES; at++)
        of->page[at] = 0;
    of->unflushed = true;
    return 0;
}
void iommu_flush(struct iommu_domain *of) {
    of->unflushed = false;
}

static int setup(void **state) {
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&config, 0, sizeof(config));
    strcpy(vm.name, "web");
    vm.config = &config;
    vm.memory.size = 256 * MIB;
    config.passthrough[0] = "00:03.0";
    config.passthrough[1] = "00:04.0";
    config.passthrough_count = 2;
    config.iommu = CONFIG_IOMMU_VIRTIO;
    created = domain_count = 0;
    domain_limit = 4;
    map_error = unmap_error = move_error = 0;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    passthrough_part.reset(&vm, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    passthrough_part.destroy(&vm, 0);
    assert_int_equal(domain_count, 0);
    return 0;
}

static int map(unsigned number, uint64_t address, uint64_t size, uint64_t gpa, uint32_t writable) {
    const struct service_dma dma = {.address = address, .size = size, .gpa = gpa, .writable = writable};
    maps = 0;
    int error = vm.passed->map(&vm, number, &dma);
    assert_false(domains[1].unflushed || domains[2].unflushed);
    return error;
}

static int unmap(unsigned number, uint64_t address, uint64_t size) {
    const struct service_dma dma = {.address = address, .size = size};
    int error = vm.passed->unmap(&vm, number, &dma);
    assert_false(domains[1].unflushed || domains[2].unflushed);
    return error;
}

static unsigned mapped(unsigned domain) {
    unsigned count = 0;
    for (unsigned i = 0; i < PAGES; i++)
        count += domains[domain].page[i] != 0;
    return count;
}

static void test_confine(void **state) {
    (void)state;
    assert_int_equal(domain_count, 3);
    assert_true(domains[0].sealed && domains[1].sealed && domains[2].sealed);
    assert_int_equal(vm.passed->address_bits, 39);
    assert_ptr_equal(domains[0].account, &vm.memory.account);
    assert_ptr_not_equal(domains[1].account, domains[2].account);
    assert_ptr_equal(in[0], &domains[0]);
    assert_int_equal(vm.passed->confine(&vm, 1, true), 0);
    assert_ptr_equal(in[0], &domains[0]);
    assert_ptr_equal(in[1], &domains[2]);
    assert_int_equal(vm.passed->confine(&vm, 0, true), 0);
    assert_ptr_equal(in[0], &domains[1]);
    assert_int_equal(vm.passed->confine(&vm, 1, false), 0);
    assert_ptr_equal(in[1], &domains[0]);
    assert_int_equal(vm.passed->confine(&vm, 2, true), -ENOENT);
    assert_int_equal(vm.passed->confine(&vm, UINT32_MAX, true), -ENOENT);
    move_error = -EBUSY;
    assert_int_equal(vm.passed->confine(&vm, 1, true), -EBUSY);
}

static void test_map(void **state) {
    uint64_t ignored;
    (void)state;
    assert_int_equal(map(0, 0x7000, 0x3000, 2 * MIB - 0x1000, 1), 0); /* over the end of a frame */
    assert_int_equal(maps, 2);
    assert_int_equal(mapped(1), 3);
    assert_int_equal(mapped(2), 0);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t gpa = 2 * MIB - 0x1000 + i * 0x1000;
        assert_true(domains[1].page[7 + i] == guest_memory_backing(NULL, gpa, &ignored) + 1);
        assert_true(domains[1].writable[7 + i]);
    }
    assert_int_equal(map(1, 0x7000, 0x1000, 0, 0), 0);
    assert_false(domains[2].writable[7]);
    assert_int_equal(map(1, 0x20000, 0x1000, 4 * MIB + 0x10000, 0), 0); /* ROM */
    assert_int_equal(unmap(0, 0x8000, 0x1000), 0);
    assert_int_equal(mapped(1), 2);
    assert_int_equal(unmap(0, 0, SERVICE_MAX_DMA), 0);
    assert_int_equal(mapped(1), 0);
    assert_int_equal(mapped(2), 2);
    /* The guest's own domain follows its memory, those of its functions do not. */
    const struct guest_region region = {.base = 0x8000, .size = 0x1000, .kind = GUEST_RAM};
    assert_int_equal(guest_passthrough_memory(&vm, &region, true), 0);
    assert_int_equal(mapped(0), 1);
    assert_int_equal(mapped(1) + mapped(2), 2);
}

static void test_wrong(void **state) {
    static const struct {
        uint64_t address, size, gpa;
        uint32_t writable;
        int error;
    } rows[] = {
        {0x1001, 0x1000, 0, 1, -EINVAL},
        {0x1000, 0x1001, 0, 1, -EINVAL},
        {0x1000, 0x1000, 8, 1, -EINVAL},
        {0x1000, 0, 0, 1, -EINVAL},
        {0x1000, SERVICE_MAX_DMA + 0x1000, 0, 1, -EINVAL},
        {0xfffffffffffff000, 0x2000, 0, 1, -EINVAL},
        {0, 0x2000, 0xfffffffffffff000, 1, -EINVAL},
        {0x1000, 0x1000, 4 * MIB, 1, -EFAULT},
        {0x1000, 0x2000, 4 * MIB - 0x1000, 1, -EFAULT},  /* half of it is RAM */
        {0x1000, 0x1000, 4 * MIB + 0x10000, 1, -EFAULT}, /* ROM is not written */
        {0x1000, 0x1000, 5 * MIB, 1, -EFAULT},
        {0x1000, 0x1000, 1ull << 40, 0, -EFAULT},
        {(uint64_t)PAGES * PAGE_SIZE, 0x1000, 0, 1, -EINVAL}, /* the unit has no such addresses */
    };
    (void)state;
    for (unsigned i = 0; i < array_count(rows); i++) {
        assert_int_equal(map(0, rows[i].address, rows[i].size, rows[i].gpa, rows[i].writable), rows[i].error);
        assert_int_equal(mapped(1), 0);
    }
    assert_int_equal(map(2, 0, 0x1000, 0, 1), -ENOENT);
    assert_int_equal(unmap(2, 0, 0x1000), -ENOENT);
    assert_int_equal(unmap(0, 0x800, 0x1000), -EINVAL);
    unmap_error = -ENOMEM;
    assert_int_equal(unmap(0, 0, 0x1000), -ENOMEM);
    unmap_error = 0;
    map_error = -ENOMEM; /* of the second frame */
    assert_int_equal(map(0, 0, 4 * MIB, 0, 1), -ENOMEM);
    assert_int_equal(mapped(1), 0);
    map_error = 0;
    /* What tables may take. */
    domains[1].account->overhead = 0x400000 + MIB;
    assert_int_equal(map(0, 0, 0x1000, 0, 1), 0);
    domains[1].account->overhead += PAGE_SIZE;
    assert_int_equal(map(0, 0x1000, 0x1000, 0, 1), -ENOMEM);
    assert_int_equal(map(1, 0x1000, 0x1000, 0, 1), 0);
    assert_int_equal(unmap(0, 0, 0x1000), 0);
    domains[1].account->overhead = 0;
}

/* Without an IOMMU of the guest's there is one domain, and none of the calls; without room, no guest. */
static void test_none(void **state) {
    (void)state;
    passthrough_part.destroy(&vm, 0);
    created = 0;
    config.iommu = CONFIG_IOMMU_NONE;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
    assert_int_equal(domain_count, 1);
    assert_int_equal(vm.passed->address_bits, 0);
    assert_null(vm.passed->confine);
    passthrough_part.destroy(&vm, 0);
    created = 0;
    config.iommu = CONFIG_IOMMU_VIRTIO;
    domain_limit = 2;
    assert_int_equal(passthrough_part.create(&vm, 0), -ENOSPC);
    assert_int_equal(domain_count, 0);
    created = 0;
    domain_limit = 3;
    assert_int_equal(passthrough_part.create(&vm, 0), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_confine), TEST(test_map), TEST(test_wrong), TEST(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
