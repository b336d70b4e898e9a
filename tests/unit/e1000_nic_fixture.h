// SPDX-License-Identifier: Apache-2.0
// An 82540EM or 82574L for tests: registers, EEPROM, rings and interrupts as the manuals have them. It does
// DMA only where the driver's memory is, and counts it as an error if it may not.
#ifndef SAGUARO_TESTS_E1000_NIC_FIXTURE_H
#define SAGUARO_TESTS_E1000_NIC_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/net/e1000_internal.h"

#define ARENA     (4u << 20)
#define ARENA_DMA 0x123400000ull
#define SENT_MAX  1024u

static uint8_t arena[ARENA] __attribute__((aligned(4096)));
static size_t arena_used;
static uint64_t test_now;

static struct card {
    uint32_t reg[E1000_REGISTERS / 4];
    uint16_t eeprom[64];
    bool express, master, gone, stuck, no_map, no_memory;
    bool keeps;       /* a reset changes no register, as with QEMU 7.2 */
    bool reset_stays; /* CTRL.RST does not clear */
    bool eerd_stays;  /* EERD is never done */
    unsigned vectors; /* that it can have */
    bool line_masked;
    unsigned messages, unmasks, mine, resets;
    bool asserted;
    uint8_t sent[SENT_MAX][E1000_BUFFER];
    uint32_t sent_size[SENT_MAX];
    unsigned sent_count;
    uint8_t tucss, tucso;
    unsigned contexts;
} card;

static uint32_t *reg(uint32_t offset) {
    assert_true(offset < E1000_REGISTERS && offset % 4 == 0);
    return &card.reg[offset / 4];
}

static uint8_t *dma_at(uint64_t address, uint64_t size) {
    assert_true(card.master);
    assert_true(address >= ARENA_DMA && address - ARENA_DMA + size <= arena_used);
    return arena + (address - ARENA_DMA);
}

static struct e1000_descriptor *card_descriptor(uint32_t base, uint32_t index) {
    uint64_t address = *reg(base) | (uint64_t)*reg(base + 4) << 32;

    assert_int_equal(*reg(base + 8), E1000_RING * 16);
    return (struct e1000_descriptor *)(void *)dma_at(address + index * 16ull, 16);
}

/* ---- interrupts: a message, or the line, when one comes up that was not there */

static void card_interrupt(uint32_t causes) {
    *reg(E1000_ICR) |= causes;
    bool asserted = (*reg(E1000_ICR) & *reg(E1000_IMS)) != 0;
    if (asserted && !card.asserted && !card.line_masked) {
        card.messages++;
        card.line_masked = !card.express;
    }
    card.asserted = asserted;
}

/* ---- sending and receiving */

/* The sum of RFC 1071 from TUCSS to the end, what is in its place counted too. */
static void card_checksum(uint8_t *data, uint32_t size) {
    uint64_t sum = 0;

    assert_true(card.tucss < size && card.tucso + 1u < size);
    for (uint32_t i = card.tucss; i < size; i++)
        sum += (i - card.tucss) % 2 ? data[i] : (uint64_t)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = sum == 0xffff ? 0 : sum; /* never 0 in the frame */
    data[card.tucso] = (uint8_t)(~sum >> 8);
    data[card.tucso + 1] = (uint8_t)~sum;
}

static void card_context(const struct e1000_descriptor *descriptor) {
    assert_int_equal(descriptor->length & ~0x01000000u, 0x20000000); /* DEXT, perhaps TCP */
    assert_int_equal(descriptor->address_high >> 16, 0);
    card.tucss = (uint8_t)descriptor->address_high;
    card.tucso = (uint8_t)(descriptor->address_high >> 8);
    assert_int_equal(descriptor->length >> 24 & 1, card.tucso - card.tucss == 16);
    card.contexts++;
}

