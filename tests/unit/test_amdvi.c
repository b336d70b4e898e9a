// SPDX-License-Identifier: Apache-2.0
// The AMD-Vi driver against a model of its units: that all is blocked from the start on, what domains let
// through in every kind of unit, stale translations, aliases and memory of the firmware's, what firmware
// leaves, units that do not answer.
// unit-sources: drivers/iommu/iommu.c drivers/iommu/iommu_fault.c drivers/iommu/iommu_interrupt.c drivers/iommu/amdvi_*.c core/paging.c lib/acpi_ivrs.c lib/acpi.c lib/pci.c
#include "tests/unit/amdvi_machine_fixture.h"

static void test_start(void **state) {
    unsigned vector, cpu;
    (void)state;
    unit->exclusion = 0x100003;
    ivrs.unit[1].flags = 0xff;
    start_units();
    assert_int_equal(unit->control, AMDVI_CONTROL_ON | AMDVI_CONTROL_COMMANDS | AMDVI_CONTROL_EVENTS |
                                        AMDVI_CONTROL_COHERENT);
    assert_int_equal(unit->exclusion, 0);
    assert_int_equal(unit->all, 1);
    for (unsigned id = 0; id < 65536; id += 7) {
        assert_int_equal(reach((uint16_t)id, RAM, id & 8), NO_RIGHT);
        assert_int_equal(remap(unit, (uint16_t)id, 0xfee00000, 0x40, &vector, &cpu), NO_INTERRUPTS);
    }
    /* But for what the firmware wants. */
    assert_int_equal(reach(0x10, 0x7f000000, true) | reach(0x10, 0x7f003000, false), OK);
    assert_int_equal(reach(0x10, 0x7f004000, true), NOT_PRESENT);
    uint64_t southbridge = find_device(unit, 0xa0).word[2];
    assert_int_equal(southbridge, AMDVI_DEVICE_INTERRUPTS | AMDVI_DEVICE_INIT | AMDVI_DEVICE_EINT |
                                      AMDVI_DEVICE_NMI | AMDVI_DEVICE_LINT0 | AMDVI_DEVICE_LINT1);
    assert_int_equal(find_device(unit, 0xa0).word[1], AMDVI_DEVICE_SYSMGT(1));
    amdvi_start_interrupts(true);
    assert_true(unit->control & AMDVI_CONTROL_EVENT_INT);
    /* The message of the unit's function. */
    assert_true(unit->space[0x66] == 1 && unit->space[0x70] == 0x51 && unit->space[0x69] == 0x30);
    assert_true(said("IOMMU AMD-Vi 1: at 0xfeb84000, 48 bits, pages up to 1 GiB, interrupts remapped"));
}

