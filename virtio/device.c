// SPDX-License-Identifier: Apache-2.0
// The core of a virtio device: status, negotiation, queues, the record that a restart of our program goes on
// from (virtio 1.2, 2.1 to 2.5 and 3.1).
#include "virtio/device.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "abi/service.h"

static_assert(sizeof(struct virtio_record) <= SERVICE_RECORD_SIZE, "a record has this much room");

/* What a driver may set. NEEDS_RESET is the device's own. */
#define STATUS_DRIVERS                                                                                       \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |                            \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

/* A line for the log, after the device's name. */
static void say(struct virtio_device *device, const char *text) {
    char line[SERVICE_MAX_TEXT];

    snprintf(line, sizeof(line), "%s: %s", device->name, text);
    device->log(device, line);
}

static void break_queue(struct virtio_device *device, unsigned index, const char *why) {
    char line[SERVICE_MAX_TEXT];

    snprintf(line, sizeof(line), "queue %u: %s", index, why);
    virtio_device_break(device, line);
}

static bool queue_usable(const struct virtio_device *device, unsigned index) {
    return virtio_running(device) && index < device->queue_count && device->queue[index].size;
}

/* What a queue's record says after power-on. */
static void clear_queue_record(struct virtio_device *device, unsigned index) {
    struct virtio_queue_record *queue = &device->record->queue[index];

    memset(queue, 0, sizeof(*queue));
    queue->size = device->queue_size[index];
    queue->vector = VIRTIO_NO_VECTOR;
}

/* The buffers that were in flight are forgotten, by the queues and by the class. The status goes first: see
 * virtio_device_init(). */
void virtio_device_reset(struct virtio_device *device) {
    struct virtio_record *record = device->record;

    record->status = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < device->queue_count; i++) {
        virtq_disable(&device->queue[i]);
        clear_queue_record(device, i);
    }
    record->magic = VIRTIO_RECORD_MAGIC;
    record->version = VIRTIO_RECORD_VERSION;
    record->offered = device->features_offered;
    record->features = 0;
    record->feature_select[0] = record->feature_select[1] = 0;
    record->queue_select = 0;
    record->config_vector = VIRTIO_NO_VECTOR;
    record->isr = 0;
    record->config_untold = 0;
    record->queue_count = (uint8_t)device->queue_count;
    if (device->class->reset)
        device->class->reset(device);
}

/* Why these features are not accepted; NULL: they are (2.2.2). */
static const char *refusal(struct virtio_device *device) {
    uint64_t features = device->record->features;

    if (features & ~device->features_offered)
        return "not all of them are offered";
    if (!(features & VIRTIO_VERSION_1))
        return "VIRTIO_F_VERSION_1 is not among them";
    /* Else its addresses would go past the IOMMU (6.2). */
    if (device->features_offered & VIRTIO_PLATFORM & ~features)
        return "VIRTIO_F_ACCESS_PLATFORM is not among them";
    if (device->class->accept && !device->class->accept(device, features))
        return "they do not go together";
    return NULL;
}

