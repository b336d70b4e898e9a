// SPDX-License-Identifier: Apache-2.0
// A guest with an IOMMU for tests: its memory, the driver's side of the IOMMU's two queues, and devices of a
// plain class behind it, with real queues.
#ifndef SAGUARO_TESTS_UNIT_VIRTIO_IOMMU_FIXTURE_H
#define SAGUARO_TESTS_UNIT_VIRTIO_IOMMU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/iommu.h"
#include "virtq_driver.h"

/* Guest-physical addresses; see virtq_guest_init(). */
#define REQUESTS_AT 0x10000u /* the IOMMU's queues, of FIX_RING entries */
#define EVENTS_AT   0x13000u
#define REQUEST_AT  0x16000u /* what is asked */
#define REPLY_AT    0x16800u
#define EVENT_AT    0x17000u /* 32 bytes each */
#define DEVICE_AT   0x18000u /* device n's queue: 0x3000 bytes further each */
#define DATA_AT     0x1f000u
#define FIX_RING    4u
#define FIX_DEVICES 2u
#define FIX_SLOT    1u /* of the first device */
#ifdef FIXTURE_PASSED
#define SLOTS (6u | ((1u << FIXTURE_PASSED) - 1) << 24) /* slots 1 and 2, and functions of the machine */
#else
#define SLOTS 6u
#endif

#define ALL_FEATURES 0x77ull /* the device's own */

enum { T_ATTACH = 1, T_DETACH, T_MAP, T_UNMAP, T_PROBE };
enum {
    S_OK = 0,
    S_UNSUPP = 2,
    S_INVAL = 4,
    S_RANGE = 5,
    S_NOENT = 6,
    S_FAULT = 7,
    S_NOMEM = 8,
    S_NONE = 0xff
};

static struct virtq_guest guest;
static struct iommu_kept *kept;
static struct virtio_iommu *iommu;
static struct virtio_record iommu_record;
static struct virtq_driver requests, events;
static unsigned agains, laters, interrupts[2], config_interrupts;
static unsigned event_count; /* buffers for events that were given so far */

/* A device: takes what there is when it is asked to. */
static struct sink {
    struct virtio_device device;
    struct virtio_record record;
    struct virtq_driver driver;
    uint64_t base; /* what the device is told of its queue is `base` less than guest-physical */
    bool holds;    /* something at [first, last] of its addresses */
    uint64_t first, last;
    char line[128];
} sink[FIX_DEVICES];

static bool sink_holds(const struct virtio_device *device, uint64_t first, uint64_t last) {
    const struct sink *self = (const struct sink *)(const void *)device;
    return self->holds && first <= self->last && self->first <= last;
}

static const struct virtio_class sink_class = {.id = VIRTIO_ID_ENTROPY, .name = "sink", .holds = sink_holds};

static void log_line(struct virtio_device *device, const char *text) {
    for (unsigned i = 0; i < FIX_DEVICES; i++)
        if (device == &sink[i].device)
            strncpy(sink[i].line, text, sizeof(sink[i].line) - 1);
}
static void interrupt_queue(struct virtio_device *device, unsigned index) {
    if (device == &iommu->device)
        interrupts[index]++;
}
static void interrupt_config(struct virtio_device *device) {
    config_interrupts += device == &iommu->device;
}
static void again(struct virtio_iommu *of) {
    assert_ptr_equal(of, iommu);
    agains++;
}
static void later(struct virtio_iommu *of) {
    assert_ptr_equal(of, iommu);
    laters++;
}

static void common(struct virtio_device *device, const char *name, struct virtio_record *record) {
    device->name = name;
    device->record = record;
    device->log = log_line;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
}

#ifdef FIXTURE_PASSED
static void fixture_machine(struct virtio_iommu *of); /* the test's */
static void fixture_between(void);                    /* a request is under way, and goes on after this */
#endif

