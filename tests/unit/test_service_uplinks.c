// SPDX-License-Identifier: Apache-2.0
// Uplinks of networks, with drivers that the test plays: which card is whose, what is said when there is
// none, frames both ways, the link, failures and new starts.
// unit-sources: service/figures.c service/uplinks.c service/host_pci.c service/heap.c service/log.c service/loop.c service/clock.c virtio/frame.c virtio/offload.c virtio/queue.c virtio/queue_buffer.c virtio/queue_packed.c virtio/queue_split.c virtio/memory.c virtio/switch.c virtio/switch_table.c lib/config_pci.c lib/config_mac.c
#include "tests/unit/service_machine_fixture.h"
#include "service/devices.h"
#include "service/drivers.h"
#include "service/uplinks.h"

/* ---- two drivers: of 1af4:1041, and of every 8086; a card's MAC ends with its function's number + 0x50 */

static struct {
    int probe, start, send; /* what they return */
    bool link_at_start, fails_at_start;
    unsigned probes, starts, stops, sends, flushes, polls, ticks, more;
    struct nic *nic;
    uint8_t sent[64]; /* the last frame's beginning */
} cards[FUNCTION];
static bool memory_gone;

static bool matches_virtio(const struct pci_device *pci) {
    return pci_vendor(pci) == 0x1af4 && pci_id(pci) == 0x1041;
}
static bool matches_intel(const struct pci_device *pci) {
    return pci_vendor(pci) == 0x8086;
}
static int card_probe(struct nic *nic) {
    unsigned number = nic->pci->number;
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x50};

    assert_true(claimed[number] && !mastering[number]);
    cards[number].probes++;
    cards[number].nic = nic;
    memcpy(nic->mac, mac, 6);
    nic->mac[5] += (uint8_t)number;
    nic->mtu = 1500;
    nic->why = cards[number].probe ? "its registers are all ones" : NULL;
    return cards[number].probe;
}
static int card_start(struct nic *nic) {
    unsigned number = nic->pci->number;

    cards[number].starts++;
    nic->why = "it does not come out of its reset";
    nic->failed = cards[number].fails_at_start;
    nic->link = cards[number].link_at_start;
    if (nic->link)
        nic->changed(nic); /* as a driver may */
    if (cards[number].start)
        return cards[number].start;
    assert_int_equal(nic->pci->host->master(number, true), 0);
    nic->pci->vectors = (unsigned)nic->pci->host->vectors(number, 1);
    return 0;
}
static void card_stop(struct nic *nic) {
    unsigned number = nic->pci->number;
    cards[number].stops++;
    nic->pci->host->master(number, false);
    nic->link = false;
}
static int card_send(struct nic *nic, const struct frame *frame) {
    unsigned number = nic->pci->number;
    cards[number].sends++;
    frame_read(frame, 0, cards[number].sent, sizeof(cards[number].sent));
    return cards[number].send;
}
static void card_flush(struct nic *nic) {
    cards[nic->pci->number].flushes++;
}
static bool card_poll(struct nic *nic, uint32_t vectors) {
    unsigned number = nic->pci->number;
    (void)vectors;
    cards[number].polls++;
    return cards[number].more && cards[number].more--;
}
static void card_tick(struct nic *nic) {
    cards[nic->pci->number].ticks++;
}
#define CLASS(text, test)                                                                                    \
    {                                                                                                        \
        .name = (text), .matches = (test), .size = sizeof(struct nic) + 100, .probe = card_probe,            \
        .start = card_start, .stop = card_stop, .send = card_send, .flush = card_flush, .poll = card_poll,   \
        .tick = card_tick                                                                                    \
    }
static const struct nic_class virtio_class = CLASS("virtio-net", matches_virtio);
static const struct nic_class intel_class = CLASS("e1000", matches_intel);
const struct nic_class *const nic_classes[] = {&virtio_class, &intel_class, NULL};

/* ---- surroundings */

void *arch_map_device(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return NULL;
}

static struct config config;
static struct ether_switch networks[3];

struct ether_switch *devices_network(unsigned index) {
    return memory_gone ? NULL : &networks[index];
}

static void add_network(const char *name, const char *uplink) {
    unsigned index = config.network_count++;
    config.networks[index] = (struct config_network){.name = name, .uplink = uplink};
    switch_init(&networks[index], name, 7);
}

/* A guest's port in the first network. */
static struct switch_port guest;
static unsigned guest_received, guest_flushes;
static uint8_t guest_frame[64];
static int guest_receive(struct switch_port *port, const struct frame *frame) {
    (void)port;
    guest_received++;
    frame_read(frame, 0, guest_frame, sizeof(guest_frame));
    return 0;
}
static void guest_flush(struct switch_port *port) {
    (void)port;
    guest_flushes++;
}
static const struct switch_port_class guest_class = {.receive = guest_receive, .flush = guest_flush};

