// SPDX-License-Identifier: Apache-2.0
// The driver of Intel's 82540EM and 82574L, on cards that the test plays: start and stop, frames both ways,
// interrupts, link, full rings, descriptors that lie, cards that hang, do not come out of a reset or are
// gone.
// unit-sources: drivers/net/e1000.c drivers/net/e1000_card.c virtio/frame.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/e1000_nic_fixture.h"
#include "virtio/offload.h"

/* ---- start and stop */

static void test_matches(void **state) {
    (void)state;
    assert_true(nic->class->matches(&device));
    function.config[0] ^= 1;
    assert_false(nic->class->matches(&device));
    assert_int_equal(nic->class->probe(nic), -ENOTSUP);
    function.config[0] ^= 1;
    function.config[2] ^= 1;
    assert_false(nic->class->matches(&device));
    assert_true(nic->class->size >= sizeof(struct nic));
}

static void test_probe(void **state) {
    (void)state;
    assert_int_equal(nic->class->probe(nic), 0);
    assert_memory_equal(nic->mac, card_mac, 6);
    assert_int_equal(nic->mtu, 1500);
    assert_int_equal(nic->offloads, OFFLOAD_CSUM);
    assert_int_equal(*reg(E1000_RCTL) & RCTL_EN, 0);
    assert_int_equal(*reg(E1000_IMS), 0);
    assert_false(card.master);
    assert_int_equal(card.resets, 1);
}

static void test_mac_elsewhere(void **state) {
    static const uint8_t group[6] = {0x53, 1, 2, 3, 4, 5}, none[6];

    (void)state;
    card.eeprom[63]++; /* no valid EEPROM: what is in the first address filter */
    *reg(E1000_RAL0) = 0x44332252;
    *reg(E1000_RAH0) = 0x80006655;
    assert_int_equal(nic->class->probe(nic), 0);
    assert_memory_equal(nic->mac, "\x52\x22\x33\x44\x55\x66", 6);
    card.eerd_stays = true;
    *reg(E1000_RAH0) = 0x80007755;
    assert_int_equal(nic->class->probe(nic), 0);
    assert_int_equal(nic->mac[5], 0x77);
    *reg(E1000_RAH0) = 0x7755; /* not valid */
    assert_int_equal(nic->class->probe(nic), -EIO);
    assert_non_null(nic->why);
    card.eerd_stays = false;
    set_eeprom(group);
    assert_int_equal(nic->class->probe(nic), -EIO);
    set_eeprom(none);
    assert_int_equal(nic->class->probe(nic), -EIO);
}

static void test_no_start(void **state) {
    (void)state;
    card.no_map = true;
    assert_int_equal(nic->class->probe(nic), -EIO);
    assert_non_null(nic->why);
    card.master = true;
    nic->class->stop(nic);
    assert_false(card.master);
    card.no_map = false;
    card.reset_stays = true;
    uint64_t before = test_now;
    assert_int_equal(nic->class->probe(nic), -ETIMEDOUT);
    assert_true(test_now - before < 1000000000);
    card.reset_stays = false;
    card.gone = true;
    assert_int_equal(nic->class->probe(nic), -EIO);
    assert_string_equal(nic->why, "the card is gone");
    card.gone = false;
    assert_int_equal(nic->class->probe(nic), 0);
    card.no_memory = true;
    assert_int_equal(nic->class->start(nic), -ENOMEM);
    assert_false(card.master);
    card.no_memory = false;
    assert_int_equal(nic->class->start(nic), 0);
    assert_true(card.master && nic->link);
    assert_int_equal(nic->counters.starts, 2);
}

static void test_nvm_is_not_read(void **state) {
    (void)state;
    card.keeps = true;
    *reg(E1000_EECD) = 0;
    assert_int_equal(nic->class->probe(nic), card.express ? -ETIMEDOUT : 0);
}

