// SPDX-License-Identifier: Apache-2.0
// The IOMMU's interface over a driver that the test makes: domains and who is in them, batched invalidation,
// what the firmware wants to be reached, what was blocked, interrupt entries.
// unit-sources: drivers/iommu/iommu.c drivers/iommu/iommu_fault.c drivers/iommu/iommu_interrupt.c core/paging.c arch/x86/paging_formats.c
#include "tests/unit/iommu_fixture.h"
#include "arch/x86/paging_formats.h"

/* ---- the driver: two units, the second one for buses from 0x80 on; segment 0 alone */

static struct iommu_unit unit[2];
static struct iommu_unit *units[2] = {&unit[0], &unit[1]};
static struct {
    unsigned domain; /* that the requester is in */
    bool quiet;
} now[65536];
static int set_error, flush_error, write_error;
static bool set_once; /* `set_error` is for the next call alone */
static unsigned sets, flushes[2];
static uint64_t flush_low, flush_size;
static struct {
    uint16_t segment, requester;
    uint64_t base, size;
} kept[5];
static unsigned kept_count;
static struct iommu_interrupt written[2][IOMMU_MAX_INTERRUPTS];

static struct iommu_unit *find(uint16_t segment, uint16_t requester) {
    return segment ? NULL : &unit[requester >> 15];
}
static bool reserved(unsigned index, uint16_t *segment, uint16_t *requester, uint64_t *base, uint64_t *size) {
    if (index >= kept_count)
        return false;
    *segment = kept[index].segment;
    *requester = kept[index].requester;
    *base = kept[index].base;
    *size = kept[index].size;
    return true;
}
static int set(struct iommu_unit *of, uint16_t requester, const struct iommu_domain *from,
               const struct iommu_domain *to, bool quiet) {
    assert_ptr_equal(of, find(0, requester));
    assert_int_equal(now[requester].domain, from ? from->number : 0);
    assert_false(to && quiet);
    sets++;
    now[requester].domain = 0;
    now[requester].quiet = false;
    if (set_error && (to || quiet || set_error == -EIO)) {
        int error = set_error;
        set_error = set_once ? 0 : error;
        return error;
    }
    now[requester].domain = to ? to->number : 0;
    now[requester].quiet = quiet;
    return 0;
}
static int flush(struct iommu_unit *of, const struct iommu_domain *domain, uint64_t address, uint64_t size) {
    assert_non_null(domain);
    flushes[of->number]++;
    flush_low = address;
    flush_size = size;
    return flush_error;
}
static struct iommu_unit *find_ioapic(uint8_t ioapic, uint16_t *requester) {
    *requester = 0xf0f8;
    return ioapic == 2 ? &unit[1] : NULL;
}
static int interrupt_write(struct iommu_unit *of, unsigned index, const struct iommu_interrupt *entry) {
    written[of->number][index] = *entry;
    return write_error;
}
static void interrupt_message(const struct iommu_unit *of, unsigned index, uint64_t *address,
                              uint32_t *data) {
    *address = 0x1000 * (of->number + 1);
    *data = index;
}
static uint64_t interrupt_line(const struct iommu_unit *of, unsigned index, uint64_t entry) {
    return entry | (uint64_t)(of->number + 1) << 60 | (uint64_t)index << 32;
}
static void describe(const struct iommu_unit *of, char *out, size_t size) {
    snprintf(out, size, "number %u", of->number);
}

static struct iommu_driver driver = {
    .format = &paging_ept_plain_format,
    .largest = 21,
    .domains = 8,
    .limit = 1ull << 39,
    .messages = 0xfee00000,
    .messages_end = 0xfef00000,
    .find = find,
    .reserved = reserved,
    .set = set,
    .flush = flush,
    .find_ioapic = find_ioapic,
    .interrupt_write = interrupt_write,
    .interrupt_message = interrupt_message,
    .interrupt_line = interrupt_line,
    .describe = describe,
};

