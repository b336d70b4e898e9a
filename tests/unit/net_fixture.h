// SPDX-License-Identifier: Apache-2.0
// Two network devices on a switch, on queues that a test plays: what is above virtio/queue.h and
// virtio/device.h as it is, what is below as plain as possible.
#ifndef SAGUARO_TESTS_NET_FIXTURE_H
#define SAGUARO_TESTS_NET_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/frame_fixture.h"
#include "tests/unit/virtq_buffers.h"
#include "virtio/net.h"

#define ALL_FEATURES (~0ull)
#define SLOTS        300u

/* ---- queues and devices */

static struct ring {
    struct virtq_buffer buffer[SLOTS];
    uint32_t written[SLOTS];
    bool done[SLOTS];
    unsigned count, next, used, told;
    bool notify;
    unsigned late; /* buffers that come just when we ask to be notified */
} rings[2][17];

static struct net net[2];
static struct virtio_record record[2];
static struct ether_switch lan;
static unsigned interrupts[2][17], config_changes[2], again_calls, later_calls;
static char said[200];

static inline struct ring *ring_of(const struct virtq *queue) {
    for (unsigned n = 0; n < 2; n++) {
        if (queue >= net[n].device.queue && queue < net[n].device.queue + 17)
            return &rings[n][queue - net[n].device.queue];
    }
    fail();
    return NULL;
}

bool virtio_device_take(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    struct ring *ring = ring_of(&device->queue[index]);

    if (!virtio_running(device) || ring->next == ring->count)
        return false;
    *buffer = ring->buffer[ring->next];
    buffer->slot = buffer->id = (uint16_t)ring->next++;
    return true;
}

/* As the queue has it: its segments behind those that are there, unless they are more than fit or readable
 * ones behind writable ones. */
int virtio_device_take_more(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    struct ring *ring = ring_of(&device->queue[index]);

    if (!virtio_running(device))
        return -EPROTO;
    if (ring->next == ring->count)
        return 0;
    const struct virtq_buffer *next = &ring->buffer[ring->next];
    unsigned before = (unsigned)buffer->readable + buffer->writable,
             added = (unsigned)next->readable + next->writable;
    if (before + added > VIRTQ_MAX_SEGMENTS || (next->readable && buffer->writable))
        return -ENOSPC;
    memcpy(&buffer->segment[before], next->segment, added * sizeof(next->segment[0]));
    buffer->readable = (uint16_t)(buffer->readable + next->readable);
    buffer->writable = (uint16_t)(buffer->writable + next->writable);
    buffer->read_size += next->read_size;
    buffer->write_size += next->write_size;
    buffer->slot = buffer->id = (uint16_t)ring->next++;
    return 1;
}

void virtq_untake(struct virtq *queue, unsigned count) {
    struct ring *ring = ring_of(queue);

    assert_true(ring->next >= ring->used + count);
    ring->next -= count;
    for (unsigned i = 0; i < count; i++)
        assert_false(ring->done[ring->next + i]);
}

void virtq_finish_behind(struct virtq *queue, uint16_t slot, uint32_t written) {
    struct ring *ring = ring_of(queue);

    assert_true(slot > ring->used && slot < ring->next && !ring->done[slot]);
    ring->done[slot] = true;
    ring->written[slot] = written;
}

void virtio_device_finish(struct virtio_device *device, unsigned index, const struct virtq_buffer *buffer,
                          uint32_t written) {
    struct ring *ring = ring_of(&device->queue[index]);

    assert_true(buffer->slot < ring->next && !ring->done[buffer->slot]);
    ring->done[buffer->slot] = true;
    ring->written[buffer->slot] = written;
    while (ring->used < ring->count && ring->done[ring->used])
        ring->used++;
}

bool virtq_listen(struct virtq *queue, bool notify) {
    struct ring *ring = ring_of(queue);

    ring->notify = notify;
    if (notify && ring->late) {
        ring->late--;
        ring->count++;
    }
    return notify && ring->next < ring->count;
}

