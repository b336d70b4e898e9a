// SPDX-License-Identifier: Apache-2.0
// The AMD-Vi driver against a model of its units: what is reported of what they block, and interrupts.
// unit-sources: drivers/iommu/iommu.c drivers/iommu/iommu_fault.c drivers/iommu/iommu_interrupt.c drivers/iommu/amdvi_*.c core/paging.c lib/acpi_ivrs.c lib/acpi.c lib/pci.c
#include "tests/unit/amdvi_machine_fixture.h"

/* ---- events */

static struct iommu_fault told[600];
static unsigned told_count;

static void fault_came(struct iommu_domain *domain, const struct iommu_fault *fault, bool suspended) {
    (void)domain;
    (void)suspended;
    told[told_count++] = *fault;
}

static void test_faults(void **state) {
    struct iommu_domain *domain;
    (void)state;
    told_count = 0;
    start(FEATURES, true);
    assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, fault_came), 0);
    assert_null(iommu_attach(domain, &nic));
    fault_note(unit, 0x18, domain->number, EV_WRITE, 0x123456008);
    fault_note(unit, 0x18, domain->number, 0, 0x7000);
    assert_int_equal(told_count, 2);
    assert_true(told[0].requester == 0x18 && told[0].address == 0x123456008 && told[0].write);
    assert_true(told[1].address == 0x7000 && !told[1].write && !told[1].interrupt);
    assert_true(said("PCI 0000:00:03.0 (the service VM): read at 0x7000 blocked: it may not read there"));
    fault_note(unit, 0x18, 0, EV_INT | EV_WRITE, 0x45);
    assert_true(told[2].interrupt && told[2].address == 0x45);
    assert_true(said("interrupt 69 blocked: no entry lets that message through"));
    fault_note(unit, 0x2345, 0, EV_WRITE, 0x1000);
    assert_true(said("PCI 0000:23:08.5 (nobody): write at 0x1000 blocked: it is in no domain"));
    fault_note(unit, 0x18, 3, 1ull << 56, 0x1000);
    assert_true(said("a kind of request that is not allowed"));
    fault_note(unit, 0x18, 3, 1ull << 55, 0x1000);
    assert_true(said("a table that the unit does not accept"));
    event_write(unit, 1ull << 60 | 0x18, 0x1000);
    assert_true(said("a table that the unit does not accept"));
    event_write(unit, 4ull << 60 | 0x18, 0x1000);
    assert_true(said("a table that the unit could not read"));
    event_write(unit, 8ull << 60 | 0x18 | EV_INT, 0xfd000000);
    assert_true(said("read at 0xfd000000 blocked: a kind of request that is not allowed"));
    event_write(unit, 5ull << 60, 0x4560);
    assert_true(said("IOMMU AMD-Vi 1: the command at 0x4560 is one that it does not accept"));
    event_write(unit, 6ull << 60, 0x4560);
    assert_true(said("the command at 0x4560 could not be read"));
    event_write(unit, 7ull << 60 | 0x18, 0);
    assert_true(said("PCI 0000:00:03.0 does not answer"));
    event_write(unit, 10ull << 60, 0);
    assert_true(said("an event of kind 10"));
    assert_int_equal(unit->event_head, unit->event_tail);
    assert_int_equal(unit->status, 0);
}

/* More came than there was room for, while nobody looked. */
static void test_overflow(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct iommu_domain *domain;
        bool still = i & 1;
        unsigned room = still ? 16 : 255;
        setup(NULL);
        test_time_step = 0;
        told_count = 0;
        unit->still = still;
        unit->coherent = screen_unit->coherent = i & 2;
        start_units();
        assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, fault_came), 0);
        assert_null(iommu_attach(domain, &nic));
        for (unsigned j = 0; j < room + 5; j++)
            fault_note(unit, (uint16_t)(0x3000 + j), 0, 0, j * K4);
        assert_true(unit->status & AMDVI_STATUS_OVERFLOW);
        amdvi_start_interrupts(true);
        struct amdvi_unit *u = unit_of_ivrs[1];
        assert_int_equal(u->unit.faults, room);
        assert_int_equal(u->unit.lost, 1);
        assert_int_equal(unit->status & AMDVI_STATUS_OVERFLOW, 0);
        test_time += SECOND;
        /* It goes on, around as well. */
        for (unsigned j = 0; j < 40; j++)
            fault_note(unit, 0x18, 1, 0, j * K4);
        assert_true(told_count >= 10 && u->unit.faults >= room + 37 && u->unit.faults <= room + 40);
        assert_true(still || u->unit.faults == room + 40);
        teardown(NULL);
    }
    setup(NULL);
    /* It does not start again. */
    start(FEATURES, true);
    unit->status |= AMDVI_STATUS_OVERFLOW;
    unit->always = AMDVI_STATUS_EVENT_RUN;
    message_handler[1](message_context[1]);
    assert_true(said("its event log does not start again"));
    message_handler[1](message_context[1]);
    assert_false(said("its event log"));
}

