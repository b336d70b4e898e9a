// SPDX-License-Identifier: Apache-2.0
// Interrupts of a disk, and its BARs: MSI-X with masks and pending bits, INTA with the ISR, the driver's
// wishes in the ring; BARs that move, vanish and come back while the device works
// (virtio 1.2, 2.7.7, 4.1.4.5).
#include "tests/guests/virtio/virtio.h"

#define QUEUE_VECTOR  0x51u
#define CONFIG_VECTOR 0x52u
#define LINE_VECTOR   0x53u
#define MESSAGES      0xfee00000u
#define LOW_ACTIVE    0x2000u

static struct virtio *line_of;
static volatile uint8_t line_isr;
static uint8_t id[20];

static void on_line(struct frame *frame) {
    (void)frame;
    line_isr |= isr_read(line_of);
    lapic_write(APIC_EOI, 0);
}

static bool request(struct ring *r) {
    uint32_t written;
    return blk_request(r, BLK_GET_ID, 0, id, sizeof(id), &written) == BLK_OK;
}

/* Whether a request brings `count` interrupts on `vector`. */
static bool brings(struct ring *r, unsigned vector, unsigned count) {
    uint32_t before = irq_count[vector];
    if (!request(r))
        return false;
    if (count)
        return wait_count(&irq_count[vector], before + count, WAIT_MS) && irq_count[vector] == before + count;
    wait_count(&irq_count[vector], before + 1, IDLE_MS);
    return irq_count[vector] == before;
}

/* Whether those that were held come now. */
static bool comes(unsigned vector, uint32_t before) {
    return wait_count(&irq_count[vector], before + 1, WAIT_MS);
}

static void check_masks(struct virtio *v, struct ring *r) {
    uint32_t before = irq_count[QUEUE_VECTOR];
    msix_mask(v, 1, true);
    check(brings(r, QUEUE_VECTOR, 0), "none while its vector is masked");
    check(msix_pending(v, 1) && !msix_pending(v, 0), "but its pending bit is set");
    msix_mask(v, 1, false);
    check(comes(QUEUE_VECTOR, before), "it comes when it is unmasked");
    check(!msix_pending(v, 1), "and is pending no more");
    before = irq_count[QUEUE_VECTOR];
    msix_control(v, MSIX_ENABLE | MSIX_MASK);
    check(brings(r, QUEUE_VECTOR, 0) && msix_pending(v, 1), "nor while the function is masked");
    msix_control(v, MSIX_ENABLE);
    check(comes(QUEUE_VECTOR, before), "it comes then");
    before = irq_count[QUEUE_VECTOR];
    virtio_command(v, PCI_COMMAND_MEMORY);
    check(brings(r, QUEUE_VECTOR, 0), "nor while the function is no bus master");
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check(comes(QUEUE_VECTOR, before), "it comes then, too");
}

static void check_msix(struct virtio *v, struct ring *r) {
    for (unsigned i = 0; i < v->vectors; i++)
        msix_entry(v, i, MESSAGES, i ? QUEUE_VECTOR : CONFIG_VECTOR, false);
    volatile uint32_t *entry = mmio32(v->bar[v->table.bar] + v->table.offset + 16);
    check(entry[0] == MESSAGES && entry[1] == 0 && entry[2] == QUEUE_VECTOR && entry[3] == 0,
          "an entry of the table reads back");
    check(*mmio32(v->bar[v->table.bar] + v->table.offset + 16 * v->vectors) == 0, "nothing lies behind it");
    msix_control(v, MSIX_ENABLE);
    check(blk_start(v, r, 0, 16, 1), "a disk with MSI-X");
    common_write(v, C_CONFIG_VECTOR, 2, 0);
    check(brings(r, QUEUE_VECTOR, 1), "a request brings a message");
    check(brings(r, QUEUE_VECTOR, 1), "and another one");
    check_equal(isr_read(v), 0, "the ISR stays 0");
    check_masks(v, r);
    ring_interrupt(r, false);
    check(brings(r, QUEUE_VECTOR, 0), "none if the driver wants none");
    ring_interrupt(r, true);
    check(brings(r, QUEUE_VECTOR, 1), "one if it does");
    common_write(v, C_QUEUE_SELECT, 2, 0);
    common_write(v, C_QUEUE_VECTOR, 2, 0xffff);
    check(brings(r, QUEUE_VECTOR, 0), "none without a vector");
    uint32_t before = irq_count[CONFIG_VECTOR];
    ring_offer(r, 0xffff);
    ring_kick(r);
    check(virtio_wait_status(v, S_NEEDS_RESET) && comes(CONFIG_VECTOR, before),
          "a broken ring brings the configuration's");
    check(isr_read(v) & 2, "with its bit in the ISR");
    virtio_reset(v);
}

