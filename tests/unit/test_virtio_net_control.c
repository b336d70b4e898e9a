// SPDX-License-Identifier: Apache-2.0
// Commands to the network device: receive filters, address, offloads, announcements; and its link.
// unit-sources: virtio/net.c virtio/net_receive.c virtio/net_control.c
// unit-sources: virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "tests/unit/net_fixture.h"

static void test_broken_commands(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        setup(NULL);
        start_driver(0, VIRTIO_VERSION_1 | NET_F_CTRL_VQ);
        struct virtq_buffer *buffer = new_buffer(&rings[0][2], false);
        buffer_add(buffer, allocate(2), i == 0 ? 1 : 2, false);
        if (i == 0)
            buffer_add(buffer, allocate(1), 1, true);
        kick(0, 2);
        assert_true(record[0].status & VIRTIO_STATUS_NEEDS_RESET);
        assert_non_null(strstr(said, "command"));
    }
}

static void test_filters(void **state) {
    (void)state;
    static const uint8_t other[6] = {2, 0, 0, 0, 9, 9}, group[6] = {1, 0, 0x5e, 0, 0, 5}, on = 1, off = 0;

    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ);
    assert_true(arrives(other, -1)); /* it could not ask for it */
    assert_true(arrives(group, 77));
    assert_int_equal(command(1, 0, 0, &on, 1), 1); /* not negotiated */
    assert_int_equal(command(1, 1, 0, "\0\0\0\0\0\0\0\0", 8), 1);
    record[1].features |= NET_F_CTRL_RX;
    assert_true(arrives(mac_b, -1));
    assert_true(arrives(mac_all, -1));
    assert_false(arrives(other, -1));
    assert_false(arrives(group, -1));
    assert_int_equal(command(1, 0, 1, &on, 1), 0); /* all multicast */
    assert_true(arrives(group, -1));
    assert_int_equal(command(1, 0, 1, &off, 1), 0);
    assert_int_equal(command(1, 0, 2, &on, 1), 1); /* needs RX_EXTRA */
    record[1].features |= NET_F_CTRL_RX_EXTRA;
    assert_int_equal(command(1, 0, 2, &on, 1), 0);
    assert_true(arrives(other, -1));
    assert_int_equal(command(1, 0, 4, &on, 1), 0); /* no unicast: stronger */
    assert_false(arrives(other, -1));
    assert_false(arrives(mac_b, -1));
    assert_int_equal(command(1, 0, 5, &on, 1), 0);
    assert_false(arrives(mac_all, -1));
    assert_int_equal(command(1, 0, 0, &on, 1), 0); /* promiscuous: stronger still */
    assert_true(arrives(mac_all, -1));
    assert_true(arrives(other, -1));
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(command(1, 0, i, &off, 1), 0);
    assert_true(arrives(mac_all, -1));
    assert_false(arrives(other, -1));
    assert_int_equal(command(1, 0, 6, &on, 1), 1);
    assert_int_equal(command(1, 0, 0, "\2", 1), 1);
    assert_int_equal(command(1, 0, 0, "", 0), 1);

    uint8_t table[8 + 60 * 6] = {1, 0, 0, 0, 2, 0, 0, 0, 9, 9, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 5};
    assert_int_equal(command(1, 1, 0, table, 20), 0);
    assert_true(arrives(other, -1));
    assert_true(arrives(group, -1));
    assert_false(arrives((const uint8_t[6]){2, 0, 0, 0, 9, 8}, -1));
    assert_false(arrives((const uint8_t[6]){1, 0, 0x5e, 0, 0, 6}, -1));
    assert_int_equal(command(1, 1, 0, table, 19), 1);
    assert_int_equal(command(1, 1, 0, table, 12), 1);
    assert_int_equal(command(1, 1, 0, "\xff\xff\xff\xff", 4), 1);
    assert_true(arrives(other, -1)); /* as it was */
    memset(table, 0, sizeof(table));
    table[4] = 50; /* more multicast addresses than we keep */
    assert_int_equal(command(1, 1, 0, table, 8 + 299), 1);
    assert_int_equal(command(1, 1, 0, table, 8 + 300), 0);
    assert_true(arrives(group, -1));
    assert_false(arrives(other, -1));
    memset(table, 0, sizeof(table));
    table[0] = 30;
    assert_int_equal(command(1, 1, 0, table, 8 + 180), 0);
    assert_true(arrives(other, -1));
    assert_false(arrives(group, -1));
    memset(table, 0, sizeof(table));
    table[0] = 10; /* together they are too many */
    table[4 + 60] = 15;
    assert_int_equal(command(1, 1, 0, table, 8 + 150), 0);
    assert_true(arrives(group, -1));
    assert_false(arrives(other, -1));
    table[4 + 60] = 14;
    assert_int_equal(command(1, 1, 0, table, 8 + 144), 0);
    assert_false(arrives(group, -1));
    assert_int_equal(command(1, 1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    assert_false(arrives(other, -1));
    assert_int_equal(command(1, 9, 0, "", 0), 1);
}

static void test_vlans(void **state) {
    (void)state;
    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ);
    assert_int_equal(command(1, 2, 0, "\5\0", 2), 1);
    assert_true(arrives(mac_b, 5));
    record[1].features |= NET_F_CTRL_VLAN;
    assert_false(arrives(mac_b, 5));
    assert_true(arrives(mac_b, -1));
    assert_true(arrives(mac_b, 0)); /* a priority only */
    assert_int_equal(command(1, 2, 0, "\5\0", 2), 0);
    assert_int_equal(command(1, 2, 0, "\5\0", 2), 0);
    assert_true(arrives(mac_b, 5));
    assert_true(arrives(mac_b, 0x2005)); /* with a priority */
    assert_false(arrives(mac_b, 6));
    assert_int_equal(command(1, 2, 1, "\5\0", 2), 0);
    assert_int_equal(command(1, 2, 1, "\5\0", 2), 0);
    assert_false(arrives(mac_b, 5));
    assert_int_equal(command(1, 2, 0, "\0\x10", 2), 1);
    assert_int_equal(command(1, 2, 0, "\0", 1), 1);
    assert_int_equal(command(1, 2, 2, "\5\0", 2), 1);
    for (uint8_t i = 1; i <= 32; i++)
        assert_int_equal(command(1, 2, 0, (const uint8_t[2]){i, 0}, 2), 0);
    assert_false(arrives(mac_b, 40));
    assert_int_equal(command(1, 2, 0, "\41\0", 2), 0); /* too many: all pass */
    assert_true(arrives(mac_b, 40));
    record[1].features |= NET_F_CTRL_RX;
    assert_int_equal(command(1, 1, 0, "\0\0\0\0\0\0\0\0", 8), 0); /* does not change that */
    assert_true(arrives(mac_b, 40));
}

