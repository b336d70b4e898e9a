// SPDX-License-Identifier: Apache-2.0
// A small virtio driver over PCI for the bench's bare guest (virtio 1.2, split rings, MSI-X): finds devices,
// sets up queues, offers buffers.
#ifndef SAGUARO_TESTS_BENCH_GUESTS_DRIVER_H
#define SAGUARO_TESTS_BENCH_GUESTS_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_SIZE      256u
#define DESC_NEXT       1u
#define DESC_WRITE      2u
#define DESC_INDIRECT   4u

#define ID_NET          0x1041u /* PCI device IDs */
#define ID_BLK          0x1042u

#define F_RING_INDIRECT (1ull << 28)
#define F_RING_EVENT    (1ull << 29)
#define F_VERSION_1     (1ull << 32)

struct descriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags, next;
};

struct queue {
    struct descriptor table[QUEUE_SIZE] __attribute__((aligned(16)));
    struct {
        uint16_t flags, index, ring[QUEUE_SIZE];
        volatile uint16_t used_event; /* interrupt once the used ring's entry of this index is written */
    } available __attribute__((aligned(4)));
    struct {
        uint16_t flags;
        volatile uint16_t index;
        struct {
            uint32_t id, size;
        } ring[QUEUE_SIZE];
        uint16_t avail_event;
    } used __attribute__((aligned(4)));
    uint16_t offered; /* available.index, once queue_offer() has published it */
    volatile uint16_t *bell;
    uint16_t number;
};

struct device {
    uint64_t config;                                  /* address of its configuration space in ECAM */
    volatile uint8_t *registers;                      /* BAR 0 */
    uint32_t common, notify, notify_stride, specific; /* offsets in it */
};

/* The `which`-th device of that PCI ID: places its BARs, resets it, negotiates `features`. False: there is
 * none, or it does not take them. */
bool device_find(struct device *device, unsigned id, unsigned which, uint64_t features);
/* Queue `number`; each interrupt of it is VECTOR_BENCH, if `interrupts`. */
void device_queue(struct device *device, struct queue *queue, unsigned number, bool interrupts);
void device_start(struct device *device);

/* A descriptor at `index` of the table. */
static inline void queue_describe(struct queue *queue, unsigned index, const volatile void *data,
                                  uint32_t size, uint16_t flags, uint16_t next) {
    queue->table[index] = (struct descriptor){(uint64_t)data, size, flags, next};
}
/* Puts a chain's head into the available ring; queue_publish() shows all of them. */
static inline void queue_offer(struct queue *queue, uint16_t head) {
    queue->available.ring[queue->offered++ % QUEUE_SIZE] = head;
}
static inline void queue_publish(struct queue *queue) {
    __atomic_store_n(&queue->available.index, queue->offered, __ATOMIC_RELEASE);
}

/* Waits until a debugger moves the instruction pointer to bench_steps_end. (stubs.S) */
void bench_steps(void);

/* Writes `value` to a doorbell with interrupts on; what comes of that at once is over when it returns. The
 * TSC right before the write. (stubs.S) */
uint64_t bench_ring(volatile uint16_t *bell, uint16_t value);

#endif
