// SPDX-License-Identifier: Apache-2.0
// A virtio device for tests of its core and its transports: a class that notes what it is asked, and queues
// that do as the test says.
#ifndef SAGUARO_TESTS_UNIT_VIRTIO_DEVICE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_VIRTIO_DEVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "virtio/device.h"

#define FIX_QUEUES   3u
#define FIX_CONFIG   10u /* bytes of configuration */
#define FIX_RAM      0x100000ull
#define FIX_OWN      0x5u /* a feature of the class's */
#define FIX_TOGETHER 0x6u /* two that do not go together */
#define FIX_OFFERED                                                                                          \
    (VIRTIO_VERSION_1 | VIRTIO_RING_PACKED | VIRTIO_RING_EVENT | VIRTIO_RING_INDIRECT | 0x7ull)

static struct {
    unsigned resets, accepts, starts, notifies[VIRTIO_MAX_QUEUES];
    unsigned enables, finishes, irqs_queue[VIRTIO_MAX_QUEUES], irqs_config, lines;
    uint64_t features; /* that accept() or virtq_enable() was given last */
    uint8_t config[FIX_CONFIG];
    unsigned config_reads;
    char line[256];
    /* what the queues do */
    unsigned available; /* buffers that can be taken */
    bool apart;         /* buffers do not go together */
    const char *spoiled;
    const char *unmapped; /* what virtq_remap() says */
    unsigned remaps;
    bool want_interrupt;
    bool reset_saw_queue; /* a queue was still enabled in the class's reset() */
    bool break_in_start;
} fix;

static struct virtio_record fix_record;
static struct virtio_device fix_device;

/* ---- queues */

int virtq_enable(struct virtq *queue, struct virtio_memory *memory, uint16_t size, uint64_t descriptors,
                 uint64_t driver, uint64_t device, uint64_t features, const struct virtq_position *position) {
    assert_non_null(memory);
    assert_int_equal(queue->size, 0); /* never twice */
    bool packed = features & VIRTIO_RING_PACKED;
    if (!size || size > VIRTQ_MAX_SIZE || (!packed && (size & (size - 1))) || descriptors >= FIX_RAM ||
        driver >= FIX_RAM || device >= FIX_RAM)
        return -EINVAL;
    memset(queue, 0, sizeof(*queue));
    queue->memory = memory;
    queue->size = size;
    queue->packed = packed;
    queue->descriptors = descriptors;
    queue->driver = driver;
    queue->device = device;
    queue->used = position ? position->used : packed ? 0x8000 : 0;
    fix.features = features;
    fix.enables++;
    return 0;
}
void virtq_keep(struct virtq *queue, struct virtq_journal *journal, uint16_t number) {
    assert_ptr_equal(journal, &fix_record.journal);
    assert_ptr_equal(queue, &fix_device.queue[number]);
    assert_int_not_equal(queue->size, 0);
    queue->journal = journal;
    if (journal->count && journal->place >> 16 == number)
        queue->used++;
}
void virtq_disable(struct virtq *queue) {
    memset(queue, 0, sizeof(*queue));
}
int virtq_remap(struct virtq *queue) {
    fix.remaps++;
    if (!queue->size || !fix.unmapped)
        return 0;
    queue->broken = fix.unmapped;
    return -EFAULT;
}
struct virtq_position virtq_position(const struct virtq *queue) {
    assert_int_not_equal(queue->size, 0);
    return (struct virtq_position){.used = queue->used};
}
int virtq_take(struct virtq *queue, struct virtq_buffer *buffer) {
    assert_int_not_equal(queue->size, 0);
    if (fix.spoiled) {
        queue->broken = fix.spoiled;
        return -EPROTO;
    }
    if (!fix.available)
        return 0;
    fix.available--;
    queue->flight_count++;
    buffer->id = 7;
    return 1;
}
int virtq_take_more(struct virtq *queue, struct virtq_buffer *buffer) {
    return fix.apart ? -ENOSPC : virtq_take(queue, buffer);
}
void virtq_finish(struct virtq *queue, const struct virtq_buffer *buffer, uint32_t written) {
    (void)written;
    assert_int_not_equal(queue->size, 0);
    assert_int_equal(buffer->id, 7);
    fix.finishes++;
    queue->flight_count--;
    queue->used++;
    queue->broken = fix.spoiled;
}
bool virtq_interrupt(struct virtq *queue) {
    assert_int_not_equal(queue->size, 0);
    return fix.want_interrupt;
}

