// SPDX-License-Identifier: Apache-2.0
// Virtio over PCI, without the legacy interface (virtio 1.2, 4.1).
#include "virtio/pci.h"

#include <errno.h>
#include <string.h>

/* The header and the capabilities in configuration space. */
#define PCI_VENDOR          0x00
#define PCI_DEVICE          0x02
#define PCI_STATUS          0x06
#define PCI_REVISION        0x08
#define PCI_CLASS           0x09 /* three bytes */
#define PCI_CACHE_LINE      0x0c
#define PCI_SUBSYSTEM       0x2c /* vendor, device */
#define PCI_CAPABILITIES    0x34
#define PCI_INTERRUPT_LINE  0x3c
#define PCI_INTERRUPT_PIN   0x3d
#define PCI_FIRST_FREE      0x40

#define STATUS_CAPABILITIES 0x10 /* there is a list of them */
#define CAPABILITY_VENDOR   0x09
#define CAPABILITY_MSIX     0x11
#define MSIX_CONTROL        2
#define MSIX_TABLE          4
#define MSIX_PBA            8
#define MSIX_ENTRY          16   /* bytes of the table */
#define MSIX_WRITABLE       0xc0 /* enable and mask, in the control word's second byte */

#define VIRTIO_VENDOR       0x1af4
#define VIRTIO_DEVICE_BASE  0x1040

/* Types of structures and the sizes of their capabilities (4.1.4). */
#define TYPE_COMMON         1
#define TYPE_NOTIFY         2
#define TYPE_ISR            3
#define TYPE_DEVICE         4
#define STRUCTURE_SIZE      16
#define NOTIFY_SIZE         20 /* with the multiplier */

/* The common configuration structure (4.1.4.3). What follows belongs to features that are not offered. */
enum {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_MSIX_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_MSIX_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20, /* 64-bit fields are two of 32 bits (4.1.3) */
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    COMMON_SIZE = 0x38,
};

/* Where the fields begin; each ends where the next one begins. */
static const uint8_t field_start[] = {
    DEVICE_FEATURE_SELECT, DEVICE_FEATURE, DRIVER_FEATURE_SELECT, DRIVER_FEATURE,
    CONFIG_MSIX_VECTOR,    NUM_QUEUES,     DEVICE_STATUS,         CONFIG_GENERATION,
    QUEUE_SELECT,          QUEUE_SIZE,     QUEUE_MSIX_VECTOR,     QUEUE_ENABLE,
    QUEUE_NOTIFY_OFF,      QUEUE_DESC,     QUEUE_DESC + 4,        QUEUE_DRIVER,
    QUEUE_DRIVER + 4,      QUEUE_DEVICE,   QUEUE_DEVICE + 4,      COMMON_SIZE,
};
#define FIELDS (sizeof(field_start) - 1)

