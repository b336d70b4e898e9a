// SPDX-License-Identifier: Apache-2.0
// The machine's disks, with drivers that the test plays: which device is whose, what is said when there is
// none, requests, what a caller that waits causes, failures.
// unit-sources: service/figures.c service/hostdisks.c service/host_pci.c service/heap.c service/log.c service/loop.c service/clock.c virtio/disk.c lib/config_pci.c lib/config_mac.c
#include "tests/unit/service_machine_fixture.h"
#include "service/drivers.h"
#include "service/hostdisks.h"

/* ---- two drivers: of 1af4:1042, and of every 8086 */

static struct {
    int start; /* what it returns */
    const char *serial;
    bool read_only;
    unsigned starts, stops, polls, ticks;
    struct block *block;
    struct disk_request *request; /* the last one; done by the next poll() unless `dead` */
    bool dead;
} drives[FUNCTION];

static void drive_submit(struct disk *disk, struct disk_request *request) {
    drives[((struct block *)disk)->pci->number].request = request;
}
static const struct disk_operations drive_operations = {.submit = drive_submit};

static bool matches_virtio(const struct pci_device *pci) {
    return pci_vendor(pci) == 0x1af4 && pci_id(pci) == 0x1042;
}
static bool matches_intel(const struct pci_device *pci) {
    return pci_vendor(pci) == 0x8086;
}
static int drive_start(struct block *block) {
    unsigned number = block->pci->number;

    assert_true(claimed[number] && !mastering[number]);
    drives[number].starts++;
    drives[number].block = block;
    assert_int_equal(block->pci->host->master(number, true), 0);
    block->pci->vectors = (unsigned)block->pci->host->vectors(number, 1);
    block->disk = (struct disk){.operations = &drive_operations,
                                .sectors = 2048 * (number + 1),
                                .block = 512,
                                .physical = 4096,
                                .cached = true,
                                .discards = true,
                                .read_only = drives[number].read_only};
    snprintf(block->serial, sizeof(block->serial), "%s", drives[number].serial ? drives[number].serial : "");
    block->why = drives[number].start ? "it does not become ready" : NULL;
    return drives[number].start;
}
static void drive_stop(struct block *block) {
    unsigned number = block->pci->number;
    drives[number].stops++;
    block->pci->host->master(number, false);
}
static void drive_poll(struct block *block, uint32_t vectors) {
    unsigned number = block->pci->number;
    struct disk_request *request = drives[number].request;

    (void)vectors;
    drives[number].polls++;
    if (!request || drives[number].dead)
        return;
    drives[number].request = NULL;
    request->done(request, 0);
}
static void drive_tick(struct block *block) {
    drives[block->pci->number].ticks++;
}
#define CLASS(text, test)                                                                                    \
    {                                                                                                        \
        .name = (text), .matches = (test), .size = sizeof(struct block) + 100, .start = drive_start,         \
        .stop = drive_stop, .poll = drive_poll, .tick = drive_tick                                           \
    }
static const struct block_class virtio_class = CLASS("virtio-blk", matches_virtio);
static const struct block_class nvme_class = CLASS("nvme", matches_intel);
const struct block_class *const block_classes[] = {&virtio_class, &nvme_class, NULL};

/* ---- surroundings */

void *arch_map_device(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return NULL;
}

static struct config config;

static void add_disk(const char *name, const char *device, bool read_only) {
    config.disks[config.disk_count++] =
        (struct config_disk){.name = name, .device = device, .read_only = read_only};
}

static int setup(void **state) {
    (void)state;
    host_setup();
    memset(&config, 0, sizeof(config));
    memset(drives, 0, sizeof(drives));
    add_function(1, HOST_PCI_NETWORK, 0x1af4, 0x1041); /* 0 */
    add_function(2, HOST_PCI_STORAGE, 0x1af4, 0x1042); /* 1: 2 MiB */
    add_function(3, HOST_PCI_STORAGE, 0x8086, 0x5845); /* 2: 3 MiB */
    add_function(4, HOST_PCI_STORAGE, 0x1000, 0x0012); /* 3: no driver */
    add_function(5, HOST_PCI_STORAGE, 0x8086, 0x5845); /* 4: 5 MiB */
    drives[1].serial = "first";
    drives[2].serial = "S4 2";
    return 0;
}
static int teardown(void **state) {
    (void)state;
    host_teardown();
    return 0;
}

