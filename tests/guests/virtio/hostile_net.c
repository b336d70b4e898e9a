// SPDX-License-Identifier: Apache-2.0
// Cards against the rules (virtio 1.2, 2.7 and 5.1.6): what a driver may not do on each of their queues. Each
// time the other card is content, and the broken one works after a reset.
#include "tests/guests/virtio/virtio.h"

#define SIZE    16u
#define OUTSIDE (1ull << 40)

static uint8_t frame[64], small[16];

struct scene {
    const char *name;
    unsigned queue;
    uint64_t address;
    uint32_t size;
    unsigned flags;
};

static const struct scene scenes[] = {
    {"a frame to send without a header", 1, (uint64_t)small, 11, 0},
    {"a frame to send that is writable", 1, (uint64_t)small, 16, RING_WRITE},
    {"a frame to send from nowhere", 1, OUTSIDE, 100, 0},
    {"a frame to send of 4 GiB", 1, (uint64_t)small, UINT32_MAX, 0},
    {"a frame to send in a loop", 1, (uint64_t)small, 16, RING_NEXT},
    {"a receive buffer without room for a header", 0, (uint64_t)small, 11, RING_WRITE},
    {"a receive buffer that is not writable", 0, (uint64_t)small, 16, 0},
    {"a receive buffer nowhere", 0, OUTSIDE, 2000, RING_WRITE},
    {"a receive buffer of 4 GiB", 0, (uint64_t)small, UINT32_MAX, RING_WRITE},
    {"a receive buffer that is a loop", 0, (uint64_t)small, 16, RING_WRITE | RING_NEXT},
    {"a command that is too short", 2, (uint64_t)small, 1, 0},
    {"a command without room for its answer", 2, (uint64_t)small, 3, 0},
};

static void play(const struct scene *scene, struct card *bad, struct virtio *b, struct card *good,
                 struct virtio *a) {
    if (!net_start(good, a, 0, SIZE, NET_BUFFER) || !net_start(bad, b, NET_F_CTRL_VQ, SIZE, NET_BUFFER))
        check(false, "both cards start");
    struct ring *r = scene->queue == 0 ? &bad->receive : scene->queue == 1 ? &bad->send : &bad->control;
    if (scene->queue == 0) { /* with no other buffers before it */
        virtio_negotiate(b, 0);
        ring_enable(r, b, 0, SIZE, 0xffff);
        ring_enable(&bad->send, b, 1, SIZE, 0xffff);
        status_write(b, S_ALL | S_DRIVER_OK);
    }
    ring_set(r, 0, scene->address, scene->size, scene->flags, 0);
    ring_offer(r, 0);
    ring_kick(r);
    if (scene->queue == 0) {
        net_frame(frame, bad->mac, good->mac, sizeof(frame), 1);
        net_send(good, frame, sizeof(frame));
    }
    check(virtio_wait_status(b, S_NEEDS_RESET), scene->name);
    if (status_read(a) != (S_ALL | S_DRIVER_OK))
        check(false, "the other card is content");
    if (!net_works(good, a, bad, b))
        check(false, "and both work after a reset");
}

void hostile_net(struct virtio *a, struct virtio *b, struct card *one, struct card *other) {
    for (unsigned i = 0; i < array_count(scenes); i++)
        play(&scenes[i], other, b, one, a);
}