static void put(uint8_t *bytes, unsigned size, uint32_t value) {
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

/* One vector for the configuration and one for each queue. */
static unsigned vector_count(const struct virtio_device *device) {
    return device->queue_count + 1;
}

/* ---- the function as the hypervisor shows it */

static uint32_t class_code(unsigned id) {
    switch (id) {
    case VIRTIO_ID_NET:
        return 0x020000; /* Ethernet */
    case VIRTIO_ID_BLOCK:
        return 0x018000; /* mass storage, other */
    case VIRTIO_ID_CONSOLE:
        return 0x078000; /* communication, other */
    default:
        return 0xff0000; /* does not fit in any class */
    }
}

/* A capability that says where a structure lies in BAR 0. Returns where the next one goes. */
static unsigned add_structure(uint8_t *config, unsigned at, uint8_t size, uint8_t type, uint32_t offset,
                              uint32_t length) {
    config[at] = CAPABILITY_VENDOR;
    config[at + 1] = (uint8_t)(at + size);
    config[at + 2] = size;
    config[at + 3] = type;
    put(&config[at + 8], 4, offset);
    put(&config[at + 12], 4, length);
    return at + size;
}

/*
 * 4.1.4.9 asks for one more capability, through which a driver reaches the BARs by configuration space. Each
 * access to its data field would have to become one to a BAR, but the hypervisor keeps configuration space
 * and passes none of these on; a field that does nothing would be worse than none. Drivers that map the BARs,
 * which is the way of 4.1.4 itself, do not look for it.
 */
static void describe_config(const struct virtio_device *device, struct service_device *out) {
    uint8_t *config = out->config;
    unsigned id = device->class->id;

    put(&config[PCI_VENDOR], 2, VIRTIO_VENDOR);
    put(&config[PCI_DEVICE], 2, VIRTIO_DEVICE_BASE + id);
    put(&config[PCI_STATUS], 2, STATUS_CAPABILITIES);
    config[PCI_REVISION] = 1;
    put(&config[PCI_CLASS], 3, class_code(id));
    put(&config[PCI_SUBSYSTEM], 2, VIRTIO_VENDOR);
    put(&config[PCI_SUBSYSTEM + 2], 2, VIRTIO_DEVICE_BASE + id);
    config[PCI_CAPABILITIES] = PCI_FIRST_FREE;
    config[PCI_INTERRUPT_PIN] = 1;
    out->writable[PCI_CACHE_LINE] = 0xff;
    out->writable[PCI_INTERRUPT_LINE] = 0xff;

    unsigned at =
        add_structure(config, PCI_FIRST_FREE, STRUCTURE_SIZE, TYPE_COMMON, VIRTIO_PCI_COMMON, COMMON_SIZE);
    put(&config[at + STRUCTURE_SIZE], 4, VIRTIO_PCI_NOTIFY_STRIDE);
    at = add_structure(config, at, NOTIFY_SIZE, TYPE_NOTIFY, VIRTIO_PCI_NOTIFY,
                       VIRTIO_PCI_NOTIFY_STRIDE * device->queue_count);
    at = add_structure(config, at, STRUCTURE_SIZE, TYPE_ISR, VIRTIO_PCI_ISR, 1);
    if (device->config_size)
        at = add_structure(config, at, STRUCTURE_SIZE, TYPE_DEVICE, VIRTIO_PCI_CONFIG, device->config_size);

    config[at] = CAPABILITY_MSIX;
    put(&config[at + MSIX_CONTROL], 2, vector_count(device) - 1);
    put(&config[at + MSIX_TABLE], 4, 1); /* at the beginning of BAR 1 */
    put(&config[at + MSIX_PBA], 4, VIRTIO_PCI_PBA | 1);
    out->writable[at + MSIX_CONTROL + 1] = MSIX_WRITABLE;
    out->msix = (uint8_t)at;
    out->vectors = (uint16_t)vector_count(device);
}

void virtio_pci_describe(const struct virtio_device *device, unsigned vm, unsigned devfn, uint32_t token,
                         struct service_device *out) {
    struct service_region *region = out->region;

    memset(out, 0, sizeof(*out));
    out->token = token;
    out->vm = (uint16_t)vm;
    out->devfn = (uint8_t)devfn;
    describe_config(device, out);
    out->bar_size[0] = VIRTIO_PCI_BAR0_SIZE;
    out->bar_size[1] = VIRTIO_PCI_BAR1_SIZE;
    *region++ = (struct service_region){
        .offset = VIRTIO_PCI_COMMON, .size = COMMON_SIZE, .kind = SERVICE_REGION_REQUEST};
    *region++ = (struct service_region){.offset = VIRTIO_PCI_ISR, .size = 4, .kind = SERVICE_REGION_REQUEST};
    if (device->config_size)
        *region++ = (struct service_region){.offset = VIRTIO_PCI_CONFIG,
                                            .size = (device->config_size + 3) & ~3u,
                                            .kind = SERVICE_REGION_REQUEST};
    *region++ = (struct service_region){.offset = VIRTIO_PCI_NOTIFY,
                                        .size = VIRTIO_PCI_NOTIFY_STRIDE * device->queue_count,
                                        .stride = VIRTIO_PCI_NOTIFY_STRIDE,
                                        .kind = SERVICE_REGION_DOORBELL};
    *region++ = (struct service_region){
        .bar = 1, .size = MSIX_ENTRY * vector_count(device), .kind = SERVICE_REGION_MSIX};
    *region =
        (struct service_region){.bar = 1, .offset = VIRTIO_PCI_PBA, .size = 8, .kind = SERVICE_REGION_PBA};
}

/* ---- interrupts */

static void set_line(struct virtio_pci *pci, bool level) {
    if (pci->raised != level) {
        pci->raised = level;
        pci->line(pci, level);
    }
}

/* INTA is for when MSI-X is off (4.1.4.5.1). */
static void interrupt(struct virtio_device *device, unsigned vector, uint8_t isr) {
    struct virtio_pci *pci = device->owner;
    bool legacy = pci->interrupt(pci, vector) == -ENXIO;

    if (legacy)
        device->record->isr |= isr;
    set_line(pci, legacy);
}

static void interrupt_queue(struct virtio_device *device, unsigned index) {
    interrupt(device, device->record->queue[index].vector, VIRTIO_ISR_QUEUE);
}

/* Unlike the queues' this bit is set whether MSI-X is on or off, and before the message (4.1.4.5.1). */
static void interrupt_config(struct virtio_device *device) {
    device->record->isr |= VIRTIO_ISR_CONFIG;
    interrupt(device, device->record->config_vector, VIRTIO_ISR_CONFIG);
}

/* Which one is not known: a driver looks at all queues. Configuration's bit is set already. */
void virtio_pci_refused(struct virtio_device *device) {
    if (!virtio_running(device))
        return; /* it was reset since */
    device->record->isr |= VIRTIO_ISR_QUEUE;
    set_line(device->owner, true);
}

int virtio_pci_init(struct virtio_pci *pci, struct virtio_device *device) {
    device->owner = pci;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    /* The line may be at either level, if our program ended while it changed it. */
    pci->raised = false;
    pci->line(pci, false);
    int error = virtio_device_init(device);
    if (device->record->isr && pci->interrupt(pci, VIRTIO_NO_VECTOR) == -ENXIO)
        set_line(pci, true);
    return error;
}

void virtio_pci_reset(struct virtio_device *device) {
    virtio_device_reset(device);
    set_line(device->owner, false);
}

/* ---- registers */

/* The queue that is selected; NULL: there is none of that number. */
static struct virtio_queue_record *selected(const struct virtio_device *device) {
    struct virtio_record *record = device->record;

    return record->queue_select < device->queue_count ? &record->queue[record->queue_select] : NULL;
}

/* One of the three addresses of a queue. */
static uint64_t *address_field(struct virtio_queue_record *queue, unsigned field) {
    switch (field & ~4u) {
    case QUEUE_DESC:
        return &queue->descriptors;
    case QUEUE_DRIVER:
        return &queue->driver;
    default:
        return &queue->device;
    }
}

static uint32_t read_queue_field(const struct virtio_device *device, unsigned field) {
    struct virtio_queue_record *queue = selected(device);

    if (!queue)
        return field == QUEUE_MSIX_VECTOR ? VIRTIO_NO_VECTOR : 0;
    switch (field) {
    case QUEUE_SIZE:
        return queue->size;
    case QUEUE_MSIX_VECTOR:
        return queue->vector;
    case QUEUE_ENABLE:
        return queue->enabled;
    case QUEUE_NOTIFY_OFF:
        return device->record->queue_select;
    default:
        return (uint32_t)(*address_field(queue, field) >> (field & 4 ? 32 : 0));
    }
}

static uint32_t read_field(const struct virtio_device *device, unsigned field) {
    const struct virtio_record *record = device->record;
    uint32_t select = record->feature_select[1];

    switch (field) {
    case DEVICE_FEATURE_SELECT:
        return record->feature_select[0];
    case DEVICE_FEATURE:
        return virtio_device_features(device, record->feature_select[0]);
    case DRIVER_FEATURE_SELECT:
        return select;
    case DRIVER_FEATURE:
        return select > 1 ? 0 : (uint32_t)(record->features >> 32 * select);
    case CONFIG_MSIX_VECTOR:
        return record->config_vector;
    case NUM_QUEUES:
        return device->queue_count;
    case DEVICE_STATUS:
        return virtio_device_status(device);
    case CONFIG_GENERATION:
        return record->generation;
    case QUEUE_SELECT:
        return record->queue_select;
    default:
        return read_queue_field(device, field);
    }
}

/* A vector that does not exist cannot be mapped: the field then reads as NO_VECTOR (4.1.5.1.2.1). */
static uint16_t map_vector(const struct virtio_device *device, uint32_t vector) {
    return vector < vector_count(device) ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

/* All but the vector stands still while the queue is enabled. */
static void write_queue_field(struct virtio_device *device, unsigned field, uint32_t value) {
    struct virtio_queue_record *queue = selected(device);

    if (!queue)
        return;
    if (field == QUEUE_MSIX_VECTOR) {
        queue->vector = map_vector(device, value);
    } else if (queue->enabled) {
        return;
    } else if (field == QUEUE_SIZE) {
        virtio_device_set_queue_size(device, device->record->queue_select, value);
    } else if (field == QUEUE_ENABLE) {
        if (value == 1)
            virtio_device_enable_queue(device, device->record->queue_select);
    } else if (field >= QUEUE_DESC) {
        uint64_t *address = address_field(queue, field);
        *address = field & 4 ? (*address & UINT32_MAX) | (uint64_t)value << 32
                             : (*address & ~(uint64_t)UINT32_MAX) | value;
    }
}

static void write_field(struct virtio_device *device, unsigned field, uint32_t value) {
    struct virtio_record *record = device->record;

    switch (field) {
    case DEVICE_FEATURE_SELECT:
        record->feature_select[0] = value;
        break;
    case DRIVER_FEATURE_SELECT:
        record->feature_select[1] = value;
        break;
    case DRIVER_FEATURE:
        virtio_device_set_features(device, record->feature_select[1], value);
        break;
    case CONFIG_MSIX_VECTOR:
        record->config_vector = map_vector(device, value);
        break;
    case DEVICE_STATUS:
        if (value)
            virtio_device_set_status(device, (uint8_t)value);
        else
            virtio_pci_reset(device);
        break;
    case QUEUE_SELECT:
        record->queue_select = (uint16_t)value;
        break;
    default:
        write_queue_field(device, field, value);
        break;
    }
}

/* The bytes [offset, offset + size) of the structure, whatever fields they belong to. */
static uint64_t read_common(const struct virtio_device *device, unsigned offset, unsigned size) {
    uint64_t value = 0;

    for (unsigned i = 0; i < FIELDS; i++) {
        unsigned start = field_start[i], end = field_start[i + 1];
        if (start >= offset + size || end <= offset)
            continue;
        uint64_t field = read_field(device, start);
        for (unsigned at = start; at < end; at++)
            if (at >= offset && at < offset + size)
                value |= (field >> 8 * (at - start) & 0xff) << 8 * (at - offset);
    }
    return value;
}

/* Fields that are hit in part keep the rest. */
static void write_common(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < FIELDS; i++) {
        unsigned start = field_start[i], end = field_start[i + 1];
        if (start >= offset + size || end <= offset)
            continue;
        uint32_t field = read_field(device, start);
        for (unsigned at = start; at < end; at++)
            if (at >= offset && at < offset + size) {
                field &= ~(0xffu << 8 * (at - start));
                field |= (uint32_t)(value >> 8 * (at - offset) & 0xff) << 8 * (at - start);
            }
        write_field(device, start, field);
    }
}

/* Reading it clears it and lowers INTA (4.1.4.5). The program may end before the answer is with the guest,
 * which then reads again: record->config_untold stays until the driver has looked at the configuration.
 * Queues are told of anew by every run. */
static uint8_t read_isr(struct virtio_device *device) {
    uint8_t isr = device->record->isr;

    device->record->isr = 0;
    set_line(device->owner, false);
    return isr;
}

uint64_t virtio_pci_read(struct virtio_device *device, unsigned bar, unsigned offset, unsigned size) {
    if (bar != 0)
        return 0;
    if (offset < VIRTIO_PCI_ISR)
        return read_common(device, offset, size);
    if (offset == VIRTIO_PCI_ISR)
        return read_isr(device);
    if (offset >= VIRTIO_PCI_CONFIG && offset < VIRTIO_PCI_NOTIFY)
        return virtio_device_config_read(device, offset - VIRTIO_PCI_CONFIG, size);
    return 0;
}

void virtio_pci_write(struct virtio_device *device, unsigned bar, unsigned offset, unsigned size,
                      uint64_t value) {
    if (bar != 0)
        return;
    if (offset < VIRTIO_PCI_ISR)
        write_common(device, offset, size, value);
    else if (offset >= VIRTIO_PCI_CONFIG && offset < VIRTIO_PCI_NOTIFY)
        virtio_device_config_write(device, offset - VIRTIO_PCI_CONFIG, size, value);
}
