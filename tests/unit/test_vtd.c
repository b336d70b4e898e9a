// SPDX-License-Identifier: Apache-2.0
// The VT-d driver against a model of its units: that all is blocked from the start on, what domains let
// through in every kind of unit, stale translations, what firmware leaves, units that do not answer, faults,
// interrupts.
// unit-sources: drivers/iommu/iommu.c drivers/iommu/iommu_fault.c drivers/iommu/iommu_interrupt.c drivers/iommu/vtd_*.c core/paging.c lib/acpi_dmar.c lib/acpi.c lib/pci.c
#include "tests/unit/vtd_fixture.h"
/* Each test starts the driver anew: its state is reset here. */
#include "drivers/iommu/vtd.c"

#define RAM 0x40000000ull /* of somebody, at its own address */

static struct acpi_dmar dmar;

static int setup(void **state) {
    (void)state;
    memset(&iommu, 0, sizeof(iommu));
    memset(models, 0, sizeof(models));
    memset(&dmar, 0, sizeof(dmar));
    memset(unit_of_dmar, 0, sizeof(unit_of_dmar));
    memset(units, 0, sizeof(units));
    unit_count = 0;
    driver.notes_absent = false;
    messages_made = 0;
    message_error = 0;
    armed = NULL;
    left = UINT32_MAX;
    test_time = 100 * SECOND;
    test_time_step = 1000000; /* so that whoever waits gives up in the end */
    text[0] = 0;
    for (unsigned i = 0; i < MODELS; i++)
        models[i] = (struct model){.present = true, .cap = CAP_USUAL, .ecap = ECAP_USUAL};
    /* One unit for 00:02.0, which the firmware's memory is for, and one for all else. */
    dmar.width = 48;
    dmar.interrupt_remapping = true;
    dmar.unit_count = 2;
    dmar.unit[0] = (struct acpi_dmar_unit){.base = 0xfed90000, .size = 4096, .scopes = {0, 1}};
    dmar.unit[1] = (struct acpi_dmar_unit){.base = 0xfed91000, .size = 4096, .all = true, .scopes = {1, 1}};
    dmar.reserved_count = 1;
    dmar.reserved[0] = (struct acpi_dmar_reserved){.base = 0x7f000000, .limit = 0x7f003fff, .scopes = {2, 1}};
    dmar.scope_count = 3;
    dmar.scope[0] = dmar.scope[2] = (struct acpi_dmar_scope){.type = ACPI_DMAR_ENDPOINT, .devfn = 0x10};
    dmar.scope[1] = (struct acpi_dmar_scope){.type = ACPI_DMAR_IOAPIC, .id = 2, .bus = 0xf0, .devfn = 0xf8};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    heap_clear();
    return 0;
}

static struct model *const screen_unit = &models[0], *const unit = &models[1];

