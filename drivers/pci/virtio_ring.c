// SPDX-License-Identifier: Apache-2.0
// A split virtqueue, the driver's side (virtio 1.2, 2.7).
#include "drivers/pci/virtio_ring.h"

#include <errno.h>
#include <string.h>
#include "virtio/queue_internal.h"

/* Both rings: flags, index, entries, and behind these the other side's event index (2.7.6, 2.7.8). */
#define RING_FLAGS      0u
#define RING_INDEX      2u
#define RING_ENTRIES    4u
#define AVAILABLE_ENTRY 2u
#define USED_ENTRY      8u /* head, bytes written */
#define NO_INTERRUPT    1u /* of the available ring's flags */
#define NO_NOTIFY       1u /* of the used ring's */

#define FAR             0x8000u /* entries from now: no interrupt before this is said again */

#define AREA(entry)     (RING_ENTRIES + VRING_MAX_SIZE * (entry) + 4)
#define AVAILABLE_AT    (VRING_MAX_SIZE * VIRTQ_DESCRIPTOR_SIZE)
#define USED_AT         (AVAILABLE_AT + AREA(AVAILABLE_ENTRY))
#define MEMORY_SIZE     (USED_AT + AREA(USED_ENTRY))

static uint8_t *available_ring(const struct vring *ring) {
    return ring->memory + AVAILABLE_AT;
}

static uint8_t *used_ring(const struct vring *ring) {
    return ring->memory + USED_AT;
}

int vring_init(struct vring *ring, const struct pci_host *host) {
    if (!ring->memory)
        ring->memory = host->dma(MEMORY_SIZE, &ring->dma);
    return ring->memory ? 0 : -ENOMEM;
}

uint64_t vring_available_dma(const struct vring *ring) {
    return ring->dma + AVAILABLE_AT;
}

uint64_t vring_used_dma(const struct vring *ring) {
    return ring->dma + USED_AT;
}

void vring_reset(struct vring *ring, uint16_t size, bool event) {
    memset(ring->memory, 0, MEMORY_SIZE);
    memset(ring->busy, 0, sizeof(ring->busy));
    ring->size = size;
    ring->event = event;
    ring->available = ring->used = ring->told = ring->flights = 0;
    ring->broken = NULL;
    vring_listen(ring, false);
}

void vring_describe(struct vring *ring, unsigned index, uint64_t dma, uint32_t size, bool write,
                    unsigned next) {
    uint8_t *at = ring->memory + index * VIRTQ_DESCRIPTOR_SIZE;
    bool more = next != VRING_NO_NEXT;

    virtq_store32(at, (uint32_t)dma);
    virtq_store32(at + 4, (uint32_t)(dma >> 32));
    virtq_store32(at + 8, size);
    virtq_store16(at + 12, (uint16_t)((write ? VIRTQ_WRITE : 0) | (more ? VIRTQ_NEXT : 0)));
    virtq_store16(at + 14, (uint16_t)(more ? next : 0));
}

void vring_offer(struct vring *ring, unsigned head, uint32_t writable) {
    uint8_t *available = available_ring(ring);

    ring->busy[head] = true;
    ring->writable[head] = writable;
    ring->flights++;
    virtq_store16(available + RING_ENTRIES + (ring->available & (ring->size - 1u)) * AVAILABLE_ENTRY,
                  (uint16_t)head);
    virtq_store16_release(available + RING_INDEX, ++ring->available);
}

bool vring_wants_kick(struct vring *ring) {
    const uint8_t *used = used_ring(ring);
    uint16_t since = ring->told;

    if (ring->available == since)
        return false;
    ring->told = ring->available;
    /* The device sees the new index, or we see what it wants. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!ring->event)
        return !(virtq_load16(used + RING_FLAGS) & NO_NOTIFY);
    uint16_t event = virtq_load16(used + RING_ENTRIES + ring->size * USED_ENTRY);
    return (uint16_t)(ring->available - event - 1) < (uint16_t)(ring->available - since);
}

static int broken(struct vring *ring, const char *why) {
    ring->broken = why;
    return -EPROTO;
}

int vring_take(struct vring *ring, unsigned *head, uint32_t *written) {
    const uint8_t *used = used_ring(ring);

    if (ring->broken)
        return -EPROTO;
    uint16_t waiting = (uint16_t)(virtq_load16_acquire(used + RING_INDEX) - ring->used);
    if (waiting == 0)
        return 0;
    if (waiting > ring->flights)
        return broken(ring, "its ring says that it used more buffers than it has");
    const uint8_t *entry = used + RING_ENTRIES + (ring->used & (ring->size - 1u)) * USED_ENTRY;
    uint32_t id = virtq_load32(entry), length = virtq_load32(entry + 4);
    if (id >= ring->size || !ring->busy[id])
        return broken(ring, "its ring names a buffer that it does not have");
    if (length > ring->writable[id])
        return broken(ring, "its ring says that it wrote beyond a buffer");
    ring->busy[id] = false;
    ring->flights--;
    ring->used++;
    *head = id;
    *written = length;
    return 1;
}

bool vring_listen(struct vring *ring, bool on) {
    uint8_t *available = available_ring(ring);

    ring->listening = on;
    if (!ring->event) {
        virtq_store16(available + RING_FLAGS, on ? 0 : NO_INTERRUPT);
    } else {
        /* An interrupt comes for the entry of this index (2.7.7.2). */
        virtq_store16(available + RING_ENTRIES + ring->size * AVAILABLE_ENTRY,
                      (uint16_t)(on ? ring->used : ring->used + FAR));
    }
    if (!on)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return virtq_load16_acquire(used_ring(ring) + RING_INDEX) != ring->used;
}
