// SPDX-License-Identifier: Apache-2.0
// The emulated 82540EM: its registers, interrupts, reset, and what it shows of itself on the PCI bus.
#include "virtio/e1000_card.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "virtio/bytes.h"
#include "virtio/e1000_card_internal.h"

#define BAR_SIZE      0x20000u
#define REGISTERS_END 0x6000u /* behind it all reads as 0 */

/* Registers that are no more than a read or a write. */
#define STATUS        0x0008u
#define ICS           0x00c8u
#define IMC           0x00d8u
#define STATISTICS    0x4000u
#define MULTICAST     0x5200u
#define ADDRESSES     0x5400u
#define VLANS         0x5600u

#define STATUS_FULL   0x01u
#define STATUS_LINK   0x02u
#define STATUS_1000   0x80u
#define ADDRESS_VALID 0x80000000u
#define EERD_START    0x01u

/* Those that are kept: where each is, which bits a driver may change, what they are after a reset. */
static const struct {
    uint16_t offset;
    uint32_t writable, initial;
} registers[E1000_REGISTERS] = {
    [E1000_CTRL] = {0x0000, 0x5bffffff, 0x00140240}, /* link set up, 1000 Mb/s */
    [E1000_EECD] = {0x0010, UINT32_MAX, 0x00000100}, /* there is an EEPROM */
    [E1000_EERD] = {0x0014, UINT32_MAX, 0},
    [E1000_CTRL_EXT] = {0x0018, UINT32_MAX, 0},
    [E1000_MDIC] = {0x0020, UINT32_MAX, 0x10000000},
    [E1000_FCAL] = {0x0028, UINT32_MAX, 0},
    [E1000_FCAH] = {0x002c, 0xffff, 0},
    [E1000_FCT] = {0x0030, 0xffff, 0},
    [E1000_VET] = {0x0038, 0xffff, 0x8100},
    [E1000_ICR] = {0x00c0, UINT32_MAX, 0},
    [E1000_ITR] = {0x00c4, 0xffff, 0},
    [E1000_IMS] = {0x00d0, UINT32_MAX, 0},
    [E1000_RCTL] = {0x0100, 0x07dffffe, 0},
    [E1000_FCTTV] = {0x0170, 0xffff, 0},
    [E1000_TXCW] = {0x0178, UINT32_MAX, 0},
    [E1000_TCTL] = {0x0400, 0x03fffffa, 0},
    [E1000_TIPG] = {0x0410, 0x3fffffff, 0},
    [E1000_AIT] = {0x0458, 0xffff, 0},
    [E1000_LEDCTL] = {0x0e00, UINT32_MAX, 0x07068302},
    [E1000_PBA] = {0x1000, 0xffff, 0x00100030}, /* KiB of the packet buffer: 48 to receive, 16 to send */
    [E1000_FCRTL] = {0x2160, 0x8000fff8, 0},
    [E1000_FCRTH] = {0x2168, 0xfff8, 0},
    [E1000_RDBAL] = {0x2800, 0xfffffff0, 0},
    [E1000_RDBAH] = {0x2804, UINT32_MAX, 0},
    [E1000_RDLEN] = {0x2808, 0x000fff80, 0},
    [E1000_RDH] = {0x2810, 0xffff, 0},
    [E1000_RDT] = {0x2818, 0xffff, 0},
    [E1000_RDTR] = {0x2820, 0xffff, 0},
    [E1000_RXDCTL] = {0x2828, 0x013f3f3f, 0x00010000},
    [E1000_RADV] = {0x282c, 0xffff, 0},
    [E1000_TDBAL] = {0x3800, 0xfffffff0, 0},
    [E1000_TDBAH] = {0x3804, UINT32_MAX, 0},
    [E1000_TDLEN] = {0x3808, 0x000fff80, 0},
    [E1000_TDH] = {0x3810, 0xffff, 0},
    [E1000_TDT] = {0x3818, 0xffff, 0},
    [E1000_TIDV] = {0x3820, 0xffff, 0},
    [E1000_TXDCTL] = {0x3828, 0xff3f3f3f, 0},
    [E1000_TADV] = {0x382c, 0xffff, 0},
    [E1000_TSPMT] = {0x3830, UINT32_MAX, 0x01000400},
    [E1000_RXCSUM] = {0x5000, 0x07ff, 0},
    [E1000_WUC] = {0x5800, 0x0f, 0},
    [E1000_WUFC] = {0x5808, 0x000f00ff, 0},
    [E1000_IPAV] = {0x5838, 0x0001000f, 0},
    [E1000_MANC] = {0x5820, UINT32_MAX, 0},
};

/* ---- interrupts (13.4.17 to 13.4.21). Throttling and delays are at most as long as a driver asks for: there
 * is one interrupt for all that is done in one go. */