static void test_set_up(void **state) {
    (void)state;
    assert_int_equal(*reg(E1000_RCTL), 0x0400801a);
    assert_int_equal(*reg(E1000_TCTL), card.express ? 0x300400fa : 0x000400fa);
    assert_int_equal(*reg(E1000_RDT), 255);
    assert_int_equal(*reg(E1000_RAL0), 0x12005452);
    assert_int_equal(*reg(E1000_RAH0), 0x80005634);
    assert_int_equal(*reg(E1000_CTRL) & (CTRL_SLU | CTRL_GIO_MASTER_DISABLE), CTRL_SLU);
    assert_int_equal(*reg(E1000_IMS), card.express ? 0x011000d4 : 0xd4);
    assert_int_equal(*reg(E1000_IVAR), card.express ? IVAR_ALL_TO_0 : 0);
    assert_int_equal(!!(*reg(E1000_CTRL_EXT) & CTRL_EXT_DRV_LOAD), card.express);
    nic->class->stop(nic);
    assert_false(card.master || nic->link);
    assert_int_equal(card.unmasks, 2); /* start() and stop() */
    assert_int_equal((*reg(E1000_RCTL) | *reg(E1000_TCTL)) & RCTL_EN, 0);
    assert_int_equal(*reg(E1000_CTRL_EXT) & CTRL_EXT_DRV_LOAD, 0);
    assert_int_equal(send(100, 0), -ENETDOWN);
    assert_false(nic->class->poll(nic, 1));
    nic->class->flush(nic);
    nic->class->tick(nic);
    assert_int_equal(*reg(E1000_IMS), 0);
}

/* A card that keeps its registers through a reset comes up all the same, in the middle of work. */
static void test_start_again(void **state) {
    uint8_t data[100];

    (void)state;
    card.keeps = true;
    for (unsigned round = 0; round < 3; round++) {
        make(data, sizeof(data), round);
        card.stuck = true;
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(send(64 + i, i), 0);
        nic->class->flush(nic);
        assert_true(card_receive(data, sizeof(data)));
        assert_true(card_write(data, 0, 2048, 1)); /* a frame's first piece */
        if (round == 1) {
            assert_false(nic->class->poll(nic, 1));
            got_count--;
        }
        nic->class->stop(nic);
        card.stuck = false;
        size_t before = arena_used;
        assert_int_equal(nic->class->start(nic), 0);
        assert_int_equal(arena_used, before); /* its memory is what it had */
        assert_int_equal(*reg(E1000_CTRL) & CTRL_GIO_MASTER_DISABLE, 0);
        assert_false(nic->class->poll(nic, 0));
        assert_int_equal(got_count, round);
        assert_int_equal(card.sent_count, round);
        assert_true(card_receive(data, sizeof(data)));
        assert_int_equal(send(200, round), 0);
        nic->class->flush(nic);
        assert_false(nic->class->poll(nic, 1));
        assert_int_equal(got_count, round + 1);
        assert_memory_equal(got[round], data, sizeof(data));
        assert_int_equal(card.sent_size[round], 200);
    }
}

/* ---- sending */

static void test_send(void **state) {
    static const uint32_t sizes[] = {14, 15, 59, 60, 61, 96, 97, 1514, 1522};
    uint8_t data[E1000_BUFFER];
    struct frame frame;

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(send(sizes[i], i), 0);
        assert_int_equal(card.sent_count, 0);
    }
    nic->class->flush(nic);
    assert_int_equal(card.sent_count, 9);
    for (unsigned i = 0; i < 9; i++) {
        memset(data, 0, sizeof(data));
        make(data, sizes[i], i);
        assert_int_equal(card.sent_size[i], sizes[i] < 60 ? 60 : sizes[i]);
        assert_memory_equal(card.sent[i], data, card.sent_size[i]);
    }
    assert_false(nic->class->poll(nic, 0));
    assert_int_equal(nic->counters.sent, 9);

    assert_int_equal(send(13, 0), -EMSGSIZE);
    assert_int_equal(send(1523, 0), -EMSGSIZE);
    assert_int_equal(send(65589, 0), -EMSGSIZE);
    frame_from_memory(&frame, data, 1000);
    frame.offload.gso_type = FRAME_GSO_TCPV4;
    assert_int_equal(nic->class->send(nic, &frame), -EMSGSIZE);
    frame.offload.gso_type = 0;
    frame.memory = NULL;
    frame.buffer = (const struct virtq_buffer *)(const void *)data; /* ends early */
    assert_int_equal(nic->class->send(nic, &frame), -EMSGSIZE);
    nic->class->flush(nic);
    assert_int_equal(card.sent_count, 9);
}

