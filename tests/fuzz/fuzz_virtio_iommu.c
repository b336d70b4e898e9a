// SPDX-License-Identifier: Apache-2.0
// Any requests to a virtio-iommu, in any form, with devices and a function of the machine behind it, and
// starts of our program and resets in between, also within a request: nothing is reached outside the guest's
// RAM, each request is given back once, and what is reached is what a plain list of the requests that were
// granted says.
// fuzz-sources: virtio/iommu.c virtio/iommu_passed.c virtio/iommu_store.c virtio/device.c virtio/memory.c virtio/queue*.c
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/virtq_driver.h"
#include "virtio/iommu.h"

#define RING       4u
#define REQUEST_AT 0x16000u
#define REPLY_AT   0x17000u
#define PAGES      32u /* of each domain that the list looks at */
#define DOMAINS    4u
#define DEVICES    2u
#define ENDPOINTS  3u    /* the last is a function of the machine */
#define RUNS       5000u /* of one request, at most */

static struct virtq_guest guest;
static struct iommu_kept kept;
static struct virtio_iommu iommu;
static struct virtio_record records[1 + DEVICES];
static struct virtio_device devices[DEVICES];
static struct virtio_memory *reached[DEVICES];
static struct virtq_driver requests, events;

/* What was granted. */
static struct {
    bool attached, bypass;
    uint32_t domain;
} endpoints[ENDPOINTS];
static struct {
    bool used;
    uint64_t physical; /* page */
    uint32_t flags, number;
} pages[DOMAINS][PAGES];
static uint32_t mappings;

/* The hypervisor: what the function reaches. */
static struct {
    bool confined;
    struct {
        uint64_t to; /* page + 1; 0: nowhere */
        bool writable;
    } page[PAGES];
    unsigned weight, fails; /* of a call; every so many of them */
    unsigned calls;
} function;

static bool open_bypass, again_now;

static void require(bool holds) {
    if (!holds)
        abort();
}

struct input {
    const uint8_t *data;
    size_t size;
};

