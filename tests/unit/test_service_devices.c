// SPDX-License-Identifier: Apache-2.0
// The guests' devices as a config says: each one's kind and place, what is left out and what that changes,
// overlays over a restart, and where random numbers come from.
// unit-sources: service/balloon_device.c virtio/balloon.c service/console.c virtio/console.c service/iommu_device.c virtio/iommu.c virtio/iommu_passed.c virtio/iommu_store.c
// unit-sources: service/figures.c service/devices.c service/device.c service/ahci_device.c service/e1000_device.c service/plain_device.c service/overlays.c service/heap.c service/log.c service/loop.c service/clock.c virtio/ahci.c virtio/ahci_command.c virtio/ata.c virtio/blk.c virtio/device.c virtio/disk.c virtio/disk_memory.c virtio/disk_overlay.c virtio/e1000_card.c virtio/e1000_card_phy.c virtio/e1000_card_receive.c virtio/e1000_card_transmit.c virtio/frame.c virtio/memory.c virtio/mmio.c virtio/net.c virtio/net_control.c virtio/net_receive.c virtio/offload.c virtio/partition.c virtio/pci.c virtio/queue.c virtio/queue_buffer.c virtio/queue_packed.c virtio/queue_split.c virtio/switch.c virtio/switch_table.c lib/config*.c lib/dts*.c
#include "tests/unit/service_fixture.h"
#include "tests/unit/config_fixture.h"
#include "service/balloon_device.h"
#include "service/devices.h"
#include "service/clock.h"
#include "service/heap.h"
#include "service/hostdisks.h"
#include "service/iommu_device.h"
#include "service/loop.h"
#include "service/overlays.h"
#include "service/window.h"
#include "virtio/disk_memory.h"
#include "virtio/pci.h"
#include "virtio/rng.h"

#define HEAD     "/dts-v1/; / { compatible = \"saguaro,host\"; "
#define HEAP     (8u << 20)
#define OVERLAYS (4u << 20)
#define TABLES   16u   /* as in service/overlays.c */
#define OWNERS   4096u /* the same */

static struct service_board *board;
static uint8_t *heap, *overlays, contents[65536];
static struct service_device made[32];
static unsigned made_count;
static int source;            /* what SERVICE_CALL_ENTROPY answers */
static uint64_t not_mappable; /* an address */

/* ---- surroundings */

void *arch_map(uint64_t physical, uint64_t size, bool writable) {
    assert_true(writable && size);
    return physical == not_mappable ? NULL : (void *)(uintptr_t)physical;
}

static void *window_map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    (void)gpa;
    (void)contiguous;
    return NULL;
}
bool window_mapped(unsigned vm) {
    (void)vm;
    return true;
}
struct virtio_memory *window_memory(unsigned vm) {
    static struct virtio_memory memory = {.map = window_map};
    assert_true(vm < SERVICE_MAX_VMS);
    return &memory;
}

/* The machine's disk that disk `n` of the config is; NULL: none. */
static struct disk *hostdisk[CONFIG_MAX_DISKS];
struct disk *hostdisks_get(unsigned index) {
    return hostdisk[index];
}

/* A source of random numbers for a guest: what it is given, and how often it is run. */
static size_t (*rng_entropy)(void *context, uint8_t *bytes, size_t size);
static void *rng_context;
static void (*rng_again)(struct virtio_rng *rng);
static struct virtio_rng *rng_made;
static unsigned rng_runs;
static const struct virtio_class rng_class = {.id = VIRTIO_ID_ENTROPY, .name = "entropy device"};
void virtio_rng_init(struct virtio_rng *rng, size_t (*entropy)(void *context, uint8_t *bytes, size_t size),
                     void *context, void (*again)(struct virtio_rng *rng)) {
    rng_entropy = entropy;
    rng_context = context;
    rng_again = again;
    rng_made = rng;
    rng->device.class = &rng_class;
    rng->device.queue_count = 1;
    rng->device.queue_size[0] = 8;
}
void virtio_rng_run(struct virtio_rng *rng) {
    assert_ptr_equal(rng, rng_made);
    rng_runs++;
}

