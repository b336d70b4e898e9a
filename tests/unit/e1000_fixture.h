// SPDX-License-Identifier: Apache-2.0
// An emulated 82540EM on a switch with another port, a guest's RAM, and what Linux's driver does with the
// card.
#ifndef SAGUARO_TESTS_E1000_FIXTURE_H
#define SAGUARO_TESTS_E1000_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/frame_fixture.h"
#include "virtio/bytes.h"
#include "virtio/e1000_card.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Registers, by the manual. */
enum {
    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    MDIC = 0x0020,
    ICR = 0x00c0,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    RCTL = 0x0100,
    TCTL = 0x0400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    MPC = 0x4010,
    GPRC = 0x4074,
    GPTC = 0x4080,
    GORCL = 0x4088,
    GORCH = 0x408c,
    MTA = 0x5200,
    RAL = 0x5400,
    RAH = 0x5404,
    VFTA = 0x5600,
};

#define RAM       0x100000u
#define TX_RING   0x1000u
#define RX_RING   0x2000u
#define BUFFERS   0x10000u /* of reception, 2 KiB each */
#define DATA      0x40000u /* to send */
#define RING_SIZE 16u

#define EOP       0x01000000u
#define IFCS      0x02000000u
#define IC        0x04000000u
#define TSE       0x04000000u
#define RS        0x08000000u
#define DEXT      0x20000000u
#define VLE       0x40000000u
#define DATA_TYPE 0x00100000u

static uint8_t *ram;
static bool written[RAM / 4096];
static struct e1000_card card;
static union {
    struct e1000_record record;
    uint8_t bytes[4096];
} kept;
static struct ether_switch lan;
static bool level;
static unsigned agains, notes;
static char noted[200];

/* ---- another port of the switch, which keeps what it is given */

static struct {
    struct frame_offload offload;
    uint32_t size;
    uint8_t data[66000];
} got[64];
static unsigned got_count;

static int peer_receive(struct switch_port *port, const struct frame *frame) {
    (void)port;
    assert_true(got_count < COUNT(got));
    got[got_count].offload = frame->offload;
    got[got_count].size = frame_read(frame, 0, got[got_count].data, sizeof(got[0].data));
    assert_int_equal(got[got_count].size, frame->size);
    got_count++;
    return 0;
}
static const struct switch_port_class peer_class = {.receive = peer_receive};
static struct switch_port peer = {.class = &peer_class, .name = "peer", .mtu = 1500, .limit = 64};

/* ---- surroundings */

static void *ram_map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    if (gpa >= RAM)
        return NULL;
    *contiguous = RAM - gpa;
    return ram + gpa;
}
static void ram_dirty(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    (void)memory;
    assert_true(size && gpa < RAM && size <= RAM - gpa);
    for (uint64_t page = gpa / 4096; page <= (gpa + size - 1) / 4096; page++)
        written[page] = true;
}
static struct virtio_memory memory = {.map = ram_map, .dirty = ram_dirty};

static void set_level(struct e1000_card *of, bool to) {
    assert_ptr_equal(of, &card);
    level = to;
}
static void again(struct e1000_card *of) {
    assert_ptr_equal(of, &card);
    agains++;
}
static void note(struct e1000_card *of, const char *text) {
    assert_ptr_equal(of, &card);
    snprintf(noted, sizeof(noted), "%s", text);
    notes++;
}

static inline uint32_t get(uint32_t offset) {
    return (uint32_t)e1000_card_read(&card, 0, offset, 4);
}

/* What was asked for is done before the next access. */
static inline void set(uint32_t offset, uint32_t value) {
    agains = 0;
    e1000_card_write(&card, 0, offset, 4, value);
    for (unsigned i = 0; i < 1000 && agains && e1000_card_run(&card); i++)
        ;
}