/* ---- the class */

static void fix_reset(struct virtio_device *device) {
    fix.resets++;
    for (unsigned i = 0; i < device->queue_count; i++)
        fix.reset_saw_queue |= device->queue[i].size != 0;
}
static bool fix_accept(struct virtio_device *device, uint64_t features) {
    (void)device;
    fix.accepts++;
    fix.features = features;
    return (features & FIX_TOGETHER) != FIX_TOGETHER;
}
static void fix_start(struct virtio_device *device) {
    fix.starts++;
    if (fix.break_in_start)
        virtio_device_break(device, "broken at once");
}
static void fix_notify(struct virtio_device *device, unsigned index) {
    assert_int_not_equal(device->queue[index].size, 0);
    assert_true(virtio_running(device));
    fix.notifies[index]++;
}
static uint32_t fix_config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    uint32_t value = 0;
    assert_true(size == 1 || size == 2 || size == 4);
    assert_true(offset + size <= device->config_size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)fix.config[offset + i] << 8 * i;
    fix.config_reads++;
    return value;
}
static void fix_config_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value) {
    assert_true(size == 1 || size == 2 || size == 4);
    assert_true(offset + size <= device->config_size);
    for (unsigned i = 0; i < size; i++)
        fix.config[offset + i] = (uint8_t)(value >> 8 * i);
}

static bool fix_held; /* it is at work on what it was asked for before a reset */

static bool fix_holds(const struct virtio_device *device, uint64_t first, uint64_t last) {
    (void)device;
    assert_true(first == 0 && last == UINT64_MAX);
    return fix_held;
}

static const struct virtio_class fix_class = {
    .id = VIRTIO_ID_NET,
    .name = "test",
    .reset = fix_reset,
    .accept = fix_accept,
    .start = fix_start,
    .notify = fix_notify,
    .config_read = fix_config_read,
    .config_write = fix_config_write,
    .holds = fix_holds,
};

static void fix_log(struct virtio_device *device, const char *text) {
    (void)device;
    assert_true(strlen(text) < 200);
    fix.lines++;
    strncpy(fix.line, text, sizeof(fix.line) - 1);
}

/* ---- a device after power-on, all but its start; `record` is kept if the test wants to */

static void fix_prepare(bool keep_record) {
    static struct virtio_memory memory;
    memset(&fix, 0, sizeof(fix));
    memset(&fix_device, 0, sizeof(fix_device));
    if (!keep_record)
        memset(&fix_record, 0, sizeof(fix_record));
    for (unsigned i = 0; i < FIX_CONFIG; i++)
        fix.config[i] = (uint8_t)(0xa0 + i);
    fix_device.class = &fix_class;
    fix_device.name = "web net0";
    fix_device.memory = &memory;
    fix_device.record = &fix_record;
    fix_device.features_offered = FIX_OFFERED;
    fix_device.queue_count = FIX_QUEUES;
    fix_device.config_size = FIX_CONFIG;
    fix_device.queue_size[0] = 256;
    fix_device.queue_size[1] = 64;
    fix_device.queue_size[2] = 16;
    fix_device.log = fix_log;
}

/* What a driver does, through the core's functions. */
static inline void fix_negotiate(uint64_t features) {
    virtio_device_set_status(&fix_device, VIRTIO_STATUS_ACKNOWLEDGE);
    virtio_device_set_status(&fix_device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    virtio_device_set_features(&fix_device, 0, (uint32_t)features);
    virtio_device_set_features(&fix_device, 1, (uint32_t)(features >> 32));
    virtio_device_set_status(&fix_device,
                             VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
}

static inline void fix_enable(unsigned index) {
    fix_record.queue[index].descriptors = 0x1000 * (index + 1);
    fix_record.queue[index].driver = 0x1000 * (index + 1) + 0x400;
    fix_record.queue[index].device = 0x1000 * (index + 1) + 0x800;
    virtio_device_enable_queue(&fix_device, index);
}

static inline void fix_go(void) {
    virtio_device_set_status(&fix_device, (uint8_t)(fix_record.status | VIRTIO_STATUS_DRIVER_OK));
}

#endif