static void test_checksum(void **state) {
    static const struct {
        uint16_t size, start, offset;
    } sums[] = {{1000, 34, 16}, {59, 34, 16}, {60, 34, 6}, {1522, 62, 16}, {257, 14, 241}, {1001, 255, 0}};

    (void)state;
    for (unsigned i = 0; i < 30; i++) { /* each twice, one without between them */
        unsigned j = i / 3 % 6;
        if (i % 3 == 1)
            assert_int_equal(send(100, i), 0);
        else
            assert_int_equal(send_sum(sums[j].size, i, sums[j].start, sums[j].offset), 0);
    }
    nic->class->flush(nic);
    assert_int_equal(card.sent_count, 30);
    for (unsigned i = 0; i < 30; i++) {
        unsigned j = i / 3 % 6;
        if (i % 3 != 1)
            check_sum(i, sums[j].size, i, sums[j].start, sums[j].start + sums[j].offset);
    }
    assert_int_equal(card.contexts, 8); /* the second kind, a short one, needs none */
    assert_false(nic->class->poll(nic, 0));
    assert_int_equal(nic->counters.sent, 30);

    assert_int_equal(send_sum(1000, 0, 13, 16), -EMSGSIZE);
    assert_int_equal(send_sum(1000, 0, 240, 16), -EMSGSIZE);
    assert_int_equal(send_sum(1000, 0, 0xfff0, 16), -EMSGSIZE);
    assert_int_equal(send_sum(1000, 0, 0xffff, 0xffff), -EMSGSIZE);
    assert_int_equal(send_sum(101, 0, 84, 16), -EMSGSIZE);
    for (unsigned i = 0; i < 20; i++) /* short ones of all sizes */
        assert_int_equal(send_sum(40 + i, i, 20 + i, 6), 0);
    nic->class->flush(nic);
    for (unsigned i = 0; i < 20; i++)
        check_sum(30 + i, 40 + i, i, 20 + i, 26 + i);
    assert_int_equal(card.contexts, 8);
    assert_int_equal(send_sum(102, 0, 84, 16), 0);
    nic->class->stop(nic);
    assert_int_equal(nic->class->start(nic), 0);
    assert_int_equal(send_sum(102, 0, 84, 16), 0); /* the card has forgotten the context */
    nic->class->flush(nic);
    check_sum(50, 102, 0, 84, 100);
}

static void test_checksum_full(void **state) {
    (void)state;
    card.stuck = true;
    for (unsigned i = 0; i < 127; i++)
        assert_int_equal(send_sum(200, i, i % 2 ? 34 : 54, 16), 0);
    assert_int_equal(send_sum(200, 0, 34, 16), -ENOBUFS);
    assert_int_equal(send_sum(200, 127, 54, 16), 0); /* the context of the last one: one descriptor */
    assert_int_equal(send(200, 0), -ENOBUFS);
    nic->class->flush(nic);
    card.stuck = false;
    card_send();
    for (unsigned i = 0; i < 400; i++) { /* over the ring's end in all places */
        assert_int_equal(send_sum(200, i, i % 3 ? 34 : 54, 16), 0);
        nic->class->flush(nic);
    }
    assert_int_equal(card.sent_count, 528);
    for (unsigned i = 0; i < 127; i++)
        check_sum(i, 200, i, i % 2 ? 34 : 54, i % 2 ? 50 : 70);
    for (unsigned i = 0; i < 400; i++)
        check_sum(128 + i, 200, i, i % 3 ? 34 : 54, i % 3 ? 50 : 70);
    nic->class->poll(nic, 0);
    assert_int_equal(nic->counters.sent, 528);
}