/* As the machine starts, on units of that kind. */
static void start(uint64_t cap, uint64_t ecap) {
    for (unsigned i = 0; i < MODELS; i++) {
        models[i].cap = cap;
        models[i].ecap = ecap;
        models[i].unflushed = cap & VTD_CAP_RWBF;
    }
    vtd_start(&dmar);
    vtd_start_interrupts(true);
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
static const struct iommu_device disk = {.group = 0x100, .count = 2, .id = {0x0108, 0x0100}};

static void test_start(void **state) {
    (void)state;
    unit->pmen = 0x80000001;
    unit->cap |= VTD_CAP_PLMR | VTD_CAP_PHMR;
    vtd_start(&dmar);
    assert_int_equal(unit->gsts, VTD_TE | VTD_SRTP | VTD_QIE);
    assert_int_equal(unit->pmen, 0);
    for (unsigned id = 0; id < 65536; id += 8)
        assert_int_equal(reach((uint16_t)id, RAM, id & 8) & 0xf, id == 0x10 ? 6 : 1);
    /* But for what the firmware wants. */
    assert_int_equal(reach(0x10, 0x7f000000, true) | reach(0x10, 0x7f003000, false), 0);
    assert_int_equal(reach(0x10, 0x7f004000, true), 5);
    vtd_start_interrupts(true);
    assert_int_equal(unit->gsts, VTD_TE | VTD_SRTP | VTD_QIE | VTD_SIRTP | VTD_IRE);
    assert_true(unit->fectl == 0 && unit->feaddr == 0xfee03000 && unit->fedata == 0x51);
    assert_true(
        said("IOMMU VT-d 1: at 0xfed91000, 48 bits, pages up to 1 GiB, queued invalidation, interrupts "
             "remapped"));
}

/* What a domain lets through, whatever the units are like. */
static void check_domain(uint64_t cap, uint64_t ecap) {
    setup(NULL);
    start(cap, ecap);
    struct iommu_domain *domain = domain_new();
    assert_int_equal(reach(0x18, RAM, true), 1);
    assert_int_equal(iommu_map(domain, RAM, RAM, 2 * M2 + K4, true), 0);
    assert_int_equal(iommu_map(domain, 4 * RAM, 4 * RAM, RAM, false), 0);
    assert_null(iommu_attach(domain, &nic));
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * M2, true) | reach(0x18, 4 * RAM, false),
                     0);
    assert_int_equal(reach(0x18, RAM + 2 * M2 + K4, true), 5);
    assert_int_equal(reach(0x18, 5 * RAM - 1, true), 5);
    assert_int_equal(reach(0x18, 0, false), 6);
    assert_int_equal(reach(0x18, 1ull << 48, false), 4);
    assert_int_equal(reach(0x19, RAM, true), 2);
    assert_int_equal(reach(0x108, RAM, true), 1);
    /* More is mapped, and somebody else comes. */
    assert_int_equal(iommu_map(domain, 0, 0, K4, true), 0);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, 0, false), 0);
    assert_null(iommu_attach(domain, &disk));
    assert_null(iommu_attach(domain, &screen));
    assert_int_equal(reach(0x108, RAM, true) | reach(0x100, RAM, true) | reach(0x10, RAM, true), 0);
    assert_int_equal(reach(0x10, 0x7f003000, true) | reach(0x18, 0x7f003000, true), 0);
    /* Unmapped: it may be reached until the flush, and its table is kept until then. */
    unsigned used = pages_used();
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * M2, true), 0);
    assert_int_equal(iommu_unmap(domain, RAM + 2 * M2, K4), 0);
    assert_int_equal(reach(0x18, RAM + 2 * M2, true), 0);
    assert_int_equal(pages_used(), used);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM + 2 * M2, true), 5);
    assert_int_equal(reach(0x108, RAM + 2 * M2, true), 5);
    assert_int_equal(reach(0x18, RAM, true), 0);
    assert_int_equal(pages_used(), used - 1);
    /* A large page that is cut. */
    assert_int_equal(iommu_unmap(domain, RAM + K4, K4), 0);
    iommu_flush(domain);
    assert_int_equal(reach(0x18, RAM + K4, false), 6);
    assert_int_equal(reach(0x18, RAM, true) | reach(0x18, RAM + 2 * K4, true), 0);
    /* One goes. */
    iommu_detach(domain, &nic);
    iommu_detach(domain, &screen);
    assert_int_equal(reach(0x18, RAM, true), 2);
    assert_int_equal(reach(0x10, RAM, true), 5);
    assert_int_equal(reach(0x10, 0x7f000000, true) | reach(0x108, RAM, true), 0);
    iommu_detach(domain, &disk);
    assert_int_equal(reach(0x108, RAM, true), 2);
    assert_int_equal(reach(0x100, RAM, true), 2);
    assert_int_equal(unit->fsts | screen_unit->fsts, 0);
    bool drain = cap & VTD_CAP_DRAIN_READ;
    assert_int_equal(unit->drained != 0, drain);
    assert_int_equal(unit->waits != 0, !!(ecap & VTD_ECAP_QI));
    teardown(NULL);
}