static int setup(void **state) {
    (void)state;
    host_setup();
    memset(&config, 0, sizeof(config));
    memset(cards, 0, sizeof(cards));
    memory_gone = false;
    add_function(1, HOST_PCI_STORAGE, 0x1af4, 0x1042); /* 0 */
    add_function(2, HOST_PCI_NETWORK, 0x1af4, 0x1041); /* 1: ...:51 */
    add_function(3, HOST_PCI_NETWORK, 0x8086, 0x100e); /* 2: ...:52 */
    add_function(4, HOST_PCI_NETWORK, 0x10ec, 0x8139); /* 3: no driver */
    add_function(5, HOST_PCI_NETWORK, 0x8086, 0x10d3); /* 4: ...:54 */
    for (unsigned i = 0; i < FUNCTION; i++)
        cards[i].link_at_start = true;
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
    uplinks_init(&config);
}

static void join_guest(void) {
    memset(&guest, 0, sizeof(guest));
    guest.class = &guest_class;
    guest.mtu = 1500;
    guest.limit = 64;
    guest_received = guest_flushes = 0;
    assert_int_equal(switch_attach(&networks[0], &guest), 0);
    switch_set_link(&guest, true);
}

/* ---- tests */

static void test_nothing(void **state) {
    (void)state;
    add_network("lan", NULL);
    begin();
    assert_int_equal(call_count, 0);
    board->pci_count = 0;
    add_network("wan", "52:54:00:12:34:51");
    begin();
    assert_string_equal(calls[0].text,
                        "uplink 52:54:00:12:34:51 of network wan is not there: no network card "
                        "has the MAC 52:54:00:12:34:51, there are: none");
    assert_int_equal(call_count, 1);
}

static void test_mac(void **state) {
    (void)state;
    add_network("lan", NULL);
    add_network("wan", "52:54:00:12:34:52");
    begin();
    assert_non_null(said("network wan: uplink 52:54:00:12:34:52, e1000 at 0000:00:03.0"));
    assert_non_null(said("uplink 52:54:00:12:34:52 of network wan has a link"));
    assert_int_equal(cards[2].starts, 1);
    assert_true(mastering[2]);
    /* The first was looked at and left, the others were not. */
    assert_int_equal(cards[1].probes, 1);
    assert_true(claimed[1] && !mastering[1] && masters_off[1] == 1 && !cards[1].starts);
    assert_true(!claimed[0] && !claimed[3] && !claimed[4] && !cards[4].probes);
    assert_ptr_equal(networks[1].port[0]->class->wants, NULL);
    assert_true(networks[1].port[0]->link && !networks[1].port[0]->locked && !networks[1].port[0]->rate);
    assert_null(networks[0].port[0]);
}

static void test_address(void **state) {
    (void)state;
    add_network("lan", "0000:00:05.0");
    add_network("wan", "00:02.0");
    begin();
    assert_non_null(said("network lan: uplink 52:54:00:12:34:54, e1000 at 0000:00:05.0"));
    assert_non_null(said("network wan: uplink 52:54:00:12:34:51, virtio-net at 0000:00:02.0"));
    assert_true(mastering[4] && mastering[1] && !claimed[2]);
}

static void test_not_there(void **state) {
    (void)state;
    cards[4].probe = -EIO;
    add_network("lan", "52:54:00:12:34:99");
    add_network("wan", "00:01.0"); /* a disk */
    add_network("dmz", "52:54:00:12:34:52");
    begin();
    assert_non_null(said("uplink 52:54:00:12:34:99 of network lan is not there: no network card has the MAC "
                         "52:54:00:12:34:99, there are: 52:54:00:12:34:51 (virtio-net at 0000:00:02.0),"));
    assert_non_null(
        said("and 52:54:00:12:34:52 (e1000 at 0000:00:03.0), 0000:00:04.0 (10ec:8139, there is no "
             "driver for it), 0000:00:05.0 (its registers are all ones, error 5)"));
    assert_non_null(
        said("uplink 00:01.0 of network wan is not there: no network card has the address 00:01.0, "
             "there are:"));
    assert_true(mastering[2] && !mastering[1] && !mastering[4] && !claimed[0] && !claimed[3]);
    assert_int_equal(masters_off[4], 1);
    /* It is not for want of a line in the log that one cannot be used. */
    config.network_count = 0;
    add_network("lan", "00:04.0");
    add_network("wan", "00:05.0");
    add_network("dmz", "00:02.0");
    claim_result[1] = -EBUSY;
    begin();
    assert_non_null(
        said("uplink 00:04.0 of network lan cannot be used: 10ec:8139, there is no driver for it"));
    assert_non_null(
        said("uplink 00:05.0 of network wan cannot be used: its registers are all ones, error 5"));
    assert_non_null(said("uplink 00:02.0 of network dmz cannot be used: it is not free"));
    claim_result[1] = -EINVAL;
    begin();
    assert_non_null(
        said("uplink 00:02.0 of network dmz cannot be used: it cannot be claimed: the log says why"));
}

