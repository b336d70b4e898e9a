// SPDX-License-Identifier: Apache-2.0
// A virtio device apart from its transport (virtio 1.2, 2.1 to 2.5 and 3): status, features, queues,
// configuration. A transport (virtio/pci.h, virtio/mmio.h) shows it to a guest; a class (net, blk, ...) makes
// it what it is.
#ifndef SAGUARO_VIRTIO_DEVICE_H
#define SAGUARO_VIRTIO_DEVICE_H

#include "virtio/queue.h"

#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

#define VIRTIO_ID_NET             1u
#define VIRTIO_ID_BLOCK           2u
#define VIRTIO_ID_CONSOLE         3u
#define VIRTIO_ID_ENTROPY         4u
#define VIRTIO_ID_BALLOON         5u
#define VIRTIO_ID_IOMMU           23u

#define VIRTIO_MAX_QUEUES         31u /* a doorbell each in 32 bits */
#define VIRTIO_NO_VECTOR          0xffffu

#define VIRTIO_ISR_QUEUE          1u /* record->isr */
#define VIRTIO_ISR_CONFIG         2u

struct virtio_device;

/* What a class does. Hooks may be NULL where nothing is to be done. */
struct virtio_class {
    uint16_t id; /* VIRTIO_ID_* */
    const char *name;
    /* Back to power-on: forgets buffers and settings. The queues are disabled already. */
    void (*reset)(struct virtio_device *device);
    /* The driver has chosen these features, a subset of those offered. False: not together. */
    bool (*accept)(struct virtio_device *device, uint64_t features);
    /* DRIVER_OK was set, or the device goes on after a restart of our program: queues may be used. */
    void (*start)(struct virtio_device *device);
    /* The driver has notified queue `index`, which is enabled. */
    void (*notify)(struct virtio_device *device, unsigned index);
    /* The device's configuration: `size` is 1, 2 or 4 and offset + size at most config_size; little-endian in
     * a register's sense. */
    uint32_t (*config_read)(struct virtio_device *device, unsigned offset, unsigned size);
    void (*config_write)(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value);
    /* Whether a buffer that was taken, also before the last reset, still touches, or will, what lies at the
     * device's addresses [first, last]. NULL: nothing is kept from one call to the next. */
    bool (*holds)(const struct virtio_device *device, uint64_t first, uint64_t last);
};

/* Of a queue as the driver sets it up; kept over a restart of our program. */
struct virtio_queue_record {
    uint64_t descriptors, driver, device;
    uint16_t size;
    uint16_t vector; /* MSI-X, or VIRTIO_NO_VECTOR */
    uint16_t enabled;
    struct virtq_position position; /* up to date whenever no hook runs */
};

/* All of a device that is kept over a restart of our program and will travel: fits SERVICE_RECORD_SIZE. */
struct virtio_record {
    uint32_t magic;             /* VIRTIO_RECORD_MAGIC once it is valid */
    uint32_t version;           /* VIRTIO_RECORD_VERSION */
    uint64_t offered;           /* features; another program that offers others resets the device */
    uint64_t features;          /* chosen by the driver */
    uint32_t feature_select[2]; /* of the device's and the driver's feature words */
    uint16_t queue_select;
    uint16_t config_vector;
    uint8_t status;
    uint8_t isr;
    uint8_t generation; /* of the configuration */
    uint8_t queue_count;
    uint8_t own[256];      /* the class's */
    uint8_t config_untold; /* 1: it has changed, or the device broke, and the driver has not looked since */
    struct virtio_queue_record queue[VIRTIO_MAX_QUEUES];
    struct virtq_journal journal; /* of all queues */
};
#define VIRTIO_RECORD_MAGIC   0x76697274u
#define VIRTIO_RECORD_VERSION 2u