static void test_domain(void **state) {
    (void)state;
    const uint64_t no_queue = ECAP_USUAL & ~(VTD_ECAP_QI | VTD_ECAP_IR);
    check_domain(CAP_USUAL, ECAP_USUAL);
    check_domain(CAP_USUAL, ECAP_USUAL & ~VTD_ECAP_C);
    check_domain(CAP_USUAL, ECAP_USUAL & ~VTD_ECAP_SC);
    check_domain(CAP_USUAL, no_queue);
    check_domain(CAP_USUAL | VTD_CAP_CM, ECAP_USUAL);
    check_domain(CAP_USUAL | VTD_CAP_CM, no_queue & ~VTD_ECAP_C);
    check_domain(CAP_USUAL | VTD_CAP_RWBF, ECAP_USUAL & ~VTD_ECAP_C);
    check_domain(CAP_USUAL | VTD_CAP_RWBF | VTD_CAP_CM, no_queue);
    check_domain(CAP_USUAL & ~VTD_CAP_1G, ECAP_USUAL);
    check_domain(CAP_USUAL & ~(VTD_CAP_PSI | VTD_CAP_DRAIN_READ | VTD_CAP_DRAIN_WRITE), ECAP_USUAL);
    check_domain(CAP_USUAL & ~(VTD_CAP_2M | VTD_CAP_1G), ECAP_USUAL);
    /* 39 bits. */
    check_domain((CAP_USUAL & ~(VTD_CAP_4_LEVELS | 63ull << 16)) | VTD_CAP_3_LEVELS | 38ull << 16,
                 ECAP_USUAL);
    check_domain(CAP_USUAL | VTD_CAP_3_LEVELS, ECAP_USUAL);
    setup(NULL);
}

/* What tables are made of follows the weakest unit. */
static void test_mixture(void **state) {
    (void)state;
    unit->cap = (CAP_USUAL & ~(VTD_CAP_1G | 63ull << 16 | 7)) | VTD_CAP_3_LEVELS | 45ull << 16 | 1;
    unit->ecap &= ~(VTD_ECAP_SC | VTD_ECAP_C);
    vtd_start(&dmar);
    assert_true(format.levels == 4 && format.leaf_bits == 0 && driver.largest == 21 && !coherent);
    assert_true(driver.limit == 1ull << 46 && driver.domains == 64);
    struct iommu_domain *domain = domain_new();
    assert_int_equal(iommu_map(domain, 1ull << 46, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(domain, 0xfee00000, 0xfee00000, K4, true), -EINVAL);
}

static void test_pages(void **state) {
    (void)state;
    start(CAP_USUAL, ECAP_USUAL);
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    assert_int_equal(iommu_map(domain, RAM, RAM, RAM, true), 0);
    unsigned before = unit->invalidations[2], domains = unit->invalidations[1], waits = unit->waits;
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(iommu_unmap(domain, RAM + i * K4, K4), 0);
    iommu_flush(domain);
    /* Sixteen at once. */
    assert_int_equal(unit->invalidations[2], before + 1);
    assert_int_equal(unit->waits, waits + 1);
    /* More than the unit can do at once: all of the domain. */
    unit->cap &= ~(63ull << 48);
    unit_of_dmar[1]->cap = unit->cap;
    assert_int_equal(iommu_unmap(domain, RAM + M2, 2 * K4), 0);
    iommu_flush(domain);
    assert_int_equal(unit->invalidations[1], domains + 1);
    assert_int_equal(screen_unit->invalidations[2], 0);
    /* The queue goes around. */
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(iommu_map(domain, 0, 0, K4, true), 0);
        assert_int_equal(reach(0x18, 0, true), 0);
        assert_int_equal(iommu_unmap(domain, 0, K4), 0);
        iommu_flush(domain);
        assert_int_equal(reach(0x18, 0, true), 5);
    }
}

/* Firmware that used the unit. */
static void test_left_on(void **state) {
    (void)state;
    unit->gsts = VTD_TE | VTD_QIE | VTD_IRE | VTD_CFI | VTD_SRTP | VTD_SIRTP;
    unit->iqh = 0x40;
    unit->iqt = 0x40;
    unit->fsts = VTD_FSTS_OVERFLOW | VTD_FSTS_QUEUE;
    unit->record[2][1] = 1ull << 63;
    vtd_start(&dmar);
    vtd_start_interrupts(true);
    assert_int_equal(unit->gsts, VTD_TE | VTD_SRTP | VTD_QIE | VTD_SIRTP | VTD_IRE);
    assert_int_equal(unit->fsts | unit->record[2][1] >> 63, 0);
    assert_int_equal(reach(0x18, 0, false), 1);
}

