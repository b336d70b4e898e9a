// SPDX-License-Identifier: Apache-2.0
// A virtio card of the machine, for tests of drivers: a device of our own (virtio/) behind registers, DMA
// memory and interrupts that are the test's. It can be made deaf, gone, or never to finish a reset.
#ifndef SAGUARO_TESTS_UNIT_VIRTIO_CARD_FIXTURE_H
#define SAGUARO_TESTS_UNIT_VIRTIO_CARD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "drivers/pci/pci.h"
#include "virtio/bytes.h"
#include "virtio/pci.h"

#define CARD_BAR(n)  (0xe0000000ull + 0x100000ull * (n)) /* where BARs are */
#define CARD_DMA     0x40000000ull                       /* what a device sees of the DMA memory */
#define CARD_STATUS  0x14u
#define CARD_SECOND  1000000000ull
#define CARD_NUMBER  5u
#define CARD_VECTORS 8u

static struct {
    struct virtio_device *device;
    struct virtio_pci transport;
    struct virtio_record record;
    void (*work)(void); /* lets the device do what it has queued */
    uint64_t now;
    size_t used;   /* DMA memory */
    size_t limit;  /* of it */
    unsigned most; /* vectors that the host gives */
    bool line;     /* the one that it gives is a line */
    bool claimed, master;
    bool deaf;       /* doorbells are lost */
    bool gone;       /* all ones are read */
    bool stuck;      /* a reset never ends */
    bool no_vectors; /* it takes none */
    bool level;
    uint32_t pending; /* interrupts since they were last taken */
    unsigned kicks, resets, unmasks, mine;
    struct service_pci info;
    struct pci_device pci;
} card;

static uint8_t card_memory[12u << 20] __attribute__((aligned(4096)));
static uint8_t card_bars[6][VIRTIO_PCI_BAR0_SIZE];

/* ---- registers, instead of drivers/pci/pci_io.c */

static unsigned card_place(const volatile void *at, unsigned size) {
    size_t offset = (size_t)((const volatile uint8_t *)at - card_bars[0]);

    assert_true((const volatile uint8_t *)at >= card_bars[0] && offset + size <= VIRTIO_PCI_BAR0_SIZE);
    assert_int_equal(offset % size, 0);
    return (unsigned)offset;
}

static uint64_t card_read(const volatile void *at, unsigned size) {
    unsigned offset = card_place(at, size);

    if (card.gone)
        return UINT64_MAX >> (64 - 8 * size);
    if (card.stuck && offset == CARD_STATUS)
        return 1;
    return virtio_pci_read(card.device, 0, offset, size);
}

static void card_write(volatile void *at, unsigned size, uint64_t value) {
    unsigned offset = card_place(at, size);

    if (card.gone)
        return;
    if (offset >= VIRTIO_PCI_NOTIFY) {
        card.kicks++;
        if (!card.deaf && card.master && size == 2 &&
            value == (offset - VIRTIO_PCI_NOTIFY) / VIRTIO_PCI_NOTIFY_STRIDE) {
            virtio_device_notify(card.device, (unsigned)value);
            card.work();
        }
        return;
    }
    if (offset == CARD_STATUS && value == 0)
        card.resets++;
    if (card.no_vectors && (offset == 0x10 || offset == 0x1a))
        value = VIRTIO_NO_VECTOR;
    virtio_pci_write(card.device, 0, offset, size, value);
}

uint8_t pci_read8(const volatile void *at) {
    return (uint8_t)card_read(at, 1);
}
uint16_t pci_read16(const volatile void *at) {
    return (uint16_t)card_read(at, 2);
}
uint32_t pci_read32(const volatile void *at) {
    return (uint32_t)card_read(at, 4);
}
uint64_t pci_read64(const volatile void *at) {
    uint64_t low = pci_read32(at);
    return low | (uint64_t)pci_read32((const volatile uint8_t *)at + 4) << 32;
}
void pci_write8(volatile void *at, uint8_t value) {
    card_write(at, 1, value);
}
void pci_write16(volatile void *at, uint16_t value) {
    card_write(at, 2, value);
}
void pci_write32(volatile void *at, uint32_t value) {
    card_write(at, 4, value);
}
void pci_write64(volatile void *at, uint64_t value) {
    pci_write32(at, (uint32_t)value);
    pci_write32((volatile uint8_t *)at + 4, (uint32_t)(value >> 32));
}

/* ---- the host */

