// SPDX-License-Identifier: Apache-2.0
// A small virtio driver; see driver.h.
#include "tests/bench/guests/driver.h"

#include "tests/bench/guests/bench.h"

#define ECAM            0xb0000000u
#define BARS            0xe0000000u /* where BARs go: in the PCI hole, 1 MiB for each device */
#define BAR_ROOM        0x80000u

#define CAPABILITY_MSIX 0x11u
#define CAPABILITY_OWN  0x09u

/* The common configuration (virtio 1.2, 4.1.4.3). */
#define FEATURE_SELECT  0x08u /* the driver's; its features follow */
#define STATUS          0x14u
#define QUEUE_SELECT    0x16u
#define QUEUE_LENGTH    0x18u
#define QUEUE_VECTOR    0x1au
#define QUEUE_ENABLE    0x1cu
#define QUEUE_NOTIFY    0x1eu
#define QUEUE_ADDRESSES 0x20u

#define ACKNOWLEDGE     1u
#define DRIVER          2u
#define DRIVER_OK       4u
#define FEATURES_OK     8u

static uint32_t get32(const struct device *device, unsigned offset) {
    return *mmio32(device->config + offset);
}
static uint8_t get8(const struct device *device, unsigned offset) {
    return *(volatile uint8_t *)(device->config + offset);
}
static void put8(const struct device *device, unsigned offset, uint8_t value) {
    device->registers[device->common + offset] = value;
}
static void put16(const struct device *device, unsigned offset, uint16_t value) {
    *(volatile uint16_t *)(device->registers + device->common + offset) = value;
}
static void put32(const struct device *device, unsigned offset, uint32_t value) {
    *(volatile uint32_t *)(device->registers + device->common + offset) = value;
}

/* BARs 0 and 1, and each vector of MSI-X: VECTOR_BENCH of CPU 0. */
static void place(struct device *device, unsigned slot) {
    uint64_t bar = BARS + slot * 2 * BAR_ROOM;

    *mmio32(device->config + 0x10) = (uint32_t)bar;
    *mmio32(device->config + 0x14) = (uint32_t)(bar + BAR_ROOM);
    *mmio32(device->config + 0x04) = 6; /* memory, bus master */
    device->registers = (volatile uint8_t *)bar;
    for (unsigned at = get8(device, 0x34); at; at = get8(device, at + 1)) {
        if (get8(device, at) == CAPABILITY_MSIX) {
            unsigned vectors = (get32(device, at) >> 16 & 0x7ff) + 1;
            for (unsigned i = 0; i < vectors; i++) {
                uint64_t entry = bar + BAR_ROOM + 16 * i;
                *mmio32(entry) = 0xfee00000u;
                *mmio32(entry + 4) = 0;
                *mmio32(entry + 8) = VECTOR_BENCH;
                *mmio32(entry + 12) = 0;
            }
            *mmio32(device->config + at) = 0x80000000u;
        } else if (get8(device, at) == CAPABILITY_OWN) {
            uint32_t offset = get32(device, at + 8);
            switch (get8(device, at + 3)) {
            case 1:
                device->common = offset;
                break;
            case 2:
                device->notify = offset;
                device->notify_stride = get32(device, at + 16);
                break;
            case 4:
                device->specific = offset;
                break;
            }
        }
    }
}

static bool negotiate(struct device *device, uint64_t features) {
    put8(device, STATUS, 0);
    put8(device, STATUS, ACKNOWLEDGE | DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        put32(device, FEATURE_SELECT, i);
        put32(device, FEATURE_SELECT + 4, (uint32_t)(features >> 32 * i));
    }
    put8(device, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    return device->registers[device->common + STATUS] & FEATURES_OK;
}

bool device_find(struct device *device, unsigned id, unsigned which, uint64_t features) {
    for (unsigned slot = 0; slot < 32; slot++) {
        device->config = ECAM + (slot << 15);
        if (get32(device, 0) != (id << 16 | 0x1af4) || which--)
            continue;
        place(device, slot);
        return negotiate(device, features | F_VERSION_1);
    }
    return false;
}

static void put_address(const struct device *device, unsigned which, const volatile void *address) {
    put32(device, QUEUE_ADDRESSES + 8 * which, (uint32_t)(uint64_t)address);
    put32(device, QUEUE_ADDRESSES + 8 * which + 4, 0); /* all lies below 4 GiB */
}

void device_queue(struct device *device, struct queue *queue, unsigned number, bool interrupts) {
    put16(device, QUEUE_SELECT, (uint16_t)number);
    put16(device, QUEUE_LENGTH, QUEUE_SIZE);
    put16(device, QUEUE_VECTOR, interrupts ? (uint16_t)(number + 1) : 0xffff);
    put_address(device, 0, queue->table);
    put_address(device, 1, &queue->available);
    put_address(device, 2, &queue->used);
    uint16_t place = *(volatile uint16_t *)(device->registers + device->common + QUEUE_NOTIFY);
    queue->bell = (volatile uint16_t *)(device->registers + device->notify + device->notify_stride * place);
    queue->number = (uint16_t)number;
    put16(device, QUEUE_ENABLE, 1);
}

void device_start(struct device *device) {
    put8(device, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}
