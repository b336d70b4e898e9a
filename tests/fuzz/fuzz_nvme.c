// SPDX-License-Identifier: Apache-2.0
// The NVM Express driver and a controller that says and does whatever the input says: registers, Identify's
// bytes, completions. Nothing may be touched outside of its memory or of a request's, nothing may loop, and
// each request is done exactly once.
// fuzz-sources: drivers/block/nvme.c drivers/block/nvme_start.c drivers/block/nvme_identify.c
// fuzz-sources: drivers/block/nvme_queue.c drivers/block/nvme_request.c virtio/disk.c
#include <stdlib.h>
#include <string.h>
#include "drivers/block/nvme.h"
#include "virtio/bytes.h"

#define ARENA    (8u << 20)
#define DMA_BASE 0x12340000ull
#define REQUESTS 48u
#define SIZE     (72u * 512) /* bytes of a request's data, at most */

static const uint8_t *input;
static size_t left;

static uint8_t arena[ARENA] __attribute__((aligned(4096)));
static size_t arena_used;
static uint8_t window[0x1000 + 0x100];
static uint64_t clock_now;
static uint32_t cc, status_flip, status_left;
static unsigned admin_tail, io_tail, admin_seen, io_done; /* as the controller sees the rings */
static uint8_t identify[2][4096];                         /* a name space, a controller */

static struct nvme *nvme;

static struct request {
    struct disk_request request;
    struct virtq_segment segment[2];
    uint8_t *data;
    bool open;
} requests[REQUESTS];

static uint32_t take(unsigned bytes) {
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes && left; i++, left--)
        value = value << 8 | *input++;
    return value;
}

/* ---- what is below the driver */

static uint64_t now(void) {
    return clock_now += 1000000;
}

static void *dma(size_t size, uint64_t *address) {
    size_t whole = (size + 4095) & ~(size_t)4095;
    if (whole > ARENA - arena_used)
        return NULL;
    *address = DMA_BASE + arena_used;
    arena_used += whole;
    return memset(arena + arena_used - whole, 0, whole);
}

static const struct pci_host host = {.dma = dma, .now = now};
static struct pci_device pci;
static uint64_t cap;

uint32_t pci_class(const struct pci_device *device) {
    (void)device;
    return 0x010802;
}

volatile void *pci_map(struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    (void)device;
    return bar == 0 && offset + size <= sizeof(window) ? window + offset : NULL;
}

int pci_set_vectors(struct pci_device *device, unsigned wanted) {
    device->vectors = wanted;
    return 0;
}

int pci_set_master(struct pci_device *device, bool on) {
    (void)device;
    (void)on;
    return 0;
}

void pci_unmask(struct pci_device *device) {
    (void)device;
}

uint32_t pci_read32(const volatile void *at) {
    uint32_t value = (size_t)((const volatile uint8_t *)at - window) == 0x14 ? cc : cc & 1;
    if (status_left) {
        status_left--;
        value ^= status_flip;
    }
    return value;
}

uint64_t pci_read64(const volatile void *at) {
    (void)at;
    return cap;
}

void pci_write64(volatile void *at, uint64_t value) {
    (void)at;
    (void)value;
}

static void put_completion(struct nvme_queue *queue, unsigned at, uint16_t id, uint16_t number,
                           uint16_t state) {
    uint8_t *entry = queue->completion + at % queue->entries * 16;
    bytes_put16(entry + 8, 0);
    bytes_put16(entry + 10, number);
    bytes_put16(entry + 12, id);
    bytes_put16(entry + 14, state);
}

/* Admin commands are answered soundly, but for what Identify says. */
static void answer_admin(unsigned tail) {
    for (unsigned n = 0; n < NVME_ADMIN_ENTRIES && admin_tail != tail; n++) {
        const uint8_t *entry = nvme->admin.submission + admin_tail * 64;
        if (entry[0] == NVME_IDENTIFY)
            memcpy(nvme->page, identify[entry[40] == 1], 4096);
        put_completion(&nvme->admin, admin_seen, bytes_get16(entry + 2), 0,
                       admin_seen / NVME_ADMIN_ENTRIES & 1 ? 0 : 1);
        admin_seen++;
        admin_tail = (admin_tail + 1) % NVME_ADMIN_ENTRIES;
    }
}

void pci_write32(volatile void *at, uint32_t value) {
    switch ((size_t)((volatile uint8_t *)at - window)) {
    case 0x14:
        if ((cc ^ value) & 1)
            admin_tail = admin_seen = io_tail = io_done = 0;
        cc = value;
        break;
    case 0x1000:
        answer_admin(value);
        break;
    }
}

