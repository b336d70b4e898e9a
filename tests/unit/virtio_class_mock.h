// SPDX-License-Identifier: Apache-2.0
// What a virtio class needs around it, in the simplest form: a guest's memory, queues that a test puts
// buffers into, and a device that only notes what happens to it. The real ones are virtio/queue.c and
// virtio/device.c.
#ifndef SAGUARO_TESTS_VIRTIO_CLASS_MOCK_H
#define SAGUARO_TESTS_VIRTIO_CLASS_MOCK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/device.h"

#define MOCK_BASE    0x100000u /* guest-physical */
#define MOCK_RAM     0x400000u /* bytes */
#define MOCK_BUFFERS 64u       /* of a queue, in one test */

static uint8_t mock_ram[MOCK_RAM] __attribute__((aligned(4096)));
static uint8_t mock_dirty[MOCK_RAM]; /* 1: was marked */

struct mock_buffer {
    struct virtq_buffer buffer;
    bool taken, used;
    uint32_t written;
};

static struct mock_queue {
    struct mock_buffer buffer[MOCK_BUFFERS];
    unsigned posted, next;
    bool deaf; /* a buffer was taken and notifications were not asked for since: a driver that heeds the event
                  index (2.7.10) sends none */
    unsigned finished, interrupts, pending; /* pending: finished, not yet signalled */
    unsigned order[MOCK_BUFFERS];           /* which one was finished as the n-th */
} mock_queue[VIRTIO_MAX_QUEUES];

static struct virtio_record mock_record;
static char mock_broken[128]; /* why the device broke */
static char mock_log[256];
static unsigned mock_config_changes;

/* ---- memory */

static void *mock_map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    if (gpa < MOCK_BASE || gpa >= MOCK_BASE + MOCK_RAM)
        return NULL;
    *contiguous = MOCK_BASE + MOCK_RAM - gpa;
    return mock_ram + (gpa - MOCK_BASE);
}

static void mock_mark(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    (void)memory;
    assert_true(gpa >= MOCK_BASE && size <= MOCK_RAM && gpa + size <= MOCK_BASE + MOCK_RAM);
    memset(mock_dirty + (gpa - MOCK_BASE), 1, size);
}

static struct virtio_memory mock_memory = {.map = mock_map, .dirty = mock_mark};

void *virtio_map(struct virtio_memory *memory, uint64_t gpa, uint64_t size, uint64_t alignment) {
    uint64_t contiguous;
    uint8_t *data = memory->map(memory, gpa, &contiguous);
    return data && size <= contiguous && !(gpa & (alignment - 1)) ? data : NULL;
}

/* ---- queues */

static struct virtio_device *mock_device;

static unsigned mock_index(const struct virtq *queue) {
    return (unsigned)(queue - mock_device->queue);
}

bool virtq_listen(struct virtq *queue, bool notify) {
    const struct mock_queue *mock = &mock_queue[mock_index(queue)];
    queue->notify = notify;
    if (notify)
        mock_queue[mock_index(queue)].deaf = false;
    return notify && mock->next < mock->posted;
}

void virtq_untake(struct virtq *queue, unsigned count) {
    struct mock_queue *mock = &mock_queue[mock_index(queue)];
    assert_int_equal(count, 1);
    assert_true(mock->next > 0);
    mock->next--;
    mock->buffer[mock->next].taken = false;
}

static size_t mock_copy(const struct virtq_segment *segment, unsigned count, size_t offset, void *data,
                        size_t size, bool write) {
    size_t done = 0;
    for (; count && done < size; segment++, count--) {
        if (offset >= segment->size) {
            offset -= segment->size;
            continue;
        }
        size_t piece = segment->size - offset;
        if (piece > size - done)
            piece = size - done;
        if (write) {
            memcpy(segment->data + offset, (const uint8_t *)data + done, piece);
            mock_mark(&mock_memory, segment->gpa + offset, piece);
        } else {
            memcpy((uint8_t *)data + done, segment->data + offset, piece);
        }
        offset = 0;
        done += piece;
    }
    return done;
}

size_t virtq_read(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, void *data,
                  size_t size) {
    (void)queue;
    return mock_copy(buffer->segment, buffer->readable, offset, data, size, false);
}

size_t virtq_write(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, const void *data,
                   size_t size) {
    (void)queue;
    return mock_copy(buffer->segment + buffer->readable, buffer->writable, offset, (void *)(uintptr_t)data,
                     size, true);
}

/* ---- device */

bool virtio_device_take(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    struct mock_queue *mock = &mock_queue[index];
    if (!virtio_running(device) || !device->queue[index].size || mock->next == mock->posted)
        return false;
    assert_false(mock->buffer[mock->next].taken);
    mock->buffer[mock->next].taken = true;
    mock->deaf = true;
    *buffer = mock->buffer[mock->next++].buffer;
    return true;
}