static void set_line(struct e1000_card *card) {
    bool level = (e1000_get(card, E1000_ICR) & e1000_get(card, E1000_IMS)) != 0;

    if (card->raised != level) {
        card->raised = level;
        card->line(card, level);
    }
}

void e1000_interrupt(struct e1000_card *card, uint32_t causes) {
    e1000_set(card, E1000_ICR, e1000_get(card, E1000_ICR) | (causes & E1000_ICR_ALL));
    set_line(card);
}

/* ---- statistics (13.7) */

void e1000_count(struct e1000_card *card, unsigned counter, uint32_t more) {
    uint32_t *value = &card->record->statistics[counter];

    *value = more < UINT32_MAX - *value ? *value + more : UINT32_MAX;
}

void e1000_count_bytes(struct e1000_card *card, unsigned counter, uint32_t more) {
    uint32_t *value = &card->record->statistics[counter];

    value[1] += value[0] + more < more;
    value[0] += more;
}

static bool is_wide(unsigned counter) {
    return counter == E1000_GORC || counter == E1000_GOTC || counter == E1000_TOR || counter == E1000_TOT;
}

/* Reading clears; those of 64 bits when their upper half is read, both halves. */
static uint32_t read_statistics(struct e1000_card *card, unsigned counter) {
    uint32_t *value = &card->record->statistics[counter], read = *value;

    if (is_wide(counter))
        return read;
    *value = 0;
    if (counter > 0 && is_wide(counter - 1))
        value[-1] = 0;
    return read;
}

/* ---- rings */

bool e1000_ring_of(const struct e1000_card *card, enum e1000_register first, struct e1000_ring *ring) {
    const uint32_t *registers_of = &card->record->registers[first];

    ring->base = registers_of[0] | (uint64_t)registers_of[1] << 32;
    ring->count = registers_of[2] / E1000_DESCRIPTOR_SIZE;
    ring->head = registers_of[3];
    ring->tail = registers_of[4];
    return ring->head < ring->count && ring->tail < ring->count;
}

uint32_t e1000_handing(const struct e1000_ring *ring, uint32_t handing) {
    uint32_t end = handing & ~E1000_HANDING;

    if (!(handing & E1000_HANDING) || end >= ring->count)
        return 0;
    return end >= ring->head ? end - ring->head : end + ring->count - ring->head;
}

uint8_t *e1000_descriptor(struct e1000_card *card, const struct e1000_ring *ring, uint32_t index,
                          uint64_t *gpa) {
    *gpa = ring->base + index * E1000_DESCRIPTOR_SIZE;
    return virtio_map(card->memory, *gpa, E1000_DESCRIPTOR_SIZE, E1000_DESCRIPTOR_SIZE);
}

void e1000_complain(struct e1000_card *card, const char *what) {
    char line[96];

    if (card->noted)
        return;
    card->noted = true;
    snprintf(line, sizeof(line), "%s: %s", card->name, what);
    card->note(card, line);
}

/* ---- reset */

/* What CTRL.RST does; the EEPROM is read then, the PHY goes on. */
static void reset_registers(struct e1000_card *card) {
    struct e1000_record *record = card->record;
    const uint8_t *mac = card->port.mac;
    uint16_t phy[E1000_PHY_REGISTERS];

    memcpy(phy, record->phy, sizeof(phy));
    memset(record, 0, sizeof(*record));
    memcpy(record->phy, phy, sizeof(phy));
    record->magic = E1000_RECORD_MAGIC;
    for (unsigned i = 0; i < E1000_REGISTERS; i++)
        record->registers[i] = registers[i].initial;
    record->addresses[0] = bytes_get32(mac);
    record->addresses[1] = bytes_get16(mac + 4) | ADDRESS_VALID;
    card->received = false;
    card->noted = false;
    set_line(card);
}

void e1000_card_reset(struct e1000_card *card) {
    reset_registers(card);
    e1000_phy_reset(card);
}

/* ---- registers */

static uint32_t *table_entry(struct e1000_card *card, uint32_t offset) {
    struct e1000_record *record = card->record;

    if (offset >= MULTICAST && offset < MULTICAST + sizeof(record->multicast))
        return &record->multicast[(offset - MULTICAST) / 4];
    if (offset >= ADDRESSES && offset < ADDRESSES + sizeof(record->addresses))
        return &record->addresses[(offset - ADDRESSES) / 4];
    if (offset >= VLANS && offset < VLANS + sizeof(record->vlans))
        return &record->vlans[(offset - VLANS) / 4];
    return NULL;
}

static enum e1000_register find(uint32_t offset) {
    unsigned i = 0;

    while (i < E1000_REGISTERS && registers[i].offset != offset)
        i++;
    return i;
}

/* Reading it clears it, which lowers the line. */
static uint32_t read_causes(struct e1000_card *card) {
    uint32_t causes = e1000_get(card, E1000_ICR);

    e1000_set(card, E1000_ICR, 0);
    set_line(card);
    return causes;
}