static int setup(void **state) {
    (void)state;
    memset(&iommu, 0, sizeof(iommu));
    memset(now, 0, sizeof(now));
    memset(unit, 0, sizeof(unit));
    memset(written, 0, sizeof(written));
    snprintf(unit[0].name, sizeof(unit[0].name), "one");
    snprintf(unit[1].name, sizeof(unit[1].name), "two");
    set_error = flush_error = write_error = 0;
    set_once = false;
    sets = flushes[0] = flushes[1] = kept_count = 0;
    driver.notes_absent = false;
    left = UINT32_MAX;
    test_time = 100 * SECOND;
    text[0] = 0;
    return 0;
}

static void start(void) {
    iommu_start(&driver, units, 2);
}

static int teardown(void **state) {
    (void)state;
    heap_clear();
    return 0;
}

/* ---- what is asked of it */

static struct iommu_fault told;
static unsigned calls, suspensions;

static void fault_came(struct iommu_domain *domain, const struct iommu_fault *fault, bool suspended) {
    assert_non_null(domain);
    told = *fault;
    calls++;
    suspensions += suspended;
}

static struct iommu_domain *domain_new(const char *name) {
    struct iommu_domain *domain;
    assert_int_equal(iommu_domain_create(&domain, name, NULL, fault_came), 0);
    return domain;
}

static const struct iommu_device nic = {.group = 0x0010, .count = 1, .id = {0x0010}};
static const struct iommu_device nic_two = {.group = 0x0010, .count = 1, .id = {0x0011}};
static const struct iommu_device disk = {.group = 0x8008, .count = 1, .id = {0x8008}};
static const struct iommu_device old_a = {.group = 0x0020, .count = 2, .id = {0x0310, 0x0300}};
static const struct iommu_device old_b = {.group = 0x0020, .count = 2, .id = {0x0318, 0x0300}};
static const struct iommu_device large = {.group = 0x0028, .count = 1, .id = {0x0028}};
static const struct iommu_device far = {.segment = 1, .group = 0x0010, .count = 1, .id = {0x0010}};

static void test_absent(void **state) {
    struct iommu_domain *domain;
    (void)state;
    assert_false(iommu_present());
    assert_false(iommu_covers(&nic));
    assert_int_equal(iommu_domain_create(&domain, "x", NULL, NULL), -ENODEV);
    assert_int_equal(iommu_interrupt_allocate(&nic), -ENODEV);
    assert_int_equal(iommu_interrupt_allocate_ioapic(2), -ENODEV);
    show();
    assert_string_equal(text, "");
    start();
    assert_int_equal(iommu_address_bits(), 39);
    assert_true(iommu_present() && iommu_covers(&nic) && iommu_covers(&old_a) && !iommu_covers(&far));
}

static void test_domains(void **state) {
    struct iommu_domain *domain[8];
    (void)state;
    start();
    for (unsigned i = 1; i < 8; i++) {
        domain[i] = domain_new("somebody with a name that does not fit into it");
        assert_int_equal(domain[i]->number, i);
        assert_int_equal(strlen(domain[i]->name), IOMMU_NAME - 1);
    }
    struct iommu_domain *more;
    assert_int_equal(iommu_domain_create(&more, "x", NULL, NULL), -ENOSPC);
    iommu_domain_destroy(domain[3]);
    for (left = 0; left < 2; left = left + 1) {
        unsigned had = left;
        assert_int_equal(iommu_domain_create(&more, "x", NULL, NULL), -ENOMEM);
        left = had;
    }
    left = UINT32_MAX;
    assert_int_equal(domain_new("again")->number, 3);
    assert_null(iommu_attach(domain[1], &nic));
    assert_panic(iommu_domain_destroy(domain[1]));
}

