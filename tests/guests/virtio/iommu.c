// SPDX-License-Identifier: Apache-2.0
// The driver's side of a virtio-iommu (virtio 1.2, 5.13): requests, one at a time, and faults.
#include "tests/guests/virtio/virtio.h"

#define IOMMU_ALL 0x77ull /* its features */

#define T_ATTACH  1u
#define T_DETACH  2u
#define T_MAP     3u
#define T_UNMAP   4u
#define T_PROBE   5u

static struct ring requests, events;

struct request {
    uint8_t type, reserved[3];
    uint32_t word[17];
};
static struct request request;
static volatile uint8_t reply[68];

struct event {
    uint8_t reason, reserved[3];
    uint32_t flags, endpoint, reserved1;
    uint64_t address;
};
static volatile struct event event[4];

static uint8_t ask(uint8_t type, uint32_t size, uint32_t room) {
    const struct piece pieces[2] = {{&request, size, false}, {(const void *)reply, room, true}};
    uint32_t written = 0;
    unsigned id;
    request.type = type;
    for (uint32_t i = 0; i < room; i++)
        reply[i] = IOMMU_NONE;
    ring_add(&requests, pieces, 2, false);
    ring_kick(&requests);
    return ring_wait(&requests, &id, &written) && written == room ? reply[room - 4] : IOMMU_NONE;
}

uint8_t iommu_attach(uint32_t domain, unsigned devfn) {
    request = (struct request){.word = {domain, devfn}};
    return ask(T_ATTACH, 20, 4);
}

uint8_t iommu_detach(uint32_t domain, unsigned devfn) {
    request = (struct request){.word = {domain, devfn}};
    return ask(T_DETACH, 20, 4);
}

uint8_t iommu_map(uint32_t domain, uint64_t at, const void *memory, uint32_t size, uint32_t flags) {
    uint64_t end = at + size - 1, physical = (uint64_t)memory;
    request = (struct request){.word = {domain, (uint32_t)at, (uint32_t)(at >> 32), (uint32_t)end,
                                        (uint32_t)(end >> 32), (uint32_t)physical, (uint32_t)(physical >> 32),
                                        flags}};
    return ask(T_MAP, 36, 4);
}

uint8_t iommu_unmap(uint32_t domain, uint64_t at, uint64_t size) {
    uint64_t end = at + size - 1;
    request = (struct request){
        .word = {domain, (uint32_t)at, (uint32_t)(at >> 32), (uint32_t)end, (uint32_t)(end >> 32)}};
    return ask(T_UNMAP, 28, 4);
}

uint8_t iommu_probe(unsigned devfn, uint8_t properties[64]) {
    request = (struct request){.word = {devfn}};
    uint8_t status = ask(T_PROBE, 72, 68);
    for (unsigned i = 0; i < 64; i++)
        properties[i] = reply[i];
    return status;
}

static unsigned event_number(void) {
    return events.used % array_count(event);
}

static void give_event(unsigned number) {
    const struct piece piece = {(const void *)&event[number], sizeof(event[0]), true};
    ring_add(&events, &piece, 1, false);
    ring_kick(&events);
}

/* Waits for a fault, which has to be this one. */
bool iommu_faulted(uint8_t reason, uint32_t access, unsigned devfn, uint64_t address) {
    unsigned number = event_number(), id;
    uint32_t written = 0;
    bool came = ring_wait(&events, &id, &written);
    const volatile struct event *e = &event[number];
    bool right = came && written == sizeof(*e) && e->reason == reason && e->flags == (access | 0x100) &&
                 e->endpoint == devfn && e->address == address;
    if (came && !right)
        print("fault: reason %u, flags %x, endpoint %x, address %x\n", (uint64_t)e->reason,
              (uint64_t)e->flags, (uint64_t)e->endpoint, e->address);
    if (came)
        give_event(number);
    return right;
}

bool iommu_start(struct virtio *v) {
    if (!virtio_negotiate(v, IOMMU_ALL) || !ring_enable(&requests, v, 0, 16, 0xffff) ||
        !ring_enable(&events, v, 1, 4, 0xffff))
        return false;
    status_write(v, S_ALL | S_DRIVER_OK);
    for (unsigned i = 0; i < array_count(event); i++)
        give_event(i);
    return status_read(v) == (S_ALL | S_DRIVER_OK);
}