static void card_frame(struct e1000_descriptor *descriptor) {
    uint32_t size = descriptor->length & 0xffff, command = descriptor->length >> 16;

    assert_true(size >= 60 && size <= E1000_MAX_FRAME && card.sent_count < SENT_MAX);
    uint64_t address = descriptor->address_low | (uint64_t)descriptor->address_high << 32;
    memcpy(card.sent[card.sent_count], dma_at(address, size), size);
    if (command == 0x2b10) {                         /* DEXT, DTYP 1, EOP, IFCS, RS */
        assert_int_equal(descriptor->status, 0x200); /* TXSM */
        card_checksum(card.sent[card.sent_count], size);
    } else {
        assert_int_equal(command, 0x0b00); /* EOP, IFCS, RS; no CSO */
        assert_int_equal(descriptor->status, 0);
    }
    card.sent_size[card.sent_count++] = size;
    descriptor->status |= DESCRIPTOR_DD;
}

static void card_send(void) {
    while (!card.stuck && (*reg(E1000_TCTL) & TCTL_EN) && (*reg(E1000_STATUS) & STATUS_LU) &&
           *reg(E1000_TDH) != *reg(E1000_TDT)) {
        struct e1000_descriptor *descriptor = card_descriptor(E1000_TDBAL, *reg(E1000_TDH));
        if ((descriptor->length & 0x20100000) == 0x20000000) /* which is not marked as done */
            card_context(descriptor);
        else
            card_frame(descriptor);
        *reg(E1000_TDH) = (*reg(E1000_TDH) + 1) % E1000_RING;
    }
}

/* Writes one descriptor, whatever it says. False: there is none, or the receiver is off. */
static bool card_write(const void *data, uint32_t size, uint32_t length, uint32_t status) {
    if (!(*reg(E1000_RCTL) & RCTL_EN) || *reg(E1000_RDH) == *reg(E1000_RDT))
        return false;
    struct e1000_descriptor *descriptor = card_descriptor(E1000_RDBAL, *reg(E1000_RDH));
    uint64_t address = descriptor->address_low | (uint64_t)descriptor->address_high << 32;
    memcpy(dma_at(address, E1000_BUFFER), data, size);
    descriptor->length = length;
    descriptor->status = status;
    *reg(E1000_RDH) = (*reg(E1000_RDH) + 1) % E1000_RING;
    card_interrupt(INTERRUPT_RXT0 | (card.express ? INTERRUPT_RXQ0 : 0));
    return true;
}

static bool card_receive(const void *data, uint32_t size) {
    return card_write(data, size, size | 0xabcd0000, DESCRIPTOR_DD | RECEIVE_EOP | 0x4);
}

static void card_link(bool up) {
    *reg(E1000_STATUS) = (*reg(E1000_STATUS) & ~STATUS_LU) | (up ? STATUS_LU : 0);
    card_interrupt(INTERRUPT_LSC | (card.express ? INTERRUPT_OTHER : 0));
    card_send();
}

/* ---- registers */

static void card_reset(void) {
    uint32_t status = *reg(E1000_STATUS), low = *reg(E1000_RAL0), high = *reg(E1000_RAH0);

    card.resets++;
    if (card.keeps)
        return;
    memset(card.reg, 0, sizeof(card.reg));
    *reg(E1000_STATUS) = status | (card.express ? STATUS_GIO_MASTER_ENABLE : 0);
    *reg(E1000_EECD) = EECD_AUTO_RD;
    *reg(E1000_TCTL) = card.express ? 0x3003f0f8 : 0;
    *reg(E1000_RAL0) = low;
    *reg(E1000_RAH0) = high;
    card.asserted = false;
}

static void write_ctrl(uint32_t value) {
    *reg(E1000_CTRL) = value & ~CTRL_RST;
    if (card.express) {
        *reg(E1000_STATUS) &= ~STATUS_GIO_MASTER_ENABLE;
        if (!(value & CTRL_GIO_MASTER_DISABLE))
            *reg(E1000_STATUS) |= STATUS_GIO_MASTER_ENABLE;
    }
    if (value & CTRL_RST)
        card_reset();
    if ((value & CTRL_RST) && card.reset_stays)
        *reg(E1000_CTRL) |= CTRL_RST;
}

static void write_eerd(uint32_t value) {
    uint32_t word = card.express ? value >> 2 & 0x3fff : value >> 8 & 0xff;

    assert_true(value & EERD_START);
    assert_true(word < 64);
    if (!card.eerd_stays)
        *reg(E1000_EERD) = (uint32_t)card.eeprom[word] << 16 | (card.express ? 2u : 0x10u);
}

