// SPDX-License-Identifier: Apache-2.0
// The service VM's functions behind an IOMMU: what its domain maps, who is put into it and who is not, its
// messages, and what happens when one of them goes wrong.
// unit-sources: devices/service_dma.c
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "core/log.h"
#include "core/service_internal.h"
#include "devices/service_dma.h"
#include "drivers/iommu/iommu.h"

#define MIB 0x100000ull

struct cpu *test_cpu;
uint64_t test_time;
struct service service;

static struct vm machine;
static struct vcpu vcpu;
static char text[2048];
static bool present = true, many, covered = true;
static int create_error, map_error, remap_result;
static const char *why_not;
static struct iommu_domain *const the_domain = (void *)&text;
static void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault, bool suspended);
static struct memory_range mapped[8];
static unsigned mapped_count, flushes, attached, freed;

void log_line(enum log_level level, const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
}
void vm_crash(struct vcpu *of, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(of, &vcpu);
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
}
uint64_t guest_memory_backing(const struct guest_memory *memory, uint64_t offset, uint64_t *contiguous) {
    *contiguous = 2 * MIB - offset % (2 * MIB);
    if (memory->block_count == 1)
        *contiguous = 1024 * MIB; /* a frame that is larger than the memory */
    return memory->block[offset / (2 * MIB)] + offset % (2 * MIB);
}
bool host_pci_dma(const struct host_pci *pci, struct iommu_device *device) {
    *device = (struct iommu_device){.count = 1, .id = {(uint16_t)(pci->bus << 8 | pci->devfn)}};
    return !many;
}
bool iommu_present(void) {
    return present;
}
bool iommu_covers(const struct iommu_device *device) {
    assert_int_equal(device->id[0], 0x0110);
    return covered;
}
int iommu_domain_create(struct iommu_domain **domain, const char *name, struct memory_account *account,
                        void (*called)(struct iommu_domain *domain, const struct iommu_fault *fault,
                                       bool suspended)) {
    assert_string_equal(name, "the service VM");
    assert_ptr_equal(account, &machine.memory.account);
    fault = called;
    if (!create_error)
        *domain = the_domain;
    return create_error;
}
int iommu_map(struct iommu_domain *domain, uint64_t address, uint64_t physical, uint64_t size,
              bool writable) {
    assert_true(domain == the_domain && address == physical && writable);
    mapped[mapped_count++] = (struct memory_range){address, size};
    return map_error;
}
void iommu_flush(struct iommu_domain *domain) {
    assert_ptr_equal(domain, the_domain);
    flushes++;
}
const char *iommu_attach(struct iommu_domain *domain, const struct iommu_device *device) {
    assert_true(domain == the_domain && device->id[0] == 0x0110);
    attached += !why_not;
    return why_not;
}
void iommu_detach(struct iommu_domain *domain, const struct iommu_device *device) {
    assert_true(domain == the_domain && device->id[0] == 0x0110);
    attached--;
}
int iommu_interrupt_remap(const struct iommu_device *device, uint64_t *address, uint32_t *data) {
    assert_int_equal(device->id[0], 0x0110);
    if (remap_result >= 0) {
        *address = 0xfee00010;
        *data = 0;
    }
    return remap_result;
}
void iommu_interrupt_free(int interrupt) {
    assert_int_equal(interrupt, remap_result);
    freed++;
}

static bool logged(const char *what) {
    bool found = strstr(text, what) != NULL;
    text[0] = 0;
    return found;
}

static const struct host_pci nic = {.bus = 1, .devfn = 0x10};

/* The first: there is no domain yet. */
static void test_without(void **state) {
    int interrupt = SERVICE_DMA_NONE;
    uint64_t address = 0xfee00000;
    uint32_t data = 0x40;
    (void)state;
    present = false;
    assert_int_equal(service_dma_create(), 0);
    assert_true(logged("no IOMMU is in use: DMA is unprotected"));
    assert_true(service_dma_attach(&nic, "0000:01:02.0"));
    assert_int_equal(service_dma_map(&machine.memory), 0);
    assert_int_equal(service_dma_message(&nic, &address, &data, &interrupt), 0);
    assert_true(address == 0xfee00000 && data == 0x40 && interrupt == SERVICE_DMA_NONE);
    service_dma_detach(&nic);
    service_dma_forget(&interrupt);
    assert_int_equal(mapped_count + attached + freed + flushes, 0);
    present = true;
}