static void test_attach(void **state) {
    (void)state;
    start();
    struct iommu_domain *a = domain_new("a"), *b = domain_new("b");
    assert_null(iommu_attach(a, &nic));
    assert_null(iommu_attach(b, &disk));
    assert_int_equal(now[0x0010].domain, 1);
    assert_int_equal(now[0x8008].domain, 2);
    /* One group, one domain. */
    assert_non_null(iommu_attach(b, &nic_two));
    assert_int_equal(now[0x0011].domain, 0);
    assert_null(iommu_attach(a, &nic_two));
    iommu_detach(a, &nic);
    assert_int_equal(now[0x0010].domain, 0);
    assert_non_null(iommu_attach(b, &nic));
    iommu_detach(a, &nic_two);
    assert_null(iommu_attach(b, &nic));
    /* Behind a bridge: both IDs, and the bridge's until the last one has gone. */
    assert_null(iommu_attach(a, &old_a));
    assert_null(iommu_attach(a, &old_b));
    assert_int_equal(now[0x0300].domain, 1);
    iommu_detach(a, &old_a);
    assert_int_equal(now[0x0310].domain, 0);
    assert_int_equal(now[0x0300].domain, 1);
    struct iommu_device stranger = old_b;
    stranger.group = 0x0028;
    assert_string_equal(iommu_attach(b, &stranger),
                        "somebody else's function sends under the same requester ID");
    iommu_detach(a, &old_b);
    assert_int_equal(now[0x0300].domain, 0);
    assert_string_equal(iommu_attach(a, &far), "no IOMMU translates its DMA");
    assert_int_equal(a->sources, 0);
    assert_panic(iommu_detach(a, &nic));
}

static void test_attach_fails(void **state) {
    (void)state;
    start();
    struct iommu_domain *a = domain_new("a");
    assert_null(iommu_attach(a, &old_a));
    /* The second ID of the other one is there already; its first one finds no memory. */
    set_error = -ENOMEM;
    assert_non_null(iommu_attach(a, &old_b));
    assert_int_equal(now[0x0318].domain, 0);
    assert_int_equal(now[0x0300].domain, 1);
    iommu_detach(a, &old_a);
    assert_int_equal(now[0x0300].domain, 0);
    assert_int_equal(a->sources, 0);
    set_error = -EIO;
    assert_panic(iommu_attach(a, &nic));
    assert_true(said("IOMMU one does not answer"));
    set_error = 0;
    assert_null(iommu_attach(a, &disk));
    set_error = -EIO;
    assert_panic(iommu_detach(a, &disk));
    assert_true(said("IOMMU two does not answer"));
    set_error = 0;
    /* More requester IDs than there is room for. */
    struct iommu_device many = {.count = 1};
    const char *why = NULL;
    for (unsigned i = 0; i <= IOMMU_SOURCES && !why; i++) {
        many.id[0] = (uint16_t)(0x4000 + i);
        why = iommu_attach(a, &many);
    }
    assert_string_equal(why, "there is no memory for its tables");
}

static void test_map(void **state) {
    uint64_t physical;
    bool writable;
    (void)state;
    start();
    struct iommu_domain *a = domain_new("a");
    unsigned empty = pages_used();
    assert_int_equal(iommu_map(a, 4 * M2, 8 * M2, M2 + K4, true), 0);
    assert_int_equal(iommu_map(a, 16 * M2, 16 * M2, K4, false), 0);
    assert_int_equal(iommu_lookup(a, 4 * M2 + 5, &physical, &writable), 0);
    assert_true(physical == 8 * M2 + 5 && writable);
    assert_int_equal(iommu_lookup(a, 16 * M2, &physical, &writable), 0);
    assert_false(writable);
    /* Nothing to flush: nobody is in it, and what was not mapped is not remembered. */
    iommu_flush(a);
    assert_int_equal(flushes[0] + flushes[1], 0);
    assert_null(iommu_attach(a, &nic));
    assert_null(iommu_attach(a, &nic_two));
    /* Two ranges, one flush, of one unit; their tables go after it. */
    unsigned full = pages_used();
    assert_int_equal(iommu_unmap(a, 5 * M2, K4), 0);
    assert_int_equal(iommu_unmap(a, 16 * M2, K4), 0);
    assert_int_equal(iommu_lookup(a, 16 * M2, &physical, &writable), -ENOENT);
    assert_int_equal(pages_used(), full);
    assert_int_equal(flushes[0] + flushes[1], 0);
    iommu_flush(a);
    assert_true(flushes[0] == 1 && flushes[1] == 0);
    /* With the tables that went, the ranges that these were for. */
    assert_true(flush_low <= 5 * M2 && flush_low + flush_size >= 16 * M2 + K4);
    assert_int_equal(pages_used(), full - 2);
    iommu_flush(a);
    assert_int_equal(flushes[0], 1);
    /* Both units, once each. */
    assert_null(iommu_attach(a, &disk));
    assert_int_equal(iommu_unmap(a, 0, 64 * M2), 0);
    iommu_flush(a);
    assert_true(flushes[0] == 2 && flushes[1] == 1);
    assert_int_equal(pages_used(), empty);
    /* Units that remember what was not mapped. */
    driver.notes_absent = true;
    assert_int_equal(iommu_map(a, M2, M2, 2 * K4, true), 0);
    iommu_flush(a);
    assert_true(flushes[0] == 3 && flush_low == M2 && flush_size == 2 * K4);
    /* One that does not answer. */
    assert_int_equal(iommu_unmap(a, M2, K4), 0);
    flush_error = -EIO;
    assert_panic(iommu_flush(a));
    assert_true(said("devices might reach memory that is not theirs"));
}