/* Two names for one card; no place in the network. */
static void test_twice(void **state) {
    static struct switch_port others[SWITCH_MAX_PORTS];

    (void)state;
    add_network("lan", "00:03.0");
    add_network("wan", "52:54:00:12:34:52");
    begin();
    assert_non_null(said("uplink 52:54:00:12:34:52 of network wan is that of network lan already"));
    assert_int_equal(cards[2].starts, 1);
    config.network_count = 0;
    add_network("lan", "00:03.0");
    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++)
        assert_int_equal(switch_attach(&networks[0], &others[i]), 0);
    mastering[2] = false;
    begin();
    assert_non_null(said("uplink 00:03.0 of network lan cannot be joined to it: it has no more ports"));
    assert_true(!mastering[2] && cards[2].starts == 1);
    memory_gone = true;
    begin();
    assert_non_null(said("uplink 00:03.0 of network lan cannot be joined to it: there is no memory"));
}

/* From `from`, the last byte of an address, to `to`; 0xff: to all. */
static void make_frame(uint8_t data[64], uint8_t to, uint8_t from) {
    memset(data, 0, 64);
    memset(data, to == 0xff ? 0xff : 0x02, 6);
    data[5] = to;
    memset(data + 6, 0x02, 6);
    data[11] = from;
    data[12] = 0x88;
    data[13] = 0xb5;
    data[20] = to ^ from;
}

static void test_frames(void **state) {
    uint8_t data[64];
    struct frame frame;

    (void)state;
    add_network("lan", "00:03.0");
    begin();
    join_guest();
    struct switch_port *port = networks[0].port[0];
    /* Out. */
    make_frame(data, 0xff, 1);
    frame_from_memory(&frame, data, 60);
    switch_send(&guest, &frame);
    assert_int_equal(cards[2].sends, 1);
    assert_memory_equal(cards[2].sent, data, 60);
    assert_int_equal(cards[2].flushes, 0);
    switch_flush(&networks[0]);
    assert_int_equal(cards[2].flushes, 1);
    /* In, in a poll; more at once. */
    interrupt(2, 1);
    assert_int_equal(cards[2].polls, 1);
    make_frame(data, 1, 9);
    frame_from_memory(&frame, data, 64);
    cards[2].nic->received(cards[2].nic, &frame);
    assert_int_equal(guest_received, 1);
    assert_memory_equal(guest_frame, data, 64);
    cards[2].more = 1;
    interrupt(2, 1);
    assert_int_equal(cards[2].polls, 3);
    assert_int_equal(guest_flushes, 1);
    assert_ptr_equal(switch_find(port, data + 6), port); /* learned */
    /* What the card does not take. */
    make_frame(data, 9, 1);
    frame_from_memory(&frame, data, 60);
    cards[2].send = -ENOBUFS;
    switch_send(&guest, &frame);
    cards[2].send = -EMSGSIZE;
    switch_send(&guest, &frame);
    cards[2].send = -ENETDOWN;
    switch_send(&guest, &frame);
    assert_true(port->counters.drops[SWITCH_DROP_BUFFER] == 1 &&
                port->counters.drops[SWITCH_DROP_SIZE] == 1 && port->counters.drops[SWITCH_DROP_LINK] == 1);
    pass(5 * SECOND);
    assert_int_equal(cards[2].ticks, 5);
}

static void set_link(unsigned number, bool up) {
    call_count = 0;
    cards[number].nic->link = up;
    cards[number].nic->changed(cards[number].nic);
}

static void test_link(void **state) {
    (void)state;
    cards[2].link_at_start = false;
    add_network("lan", "00:03.0");
    begin();
    assert_non_null(said("uplink 00:03.0 of network lan has no link"));
    assert_false(networks[0].port[0]->link);
    set_link(2, false);
    assert_int_equal(call_count, 0);
    set_link(2, true);
    assert_non_null(said("uplink 00:03.0 of network lan has a link"));
    assert_true(networks[0].port[0]->link);
    set_link(2, true);
    assert_int_equal(call_count, 0);
    set_link(2, false);
    assert_non_null(said("has no link"));
    assert_false(networks[0].port[0]->link);
}