uint32_t virtq_owed(const struct virtq *queue) {
    const struct ring *ring = ring_of(queue);

    return ring->used - ring->told;
}

void virtio_device_flush(struct virtio_device *device, unsigned index) {
    struct ring *ring = ring_of(&device->queue[index]);

    if (ring->told != ring->used)
        interrupts[device - &net[0].device == 0 ? 0 : 1][index]++;
    ring->told = ring->used;
}

void virtio_device_break(struct virtio_device *device, const char *why) {
    device->record->status |= VIRTIO_STATUS_NEEDS_RESET;
    snprintf(said, sizeof(said), "%s", why);
}

void virtio_device_config_changed(struct virtio_device *device) {
    config_changes[device == &net[0].device ? 0 : 1]++;
}

int virtio_device_init(struct virtio_device *device) {
    if (device->record->magic != VIRTIO_RECORD_MAGIC) {
        device->record->magic = VIRTIO_RECORD_MAGIC;
        device->class->reset(device);
    } else if (virtio_running(device)) {
        device->class->start(device);
    }
    return 0;
}

static inline void log_line(struct virtio_device *device, const char *text) {
    (void)device;
    snprintf(said, sizeof(said), "%s", text);
}

static inline void again(struct net *self) {
    (void)self;
    again_calls++;
}

static inline void later(struct net *self) {
    (void)self;
    later_calls++;
}

static inline struct net_setup setup_of(unsigned n) {
    struct net_setup setup = {.network = &lan, .pairs = 4, .mtu = 1500, .again = again, .later = later};

    memcpy(setup.mac, n ? mac_b : mac_a, 6);
    return setup;
}

static inline void make_device(unsigned n, const struct net_setup *setup) {
    net[n].device.name = n ? "b" : "a";
    net[n].device.record = &record[n];
    net[n].device.log = log_line;
    assert_int_equal(net_init(&net[n], setup), 0);
}

static inline void start_driver(unsigned n, uint64_t features) {
    struct virtio_device *device = &net[n].device;

    features &= device->features_offered;
    assert_true(device->class->accept(device, features));
    record[n].features = features;
    record[n].status = VIRTIO_STATUS_DRIVER_OK;
    for (unsigned i = 0; i < device->queue_count; i++) {
        device->queue[i].size = 256;
        rings[n][i].notify = true;
    }
    device->class->start(device);
    net_run(&net[n]);
}

static inline void clear_all(void) {
    memset(rings, 0, sizeof(rings));
    memset(net, 0, sizeof(net));
    memset(record, 0, sizeof(record));
    memset(interrupts, 0, sizeof(interrupts));
    memset(config_changes, 0, sizeof(config_changes));
    again_calls = 0;
    said[0] = '\0';
    switch_init(&lan, "lan", 99);
    switch_tick(&lan, 5000000);
}

static inline int setup(void **state) {
    (void)state;
    clear_all();
    for (unsigned n = 0; n < 2; n++) {
        struct net_setup setup = setup_of(n);
        make_device(n, &setup);
    }
    return 0;
}

/* ---- a driver's doings */

static uint8_t arena[8u << 20];
static size_t arena_used;

static inline uint8_t *allocate(size_t size) {
    if (arena_used + size > sizeof(arena))
        arena_used = 0;
    uint8_t *memory = arena + arena_used;
    arena_used += size;
    memset(memory, 0xa5, size);
    return memory;
}

static inline struct virtq_buffer *new_buffer(struct ring *ring, bool hidden) {
    assert_true(ring->count + ring->late < SLOTS);
    struct virtq_buffer *buffer = &ring->buffer[ring->count + ring->late];
    memset(buffer, 0, sizeof(*buffer));
    ring->done[ring->count + ring->late] = false;
    if (hidden)
        ring->late++;
    else
        ring->count++;
    return buffer;
}

static inline void give(unsigned n, unsigned queue, unsigned count, uint32_t size) {
    for (unsigned i = 0; i < count; i++) {
        struct virtq_buffer *buffer = new_buffer(&rings[n][queue], false);
        buffer_add(buffer, allocate(size), size / 2, true);
        buffer_add(buffer, allocate(size), size - size / 2, true);
    }
}