static void answer(uint32_t number) {
    call_result = 0;
    if (number == SERVICE_CALL_DEVICE) {
        assert_true(made_count < array_count(made));
        memcpy(&made[made_count], call_pointer, sizeof(made[0]));
        board->device_token[made_count] = made[made_count].token;
        call_result = (int)made_count++;
    } else if (number == SERVICE_CALL_ENTROPY) {
        call_result = source;
    }
}

static void nothing_of(unsigned vm) {
    (void)vm;
}
static void nothing(void) {}
static const struct loop_hooks hooks = {nothing_of, nothing, nothing_of, nothing};

/* A run begins; the config was read before. */
static void start(void) {
    calls_reset();
    call_hook = answer;
    rng_entropy = NULL;
    rng_runs = 0;
    heap_init(heap, HEAP);
    clock_init(board);
    overlays_init(overlays, OVERLAYS);
    loop_init(board, &hooks);
    devices_init(board, &fixture.config);
}

static void configure(const char *text) {
    if (fixture_check(text) != 0)
        fail_msg("%s", fixture.errors);
}

static void add_vm(unsigned number, const char *name) {
    strcpy(board->vm[number].name, name);
    board->vm[number].served = 1;
    board->vm[number].resets = 5;
}

static void add_file(const char *name, void *data, uint64_t size) {
    struct service_file *file = &board->file[board->file_count++];
    strcpy(file->name, name);
    file->address = (uintptr_t)data;
    file->size = size;
}

static int setup(void **state) {
    uint32_t offset = (sizeof(*board) + 4095) & ~4095u;

    (void)state;
    board = calloc(1, offset + SERVICE_MAX_DEVICES * SERVICE_RECORD_SIZE);
    heap = aligned_alloc(4096, HEAP);
    overlays = aligned_alloc(DISK_OVERLAY_BLOCK, OVERLAYS);
    memset(overlays, 0, OVERLAYS);
    board->record_offset = offset;
    board->clock_multiplier = 1ull << 32;
    made_count = 0;
    source = 1;
    not_mappable = 0;
    counter = 1000;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(board);
    free(heap);
    free(overlays);
    return 0;
}

/* The line of the log that has this text; NULL: none. */
static const char *said(const char *text) {
    for (unsigned i = 0; i < call_count; i++)
        if (strstr(calls[i].text, text))
            return calls[i].text;
    return NULL;
}

static void check_made(unsigned index, unsigned vm, unsigned slot, unsigned id) {
    const struct service_device *device = &made[index];
    assert_true(index < made_count);
    assert_int_equal(device->vm, vm);
    assert_int_equal(device->devfn, slot << 3);
    assert_int_equal(device->token, vm << 8 | slot);
    assert_int_equal(device->config[0] | device->config[1] << 8, 0x1af4);
    assert_int_equal(device->config[2] | device->config[3] << 8, 0x1040 + id);
}

static uint64_t ask_for(unsigned device, uint32_t offset, uint8_t size, bool write, uint32_t value) {
    board->request[3] = (struct service_request){.device = (uint16_t)device,
                                                 .offset = offset,
                                                 .size = size,
                                                 .write = write,
                                                 .value = value,
                                                 .state = SERVICE_REQUEST_OPEN};
    board->request_slots[0] = 1u << 3;
    board->events = SERVICE_EVENT_REQUEST;
    loop_turn();
    return board->request[3].value;
}

static uint64_t ask(unsigned device, uint32_t offset, bool write, uint32_t value) {
    return ask_for(device, offset, 4, write, value);
}