static void test_fails(void **state) {
    (void)state;
    create_error = -ENOMEM;
    assert_int_equal(service_dma_create(), -ENOMEM);
    assert_true(logged("cannot be made known to the IOMMU (-12)"));
    create_error = 0;
    map_error = -EINVAL;
    assert_int_equal(service_dma_create(), -EINVAL);
    assert_true(logged("(-22)"));
    assert_int_equal(mapped_count, 1);
    map_error = 0;
    mapped_count = flushes = 0;
}

static void test_memory(void **state) {
    static uint64_t block[] = {64 * MIB, 66 * MIB, 16 * MIB};
    (void)state;
    machine.memory.block = block;
    machine.memory.block_count = 3;
    machine.memory.size = 5 * MIB;
    assert_int_equal(service_dma_create(), 0);
    assert_int_equal(mapped_count, 3);
    assert_true(mapped[0].base == 64 * MIB && mapped[0].size == 2 * MIB && mapped[1].base == 66 * MIB);
    assert_true(mapped[2].base == 16 * MIB && mapped[2].size == MIB);
    assert_int_equal(flushes, 1);
    machine.memory.block_count = 1;
    mapped_count = 0;
    assert_int_equal(service_dma_map(&machine.memory), 0);
    assert_true(mapped_count == 1 && mapped[0].size == 5 * MIB);
}

static void test_functions(void **state) {
    int interrupt = SERVICE_DMA_NONE;
    uint64_t address = 0xfee00000;
    uint32_t data = 0x40;
    (void)state;
    assert_true(service_dma_attach(&nic, "0000:01:02.0"));
    assert_int_equal(attached, 1);
    remap_result = 7;
    assert_int_equal(service_dma_message(&nic, &address, &data, &interrupt), 0);
    assert_true(address == 0xfee00010 && data == 0 && interrupt == 7);
    service_dma_forget(&interrupt);
    service_dma_forget(&interrupt);
    assert_true(interrupt == SERVICE_DMA_NONE && freed == 1);
    remap_result = -ENODEV;
    address = 5;
    assert_int_equal(service_dma_message(&nic, &address, &data, &interrupt), 0);
    assert_true(address == 5 && interrupt == SERVICE_DMA_NONE);
    remap_result = -EINVAL;
    assert_int_equal(service_dma_message(&nic, &address, &data, &interrupt), -ENOSPC);
    service_dma_detach(&nic);
    assert_int_equal(attached, 0);
    /* Refused; not behind it; behind too much. */
    why_not = "it is somebody else's";
    assert_false(service_dma_attach(&nic, "0000:01:02.0"));
    assert_true(logged("PCI 0000:01:02.0: it cannot be used: it is somebody else's"));
    why_not = NULL;
    covered = false;
    assert_true(service_dma_attach(&nic, "0000:01:02.0"));
    assert_true(logged("PCI 0000:01:02.0: no IOMMU translates its DMA: it can reach all memory"));
    remap_result = 7;
    assert_int_equal(service_dma_message(&nic, &address, &data, &interrupt), 0);
    assert_int_equal(interrupt, SERVICE_DMA_NONE);
    service_dma_detach(&nic);
    assert_int_equal(attached, 0);
    covered = true;
    many = true;
    assert_false(service_dma_attach(&nic, "0000:01:02.0"));
    assert_true(logged("behind too many bridges"));
    service_dma_detach(&nic);
    many = false;
}

static void test_fault(void **state) {
    const struct iommu_fault what = {.segment = 0, .requester = 0x0110, .address = 0x1000, .write = true};
    (void)state;
    fault(the_domain, &what, false);
    assert_string_equal(text, "");
    fault(the_domain, &what, true);
    assert_string_equal(text, "PCI 0000:01:02.0 goes on with DMA where it may not");
    text[0] = 0;
}

static int setup(void **state) {
    (void)state;
    machine.vcpu[0] = &vcpu;
    service.vm = &machine;
    static uint64_t block[] = {32 * MIB};
    machine.memory.block = block;
    machine.memory.block_count = 1;
    machine.memory.size = 2 * MIB;
    text[0] = 0;
    return 0;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_without), TEST(test_fails), TEST(test_memory), TEST(test_functions), TEST(test_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
