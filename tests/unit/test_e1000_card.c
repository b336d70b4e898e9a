// SPDX-License-Identifier: Apache-2.0
// The emulated 82540EM, driven as Linux's driver does it: reset, EEPROM, PHY, interrupts, what it receives:
// buffers, filters and tags.
// unit-sources: virtio/e1000_card.c virtio/e1000_card_phy.c virtio/e1000_card_receive.c virtio/e1000_card_transmit.c virtio/frame.c virtio/memory.c virtio/offload.c virtio/queue_buffer.c virtio/switch.c virtio/switch_table.c
#include "tests/unit/e1000_fixture.h"

static void test_reset(void **state) {
    (void)state;
    assert_false(level);
    assert_int_equal(get(STATUS), 0x83);
    assert_int_equal(get(RAL), bytes_get32(mac_a));
    assert_int_equal(get(RAH), 0x80000000u | bytes_get16(mac_a + 4));
    set(RCTL, 2);
    set(MTA + 4, 77);
    set(RAL + 8, 5);
    set(VFTA, 3);
    set(TDT, 5);
    set(IMS, 4);
    set(ICS, 4);
    assert_true(level);
    phy(1, 4, 1, 0x1234);
    set(CTRL, get(CTRL) | 0x04000000);
    assert_int_equal(get(CTRL) & 0x04000000, 0);
    assert_false(level);
    assert_int_equal(get(RCTL) | get(MTA + 4) | get(RAL + 8) | get(VFTA) | get(TDT) | get(IMS) | get(ICR), 0);
    assert_int_equal(get(RAL), bytes_get32(mac_a));
    assert_int_equal(phy(2, 4, 1, 0) & 0xffff, 0x1234); /* the PHY goes on */
    set(CTRL, get(CTRL) | 0x80000000);
    assert_int_equal(get(CTRL) & 0x80000000, 0);
    assert_int_equal(phy(2, 4, 1, 0) & 0xffff, 0x01e1);
    /* What is no register, and accesses that are not of 4 bytes. */
    assert_int_equal(get(0x3ffc) | get(0x5ffc), 0);
    set(0x3ffc, 1);
    set(RDBAL, 0x12345678);
    assert_int_equal(get(RDBAL), 0x12345670);
    assert_int_equal(e1000_card_read(&card, 0, RDBAL, 8), 0);
    assert_int_equal(e1000_card_read(&card, 0, RDBAL + 1, 4), 0);
    assert_int_equal(e1000_card_read(&card, 1, RDBAL, 4), 0);
    e1000_card_write(&card, 0, RDBAL, 2, 0);
    e1000_card_write(&card, 0, MTA + 2, 4, 1);
    assert_int_equal(get(RDBAL), 0x12345670);
}

static void test_eeprom(void **state) {
    uint16_t sum = 0;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        uint16_t word = eeprom_by_pins(i);
        sum = (uint16_t)(sum + word);
        set(EERD, i << 8 | 1);
        assert_true(get(EERD) & 0x10);
        assert_int_equal(get(EERD) >> 16, word);
        if (i < 3)
            assert_int_equal(word, bytes_get16(mac_a + 2 * i));
    }
    assert_int_equal(sum, 0xbaba);
    assert_int_equal(get(EECD) & 0x200, 0); /* it is a small one */
    /* A command that it has not is not answered. */
    eecd(0x42);
    for (unsigned i = 0; i < 40; i++) {
        eecd(0x46);
        assert_int_equal(eecd(0x47) & 8, 0);
    }
}

