// SPDX-License-Identifier: Apache-2.0
// The shell's networks, disks and rates: what is shown of the service VM's figures, also of numbers that
// cannot be.
// unit-sources: service/shell.c service/shell_line.c service/shell_commands.c service/shell_edit.c service/shell_balloon.c service/shell_figures.c lib/config*.c lib/dts*.c lib/pci.c core/console.c core/log.c
#include "tests/unit/shell_fixture.h"

static void lines_fit(const char *text) {
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        assert_true(end - text <= 80);
}

static void fill_figures(void) {
    memset(&figures, 0, sizeof(figures));
    figures.network_count = 3;
    figures.network[0] = (struct service_network_figures){.name = "lan",
                                                          .uplink = "00:03.0",
                                                          .driver = "virtio-net",
                                                          .address = "0000:00:03.0",
                                                          .state = SERVICE_UPLINK_UP};
    figures.network[1] = (struct service_network_figures){.name = "inside"};
    figures.network[2] = (struct service_network_figures){
        .name = "lost", .uplink = "52:54:00:12:34:56", .state = SERVICE_UPLINK_MISSING};
    figures.port_count = 2;
    figures.port[0] = (struct service_port_figures){.vm = SERVICE_NO_VM,
                                                    .mac = {0x52, 0x54, 0, 0, 0, 1},
                                                    .link = 1,
                                                    .sent_frames = 12,
                                                    .sent_bytes = 9999};
    figures.port[1] =
        (struct service_port_figures){.vm = 0,
                                      .device = "net0",
                                      .mac = {0x52, 0x54, 0, 0, 0, 2},
                                      .received_frames = 100,
                                      .received_bytes = 10240,
                                      .sent_frames = 20,
                                      .sent_bytes = 3ull << 30,
                                      .drops = {[SERVICE_DROP_LINK] = 7, [SERVICE_DROP_BUFFER] = 1}};
    figures.disk_count = 4;
    figures.disk[0] = (struct service_disk_figures){
        .name = "data", .there = 1, .sectors = 65536, .block = 512, .kind = SERVICE_DISK_MEMORY};
    figures.disk[1] = (struct service_disk_figures){.name = "system",
                                                    .place = "a/disk.img",
                                                    .there = 1,
                                                    .read_only = 1,
                                                    .sectors = 3,
                                                    .block = 512,
                                                    .kind = SERVICE_DISK_FILE};
    figures.disk[2] = (struct service_disk_figures){.name = "own",
                                                    .place = "S1",
                                                    .driver = "nvme",
                                                    .address = "0000:01:00.0",
                                                    .serial = "S1",
                                                    .there = 1,
                                                    .failed = 1,
                                                    .resets = 1,
                                                    .errors = 4,
                                                    .sectors = UINT64_MAX,
                                                    .block = 4096,
                                                    .kind = SERVICE_DISK_DEVICE};
    figures.disk[3] =
        (struct service_disk_figures){.name = "gone", .place = "S2", .kind = SERVICE_DISK_DEVICE};
    figures.user_count = 2;
    figures.user[0] = (struct service_user_figures){
        .disk = 1, .vm = 0, .device = "disk0", .reads = 5, .read_bytes = 2560, .overlay = 1, .partition = 2};
    figures.user[1] = (struct service_user_figures){.disk = 1,
                                                    .vm = 1,
                                                    .device = "disk7",
                                                    .ahci = 1,
                                                    .read_only = 1,
                                                    .writes = 6,
                                                    .written_bytes = 512,
                                                    .others = 3,
                                                    .errors = 1};
}