/* One wish for three requests, split and packed. */
static void check_event(struct virtio *v, struct ring *r, uint64_t features) {
    /* An indirect table makes each buffer one descriptor. */
    static struct blk_header header = {BLK_FLUSH, 0, 0};
    static volatile uint8_t status;
    const struct piece pieces[] = {{&header, sizeof(header), false}, {(const void *)&status, 1, true}};
    check(blk_start(v, r, features | F_EVENT | F_INDIRECT, 16, 1), "a ring with event index");
    ring_interrupt(r, true);
    unsigned number;
    uint32_t written, before = irq_count[QUEUE_VECTOR];
    ring_add(r, pieces, 2, true);
    ring_kick(r);
    check(comes(QUEUE_VECTOR, before) && ring_wait(r, &number, &written), "the first interrupt");
    bool good = true;
    for (unsigned round = 0; round < 20 && good; round++) {
        ring_interrupt_after(r, 3);
        before = irq_count[QUEUE_VECTOR];
        for (unsigned i = 0; i < 3 && good; i++) {
            ring_add(r, pieces, 2, true);
            ring_kick(r);
            good = ring_wait(r, &number, &written);
            if (i < 2 && round == 0)
                wait_count(&irq_count[QUEUE_VECTOR], before + 1, IDLE_MS);
            if (i < 2)
                good = good && irq_count[QUEUE_VECTOR] == before;
        }
        good = good && comes(QUEUE_VECTOR, before);
    }
    check(good, "an interrupt for every third buffer, as the driver asks");
    virtio_reset(v);
}

static void check_line(struct virtio *v, struct ring *r) {
    unsigned pin = 16 + (v->devfn >> 3 & 3);
    line_of = v;
    irq_handler(LINE_VECTOR, on_line);
    msix_control(v, 0);
    ioapic_set(pin, LINE_VECTOR | IOAPIC_LEVEL | LOW_ACTIVE);
    /* Vectors count with MSI-X alone: with and without one. */
    for (unsigned i = 0; i < 2; i++) {
        check(blk_start(v, r, 0, 16, i ? 0xffff : 1), "a disk without MSI-X");
        check(brings(r, LINE_VECTOR, 1), "whose request brings one INTA");
    }
    line_isr = 0;
    check(brings(r, LINE_VECTOR, 1), "and another one");
    check_equal(line_isr, 1, "whose ISR says: a queue");
    check_equal(isr_read(v), 0, "reading clears it");
    ring_interrupt(r, false);
    check(brings(r, LINE_VECTOR, 0), "none if the driver wants none");
    ring_interrupt(r, true);
    uint32_t before = irq_count[LINE_VECTOR];
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
    check(brings(r, LINE_VECTOR, 0), "none while it is disabled");
    check(pci_read(v, 6, 2) & PCI_STATUS_INTX, "but the status register shows it");
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check(comes(LINE_VECTOR, before), "it comes when it is enabled");
    check(!(pci_read(v, 6, 2) & PCI_STATUS_INTX), "and is gone once the ISR was read");
    line_isr = 0;
    before = irq_count[LINE_VECTOR];
    ring_offer(r, 0xffff);
    ring_kick(r);
    check(comes(LINE_VECTOR, before) && (line_isr & 2), "a broken ring sets the configuration's bit");
    ioapic_set(pin, IOAPIC_MASKED);
    virtio_reset(v);
    check(blk_start(v, r, 0, 16, 0xffff) && request(r), "with the pin masked");
    check(pci_read(v, 6, 2) & PCI_STATUS_INTX, "the line goes up");
    virtio_reset(v);
    check(!(pci_read(v, 6, 2) & PCI_STATUS_INTX), "and down with a reset");
}