/* ---- requests */

static void done(struct disk_request *disk_request, int error) {
    struct request *request = (struct request *)disk_request;
    (void)error;
    if (!request->open)
        abort();
    request->open = false;
    free(request->data);
}

static void submit(void) {
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct request *request = &requests[i];
        if (request->open)
            continue;
        const uint32_t bits = take(4), size = 1 + take(2) % (SIZE - 1), cut = take(2) % size;
        request->data = malloc(size); /* exactly, so that what is outside is seen */
        memset(request->data, 0x55, size);
        request->segment[0] = (struct virtq_segment){.data = request->data, .size = cut ? cut : 1};
        request->segment[1] = (struct virtq_segment){.data = request->data + cut, .size = size - cut};
        request->request = (struct disk_request){.operation = bits % 5,
                                                 .unmap = bits >> 3 & 1,
                                                 .sector = bits >> 4 & 0xff,
                                                 .count = bits >> 12 & 0x7f,
                                                 .skip = bits >> 20 & 0x1ff,
                                                 .segment = request->segment,
                                                 .segments = cut ? 2 : 1,
                                                 .done = done};
        if (!cut)
            request->segment[0].size = size;
        if (bits >> 30 == 3)
            request->request.count <<= 20;
        request->open = true;
        disk_submit(&nvme->block.disk, &request->request);
        return;
    }
}

/* Answers a command that is there, or what may have been one. */
static void complete(uint32_t bits) {
    struct nvme_queue *queue = &nvme->io;
    const uint8_t *entry = queue->submission + io_tail % queue->entries * 64;
    const unsigned phase = io_done / queue->entries & 1 ? 0 : 1;
    put_completion(queue, io_done++, bytes_get16(entry + 2), 1,
                   (uint16_t)((bits & 7 ? 0 : bits & 0xfffe) | phase));
    io_tail = (io_tail + 1) % queue->entries;
}

static void step(void) {
    const uint32_t bits = take(1);
    switch (bits & 7) {
    case 0:
    case 1:
        submit();
        break;
    case 2:
        nvme_block.poll(&nvme->block, bits >> 7);
        break;
    case 3:
        clock_now += (uint64_t)(bits >> 3) * 1000000000;
        nvme_block.tick(&nvme->block);
        break;
    case 4:
    case 5:
        complete(bits >> 3);
        break;
    case 6: /* anything anywhere in the ring */
        put_completion(&nvme->io, bits >> 3, (uint16_t)take(2), 1, (uint16_t)take(2));
        break;
    case 7:
        status_flip = bits & 0x40 ? 0xffffffff : bits >> 3;
        status_left = take(1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input = data;
    left = size;
    arena_used = 0;
    clock_now = 0;
    cc = status_left = 0;
    cap = 1ull << 37 | (uint64_t)(take(1) & 1) << 32 | (take(1) & 0x7f);
    memset(identify, 0, sizeof(identify));
    const uint32_t bits = take(4);
    uint8_t *space = identify[0], *controller = identify[1];
    bytes_put64(space, bits & 1 ? (uint64_t)take(4) << 32 | take(4) : 4096);
    space[24] = bits >> 1 & 0x10;
    space[26] = bits >> 6 & 1;
    space[25] = bits >> 7 & 1;
    space[33] = bits >> 8 & 0xf;
    space[99] = bits >> 12 & 1;
    bytes_put32(space + 128, 9 << 16);
    bytes_put32(space + 132, bits & 0x2000 ? take(4) : 12 << 16);
    bytes_put16(space + 64, (uint16_t)(bits >> 16));
    bytes_put16(space + 72, (uint16_t)(bits >> 20));
    for (unsigned i = 4; i < 24; i++)
        controller[i] = (uint8_t)(bits >> i);
    controller[77] = bits & 0x4000 ? (uint8_t)take(1) : 1;
    controller[512] = 0x66;
    controller[513] = 0x44;
    controller[516] = 1;
    controller[520] = (uint8_t)(bits >> 24);
    controller[525] = 1;

    pci = (struct pci_device){.host = &host};
    nvme = calloc(1, nvme_block.size);
    nvme->block.pci = &pci;
    nvme->block.class = &nvme_block;
    if (nvme_block.start(&nvme->block) == 0) {
        while (left)
            step();
        nvme_block.stop(&nvme->block);
        for (unsigned i = 0; i < REQUESTS; i++)
            if (requests[i].open)
                abort();
    } else if (!nvme->block.why) {
        abort();
    }
    free(nvme);
    return 0;
}