/* The IOMMU is there before what is behind it; what it keeps, and the guest's choice, outlive our program. */
static void test_iommu(void **state) {
    struct iommu_kept *kept = calloc(2, sizeof(*kept));

    (void)state;
    configure(HEAD
              "networks { lan { }; };"
              "guests { a { kernel = \"k\"; memory = \"1M\"; entropy = \"yes\"; };"
              "         b { kernel = \"k\"; memory = \"1M\"; iommu = \"virtio\"; };"
              "         c { kernel = \"k\"; memory = \"1M\"; iommu = \"virtio\"; virtio-console = \"yes\";"
              "             net0 { network = \"lan\"; };"
              "             net1 { network = \"lan\"; type = \"e1000\"; };"
              "             net2 { network = \"lan\"; transport = \"mmio\"; }; }; }; };");
    add_vm(0, "a");
    add_vm(1, "b");
    add_vm(2, "c");
    iommu_device_init(kept, 2 * sizeof(*kept));
    start();
    assert_int_equal(made_count, 8);
    check_made(0, 0, 1, VIRTIO_ID_ENTROPY);
    check_made(1, 1, CONFIG_IOMMU_SLOT, VIRTIO_ID_IOMMU);
    check_made(2, 2, CONFIG_IOMMU_SLOT, VIRTIO_ID_IOMMU);
    check_made(3, 2, 1, VIRTIO_ID_NET);
    check_made(6, 2, 4, VIRTIO_ID_ENTROPY);
    check_made(7, 2, 5, VIRTIO_ID_CONSOLE);
    /* Who offers VIRTIO_F_ACCESS_PLATFORM is behind it. */
    static const struct {
        unsigned device;
        bool behind;
    } wanted[] = {{0, false}, {1, false}, {2, false}, {3, true}, {6, true}, {7, true}};
    for (unsigned i = 0; i < array_count(wanted); i++) {
        ask(wanted[i].device, 0, true, 1);
        assert_int_equal(ask(wanted[i].device, 4, false, 0) >> 1 & 1, wanted[i].behind);
    }
    /* `bypass` is written off; then this program starts anew, and then the VM. */
    ask(2, 0x14, true, 3);
    ask(2, 0x08, true, 0);
    ask(2, 0x0c, true, 0x77);
    ask(2, 0x08, true, 1);
    ask(2, 0x0c, true, 1);
    ask(2, 0x14, true, 11);
    ask_for(2, VIRTIO_PCI_CONFIG + 36, 1, true, 0);
    assert_int_equal(ask(2, VIRTIO_PCI_CONFIG + 36, false, 0), 0);
    kept[1].endpoint[1] = IOMMU_ENDPOINT_ATTACHED | 7;
    kept[0].endpoint[1] = IOMMU_ENDPOINT_ATTACHED | 7;
    start();
    assert_int_equal(ask(2, VIRTIO_PCI_CONFIG + 36, false, 0), 0);
    assert_int_equal(kept[1].endpoint[1] & 7, 7);
    board->vm[2].resets = 6;
    devices_vm_changed(2);
    assert_int_equal(ask(2, VIRTIO_PCI_CONFIG + 36, false, 0), 1);
    assert_int_equal(kept[1].endpoint[1], 0);
    assert_int_equal(kept[0].endpoint[1] & 7, 7); /* another guest's */
    assert_int_equal(calls_of(SERVICE_CALL_LOG) + calls_of(SERVICE_CALL_NOTE), 0);
    /* Without memory for it a guest has no devices; others have theirs. */
    iommu_device_init(kept, sizeof(*kept));
    memset(board->device_token, 0, sizeof(board->device_token));
    made_count = 0;
    start();
    assert_int_equal(made_count, 2);
    assert_non_null(said("guest c: its IOMMU cannot be made: error 12: it has no devices"));
    iommu_device_init(NULL, 0);
    free(kept);
}

static const char two_guests[] = HEAD
    "service { overlay-memory = \"4M\"; }; networks { lan { }; };"
    "disks { base { file = \"base.img\"; read-only = \"yes\"; }; own { memory = \"64K\"; }; };"
    "guests { a { kernel = \"k\"; memory = \"1M\"; net3 { network = \"lan\"; }; net0 { network = \"lan\"; };"
    "             disk1 { disk = \"base\"; overlay = \"yes\"; }; disk0 { disk = \"own\"; }; };"
    "         b { kernel = \"k\"; memory = \"1M\"; entropy = \"no\";"
    "             disk7 { disk = \"base\"; overlay = \"yes\"; }; };"
    "         c { kernel = \"k\"; memory = \"1M\"; entropy = \"yes\"; }; }; };";

static void two_guests_setup(void) {
    configure(two_guests);
    add_vm(4, "a");
    add_vm(2, "b");
    add_vm(1, "c");
    add_file("base.img", contents, sizeof(contents));
    add_file(":own", contents, sizeof(contents));
}

/* ---- tests */