static void test_phy(void **state) {
    (void)state;
    assert_int_equal(phy(2, 2, 1, 0) & 0xffff, 0x0141);
    assert_int_equal(phy(2, 3, 1, 0) & 0xfff0, 0x0c20);
    assert_int_equal(phy(2, 1, 1, 0) & 0x24, 0x24); /* negotiated, link */
    phy(1, 1, 1, 0);
    assert_int_equal(phy(2, 1, 1, 0) & 0x24, 0x24);
    phy(1, 0, 1, 0x9340); /* reset; restart of the negotiation */
    assert_int_equal(phy(2, 0, 1, 0) & 0xffff, 0x1140);
    phy(1, 0, 1, 0x1340);
    assert_int_equal(phy(2, 0, 1, 0) & 0xffff, 0x1140);
    assert_true(phy(2, 2, 2, 0) & 0x40000000); /* nobody there */
    assert_false(phy(2, 2, 1, 0) & 0x40000000);
    assert_true(phy(3, 2, 1, 0) & 0x40000000);
    assert_int_equal(get(ICR), 0);
    phy(8 | 2, 2, 1, 0);
    assert_int_equal(get(ICR), 0x200);
}

static void test_interrupts(void **state) {
    (void)state;
    set(ICS, 0x84);
    assert_false(level);
    set(IMS, 0x80);
    assert_true(level);
    set(ICR, 0x80);
    assert_false(level);
    assert_int_equal(get(ICR), 0x04);
    assert_int_equal(get(ICR), 0);
    set(ICS, 0x80);
    assert_true(level);
    assert_int_equal(get(ICR), 0x80);
    assert_false(level);
    set(ICS, 0x80);
    set(IMC, 0xffffffff);
    assert_false(level);
    set(IMS, 0x01);
    assert_false(level);
    set(IMS, 0x80);
    assert_true(level);
    assert_int_equal(get(IMS), 0x81);
    /* The line is what it was after a restart. */
    level = false;
    start();
    assert_true(level);
}

static void test_receive(void **state) {
    (void)state;
    plain_packet(mac_a, mac_b, 200);
    peer_sends(200); /* nobody listens */
    assert_int_equal(card.port.counters.drops[SWITCH_DROP_LINK], 1);
    start_rings();
    set(IMS, 0x80);
    peer_sends(200);
    assert_true(level);
    assert_int_equal(get(ICR), 0x80);
    assert_int_equal(get(RDH), 1);
    assert_int_equal(bytes_get16(received(0) + 8), 204); /* with a CRC */
    assert_int_equal(received(0)[12], 0x07);             /* done, end, no checksums */
    assert_memory_equal(ram + BUFFERS, packet, 200);
    assert_true(written[RX_RING / 4096] && written[BUFFERS / 4096]);
    assert_int_equal(get(GPRC), 1);
    assert_int_equal(get(GORCL), 204);
    assert_int_equal(get(GORCH), 0);
    assert_int_equal(get(GORCL), 0);
    /* Short ones are filled up; without CRC if that is not wanted. */
    memset(ram + BUFFERS + 2048, 0xee, 2048);
    peer_sends(20);
    assert_int_equal(bytes_get16(received(1) + 8), 64);
    assert_int_equal(ram[BUFFERS + 2048 + 19], packet[19]);
    assert_int_equal(ram[BUFFERS + 2048 + 20], 0);
    assert_int_equal(ram[BUFFERS + 2048 + 63], 0);
    assert_int_equal(ram[BUFFERS + 2048 + 64], 0xee);
    set(RCTL, get(RCTL) | 0x04000000);
    peer_sends(100);
    assert_int_equal(bytes_get16(received(2) + 8), 100);
    /* In pieces: buffers of 256 bytes. */
    plain_packet(mac_a, mac_b, 1514);
    set(RCTL, 0x00038002);
    peer_sends(1514);
    assert_int_equal(get(RDH), 9);
    for (unsigned i = 3; i < 9; i++) {
        assert_int_equal(received(i)[12], i < 8 ? 0x05 : 0x07);
        assert_int_equal(bytes_get16(received(i) + 8), i < 8 ? 256 : 1518 - 5 * 256);
        assert_memory_equal(ram + BUFFERS + 2048 * i, packet + 256 * (i - 3), i < 8 ? 256 : 1514 - 5 * 256);
    }
    /* Six more do not fit after these: none is touched. The next small one does. */
    peer_sends(1514);
    assert_int_equal(get(RDH), 15);
    get(ICR);
    peer_sends(1514);
    assert_int_equal(get(RDH), 15);
    assert_int_equal(get(MPC), 1);
    assert_int_equal(card.port.counters.drops[SWITCH_DROP_BUFFER], 1);
    assert_int_equal(get(ICR), 0x40);
    set(RDT, 4);
    peer_sends(100);
    assert_int_equal(get(RDH), 0);
    assert_int_equal(get(ICR), 0x90); /* received, and few are left */
    start();
    peer_sends(100);
    assert_int_equal(get(RDH), 1);
}

