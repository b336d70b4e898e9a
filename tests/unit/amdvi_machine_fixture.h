// SPDX-License-Identifier: Apache-2.0
// The AMD-Vi driver on a machine with two units for unit tests: what its firmware's table says, and its
// start. Included by one file of a test program, with the driver itself, whose state each test resets.
#ifndef SAGUARO_TESTS_UNIT_AMDVI_MACHINE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_AMDVI_MACHINE_FIXTURE_H

#include "tests/unit/amdvi_fixture.h"
#include "drivers/iommu/amdvi.c"

#define RAM        0x40000000ull /* of somebody, at its own address */
#define CAPABILITY 0x0003000fu
#define ABSENT     (CAPABILITY | AMDVI_CAPABILITY_ABSENT)
#define FEATURES   (CAPABILITY | AMDVI_CAPABILITY_FEATURES)

static struct acpi_ivrs ivrs;

static int setup(void **state) {
    (void)state;
    memset(&iommu, 0, sizeof(iommu));
    memset(models, 0, sizeof(models));
    memset(&ivrs, 0, sizeof(ivrs));
    memset(unit_of_ivrs, 0, sizeof(unit_of_ivrs));
    memset(units, 0, sizeof(units));
    unit_count = reserved_count = 0;
    driver.notes_absent = false;
    messages_made = 0;
    message_error = 0;
    armed = NULL;
    left = UINT32_MAX;
    test_time = 100 * SECOND;
    test_time_step = 1000; /* so that whoever waits gives up in the end */
    text[0] = 0;
    for (unsigned i = 0; i < MODELS; i++)
        models[i] = (struct model){
            .present = true, .coherent = true, .capability = FEATURES, .features = AMDVI_FEATURES_ALL};
    /* One unit for 00:02.0, which the firmware's memory is for, and one for all else. */
    ivrs.unit_count = 2;
    for (unsigned i = 0; i < 2; i++)
        ivrs.unit[i] = (struct acpi_ivrs_unit){.base = BASE + i * AMDVI_REGISTERS,
                                               .id = (uint16_t)(i + 1),
                                               .capability = 0x40,
                                               .type = ACPI_IVRS_IVHD_10,
                                               .flags = ACPI_IVRS_COHERENT};
    ivrs.device_count = 4;
    ivrs.device[0] = (struct acpi_ivrs_device){.first = 0x10, .last = 0x10};
    ivrs.device[1] = (struct acpi_ivrs_device){.last = 0xffff, .unit = 1, .all = true};
    ivrs.device[2] = (struct acpi_ivrs_device){.first = 0xa0, .last = 0xa0, .unit = 1, .settings = 0xd7};
    ivrs.device[3] =
        (struct acpi_ivrs_device){.first = 0x108, .last = 0x108, .alias = 0x100, .unit = 1, .aliased = true};
    ivrs.special_count = 1;
    ivrs.special[0] = (struct acpi_ivrs_special){
        .variety = ACPI_IVRS_IOAPIC, .handle = 2, .unit = 1, .settings = 0xd7, .requester = 0xa0};
    ivrs.memory_count = 1;
    ivrs.memory[0] = (struct acpi_ivrs_memory){
        .base = 0x7f000000, .limit = 0x7f003fff, .first = 0x10, .last = 0x10, .read = true, .write = true};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    heap_clear();
    return 0;
}

static struct model *const screen_unit = &models[0], *const unit = &models[1];

static void start_units(void) {
    for (unsigned i = 0; i < MODELS; i++) {
        ivrs.unit[i].flags = models[i].coherent ? ACPI_IVRS_COHERENT : 0;
        fill_space(&models[i]);
    }
    amdvi_start(&ivrs);
}

/* As the machine starts, on units of that kind. */
static void start(uint32_t capability, bool coherently) {
    for (unsigned i = 0; i < MODELS; i++) {
        models[i].capability = capability;
        models[i].coherent = coherently;
    }
    start_units();
    amdvi_start_interrupts(true);
}

static struct iommu_domain *domain_new(void) {
    struct iommu_domain *domain;
    assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, NULL), 0);
    return domain;
}

static int reach(uint16_t requester, uint64_t address, bool write) {
    uint64_t physical = 0;
    int reason = translate(requester == 0x10 ? screen_unit : unit, requester, address, write, &physical);
    if (!reason)
        assert_int_equal(physical, address);
    return reason;
}

static const struct iommu_device screen = {.group = 0x10, .count = 1, .id = {0x0010}};
static const struct iommu_device nic = {.group = 0x18, .count = 1, .id = {0x0018}};
static const struct iommu_device disk = {.group = 0x100, .count = 1, .id = {0x0108}};

#endif
