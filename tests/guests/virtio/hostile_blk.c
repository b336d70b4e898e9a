// SPDX-License-Identifier: Apache-2.0
// A disk's rings against every rule (virtio 1.2, 2.7 and 2.8): each time the device has to say NEEDS_RESET,
// do nothing more, and work again after a reset.
#include "tests/guests/virtio/virtio.h"

#define SIZE    16u /* of the rings */
#define RAM_END (16ull << 20)

static struct blk_header header = {BLK_GET_ID, 0, 0};
static uint8_t data[64], status;

#define AT(object) ((uint64_t) & (object))

/* A descriptor of a case; `next` is the split ring's. */
struct bad {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};

struct scene {
    const char *name;
    uint64_t features;
    unsigned count;    /* descriptors in the ring from 0 on */
    unsigned indirect; /* and in the indirect table */
    struct bad ring[2], table[2];
};

#define OUTSIDE (1ull << 40)
#define TABLE   UINT64_MAX /* stands for the indirect table */
#define HEADER                                                                                               \
    { AT(header), 16, RING_NEXT, 1 }

static const struct scene split[] = {
    {"a chain that is a loop of one", 0, 1, 0, {{AT(data), 1, RING_NEXT, 0}}, {{0}}},
    {"a loop of two", 0, 2, 0, {HEADER, {AT(data), 1, RING_NEXT, 0}}, {{0}}},
    {"a loop of empty ones", 0, 1, 0, {{AT(data), 0, RING_NEXT, 0}}, {{0}}},
    {"a next one beyond the table", 0, 1, 0, {{AT(header), 16, RING_NEXT, SIZE}}, {{0}}},
    {"a next one far beyond", 0, 1, 0, {{AT(header), 16, RING_NEXT, 0xffff}}, {{0}}},
    {"an address outside RAM", 0, 2, 0, {HEADER, {OUTSIDE, 1, RING_WRITE, 0}}, {{0}}},
    {"an address that wraps", 0, 2, 0, {HEADER, {UINT64_MAX - 15, 32, RING_WRITE, 0}}, {{0}}},
    {"a piece across RAM's end", 0, 2, 0, {HEADER, {RAM_END - 8, 9, RING_WRITE, 0}}, {{0}}},
    {"a huge length", 0, 2, 0, {HEADER, {AT(data), UINT32_MAX, RING_WRITE, 0}}, {{0}}},
    {"the local APIC's registers", 0, 2, 0, {HEADER, {0xfee00000, 4, RING_WRITE, 0}}, {{0}}},
    {"the device's own registers", 0, 2, 0, {HEADER, {BAR_SPACE, 4, RING_WRITE, 0}}, {{0}}},
    {"a readable piece after a writable one",
     0,
     2,
     0,
     {{AT(data), 4, RING_WRITE | RING_NEXT, 1}, {AT(header), 16, 0, 0}},
     {{0}}},
    {"a header that is too short",
     0,
     2,
     0,
     {{AT(header), 15, RING_NEXT, 1}, {AT(status), 1, RING_WRITE, 0}},
     {{0}}},
    {"no room for the status", 0, 1, 0, {{AT(header), 16, 0, 0}}, {{0}}},
    {"a status of no bytes", 0, 2, 0, {HEADER, {AT(status), 0, RING_WRITE, 0}}, {{0}}},
    {"an indirect table that was not negotiated",
     0,
     1,
     2,
     {{TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {AT(status), 1, RING_WRITE, 0}}},
    {"an indirect table in an indirect one",
     F_INDIRECT,
     1,
     2,
     {{TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {TABLE, 32, RING_INDIRECT, 0}}},
    {"an indirect table with a next one",
     F_INDIRECT,
     2,
     2,
     {{TABLE, 32, RING_INDIRECT | RING_NEXT, 1}, {AT(status), 1, RING_WRITE, 0}},
     {HEADER, {AT(status), 1, RING_WRITE, 0}}},
    {"an indirect table of no bytes", F_INDIRECT, 1, 0, {{TABLE, 0, RING_INDIRECT, 0}}, {{0}}},
    {"an indirect table of 17", F_INDIRECT, 1, 0, {{TABLE, 17, RING_INDIRECT, 0}}, {{0}}},
    {"an indirect table of 4 GiB", F_INDIRECT, 1, 0, {{TABLE, 0xfffffff0, RING_INDIRECT, 0}}, {{0}}},
    {"an indirect table outside RAM", F_INDIRECT, 1, 0, {{OUTSIDE, 32, RING_INDIRECT, 0}}, {{0}}},
    {"an indirect table across RAM's end", F_INDIRECT, 1, 0, {{RAM_END - 16, 32, RING_INDIRECT, 0}}, {{0}}},
    {"a loop in an indirect table",
     F_INDIRECT,
     1,
     2,
     {{TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {AT(data), 1, RING_NEXT, 0}}},
    {"a next one beyond an indirect table",
     F_INDIRECT,
     1,
     2,
     {{TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {AT(data), 1, RING_NEXT, 2}}},
};

static const struct scene packed[] = {
    {"packed: a chain that goes on where nothing is", F_PACKED, 1, 0, {HEADER}, {{0}}},
    {"packed: an address outside RAM", F_PACKED, 2, 0, {HEADER, {OUTSIDE, 1, RING_WRITE, 0}}, {{0}}},
    {"packed: an address that wraps", F_PACKED, 2, 0, {HEADER, {UINT64_MAX - 15, 32, RING_WRITE, 0}}, {{0}}},
    {"packed: a huge length", F_PACKED, 2, 0, {HEADER, {AT(data), UINT32_MAX, RING_WRITE, 0}}, {{0}}},
    {"packed: a readable piece after a writable one",
     F_PACKED,
     2,
     0,
     {{AT(data), 4, RING_WRITE | RING_NEXT, 1}, {AT(header), 16, 0, 0}},
     {{0}}},
    {"packed: no room for the status", F_PACKED, 1, 0, {{AT(header), 16, 0, 0}}, {{0}}},
    {"packed: an indirect table that was not negotiated",
     F_PACKED,
     1,
     2,
     {{TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {AT(status), 1, RING_WRITE, 0}}},
    {"packed: an indirect table with a next one",
     F_PACKED | F_INDIRECT,
     2,
     2,
     {{TABLE, 32, RING_INDIRECT | RING_NEXT, 1}, {AT(status), 1, RING_WRITE, 0}},
     {HEADER, {AT(status), 1, RING_WRITE, 0}}},
    {"packed: an indirect table at a chain's end",
     F_PACKED | F_INDIRECT,
     2,
     2,
     {HEADER, {TABLE, 32, RING_INDIRECT, 0}},
     {HEADER, {AT(status), 1, RING_WRITE, 0}}},
    {"packed: an indirect table of 17", F_PACKED | F_INDIRECT, 1, 0, {{TABLE, 17, RING_INDIRECT, 0}}, {{0}}},
    {"packed: an indirect table of 4 GiB",
     F_PACKED | F_INDIRECT,
     1,
     0,
     {{TABLE, 0xfffffff0, RING_INDIRECT, 0}},
     {{0}}},
    {"packed: an indirect table outside RAM",
     F_PACKED | F_INDIRECT,
     1,
     0,
     {{OUTSIDE, 32, RING_INDIRECT, 0}},
     {{0}}},
};

static void put(struct ring *r, const struct scene *scene) {
    for (unsigned i = 0; i < scene->indirect; i++) {
        const struct bad *bad = &scene->table[i];
        r->indirect[i] =
            (struct descriptor){bad->address == TABLE ? AT(r->indirect) : bad->address, bad->size,
                                r->packed ? 0 : bad->flags, r->packed ? bad->flags & RING_WRITE : bad->next};
    }
    /* Packed: the first one last. */
    for (unsigned i = scene->count; i-- > 0;) {
        const struct bad *bad = &scene->ring[i];
        uint64_t address = bad->address == TABLE ? AT(r->indirect) : bad->address;
        if (r->packed)
            ring_set(r, i, address, bad->size, 0, bad->flags | 0x80);
        else
            ring_set(r, i, address, bad->size, bad->flags, bad->next);
    }
    if (!r->packed)
        ring_offer(r, 0);
}

/* The device has seen what it was given: it breaks, touches nothing more, and works after a reset. */
static void check_broken(struct virtio *v, struct ring *r, const char *name) {
    ring_kick(r);
    check(virtio_wait_status(v, S_NEEDS_RESET), name);
    uint16_t index = r->device[1];
    ring_kick(r);
    status_write(v, S_ALL | S_DRIVER_OK);
    if (!(status_read(v) & S_NEEDS_RESET) || *(volatile uint16_t *)&r->device[1] != index)
        check(false, "and stays so");
    if (!blk_works(v, r))
        check(false, "and works after a reset");
}

static void check_scenes(struct virtio *v, struct ring *r, const struct scene *scene, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (!blk_start(v, r, scene[i].features, SIZE, 0xffff))
            check(false, "the disk starts");
        put(r, &scene[i]);
        check_broken(v, r, scene[i].name);
    }
}

/* ---- indices of the available ring */

static void check_indices(struct virtio *v, struct ring *r) {
    static const uint16_t heads[] = {SIZE, 0x8000, 0xffff}, jumps[] = {SIZE + 1, 0x4000, 0x8000, 0xffff};
    volatile uint16_t *available = r->driver;
    for (unsigned i = 0; i < array_count(heads); i++) {
        blk_start(v, r, 0, SIZE, 0xffff);
        ring_offer(r, heads[i]);
        check_broken(v, r, "a head beyond the table");
    }
    for (unsigned i = 0; i < array_count(jumps); i++) {
        blk_start(v, r, i & 1 ? F_EVENT : 0, SIZE, 0xffff);
        available[1] = jumps[i];
        check_broken(v, r, "an available index that jumps");
    }
    blk_start(v, r, 0, SIZE, 0xffff);
    for (unsigned i = 0; i < SIZE; i++)
        available[2 + i] = (uint16_t)(0xbeef * (i + 1));
    available[1] = SIZE;
    check_broken(v, r, "an available ring of rubbish");
    uint32_t written;
    blk_start(v, r, 0, SIZE, 0xffff);
    check(blk_request(r, BLK_GET_ID, 0, data, 20, &written) == BLK_OK, "a sound request");
    available[1] = 0;
    check_broken(v, r, "an available index that goes back");
    blk_start(v, r, F_PACKED, SIZE, 0xffff);
    for (unsigned i = SIZE; i-- > 0;)
        ring_set(r, i, AT(data), 1, 0, RING_NEXT | 0x80);
    check_broken(v, r, "packed: a chain without an end");
}

/* ---- places of the rings */

static bool enable_at(struct virtio *v, unsigned field, uint64_t address, struct ring *r) {
    static const unsigned fields[] = {C_QUEUE_DESC, C_QUEUE_DRIVER, C_QUEUE_DEVICE};
    const uint64_t sound[] = {(uint64_t)r->table, (uint64_t)r->driver, (uint64_t)r->device};
    common_write(v, C_QUEUE_SELECT, 2, 0);
    for (unsigned i = 0; i < array_count(fields); i++) {
        uint64_t value = fields[i] == field ? address : sound[i];
        common_write(v, fields[i], 4, (uint32_t)value);
        common_write(v, fields[i] + 4, 4, (uint32_t)(value >> 32));
    }
    common_write(v, C_QUEUE_SIZE, 2, 256);
    common_write(v, C_QUEUE_ENABLE, 2, 1);
    return common_read(v, C_QUEUE_ENABLE, 2) == 1;
}

static void check_places(struct virtio *v, struct ring *r, uint64_t features) {
    static const uint64_t places[] = {OUTSIDE,      UINT64_MAX - 4095, UINT64_MAX - 15, RAM_END,
                                      RAM_END - 16, 0xfee00000,        0xfec00000,      0xb0000000,
                                      BAR_SPACE,    0xa0000,           1ull << 63,      0xfffffff0};
    static const unsigned fields[] = {C_QUEUE_DESC, C_QUEUE_DRIVER, C_QUEUE_DEVICE};
    unsigned wrong = 0;
    for (unsigned f = 0; f < array_count(fields); f++) {
        for (unsigned i = 0; i < array_count(places); i++) {
            /* Event suppression of a packed ring is small enough for RAM's end. */
            if (places[i] == RAM_END - 16 && f && features)
                continue;
            virtio_negotiate(v, features);
            if (enable_at(v, fields[f], places[i], r) || !(status_read(v) & S_NEEDS_RESET)) {
                print("place 0x%x, field 0x%x\n", places[i], (uint64_t)fields[f]);
                wrong++;
            }
        }
        /* 16, 2 and 4; packed 16, 4 and 4. */
        virtio_negotiate(v, features);
        if (enable_at(v, fields[f],
                      (uint64_t)r->table + (f == 0   ? 8
                                            : f == 1 ? 1
                                                     : 2),
                      r) ||
            !(status_read(v) & S_NEEDS_RESET))
            wrong++;
    }
    check_equal(wrong, 0,
                features ? "packed: rings where there is no RAM, or not aligned"
                         : "rings where there is no RAM, or not aligned");
    if (!blk_works(v, r))
        check(false, "and works after a reset");
}

/* What the CPU cannot write is no place for the used ring. */
static void check_rom(struct virtio *v, struct ring *r) {
    volatile uint32_t *rom = mmio32(0xf0000);
    uint32_t before = rom[0];
    rom[0] = ~before;
    if (rom[0] != before) {
        rom[0] = before;
        return;
    }
    virtio_negotiate(v, 0);
    check(!enable_at(v, C_QUEUE_DEVICE, 0xf0000, r) && (status_read(v) & S_NEEDS_RESET),
          "a used ring in ROM");
    check_equal(rom[0], before, "which stays as it was");
    check(blk_start(v, r, 0, SIZE, 0xffff), "the disk starts");
    ring_set(r, 0, AT(header), 16, RING_NEXT, 1);
    ring_set(r, 1, 0xf0000, 21, RING_WRITE, 0);
    ring_offer(r, 0);
    check_broken(v, r, "a buffer in ROM");
    check_equal(rom[0], before, "which stays as it was");
}

static void check_sizes(struct virtio *v, struct ring *r) {
    static const uint16_t sizes[] = {0, 3, 257, 512, 0x8000, 0xffff};
    unsigned wrong = 0;
    for (unsigned i = 0; i < array_count(sizes); i++) {
        virtio_negotiate(v, 0);
        common_write(v, C_QUEUE_SELECT, 2, 0);
        common_write(v, C_QUEUE_SIZE, 2, sizes[i]);
        wrong += !(status_read(v) & S_NEEDS_RESET);
    }
    check_equal(wrong, 0, "sizes that are not allowed");
    if (!blk_works(v, r))
        check(false, "and works after a reset");
}

/* All three areas at one place: nothing sensible comes of it, and nothing bad. */
static void check_overlap(struct virtio *v, struct ring *r) {
    for (unsigned i = 0; i < 2; i++) {
        virtio_negotiate(v, i ? F_PACKED : 0);
        ring_clear(r, v, 0, 256);
        enable_at(v, C_QUEUE_DEVICE, (uint64_t)r->table, r);
        virtio_negotiate(v, i ? F_PACKED : 0);
        uint64_t all = (uint64_t)r->table;
        common_write(v, C_QUEUE_SELECT, 2, 0);
        for (unsigned field = C_QUEUE_DESC; field <= C_QUEUE_DEVICE; field += 8) {
            common_write(v, field, 4, (uint32_t)all);
            common_write(v, field + 4, 4, 0);
        }
        common_write(v, C_QUEUE_ENABLE, 2, 1);
        status_write(v, S_ALL | S_DRIVER_OK);
        volatile uint16_t *words = (volatile uint16_t *)r->table;
        for (unsigned round = 1; round < 200; round++) {
            words[1] = (uint16_t)round;
            words[7] = (uint16_t)(0x80 | (round & 7));
            ring_kick(r);
        }
    }
    check(blk_works(v, r), "rings on top of each other");
}

/* ---- rings that change while they are read */

static void check_race(struct virtio *v, struct ring *r, uint64_t features) {
    uint64_t seed = 0x1234567;
    unsigned breaks = 0;
    blk_start(v, r, features | F_INDIRECT, SIZE, 0xffff);
    volatile uint16_t *available = r->driver;
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t random = random_next(&seed);
        volatile struct descriptor *d = &(random & 64 ? r->indirect : r->table)[random % SIZE];
        d->address = random & 128 ? (uint64_t)data : random & 256 ? (uint64_t)r->indirect : AT(header);
        d->size = random & 512 ? 16 : random & 1024 ? 32 : (uint32_t)(random >> 40);
        d->third = (uint16_t)(random >> 32 & 7);
        d->fourth = (uint16_t)(random >> 36 & (r->packed ? 0x8087 : 0x0f));
        if (!r->packed) {
            available[2 + random % SIZE] = (uint16_t)(random >> 20 & (random & 2048 ? 0x0f : 0xff));
            available[1] = (uint16_t)(available[1] + (random >> 50 & 1));
        }
        if (!(round & 3))
            ring_kick(r);
        if (!(round & 255) && (status_read(v) & S_NEEDS_RESET)) {
            breaks++;
            blk_start(v, r, features | F_INDIRECT, SIZE, 0xffff);
        }
    }
    check(breaks != 0,
          features ? "packed: a ring that changes all the time" : "a ring that changes all the time");
    check(blk_works(v, r), "the disk works after it");
}

void hostile_blk(struct virtio *disk, struct ring *r) {
    check_scenes(disk, r, split, array_count(split));
    check_scenes(disk, r, packed, array_count(packed));
    check_indices(disk, r);
    check_places(disk, r, 0);
    check_places(disk, r, F_PACKED);
    check_rom(disk, r);
    check_sizes(disk, r);
    check_overlap(disk, r);
    check_race(disk, r, 0);
    check_race(disk, r, F_PACKED);
}