static void test_not_answering(void **state) {
    static const uint32_t bits[] = {VTD_SRTP, VTD_QIE, VTD_TE};
    (void)state;
    for (unsigned i = 0; i < array_count(bits); i++) {
        setup(NULL);
        unit->stuck = bits[i];
        vtd_start(&dmar);
        vtd_start_interrupts(true);
        assert_int_equal(unit->gsts & VTD_IRE, 0);
        assert_int_equal(screen_unit->gsts & VTD_IRE, VTD_IRE);
        assert_non_null(strstr(text, "IOMMU VT-d 1 at 0xfed91000: its register 0x1c stays 0x"));
        assert_true(said("IOMMU VT-d 1 at 0xfed91000 cannot be used (-5): DMA behind it is unprotected"));
        /* The other one goes on. */
        assert_true(iommu_covers(&screen) && !iommu_covers(&nic));
        assert_int_equal(reach(0x10, RAM, true), 5);
        struct iommu_domain *domain = domain_new();
        assert_string_equal(iommu_attach(domain, &nic), "no IOMMU translates its DMA");
        teardown(NULL);
    }
    setup(NULL);
    unit->present = false;
    screen_unit->cap &= ~(31ull << 8);
    vtd_start(&dmar);
    assert_false(iommu_present());
    assert_non_null(strstr(text, "IOMMU VT-d 1 at 0xfed91000 does not answer"));
    assert_true(said("IOMMU VT-d 0 at 0xfed90000 is of a kind that cannot be used"));
    setup(NULL);
    screen_unit->cap = (CAP_USUAL & ~VTD_CAP_4_LEVELS) | VTD_CAP_3_LEVELS;
    vtd_start(&dmar);
    assert_false(iommu_present());
    assert_true(said("cannot be used"));
    for (unsigned room = 0; room < 8; room++) {
        setup(NULL);
        left = room;
        vtd_start(&dmar);
        left = UINT32_MAX;
        assert_true(room < 6 ? said("unprotected") || said("no memory") : iommu_present());
        teardown(NULL);
    }
    setup(NULL);
    /* Later: what was promised cannot be kept. */
    start(CAP_USUAL, ECAP_USUAL);
    struct iommu_domain *domain = domain_new();
    assert_null(iommu_attach(domain, &nic));
    unit->queue_stuck = true;
    assert_panic(iommu_detach(domain, &nic));
    assert_true(said("VT-d 1: its invalidation queue has stopped (head 0x"));
    unit->queue_stuck = false;
    unit->fsts = VTD_FSTS_QUEUE;
    unit->queue_stuck = true;
    uint64_t before = test_time;
    assert_panic(iommu_attach(domain, &disk));
    assert_true(test_time - before < SECOND);
}

static void test_no_registers_answer(void **state) {
    (void)state;
    start(CAP_USUAL, ECAP_USUAL & ~(VTD_ECAP_QI | VTD_ECAP_IR));
    struct iommu_domain *domain = domain_new();
    unit->stuck = 1;
    assert_panic(iommu_attach(domain, &nic));
    assert_true(said("IOMMU VT-d 1: its register 0x28 stays busy"));
}

/* ---- faults */