static void test_map_refused(void **state) {
    (void)state;
    start();
    struct iommu_domain *a = domain_new("a");
    assert_int_equal(iommu_map(a, 0, 0, 0, true), 0);
    assert_int_equal(iommu_unmap(a, 0, 0), 0);
    assert_int_equal(iommu_map(a, 1, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, 0, 1, K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, 0, 0, 17, true), -EINVAL);
    assert_int_equal(iommu_map(a, 1ull << 39, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, (1ull << 39) - K4, 0, 2 * K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, (1ull << 39) - K4, 0, K4, true), 0);
    assert_int_equal(iommu_map(a, UINT64_MAX & ~(K4 - 1), 0, 2 * K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, K4, 0, UINT64_MAX & ~(K4 - 1), true), -EINVAL);
    assert_int_equal(iommu_map(a, 0xfee00000, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, 0xfedff000, 0, 2 * K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, 0xfeeff000, 0, K4, true), -EINVAL);
    assert_int_equal(iommu_map(a, 0xfef00000, 0, K4, true), 0);
    assert_int_equal(iommu_map(a, 0xfedff000, 0, K4, true), 0);
    assert_int_equal(iommu_unmap(a, 1ull << 39, K4), -EINVAL);
    assert_int_equal(iommu_unmap(a, 3, K4), -EINVAL);
    left = 0;
    assert_int_equal(iommu_map(a, 0x4000000000, 0, K4, true), -ENOMEM);
    left = UINT32_MAX;
    assert_int_equal(iommu_map(a, M2, M2, M2, true), 0);
    left = 0;
    assert_int_equal(iommu_unmap(a, M2, K4), -ENOMEM);
}

static void keep(uint16_t requester, uint64_t base, uint64_t size) {
    kept[kept_count].segment = 0;
    kept[kept_count].requester = requester;
    kept[kept_count].base = base;
    kept[kept_count++].size = size;
}