uint32_t pci_read32(const volatile void *at) {
    uint32_t offset = (uint32_t)((const volatile uint8_t *)at - (const volatile uint8_t *)card.reg);
    uint32_t value = *reg(offset);

    if (card.gone)
        return 0xffffffff;
    if (offset == E1000_ICR && (!card.express || *reg(E1000_IMS) == 0)) { /* as with MSI-X */
        *reg(E1000_ICR) = 0;
        card_interrupt(0);
    }
    return value;
}

void pci_write32(volatile void *at, uint32_t value) {
    uint32_t offset = (uint32_t)((volatile uint8_t *)at - (volatile uint8_t *)card.reg);

    if (card.gone)
        return;
    switch (offset) {
    case E1000_CTRL:
        write_ctrl(value);
        break;
    case E1000_EERD:
        write_eerd(value);
        break;
    case E1000_IMS:
        *reg(E1000_IMS) |= value;
        card_interrupt(0);
        break;
    case E1000_IMC:
        *reg(E1000_IMS) &= ~value;
        card_interrupt(0);
        break;
    case E1000_RDH:
    case E1000_TDH: /* only while they are off */
        assert_false(*reg(offset == E1000_RDH ? E1000_RCTL : E1000_TCTL) & RCTL_EN);
        *reg(offset) = value;
        break;
    case E1000_TDT:
        assert_true(value < E1000_RING);
        *reg(E1000_TDT) = value;
        card_send();
        break;
    case E1000_TCTL:
        *reg(E1000_TCTL) = value;
        card_send();
        break;
    default:
        *reg(offset) = value;
    }
}

/* ---- what is between the driver and the card */

static uint64_t host_now(void) {
    return test_now += 1000;
}

static void *host_dma(size_t size, uint64_t *dma) {
    size_t at = (arena_used + 4095) & ~(size_t)4095;

    if (card.no_memory || size > ARENA - at)
        return NULL;
    arena_used = at + size;
    *dma = ARENA_DMA + at;
    return arena + at;
}

static const struct pci_host host = {.dma = host_dma, .now = host_now};
static struct service_pci function;

uint16_t pci_vendor(const struct pci_device *device) {
    return (uint16_t)(device->info->config[0] | device->info->config[1] << 8);
}

uint16_t pci_id(const struct pci_device *device) {
    return (uint16_t)(device->info->config[2] | device->info->config[3] << 8);
}

volatile void *pci_map(struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    (void)device;
    assert_int_equal(bar, 0);
    assert_int_equal(offset, 0);
    assert_true(size <= sizeof(card.reg));
    return card.no_map ? NULL : card.reg;
}

int pci_set_vectors(struct pci_device *device, unsigned wanted) {
    assert_int_equal(wanted, 1);
    assert_int_equal(*reg(E1000_IMS), 0);
    device->vectors = card.vectors;
    return 0;
}

int pci_set_master(struct pci_device *device, bool on) {
    (void)device;
    if (on) /* nothing left over may do DMA */
        assert_false((*reg(E1000_RCTL) & RCTL_EN) || (*reg(E1000_TCTL) & TCTL_EN));
    card.master = on;
    return 0;
}

void pci_unmask(struct pci_device *device) {
    card.unmasks++;
    card.mine += device->mine;
    device->mine = false;
    card.line_masked = false;
    if (card.asserted && !card.express) { /* the line is still up */
        card.messages++;
        card.line_masked = true;
    }
}

/* ---- the driver's owner */

static const uint8_t card_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static struct pci_device device;
static struct e1000 e1000;
static struct nic *const nic = &e1000.nic;
static uint8_t got[512][E1000_BUFFER];
static uint32_t got_size[512];
static unsigned got_count, changes;
static bool stops_in_callback;

/* virtio/frame.c's sources besides memory: here a guest's buffer that has become shorter. */
size_t virtq_read(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, void *data,
                  size_t size) {
    (void)queue, (void)buffer, (void)offset;
    size = size < 10 ? size : 10;
    memset(data, 0, size);
    return size;
}

size_t virtq_write(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, const void *data,
                   size_t size) {
    (void)queue, (void)buffer, (void)offset, (void)data, (void)size;
    fail();
    return 0;
}