struct virtio_device {
    const struct virtio_class *class;
    const char *name; /* for messages: "web net0" */
    void *owner;      /* the transport's */
    struct virtio_memory *memory;
    struct virtio_record *record;
    uint64_t features_offered; /* the ring's included */
    unsigned queue_count, config_size;
    bool config_seen; /* the core's: the driver has read its configuration since `generation` changed */
    uint16_t queue_size[VIRTIO_MAX_QUEUES]; /* largest that is offered */
    struct virtq queue[VIRTIO_MAX_QUEUES];
    /* The transport's: interrupts for a queue, or for a change of configuration; and a line for the log. */
    void (*interrupt_queue)(struct virtio_device *device, unsigned index);
    void (*interrupt_config)(struct virtio_device *device);
    void (*log)(struct virtio_device *device, const char *text);
};

/* The device's fields above are filled in, `record` is zeroed or from before: then what it says is taken up
 * again, with the queues enabled and start() called. 0; -EINVAL: the record was not sound, the device is as
 * after power-on. */
int virtio_device_init(struct virtio_device *device);

/* ---- for transports */
void virtio_device_reset(struct virtio_device *device);
/* A write to the status; 0 resets. Refuses FEATURES_OK by not setting it. */
void virtio_device_set_status(struct virtio_device *device, uint8_t status);
/* What a driver reads of it: 0 once a reset is over, and nothing of the device touches its memory (2.4.1). */
uint8_t virtio_device_status(const struct virtio_device *device);
/* The driver's features, word 0 or 1. Ignored once FEATURES_OK is set. */
void virtio_device_set_features(struct virtio_device *device, unsigned word, uint32_t value);
uint32_t virtio_device_features(const struct virtio_device *device, unsigned word); /* as offered */
/* Enables queue `index` as record->queue[index] says; the device breaks if that cannot be. */
void virtio_device_enable_queue(struct virtio_device *device, unsigned index);
/* Disables it. The device breaks if buffers of it are in flight: queue reset (2.6.1) is not offered. */
void virtio_device_reset_queue(struct virtio_device *device, unsigned index);
/* The driver's choice of a size for queue `index`, which is not enabled; the device breaks if it is not
 * allowed. */
void virtio_device_set_queue_size(struct virtio_device *device, unsigned index, uint32_t size);
/* The driver's access to the configuration: `size` is 1, 2, 4 or 8; beyond its end it reads as 0 and a write
 * does nothing. */
uint64_t virtio_device_config_read(struct virtio_device *device, unsigned offset, unsigned size);
void virtio_device_config_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value);
/* A doorbell: nothing happens for a queue that is not enabled, or before DRIVER_OK. */
void virtio_device_notify(struct virtio_device *device, unsigned index);

/* ---- for an IOMMU (virtio/iommu.h) */
/* Translations of the device's memory were taken away, or are others: its queues are found anew; the device
 * breaks if one is gone. */
void virtio_device_remap(struct virtio_device *device);

/* ---- for classes */
static inline bool virtio_has(const struct virtio_device *device, uint64_t feature) {
    return (device->record->features & feature) != 0;
}
static inline bool virtio_running(const struct virtio_device *device) {
    return (device->record->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
           VIRTIO_STATUS_DRIVER_OK;
}
/* virtq_take() and virtq_finish(), that keep the record and break the device when the queue is broken. take:
 * true if *buffer was filled in. finish does not interrupt: see virtio_device_flush(). */
bool virtio_device_take(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer);
/* virtq_take_more() in the same way: 1; 0; -ENOSPC; -EPROTO: the device does not run (any more). */
int virtio_device_take_more(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer);
void virtio_device_finish(struct virtio_device *device, unsigned index, const struct virtq_buffer *buffer,
                          uint32_t written);
/* Interrupts the driver if it wants to know of what was finished. */
void virtio_device_flush(struct virtio_device *device, unsigned index);
/* The configuration has changed. */
void virtio_device_config_changed(struct virtio_device *device);
/* The driver has broken the rules: sets NEEDS_RESET, says why in the log (once), stops. */
void virtio_device_break(struct virtio_device *device, const char *why);

#endif