static void test_reserved(void **state) {
    uint64_t physical;
    bool writable;
    (void)state;
    keep(0x0028, 0x7f000000, (4ull << 30) + K4); /* more than can be */
    keep(0x0010, 0x7f000000, 4 * K4);
    keep(0x0010, 0x7f002000, 8 * K4); /* overlaps */
    keep(0x8008, 0x7f7ff000, 2 * K4); /* not all of it the firmware's */
    kept[kept_count].segment = 1;     /* of a function behind no unit */
    kept[kept_count].requester = 0x0008;
    kept[kept_count].base = 0x7f000000;
    kept[kept_count++].size = K4;
    start();
    /* Nobody's: it reaches that alone. */
    assert_int_equal(now[0x0010].domain, 1);
    assert_int_equal(iommu_lookup(iommu.firmware, 0x7f009123, &physical, &writable), 0);
    assert_true(physical == 0x7f009123 && writable);
    assert_int_equal(now[0x8008].domain, 0);
    assert_non_null(strstr(text, "PCI 0000:00:05.0 does not reach 0x7f000000"));
    assert_non_null(strstr(text, "PCI 0000:80:01.0 does not reach 0x7f7ff000"));
    assert_true(said("PCI 0001:00:01.0 does not reach 0x7f000000, as the firmware wants: no IOMMU"));
    struct iommu_domain *a = domain_new("a"), *b = domain_new("b");
    /* Somebody's: there as well; and back again. */
    assert_null(iommu_attach(a, &nic));
    assert_int_equal(now[0x0010].domain, 2);
    assert_int_equal(iommu_lookup(a, 0x7f009fff, &physical, &writable), 0);
    assert_int_equal(physical, 0x7f009fff);
    iommu_detach(a, &nic);
    assert_int_equal(now[0x0010].domain, 1);
    assert_null(iommu_attach(a, &nic));
    iommu_detach(a, &nic);
    /* Without memory to go back to it, it reaches nothing. */
    assert_null(iommu_attach(a, &nic));
    set_error = -ENOMEM;
    iommu_detach(a, &nic);
    set_error = 0;
    assert_int_equal(now[0x0010].domain, 0);
    /* Nor does it leave it for somebody who finds none. */
    assert_null(iommu_attach(a, &nic));
    iommu_detach(a, &nic);
    assert_int_equal(now[0x0010].domain, 1);
    set_error = -ENOMEM;
    set_once = true;
    assert_string_equal(iommu_attach(a, &nic), "there is no memory for its tables");
    assert_int_equal(now[0x0010].domain, 1);
    assert_int_equal(a->sources, 0);
    /* Refusals. */
    assert_string_equal(iommu_attach(a, &disk),
                        "the firmware wants it to reach memory that is not the firmware's");
    assert_int_equal(iommu_map(b, 0x7f001000, 0x1000, K4, true), 0);
    assert_string_equal(iommu_attach(b, &nic),
                        "other memory is where the firmware wants it to reach its own");
    assert_int_equal(b->sources, 0);
    /* More than can be, and more than a unit reaches. */
    const uint64_t end = firmware_end;
    firmware_end = UINT64_MAX;
    assert_string_equal(iommu_attach(a, &large),
                        "the firmware wants it to reach memory that is not the firmware's");
    kept[0].size = K4;
    kept[0].base = driver.limit;
    assert_string_equal(iommu_attach(a, &large),
                        "the firmware wants it to reach memory that the IOMMU does not");
    kept[0].base = 0xfee00000;
    assert_non_null(iommu_attach(a, &large));
    firmware_end = end;
}

/* Memory of the firmware's stays out of a domain that is sealed, and what does not need it can be there. */
static void test_sealed(void **state) {
    uint64_t physical;
    bool writable;
    (void)state;
    keep(0x0010, 0x7f000000, 4 * K4);
    start();
    assert_true(iommu_wants_memory(&nic));
    assert_false(iommu_wants_memory(&disk));
    struct iommu_device elsewhere = nic;
    elsewhere.segment = 1;
    assert_false(iommu_wants_memory(&elsewhere));
    struct iommu_domain *a = domain_new("a");
    iommu_domain_seal(a);
    assert_int_equal(iommu_map(a, 0x7f000000, 0x1000, K4, true), 0);
    assert_null(iommu_attach(a, &nic));
    assert_int_equal(now[0x0010].domain, a->number);
    assert_int_equal(iommu_lookup(a, 0x7f000000, &physical, &writable), 0);
    assert_int_equal(physical, 0x1000);
    assert_int_equal(iommu_lookup(a, 0x7f001000, &physical, &writable), -ENOENT);
    /* The firmware has it again. */
    iommu_detach(a, &nic);
    assert_int_equal(now[0x0010].domain, iommu.firmware->number);
}

static struct iommu_fault dma(uint16_t requester, uint64_t address) {
    return (struct iommu_fault){
        .requester = requester, .address = address, .write = true, .reason = "it may not write there"};
}