static void test_storm(void **state) {
    struct iommu_domain *domain;
    (void)state;
    test_time_step = 0;
    told_count = 0;
    start(FEATURES, true);
    assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, fault_came), 0);
    assert_int_equal(iommu_map(domain, RAM, RAM, K4, true), 0);
    assert_null(iommu_attach(domain, &nic));
    assert_null(iommu_attach(domain, &screen));
    for (unsigned i = 0; i < 100; i++)
        fault_note(unit, 0x18, domain->number, EV_WRITE, 0x1000);
    assert_int_equal(reach(0x18, RAM, true), NO_RIGHT | QUIET);
    assert_int_equal(reach(0x10, RAM, true), NO_RIGHT | QUIET);
    iommu_detach(domain, &nic);
    iommu_detach(domain, &screen);
    assert_int_equal(reach(0x18, RAM, true), NO_RIGHT);
    /* Of many requesters: the log pauses. */
    for (unsigned i = 0; i < 156; i++)
        fault_note(unit, (uint16_t)(0x3000 + i), 0, EV_INT, i);
    assert_null(armed);
    for (unsigned i = 0; i < 10; i++)
        fault_note(unit, 0x3100, 0, EV_INT, 1);
    assert_non_null(armed);
    assert_int_equal(unit->control & AMDVI_CONTROL_EVENTS, 0);
    assert_int_equal(armed->deadline, unit_of_ivrs[1]->second + SECOND);
    uint64_t before = unit_of_ivrs[1]->unit.faults;
    message_handler[1](message_context[1]);
    assert_int_equal(unit_of_ivrs[1]->unit.faults, before);
    assert_int_equal(unit_of_ivrs[1]->unit.lost, 1);
    struct timer *timer = armed;
    armed = NULL;
    test_time += SECOND;
    timer->function(timer);
    assert_true(unit->control & AMDVI_CONTROL_EVENTS && !armed);
    fault_note(unit, 0x3100, 0, EV_INT, 1);
    assert_int_equal(unit_of_ivrs[1]->unit.faults, before + 1);
}

static void test_without_fault_interrupt(void **state) {
    (void)state;
    message_error = -ENOSPC;
    start(FEATURES, true);
    assert_int_equal(unit->control & AMDVI_CONTROL_EVENT_INT, 0);
    assert_true(said("there is no interrupt for what it blocks"));
    assert_int_equal(reach(0x18, RAM, true), NO_RIGHT);
    teardown(NULL);
    setup(NULL);
    /* The unit's function has none. */
    start_units();
    unit->space[0x64] = 9;
    amdvi_start_interrupts(true);
    assert_true(said("IOMMU AMD-Vi 1: there is no interrupt for what it blocks"));
    fault_note(unit, 0x18, 0, 0, 0);
    assert_int_equal(unit_of_ivrs[1]->unit.faults, 0);
}

/* ---- interrupts */