/* Our program starts; the record is as before. */
static inline void start(void) {
    struct e1000_setup setup = {.network = &lan, .locked = true, .mtu = 1500};

    memcpy(setup.mac, mac_a, 6);
    memset(&card, 0, sizeof(card));
    switch_init(&lan, "lan", 1);
    card.name = "net0";
    card.memory = &memory;
    card.record = &kept.record;
    card.line = set_level;
    card.again = again;
    card.note = note;
    assert_int_equal(e1000_card_init(&card, &setup), 0);
    e1000_card_start(&card);
    memcpy(peer.mac, mac_b, 6);
    assert_int_equal(switch_attach(&lan, &peer), 0);
    switch_set_link(&peer, true);
    peer.offloads = 0;
}

static inline int setup(void **state) {
    (void)state;
    ram = calloc(1, RAM);
    memset(&kept, 0, sizeof(kept));
    memset(written, 0, sizeof(written));
    got_count = notes = 0;
    level = true;
    start();
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    free(ram);
    return 0;
}

/* ---- what a driver does */

static inline void start_rings(void) {
    set(TDBAL, TX_RING);
    set(TDLEN, RING_SIZE * 16);
    set(TDH, 0);
    set(TDT, 0);
    set(TCTL, 0x0003f0fa);
    set(RCTL, 0x00008002); /* broadcasts; 2 KiB */
    set(RDBAL, RX_RING);
    set(RDLEN, RING_SIZE * 16);
    for (unsigned i = 0; i < RING_SIZE; i++)
        bytes_put64(ram + RX_RING + 16 * i, BUFFERS + 2048 * i);
    set(RDT, RING_SIZE - 1);
    set(RDH, 0);
}

static uint32_t tail;

static inline uint8_t *descriptor(uint64_t address, uint32_t lower, uint32_t upper) {
    uint8_t *at = ram + TX_RING + 16 * tail;

    bytes_put64(at, address);
    bytes_put32(at + 8, lower);
    bytes_put32(at + 12, upper);
    tail = (tail + 1) % RING_SIZE;
    return at;
}

static inline uint8_t *context(uint32_t ip, uint32_t transport, uint32_t command, uint32_t header,
                               uint32_t mss) {
    return descriptor(ip | (uint64_t)transport << 32, DEXT | command, mss << 16 | header << 8);
}

static inline void kick(void) {
    set(TDT, tail);
}

/* A frame of the peer's; what the switch makes of it. */
static uint8_t packet[70000];

static inline void peer_sends(uint32_t size) {
    struct frame frame;

    frame_from_memory(&frame, packet, size);
    switch_send(&peer, &frame);
    switch_flush(&lan);
}

static inline void plain_packet(const uint8_t *to, const uint8_t *from, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        packet[i] = frame_payload(i);
    memcpy(packet, to, 6);
    memcpy(packet + 6, from, 6);
    frame_put16(packet + 12, 0x88b5);
}

static inline const uint8_t *received(unsigned index) {
    return ram + RX_RING + 16 * index;
}

/* Bit by bit, as drivers of Microwire EEPROMs do. */
static inline uint32_t eecd(uint32_t value) {
    set(EECD, value);
    return get(EECD);
}

static inline uint16_t eeprom_by_pins(unsigned address) {
    uint32_t command = 0x180 | address, pins = 0x40;
    uint16_t word = 0;

    assert_true(eecd(pins) & 0x80); /* granted */
    eecd(pins | 1);
    eecd(pins | 2 | 1);
    eecd(pins | 2); /* selected */
    for (unsigned i = 9; i-- > 0;) {
        uint32_t bit = command >> i & 1 ? 4 : 0;
        eecd(pins | 2 | bit);
        eecd(pins | 2 | bit | 1);
        eecd(pins | 2 | bit);
    }
    for (unsigned i = 0; i < 16; i++) {
        word = (uint16_t)(word << 1 | (eecd(pins | 2 | 1) >> 3 & 1));
        eecd(pins | 2);
    }
    eecd(pins);
    return word;
}

static inline uint32_t phy(uint32_t command, unsigned number, unsigned address, uint16_t value) {
    set(MDIC, command << 26 | address << 21 | number << 16 | value);
    assert_true(get(MDIC) & 0x10000000);
    return get(MDIC);
}

#endif