static void test_all(void **state) {
    (void)state;
    two_guests_setup();
    start();
    assert_int_equal(made_count, 7);
    check_made(0, 4, 1, VIRTIO_ID_NET); /* in the order of the config */
    check_made(1, 4, 2, VIRTIO_ID_NET);
    check_made(2, 4, 3, VIRTIO_ID_BLOCK);
    check_made(3, 4, 4, VIRTIO_ID_BLOCK);
    check_made(4, 4, 5, VIRTIO_ID_ENTROPY);
    check_made(5, 2, 1, VIRTIO_ID_BLOCK);
    check_made(6, 1, 1, VIRTIO_ID_ENTROPY);
    assert_int_equal(calls_of(SERVICE_CALL_LOG) + calls_of(SERVICE_CALL_NOTE), 0);
    /* After a restart they are there: the same ones. */
    start();
    assert_int_equal(made_count, 7);
    assert_int_equal(calls_of(SERVICE_CALL_LOG) + calls_of(SERVICE_CALL_NOTE), 0);
    board->vm[4].resets = 6;
    devices_vm_changed(4);
    assert_int_equal(board->vm_settled[4], 6);
}

/* An emulated card: its place among the others, its registers over a restart and a start of its VM. */
static void test_e1000(void **state) {
    (void)state;
    configure(HEAD "networks { lan { }; }; guests { a { kernel = \"k\"; memory = \"1M\";"
                   "net1 { network = \"lan\"; mac = \"52:54:00:00:00:01\"; };"
                   "net0 { network = \"lan\"; type = \"e1000\"; mac = \"52:54:00:00:00:02\"; }; }; }; };");
    add_vm(4, "a");
    start();
    assert_int_equal(made_count, 3);
    check_made(0, 4, 1, VIRTIO_ID_NET);
    check_made(2, 4, 3, VIRTIO_ID_ENTROPY);
    assert_int_equal(made[1].devfn, 2 << 3);
    assert_memory_equal(made[1].config, "\x86\x80\x0e\x10", 4);
    assert_int_equal(made[1].config[0x3d], 1);
    assert_int_equal(made[1].region[0].kind, SERVICE_REGION_REQUEST);
    assert_int_equal(made[1].region[1].kind, SERVICE_REGION_NONE);
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 0);
    assert_int_equal(ask(1, 0x5400, false, 0), 0x00005452); /* RAL */
    ask(1, 0x2800, true, 0x12340);                          /* RDBAL */
    ask(1, 0x00d0, true, 0x04);                             /* IMS */
    start();
    assert_int_equal(made_count, 3);
    assert_int_equal(ask(1, 0x2800, false, 0), 0x12340);
    call_count = 0;
    ask(1, 0x00c8, true, 0x04); /* ICS */
    assert_int_equal(calls[0].number, SERVICE_CALL_LINE);
    assert_int_equal(calls[0].a, 1);
    assert_int_equal(calls[0].b, 1);
    /* A ring that is nowhere: the guest's log says so, once. */
    ask(1, 0x3808, true, 0x80); /* TDLEN */
    ask(1, 0x0400, true, 0x02); /* TCTL */
    ask(1, 0x3818, true, 1);    /* TDT */
    ask(1, 0x3818, true, 2);
    assert_int_equal(calls_of(SERVICE_CALL_NOTE), 1);
    assert_non_null(said("net0: the ring of transmit descriptors is not in RAM"));
    board->vm[4].resets = 6;
    devices_vm_changed(4);
    assert_int_equal(ask(1, 0x2800, false, 0), 0);
}