/* What a domain lets through, whatever the units are like. */
static void check_domain(uint32_t capability, bool coherently, uint64_t features) {
    setup(NULL);
    models[0].features = models[1].features = features;
    start(capability, coherently);
    struct iommu_domain *domain = domain_new();
    assert_int_equal(reach(0x18, RAM, true), NO_RIGHT);
    unit->trying = 0x18;
    assert_int_equal(iommu_map(domain, RAM, RAM, 2 * M2 + K4, true), 0);
    assert_int_equal(iommu_map(domain, 4 * RAM, 4 * RAM, RAM, false), 0);
    assert_null(iommu_attach(domain, &nic));
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * M2, true) | reach(0x18, 4 * RAM, false),
                     OK);
    assert_int_equal(reach(0x18, RAM + 2 * M2 + K4, true), NOT_PRESENT);
    assert_int_equal(reach(0x18, 5 * RAM - 1, true), NO_RIGHT);
    assert_int_equal(reach(0x18, 0, false), NOT_PRESENT);
    assert_int_equal(reach(0x18, 1ull << 48, false), TOO_FAR);
    assert_int_equal(reach(0x20, RAM, true), NO_RIGHT);
    assert_int_equal(reach(0x108, RAM, true), NO_RIGHT);
    /* More is mapped, and somebody else comes: under its own ID and its alias. */
    assert_int_equal(iommu_map(domain, 0, 0, K4, true), 0);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, 0, false), OK);
    assert_int_equal(reach(0x100, RAM, true), NO_RIGHT);
    assert_null(iommu_attach(domain, &disk));
    assert_null(iommu_attach(domain, &screen));
    assert_int_equal(reach(0x108, RAM, true) | reach(0x100, RAM, true) | reach(0x10, RAM, true), OK);
    assert_int_equal(reach(0x10, 0x7f003000, true) | reach(0x18, 0x7f003000, true), OK);
    /* Unmapped: it may be reached until the flush, and its table is kept until then. */
    unsigned used = pages_used();
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * M2, true), OK);
    assert_int_equal(iommu_unmap(domain, RAM + 2 * M2, K4), 0);
    assert_int_equal(reach(0x18, RAM + 2 * M2, true), OK);
    assert_int_equal(pages_used(), used);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM + 2 * M2, true), NOT_PRESENT);
    assert_int_equal(reach(0x108, RAM + 2 * M2, true), NOT_PRESENT);
    assert_int_equal(reach(0x18, RAM, true), OK);
    assert_int_equal(pages_used(), used - 1);
    /* A large page that is cut, and one of 1 GiB. */
    assert_int_equal(iommu_unmap(domain, RAM + K4, K4), 0);
    assert_int_equal(iommu_unmap(domain, 4 * RAM + M2, M2), 0);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM + K4, false), NOT_PRESENT);
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * K4, true), OK);
    assert_int_equal(reach(0x18, 4 * RAM + M2, false), NOT_PRESENT);
    assert_int_equal(reach(0x18, 4 * RAM, false) | reach(0x18, 4 * RAM + 2 * M2, false), OK);
    /* One goes. */
    iommu_detach(domain, &nic);
    iommu_detach(domain, &screen);
    assert_int_equal(reach(0x18, RAM, true), NO_RIGHT);
    assert_int_equal(reach(0x10, RAM, true), NOT_PRESENT);
    assert_int_equal(reach(0x10, 0x7f000000, true) | reach(0x108, RAM, true), OK);
    iommu_detach(domain, &disk);
    assert_int_equal(reach(0x108, RAM, true), NO_RIGHT);
    assert_int_equal(reach(0x100, RAM, true), NO_RIGHT);
    /* What was unmapped while nobody was in it is not remembered from before. */
    assert_int_equal(iommu_unmap(domain, RAM, K4), 0);
    iommu_flush(domain);
    assert_null(iommu_attach(domain, &nic));
    assert_int_equal(reach(0x18, RAM, true), NOT_PRESENT);
    assert_int_equal(reach(0x18, RAM + 2 * K4, true), OK);
    assert_false(unit->halted || screen_unit->halted);
    assert_int_equal(unit->all, capability & AMDVI_CAPABILITY_FEATURES && features ? 1 : 0);
    teardown(NULL);
}

static void test_domain(void **state) {
    (void)state;
    check_domain(FEATURES, true, AMDVI_FEATURES_ALL);
    check_domain(FEATURES, false, AMDVI_FEATURES_ALL);
    check_domain(FEATURES | ABSENT, true, AMDVI_FEATURES_ALL);
    check_domain(FEATURES | ABSENT, false, 0);
    check_domain(CAPABILITY, true, AMDVI_FEATURES_ALL);
    check_domain(0, false, AMDVI_FEATURES_ALL); /* its capability cannot be read */
    setup(NULL);
}