/* A sum of 0 is written as its other form, since 0 means none in UDP. */
static void test_checksum_zero(void **state) {
    uint8_t data[50] = {[40] = 0xff, [41] = 0xff};
    struct frame frame;

    (void)state;
    frame_from_memory(&frame, data, sizeof(data));
    frame.offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 10};
    assert_int_equal(nic->class->send(nic, &frame), 0);
    nic->class->flush(nic);
    assert_memory_equal(card.sent[0] + 44, "\xff\xff", 2);
}

/* What pads a short frame is nothing of an earlier one. */
static void test_padding(void **state) {
    (void)state;
    for (unsigned i = 0; i < E1000_RING; i++) {
        assert_int_equal(send(1000, 1), 0);
        nic->class->flush(nic);
    }
    assert_int_equal(send(20, 1), 0);
    nic->class->flush(nic);
    for (unsigned i = 20; i < 60; i++)
        assert_int_equal(card.sent[E1000_RING][i], 0);
}

static void test_send_full(void **state) {
    (void)state;
    card.stuck = true;
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(send(60 + i, i), 0);
    assert_int_equal(send(60, 0), -ENOBUFS);
    nic->class->flush(nic);
    assert_int_equal(send(60, 0), -ENOBUFS);
    assert_int_equal(nic->counters.full, 2);
    card.stuck = false;
    card_send();
    assert_int_equal(send(1000, 9), 0); /* takes back by itself */
    assert_int_equal(nic->counters.sent, 255);
    nic->class->flush(nic);
    assert_int_equal(card.sent_count, 256);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(card.sent_size[i], 60 + i);
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(send(100, i), 0);
        nic->class->flush(nic);
    }
    assert_int_equal(card.sent_count, 856);
}

/* A card that says of descriptors that it does not have yet that they are done. */
static void test_done_before_told(void **state) {
    (void)state;
    card.stuck = true;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(send(60, i), 0);
    for (unsigned i = 0; i < E1000_RING; i++)
        e1000.send.descriptor[i].status = 0xffffffff;
    nic->class->poll(nic, 0);
    assert_int_equal(nic->counters.sent, 0);
    nic->class->flush(nic);
    nic->class->poll(nic, 0);
    assert_int_equal(nic->counters.sent, 10);
    nic->class->poll(nic, 0);
    assert_int_equal(nic->counters.sent, 10);
}

static void test_hang(void **state) {
    (void)state;
    for (unsigned i = 0; i < 100; i++) { /* nothing to do is no hang */
        test_now += 1000000000;
        nic->class->tick(nic);
    }
    assert_false(nic->failed);
    card.stuck = true;
    test_now += 100000000000; /* nor is it one to have been idle */
    assert_int_equal(send(60, 0), 0);
    nic->class->flush(nic);
    nic->class->tick(nic);
    assert_false(nic->failed);
    card_link(false); /* nor is no link */
    for (unsigned i = 0; i < 100; i++) {
        test_now += 1000000000;
        nic->class->tick(nic);
    }
    assert_false(nic->failed || nic->link);
    card_link(true);
    nic->class->tick(nic);
    assert_true(nic->link);
    changes = 0;
    for (unsigned i = 0; i < 4; i++) {
        test_now += 1000000000;
        nic->class->tick(nic);
        assert_false(nic->failed);
        assert_int_equal(send(60, 0), 0);
        nic->class->flush(nic);
    }
    test_now += 2000000000;
    nic->class->tick(nic);
    assert_true(nic->failed && changes == 1 && nic->why);
    nic->class->tick(nic);
    assert_int_equal(changes, 1);
    assert_int_equal(send(60, 0), -ENETDOWN);
    nic->class->stop(nic);
    card.stuck = false;
    assert_int_equal(nic->class->start(nic), 0);
    assert_true(!nic->failed && nic->link && !nic->why);
    assert_int_equal(send(77, 0), 0);
    nic->class->flush(nic);
    assert_int_equal(card.sent_size[card.sent_count - 1], 77);
}

