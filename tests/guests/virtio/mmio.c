// SPDX-License-Identifier: Apache-2.0
// A disk over MMIO (virtio 1.2, 4.2): its registers, doorbells, interrupt status and line; then a driver that
// breaks the rules, and anything at all. Each time a reset makes it work again.
#include "tests/guests/virtio/virtio.h"

#define BASE        0xfef08000ull /* disk0's place, which the ACPI tables name */
#define PAGE        4096u
#define LINE        20u /* its GSI */
#define LINE_VECTOR 0x54u

enum {
    MAGIC = 0x00,
    VERSION = 0x04,
    DEVICE = 0x08,
    DEVICE_FEATURES = 0x10,
    DEVICE_FEATURES_SELECT = 0x14,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SELECT = 0x24,
    QUEUE_SELECT = 0x30,
    QUEUE_SIZE_MAX = 0x34,
    QUEUE_SIZE = 0x38,
    QUEUE_READY = 0x44,
    NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    QUEUE_DESC = 0x80,
    QUEUE_DRIVER = 0x90,
    QUEUE_DEVICE = 0xa0,
    CONFIG = 0x100,
};

static struct virtio self; /* for the ring, which wants to know the features */
static volatile uint32_t line_status;
static struct blk_header header;
static uint8_t id[20];
static volatile uint8_t answer;

static uint32_t get(unsigned offset) {
    return *mmio32(BASE + offset);
}
static void set(unsigned offset, uint32_t value) {
    *mmio32(BASE + offset) = value;
}
static void set_address(unsigned offset, uint64_t address) {
    set(offset, (uint32_t)address);
    set(offset + 4, (uint32_t)(address >> 32));
}

static void on_line(struct frame *frame) {
    (void)frame;
    uint32_t status = get(INTERRUPT_STATUS);
    line_status |= status;
    set(INTERRUPT_ACK, status);
    lapic_write(APIC_EOI, 0);
}

static void negotiate(uint64_t features) {
    self.features = features | F_VERSION_1;
    set(STATUS, 0);
    set(STATUS, S_ACKNOWLEDGE);
    set(STATUS, S_ACKNOWLEDGE | S_DRIVER);
    for (unsigned word = 0; word < 2; word++) {
        set(DRIVER_FEATURES_SELECT, word);
        set(DRIVER_FEATURES, (uint32_t)(self.features >> 32 * word));
    }
    set(STATUS, S_ALL);
}

static bool start(struct ring *r) {
    negotiate(0);
    ring_clear(r, &self, 0, 16);
    set(QUEUE_SELECT, 0);
    set(QUEUE_SIZE, 16);
    set_address(QUEUE_DESC, (uint64_t)r->table);
    set_address(QUEUE_DRIVER, (uint64_t)r->driver);
    set_address(QUEUE_DEVICE, (uint64_t)r->device);
    set(QUEUE_READY, 1);
    set(STATUS, S_ALL | S_DRIVER_OK);
    return get(QUEUE_READY) == 1 && get(STATUS) == (S_ALL | S_DRIVER_OK);
}

static void submit(struct ring *r) {
    const struct piece pieces[] = {
        {&header, sizeof(header), false}, {id, sizeof(id), true}, {(const void *)&answer, 1, true}};
    header = (struct blk_header){BLK_GET_ID, 0, 0};
    answer = BLK_NONE;
    ring_add(r, pieces, array_count(pieces), false);
}

static bool request(struct ring *r) {
    unsigned number;
    uint32_t written;
    submit(r);
    set(NOTIFY, 0);
    return ring_wait(r, &number, &written) && answer == BLK_OK && id[0] == 's';
}

static bool works(struct ring *r) {
    return start(r) && request(r);
}

static bool breaks(void) {
    uint64_t end = now_us() + WAIT_MS * 1000ull;
    while (!(get(STATUS) & S_NEEDS_RESET))
        if (now_us() > end)
            return false;
    return true;
}

static void check_registers(void) {
    check(get(MAGIC) == 0x74726976 && get(VERSION) == 2 && get(DEVICE) == 2, "a disk, version 2");
    check(get(0x54) == 0 && get(CONFIG + 0x80) == 0 && get(0x800) == 0 && get(PAGE - 4) == 0,
          "nothing lies between and behind its registers");
    check(*(volatile uint8_t *)BASE == 0 && *(volatile uint64_t *)(BASE + STATUS) == 0,
          "registers are of 32 bits");
    set(DEVICE_FEATURES_SELECT, 1);
    check(get(DEVICE_FEATURES) & 1, "VERSION_1 is offered");
    negotiate(1ull << 63);
    check_equal(get(STATUS), S_ACKNOWLEDGE | S_DRIVER, "what is not offered is refused");
    negotiate(0);
    check_equal(get(STATUS), S_ALL, "VERSION_1 alone is accepted");
    set(QUEUE_SELECT, 4000);
    check(get(QUEUE_SIZE_MAX) == 0 && get(QUEUE_READY) == 0, "a queue that is not there");
    set(STATUS, 0);
    check_equal(get(STATUS), 0, "a reset");
}

