// SPDX-License-Identifier: Apache-2.0
// What the parts of the queue library share: accesses to rings, descriptors, and what each ring format does
// behind virtio/queue.h.
#ifndef SAGUARO_VIRTIO_QUEUE_INTERNAL_H
#define SAGUARO_VIRTIO_QUEUE_INTERNAL_H

#include "virtio/queue.h"

/* Flags of a descriptor (2.7.5, 2.8.1). */
#define VIRTQ_NEXT             0x0001u
#define VIRTQ_WRITE            0x0002u
#define VIRTQ_INDIRECT         0x0004u
#define VIRTQ_AVAILABLE        0x0080u /* packed */
#define VIRTQ_USED             0x8000u /* packed */

#define VIRTQ_DESCRIPTOR_SIZE  16u
#define VIRTQ_WRAP             0x8000u /* of a position in a packed ring: the wrap counter */
#define VIRTQ_DESCRIPTOR_FLAGS 14u     /* where in a packed ring's descriptor */
#define VIRTQ_RING_INDEX       2u      /* where in a split queue's rings */

/* ---- Fields of rings: little-endian, aligned to their size, shared with the guest's CPUs. */

typedef uint16_t __attribute__((may_alias)) virtq_ring16;
typedef uint32_t __attribute__((may_alias)) virtq_ring32;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define VIRTQ_LITTLE(bits, value) __builtin_bswap##bits(value)
#else
#define VIRTQ_LITTLE(bits, value) (value)
#endif

static inline uint16_t virtq_load16(const uint8_t *at) {
    uint16_t value = __atomic_load_n((const virtq_ring16 *)at, __ATOMIC_RELAXED);
    return VIRTQ_LITTLE(16, value);
}
/* What the driver wrote before this field is seen by later reads. */
static inline uint16_t virtq_load16_acquire(const uint8_t *at) {
    uint16_t value = __atomic_load_n((const virtq_ring16 *)at, __ATOMIC_ACQUIRE);
    return VIRTQ_LITTLE(16, value);
}
static inline uint32_t virtq_load32(const uint8_t *at) {
    uint32_t value = __atomic_load_n((const virtq_ring32 *)at, __ATOMIC_RELAXED);
    return VIRTQ_LITTLE(32, value);
}
static inline void virtq_store16(uint8_t *at, uint16_t value) {
    __atomic_store_n((virtq_ring16 *)at, (uint16_t)VIRTQ_LITTLE(16, value), __ATOMIC_RELAXED);
}
/* The driver that sees this field sees what was written before. */
static inline void virtq_store16_release(uint8_t *at, uint16_t value) {
    __atomic_store_n((virtq_ring16 *)at, (uint16_t)VIRTQ_LITTLE(16, value), __ATOMIC_RELEASE);
}
static inline void virtq_store32(uint8_t *at, uint32_t value) {
    __atomic_store_n((virtq_ring32 *)at, (uint32_t)VIRTQ_LITTLE(32, value), __ATOMIC_RELAXED);
}

/* ---- Descriptors */

struct virtq_descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t third, fourth; /* split: flags, next; packed: buffer ID, flags */
};

/* A copy that stays as it is, whatever the driver does to the original. An indirect table may have any
 * alignment, but hardly ever has an odd one: some CPUs then copy byte by byte. */
static inline struct virtq_descriptor virtq_fetch(const uint8_t *at) {
    struct virtq_descriptor copy;
    if (((uintptr_t)at & 3) == 0)
        __builtin_memcpy(&copy, __builtin_assume_aligned(at, 4), sizeof(copy));
    else
        __builtin_memcpy(&copy, at, sizeof(copy));
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* never read again */
    copy.address = VIRTQ_LITTLE(64, copy.address);
    copy.size = VIRTQ_LITTLE(32, copy.size);
    copy.third = VIRTQ_LITTLE(16, copy.third);
    copy.fourth = VIRTQ_LITTLE(16, copy.fourth);
    return copy;
}