static void test_address(void **state) {
    (void)state;
    start_driver(0, VIRTIO_VERSION_1);
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ | NET_F_CTRL_RX);
    static const uint8_t other[6] = {2, 0, 0, 0, 9, 9};
    assert_int_equal(command(1, 1, 1, other, 6), 1);
    record[1].features |= NET_F_CTRL_MAC_ADDR;
    assert_int_equal(command(1, 1, 1, other, 5), 1);
    assert_int_equal(command(1, 1, 1, mac_all, 6), 1);
    assert_int_equal(command(1, 1, 1, other, 6), 0);
    assert_int_equal(net[1].device.class->config_read(&net[1].device, 4, 2), 0x0909);
    assert_memory_equal(net_mac(&net[1]), other, 6);
    assert_true(arrives(other, -1));
    assert_false(arrives(mac_b, -1));
    net[1].device.class->reset(&net[1].device);
    assert_memory_equal(net_mac(&net[1]), mac_b, 6);
    net[1].port.locked = true;
    assert_int_equal(command(1, 1, 1, other, 6), 1);
    assert_int_equal(command(1, 1, 1, mac_b, 6), 0);
}

static void test_offload_command(void **state) {
    (void)state;
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
    assert_int_equal(net[1].port.offloads, OFFLOAD_CSUM | OFFLOAD_TSO4);
    assert_int_equal(command(1, 5, 0, "\2\0\0\0\0\0\0\0", 8), 1);
    record[1].features |= NET_F_CTRL_GUEST_OFFLOADS;
    assert_int_equal(command(1, 5, 0, "\2\0\0\0\0\0\0\0", 8), 0);
    assert_int_equal(net[1].port.offloads, OFFLOAD_CSUM);
    assert_int_equal(command(1, 5, 0, "\x80\0\0\0\0\0\0\0", 8), 0); /* no good without the other */
    assert_int_equal(net[1].port.offloads, 0);
    assert_int_equal(command(1, 5, 0, "\2\1\0\0\0\0\0\0", 8), 1); /* TSO6 */
    assert_int_equal(command(1, 5, 0, "\2\0\0\0", 4), 1);
    assert_int_equal(command(1, 5, 0, "\x82\0\0\0\0\0\0\0", 8), 0);
    assert_int_equal(net[1].port.offloads, OFFLOAD_CSUM | OFFLOAD_TSO4);
    start_driver(1, ALL_FEATURES);
    assert_int_equal(net[1].port.offloads, OFFLOAD_CSUM | OFFLOAD_TSO4); /* as the driver has set it */
    net[1].device.class->reset(&net[1].device);
    start_driver(1, ALL_FEATURES);
    assert_int_equal(net[1].port.offloads, 0x3f);
}

static void test_link_and_announce(void **state) {
    (void)state;
    net_announce(&net[1]); /* nobody is there */
    start_driver(1, VIRTIO_VERSION_1 | NET_F_CTRL_VQ | NET_F_STATUS);
    net_announce(&net[1]);
    assert_int_equal(config_changes[1], 0);
    net_set_link(&net[1], true);
    assert_int_equal(config_changes[1], 0);
    net_set_link(&net[1], false);
    assert_int_equal(config_changes[1], 1);
    assert_int_equal(net[1].device.class->config_read(&net[1].device, 6, 2), 0);
    start_driver(0, VIRTIO_VERSION_1);
    give(1, 0, 1, 200);
    simple_packet(mac_b, mac_a);
    send_frame(0, NULL, 60);
    assert_int_equal(rings[1][0].used, 0);
    net_set_link(&net[1], true);
    assert_int_equal(config_changes[1], 2);
    assert_int_equal(command(1, 3, 0, "", 0), 1);
    record[1].features |= NET_F_GUEST_ANNOUNCE;
    net_announce(&net[1]);
    assert_int_equal(config_changes[1], 3);
    assert_int_equal(net[1].device.class->config_read(&net[1].device, 6, 1), 3);
    assert_int_equal(command(1, 3, 1, "", 0), 1);
    assert_int_equal(command(1, 3, 0, "", 0), 0);
    assert_int_equal(net[1].device.class->config_read(&net[1].device, 6, 1), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_broken_commands, setup),
        cmocka_unit_test_setup(test_filters, setup),
        cmocka_unit_test_setup(test_vlans, setup),
        cmocka_unit_test_setup(test_address, setup),
        cmocka_unit_test_setup(test_offload_command, setup),
        cmocka_unit_test_setup(test_link_and_announce, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