static void check_line(struct ring *r) {
    irq_handler(LINE_VECTOR, on_line);
    ioapic_set(LINE, LINE_VECTOR | IOAPIC_LEVEL);
    check(works(r), "a request is answered");
    check(wait_count(&irq_count[LINE_VECTOR], 1, WAIT_MS) && line_status == 1, "its interrupt says: a queue");
    uint32_t before = irq_count[LINE_VECTOR];
    check(request(r) && wait_count(&irq_count[LINE_VECTOR], before + 1, WAIT_MS), "and another one");
    before = irq_count[LINE_VECTOR];
    ring_interrupt(r, false);
    check(request(r) && !wait_count(&irq_count[LINE_VECTOR], before + 1, IDLE_MS),
          "none if the driver wants none");
    ring_interrupt(r, true);
    ioapic_set(LINE, IOAPIC_MASKED);
    check(request(r) && get(INTERRUPT_STATUS) == 1, "with the line masked the status shows it");
    set(INTERRUPT_STATUS, 0);
    set(INTERRUPT_ACK, 2);
    *(volatile uint8_t *)(BASE + INTERRUPT_ACK) = 1;
    check_equal(get(INTERRUPT_STATUS), 1, "which nothing else clears");
    ioapic_set(LINE, LINE_VECTOR | IOAPIC_LEVEL);
    check(wait_count(&irq_count[LINE_VECTOR], before + 1, WAIT_MS) && get(INTERRUPT_STATUS) == 0,
          "than to acknowledge it");
    ioapic_set(LINE, IOAPIC_MASKED);
    check(request(r), "one more");
    set(STATUS, 0);
    check_equal(get(INTERRUPT_STATUS), 0, "a reset clears it");
}

static void check_doorbells(struct ring *r) {
    static const uint32_t wrong[] = {1, 31, 32, 0x10000, 0x80000000, UINT32_MAX};
    unsigned number;
    uint32_t written;
    check(works(r), "the disk works");
    submit(r);
    for (unsigned i = 0; i < array_count(wrong); i++)
        set(NOTIFY, wrong[i]);
    *(volatile uint8_t *)(BASE + NOTIFY) = 0;
    *(volatile uint64_t *)(BASE + NOTIFY) = 0;
    check(!ring_used(r, &number, &written) && get(STATUS) == (S_ALL | S_DRIVER_OK),
          "no other value is the queue's doorbell");
    set(NOTIFY, 0);
    check(ring_wait(r, &number, &written) && answer == BLK_OK, "its own is");
}

static void check_broken(struct ring *r) {
    check(works(r), "the disk works");
    ring_offer(r, 0xffff);
    set(NOTIFY, 0);
    check(breaks() && get(INTERRUPT_STATUS) & 2, "a broken ring: NEEDS_RESET, and an interrupt");
    check(works(r), "after a reset it works");
    negotiate(0);
    set(QUEUE_SELECT, 0);
    set(QUEUE_SIZE, 16);
    set_address(QUEUE_DESC, 0xf000000000000000);
    set(QUEUE_READY, 1);
    check(breaks() && get(QUEUE_READY) == 0, "a ring outside RAM: NEEDS_RESET");
    negotiate(0);
    set(QUEUE_SIZE, 3);
    check(breaks(), "a size that is none: NEEDS_RESET");
    check(works(r), "after a reset it works");
    set(STATUS, 0);
    set(STATUS, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
    check(breaks(), "DRIVER_OK without FEATURES_OK: NEEDS_RESET");
}

/* Addresses point beyond this guest's RAM, so that nothing of it is spoiled. */
static void check_noise(struct ring *r) {
    uint64_t seed = 0x2545f4914f6cdd1d;
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t random = random_next(&seed), value = random_next(&seed) >> (random >> 58);
        unsigned size = random % 4 ? 2 : random >> 8 & 3;
        uint64_t offset = (random >> 16) % (random & 0x800 ? PAGE : CONFIG + 0x40) & ~((1ull << size) - 1);
        uint64_t to = BASE + offset;
        if (offset >= QUEUE_DESC && offset < QUEUE_DEVICE + 8)
            value |= 0x80000000;
        if (random & 0x1000) {
            (void)*mmio32(to & ~3ull);
            continue;
        }
        if (size == 0)
            *(volatile uint8_t *)to = (uint8_t)value;
        else if (size == 1)
            *(volatile uint16_t *)to = (uint16_t)value;
        else if (size == 2)
            *(volatile uint32_t *)to = (uint32_t)value;
        else
            *(volatile uint64_t *)to = value;
    }
    check(works(r), "after noise and a reset it works");
    set(STATUS, 0);
}

void check_mmio(struct ring *r) {
    lapic_enable();
    check_registers();
    check_line(r);
    check_doorbells(r);
    check_broken(r);
    check_noise(r);
}
