// SPDX-License-Identifier: Apache-2.0
// Virtio over MMIO, version 2 (virtio 1.2, 4.2).
#include "virtio/mmio.h"

#include <string.h>

#define MAGIC   0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR  0x1af4u

/* Registers (4.2.2). */
enum {
    MAGIC_VALUE = 0x000,
    VERSION_NUMBER = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SELECT = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SELECT = 0x024,
    QUEUE_SELECT = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    STATUS = 0x070,
    QUEUE_DESC = 0x080, /* low half; the high one follows */
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    SHM_LENGTH = 0x0b0, /* low half and high half */
    SHM_BASE = 0x0b8,
    CONFIG_GENERATION = 0x0fc,
};

/* ---- the device as the hypervisor shows it */

void virtio_mmio_describe(const struct virtio_device *device, unsigned vm, unsigned place, uint32_t token,
                          struct service_device *out) {
    struct service_region *region = out->region;

    memset(out, 0, sizeof(*out));
    out->token = token;
    out->vm = (uint16_t)vm;
    out->bus = SERVICE_BUS_MMIO;
    out->place = (uint8_t)place;
    out->bar_size[0] = SERVICE_MMIO_SIZE;
    *region++ = (struct service_region){.size = VIRTIO_MMIO_NOTIFY, .kind = SERVICE_REGION_REQUEST};
    *region++ = (struct service_region){.offset = VIRTIO_MMIO_NOTIFY,
                                        .size = 4,
                                        .stride = (uint16_t)device->queue_count,
                                        .kind = SERVICE_REGION_SELECT};
    *region++ =
        (struct service_region){.offset = VIRTIO_MMIO_STATUS, .size = 8, .kind = SERVICE_REGION_STATUS};
    *region = (struct service_region){.offset = VIRTIO_MMIO_STATUS + 8,
                                      .size = VIRTIO_MMIO_CONFIG - (VIRTIO_MMIO_STATUS + 8) +
                                              ((device->config_size + 3) & ~3u),
                                      .kind = SERVICE_REGION_REQUEST};
}

/* ---- interrupts */

static void set_status(struct virtio_device *device, uint32_t clear, uint32_t set) {
    struct virtio_mmio *mmio = device->owner;
    mmio->status(mmio, clear, set);
}

static void interrupt_queue(struct virtio_device *device, unsigned index) {
    (void)index;
    set_status(device, 0, VIRTIO_ISR_QUEUE);
}

static void interrupt_config(struct virtio_device *device) {
    set_status(device, 0, VIRTIO_ISR_CONFIG);
}

int virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *device) {
    device->owner = mmio;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    int error = virtio_device_init(device);
    /* What the hypervisor has kept is for a driver that is under way alone. */
    if (!(device->record->status & VIRTIO_STATUS_DRIVER_OK))
        set_status(device, UINT32_MAX, 0);
    return error;
}

void virtio_mmio_reset(struct virtio_device *device) {
    virtio_device_reset(device);
    set_status(device, UINT32_MAX, 0);
}

/* ---- registers */

/* The queue that is selected; NULL: there is none of that number. */
static struct virtio_queue_record *selected(const struct virtio_device *device) {
    struct virtio_record *record = device->record;

    return record->queue_select < device->queue_count ? &record->queue[record->queue_select] : NULL;
}

static uint32_t read_register(const struct virtio_device *device, unsigned offset) {
    const struct virtio_record *record = device->record;
    const struct virtio_queue_record *queue = selected(device);

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION_NUMBER:
        return VERSION;
    case DEVICE_ID:
        return device->class->id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        return virtio_device_features(device, record->feature_select[0]);
    case QUEUE_SIZE_MAX:
        return queue ? device->queue_size[record->queue_select] : 0;
    case QUEUE_READY:
        return queue ? queue->enabled : 0;
    case STATUS:
        return virtio_device_status(device);
    case SHM_LENGTH: /* there is no shared memory region: all ones */
    case SHM_LENGTH + 4:
    case SHM_BASE:
    case SHM_BASE + 4:
        return UINT32_MAX;
    case CONFIG_GENERATION:
        return record->generation;
    default:
        return 0;
    }
}

/* Half of an address, which stands still while the queue is enabled. */
static void write_address(struct virtio_device *device, unsigned offset, uint32_t value) {
    struct virtio_queue_record *queue = selected(device);

    if (!queue || queue->enabled)
        return;
    uint64_t *address = offset < QUEUE_DRIVER   ? &queue->descriptors
                        : offset < QUEUE_DEVICE ? &queue->driver
                                                : &queue->device;
    *address = offset & 4 ? (*address & UINT32_MAX) | (uint64_t)value << 32
                          : (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void write_register(struct virtio_device *device, unsigned offset, uint32_t value) {
    struct virtio_record *record = device->record;

    switch (offset) {
    case DEVICE_FEATURES_SELECT:
        record->feature_select[0] = value;
        break;
    case DRIVER_FEATURES_SELECT:
        record->feature_select[1] = value;
        break;
    case DRIVER_FEATURES:
        virtio_device_set_features(device, record->feature_select[1], value);
        break;
    case QUEUE_SELECT: /* a number beyond 16 bits is none of ours either */
        record->queue_select = value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
        break;
    case QUEUE_SIZE:
        virtio_device_set_queue_size(device, record->queue_select, value);
        break;
    case QUEUE_READY:
        if (value == 1)
            virtio_device_enable_queue(device, record->queue_select);
        else if (value == 0)
            virtio_device_reset_queue(device, record->queue_select);
        break;
    case STATUS: /* only 0 itself resets */
        if (value == 0)
            virtio_mmio_reset(device);
        else if (value & 0xff)
            virtio_device_set_status(device, (uint8_t)value);
        break;
    case QUEUE_DESC:
    case QUEUE_DESC + 4:
    case QUEUE_DRIVER:
    case QUEUE_DRIVER + 4:
    case QUEUE_DEVICE:
    case QUEUE_DEVICE + 4:
        write_address(device, offset, value);
        break;
    default:
        break;
    }
}

uint64_t virtio_mmio_read(struct virtio_device *device, unsigned offset, unsigned size) {
    if (offset >= VIRTIO_MMIO_CONFIG)
        return virtio_device_config_read(device, offset - VIRTIO_MMIO_CONFIG, size);
    return size == 4 ? read_register(device, offset) : 0;
}

void virtio_mmio_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value) {
    if (offset >= VIRTIO_MMIO_CONFIG)
        virtio_device_config_write(device, offset - VIRTIO_MMIO_CONFIG, size, value);
    else if (size == 4)
        write_register(device, offset, (uint32_t)value);
}