/* A driver clears no bit (2.1.1): what it leaves out stays. */
void virtio_device_set_status(struct virtio_device *device, uint8_t status) {
    struct virtio_record *record = device->record;

    if (!status) {
        virtio_device_reset(device);
        return;
    }
    uint8_t added = (uint8_t)(status & STATUS_DRIVERS & ~record->status);
    if (added & VIRTIO_STATUS_FEATURES_OK) {
        const char *why = refusal(device);
        if (why) {
            char line[SERVICE_MAX_TEXT];
            snprintf(line, sizeof(line), "the driver's features %llx are refused: %s",
                     (unsigned long long)record->features, why);
            say(device, line);
            added &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        }
    }
    if ((added & VIRTIO_STATUS_DRIVER_OK) && !((record->status | added) & VIRTIO_STATUS_FEATURES_OK)) {
        record->status |= added & (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
        virtio_device_break(device, "the driver sets DRIVER_OK without FEATURES_OK");
        return;
    }
    record->status |= added;
    if ((added & VIRTIO_STATUS_DRIVER_OK) && virtio_running(device) && device->class->start)
        device->class->start(device);
}

uint8_t virtio_device_status(const struct virtio_device *device) {
    bool busy = device->class->holds && device->class->holds(device, 0, UINT64_MAX);

    /* A disk goes on for a moment with what it was asked for before. */
    return !device->record->status && busy ? VIRTIO_STATUS_NEEDS_RESET : device->record->status;
}

void virtio_device_set_features(struct virtio_device *device, unsigned word, uint32_t value) {
    struct virtio_record *record = device->record;

    if (word > 1 || (record->status & VIRTIO_STATUS_FEATURES_OK))
        return;
    record->features = (record->features & ~((uint64_t)UINT32_MAX << 32 * word)) | (uint64_t)value
                                                                                       << 32 * word;
}

uint32_t virtio_device_features(const struct virtio_device *device, unsigned word) {
    return word > 1 ? 0 : (uint32_t)(device->features_offered >> 32 * word);
}

/* A split queue's size is a power of two, a packed one's is any but 0 (2.7, 2.8). */
void virtio_device_set_queue_size(struct virtio_device *device, unsigned index, uint32_t size) {
    if (index >= device->queue_count || device->record->queue[index].enabled)
        return;
    bool allowed = size && size <= device->queue_size[index] &&
                   (virtio_has(device, VIRTIO_RING_PACKED) || !(size & (size - 1)));
    if (allowed)
        device->record->queue[index].size = (uint16_t)size;
    else
        break_queue(device, index, "the driver sets a size that is not allowed");
}

void virtio_device_enable_queue(struct virtio_device *device, unsigned index) {
    struct virtio_record *record = device->record;

    if (index >= device->queue_count || record->queue[index].enabled ||
        (record->status & VIRTIO_STATUS_NEEDS_RESET))
        return;
    /* Until then it is not known which kind of ring it is (3.1.1, steps 5 to 7). */
    if (!(record->status & VIRTIO_STATUS_FEATURES_OK)) {
        break_queue(device, index, "enabled before FEATURES_OK");
        return;
    }
    struct virtio_queue_record *queue = &record->queue[index];
    if (virtq_enable(&device->queue[index], device->memory, queue->size, queue->descriptors, queue->driver,
                     queue->device, record->features, NULL)) {
        break_queue(device, index, "its size or an address is not allowed");
        return;
    }
    /* What it says of a queue of this number is of one from before. */
    record->journal.place = VIRTQ_NO_PLACE;
    virtq_keep(&device->queue[index], &record->journal, (uint16_t)index);
    queue->position = virtq_position(&device->queue[index]);
    queue->enabled = 1;
}

/* The class could not be told of one queue alone, so it must hold no buffer of it. */
void virtio_device_reset_queue(struct virtio_device *device, unsigned index) {
    if (index >= device->queue_count || !device->record->queue[index].enabled)
        return;
    bool in_flight = device->queue[index].flight_count != 0;
    virtq_disable(&device->queue[index]);
    clear_queue_record(device, index);
    if (in_flight)
        break_queue(device, index, "disabled while buffers are in flight");
}

void virtio_device_notify(struct virtio_device *device, unsigned index) {
    if (queue_usable(device, index) && device->class->notify)
        device->class->notify(device, index);
}

/* ---- configuration */

/* In steps of 1, 2 or 4 bytes, as a class wants them. */
uint64_t virtio_device_config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    uint64_t value = 0;

    device->config_seen = true;
    device->record->config_untold = 0;
    if (!device->class->config_read)
        return 0;
    for (unsigned done = 0, step; done < size && offset + done < device->config_size; done += step) {
        step = size - done > 4 ? 4 : size - done;
        while (step > device->config_size - offset - done)
            step /= 2;
        value |= (uint64_t)device->class->config_read(device, offset + done, step) << 8 * done;
    }
    return value;
}