/* A device keeps its place whatever becomes of the others. */
static void test_left_out(void **state) {
    (void)state;
    configure(
        HEAD
        "disks { none { file = \"none.img\"; }; far { file = \"far.img\"; }; tiny { file = \"tiny.img\"; };"
        "        own { memory = \"64K\"; }; };"
        "guests { a { kernel = \"k\"; memory = \"1M\"; disk0 { disk = \"none\"; }; disk1 { disk = "
        "\"far\"; }; disk2 { disk = \"tiny\"; }; disk3 { disk = \"own\"; partition = <1>; };"
        "             disk4 { disk = \"own\"; read-only = \"yes\"; partition = <2>; };"
        "             disk5 { disk = \"own\"; read-only = \"yes\"; }; };"
        "         gone { kernel = \"k\"; memory = \"1M\"; entropy = \"yes\"; }; }; };");
    add_vm(0, "a");
    memset(contents, 0, sizeof(contents));
    add_file("far.img", &board[1], 512);
    add_file("tiny.img", contents, 511);
    add_file("own", contents, 4096); /* a file of that name is another thing */
    add_file(":own", contents, sizeof(contents));
    not_mappable = (uintptr_t)&board[1];
    start();
    assert_non_null(said("disk none cannot be used"));
    assert_non_null(said("disk far cannot be used"));
    assert_non_null(said("disk tiny cannot be used"));
    assert_null(said("disk own cannot be used"));
    for (unsigned i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof(text), "guest a: disk%u cannot be made", i);
        assert_non_null(said(text));
    }
    assert_non_null(said("disk own: partition 1: "));
    assert_non_null(said("guest gone: there is no such VM"));
    assert_int_equal(made_count, 2);
    check_made(0, 0, 6, VIRTIO_ID_BLOCK);
    check_made(1, 0, 7, VIRTIO_ID_ENTROPY);
}

static struct disk_request *unanswered[2];
static unsigned unanswered_count;

static void never_answer(struct disk *disk, struct disk_request *request) {
    (void)disk;
    assert_true(unanswered_count < 2);
    unanswered[unanswered_count++] = request;
}

/* What a disk was asked while it was looked for a partition stays the disk's if it does not answer in time;
 * it is asked no more then. */
static void check_silent_disks(void) {
    static const struct disk_operations operations = {.submit = never_answer};
    struct disk silent = {.operations = &operations, .sectors = 64, .block = 512, .physical = 512};

    configure(HEAD "disks { x { device = \"QM1\"; }; y { device = \"QM2\"; }; };"
                   "guests { a { kernel = \"k\"; memory = \"1M\"; entropy = \"no\";"
                   "             disk0 { disk = \"x\"; partition = <1>; };"
                   "             disk1 { disk = \"y\"; partition = <1>; };"
                   "             disk2 { disk = \"x\"; partition = <2>; read-only = \"yes\"; }; }; }; };");
    add_vm(0, "a");
    hostdisk[0] = hostdisk[1] = &silent;
    start();
    hostdisk[0] = hostdisk[1] = NULL;
    assert_non_null(said("disk x: partition 1: the disk does not answer"));
    assert_non_null(said("disk y: partition 1: the disk does not answer"));
    assert_non_null(said("disk x: partition 2: the disk did not answer before"));
    assert_int_equal(unanswered_count, 2);
    assert_ptr_not_equal(unanswered[0], unanswered[1]);
}

/* Disks of the machine's: one that could be found and one that could not. */
static void test_machine_disks(void **state) {
    static struct disk_memory memory;

    (void)state;
    configure(HEAD
              "networks { lan { }; dmz { }; };"
              "disks { none { device = \"QM1\"; }; ssd { device = \"01:00.0\"; }; };"
              "guests { a { kernel = \"k\"; memory = \"1M\"; entropy = \"no\"; disk0 { disk = \"none\"; };"
              "             disk1 { disk = \"ssd\"; }; }; }; };");
    add_vm(0, "a");
    assert_int_equal(disk_memory_init(&memory, contents, sizeof(contents), false), 0);
    hostdisk[1] = &memory.disk;
    start();
    hostdisk[1] = NULL;
    assert_null(said("disk none cannot be used")); /* whoever looked for it has said so */
    assert_non_null(said("guest a: disk0 cannot be made"));
    assert_int_equal(made_count, 1);
    check_made(0, 0, 2, VIRTIO_ID_BLOCK);
    assert_true(devices_network(0) && devices_network(1) && devices_network(0) != devices_network(1));
    assert_null(devices_network(2));
    assert_null(devices_network(CONFIG_MAX_NETWORKS));
    check_silent_disks();
}