void check_interrupts(struct virtio *disk, struct ring *r) {
    lapic_enable();
    check_msix(disk, r);
    check_event(disk, r, 0);
    check_event(disk, r, F_PACKED);
    check_line(disk, r);
}

/* ---- BARs */

static void check_move(struct virtio *v, struct ring *r) {
    uint32_t home = v->bar[0];
    bool good = true;
    /* A request is on its way each time. */
    for (unsigned i = 0; i < 20 && good; i++) {
        uint32_t before = v->bar[0];
        static struct blk_header header = {BLK_FLUSH, 0, 0};
        static volatile uint8_t status;
        const struct piece pieces[] = {{&header, sizeof(header), false}, {(const void *)&status, 1, true}};
        unsigned number;
        uint32_t written;
        ring_add(r, pieces, 2, false);
        ring_kick(r);
        v->bar[0] = i == 19 ? home : 0xd0000000u + i * v->bar_size[0] * 3;
        pci_write(v, PCI_BAR0, 4, v->bar[0]);
        good = *mmio32(before) == UINT32_MAX && ring_wait(r, &number, &written) &&
               status_read(v) == (S_ALL | S_DRIVER_OK);
        good = good && request(r);
    }
    check(good, "BAR 0 moves while the device works");
    check_equal(v->bar[0], home, "and comes home");
}

void check_bars(struct virtio *v, struct ring *r) {
    uint32_t home = v->bar[0];
    check(blk_start(v, r, 0, 16, 0xffff) && request(r), "the disk works");
    check_move(v, r);
    virtio_command(v, PCI_COMMAND_MASTER);
    check(*mmio32(home) == UINT32_MAX && *mmio32(v->bar[1]) == UINT32_MAX,
          "without the memory bit there is nothing");
    *mmio32(home + v->common.offset + C_STATUS) = 0;
    pci_write(v, PCI_BAR0, 4, UINT32_MAX);
    check_equal(pci_read(v, PCI_BAR0, 4), -v->bar_size[0], "its size can be asked");
    pci_write(v, PCI_BAR0, 4, home);
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check_equal(status_read(v), S_ALL | S_DRIVER_OK, "with it the device is there, and as it was");
    check(request(r), "and works");
    /* Where RAM is. */
    static uint32_t ram[0x10000 / 4] __attribute__((aligned(0x8000)));
    ram[5] = 0x12345678;
    pci_write(v, PCI_BAR0, 4, (uint32_t)(uint64_t)ram);
    check_equal(((volatile uint32_t *)ram)[5], 0x12345678, "a BAR over RAM hides nothing");
    /* Where other things are. */
    static const uint32_t taken[] = {0xfec00000, 0xfee00000, 0xb0000000, 0};
    uint32_t version = ioapic_read(1), host = *mmio32(0xb0000000);
    bool good = true;
    for (unsigned i = 0; i < array_count(taken); i++) {
        pci_write(v, PCI_BAR0, 4, taken[i]);
        good = good && ioapic_read(1) == version && *mmio32(0xb0000000) == host && lapic_read(APIC_VERSION);
    }
    check(good, "nor one over the interrupt controllers or ECAM");
    /* Two of its own at one place: one of them is there. */
    pci_write(v, PCI_BAR0, 4, v->bar[1] & -v->bar_size[0]);
    (void)*mmio32(v->bar[1]);
    pci_write(v, PCI_BAR0, 4, home);
    check(status_read(v) == (S_ALL | S_DRIVER_OK) && request(r), "back home it works");
    msix_entry(v, 0, MESSAGES, 0x5a, true);
    check_equal(mmio32(v->bar[v->table.bar] + v->table.offset)[2], 0x5a, "and so does BAR 1");
    virtio_reset(v);
}