void virtio_device_finish(struct virtio_device *device, unsigned index, const struct virtq_buffer *buffer,
                          uint32_t written) {
    struct mock_queue *mock = &mock_queue[index];
    assert_true(virtio_running(device));
    assert_true(buffer->id < mock->posted);
    struct mock_buffer *of = &mock->buffer[buffer->id];
    assert_true(of->taken && !of->used);
    assert_true(written <= of->buffer.write_size);
    of->used = true;
    of->written = written;
    mock->order[mock->finished++] = buffer->id;
    device->record->queue[index].position.used++;
    mock->pending++;
}

void virtio_device_flush(struct virtio_device *device, unsigned index) {
    (void)device;
    if (mock_queue[index].pending)
        mock_queue[index].interrupts++;
    mock_queue[index].pending = 0;
}

static inline void mock_count_config_change(void) {
    mock_config_changes++;
}

void virtio_device_config_changed(struct virtio_device *device) {
    (void)device;
    mock_count_config_change();
}

void virtio_device_break(struct virtio_device *device, const char *why) {
    device->record->status |= VIRTIO_STATUS_NEEDS_RESET;
    strncpy(mock_broken, why, sizeof(mock_broken) - 1);
}

static inline void mock_log_line(struct virtio_device *device, const char *text) {
    (void)device;
    strncpy(mock_log, text, sizeof(mock_log) - 1);
}

/* ---- for tests */

static inline void mock_attach(struct virtio_device *device) {
    mock_device = device;
    device->record = &mock_record;
    device->memory = &mock_memory;
    device->log = mock_log_line;
    device->name = "disk0";
}

/* The driver has chosen `features` and set DRIVER_OK, with the first `queues` queues enabled. The record is
 * as it was. */
static inline void mock_start(struct virtio_device *device, uint64_t features, unsigned queues) {
    mock_attach(device);
    assert_int_equal(features & ~device->features_offered, 0);
    mock_record.features = features;
    mock_record.status = VIRTIO_STATUS_DRIVER_OK;
    for (unsigned i = 0; i < queues; i++) {
        assert_true(device->queue_size[i] != 0);
        device->queue[i].size = device->queue_size[i];
    }
    if (device->class->start)
        device->class->start(device);
}

/* Everything as at power-on. */
static inline void mock_power_on(void) {
    memset(mock_ram, 0, sizeof(mock_ram));
    memset(mock_dirty, 0, sizeof(mock_dirty));
    memset(mock_queue, 0, sizeof(mock_queue));
    memset(&mock_record, 0, sizeof(mock_record));
    mock_broken[0] = mock_log[0] = '\0';
    mock_config_changes = 0;
}

/* A reset by the driver. */
static inline void mock_reset(struct virtio_device *device) {
    mock_attach(device);
    mock_record.status = 0;
    mock_record.features = 0;
    for (unsigned i = 0; i < device->queue_count; i++)
        device->queue[i].size = 0;
    memset(mock_queue, 0, sizeof(mock_queue));
    if (device->class->reset)
        device->class->reset(device);
}

/* An empty buffer in queue `index`, not yet to be seen by the device; then its segments, readable ones
 * first. */
static inline struct mock_buffer *mock_buffer(unsigned index) {
    struct mock_queue *mock = &mock_queue[index];
    assert_true(mock->posted < MOCK_BUFFERS);
    struct mock_buffer *of = &mock->buffer[mock->posted];
    memset(of, 0, sizeof(*of));
    of->buffer.id = (uint16_t)mock->posted;
    return of;
}

static inline void mock_segment(struct mock_buffer *of, bool write, uint32_t offset, uint32_t size) {
    struct virtq_buffer *buffer = &of->buffer;
    assert_true(buffer->readable + buffer->writable < VIRTQ_MAX_SEGMENTS);
    assert_true(offset + size <= MOCK_RAM && size > 0);
    buffer->segment[buffer->readable + buffer->writable] = (struct virtq_segment){
        .data = mock_ram + offset, .gpa = MOCK_BASE + offset, .address = MOCK_BASE + offset, .size = size};
    if (write) {
        buffer->writable++;
        buffer->write_size += size;
    } else {
        assert_int_equal(buffer->writable, 0);
        buffer->readable++;
        buffer->read_size += size;
    }
}

static inline void mock_post(unsigned index) {
    mock_queue[index].posted++;
}

static inline void mock_notify(struct virtio_device *device, unsigned index) {
    if (virtio_running(device) && !mock_queue[index].deaf)
        device->class->notify(device, index);
}

#endif