static void test_mixture(void **state) {
    (void)state;
    unit->coherent = false;
    ivrs.virtual_bits = 40;
    start_units();
    assert_true(!coherent && !driver.notes_absent && driver.limit == 1ull << 40 && width == 40);
    struct iommu_domain *domain = domain_new();
    assert_int_equal(iommu_map(domain, 1ull << 40, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(domain, 0xfee00000, 0xfee00000, K4, true), -EINVAL);
}

static void test_pages(void **state) {
    (void)state;
    start(FEATURES, true);
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    assert_int_equal(iommu_map(domain, RAM, RAM, RAM, true), 0);
    unsigned domains = unit->invalidations[0], several = unit->invalidations[1], waits = unit->waits;
    for (unsigned i = 0; i < 17; i++)
        assert_int_equal(reach(0x18, RAM + i * K4, true), OK);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(iommu_unmap(domain, RAM + i * K4, K4), 0);
    iommu_flush(domain);
    /* Sixteen at once. */
    for (unsigned i = 0; i < 17; i++)
        assert_int_equal(reach(0x18, RAM + i * K4, true), i < 16 ? NOT_PRESENT : OK);
    assert_int_equal(unit->invalidations[1], several + 1);
    assert_int_equal(unit->waits, waits + 1);
    /* From one end to the other. */
    assert_int_equal(iommu_map(domain, 0, 0, K4, true), 0);
    assert_int_equal(iommu_map(domain, (1ull << 48) - K4, RAM, K4, true), 0);
    assert_int_equal(iommu_unmap(domain, 0, K4), 0);
    assert_int_equal(iommu_unmap(domain, (1ull << 48) - K4, K4), 0);
    iommu_flush(domain);
    assert_int_equal(unit->invalidations[1], several + 2);
    assert_int_equal(unit->invalidations[0], domains);
    assert_int_equal(screen_unit->invalidations[1] + screen_unit->invalidations[2], 0);
    /* The buffer goes around. */
    unsigned single = unit->invalidations[2];
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(iommu_map(domain, 0, 0, K4, true), 0);
        assert_int_equal(reach(0x18, 0, true), OK);
        assert_int_equal(iommu_unmap(domain, 0, K4), 0);
        iommu_flush(domain);
        assert_int_equal(reach(0x18, 0, true), NOT_PRESENT);
    }
    assert_true(unit->invalidations[2] + unit->invalidations[1] >= single + 300);
}

/* Aliases of two functions, whose owners differ. */
static void test_aliases(void **state) {
    static const struct iommu_device behind = {.group = 0x101, .count = 1, .id = {0x0110}};
    static const struct iommu_device many = {
        .group = 0x102, .count = IOMMU_MAX_IDS, .id = {0x0108, 0x1, 0x2, 0x3}};
    (void)state;
    ivrs.device[ivrs.device_count++] =
        (struct acpi_ivrs_device){.first = 0x110, .last = 0x110, .alias = 0x100, .unit = 1, .aliased = true};
    start(FEATURES, true);
    struct iommu_domain *domain = domain_new(), *other = domain_new();
    assert_null(iommu_attach(domain, &disk));
    assert_string_equal(iommu_attach(other, &behind),
                        "somebody else's function sends under the same requester ID");
    assert_null(iommu_attach(domain, &behind));
    assert_int_equal(iommu_map(domain, RAM, RAM, K4, true), 0);
    iommu_flush(domain);
    iommu_detach(domain, &disk);
    assert_int_equal(reach(0x100, RAM, true) | reach(0x110, RAM, true), OK);
    assert_int_equal(reach(0x108, RAM, true), NO_RIGHT);
    iommu_detach(domain, &behind);
    assert_int_equal(reach(0x100, RAM, true), NO_RIGHT);
    assert_string_equal(iommu_attach(domain, &many),
                        "what it sends may come under more requester IDs than are supported");
    assert_int_equal(iommu_interrupt_allocate(&many), -ENOSPC);
}

/* Memory of the firmware's: for several functions, of which two are there; for none; and what is not its. */
static void test_reserved(void **state) {
    (void)state;
    ivrs.memory_count = 3;
    ivrs.memory[1] = (struct acpi_ivrs_memory){
        .base = 0x7f100000, .limit = 0x7f100fff, .last = 0xffff, .read = true, .exclusion = true};
    ivrs.memory[2] = (struct acpi_ivrs_memory){
        .base = 0x1000, .limit = 0x1fff, .first = 0x108, .last = 0x108, .read = true};
    start(FEATURES, true);
    assert_int_equal(reach(0x18, 0x7f100000, true) | reach(0x10, 0x7f100fff, true), OK);
    assert_int_equal(reach(0x20, 0x7f100000, true), NO_RIGHT);
    assert_non_null(strstr(text,
                           "PCI 0000:01:01.0 does not reach 0x1000, as the firmware wants: the firmware "
                           "wants it to reach memory that is not the firmware's"));
    assert_non_null(strstr(text, "PCI 0000:01:00.0 does not reach 0x1000"));
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    assert_int_equal(reach(0x18, 0x7f100000, true), OK);
    assert_string_equal(iommu_attach(domain, &disk),
                        "the firmware wants it to reach memory that is not the firmware's");
    teardown(NULL);
    setup(NULL);
    ivrs.memory_count = 1;
    ivrs.memory[0].last = 0x18;
    reserved_count = RESERVED - 1;
    start_units();
    assert_non_null(strstr(text, "not all of them reach 0x7f000000"));
}