static bool arrives(const uint8_t *to) {
    uint32_t head = get(RDH);

    plain_packet(to, mac_b, 100);
    set(RDT, (head + RING_SIZE - 1) % RING_SIZE);
    peer_sends(100);
    return get(RDH) != head;
}

static void test_filters(void **state) {
    static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x00, 0x01, 0x22}, other[6] = {2, 3, 4, 5, 6, 7};

    (void)state;
    start_rings();
    assert_true(arrives(mac_a));
    assert_true(arrives(mac_all));
    assert_false(arrives(other));
    assert_false(arrives(group));
    set(RCTL, 0x0000800a);
    assert_true(arrives(other));
    assert_false(arrives(group));
    set(RCTL, 0x00000012);
    assert_false(arrives(other));
    assert_true(arrives(group));
    assert_true(arrives(mac_all)); /* which is one of a group */
    set(RCTL, 0x00000002);
    assert_false(arrives(mac_all));
    /* By hash, of each kind. */
    static const unsigned shift[4] = {4, 3, 2, 0};
    for (unsigned i = 0; i < 4; i++) {
        unsigned hash = (group[5] << 8 | group[4]) >> shift[i] & 0xfff;
        set(RCTL, 0x00000002 | i << 12);
        assert_false(arrives(group));
        set(MTA + hash / 32 * 4, 1u << hash % 32);
        assert_true(arrives(group));
        set(MTA + hash / 32 * 4, 0);
    }
    /* By a second address, once it is valid. */
    set(RAL + 8, bytes_get32(other));
    set(RAH + 8, bytes_get16(other + 4));
    assert_false(arrives(other));
    set(RAH + 8, 0x80000000u | bytes_get16(other + 4));
    assert_true(arrives(other));
}

static void test_tags(void **state) {
    (void)state;
    start_rings();
    plain_packet(mac_a, mac_b, 200);
    frame_put32(packet + 12, 0x81002042);
    peer_sends(200);
    assert_int_equal(bytes_get16(received(0) + 8), 204);
    assert_int_equal(received(0)[12], 0x07);
    set(CTRL, 0x40000000);
    peer_sends(200);
    assert_int_equal(bytes_get16(received(1) + 8), 200);
    assert_int_equal(received(1)[12], 0x0f);
    assert_int_equal(bytes_get16(received(1) + 14), 0x2042);
    assert_memory_equal(ram + BUFFERS + 2048, packet, 12);
    assert_memory_equal(ram + BUFFERS + 2048 + 12, packet + 16, 184);
    set(RCTL, 0x00048002);
    peer_sends(200);
    assert_int_equal(get(RDH), 2);
    set(VFTA + 4 * 2, 1u << 2);
    peer_sends(200);
    assert_int_equal(get(RDH), 3);
    /* In pieces, whose first ends within what is cut. */
    set(RCTL, 0x00038002);
    peer_sends(500);
    assert_int_equal(get(RDH), 5);
    assert_memory_equal(ram + BUFFERS + 3 * 2048 + 12, packet + 16, 244);
    assert_memory_equal(ram + BUFFERS + 4 * 2048, packet + 260, 240);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_reset),   TEST(test_eeprom),  TEST(test_phy),  TEST(test_interrupts),
        TEST(test_receive), TEST(test_filters), TEST(test_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