static void test_faults(void **state) {
    (void)state;
    calls = suspensions = 0;
    start();
    struct iommu_domain *a = domain_new("the service VM");
    assert_null(iommu_attach(a, &nic));
    assert_null(iommu_attach(a, &disk));
    struct iommu_fault fault = dma(0x0010, 0x123456000);
    iommu_report(&unit[0], &fault);
    assert_true(
        said("IOMMU: PCI 0000:00:02.0 (the service VM): write at 0x123456000 blocked: it may not write"));
    assert_true(calls == 1 && told.requester == 0x0010 && told.address == 0x123456000);
    for (unsigned i = 1; i < 99; i++)
        iommu_report(&unit[0], &fault);
    assert_true(calls == 10 && !suspensions && now[0x0010].domain == 1);
    text[0] = 0;
    iommu_report(&unit[0], &fault);
    /* All that is in the domain. */
    assert_true(calls == 11 && suspensions == 1);
    assert_true(!now[0x0010].domain && now[0x0010].quiet && !now[0x8008].domain && now[0x8008].quiet);
    assert_true(said("the devices of the service VM are blocked: PCI 0000:00:02.0 has tried 100 times"));
    show();
    assert_non_null(strstr(text, "one: faults 100, lost 0: number 0\ntwo: faults 0, lost 0: number 1\n"
                                 "domain 1: the service VM, requesters 2, faults 100, suspended\n"
                                 "0000:00:02.0: domain 1, faults 100, not reported, last: write at "
                                 "0x123456000: it may not write there\n"
                                 "0000:80:01.0: domain 1, faults 0, not reported\n"));
    text[0] = 0;
    /* Until all have been detached. */
    assert_string_equal(iommu_attach(a, &nic_two), "its domain is suspended for what its devices did");
    iommu_detach(a, &nic);
    assert_true(a->suspended && !now[0x0010].quiet);
    iommu_detach(a, &disk);
    assert_false(a->suspended);
    assert_null(iommu_attach(a, &nic));
    assert_true(now[0x0010].domain == 1 && !now[0x0010].quiet);
    /* Slowly: never too many. */
    for (unsigned i = 0; i < 300; i++) {
        test_time += SECOND / 50;
        iommu_report(&unit[0], &fault);
    }
    assert_int_equal(suspensions, 1);
}

static void test_faults_of_nobody(void **state) {
    (void)state;
    calls = 0;
    keep(0x0010, 0x7f000000, K4);
    start();
    struct iommu_fault fault = dma(0x0018, 0x1000);
    fault.write = false;
    for (unsigned i = 0; i < 100; i++)
        iommu_report(&unit[0], &fault);
    assert_non_null(strstr(text, "PCI 0000:00:03.0 (nobody): read at 0x1000 blocked"));
    assert_true(said("PCI 0000:00:03.0 is blocked without further notice"));
    assert_true(now[0x0018].quiet);
    /* The firmware's leaves it, alone. */
    fault = dma(0x0010, 0x1000);
    for (unsigned i = 0; i < 100; i++)
        iommu_report(&unit[0], &fault);
    assert_true(!now[0x0010].domain && now[0x0010].quiet && !iommu.firmware->suspended);
    /* Interrupts are blocked without harm. */
    fault = (struct iommu_fault){.requester = 0x8010, .address = 7, .interrupt = true, .reason = "no"};
    unsigned before = sets;
    for (unsigned i = 0; i < 300; i++)
        iommu_report(&unit[1], &fault);
    assert_true(said("PCI 0000:80:02.0 (nobody): interrupt 7 blocked: no") && sets == before);
    /* A requester that no unit has, and more of them than there is room for. */
    fault = dma(0x0018, 0);
    fault.segment = 3;
    iommu_report(&unit[0], &fault);
    for (unsigned i = 0; i < 2 * IOMMU_SOURCES; i++) {
        fault = dma((uint16_t)(0x1000 + i), 0);
        iommu_report(&unit[0], &fault);
    }
    assert_int_equal(unit[0].faults, 201 + 2 * IOMMU_SOURCES);
    text[0] = 0;
    show();
    assert_true(said("0000:80:02.0: no domain, faults 300, last: interrupt 0x7: no"));
    /* Which makes room for somebody. */
    struct iommu_domain *a = domain_new("a");
    assert_null(iommu_attach(a, &disk));
    assert_null(iommu_attach(a, &nic_two));
    assert_int_equal(calls, 0);
}