/* Each has the place that its name says, and the token that it would have on PCI. */
static void test_mmio(void **state) {
    static const struct {
        unsigned place, token, id;
    } wanted[] = {
        {SERVICE_MMIO_NET + 3, 1, VIRTIO_ID_NET},     {0, 2, VIRTIO_ID_NET},
        {SERVICE_MMIO_DISK + 7, 3, VIRTIO_ID_BLOCK},  {SERVICE_MMIO_ENTROPY, 4, VIRTIO_ID_ENTROPY},
        {SERVICE_MMIO_CONSOLE, 5, VIRTIO_ID_CONSOLE},
    };

    (void)state;
    configure(HEAD
              "networks { lan { }; }; disks { d { memory = \"64K\"; }; };"
              "guests { a { kernel = \"k\"; memory = \"1M\"; transport = \"mmio\"; virtio-console = \"yes\";"
              "net3 { network = \"lan\"; }; net0 { network = \"lan\"; transport = \"pci\"; };"
              "disk7 { disk = \"d\"; }; }; }; };");
    add_vm(4, "a");
    add_file(":d", contents, sizeof(contents));
    start();
    assert_int_equal(made_count, array_count(wanted));
    check_made(1, 4, 2, VIRTIO_ID_NET);
    for (unsigned i = 0; i < array_count(wanted); i++) {
        assert_int_equal(made[i].token, 4 << 8 | wanted[i].token);
        assert_int_equal(made[i].place, wanted[i].place);
        if (i == 1)
            continue;
        assert_int_equal(made[i].bus, SERVICE_BUS_MMIO);
        assert_int_equal(ask(i, 0, false, 0), 0x74726976);
        assert_int_equal(ask(i, 8, false, 0), wanted[i].id);
    }
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 0);
    /* What was written is there after a restart, and gone after a start of the VM. */
    ask(2, 0x70, true, 3);
    start();
    assert_int_equal(made_count, array_count(wanted));
    assert_int_equal(ask(2, 0x70, false, 0), 3);
    call_count = 0;
    board->vm[4].resets = 6;
    devices_vm_changed(4);
    assert_int_equal(calls_of(SERVICE_CALL_STATUS), 4);
    assert_int_equal(ask(2, 0x70, false, 0), 0);
}

/* All AHCI disks of a guest are at one controller, in the place of the first of them. */
static void test_ahci(void **state) {
    (void)state;
    configure(HEAD
              "service { overlay-memory = \"4M\"; };"
              "disks { base { file = \"base.img\"; read-only = \"yes\"; }; own { memory = \"64K\"; }; };"
              "guests { a { kernel = \"k\"; memory = \"1M\"; disk1 { disk = \"base\"; type = \"ahci\"; };"
              "             disk0 { disk = \"own\"; partition = <1>; };"
              "             disk4 { disk = \"own\"; partition = <2>; type = \"ahci\"; };"
              "             disk2 { disk = \"base\"; overlay = \"yes\"; type = \"ahci\"; };"
              "             disk3 { disk = \"base\"; }; }; }; };");
    add_vm(3, "a");
    memset(contents, 0, sizeof(contents));
    add_file("base.img", contents, sizeof(contents));
    add_file(":own", contents, sizeof(contents));
    start();
    assert_non_null(said("guest a: disk0 cannot be made"));
    assert_non_null(said("guest a: disk4 cannot be made"));
    assert_int_equal(made_count, 3);
    assert_int_equal(made[0].vm, 3);
    assert_int_equal(made[0].devfn, 1 << 3);
    assert_int_equal(made[0].token, 3 << 8 | 1);
    assert_int_equal(made[0].config[0] | made[0].config[1] << 8, 0x8086);
    assert_int_equal(made[0].config[0x92], 7);
    assert_int_equal(made[0].config[0x93], 5); /* the port of the disk that is not there is empty */
    check_made(1, 3, 3, VIRTIO_ID_BLOCK);
    check_made(2, 3, 4, VIRTIO_ID_ENTROPY);
    assert_int_not_equal(((const uint32_t *)(const void *)(overlays + TABLES))[2], 0);

    /* A guest's access, and its interrupt. */
    struct service_request *request = &board->request[3 * SERVICE_MAX_VCPUS];
    static const struct { uint32_t offset, value; } writes[] = {{0x04, 2}, {0x114, 0x40}};
    for (unsigned i = 0; i < array_count(writes); i++) {
        *request = (struct service_request){.device = 0,
                                            .bar = 5,
                                            .offset = writes[i].offset,
                                            .size = 4,
                                            .value = writes[i].value,
                                            .write = 1,
                                            .state = SERVICE_REQUEST_OPEN};
        board->request_slots[3 * SERVICE_MAX_VCPUS / 32] = 1u << (3 * SERVICE_MAX_VCPUS % 32);
        board->events = SERVICE_EVENT_REQUEST;
        call_count = 0;
        loop_turn();
        assert_int_equal(calls_of(SERVICE_CALL_LINE), i);
        assert_int_equal(calls_of(SERVICE_CALL_ANSWER), 1);
    }
    *request = (struct service_request){
        .device = 0, .bar = 5, .offset = 0x114, .size = 4, .state = SERVICE_REQUEST_OPEN};
    board->request_slots[3 * SERVICE_MAX_VCPUS / 32] = 1u << (3 * SERVICE_MAX_VCPUS % 32);
    board->events = SERVICE_EVENT_REQUEST;
    loop_turn();
    assert_true(request->value == 0x40);
    /* Registers and the interrupt are there after a restart, and gone after a start of the VM. */
    start();
    assert_int_equal(made_count, 3);
    assert_int_equal(calls_of(SERVICE_CALL_LINE), 4); /* down; the controller's up again */
    assert_null(said("not sound"));
    call_count = 0;
    board->vm[3].resets = 6;
    devices_vm_changed(3);
    assert_int_equal(board->vm_settled[3], 6);
    assert_int_equal(calls[0].number, SERVICE_CALL_LINE);
    assert_int_equal(calls[0].b, 0);
    /* A damaged record. */
    ++*(uint32_t *)(void *)((char *)board + board->record_offset);
    start();
    assert_non_null(said("the AHCI controller's record was not sound"));
    assert_int_equal(made_count, 3);
}