static int card_claim(unsigned number) {
    assert_int_equal(number, CARD_NUMBER);
    card.claimed = true;
    return 0;
}
static int card_set_master(unsigned number, bool on) {
    assert_int_equal(number, CARD_NUMBER);
    assert_true(card.claimed);
    card.master = on;
    return 0;
}
static int card_set_vectors(unsigned number, unsigned wanted) {
    assert_int_equal(number, CARD_NUMBER);
    return (int)(wanted < card.most ? wanted : card.most);
}
static int card_unmask(unsigned number, bool mine) {
    assert_int_equal(number, CARD_NUMBER);
    card.unmasks++;
    card.mine += mine;
    return 0;
}
static void *card_map(uint64_t physical, uint64_t size) {
    unsigned bar = (unsigned)((physical - CARD_BAR(0)) / 0x100000);
    assert_true(bar < 6 && size <= sizeof(card_bars[0]));
    return card_bars[bar];
}
static void *card_dma(size_t size, uint64_t *dma) {
    size = (size + 4095) & ~(size_t)4095;
    if (size > card.limit - card.used)
        return NULL;
    void *memory = card_memory + card.used;
    *dma = CARD_DMA + card.used;
    card.used += size;
    memset(memory, 0, size);
    return memory;
}
static uint64_t card_now(void) {
    return card.now += 1000;
}
static const struct pci_host card_host = {.claim = card_claim,
                                          .master = card_set_master,
                                          .vectors = card_set_vectors,
                                          .unmask = card_unmask,
                                          .map = card_map,
                                          .dma = card_dma,
                                          .now = card_now};

/* ---- the device's side: memory, interrupts */

static void *card_reach(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    if (gpa < CARD_DMA || gpa - CARD_DMA >= card.used)
        return NULL;
    assert_true(card.master); /* no DMA without it */
    *contiguous = card.used - (gpa - CARD_DMA);
    return card_memory + (gpa - CARD_DMA);
}
static void card_dirty(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    (void)memory, (void)gpa, (void)size;
}
static struct virtio_memory card_virtio_memory = {.map = card_reach, .dirty = card_dirty};

static int card_interrupt(struct virtio_pci *pci, unsigned vector) {
    (void)pci;
    if (card.line)
        return -ENXIO;
    if (vector < CARD_VECTORS)
        card.pending |= 1u << vector;
    return 0;
}
static void card_line(struct virtio_pci *pci, bool level) {
    (void)pci;
    card.level = level;
    if (level)
        card.pending |= 1;
}
static void card_log(struct virtio_device *device, const char *text) {
    print_message("%s: %s\n", device->name, text);
}

/* The device's class, features, queues and configuration are set up by its own function after this. */
static inline void card_prepare(struct virtio_device *device, void (*work)(void)) {
    memset(&card, 0, sizeof(card));
    card.limit = sizeof(card_memory);
    card.most = CARD_VECTORS;
    card.device = device;
    card.work = work;
    card.now = 7 * CARD_SECOND;
    device->name = "card";
    device->memory = &card_virtio_memory;
    device->record = &card.record;
    device->log = card_log;
    card.transport.interrupt = card_interrupt;
    card.transport.line = card_line;
    /* A device enables its queues before it may do DMA; it looks at their memory then, which is no access. */
}

static inline void card_plug(void) {
    struct service_device description;

    virtio_pci_describe(card.device, 0, 0, 1, &description);
    memcpy(card.info.config, description.config, sizeof(card.info.config));
    for (unsigned i = 0; i < 2; i++) {
        card.info.bar[i].address = CARD_BAR(i);
        card.info.bar[i].size = description.bar_size[i];
    }
    card.info.devfn = 0x18;
    assert_int_equal(pci_claim(&card.pci, &card_host, &card.info, CARD_NUMBER), 0);
}

static inline uint32_t card_take(void) {
    uint32_t pending = card.pending;
    card.pending = 0;
    return pending;
}

/* ---- a ring as a hostile device writes it: queue `index` of the device */

static inline uint8_t *card_ring_at(uint64_t address) {
    assert_true(address >= CARD_DMA && address < CARD_DMA + card.used);
    return card_memory + (address - CARD_DMA);
}
static inline void card_use(unsigned index, uint32_t id, uint32_t length, unsigned step) {
    const struct virtio_queue_record *queue = &card.record.queue[index];
    uint8_t *used = card_ring_at(queue->device);
    uint16_t at = bytes_get16(used + 2);

    bytes_put32(used + 4 + at % queue->size * 8, id);
    bytes_put32(used + 8 + at % queue->size * 8, length);
    bytes_put16(used + 2, (uint16_t)(at + step));
}

/* A device that writes anything anywhere in [at, at + size) of the DMA memory, mostly small numbers. */
static inline uint32_t card_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}
static inline void card_scribble(uint64_t *seed, uint64_t address, uint32_t size) {
    for (unsigned i = card_random(seed) % 6; i > 0; i--) {
        uint32_t value = card_random(seed), bits = card_random(seed) % 32;
        card_ring_at(address + card_random(seed) % size)[0] = (uint8_t)(value & ((1u << bits) - 1));
    }
}

#endif