/* ---- receiving */

static void test_receive(void **state) {
    static const uint32_t sizes[] = {14, 60, 1514, 1522};
    uint8_t data[E1000_BUFFER];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        make(data, sizes[i], i);
        assert_true(card_receive(data, sizes[i]));
    }
    assert_int_equal(card.messages, 1);
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(got_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        make(data, sizes[i], i);
        assert_int_equal(got_size[i], sizes[i]);
        assert_memory_equal(got[i], data, sizes[i]);
    }
    assert_int_equal(nic->counters.received, 4);
    assert_int_equal(nic->counters.interrupts, 1);
    assert_int_equal(card.messages, 1);
    assert_true(card_receive(data, 60));
    assert_int_equal(card.messages, 2);
    assert_int_equal(card.unmasks, 2); /* start() and poll() */
    nic->class->poll(nic, 1);
    const unsigned mine = card.mine;
    assert_in_range(mine, 2, 3);
    nic->class->poll(nic, 1); /* another's on the line */
    assert_int_equal(card.unmasks, 4);
    assert_int_equal(card.mine, mine);
}

static void test_receive_full(void **state) {
    uint8_t data[100] = {0};

    (void)state;
    for (unsigned i = 0; i < 255; i++)
        assert_true(card_receive(data, 60));
    assert_false(card_receive(data, 60));
    for (unsigned i = 1; i <= 3; i++) { /* a budget, and no interrupt meanwhile */
        assert_true(nic->class->poll(nic, i == 1));
        assert_int_equal(got_count, i * NIC_BUDGET);
        assert_int_equal(*reg(E1000_IMS), 0);
    }
    assert_true(card_receive(data, 61)); /* during the poll: seen by this one, or told */
    assert_true(nic->class->poll(nic, 0));
    assert_false(nic->class->poll(nic, 0));
    assert_int_equal(got_count, 256);
    assert_int_not_equal(*reg(E1000_IMS), 0);
    for (unsigned i = 0; i < 1000; i++) {
        got_count = 0;
        assert_true(card_receive(data, 60 + i % 40));
        assert_false(nic->class->poll(nic, 1));
        assert_int_equal(got_size[0], 60 + i % 40);
    }
}

static void test_hostile(void **state) {
    static const struct {
        uint32_t length, status;
    } wrong[] = {
        {0, 3},
        {13, 3},
        {1523, 3},
        {2049, 3},
        {0xffff, 3},
        {100, 0x0103},
        {100, 0x203},
        {100, 0x0403},
        {100, 0x1003},
        {100, 0x8003},
        {0xffffffff, 0xffffffff},
    };
    uint8_t data[E1000_BUFFER] = {0};
    unsigned count = sizeof(wrong) / sizeof(wrong[0]);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        assert_true(card_write(data, 0, wrong[i].length, wrong[i].status));
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(got_count, 0);
    assert_int_equal(nic->counters.dropped, count);
    /* in several buffers, even over two polls */
    assert_true(card_write(data, 0, 2048, 1));
    assert_false(nic->class->poll(nic, 1));
    assert_true(card_write(data, 0, 2048, 1));
    assert_true(card_write(data, 0, 100, 3));
    assert_true(card_receive(data, 64));
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(nic->counters.dropped, count + 1);
    assert_int_equal(got_count, 1);
    /* all of the ring at once, for ever */
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned j = 0; j < E1000_RING; j++) {
            e1000.receive.descriptor[j].status = 0xffffffff;
            e1000.receive.descriptor[j].length = 0xffffffff;
            e1000.receive.descriptor[j].address_low = 0xdeadbeef;
        }
        assert_true(nic->class->poll(nic, 0));
    }
    assert_int_equal(got_count, 1);
    nic->class->stop(nic);
    assert_int_equal(nic->class->start(nic), 0);
    assert_true(card_receive(data, 64));
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(got_count, 2);
}