static uint8_t packet[70000];

static inline void put_frame(unsigned n, unsigned queue, const struct frame_offload *offload, uint32_t size,
                             bool hidden) {
    struct virtq_buffer *buffer = new_buffer(&rings[n][queue], hidden);
    uint8_t *data = allocate(12u + size);

    memset(data, 0, 12);
    if (offload) {
        data[0] = offload->flags;
        data[1] = offload->gso_type;
        data[4] = (uint8_t)offload->gso_size;
        data[5] = (uint8_t)(offload->gso_size >> 8);
        data[6] = (uint8_t)offload->csum_start;
        data[7] = (uint8_t)(offload->csum_start >> 8);
        data[8] = (uint8_t)offload->csum_offset;
        data[9] = (uint8_t)(offload->csum_offset >> 8);
    }
    memcpy(data + 12, packet, size);
    buffer_add(buffer, data, 5, false); /* no assumption on framing (2.6.4.1) */
    buffer_add(buffer, data + 5, 7u + size, false);
}

static inline void kick(unsigned n, unsigned queue) {
    net[n].device.class->notify(&net[n].device, queue);
}

static inline void send_frame(unsigned n, const struct frame_offload *offload, uint32_t size) {
    put_frame(n, 1, offload, size, false);
    kick(n, 1);
}

static inline void simple_packet(const uint8_t *to, const uint8_t *from) {
    memset(packet, 0x11, 2000);
    memcpy(packet, to, 6);
    memcpy(packet + 6, from, 6);
    frame_put16(packet + 12, 0x88b5);
}

/* Byte `offset` of the last but `back` used buffers of a receive queue. */
static inline uint8_t received_byte(unsigned n, unsigned queue, unsigned slot, uint32_t offset) {
    const uint8_t *at = buffer_byte(&rings[n][queue].buffer[slot], true, offset);

    assert_non_null(at);
    return *at;
}

static inline unsigned received16(unsigned n, unsigned queue, unsigned slot, uint32_t offset) {
    return received_byte(n, queue, slot, offset) | received_byte(n, queue, slot, offset + 1) << 8;
}

static inline uint64_t drops(unsigned n, enum switch_drop reason) {
    return net[n].port.counters.drops[reason];
}

/* Gives a command; its answer. */
static inline uint8_t command(unsigned n, uint8_t class, uint8_t number, const void *data, uint32_t size) {
    unsigned queue = record[n].features & NET_F_MQ ? 8 : 2;
    struct ring *ring = &rings[n][queue];
    struct virtq_buffer *buffer = new_buffer(ring, false);
    uint8_t *head = allocate(2), *ack = allocate(1), *more = allocate(size + 1);

    head[0] = class;
    head[1] = number;
    memcpy(more, data, size);
    buffer_add(buffer, head, 2, false);
    if (size)
        buffer_add(buffer, more, size, false);
    buffer_add(buffer, ack, 1, true);
    kick(n, queue);
    assert_int_equal(ring->used, ring->count);
    assert_int_equal(ring->written[ring->count - 1], 1);
    return *ack;
}

/* Whether a frame to `to`, with a VLAN perhaps, is received by the second device. */
static inline bool arrives(const uint8_t *to, int vlan) {
    unsigned before = rings[1][0].used;

    simple_packet(to, mac_a);
    if (vlan >= 0) {
        frame_put16(packet + 12, FRAME_TYPE_VLAN);
        frame_put16(packet + 14, (unsigned)vlan);
    }
    if (rings[1][0].next == SLOTS - 1)
        memset(&rings[1][0], 0, sizeof(rings[1][0])), before = 0;
    if (rings[0][1].count == SLOTS - 1)
        memset(&rings[0][1], 0, sizeof(rings[0][1]));
    if (rings[1][0].next == rings[1][0].count)
        give(1, 0, 1, 200);
    send_frame(0, NULL, 60);
    return rings[1][0].used != before;
}

#endif
