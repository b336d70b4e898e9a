// SPDX-License-Identifier: Apache-2.0
// Two network devices with everything below them as it is: drivers on split and packed rings send each other
// frames of all kinds and sizes; nothing is lost, changed, or left unmarked in the log of written pages.
// unit-sources: virtio/net.c virtio/net_receive.c virtio/net_control.c virtio/switch.c virtio/switch_table.c
// unit-sources: virtio/offload.c virtio/frame.c virtio/device.c virtio/memory.c virtio/queue*.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "tests/unit/frame_fixture.h"
#include "tests/unit/virtq_driver.h"
#include "virtio/net.h"

#define GUEST_BASE 0x100000u
#define GUEST_SIZE 0xc0000u
#define QUEUE_AREA 0x10000u /* bytes for each queue's rings */
#define RING       64u

static struct machine {
    struct net net;
    struct virtio_record record;
    struct virtq_guest guest;
    struct virtq_driver driver[2]; /* receive, transmit */
    uint64_t data;                 /* where frames to send lie */
    uint32_t receive_size;         /* of a buffer */
    unsigned interrupts, again;
    unsigned at[RING]; /* the place of the receive buffer of each head or ID */
} machine[2];

static struct ether_switch lan;

static struct machine *machine_of(struct virtio_device *device) {
    return &machine[device == &machine[1].net.device];
}

static void interrupt_queue(struct virtio_device *device, unsigned index) {
    (void)index;
    machine_of(device)->interrupts++;
}

static void interrupt_config(struct virtio_device *device) {
    (void)device;
}

static void log_line(struct virtio_device *device, const char *text) {
    (void)device;
    fail_msg("%s", text);
}

static void again(struct net *net) {
    machine_of(&net->device)->again++;
}

static void later(struct net *net) {
    (void)net;
}

static uint64_t receive_place(unsigned slot) {
    return GUEST_BASE + 4 * QUEUE_AREA + slot * 0x2000u;
}

static void give(struct machine *self, unsigned slot) {
    uint64_t gpa = receive_place(slot);
    struct virtq_element element[2] = {{gpa, 7, true}, {gpa + 7, self->receive_size - 7, true}};
    int id = virtq_driver_add(&self->driver[0], element, 2, slot % 3 == 0);

    assert_true(id >= 0);
    self->at[id] = slot;
}