static void fail_card(unsigned number) {
    call_count = 0;
    cards[number].nic->failed = true;
    cards[number].nic->why = "a send did not end";
    cards[number].nic->changed(cards[number].nic);
}

static void test_failure(void **state) {
    uint8_t data[64];
    struct frame frame;

    (void)state;
    add_network("lan", "00:03.0");
    begin();
    join_guest();
    struct switch_port *port = networks[0].port[0];
    fail_card(2);
    assert_int_equal(cards[2].stops, 0); /* the driver is still in its own function */
    assert_false(port->link);
    loop_turn();
    assert_non_null(
        said("uplink 00:03.0 of network lan has failed: a send did not end; it is started again in 1 s"));
    assert_null(said("has no link"));
    assert_int_equal(cards[2].stops, 1);
    assert_false(mastering[2]);
    /* Nothing reaches it meanwhile. */
    interrupt(2, 1);
    cards[2].nic->changed(cards[2].nic);
    make_frame(data, 0xff, 1);
    frame_from_memory(&frame, data, 60);
    switch_send(&guest, &frame);
    switch_set_link(port, true);
    switch_send(&guest, &frame);
    switch_set_link(port, false);
    assert_true(!cards[2].polls && !cards[2].sends && cards[2].stops == 1);
    assert_int_equal(port->counters.drops[SWITCH_DROP_LINK], 1);
    pass(998 * MS);
    assert_int_equal(cards[2].starts, 1);
    counter += 2 * MS;
    call_count = 0;
    loop_turn();
    assert_int_equal(cards[2].starts, 2);
    assert_non_null(said("uplink 00:03.0 of network lan works again"));
    assert_true(port->link && mastering[2]);
    /* Soon again: the pauses grow, up to a minute. */
    for (unsigned pause = 2; pause < 200; pause *= 2) {
        char text[64];
        unsigned starts = cards[2].starts, seconds = pause < 60 ? pause : 60;
        fail_card(2);
        loop_turn();
        snprintf(text, sizeof(text), "started again in %u s", seconds);
        assert_non_null(said(text));
        pass(seconds * SECOND - MS);
        assert_int_equal(cards[2].starts, starts);
        pass(2 * MS);
        assert_int_equal(cards[2].starts, starts + 1);
    }
    /* After a time in which it worked, the first pause. */
    pass(61 * SECOND);
    fail_card(2);
    loop_turn();
    assert_non_null(said("started again in 1 s"));
    /* It cannot be started. */
    cards[2].start = -ETIMEDOUT;
    pass(SECOND + MS);
    counter += 2 * SECOND;
    call_count = 0;
    loop_turn();
    assert_non_null(
        said("uplink 00:03.0 of network lan cannot be started: it does not come out of its reset, "
             "error 110; again in 4 s"));
    assert_false(port->link);
    cards[2].start = 0;
    cards[2].fails_at_start = true;
    counter += 4 * SECOND;
    call_count = 0;
    loop_turn();
    assert_non_null(said("again in 8 s"));
    assert_false(port->link);
    cards[2].fails_at_start = false;
    counter += 8 * SECOND;
    call_count = 0;
    loop_turn();
    assert_non_null(said("works again"));
    assert_true(port->link);
}

/* From the beginning: the network is there without. */
static void test_failure_at_once(void **state) {
    (void)state;
    cards[2].start = -EIO;
    add_network("lan", "00:03.0");
    begin();
    assert_non_null(said("cannot be started"));
    assert_false(networks[0].port[0]->link);
    cards[2].start = 0;
    counter += 2 * SECOND;
    call_count = 0;
    loop_turn();
    assert_non_null(said("works again"));
    assert_non_null(said("has a link"));
    assert_true(networks[0].port[0]->link);
}

/* Without interrupts: a poll each 10 ms, and each one soon after frames. */
static void test_polled(void **state) {
    uint8_t data[64];
    struct frame frame;

    (void)state;
    vectors_result[2] = 0;
    add_network("lan", "00:03.0");
    begin();
    join_guest();
    pass(100 * MS);
    assert_in_range(cards[2].polls, 9, 11);
    cards[2].polls = 0;
    make_frame(data, 0xff, 1);
    frame_from_memory(&frame, data, 60);
    switch_send(&guest, &frame);
    switch_flush(&networks[0]);
    pass(10 * MS);
    assert_in_range(cards[2].polls, 9, 11);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_nothing),         TEST(test_mac),    TEST(test_address), TEST(test_not_there),
        TEST(test_twice),           TEST(test_frames), TEST(test_link),    TEST(test_failure),
        TEST(test_failure_at_once), TEST(test_polled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
