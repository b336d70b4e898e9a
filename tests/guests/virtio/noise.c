// SPDX-License-Identifier: Apache-2.0
// Anything at all, on all devices: random registers, random configuration space, random descriptors, the same
// in each run. Afterwards all work.
#include "tests/guests/virtio/virtio.h"

#define SANDBOX      0x800000ull /* RAM that devices may spoil: from here on there is nothing of the guest */
#define SANDBOX_SIZE 0x40000ull  /* small enough for rings and descriptors to meet */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void) {
    return random_next(&seed);
}

static uint64_t sandbox(void) {
    return SANDBOX + next() % SANDBOX_SIZE / 16 * 16;
}

/* Outside RAM, now and then. */
static uint64_t place(void) {
    return next() % 8 ? sandbox() : next() | 0x80000000u;
}

/* Random descriptors, and rings that refer to them, all over the sandbox. */
static void strew(void) {
    for (unsigned i = 0; i < 256; i++) {
        volatile struct descriptor *d = (volatile struct descriptor *)sandbox();
        uint64_t random = next();
        d->address = place();
        d->size = random % 4 ? (uint32_t)(random >> 40 & 0xfff) : (uint32_t)(random >> 32);
        d->third = (uint16_t)(random >> 8 & (random & 16 ? 0x0f : 0xffff));
        d->fourth = (uint16_t)(random >> 24 & (random & 32 ? 0x808f : 0xffff));
    }
}

static volatile uint8_t *at(uint64_t address) {
    return (volatile uint8_t *)address;
}

static void poke(uint64_t to, uint64_t value, unsigned size) {
    switch (size) {
    case 0:
        *at(to) = (uint8_t)value;
        break;
    case 1:
        *(volatile uint16_t *)at(to) = (uint16_t)value;
        break;
    case 2:
        *(volatile uint32_t *)at(to) = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)at(to) = value;
    }
}

/* The selected queue's areas are in the sandbox or nowhere, whatever was written in part. */
static void aim(const struct virtio *v) {
    for (unsigned field = C_QUEUE_DESC; field <= C_QUEUE_DEVICE; field += 8) {
        uint64_t address = place();
        common_write(v, field, 4, (uint32_t)address);
        common_write(v, field + 4, 4, (uint32_t)(address >> 32));
    }
}

/* A driver's start with random choices in it. */
static void half_start(struct virtio *v) {
    uint64_t random = next(), offered = features_read(v);
    virtio_negotiate(v, offered & (random % 4 ? random : 0) & ~F_VERSION_1);
    for (unsigned queue = 0; queue < v->vectors - 1; queue++) {
        common_write(v, C_QUEUE_SELECT, 2, queue);
        aim(v);
        if (next() % 2)
            common_write(v, C_QUEUE_SIZE, 2, 1u << next() % 9);
        common_write(v, C_QUEUE_ENABLE, 2, 1);
    }
    status_write(v, S_ALL | S_DRIVER_OK);
}

static void random_write(struct virtio *v) {
    uint64_t random = next(), value = next() >> (random >> 58);
    uint64_t base = v->bar[0];
    unsigned size = (unsigned)(random >> 8) % 4;
    switch (random % 8) {
    case 0: /* anywhere in the BAR but the common configuration */
        poke(base + v->common.offset + 0x40 + (random >> 16) % (v->bar_size[0] - 0x48), value, size);
        break;
    case 1:
        poke(base + v->config.offset + (random >> 16) % v->config.size, value, size);
        break;
    case 2:
    case 3: /* the registers; those of addresses are aimed anew */
        poke(base + v->common.offset + (random >> 16) % C_SIZE, value, size);
        aim(v);
        break;
    case 4:
        (void)isr_read(v);
        (void)*(volatile uint64_t *)at(base + (random >> 16) % (v->bar_size[0] - 8));
        break;
    default:
        virtio_notify(v, (uint32_t)(random >> 16) % (v->vectors - 1) * v->multiplier, 0);
    }
}

/* Configuration space. The BARs and the memory bit go home after each. */
static void random_config(struct virtio *v) {
    uint64_t random = next();
    unsigned size = 1u << (random >> 8) % 3;
    pci_write(v, (unsigned)(random >> 16) % 0x1000 & ~(size - 1), size, (uint32_t)next());
    pci_write(v, (unsigned)(random >> 32) % 0x100 & ~(size - 1), size, (uint32_t)next());
    (void)pci_read(v, (unsigned)(random >> 40) % 0x1000 & ~(size - 1), size);
    msix_control(v, 0);
    virtio_place(v);
}

void noise(struct virtio *disk, struct virtio *a, struct virtio *b, struct ring *r, struct card *one,
           struct card *other) {
    struct virtio *devices[] = {disk, a, b};
    for (unsigned round = 0; round < 100; round++) {
        struct virtio *v = devices[next() % array_count(devices)];
        strew();
        if (next() % 2)
            half_start(v);
        for (unsigned i = 0; i < 30; i++)
            random_write(v);
        for (unsigned i = 0; i < 5; i++)
            random_config(devices[next() % array_count(devices)]);
        if (round % 50 == 49) {
            check(blk_works(disk, r), "after noise the disk works");
            check(net_works(one, a, other, b), "and the cards");
        }
    }
}