static void make(unsigned n, uint64_t features, uint32_t receive_size) {
    struct machine *self = &machine[n];
    struct virtio_device *device = &self->net.device;
    struct net_setup setup = {.network = &lan, .pairs = 1, .mtu = 1500, .again = again, .later = later};

    memset(self, 0, sizeof(*self));
    self->receive_size = receive_size;
    self->guest.memory.map = virtq_guest_map;
    self->guest.memory.dirty = virtq_guest_dirty;
    struct virtq_piece *piece = &self->guest.piece[0];
    piece->base = GUEST_BASE;
    piece->size = GUEST_SIZE;
    piece->data = calloc(1, GUEST_SIZE);
    piece->before = calloc(1, GUEST_SIZE);
    piece->marked = calloc(1, GUEST_SIZE);
    assert_true(piece->data && piece->before && piece->marked);
    for (unsigned i = 1; i < VIRTQ_GUEST_PIECES; i++) { /* all in one piece; the others are empty */
        self->guest.piece[i] = *piece;
        self->guest.piece[i].size = 0;
    }
    self->data = GUEST_BASE + 0x80000;
    memcpy(setup.mac, n ? mac_b : mac_a, 6);
    device->name = n ? "b" : "a";
    device->memory = &self->guest.memory;
    device->record = &self->record;
    device->log = log_line;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    assert_int_equal(net_init(&self->net, &setup), 0);
    features &= device->features_offered;
    virtio_device_set_status(device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    virtio_device_set_features(device, 0, (uint32_t)features);
    virtio_device_set_features(device, 1, (uint32_t)(features >> 32));
    virtio_device_set_status(device, VIRTIO_STATUS_FEATURES_OK);
    assert_true(self->record.status & VIRTIO_STATUS_FEATURES_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct virtq_driver *driver = &self->driver[i];
        virtq_driver_init(driver, &self->guest, RING, features, GUEST_BASE + i * QUEUE_AREA);
        self->record.queue[i].size = RING;
        self->record.queue[i].descriptors = driver->descriptors;
        self->record.queue[i].driver = driver->driver;
        self->record.queue[i].device = driver->device;
        virtio_device_enable_queue(device, i);
        virtq_driver_interrupts(driver, true, 0);
    }
    virtio_device_set_status(device, VIRTIO_STATUS_DRIVER_OK);
    for (unsigned i = 0; i < RING / 2; i++)
        give(self, i);
    net_run(&self->net);
}

static void end(void) {
    for (unsigned n = 0; n < 2; n++) {
        free(machine[n].guest.piece[0].data);
        free(machine[n].guest.piece[0].before);
        free(machine[n].guest.piece[0].marked);
    }
}

static uint8_t packet[70000], got[70000];

/* Takes a frame out of the receive queue, with its header, and gives the buffers back. Its size; 0: none. */
static uint32_t take(struct machine *self) {
    unsigned id, slots[RING], count = 0, wanted = 1;
    uint32_t written, size = 0;

    while (count < wanted && virtq_driver_used(&self->driver[0], &id, &written)) {
        uint64_t gpa = receive_place(self->at[id]);
        if (count == 0)
            wanted = (unsigned)virtq_guest_get(&self->guest, gpa + 10, 2);
        assert_true(wanted >= 1 && wanted <= RING);
        memcpy(got + size, virtq_guest_at(&self->guest, gpa), written);
        size += written;
        slots[count++] = self->at[id];
    }
    assert_true(count == 0 || count == wanted); /* all of a frame at once */
    for (unsigned i = 0; i < count; i++)
        give(self, slots[i]);
    return size;
}

static void place(struct machine *self, unsigned slot, const struct frame_offload *offload, uint32_t size) {
    uint64_t gpa = self->data + slot * 0x11000u;
    uint8_t *at = virtq_guest_at(&self->guest, gpa);
    struct virtq_element element[4] = {
        {gpa, 12, false}, {gpa + 12, 20, false}, {gpa + 32, 30, false}, {gpa + 62, size - 50, false}};

    memset(at, 0, 12);
    at[0] = offload->flags;
    at[1] = offload->gso_type;
    at[4] = (uint8_t)offload->gso_size;
    at[5] = (uint8_t)(offload->gso_size >> 8);
    at[6] = (uint8_t)offload->csum_start;
    at[8] = (uint8_t)offload->csum_offset;
    memcpy(at + 12, packet, size);
    assert_true(virtq_driver_add(&self->driver[1], element, 4, slot & 1) >= 0);
}

static unsigned random_number(unsigned below) {
    static uint32_t seed = 1;

    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void kick(struct machine *self) {
    if (virtq_driver_notifies(&self->driver[1]))
        virtio_device_notify(&self->net.device, 1);
    while (self->again > 0) {
        self->again = 0;
        while (net_run(&self->net))
            ;
    }
    if (random_number(4) == 0)
        net_late(&self->net);
}

/* Checks frames that were received until `payload` bytes have come; the number of frames. */
static unsigned check(struct machine *to, const struct frame_kind *kind) {
    uint32_t transport = 14u + (kind->ipv6 ? 40u : 20u), start = 12 + transport + (kind->udp ? 8u : 20u);
    uint32_t seen = 0, size;
    unsigned count = 0;

    while (seen < kind->payload && (size = take(to)) != 0) {
        assert_memory_equal(got + 12, packet, 14);
        for (uint32_t i = 0; i < size - start; i++)
            assert_int_equal(got[start + i], frame_payload(seen + i));
        seen += size - start;
        count++;
        if (!(to->record.features & NET_F_GUEST_CSUM)) {
            const uint8_t *ip = got + 26;
            uint64_t sum = (kind->udp ? 17u : 6u) + (size - 12 - transport);
            sum += plain_sum(0, ip + (kind->ipv6 ? 8 : 12), kind->ipv6 ? 32 : 8);
            assert_int_equal(got[0], 0);
            assert_int_equal(plain_sum(sum, got + 12 + transport, size - 12 - transport), 0);
        }
    }
    assert_int_equal(seen, kind->payload);
    return count;
}

static void run(uint64_t features_a, uint32_t size_a, uint64_t features_b, uint32_t size_b) {
    uint64_t common = VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | NET_F_CSUM | NET_F_HOST_TSO4 |
                      NET_F_HOST_TSO6 | NET_F_HOST_USO;

    switch_init(&lan, "lan", 3);
    make(0, common | features_a, size_a);
    make(1, common | features_b, size_b);
    for (unsigned round = 0; round < 100; round++) {
        unsigned from = random_number(2), frames = 1 + random_number(3);
        struct machine *to = &machine[!from];
        struct frame_kind kind[3];
        struct frame_offload offload;
        virtq_guest_snapshot(&to->guest);
        to->interrupts = 0;
        for (unsigned i = 0; i < frames; i++) {
            kind[i] = (struct frame_kind){.ipv6 = random_number(2), .udp = random_number(2)};
            kind[i].payload = 20 + random_number(1400);
            if (frames == 1 && random_number(3) == 0) {
                kind[i].payload = 20 + random_number(9000);
                kind[i].gso_size = (uint16_t)(700 + random_number(700));
            }
            uint32_t size =
                frame_build(packet, from ? mac_a : mac_b, from ? mac_b : mac_a, &kind[i], &offload);
            place(&machine[from], i, &offload, size);
        }
        kick(&machine[from]);
        assert_true(virtq_guest_marked(&to->guest));
        assert_int_equal(to->interrupts, 1);
        for (unsigned i = 0; i < frames; i++) {
            frame_build(packet, from ? mac_a : mac_b, from ? mac_b : mac_a, &kind[i], &offload);
            check(to, &kind[i]);
        }
        virtq_driver_interrupts(&to->driver[0], true, 0);
        unsigned id, back = 0;
        uint32_t written;
        while (virtq_driver_used(&machine[from].driver[1], &id, &written)) {
            assert_int_equal(written, 0);
            back++;
        }
        assert_int_equal(back, frames);
        virtq_driver_interrupts(&machine[from].driver[1], true, 0);
        for (unsigned n = 0; n < 2; n++) {
            for (unsigned i = 0; i < SWITCH_DROPS; i++)
                assert_int_equal(machine[n].net.port.counters.drops[i], 0);
        }
    }
    end();
}

#define TAKES_ALL                                                                                            \
    (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_USO4 | NET_F_GUEST_USO6 |          \
     NET_F_MRG_RXBUF)

static void test_split(void **state) {
    (void)state;
    run(0, 2048, 0, 1600);
    run(TAKES_ALL, 1500, TAKES_ALL | VIRTIO_RING_EVENT, 4096);
    run(NET_F_MRG_RXBUF | NET_F_GUEST_CSUM, 700, 0, 2048);
}

static void test_packed(void **state) {
    (void)state;
    run(VIRTIO_RING_PACKED, 2048, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT, 2048);
    run(VIRTIO_RING_PACKED | TAKES_ALL, 1500, VIRTIO_RING_PACKED | VIRTIO_RING_EVENT | TAKES_ALL, 900);
    run(VIRTIO_RING_PACKED | TAKES_ALL, 1500, VIRTIO_RING_EVENT, 2048); /* one of each */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
