// SPDX-License-Identifier: Apache-2.0
// The figures for the shell: what is gathered of networks, ports, disks and who has them; more of them than
// there is room for.
// unit-sources: service/figures.c virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c virtio/queue.c virtio/queue_buffer.c virtio/queue_packed.c virtio/queue_split.c virtio/memory.c
#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "service/figures.h"

static struct config config;
static struct ether_switch lan, other;

static int setup(void **state) {
    (void)state;
    memset(&config, 0, sizeof(config));
    config.network_count = 3;
    config.networks[0] = (struct config_network){.name = "lan", .uplink = "00:03.0"};
    config.networks[1] = (struct config_network){.name = "other"};
    config.networks[2] = (struct config_network){.name = "lost", .uplink = "52:54:00:12:34:56"};
    switch_init(&lan, "lan", 1);
    switch_init(&other, "other", 1);
    figures_init(&config);
    figures_add_network(0, &lan);
    figures_add_network(1, &other);
    return 0;
}

static void test_networks(void **state) {
    (void)state;
    struct switch_port card = {.name = "net3", .mac = {2, 0, 0, 0, 0, 7}}, out = {.name = "00:03.0"};
    struct switch_port stray = {.name = "net0"};
    bool running = true;

    assert_int_equal(switch_attach(&other, &card), 0);
    assert_int_equal(switch_attach(&lan, &out), 0);
    figures_add_port(5, &card);
    figures_add_port(6, &stray); /* in no network */
    figures_add_uplink(&out, "virtio-net", "0000:00:03.0", &running);
    figures_add_uplink(&stray, "virtio-net", "0000:00:04.0", &running);
    card.counters = (struct switch_counters){.sent_frames = 1,
                                             .sent_bytes = 2,
                                             .received_frames = 3,
                                             .received_bytes = 1ull << 40,
                                             .drops[SWITCH_DROP_BUFFER] = 9};
    card.link = true;
    const struct service_figures *figures = figures_gather();
    assert_int_equal(figures->network_count, 3);
    assert_string_equal(figures->network[0].name, "lan");
    assert_string_equal(figures->network[0].uplink, "00:03.0");
    assert_string_equal(figures->network[0].driver, "virtio-net");
    assert_string_equal(figures->network[0].address, "0000:00:03.0");
    assert_int_equal(figures->network[0].state, SERVICE_UPLINK_DOWN);
    assert_int_equal(figures->network[1].state, SERVICE_UPLINK_NONE);
    assert_int_equal(figures->network[2].state, SERVICE_UPLINK_MISSING);
    assert_int_equal(figures->port_count, 2);
    assert_int_equal(figures->port[0].vm, SERVICE_NO_VM);
    assert_int_equal(figures->port[0].network, 0);
    const struct service_port_figures *port = &figures->port[1];
    assert_int_equal(port->vm, 5);
    assert_int_equal(port->network, 1);
    assert_string_equal(port->device, "net3");
    assert_int_equal(port->mac[5], 7);
    assert_int_equal(port->link, 1);
    assert_int_equal(port->sent_frames, 1);
    assert_int_equal(port->sent_bytes, 2);
    assert_int_equal(port->received_frames, 3);
    assert_int_equal(port->received_bytes, 1ull << 40);
    assert_int_equal(port->drops[SERVICE_DROP_BUFFER], 9);
    /* They are looked at anew each time. */
    running = false;
    card.counters.sent_frames = 77;
    figures = figures_gather();
    assert_int_equal(figures->network[0].state, SERVICE_UPLINK_FAILED);
    assert_int_equal(figures->port[1].sent_frames, 77);
    running = true;
    out.link = true;
    assert_int_equal(figures_gather()->network[0].state, SERVICE_UPLINK_UP);
}