static void test_stop_in_callback(void **state) {
    uint8_t data[64] = {0};

    (void)state;
    assert_true(card_receive(data, 64));
    assert_true(card_receive(data, 64));
    stops_in_callback = true;
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(got_count, 1);
    assert_int_equal(*reg(E1000_IMS), 0);
    assert_int_equal(*reg(E1000_RDT), 0);
}

/* ---- link, interrupts, loss */

static void test_link(void **state) {
    (void)state;
    card_link(false);
    assert_int_equal(card.messages, 1);
    assert_false(nic->class->poll(nic, 1));
    assert_true(!nic->link && changes == 1);
    assert_int_equal(send(60, 0), -ENETDOWN);
    card_link(true);
    assert_int_equal(card.messages, 2);
    assert_false(nic->class->poll(nic, 1));
    assert_true(nic->link && changes == 2);
    card_link(true);
    assert_false(nic->class->poll(nic, 1));
    assert_int_equal(changes, 2);
    assert_int_equal(send(60, 0), 0);
    *reg(E1000_STATUS) &= ~STATUS_LU; /* without a word */
    nic->class->tick(nic);
    assert_true(!nic->link && changes == 3);
}

static void test_polled(void **state) {
    uint8_t data[64] = {0};

    (void)state;
    nic->class->stop(nic);
    card.vectors = 0;
    assert_int_equal(nic->class->start(nic), 0);
    card.unmasks = 0;
    assert_int_equal(*reg(E1000_IMS), 0);
    assert_true(card_receive(data, 64));
    card_link(false);
    assert_false(nic->class->poll(nic, 0));
    assert_true(got_count == 1 && !nic->link);
    assert_int_equal(*reg(E1000_IMS) | card.messages | card.unmasks, 0);
    assert_int_equal(nic->counters.interrupts, 0);
}

static void test_gone(void **state) {
    (void)state;
    bool by_tick = false;

    for (unsigned i = 0; i < 2; i++) {
        card.gone = true;
        changes = 0;
        if (by_tick)
            nic->class->tick(nic);
        else
            assert_false(nic->class->poll(nic, 1));
        assert_true(nic->failed && changes == 1);
        assert_string_equal(nic->why, "the card is gone");
        assert_false(nic->class->poll(nic, 1));
        assert_int_equal(changes, 1);
        assert_int_equal(send(60, 0), -ENETDOWN);
        assert_int_equal(got_count, 0);
        nic->class->stop(nic);
        assert_false(card.master);
        assert_int_equal(nic->class->start(nic), -EIO);
        assert_false(card.master);
        card.gone = false;
        assert_int_equal(nic->class->start(nic), 0);
        by_tick = true;
    }
}

#define BOTH(test, setup)                                                                                    \
    {#test ", 82540EM", test, setup, NULL, NULL}, {                                                          \
#test ", 82574L", test, setup, NULL, (void *)(uintptr_t)1                                            \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_matches, setup),
        BOTH(test_probe, setup),
        BOTH(test_mac_elsewhere, setup),
        BOTH(test_no_start, setup),
        BOTH(test_nvm_is_not_read, setup),
        BOTH(test_set_up, setup_started),
        BOTH(test_start_again, setup_started),
        BOTH(test_send, setup_started),
        BOTH(test_checksum, setup_started),
        BOTH(test_checksum_full, setup_started),
        BOTH(test_checksum_zero, setup_started),
        BOTH(test_padding, setup_started),
        BOTH(test_send_full, setup_started),
        BOTH(test_done_before_told, setup_started),
        BOTH(test_hang, setup_started),
        BOTH(test_receive, setup_started),
        BOTH(test_receive_full, setup_started),
        BOTH(test_hostile, setup_started),
        BOTH(test_stop_in_callback, setup_started),
        BOTH(test_link, setup_started),
        BOTH(test_polled, setup_started),
        BOTH(test_gone, setup_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