/* Each overlay has the same number in each run. */
static void test_overlays(void **state) {
    const uint32_t *tables;

    (void)state;
    two_guests_setup();
    start();
    tables = (const uint32_t *)(const void *)(overlays + TABLES);
    assert_int_not_equal(tables[0 * CONFIG_MAX_GUEST_DISKS + 1], 0);
    assert_int_not_equal(tables[1 * CONFIG_MAX_GUEST_DISKS + 7], 0);
    for (unsigned i = 0; i < OVERLAYS_MAX; i++)
        if (i != 1 && i != CONFIG_MAX_GUEST_DISKS + 7)
            assert_int_equal(tables[i], 0);
    /* A block that is in no table is found, and free again. */
    uint16_t *owner = (uint16_t *)(void *)(overlays + OWNERS) + OVERLAYS / DISK_OVERLAY_BLOCK - 1;
    assert_int_equal(*owner, 0);
    *owner = 2;
    start();
    assert_int_equal(calls_of(SERVICE_CALL_NOTE), 0);
    assert_int_equal(*owner, 0);
    /* One that is damaged is a device that fails, in its place. */
    ((uint32_t *)(void *)(overlays + TABLES))[1] = 1000;
    start();
    assert_int_equal(calls_of(SERVICE_CALL_NOTE), 1);
    assert_non_null(said("disk1: its overlay was damaged"));
    assert_int_equal(made_count, 7);
    assert_null(said("cannot be made"));
}

static void test_no_entropy(void **state) {
    (void)state;
    two_guests_setup();
    source = -ENODEV;
    start();
    assert_int_equal(made_count, 5);
    assert_null(rng_entropy);
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 1);
    assert_non_null(said("this machine has no source of random numbers"));
    /* One that has none just now is one. */
    memset(board->device_token, 0, sizeof(board->device_token));
    made_count = 0;
    source = 0;
    start();
    assert_int_equal(made_count, 7);
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 0);
    /* Nobody wants it: it is not asked for. */
    for (unsigned i = 0; i < 3; i++)
        fixture.config.guests[i].entropy = 0;
    memset(board->device_token, 0, sizeof(board->device_token));
    made_count = 0;
    source = -ENODEV;
    start();
    assert_int_equal(made_count, 5);
    assert_int_equal(calls_of(SERVICE_CALL_ENTROPY), 0);
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 0);
}