/* Our program starts: the IOMMU first, then what is behind it. */
static void program_start(void) {
    free(iommu);
    iommu = malloc(sizeof(*iommu));
    memset(iommu, 0xee, sizeof(*iommu));
    virtio_iommu_init(iommu, kept, SLOTS, again, later);
#ifdef FIXTURE_PASSED
    fixture_machine(iommu);
#endif
    common(&iommu->device, "web iommu", &iommu_record);
    iommu->device.memory = &guest.memory;
    assert_int_equal(virtio_device_init(&iommu->device), 0);
    for (unsigned i = 0; i < FIX_DEVICES; i++) {
        struct virtio_device *device = &sink[i].device;
        memset(device, 0, sizeof(*device));
        sink[i].holds = false;
        common(device, i ? "web second" : "web first", &sink[i].record);
        device->class = &sink_class;
        device->features_offered =
            VIRTIO_VERSION_1 | VIRTIO_PLATFORM | VIRTIO_RING_PACKED | VIRTIO_RING_INDIRECT;
        device->queue_count = 1;
        device->queue_size[0] = FIX_RING;
        device->memory = virtio_iommu_add(iommu, FIX_SLOT + i, device, &guest.memory);
        assert_int_equal(virtio_device_init(device), 0);
    }
}

static void negotiate(struct virtio_device *device, uint64_t features) {
    virtio_device_set_status(device, 0);
    virtio_device_set_status(device, 3);
    virtio_device_set_features(device, 0, (uint32_t)features);
    virtio_device_set_features(device, 1, (uint32_t)(features >> 32));
    virtio_device_set_status(device, 11);
    assert_int_equal(device->record->status, 11);
}

static void enable(struct virtio_device *device, unsigned index, const struct virtq_driver *driver,
                   uint64_t base) {
    struct virtio_queue_record *queue = &device->record->queue[index];
    queue->size = driver->size;
    queue->descriptors = driver->descriptors - base;
    queue->driver = driver->driver - base;
    queue->device = driver->device - base;
    virtio_device_enable_queue(device, index);
}

/* The guest's driver of the IOMMU begins. */
static void iommu_begin(uint64_t features) {
    negotiate(&iommu->device, features | VIRTIO_VERSION_1);
    virtq_driver_init(&requests, &guest, FIX_RING, features, REQUESTS_AT);
    virtq_driver_init(&events, &guest, FIX_RING, features, EVENTS_AT);
    enable(&iommu->device, 0, &requests, 0);
    enable(&iommu->device, 1, &events, 0);
    virtio_device_set_status(&iommu->device, 15);
    assert_int_equal(iommu_record.status, 15);
    event_count = 0;
}

/* The driver of device n begins, with a queue whose addresses are `base` less than guest-physical ones. */
VIRTQ_MAKER void sink_begin(unsigned n, uint64_t features, uint64_t base) {
    struct virtio_device *device = &sink[n].device;
    sink[n].base = base;
    sink[n].line[0] = '\0';
    negotiate(device, features | VIRTIO_VERSION_1 | VIRTIO_PLATFORM);
    virtq_driver_init(&sink[n].driver, &guest, FIX_RING, features, DEVICE_AT + 0x3000 * n);
    enable(device, 0, &sink[n].driver, base);
    virtio_device_set_status(device, 15);
}

VIRTQ_MAKER bool broken(unsigned n) {
    return (sink[n].record.status & VIRTIO_STATUS_NEEDS_RESET) != 0;
}

static int fixture_setup(void **state) {
    (void)state;
    virtq_guest_init(&guest);
    kept = calloc(1, sizeof(*kept));
    memset(&iommu_record, 0, sizeof(iommu_record));
    memset(sink, 0, sizeof(sink));
    agains = laters = interrupts[0] = interrupts[1] = config_interrupts = 0;
    program_start();
    iommu_begin(ALL_FEATURES);
    return 0;
}

static int fixture_teardown(void **state) {
    (void)state;
    virtq_guest_free(&guest);
    free(kept);
    free(iommu);
    iommu = NULL;
    return 0;
}

/* ---- requests */

/* Makes a request of `size` bytes available, with room for `room` bytes of an answer. */
static void ask(const uint8_t *request, uint32_t size, uint32_t room) {
    struct virtq_element element[2] = {{REQUEST_AT, size, false}, {REPLY_AT, room, true}};
    for (uint32_t i = 0; i < size; i++)
        virtq_guest_put(&guest, REQUEST_AT + i, 1, request[i]);
    for (uint32_t i = 0; i < room; i++)
        virtq_guest_put(&guest, REPLY_AT + i, 1, 0xee);
    assert_true(virtq_driver_add(&requests, size ? element : element + 1, (size != 0) + (room != 0), false) >=
                0);
    virtio_device_notify(&iommu->device, 0);
}

/* Its answer; false: there is none yet. */
static bool answered(uint32_t *written) {
    unsigned id;
    return virtq_driver_used(&requests, &id, written);
}