/* Firmware that used the unit: nothing is left of what it remembers. */
static void check_left_on(uint64_t features) {
    setup(NULL);
    unit->features = features;
    unit->device[0] = (struct entry){.valid = true, .requester = 0x18, .word = {3 | AMDVI_DEVICE_LEVELS(4)}};
    unit->device[1] = (struct entry){.valid = true, .requester = 0xfff8};
    unit->page[0] = (struct entry){.valid = true, .present = true, .domain = 0xffff};
    unit->interrupt[0] = (struct entry){.valid = true, .requester = 0xfff8};
    unit->control = AMDVI_CONTROL_ON | AMDVI_CONTROL_EVENTS | AMDVI_CONTROL_COMMANDS | 0xe0;
    unit->head = unit->tail = 0x40;
    unit->event_head = 0x20;
    unit->event_tail = 0x50;
    unit->status = AMDVI_STATUS_OVERFLOW | AMDVI_STATUS_EVENT_INT;
    start(FEATURES, true);
    assert_int_equal(unit->control, AMDVI_CONTROL_ON | AMDVI_CONTROL_COMMANDS | AMDVI_CONTROL_EVENTS |
                                        AMDVI_CONTROL_EVENT_INT | AMDVI_CONTROL_COHERENT);
    assert_int_equal(unit->status | unit->event_head | unit->event_tail, 0);
    assert_false(unit->device[0].valid || unit->device[1].valid || unit->page[0].valid ||
                 unit->interrupt[0].valid);
    assert_int_equal(reach(0x18, 0, false), NO_RIGHT);
    teardown(NULL);
}

static void test_left_on(void **state) {
    (void)state;
    check_left_on(AMDVI_FEATURES_ALL);
    check_left_on(0);
    setup(NULL);
}

static void test_not_answering(void **state) {
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        setup(NULL);
        unit->always = i == 0 ? AMDVI_STATUS_EVENT_RUN : 0;
        unit->never = i == 1 ? AMDVI_STATUS_COMMAND_RUN : 0;
        unit->halted = i == 2;
        start(FEATURES, true);
        assert_int_equal(unit->control & AMDVI_CONTROL_ON, 0);
        assert_non_null(strstr(text, "IOMMU AMD-Vi 1 at 0xfeb84000: its status stays 0x"));
        assert_true(said("IOMMU AMD-Vi 1 at 0xfeb84000 cannot be used (-5): DMA behind it is unprotected"));
        /* The other one goes on. */
        assert_true(iommu_covers(&screen) && !iommu_covers(&nic));
        assert_int_equal(reach(0x10, RAM, true), NOT_PRESENT);
        struct iommu_domain *domain = domain_new();
        assert_string_equal(iommu_attach(domain, &nic), "no IOMMU translates its DMA");
        teardown(NULL);
    }
    setup(NULL);
    unit->present = screen_unit->present = false;
    start(FEATURES, true);
    assert_false(iommu_present());
    assert_true(said("IOMMU AMD-Vi 1 at 0xfeb84000 does not answer"));
    for (unsigned room = 0; room < 9; room++) {
        setup(NULL);
        left = room;
        start_units();
        left = UINT32_MAX;
        assert_true(room < 8 ? said("unprotected") : iommu_present());
        teardown(NULL);
    }
    setup(NULL);
    /* Later: what was promised cannot be kept. */
    start(FEATURES, true);
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    unit->halted = true;
    uint64_t before = test_time;
    assert_panic(iommu_detach(domain, &nic));
    assert_true(said("AMD-Vi 1: its command buffer has stopped (head 0x"));
    assert_true(test_time - before < SECOND);
    unit->always = AMDVI_STATUS_COMMAND_RUN;
    assert_panic(iommu_attach(domain, &disk));
    assert_true(test_time - before >= SECOND);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_start),   TEST(test_domain),   TEST(test_mixture), TEST(test_pages),
        TEST(test_aliases), TEST(test_reserved), TEST(test_left_on), TEST(test_not_answering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