void virtio_device_config_write(struct virtio_device *device, unsigned offset, unsigned size,
                                uint64_t value) {
    if (!device->class->config_write || offset >= device->config_size || size > device->config_size - offset)
        return;
    if (size == 8) {
        device->class->config_write(device, offset, 4, (uint32_t)value);
        device->class->config_write(device, offset + 4, 4, (uint32_t)(value >> 32));
    } else {
        device->class->config_write(device, offset, size, (uint32_t)value);
    }
}

/* The generation has to change if the driver may have read some of the configuration before and some after
 * (2.5.2, 4.1.4.3.1). Counting only then keeps eight bits from coming round. */
void virtio_device_config_changed(struct virtio_device *device) {
    if (device->config_seen) {
        device->record->generation++;
        device->config_seen = false;
    }
    device->record->config_untold = 1;
    if (virtio_running(device))
        device->interrupt_config(device);
}

/* ---- buffers */

bool virtio_device_take(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    if (!queue_usable(device, index))
        return false;
    int taken = virtq_take(&device->queue[index], buffer);
    if (taken < 0)
        break_queue(device, index, device->queue[index].broken);
    return taken > 0;
}

int virtio_device_take_more(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    if (!queue_usable(device, index))
        return -EPROTO;
    int taken = virtq_take_more(&device->queue[index], buffer);
    if (taken == -EPROTO)
        break_queue(device, index, device->queue[index].broken);
    return taken;
}

void virtio_device_finish(struct virtio_device *device, unsigned index, const struct virtq_buffer *buffer,
                          uint32_t written) {
    if (!queue_usable(device, index))
        return;
    virtq_finish(&device->queue[index], buffer, written);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* until then the journal counts */
    device->record->queue[index].position = virtq_position(&device->queue[index]);
    if (device->queue[index].broken)
        break_queue(device, index, device->queue[index].broken);
}

void virtio_device_flush(struct virtio_device *device, unsigned index) {
    if (queue_usable(device, index) && virtq_interrupt(&device->queue[index]))
        device->interrupt_queue(device, index);
}

void virtio_device_remap(struct virtio_device *device) {
    for (unsigned i = 0; i < device->queue_count; i++)
        if (virtq_remap(&device->queue[i]))
            break_queue(device, i, device->queue[i].broken);
}

/* The driver is told only if it is under way (2.1.2). */
void virtio_device_break(struct virtio_device *device, const char *why) {
    char line[SERVICE_MAX_TEXT];

    if (device->record->status & VIRTIO_STATUS_NEEDS_RESET)
        return;
    device->record->status |= VIRTIO_STATUS_NEEDS_RESET;
    device->record->config_untold = 1;
    snprintf(line, sizeof(line), "%s; the device has to be reset", why);
    say(device, line);
    if (device->record->status & VIRTIO_STATUS_DRIVER_OK)
        device->interrupt_config(device);
}

/* ---- going on from a record */

static bool vector_exists(const struct virtio_device *device, uint16_t vector) {
    return vector == VIRTIO_NO_VECTOR || vector <= device->queue_count;
}

/* What is wrong with a queue's record; NULL: nothing but perhaps its addresses, which the queue checks. */
static const char *queue_fault(const struct virtio_device *device, unsigned index) {
    const struct virtio_record *record = device->record;
    const struct virtio_queue_record *queue = &record->queue[index];
    bool packed = (record->features & VIRTIO_RING_PACKED) != 0;

    if (!vector_exists(device, queue->vector))
        return "a queue's vector";
    if (queue->size > device->queue_size[index])
        return "a queue's size";
    if (queue->enabled > 1 || (queue->enabled && !(record->status & VIRTIO_STATUS_FEATURES_OK)))
        return "a queue's state";
    if (queue->enabled && packed && (queue->position.used & 0x7fffu) >= queue->size)
        return "a queue's position";
    return NULL;
}

