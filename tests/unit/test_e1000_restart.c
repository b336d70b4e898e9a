// SPDX-License-Identifier: Apache-2.0
// The emulated 82540EM where our program ends at any moment and is started again, while its driver goes on.
// unit-sources: virtio/e1000_card.c virtio/e1000_card_phy.c virtio/e1000_card_receive.c virtio/e1000_card_transmit.c virtio/frame.c virtio/memory.c virtio/offload.c virtio/queue_buffer.c virtio/switch.c virtio/switch_table.c
#include "tests/unit/any_moment.h"
#include "tests/unit/e1000_fixture.h"

#define DD    0x01
#define END   0x02
#define ERROR 0x80
#define RXT0  0x80u
#define TXDW  0x01u

static uint32_t size; /* of the peer's frame */

static void one_comes(void) {
    peer_sends(size);
}

/* As e1000_clean_rx_irq(): takes what is done from `next` on, and gives it back. How many frames were good.
 */
static unsigned clean(unsigned *next, uint32_t expected) {
    unsigned frames = 0, bytes = 0;

    for (uint8_t *at = ram + RX_RING + 16 * *next; at[12] & DD; at = ram + RX_RING + 16 * *next) {
        bytes += bytes_get16(at + 8);
        if (at[12] & END) {
            frames += !(at[13] & ERROR) && bytes == expected + 4;
            bytes = 0;
        }
        memset(at + 8, 0, 8);
        *next = (*next + 1) % RING_SIZE;
    }
    return frames;
}

/* The driver always finds the next frame where it waits for it, and is told of it. */
static void try_receive(uint32_t control, uint32_t frame_size) {
    size = frame_size;
    start_rings();
    set(RCTL, control);
    set(IMS, RXT0);
    plain_packet(mac_a, mac_b, size);
    unsigned count = moments_of(one_comes, &kept, sizeof(kept), ram + RX_RING, 16 * RING_SIZE);
    for (unsigned n = 0; n < 2 * count; n++) {
        unsigned next = 0;
        bool early = n % 2; /* the driver looks while our program is not there */
        moment_restore(n / 2);
        if (early)
            (void)clean(&next, size);
        switch_detach(&peer);
        start();
        if (!early && received(0)[12] & DD)
            assert_true(level);
        (void)clean(&next, size);
        set(RDT, (next + RING_SIZE - 1) % RING_SIZE);
        (void)get(ICR);
        for (unsigned i = 0; i < 3; i++) {
            assert_false(level);
            peer_sends(size);
            assert_true(level);
            assert_int_equal(get(ICR) & RXT0, RXT0);
            assert_int_equal(clean(&next, size), 1);
            set(RDT, (next + RING_SIZE - 1) % RING_SIZE);
        }
    }
}

static void test_receive(void **state) {
    (void)state;
    try_receive(0x00008002, 200);
    try_receive(0x00038002, 700); /* three buffers of 256 bytes */
}

static void send_one(void) {
    kick();
}

/* What the driver has taken back is not sent, and what it gives next is. */
static void test_send(void **state) {
    (void)state;
    start_rings();
    set(IMS, TXDW);
    tail = 0;
    plain_packet(mac_b, mac_a, 100);
    memcpy(ram + DATA, packet, 100);
    memcpy(ram + DATA + 1000, packet, 100);
    descriptor(DATA, 60 | RS, 0);
    descriptor(DATA + 60, 40 | EOP | RS, 0);
    unsigned count = moments_of(send_one, &kept, sizeof(kept), ram + TX_RING, 16 * RING_SIZE);
    for (unsigned n = 0; n < 2 * count; n++) {
        bool early = n % 2, done;
        moment_restore(n / 2);
        memcpy(ram + DATA, packet, 100);
        done = ram[TX_RING + 16 + 12] & DD;
        tail = 2;
        if (early && done) { /* the memory is another one's, and the ring is full */
            memset(ram + DATA, 0xee, 100);
            while (tail != 1)
                descriptor(DATA + 1000, 100 | EOP | RS, 0);
        }
        switch_detach(&peer);
        got_count = 0;
        start();
        if (done)
            assert_true(level);
        kick();
        assert_true(level);
        assert_int_equal(get(TDH), tail);
        assert_int_equal(get(ICR) & TXDW, TXDW);
        assert_int_equal(ram[TX_RING + 16 + 12] & DD, DD);
        for (unsigned i = 0; i < got_count; i++)
            assert_memory_equal(got[i].data, packet, 100);
        if (early && done)
            assert_int_equal(got_count, RING_SIZE - 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_receive), TEST(test_send)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