static void check_interrupts(bool coherently) {
    unsigned vector = 0, cpu = 0;
    uint64_t address = 0xfee03000;
    uint32_t data = 0x45;
    setup(NULL);
    start(FEATURES, coherently);
    assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), NO_INTERRUPTS);
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), IOMMU_MAX_INTERRUPTS);
    assert_true(address == 0xfee00000 && data == 0x100);
    assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), OK);
    assert_true(vector == 0x45 && cpu == 3);
    /* Another function; other entries; the other unit's table. */
    assert_int_equal(remap(unit, 0x20, address, data, &vector, &cpu), NO_INTERRUPTS);
    assert_int_equal(remap(unit, 0x18, address, data + 1, &vector, &cpu), NOT_LIVE);
    assert_int_equal(remap(unit, 0x18, address, 0x45, &vector, &cpu), NOT_LIVE);
    assert_int_equal(remap(unit, 0x18, address, 0x200, &vector, &cpu), NO_ENTRY);
    assert_int_equal(remap(screen_unit, 0x18, address, data, &vector, &cpu), NO_INTERRUPTS);
    /* Under its alias as well; nobody else's entries. */
    uint64_t behind = 0xfee02000;
    uint32_t second_data = 0x46;
    int second = iommu_interrupt_remap(&disk, &behind, &second_data);
    assert_int_equal(second_data, 0x101);
    assert_int_equal(remap(unit, 0x108, behind, second_data, &vector, &cpu), OK);
    assert_int_equal(remap(unit, 0x100, behind, second_data, &vector, &cpu), OK);
    assert_true(vector == 0x46 && cpu == 2);
    assert_int_equal(remap(unit, 0x108, behind, data, &vector, &cpu), NOT_LIVE);
    /* Another CPU. */
    assert_int_equal(iommu_interrupt_set(second, 254, 0xfe, false), 0);
    assert_int_equal(remap(unit, 0x100, behind, second_data, &vector, &cpu), OK);
    assert_true(vector == 0xfe && cpu == 254);
    iommu_interrupt_free(second);
    assert_int_equal(remap(unit, 0x108, behind, second_data, &vector, &cpu), NOT_LIVE);
    assert_int_equal(remap(unit, 0x100, behind, second_data, &vector, &cpu), NOT_LIVE);
    /* DMA has nothing to do with it. */
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    iommu_detach(domain, &nic);
    assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), OK);
    /* A line: its entry is the vector's. */
    int line = iommu_interrupt_allocate_ioapic(2);
    assert_int_equal(iommu_interrupt_set(line, 1, 0x31, true), 0);
    uint64_t entry = iommu_interrupt_line(line, 0x1a000 | 0x99);
    assert_int_equal(entry, 0x1a031);
    assert_int_equal(remap(unit, 0xa0, 0xfee00000, entry & 0x7ff, &vector, &cpu), OK);
    assert_true(vector == 0x31 && cpu == 1);
    assert_int_equal(iommu_interrupt_set(line, 2, 0x32, true), 0);
    assert_int_equal(remap(unit, 0xa0, 0xfee00000, 0x31, &vector, &cpu), NOT_LIVE);
    assert_int_equal(remap(unit, 0xa0, 0xfee00000, 0x32, &vector, &cpu), OK);
    assert_true(vector == 0x32 && cpu == 2);
    assert_int_equal(iommu_interrupt_allocate_ioapic(3), -ENOENT);
    /* No memory for a table. */
    left = 0;
    address = 0xfee03000;
    data = 0x45;
    assert_int_equal(iommu_interrupt_remap(&screen, &address, &data), -ENOMEM);
    left = UINT32_MAX;
    assert_true(iommu_interrupt_remap(&screen, &address, &data) >= 0);
    unit->halted = true;
    assert_panic(iommu_interrupt_set(line, 1, 0x33, true));
    teardown(NULL);
}

static void test_interrupts(void **state) {
    (void)state;
    check_interrupts(true);
    check_interrupts(false);
    setup(NULL);
}

static void test_without_remapping(void **state) {
    uint64_t address = 0xfee03000;
    uint32_t data = 0x45;
    unsigned vector, cpu;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        setup(NULL);
        ivrs.special_count = i == 1 ? 0 : 1;
        start_units();
        assert_int_equal(amdvi_can_remap(), i != 1);
        left = i == 2 ? 0 : UINT32_MAX;
        amdvi_start_interrupts(i != 0); /* in x2APIC mode */
        left = UINT32_MAX;
        assert_true(said(i == 2 ? "IOMMU AMD-Vi 1 does not remap interrupts (-12)"
                                : "IOMMU AMD-Vi 1 does not remap interrupts (-95)"));
        assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), -ENODEV);
        assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), OK);
        assert_true(vector == 0x45 && cpu == 3);
        /* Also once it was somebody's. */
        struct iommu_domain *domain = domain_new();
        assert_null(iommu_attach(domain, &nic));
        iommu_detach(domain, &nic);
        assert_int_equal(remap(unit, 0xa0, address, data, &vector, &cpu), OK);
        assert_int_equal(reach(0x18, RAM, true), NO_RIGHT);
        teardown(NULL);
    }
    setup(NULL);
    start_units();
    unit->halted = true;
    amdvi_start_interrupts(false);
    assert_true(said("IOMMU AMD-Vi 1 at 0xfeb84000 cannot be used (-5): DMA behind it is unprotected"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_faults),     TEST(test_overflow),
        TEST(test_storm),      TEST(test_without_fault_interrupt),
        TEST(test_interrupts), TEST(test_without_remapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