static void begin(void) {
    call_count = 0;
    host_pci_init(board);
    hostdisks_init(&config);
}

/* ---- tests */

static void test_nothing(void **state) {
    (void)state;
    add_disk("a", NULL, false);
    begin();
    assert_int_equal(call_count, 0);
    assert_null(hostdisks_get(0));
    assert_null(hostdisks_get(CONFIG_MAX_DISKS));
    board->pci_count = 0;
    add_disk("b", "first", false);
    begin();
    assert_string_equal(
        calls[0].text,
        "disk b is not there: no disk of the machine has the serial number \"first\", there are: none");
    assert_null(hostdisks_get(1));
}

static void test_serial(void **state) {
    (void)state;
    add_disk("a", NULL, false);
    add_disk("b", "S4 2", false);
    begin();
    assert_non_null(said("disk b: nvme at 0000:00:03.0, serial number \"S4 2\", 3 MiB"));
    assert_null(hostdisks_get(0));
    struct disk *disk = hostdisks_get(1);
    assert_true(disk && disk->sectors == 3 * 2048 && disk->block == 512 && disk->physical == 4096);
    assert_true(!disk->read_only && disk->cached && disk->discards);
    /* The first was started, and stopped again; those behind were not looked at. */
    assert_true(drives[1].starts == 1 && drives[1].stops == 1 && !mastering[1]);
    assert_true(mastering[2] && !drives[2].stops && !claimed[3] && !claimed[4] && !claimed[0]);
    /* A disk that has no serial number is not that of an empty name. */
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 1);
}

static void test_address(void **state) {
    (void)state;
    drives[4].read_only = true;
    add_disk("a", "00:05.0", false);
    add_disk("b", "0000:00:02.0", true);
    begin();
    assert_non_null(said("disk a: nvme at 0000:00:05.0, serial number \"\", 5 MiB, read-only"));
    assert_non_null(said("disk b: virtio-blk at 0000:00:02.0, serial number \"first\", 2 MiB"));
    assert_true(hostdisks_get(0)->read_only && hostdisks_get(1)->read_only);
    assert_true(!claimed[2] && !claimed[3] && mastering[1] && mastering[4]);
    assert_int_equal(drives[1].stops + drives[4].stops, 0);
}

static void test_not_there(void **state) {
    (void)state;
    drives[4].start = -ETIMEDOUT;
    add_disk("a", "other", false);
    add_disk("b", "00:01.0", false); /* a network card */
    add_disk("c", "first", false);
    begin();
    assert_non_null(
        said("disk a is not there: no disk of the machine has the serial number \"other\", there "
             "are: \"first\" (virtio-blk at 0000:00:02.0, 2 MiB), \"S4 2\" (nvme at 0000:00:03.0, "
             "3 MiB),"));
    assert_non_null(said("and 0000:00:04.0 (1000:0012, there is no driver for it), 0000:00:05.0 (it does not "
                         "become ready, error 110)"));
    assert_non_null(said("disk b is not there: no disk of the machine has the address 00:01.0, there are:"));
    assert_true(!hostdisks_get(0) && !hostdisks_get(1) && hostdisks_get(2));
    assert_true(!mastering[2] && !mastering[4] && !claimed[0]);
    /* One that never started is not stopped. */
    assert_true(drives[2].stops == 1 && drives[4].stops == 0);
    config.disk_count = 0;
    mastering[1] = false;
    add_disk("a", "00:05.0", false);
    add_disk("b", "00:04.0", false);
    add_disk("c", "00:03.0", false);
    add_disk("d", "00:02.0", false);
    claim_result[2] = -EBUSY;
    claim_result[1] = -EINVAL;
    begin();
    assert_non_null(said("disk a: its device 00:05.0 cannot be used: it does not become ready, error 110"));
    assert_non_null(said("disk b: its device 00:04.0 cannot be used: 1000:0012, there is no driver for it"));
    assert_non_null(said("disk c: its device 00:03.0 cannot be used: it is not free"));
    assert_non_null(
        said("disk d: its device 00:02.0 cannot be used: it cannot be claimed: the log says why"));
    for (unsigned i = 0; i < 4; i++)
        assert_null(hostdisks_get(i));
}