static unsigned next(struct input *input) {
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static void nothing(struct virtio_iommu *of) {
    (void)of;
}
static void interrupt_queue(struct virtio_device *device, unsigned index) {
    (void)device, (void)index;
}
static void interrupt_config(struct virtio_device *device) {
    (void)device;
}
static void log_line(struct virtio_device *device, const char *text) {
    (void)device;
    require(strlen(text) < 200);
}

static int confine(struct virtio_iommu *of, unsigned number, bool on) {
    require(number == 0);
    of->spent += function.weight;
    function.confined = on;
    return 0;
}

static void set_pages(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *piece, bool on) {
    require(number == 0 && piece->end > piece->start && piece->end - piece->start < SERVICE_MAX_DMA);
    of->spent += function.weight;
    for (uint64_t i = piece->start >> 12; i < PAGES && i <= piece->end >> 12; i++) {
        function.page[i].to = on ? (piece->physical >> 12) + (i - (piece->start >> 12)) + 1 : 0;
        function.page[i].writable = piece->flags & IOMMU_MAP_WRITE;
    }
}

static int map(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *piece) {
    if (function.fails && ++function.calls % function.fails == 0)
        return -ENOMEM;
    set_pages(of, number, piece, true);
    return 0;
}

static void unmap(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *piece) {
    set_pages(of, number, piece, false);
}

static const struct virtio_iommu_machine machine = {.confine = confine, .map = map, .unmap = unmap};

static const struct virtio_class sink = {.id = VIRTIO_ID_ENTROPY, .name = "sink"};

static void start_device(struct virtio_device *device, struct virtio_record *record) {
    device->name = "g x";
    device->record = record;
    device->interrupt_queue = interrupt_queue;
    device->interrupt_config = interrupt_config;
    device->log = log_line;
    (void)virtio_device_init(device);
}

static void program_start(void) {
    virtio_iommu_init(&iommu, &kept, (1u << DEVICES) - 1 | 1u << VIRTIO_IOMMU_PASSED_SLOT, nothing, nothing);
    virtio_iommu_machine(&iommu, &machine, 48);
    iommu.device.memory = &guest.memory;
    iommu.device.features_offered |= VIRTIO_RING_INDIRECT | VIRTIO_RING_PACKED;
    start_device(&iommu.device, &records[0]);
    for (unsigned i = 0; i < DEVICES; i++) {
        memset(&devices[i], 0, sizeof(devices[i]));
        devices[i].class = &sink;
        devices[i].features_offered = VIRTIO_VERSION_1 | VIRTIO_PLATFORM;
        devices[i].queue_count = 1;
        devices[i].queue_size[0] = RING;
        devices[i].memory = reached[i] = virtio_iommu_add(&iommu, i, &devices[i], &guest.memory);
        start_device(&devices[i], &records[1 + i]);
    }
    again_now = true;
}

static void enable(struct virtq_driver *driver, unsigned index, uint64_t base, uint64_t features) {
    struct virtio_queue_record *queue = &records[0].queue[index];
    virtq_driver_init(driver, &guest, RING, features, base);
    queue->size = RING;
    queue->descriptors = driver->descriptors;
    queue->driver = driver->driver;
    queue->device = driver->device;
    virtio_device_enable_queue(&iommu.device, index);
}

static void driver_start(uint64_t features) {
    virtio_device_set_status(&iommu.device, 0);
    for (unsigned i = 0; virtio_device_status(&iommu.device); i++) {
        require(i < RUNS);
        virtio_iommu_run(&iommu);
    }
    memset(endpoints, 0, sizeof(endpoints));
    memset(pages, 0, sizeof(pages));
    virtio_device_set_status(&iommu.device, 3);
    virtio_device_set_features(&iommu.device, 0, (uint32_t)features);
    virtio_device_set_features(&iommu.device, 1, (uint32_t)(features >> 32));
    virtio_device_set_status(&iommu.device, 11);
    require(records[0].status == 11);
    enable(&requests, 0, 0x10000, features);
    enable(&events, 1, 0x13000, features);
    virtio_device_set_status(&iommu.device, 15);
    again_now = false;
}

/* ---- requests */

static void put(uint8_t *at, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* Of the endpoints' list; the one behind it does not exist. */
static uint32_t endpoint_number(unsigned index) {
    return index == DEVICES ? VIRTIO_IOMMU_PASSED_SLOT << 3 : index << 3;
}

static unsigned endpoint_index(uint32_t number) {
    for (unsigned i = 0; i < ENDPOINTS; i++)
        if (endpoint_number(i) == number)
            return i;
    return ENDPOINTS;
}

/* A request that has some chance, with a byte of it changed now and then. */
static unsigned build(struct input *input, uint8_t request[72]) {
    unsigned type = next(input), first = next(input) % PAGES, count = next(input) % 8 + 1, odd = next(input);
    memset(request, 0, 72);
    request[0] = (uint8_t)(type % 7);
    put(request + 4, 4, (type >> 3) % DOMAINS);
    if (request[0] == 1 || request[0] == 2)
        put(request + 8, 4, endpoint_number(first % 4));
    if (request[0] == 1)
        put(request + 12, 4, count == 8);
    if (request[0] == 3 || request[0] == 4) {
        put(request + 8, 8, (uint64_t)first << 12);
        put(request + 16, 8, (uint64_t)(first + count) * 0x1000 - 1);
    }
    if (request[0] == 3) {
        put(request + 24, 8, (uint64_t)(odd % 64) << 12);
        put(request + 32, 4, type >> 5);
    }
    if (odd >= 0xf0)
        request[next(input) % 72] = (uint8_t)next(input);
    return odd == 0xe0 ? next(input) % 73 : 72;
}

/* What a request that was granted changes. */
static void note(const uint8_t *request) {
    uint32_t domain = (uint32_t)get(request + 4, 4);
    unsigned endpoint = endpoint_index((uint32_t)get(request + 8, 4));
    if (request[0] == 1) {
        require(endpoint < ENDPOINTS && domain < 0x10000);
        endpoints[endpoint].attached = true;
        endpoints[endpoint].domain = domain;
        endpoints[endpoint].bypass = get(request + 12, 4) & 1;
    } else if (request[0] == 2 && endpoint < ENDPOINTS) {
        if (endpoints[endpoint].domain == domain)
            endpoints[endpoint].attached = false;
    } else if (request[0] == 3 || request[0] == 4) {
        uint64_t start = get(request + 8, 8) >> 12, end = get(request + 16, 8) >> 12;
        mappings++;
        for (uint64_t i = start; domain < DOMAINS && i < PAGES && i <= end; i++) {
            if (request[0] == 3)
                require(!pages[domain][i].used || again_now);
            if (request[0] == 4 && (get(request + 8, 8) & 0xfff) && i == start)
                continue;
            if (request[0] == 4 && i == end && (get(request + 16, 8) & 0xfff) != 0xfff)
                continue;
            pages[domain][i].used = request[0] == 3;
            pages[domain][i].physical = (get(request + 24, 8) >> 12) + (i - start);
            pages[domain][i].flags = (uint32_t)get(request + 32, 4);
            pages[domain][i].number = mappings;
        }
    }
    for (unsigned d = 0; d < DOMAINS; d++) {
        bool lives = false;
        for (unsigned i = 0; i < ENDPOINTS; i++)
            lives = lives || (endpoints[i].attached && endpoints[i].domain == d);
        if (!lives)
            memset(pages[d], 0, sizeof(pages[d]));
    }
}

/* A request is under way, and goes on. False: it does not, there was a reset. */
static bool between(struct input *input) {
    unsigned what = next(input);

    require(iommu.stage == VIRTIO_IOMMU_ASKED);
    if (what >= 0xf0) {
        open_bypass = what & 1;
        virtio_device_config_write(&iommu.device, 36, 1, open_bypass);
    } else if (what >= 0xe0) {
        program_start();
    } else if (what >= 0xd8) {
        driver_start(records[0].features);
        return false;
    }
    virtio_iommu_run(&iommu);
    return true;
}

static void ask(struct input *input) {
    uint8_t bytes[72];
    unsigned size = build(input, bytes), id, split = next(input);
    uint32_t room = split & 0x80 ? split & 0x7f : bytes[0] == 5 ? 68 : 4, written = 0;
    struct virtq_element element[3] = {{REQUEST_AT, size, false}, {REPLY_AT, room, true}};
    unsigned count = 2;

    if (split < 72 && split < size) { /* in two pieces */
        element[2] = element[1];
        element[0].size = split;
        element[1] = (struct virtq_element){REQUEST_AT + split, size - split, false};
        count = 3;
    }
    for (unsigned i = 0; i < 72; i++)
        virtq_guest_put(&guest, REQUEST_AT + i, 1, bytes[i]);
    for (unsigned i = 0; i < 128; i++)
        virtq_guest_put(&guest, REPLY_AT + i, 1, 0xee);
    if (virtq_driver_add(&requests, element, count, split == 0x7f) < 0)
        return;
    virtio_device_notify(&iommu.device, 0);
    if (!virtio_running(&iommu.device))
        return;
    for (unsigned i = 0; !virtq_driver_used(&requests, &id, &written); i++) {
        require(i < RUNS);
        if (!between(input))
            return;
    }
    require(written <= room);
    uint64_t status = written >= 4 ? virtq_guest_get(&guest, REPLY_AT + written - 4, 4) : UINT64_MAX;
    if (status == 0)
        note(bytes);
    if (status == 8 && bytes[0] == 1) { /* no room for what the domain has: it is in none */
        require(endpoint_index((uint32_t)get(bytes + 8, 4)) == DEVICES);
        endpoints[DEVICES].attached = false;
        note((const uint8_t[72]){0});
    }
    again_now = false;
}

/* ---- what devices reach */

static void check_function(void) {
    const uint32_t domain = endpoints[DEVICES].domain;
    bool attached = endpoints[DEVICES].attached;

    require(function.confined == (attached ? !endpoints[DEVICES].bypass : !open_bypass));
    if (attached && domain >= DOMAINS)
        return;
    for (unsigned i = 0; i < PAGES; i++) {
        bool used = attached && function.confined && pages[domain][i].used;
        require(function.page[i].to == (used ? pages[domain][i].physical + 1 : 0));
        require(!used || function.page[i].writable == ((pages[domain][i].flags & IOMMU_MAP_WRITE) != 0));
    }
}

static void check(void) {
    check_function();
    for (unsigned i = 0; i < DEVICES; i++)
        for (unsigned page = 0; page < PAGES; page++)
            for (unsigned access = 1; access < 4; access++) {
                uint64_t gpa = 0, room = 0, address = page * 0x1000 + 0x123;
                bool allowed = reached[i]->translate(reached[i], address, access, &gpa, &room);
                if (endpoints[i].attached ? endpoints[i].bypass : open_bypass) {
                    require(allowed && gpa == address);
                    continue;
                }
                if (endpoints[i].attached && endpoints[i].domain >= DOMAINS)
                    continue;
                bool wanted = endpoints[i].attached && pages[endpoints[i].domain][page].used &&
                              !(access & ~pages[endpoints[i].domain][page].flags);
                require(allowed == wanted);
                if (!wanted)
                    continue;
                require(gpa == (pages[endpoints[i].domain][page].physical << 12) + 0x123);
                require(room >= 0x1000 - 0x123 && !((address + room) & 0xfff));
            }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    unsigned form = next(&input);
    uint64_t features =
        0x77ull | VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | (form & 1 ? VIRTIO_RING_PACKED : 0);

    if (!guest.piece[0].data)
        virtq_guest_init(&guest);
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++)
        memset(guest.piece[i].data, 0, guest.piece[i].size);
    memset(&kept, 0, sizeof(kept));
    memset(records, 0, sizeof(records));
    memset(&function, 0, sizeof(function));
    function.weight = form >> 1 & 3 ? (form >> 1 & 3) * 100 : 0;
    function.fails = form >> 3 & 7;
    open_bypass = true;
    program_start();
    driver_start(features);
    while (input.size > 0 && virtio_running(&iommu.device)) {
        unsigned what = next(&input);
        if (what < 0xe0) {
            ask(&input);
        } else if (what < 0xe8) {
            open_bypass = what & 1;
            virtio_device_config_write(&iommu.device, 36, 1, open_bypass);
        } else if (what < 0xf0) {
            struct virtq_element element = {REPLY_AT + 0x100, 32, true};
            virtq_driver_add(&events, &element, 1, false);
        } else if (what < 0xf8) {
            program_start();
        } else if (what == 0xf8) {
            driver_start(features);
        } else {
            unsigned id;
            uint32_t written;
            while (virtq_driver_used(&events, &id, &written))
                require(written == 24);
        }
        check();
    }
    require(!guest.stray);
    return 0;
}