static struct iommu_fault told[400];
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
    start(CAP_USUAL, ECAP_USUAL);
    assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, fault_came), 0);
    assert_null(iommu_attach(domain, &nic));
    fault_note(unit, 0x18, 0x123456000, 5, true);
    fault_note(unit, 0x18, 0x7000, 6, false);
    assert_int_equal(told_count, 2);
    assert_true(told[0].requester == 0x18 && told[0].address == 0x123456000 && told[0].write);
    assert_true(told[1].address == 0x7000 && !told[1].write && !told[1].interrupt);
    assert_true(said("PCI 0000:00:03.0 (the service VM): read at 0x7000 blocked: it may not read there"));
    fault_note(unit, 0x18, 7ull << 48, 0x26, true);
    assert_true(told[2].interrupt && told[2].address == 7);
    assert_true(said("interrupt 7 blocked: the entry is somebody else's"));
    fault_note(unit, 0x2345, 0x1000, 1, true);
    assert_true(said("PCI 0000:23:08.5 (nobody): write at 0x1000 blocked: it is in no domain"));
    fault_note(unit, 0x2345, 0x1000, 0x0c, true);
    assert_true(said("a table that the unit does not accept"));
    /* Several that came at once, and more than there was room for. */
    unit->fectl = VTD_FECTL_MASK;
    for (unsigned i = 0; i < 7; i++)
        fault_note(unit, 0x18, 0x10000 + i * K4, 5, true);
    assert_int_equal(told_count, 3);
    unit->fectl = 0;
    message_handler[1](message_context[1]);
    assert_int_equal(told_count, 7);
    assert_int_equal(told[3].address, 0x10000);
    assert_int_equal(told[6].address, 0x13000);
    assert_int_equal(unit->fsts, 0);
    assert_int_equal(unit_of_dmar[1]->unit.lost, 1);
    assert_int_equal(screen_unit->fectl, 0);
}

static void test_storm(void **state) {
    struct iommu_domain *domain;
    (void)state;
    test_time_step = 0;
    told_count = 0;
    start(CAP_USUAL, ECAP_USUAL);
    assert_int_equal(iommu_domain_create(&domain, "the service VM", NULL, fault_came), 0);
    assert_int_equal(iommu_map(domain, RAM, RAM, K4, true), 0);
    assert_null(iommu_attach(domain, &nic));
    assert_null(iommu_attach(domain, &screen));
    for (unsigned i = 0; i < 100; i++)
        fault_note(unit, 0x18, 0x1000, 5, true);
    assert_int_equal(reach(0x18, RAM, true), 2 | FAULT_QUIET);
    assert_int_equal(reach(0x10, RAM, true), 2 | FAULT_QUIET);
    iommu_detach(domain, &nic);
    iommu_detach(domain, &screen);
    assert_int_equal(reach(0x18, RAM, true), 2);
    /* Of many requesters, and of messages, which cannot be made quiet: the interrupt pauses. */
    for (unsigned i = 0; i < 155; i++)
        fault_note(unit, (uint16_t)(0x3000 + i), (uint64_t)i << 48, 0x22, true);
    assert_null(armed);
    assert_int_equal(unit->fectl, 0);
    for (unsigned i = 0; i < 10; i++)
        fault_note(unit, 0x3100, 1ull << 48, 0x22, true);
    assert_non_null(armed);
    assert_int_equal(unit->fectl, VTD_FECTL_MASK);
    assert_int_equal(armed->deadline, unit_of_dmar[1]->second + SECOND);
    uint64_t before = unit_of_dmar[1]->unit.faults;
    struct timer *timer = armed;
    armed = NULL;
    test_time += SECOND;
    timer->function(timer);
    assert_true(unit_of_dmar[1]->unit.faults > before && unit->fectl == 0 && !armed);
}

static void test_without_fault_interrupt(void **state) {
    (void)state;
    message_error = -ENOSPC;
    start(CAP_USUAL, ECAP_USUAL);
    assert_int_equal(unit->fectl, VTD_FECTL_MASK);
    assert_true(said("there is no interrupt for what it blocks"));
    assert_int_equal(reach(0x18, RAM, true), 1);
}

/* ---- interrupts */