/* Two names for one device. */
static void test_twice(void **state) {
    (void)state;
    add_disk("a", "first", false);
    add_disk("b", "00:02.0", true);
    begin();
    assert_non_null(said("disk b: its device 00:02.0 is that of disk a already"));
    assert_true(hostdisks_get(0) && !hostdisks_get(1) && !hostdisks_get(0)->read_only);
    assert_int_equal(drives[1].starts, 1);
}

static unsigned done;
static int done_error;
static void request_done(struct disk_request *request, int error) {
    (void)request;
    done++;
    done_error = error;
}

static void test_requests(void **state) {
    uint8_t data[512];
    struct virtq_segment segment = {.data = data, .size = sizeof(data)};
    struct disk_request request = {.operation = DISK_WRITE,
                                   .sector = 1,
                                   .count = 1,
                                   .segment = &segment,
                                   .segments = 1,
                                   .done = request_done};

    (void)state;
    add_disk("a", "00:02.0", true);
    add_disk("b", "00:03.0", false);
    begin();
    done = 0;
    disk_submit(hostdisks_get(0), &request);
    assert_true(done == 1 && done_error == -EROFS && !drives[1].request);
    disk_submit(hostdisks_get(1), &request);
    assert_true(done == 1 && drives[2].request == &request && request.sector == 1);
    interrupt(2, 1);
    assert_true(done == 2 && !done_error);
    /* Who waits outside the loop polls: it sleeps between, and time limits are kept. */
    request.operation = DISK_READ;
    disk_submit(hostdisks_get(1), &request);
    call_count = 0;
    hostdisks_get(1)->operations->poll(hostdisks_get(1));
    assert_int_equal(done, 3);
    assert_int_equal(calls_of(SERVICE_CALL_WAIT), 1);
    assert_true(board->wake_at == counter + 100 * CLOCK_MICROSECOND);
    drives[2].dead = true;
    disk_submit(hostdisks_get(1), &request);
    for (unsigned i = 0; i < 2500; i++) {
        call_count = 0;
        counter += MS;
        hostdisks_get(1)->operations->poll(hostdisks_get(1));
    }
    assert_int_equal(drives[2].ticks, 2);
    assert_int_equal(done, 3);
    pass(3 * SECOND);
    assert_int_equal(drives[2].ticks, 5);
}

static void test_polled(void **state) {
    struct disk_request request = {.operation = DISK_FLUSH, .done = request_done};

    (void)state;
    vectors_result[2] = 0;
    add_disk("a", "00:03.0", false);
    begin();
    assert_non_null(said("0000:00:03.0 has no interrupts"));
    pass(50 * MS);
    drives[2].polls = 0;
    done = 0;
    disk_submit(hostdisks_get(0), &request);
    pass(2 * MS);
    assert_int_equal(done, 1);
}

static void test_failure(void **state) {
    (void)state;
    add_disk("a", "00:03.0", false);
    begin();
    call_count = 0;
    drives[2].block->failed = true;
    drives[2].block->why = "it does not answer";
    drives[2].block->changed(drives[2].block);
    assert_non_null(said("disk a: 0000:00:03.0 has failed: it does not answer: all requests are I/O errors"));
    drives[2].block->failed = false;
    drives[2].block->changed(drives[2].block);
    assert_non_null(said("disk a: 0000:00:03.0 works again"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_nothing), TEST(test_serial),   TEST(test_address), TEST(test_not_there),
        TEST(test_twice),   TEST(test_requests), TEST(test_polled),  TEST(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