static void test_interrupts(void **state) {
    uint64_t address;
    uint32_t data;
    (void)state;
    start();
    assert_int_equal(iommu_interrupt_allocate(&nic), -ENODEV);
    for (unsigned i = 0; i < 2; i++)
        unit[i].interrupt = heap_allocate(IOMMU_MAX_INTERRUPTS * sizeof(struct iommu_interrupt), NULL);
    assert_int_equal(iommu_interrupt_allocate(&far), -ENODEV);
    int one = iommu_interrupt_allocate(&nic), two = iommu_interrupt_allocate(&old_a);
    int line = iommu_interrupt_allocate_ioapic(2);
    assert_true(one == 0 && two == 1 && line == (int)IOMMU_MAX_INTERRUPTS);
    assert_int_equal(iommu_interrupt_allocate_ioapic(3), -ENOENT);
    assert_false(written[0][0].used); /* nothing can come yet */
    assert_int_equal(iommu_interrupt_set(one, 255, 0x40, false), -EINVAL);
    assert_int_equal(iommu_interrupt_set(one, 3, 0x1f, false), -EINVAL);
    assert_int_equal(iommu_interrupt_set(one, 3, 0x100, false), -EINVAL);
    assert_int_equal(iommu_interrupt_set(one, 3, 0x40, false), 0);
    const struct iommu_interrupt *entry = &written[0][0];
    assert_true(entry->live && !entry->level && entry->vector == 0x40 && entry->cpu == 3 && !entry->buses &&
                entry->first == 0x0010);
    assert_int_equal(iommu_interrupt_set(one, 4, 0x41, false), 0);
    assert_true(entry->live && entry->vector == 0x41 && entry->cpu == 4);
    assert_int_equal(iommu_interrupt_set(two, 0, 0xff, false), 0);
    assert_true(written[0][1].buses && written[0][1].first == 0x0300 && written[0][1].last == 0x0310);
    assert_int_equal(iommu_interrupt_set(line, 0, 0x31, true), 0);
    assert_true(written[1][0].level && written[1][0].first == 0xf0f8);
    assert_int_equal(iommu_interrupt_line(line, 0x12), 0x2000000000000012ull);
    iommu_interrupt_message(two, &address, &data);
    assert_true(address == 0x1000 && data == 1);
    iommu_interrupt_free(one);
    assert_false(entry->live);
    /* From a plain message. */
    address = 0xfee05000;
    data = 0x4042;
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), 0);
    assert_true(entry->vector == 0x42 && entry->cpu == 5 && address == 0x1000 && data == 0);
    address = 0xfee05000;
    data = 0x02;
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), -EINVAL);
    assert_true(address == 0xfee05000 && data == 2);
    for (unsigned i = 2; i < IOMMU_MAX_INTERRUPTS; i++)
        assert_int_equal(iommu_interrupt_allocate(&nic), i);
    assert_int_equal(iommu_interrupt_allocate(&nic), -ENOSPC);
    assert_int_equal(iommu_interrupt_remap(&nic, &address, &data), -ENOSPC);
    iommu_interrupt_free(7); /* was never set */
    assert_panic(iommu_interrupt_free(7));
    assert_panic(iommu_interrupt_free(-1));
    assert_panic(iommu_interrupt_free(2 * IOMMU_MAX_INTERRUPTS));
    write_error = -EIO;
    assert_panic(iommu_interrupt_free(two));
    assert_true(said("interrupts might go where they should not"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_absent), TEST(test_domains),          TEST(test_attach),     TEST(test_attach_fails),
        TEST(test_map),    TEST(test_map_refused),      TEST(test_reserved),   TEST(test_sealed),
        TEST(test_faults), TEST(test_faults_of_nobody), TEST(test_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