static void test_entropy(void **state) {
    uint8_t bytes[512];

    (void)state;
    two_guests_setup();
    start();
    assert_non_null(rng_entropy);
    call_count = 0;
    source = 100;
    assert_int_equal(rng_entropy(rng_context, bytes, 512), 100);
    assert_int_equal(calls[0].b, SERVICE_MAX_ENTROPY);
    assert_ptr_equal(call_pointer, bytes);
    source = 7;
    assert_int_equal(rng_entropy(rng_context, bytes, 7), 7);
    assert_int_equal(calls[1].b, 7);
    source = 8; /* more than was asked for: that is not believed */
    assert_int_equal(rng_entropy(rng_context, bytes, 7), 7);
    loop_turn();
    assert_int_equal(board->wake_at, UINT64_MAX);
    /* None now: asked for again in a while, once. */
    source = 0;
    assert_int_equal(rng_entropy(rng_context, bytes, 7), 0);
    assert_int_equal(rng_entropy(rng_context, bytes, 7), 0);
    loop_turn();
    assert_int_equal(rng_runs, 0);
    assert_true(board->wake_at > counter && board->wake_at <= counter + CLOCK_SECOND);
    counter = board->wake_at;
    loop_turn();
    assert_int_equal(rng_runs, 1);
    loop_turn();
    assert_int_equal(rng_runs, 1);
    assert_int_equal(board->wake_at, UINT64_MAX);
    /* More than may be done at once. */
    rng_again(rng_made);
    loop_turn();
    assert_int_equal(rng_runs, 2);
}

/* Behind the others; in that place whether the machine has random numbers or not. */
static void test_console(void **state) {
    (void)state;
    configure(HEAD
              "guests { a { kernel = \"k\"; memory = \"1M\"; virtio-console = \"yes\"; };"
              "         b { kernel = \"k\"; memory = \"1M\"; virtio-console = \"yes\"; entropy = \"no\"; };"
              "         c { kernel = \"k\"; memory = \"1M\"; virtio-console = \"no\"; }; }; };");
    add_vm(3, "a");
    add_vm(0, "b");
    add_vm(1, "c");
    start();
    assert_int_equal(made_count, 3);
    check_made(0, 3, 1, VIRTIO_ID_ENTROPY);
    check_made(1, 3, 2, VIRTIO_ID_CONSOLE);
    check_made(2, 0, 1, VIRTIO_ID_CONSOLE);
    assert_true(calls_of(SERVICE_CALL_CONSOLE_OPEN) >= 2);
    for (unsigned i = 0; i < call_count; i++)
        assert_true(calls[i].number != SERVICE_CALL_CONSOLE_OPEN || !calls[i].b);
    memset(board->device_token, 0, sizeof(board->device_token));
    made_count = 0;
    source = -ENODEV;
    start();
    assert_int_equal(made_count, 2);
    check_made(0, 3, 2, VIRTIO_ID_CONSOLE);
}

/* The last one. */
static void test_balloon(void **state) {
    struct balloon_figures figures;
    (void)state;
    configure(HEAD
              "guests { a { kernel = \"k\"; memory = \"1M\"; virtio-console = \"yes\"; balloon = \"yes\"; };"
              "         c { kernel = \"k\"; memory = \"1M\"; balloon = \"yes\"; transport = \"mmio\";"
              "             entropy = \"no\"; }; }; };");
    add_vm(3, "a");
    add_vm(1, "c");
    start();
    assert_int_equal(made_count, 4);
    check_made(0, 3, 1, VIRTIO_ID_ENTROPY);
    check_made(1, 3, 2, VIRTIO_ID_CONSOLE);
    check_made(2, 3, 3, VIRTIO_ID_BALLOON);
    assert_int_equal(made[3].vm, 1);
    assert_int_equal(made[3].bus, SERVICE_BUS_MMIO);
    assert_int_equal(made[3].place, SERVICE_MMIO_BALLOON);
    for (unsigned vm = 0; vm < SERVICE_MAX_VMS + 1; vm++)
        assert_int_equal(balloon_device_look(vm, &figures), vm == 3 || vm == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_all),     TEST(test_e1000),         TEST(test_iommu),    TEST(test_left_out),
        TEST(test_console), TEST(test_balloon),       TEST(test_overlays), TEST(test_no_entropy),
        TEST(test_entropy), TEST(test_machine_disks), TEST(test_ahci),     TEST(test_mmio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