size_t virtq_copy(struct virtq *to_queue, const struct virtq_buffer *to, size_t to_offset,
                  const struct virtq_buffer *from, size_t from_offset, size_t size) {
    (void)to_queue, (void)to, (void)to_offset, (void)from, (void)from_offset, (void)size;
    fail();
    return 0;
}

static void received(struct nic *from, struct frame *frame) {
    assert_ptr_equal(from, nic);
    assert_true(got_count < 512 && frame->size <= E1000_BUFFER);
    assert_int_equal(frame->offload.flags | frame->offload.gso_type, 0);
    assert_int_equal(frame_read(frame, 0, got[got_count], E1000_BUFFER), frame->size);
    got_size[got_count++] = frame->size;
    if (stops_in_callback)
        nic->class->stop(nic);
}

static void changed(struct nic *from) {
    assert_ptr_equal(from, nic);
    changes++;
}

static void set_eeprom(const uint8_t *mac) {
    uint16_t sum = 0;

    for (unsigned i = 0; i < 63; i++) {
        card.eeprom[i] = (uint16_t)(i * 771);
        if (i < 3)
            card.eeprom[i] = (uint16_t)(mac[i * 2] | mac[i * 2 + 1] << 8);
        sum = (uint16_t)(sum + card.eeprom[i]);
    }
    card.eeprom[63] = (uint16_t)(0xbaba - sum);
}

static int setup(void **state) {
    bool express = *state != NULL;
    static const uint8_t classic_ids[] = {0x86, 0x80, 0x0e, 0x10}, express_ids[] = {0x86, 0x80, 0xd3, 0x10};

    memset(&card, 0, sizeof(card));
    memset(arena, 0, sizeof(arena));
    arena_used = 0;
    memset(&e1000, 0, sizeof(e1000));
    memset(&device, 0, sizeof(device));
    got_count = changes = 0;
    stops_in_callback = false;
    card.express = express;
    card.vectors = 1;
    *reg(E1000_STATUS) = STATUS_LU;
    *reg(E1000_EECD) = EECD_AUTO_RD;
    *reg(E1000_RCTL) = RCTL_EN; /* firmware has left it on */
    *reg(E1000_IMS) = 0xff;
    set_eeprom(card_mac);
    memcpy(function.config, express ? express_ids : classic_ids, 4);
    device.host = &host;
    device.info = &function;
    nic->class = &e1000_nic;
    nic->pci = &device;
    nic->received = received;
    nic->changed = changed;
    return 0;
}

static int setup_started(void **state) {
    setup(state);
    return nic->class->probe(nic) || nic->class->start(nic);
}

static void make(uint8_t *data, uint32_t size, unsigned seed) {
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + seed);
}

/* With a checksum of what begins at `start`, in its byte `offset`; `start` 0: without. */
static int send_sum(uint32_t size, unsigned seed, uint16_t start, uint16_t offset) {
    static uint8_t data[70000];
    struct frame frame;

    make(data, size, seed);
    frame_from_memory(&frame, data, size);
    if (start) {
        frame.offload.flags = FRAME_NEEDS_CSUM;
        frame.offload.csum_start = start;
        frame.offload.csum_offset = offset;
    }
    return nic->class->send(nic, &frame);
}

static int send(uint32_t size, unsigned seed) {
    return send_sum(size, seed, 0, 0);
}

/* What was sent is make()'s frame, padded, with the checksum from `start` on in its place. */
static void check_sum(unsigned number, uint32_t size, unsigned seed, uint32_t start, uint32_t place) {
    uint8_t data[E1000_BUFFER] = {0};
    uint32_t sum = 0, padded = size < 60 ? 60 : size;

    make(data, size, seed);
    for (uint32_t i = start; i < size; i++)
        sum += (i - start) % 2 ? data[i] : (uint32_t)data[i] << 8;
    sum = 0xffff - sum % 0xffff;
    data[place] = (uint8_t)(sum >> 8);
    data[place + 1] = (uint8_t)sum;
    assert_int_equal(card.sent_size[number], padded);
    assert_memory_equal(card.sent[number], data, padded);
}

#endif