uint64_t e1000_card_read(struct e1000_card *card, unsigned bar, uint32_t offset, unsigned size) {
    if (bar != 0 || size != 4 || offset % 4 != 0)
        return 0;
    if (offset == STATUS)
        return STATUS_FULL | STATUS_1000 | (card->port.link ? STATUS_LINK : 0);
    if (offset >= STATISTICS && offset < STATISTICS + 4 * E1000_STATISTICS)
        return read_statistics(card, (offset - STATISTICS) / 4);
    const uint32_t *entry = table_entry(card, offset);
    if (entry)
        return *entry;
    enum e1000_register which = find(offset);
    if (which == E1000_ICR)
        return read_causes(card);
    return which < E1000_REGISTERS ? e1000_get(card, which) : 0;
}

static void write_control(struct e1000_card *card, uint32_t value) {
    if (value & E1000_CTRL_PHY_RST)
        e1000_phy_reset(card);
    if (value & E1000_CTRL_RST)
        reset_registers(card);
    else
        e1000_set(card, E1000_CTRL, value & registers[E1000_CTRL].writable);
}

static void write_kept(struct e1000_card *card, enum e1000_register which, uint32_t value) {
    switch (which) {
    case E1000_CTRL:
        write_control(card, value);
        break;
    case E1000_EECD:
        e1000_eeprom_pins(card, value);
        break;
    case E1000_EERD:
        if (value & EERD_START)
            e1000_set(card, which, e1000_eeprom_read(card, value));
        break;
    case E1000_MDIC:
        e1000_set(card, which, e1000_phy_access(card, value));
        break;
    case E1000_ICR: /* ones clear */
        e1000_set(card, which, e1000_get(card, which) & ~value);
        set_line(card);
        break;
    case E1000_IMS: /* ones set */
        e1000_set(card, which, e1000_get(card, which) | value);
        set_line(card);
        break;
    default:
        e1000_set(card, which,
                  (e1000_get(card, which) & ~registers[which].writable) |
                      (value & registers[which].writable));
        if (which == E1000_TDT || which == E1000_TCTL)
            card->again(card);
        break;
    }
}

void e1000_card_write(struct e1000_card *card, unsigned bar, uint32_t offset, unsigned size, uint64_t value) {
    uint32_t *entry = table_entry(card, offset);

    if (bar != 0 || size != 4 || offset % 4 != 0)
        return;
    if (entry) {
        *entry = (uint32_t)value;
    } else if (offset == ICS) {
        e1000_interrupt(card, (uint32_t)value);
    } else if (offset == IMC) {
        e1000_set(card, E1000_IMS, e1000_get(card, E1000_IMS) & ~(uint32_t)value);
        set_line(card);
    } else {
        enum e1000_register which = find(offset);
        if (which < E1000_REGISTERS)
            write_kept(card, which, (uint32_t)value);
    }
}

/* ---- for the program around */

int e1000_card_init(struct e1000_card *card, const struct e1000_setup *setup) {
    if (setup->mac[0] & 1)
        return -EINVAL;
    card->port.class = &e1000_port_class;
    card->port.name = card->name;
    memcpy(card->port.mac, setup->mac, 6);
    card->port.locked = setup->locked;
    card->port.mtu = setup->mtu;
    card->port.rate = setup->rate;
    card->port.limit = SWITCH_GUEST_LIMIT;
    return switch_attach(setup->network, &card->port);
}

void e1000_card_start(struct e1000_card *card) {
    card->raised = false;
    card->line(card, false); /* it may be at either level, if our program ended while it changed it */
    if (card->record->magic != E1000_RECORD_MAGIC)
        e1000_card_reset(card);
    e1000_receive_resume(card);
    e1000_transmit_resume(card);
    set_line(card);
    switch_set_link(&card->port, true);
    card->again(card);
}

void e1000_card_describe(unsigned vm, unsigned devfn, uint32_t token, struct service_device *out) {
    memset(out, 0, sizeof(*out));
    out->token = token;
    out->vm = (uint16_t)vm;
    out->devfn = (uint8_t)devfn;
    out->bar_size[0] = BAR_SIZE;
    out->region[0] = (struct service_region){.size = REGISTERS_END, .kind = SERVICE_REGION_REQUEST};
    bytes_put16(out->config + 0x00, E1000_VENDOR);
    bytes_put16(out->config + 0x02, E1000_DEVICE);
    out->config[0x08] = 2;    /* revision */
    out->config[0x0b] = 0x02; /* network, Ethernet */
    bytes_put16(out->config + 0x2c, E1000_VENDOR);
    bytes_put16(out->config + 0x2e, E1000_SUBSYSTEM);
    out->config[0x3d] = 1; /* INTA */
    out->writable[0x0c] = out->writable[0x0d] = out->writable[0x3c] =
        0xff; /* cache line, latency, interrupt */
}