static const char *record_fault(struct virtio_device *device) {
    const struct virtio_record *record = device->record;

    if (record->magic != VIRTIO_RECORD_MAGIC || record->version != VIRTIO_RECORD_VERSION)
        return "its version";
    if (record->offered != device->features_offered)
        return "the features that it offered";
    if (record->queue_count != device->queue_count)
        return "its number of queues";
    if (record->status & (uint8_t) ~(STATUS_DRIVERS | VIRTIO_STATUS_NEEDS_RESET))
        return "its status";
    if ((record->status & VIRTIO_STATUS_DRIVER_OK) && !(record->status & VIRTIO_STATUS_FEATURES_OK))
        return "its status";
    if (record->isr & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG))
        return "its interrupt status";
    if (!vector_exists(device, record->config_vector))
        return "its vector";
    if ((record->status & VIRTIO_STATUS_FEATURES_OK) && refusal(device))
        return "its driver's features";
    for (unsigned i = 0; i < device->queue_count; i++) {
        const char *fault = queue_fault(device, i);
        if (fault)
            return fault;
    }
    return NULL;
}

/* The program ended within a reset: what it had not come to yet does not go with a status of 0. The record is
 * this device's, and what the class keeps there over resets is still wanted. */
static bool reset_half(const struct virtio_device *device) {
    const struct virtio_record *record = device->record;

    return record->magic == VIRTIO_RECORD_MAGIC && record->version == VIRTIO_RECORD_VERSION &&
           record->offered == device->features_offered && record->queue_count == device->queue_count &&
           !record->status;
}

/* Enables the queues again, and completes what was being given to the driver. A broken device's stay as they
 * are: nothing will be done with them. */
static const char *restore_queues(struct virtio_device *device) {
    struct virtio_record *record = device->record;

    for (unsigned i = 0; i < device->queue_count; i++) {
        struct virtio_queue_record *queue = &record->queue[i];
        virtq_disable(&device->queue[i]);
        if (!queue->enabled || (record->status & VIRTIO_STATUS_NEEDS_RESET))
            continue;
        if (virtq_enable(&device->queue[i], device->memory, queue->size, queue->descriptors, queue->driver,
                         queue->device, record->features, &queue->position))
            return "a queue's place";
        virtq_keep(&device->queue[i], &record->journal, (uint16_t)i);
        queue->position = virtq_position(&device->queue[i]);
    }
    return NULL;
}

/* A doorbell and an interrupt may have got lost when our program ended; one too many of each does no harm
 * (2.7.7.2: a device should not send one that the driver does not want, but may). */
static void resume(struct virtio_device *device) {
    if (device->class->start)
        device->class->start(device);
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (queue_usable(device, i))
            device->interrupt_queue(device, i);
        virtio_device_notify(device, i);
    }
}

int virtio_device_init(struct virtio_device *device) {
    bool fresh = device->record->magic == 0;
    const char *fault = NULL;

    device->config_seen = true;
    if (!fresh) {
        fault = record_fault(device);
        if (!fault)
            fault = restore_queues(device);
    }
    if (fault && reset_half(device)) {
        virtio_device_reset(device);
        return 0;
    }
    if (fresh || fault) {
        memset(device->record, 0, sizeof(*device->record));
        virtio_device_reset(device);
    } else {
        if (device->record->config_untold && (device->record->status & VIRTIO_STATUS_DRIVER_OK))
            device->interrupt_config(device);
        if (virtio_running(device))
            resume(device);
    }
    if (fault) {
        char line[SERVICE_MAX_TEXT];
        snprintf(line, sizeof(line), "starts anew: %s cannot be kept", fault);
        say(device, line);
    }
    return fault ? -EINVAL : 0;
}