static void test_disks(void **state) {
    (void)state;
    static const struct block_class class = {.name = "nvme"};
    struct block block = {.class = &class, .serial = "S1", .counters = {.errors = 2, .resets = 1}};
    struct disk disk = {.sectors = 100, .block = 4096, .read_only = true};
    struct config_guest_disk first = {.disk = 3, .number = 7, .type = CONFIG_DISK_AHCI, .partition = 128},
                             second = {.disk = 0, .overlay = 1, .read_only = 1};
    struct disk_counters counters[2] = {{.reads = 1, .read_bytes = 512, .errors = 5}, {0}};

    config.disk_count = 4;
    config.disks[0] = (struct config_disk){.name = "memory", .memory = 4096};
    config.disks[1] = (struct config_disk){.name = "file", .file = "a.img"};
    config.disks[2] = (struct config_disk){.name = "lost", .device = "NOT-THERE"};
    config.disks[3] = (struct config_disk){.name = "device", .device = "S1"};
    figures_add_disk(0, &disk);
    figures_add_disk(1, &disk);
    figures_add_disk(2, NULL);
    figures_add_disk(3, &disk);
    figures_add_device(3, &block, "0000:00:04.0");
    figures_add_user(1, &first, &counters[0]);
    figures_add_user(2, &second, &counters[1]);
    disk_count(&counters[1], DISK_WRITE, 1024);
    disk_count(&counters[1], DISK_FLUSH, 0);
    disk_count(&counters[1], DISK_DISCARD, 4096);
    block.failed = true;
    const struct service_figures *figures = figures_gather();
    assert_int_equal(figures->disk_count, 4);
    assert_int_equal(figures->disk[0].kind, SERVICE_DISK_MEMORY);
    assert_string_equal(figures->disk[0].place, "");
    assert_int_equal(figures->disk[0].sectors, 100);
    assert_int_equal(figures->disk[0].block, 4096);
    assert_int_equal(figures->disk[0].read_only, 1);
    assert_int_equal(figures->disk[0].failed, 0);
    assert_int_equal(figures->disk[1].kind, SERVICE_DISK_FILE);
    assert_string_equal(figures->disk[1].place, "a.img");
    assert_int_equal(figures->disk[2].kind, SERVICE_DISK_DEVICE);
    assert_int_equal(figures->disk[2].there, 0);
    assert_string_equal(figures->disk[2].place, "NOT-THERE");
    assert_int_equal(figures->disk[3].there, 1);
    assert_int_equal(figures->disk[3].failed, 1);
    assert_string_equal(figures->disk[3].driver, "nvme");
    assert_string_equal(figures->disk[3].address, "0000:00:04.0");
    assert_string_equal(figures->disk[3].serial, "S1");
    assert_int_equal(figures->disk[3].errors, 2);
    assert_int_equal(figures->disk[3].resets, 1);
    assert_int_equal(figures->user_count, 2);
    const struct service_user_figures *user = figures->user;
    assert_true(user[0].disk == 3 && user[0].vm == 1 && user[0].ahci && user[0].partition == 128);
    assert_string_equal(user[0].device, "disk7");
    assert_true(user[0].reads == 1 && user[0].read_bytes == 512 && user[0].errors == 5);
    assert_true(user[1].disk == 0 && user[1].vm == 2 && !user[1].ahci && user[1].overlay &&
                user[1].read_only);
    assert_true(user[1].writes == 1 && user[1].written_bytes == 1024 && user[1].others == 2);
}

/* More than a config can have, and places that there are not. */
static void test_many(void **state) {
    (void)state;
    struct switch_port card = {.name = "net0"};
    struct config_guest_disk disk = {0};
    struct disk_counters counters = {0};
    struct block block = {0};

    assert_int_equal(switch_attach(&lan, &card), 0);
    for (unsigned i = 0; i < 2 * SERVICE_MAX_PORTS; i++) {
        figures_add_port(1, &card);
        figures_add_user(1, &disk, &counters);
    }
    figures_add_network(SERVICE_MAX_NETWORKS, &lan);
    figures_add_disk(SERVICE_MAX_DISKS, &block.disk);
    figures_add_device(SERVICE_MAX_DISKS, &block, "");
    const struct service_figures *figures = figures_gather();
    assert_int_equal(figures->port_count, SERVICE_MAX_DEVICES);
    assert_int_equal(figures->user_count, SERVICE_MAX_USERS);
    /* All is forgotten with a new start. */
    figures_init(&config);
    figures = figures_gather();
    assert_int_equal(figures->port_count, 0);
    assert_int_equal(figures->user_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_networks, setup),
        cmocka_unit_test_setup(test_disks, setup),
        cmocka_unit_test_setup(test_many, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