/* The functions that say what is wrong return NULL if nothing is. */

/* Adds what one descriptor refers to. An empty one is skipped. */
const char *virtq_add(struct virtq *queue, struct virtq_buffer *buffer, uint64_t address, uint32_t size,
                      bool writable);
/* The table of indirect descriptors at `address`, of at most `limit` entries; *count: how many it has. */
const char *virtq_table(struct virtq *queue, uint64_t address, uint32_t size, unsigned limit,
                        const uint8_t **table, unsigned *count);

/* ---- Ring formats. enable: maps the areas. waiting: 0 if no buffer is available, else how many are known to
 * be. walk: fills in the next one, which is available. publish: uses the first `count` buffers in flight,
 * whose ring entries are `descriptors` together. wanted: whether the driver wants an interrupt for what was
 * used from position `since` on; `sure`: whether that position is known. ask: for the next buffer, or not to
 * be notified. */

bool virtq_split_enable(struct virtq *queue);
const char *virtq_split_walk(struct virtq *queue, struct virtq_buffer *buffer);
void virtq_split_publish(struct virtq *queue, unsigned count);
bool virtq_split_wanted(const struct virtq *queue, uint16_t since, bool sure);
void virtq_split_ask(struct virtq *queue, bool notify);

bool virtq_packed_enable(struct virtq *queue);
const char *virtq_packed_walk(struct virtq *queue, struct virtq_buffer *buffer, uint16_t *descriptors);
void virtq_packed_publish(struct virtq *queue, unsigned count, unsigned descriptors);
bool virtq_packed_wanted(const struct virtq *queue, uint16_t since, bool sure);
void virtq_packed_ask(struct virtq *queue, bool notify);

static inline unsigned virtq_split_waiting(const struct virtq *queue) {
    return (uint16_t)(virtq_load16_acquire(queue->driver_area + VIRTQ_RING_INDEX) - queue->available);
}

static inline uint8_t *virtq_packed_entry(const struct virtq *queue, uint16_t at) {
    return queue->descriptor_area + (at & ~VIRTQ_WRAP) * VIRTQ_DESCRIPTOR_SIZE;
}

/* Whether these flags make the descriptor at a position with this wrap counter available (2.8.1). */
static inline bool virtq_packed_available(uint16_t flags, uint16_t at) {
    unsigned expected = at & VIRTQ_WRAP ? VIRTQ_AVAILABLE : VIRTQ_USED;
    return (flags & (VIRTQ_AVAILABLE | VIRTQ_USED)) == expected;
}

static inline unsigned virtq_packed_waiting(const struct virtq *queue) {
    uint16_t flags =
        virtq_load16_acquire(virtq_packed_entry(queue, queue->available) + VIRTQ_DESCRIPTOR_FLAGS);
    return virtq_packed_available(flags, queue->available);
}

/* The position `count` entries (at most the ring's size) after or before `at`. */
static inline uint16_t virtq_packed_forward(const struct virtq *queue, uint16_t at, unsigned count) {
    unsigned offset = (at & ~VIRTQ_WRAP) + count, wrap = at & VIRTQ_WRAP;
    if (offset >= queue->size) {
        offset -= queue->size;
        wrap ^= VIRTQ_WRAP;
    }
    return (uint16_t)(offset | wrap);
}
static inline uint16_t virtq_packed_back(const struct virtq *queue, uint16_t at, unsigned count) {
    return virtq_packed_forward(queue, at ^ VIRTQ_WRAP, queue->size - count);
}
/* How many entries `to` lies after `from`: below twice the ring's size, where positions come again. */
static inline unsigned virtq_packed_distance(const struct virtq *queue, uint16_t from, uint16_t to) {
    unsigned lap = 2u * queue->size;
    unsigned half = (from ^ to) & VIRTQ_WRAP ? queue->size : 0;
    unsigned distance = lap + half + (to & ~VIRTQ_WRAP) - (from & ~VIRTQ_WRAP);
    return distance >= lap ? distance - lap : distance;
}

#endif