static void test_figures(void **state) {
    (void)state;
    machine();
    fill_figures();
    assert_string_equal(command("net"),
                        "lan: uplink 00:03.0, virtio-net at 0000:00:03.0, link\n"
                        "  PORT           MAC               LINK      SENT           RECEIVED         \n"
                        "  (uplink)       52:54:00:00:00:01 up          12   9999 B         0      0 B\n"
                        "  web net0       52:54:00:00:00:02 down        20  3.0 GiB       100   10 KiB\n"
                        "      dropped: no link 7, no buffer 1\n"
                        "inside: no uplink\n"
                        "lost: uplink 52:54:00:12:34:56, not there\n");
    lines_fit(command("net"));
    assert_string_equal(
        command("disks"),
        "data: memory, 32 MiB, blocks of 512 bytes\n"
        "system: file a/disk.img, 1536 B, blocks of 512 bytes, read-only\n"
        "  web disk0: virtio, partition 2, overlay\n"
        "      reads 5 (2560 B), writes 0 (0 B), others 0, errors 0\n"
        "  database disk7: AHCI, read-only\n"
        "      reads 0 (0 B), writes 6 (512 B), others 3, errors 1\n"
        "own: nvme at 0000:01:00.0, serial number \"S1\", 15 EiB, blocks of 4096 bytes, has failed\n"
        "  its driver: 1 resets, 4 errors\n"
        "gone: device S2, cannot be used\n");
    memset(&figures, 0, sizeof(figures));
    assert_string_equal(command("net"), "there are no networks\n");
    assert_string_equal(command("disks"), "there are no disks\n");
}

/* Rates in `vms`: since the guest was last shown; counts begin at 0 again with the service VM. */
static void test_rates(void **state) {
    (void)state;
    machine();
    fill_figures();
    test_time = 10000000000ull; /* the machine has run for 10 s */
    assert_non_null(strstr(command("vms"), "    devices: 11.9 packets/s, 0.4 disk requests/s\n"));
    test_time += 2000000000;
    figures.port[1].sent_frames += 1000;
    figures.user[0].writes += 31;
    const char *text = command("vms web");
    assert_non_null(strstr(text, "    devices: 499.7 packets/s, 15.4 disk requests/s\n"));
    lines_fit(text);
    /* It was started again. */
    test_time += 1000000000;
    figures.port[1].sent_frames = 0;
    figures.user[0].writes = 0;
    assert_non_null(strstr(command("vms web"), "    devices: 99.9 packets/s, 4.9 disk requests/s\n"));
    /* data-2 has no devices; numbers that cannot be are shown, too. */
    assert_null(strstr(command("vms data-2"), "devices:"));
    figures.port[1].sent_frames = figures.port[1].sent_bytes = UINT64_MAX;
    assert_non_null(strstr(command("vms web"), " packets/s"));
    test_time = 0;
}

/* Whatever the counts are, lines come out whole. */
static void test_random_figures(void **state) {
    (void)state;
    machine();
    srand(2);
    for (unsigned n = 0; n < 50; n++) {
        uint8_t *bytes = (uint8_t *)&figures;
        for (size_t i = 0; i < sizeof(figures); i++)
            bytes[i] = (uint8_t)(rand() >> 7);
        figures.network_count = figures.port_count = figures.disk_count = figures.user_count = 3;
        for (unsigned i = 0; i < 3; i++) {
            memset(&figures.network[i], 'x', offsetof(struct service_network_figures, state));
            figures.network[i].name[35] = figures.network[i].uplink[31] = '\0';
            figures.network[i].driver[15] = figures.network[i].address[15] = '\0';
            figures.network[i].state %= SERVICE_UPLINKS;
            figures.port[i].network = (uint16_t)(n % 3);
            figures.port[i].vm = i == 0 ? SERVICE_NO_VM : (uint16_t)i;
            strcpy(figures.port[i].device, "net7");
            struct service_disk_figures *disk = &figures.disk[i];
            memset(disk, 'y', offsetof(struct service_disk_figures, kind));
            disk->name[35] = disk->place[203] = disk->driver[15] = '\0';
            disk->address[15] = disk->serial[67] = '\0';
            disk->kind %= SERVICE_DISK_KINDS;
            figures.user[i].disk = (uint16_t)(n % 3);
            figures.user[i].vm = (uint16_t)i;
            strcpy(figures.user[i].device, "disk7");
        }
        command("net");
        command("disks");
        command("vms");
    }
}

static int setup(void **state) {
    (void)state;
    console_add_device(&capture_device);
    shell_init(&board);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_random_figures),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