static void check_interrupts(uint64_t ecap) {
    unsigned vector = 0, cpu = 0;
    uint64_t address = 0xfee03000;
    uint32_t data = 0x45;
    setup(NULL);
    start(CAP_USUAL, ecap);
    assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), 0x25);
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), IOMMU_MAX_INTERRUPTS);
    assert_true(address == 0xfee00010 && data == 0);
    assert_int_equal(remap(unit, 0x18, address, data, &vector, &cpu), 0);
    assert_true(vector == 0x45 && cpu == 3);
    /* Another function; other entries; the other unit's table. */
    assert_int_equal(remap(unit, 0x19, address, data, &vector, &cpu), 0x26);
    assert_int_equal(remap(unit, 0x18, address + 0x20, data, &vector, &cpu), 0x22);
    assert_int_equal(remap(unit, 0x18, 0xfee00010 | 0x100 << 5, data, &vector, &cpu), 0x21);
    assert_int_equal(remap(screen_unit, 0x18, address, data, &vector, &cpu), 0x22);
    /* Behind a bridge. */
    uint64_t behind = 0xfee02000;
    data = 0x46;
    int second = iommu_interrupt_remap(&disk, &behind, &data);
    assert_int_equal(behind, 0xfee00030);
    assert_int_equal(remap(unit, 0x108, behind, data, &vector, &cpu), 0);
    assert_true(vector == 0x46 && cpu == 2);
    assert_int_equal(remap(unit, 0x1f0, behind, data, &vector, &cpu), 0);
    assert_int_equal(remap(unit, 0x018, behind, data, &vector, &cpu), 0x26);
    assert_int_equal(remap(unit, 0x208, behind, data, &vector, &cpu), 0x26);
    /* Another CPU. */
    assert_int_equal(iommu_interrupt_set(second, 254, 0xfe, false), 0);
    assert_int_equal(remap(unit, 0x108, behind, data, &vector, &cpu), 0);
    assert_true(vector == 0xfe && cpu == 254);
    iommu_interrupt_free(second);
    assert_int_equal(remap(unit, 0x108, behind, data, &vector, &cpu), 0x22);
    /* A line. */
    int line = iommu_interrupt_allocate_ioapic(2);
    assert_int_equal(iommu_interrupt_set(line, 1, 0x31, true), 0);
    uint64_t entry = iommu_interrupt_line(line, 0x1a000 | 0x99);
    assert_int_equal(entry, 1ull << 49 | 1ull << 48 | 0x1a031);
    assert_int_equal(remap(unit, 0xf0f8, 0xfee00000 | (entry >> 48) << 4, 0, &vector, &cpu), 0);
    assert_true(vector == 0x31 && cpu == 1);
    assert_int_equal(iommu_interrupt_allocate_ioapic(3), -ENOENT); /* its messages would be blocked */
    teardown(NULL);
}

static void test_interrupts(void **state) {
    (void)state;
    check_interrupts(ECAP_USUAL);
    check_interrupts(ECAP_USUAL & ~VTD_ECAP_C);
    setup(NULL);
}

static void test_without_remapping(void **state) {
    uint64_t address = 0xfee03000;
    uint32_t data = 0x45;
    (void)state;
    vtd_start(&dmar);
    assert_true(vtd_can_remap());
    vtd_start_interrupts(false); /* in x2APIC mode */
    assert_true(said("IOMMU VT-d 1 does not remap interrupts (-95)"));
    teardown(NULL);
    setup(NULL);
    dmar.interrupt_remapping = false;
    start(CAP_USUAL, ECAP_USUAL);
    assert_false(vtd_can_remap());
    assert_true(said("IOMMU VT-d 1 does not remap interrupts (-95)"));
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), -ENODEV);
    assert_true(address == 0xfee03000 && data == 0x45 && !(unit->gsts & VTD_IRE));
    teardown(NULL);
    setup(NULL);
    start(CAP_USUAL, ECAP_USUAL & ~VTD_ECAP_IR);
    assert_false(vtd_can_remap());
    assert_int_equal(iommu_interrupt_allocate_ioapic(3), -ENODEV);
    assert_true(said("does not remap interrupts"));
    teardown(NULL);
    setup(NULL);
    unit->stuck = VTD_IRE;
    start(CAP_USUAL, ECAP_USUAL);
    assert_true(said("IOMMU VT-d 1 does not remap interrupts (-5)"));
    assert_int_equal(iommu_interrupt_allocate(&nic), -ENODEV);
    assert_int_equal(iommu_interrupt_allocate(&screen), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_start),
        TEST(test_domain),
        TEST(test_mixture),
        TEST(test_pages),
        TEST(test_left_on),
        TEST(test_not_answering),
        TEST(test_no_registers_answer),
        TEST(test_faults),
        TEST(test_storm),
        TEST(test_without_fault_interrupt),
        TEST(test_interrupts),
        TEST(test_without_remapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