static uint8_t status_at(uint32_t offset, uint32_t written) {
    if (written == 0) /* nothing is reported as written, and nothing was */
        return S_NONE;
    assert_int_equal(virtq_guest_get(&guest, REPLY_AT + offset + 1, 3), 0);
    return (uint8_t)virtq_guest_get(&guest, REPLY_AT + offset, 1);
}

static uint8_t request(const uint8_t *bytes, uint32_t size) {
    uint32_t written;
    ask(bytes, size, 4);
#ifdef FIXTURE_PASSED
    for (unsigned i = 0; i < 100000 && !answered(&written); i++) {
        fixture_between();
        virtio_iommu_run(iommu);
    }
#else
    assert_true(answered(&written));
#endif
    assert_true(written == 0 || written == 4);
    return status_at(0, written);
}

static void fill(uint8_t *bytes, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

VIRTQ_MAKER uint8_t attach(uint32_t domain, uint32_t endpoint, uint32_t flags) {
    uint8_t bytes[20] = {T_ATTACH, 0xaa, 0xbb, 0xcc}; /* reserved: ignored */
    fill(bytes + 4, 4, domain);
    fill(bytes + 8, 4, endpoint);
    fill(bytes + 12, 4, flags);
    return request(bytes, sizeof(bytes));
}

VIRTQ_MAKER uint8_t detach(uint32_t domain, uint32_t endpoint) {
    uint8_t bytes[20] = {T_DETACH};
    fill(bytes + 4, 4, domain);
    fill(bytes + 8, 4, endpoint);
    fill(bytes + 12, 8, UINT64_MAX); /* reserved: ignored */
    return request(bytes, sizeof(bytes));
}

static void map_bytes(uint8_t bytes[36], uint32_t domain, uint64_t start, uint64_t end, uint64_t physical,
                      uint32_t flags) {
    memset(bytes, 0, 36);
    bytes[0] = T_MAP;
    fill(bytes + 4, 4, domain);
    fill(bytes + 8, 8, start);
    fill(bytes + 16, 8, end);
    fill(bytes + 24, 8, physical);
    fill(bytes + 32, 4, flags);
}

VIRTQ_MAKER uint8_t map(uint32_t domain, uint64_t start, uint64_t end, uint64_t physical, uint32_t flags) {
    uint8_t bytes[36];
    map_bytes(bytes, domain, start, end, physical, flags);
    return request(bytes, sizeof(bytes));
}

static void unmap_bytes(uint8_t bytes[28], uint32_t domain, uint64_t start, uint64_t end) {
    memset(bytes, 0, 28);
    bytes[0] = T_UNMAP;
    fill(bytes + 4, 4, domain);
    fill(bytes + 8, 8, start);
    fill(bytes + 16, 8, end);
}

VIRTQ_MAKER uint8_t unmap(uint32_t domain, uint64_t start, uint64_t end) {
    uint8_t bytes[28];
    unmap_bytes(bytes, domain, start, end);
    return request(bytes, sizeof(bytes));
}

/* ---- events */

VIRTQ_MAKER void give_event_buffer(uint32_t size) {
    struct virtq_element element = {EVENT_AT + 32 * (event_count++ % FIX_RING), size, true};
    assert_true(virtq_driver_add(&events, &element, 1, false) >= 0);
    virtio_device_notify(&iommu->device, 1);
}

/* The next event must be this one. */
VIRTQ_MAKER void expect_fault(uint8_t reason, uint32_t flags, uint32_t endpoint, uint64_t address) {
    unsigned id;
    uint32_t written;
    assert_true(virtq_driver_used(&events, &id, &written));
    assert_int_equal(written, 24);
    uint64_t at = virtq_guest_get(&guest, events.descriptors + 16 * id, 8);
    assert_int_equal(virtq_guest_get(&guest, at, 4), reason);
    assert_int_equal(virtq_guest_get(&guest, at + 4, 4), flags | 0x100);
    assert_int_equal(virtq_guest_get(&guest, at + 8, 4), endpoint);
    assert_int_equal(virtq_guest_get(&guest, at + 12, 4), 0);
    assert_true(virtq_guest_get(&guest, at + 16, 8) == address);
}

VIRTQ_MAKER bool no_event(void) {
    unsigned id;
    uint32_t written;
    return !virtq_driver_used(&events, &id, &written);
}

#endif
